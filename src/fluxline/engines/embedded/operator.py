"""What every operator is: it reads batches, counts each row's fate, and gives rows to its outputs.

    receive(batch) -> process(batch) -> main.emit(batch) / late.emit(batch) / rejected.emit(batch)

The counters of an operator are increased where a fate is decided. `read` is counted on arrival, `written` where the
operator decides what to give; ports and edges count what they carry, and `held` is counted from the state, so a row
that is lost or doubled anywhere breaks a balance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from fluxline.batch import DELETE, MAX_WATERMARK, MIN_WATERMARK, UPDATE_BEFORE
from fluxline.engines.embedded.changelog import batch_end
from fluxline.errors import RecoveryError
from fluxline.limits import BATCH_ROWS_MAX
from fluxline.telemetry import Ledger

if TYPE_CHECKING:
    import polars as pl

    from fluxline.batch import Batch, Mask
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.schema import TableSchema

PortName = Literal["main", "late", "rejected"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An operator's state as plain data: small values, and frames of columns."""

    values: dict[str, object] = field(default_factory=dict)
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)


class Reader:
    """What an edge leads to."""

    name: str

    def receive(self, batch: Batch, edge: Edge) -> None:
        """Take a batch; counts it as read."""
        raise NotImplementedError

    def on_watermark(self, watermark: int, edge: Edge) -> None:
        """Learn that no row at or before this event time is expected on this edge."""

    def on_end(self, edge: Edge) -> None:
        """Learn that nothing more comes on this edge."""


class Edge:
    """The way from one output to one reader; counts the rows that it delivered."""

    __slots__ = ("index", "reader", "rows_read")

    def __init__(self, reader: Reader, index: int) -> None:
        self.reader = reader
        self.index = index
        self.rows_read = 0


class Port:
    """One output of an operator: it gives every batch to all its readers."""

    __slots__ = ("edges", "name", "owner", "rows_written")

    def __init__(self, owner: Operator, name: PortName) -> None:
        self.owner = owner
        self.name = name
        self.edges: list[Edge] = []
        self.rows_written = 0

    def emit(self, batch: Batch) -> None:
        """Give rows to the readers, in batches of at most BATCH_ROWS_MAX."""
        if batch.rows > BATCH_ROWS_MAX:
            start = 0
            while start < batch.rows:
                stop = batch_end(batch, start, BATCH_ROWS_MAX)
                self.emit(batch.slice(start, stop))
                start = stop
            return
        if batch.rows == 0:
            return
        self.rows_written += batch.rows
        if self.name == "late":
            self.owner.ledger.written_late += batch.rows
        elif self.name == "rejected":
            self.owner.ledger.written_rejected += batch.rows
        for edge in self.edges:
            edge.reader.receive(batch, edge)

    def advance(self, watermark: int) -> None:
        """Tell the readers a watermark."""
        for edge in self.edges:
            edge.reader.on_watermark(watermark, edge)

    def end(self) -> None:
        """Tell the readers that nothing more comes."""
        for edge in self.edges:
            edge.reader.on_end(edge)


class Operator(Reader):
    """One step of a running job.

    Subclasses implement `process`; those that remember rows also `advance_watermark`, `held`, `snapshot` and `restore`.
    """

    def __init__(self, name: str, schema: TableSchema, rejects: RejectWriter, inputs: int = 1) -> None:
        self.name = name
        self.schema = schema
        self.rejects = rejects
        self.ledger = Ledger()
        self.main = Port(self, "main")
        self.late = Port(self, "late")
        self.rejected = Port(self, "rejected")
        self.watermark = MIN_WATERMARK
        self._input_watermarks = [MIN_WATERMARK] * inputs
        self._inputs_open = inputs

    def ports(self) -> tuple[Port, Port, Port]:
        """Its outputs."""
        return (self.main, self.late, self.rejected)

    def receive(self, batch: Batch, edge: Edge) -> None:
        edge.rows_read += batch.rows
        self.ledger.read += batch.rows
        self.process(batch)

    def on_watermark(self, watermark: int, edge: Edge) -> None:
        self._input_watermarks[edge.index] = max(watermark, self._input_watermarks[edge.index])
        combined = min(self._input_watermarks)
        if combined > self.watermark:
            self.watermark = combined
            self.advance_watermark(combined)

    def on_end(self, edge: Edge) -> None:
        self.on_watermark(MAX_WATERMARK, edge)
        self._inputs_open -= 1
        if self._inputs_open == 0:
            for port in self.ports():
                port.end()

    def process(self, batch: Batch) -> None:
        """Decide the fate of every row of the batch, and emit."""
        raise NotImplementedError

    def advance_watermark(self, watermark: int) -> None:
        """Emit what the watermark closes, then pass it on."""
        self.main.advance(watermark)

    def held(self) -> int:
        """Input rows that have no fate yet, counted from the state."""
        return 0

    def snapshot(self) -> Snapshot:
        """The state, so that `restore` on a new operator goes on from here."""
        return Snapshot({"watermark": self.watermark, "inputs": list(self._input_watermarks)})

    def restore(self, snapshot: Snapshot) -> None:
        """Take over a state that `snapshot` gave."""
        watermark, inputs = snapshot.values["watermark"], snapshot.values["inputs"]
        assert isinstance(watermark, int)
        assert isinstance(inputs, list)
        self.watermark = watermark
        self._input_watermarks = [int(value) for value in inputs]

    def require_same_meaning(self, snapshot: Snapshot, meaning: str) -> None:
        """Refuse a state whose values mean something else than this operator's.

        Raises:
            RecoveryError: FLX-5007.
        """
        if snapshot.frames and snapshot.values.get("meaning") != meaning:
            raise RecoveryError(
                "FLX-5007",
                f'the saved state of operator "{self.name}" is of other keys, windows or aggregates',
                detail="What was counted so far cannot be continued by what the pipeline says now.",
                hint="Take the change back, or start over: --fresh.",
            )

    def pass_on(self, batch: Batch) -> None:
        """Give rows of which each is one input row: it is used."""
        self.ledger.used += batch.rows
        self.give(batch)

    def give(self, batch: Batch) -> None:
        """Count rows as output, and give them to the main output."""
        self.ledger.written += batch.rows
        self.main.emit(batch)

    def reject_rows(self, batch: Batch, failed: Mask, reason: str, detail: str, *, rule: str | None = None) -> None:
        """Count the rows of the mask as rejected, and give them to the rejected output with their reason.

        What takes back a row that was rejected before is not rejected once more: it is done with.
        """
        if batch.kinds is not None:
            taken_back = failed & ((batch.kinds == UPDATE_BEFORE) | (batch.kinds == DELETE))
            self.ledger.filtered += int(np.count_nonzero(taken_back))
            failed = failed & ~taken_back
        rows = batch.take(failed)
        if rows.rows == 0:
            return
        self.ledger.reject(reason, rows.rows)
        if self.rejected.edges:
            self.rejected.emit(self.rejects.of_rows(self.name, rows, reason, detail, rule))
