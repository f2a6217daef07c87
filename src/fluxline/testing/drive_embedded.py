"""A driven run on the embedded engine: in memory, on a virtual clock, everything in the calling thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fluxline.batch import batch_from_polars, polars_type
from fluxline.clock import VirtualClock
from fluxline.connectors.base import Connector, Rows, SourceContext
from fluxline.control.memory import Collected, NoOptions, collecting_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.limits import DRIVE_POLLS_MAX
from fluxline.testing.driven import Driven

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.batch import Batch
    from fluxline.engines.embedded.operator import Edge
    from fluxline.engines.embedded.saved_state import SavedStop
    from fluxline.plan import nodes
    from fluxline.schema import TableSchema
    from fluxline.telemetry import Report


class EmbeddedDriven(Driven):
    """One run in memory."""

    @property
    def report(self) -> Report:
        return self._machine.report({}, {})

    def _start(self) -> None:
        self._clock = VirtualClock(self._now_ms)
        self._scripts = {scan.source: ScriptedSource(self._partitions) for scan in self._plan.scans()}
        self._ended: set[str] = set()
        self._outputs = {sink.name: Collected(sink.schema.visible(), sink.row_key) for sink in self._plan.sinks}
        self._open(None)

    def _give(self, source: str, partition: int, frame: pl.DataFrame) -> None:
        self._scripts[source].push(partition, frame)

    def _advance(self, by_ms: int) -> None:
        self._clock.advance(by_ms)

    def _rows_of(self, sink: nodes.Sink) -> Collected:
        return self._outputs[sink.name]

    def _check_ledger(self) -> None:
        imbalances = self.report.imbalances()
        assert not imbalances, "the row ledger does not balance:\n" + "\n".join(imbalances)

    def _open(self, stop: SavedStop | None) -> None:
        here = Path.cwd()
        endpoints = {name: Endpoint(name, script.connector(), NoOptions(), None, None, here) for name, script in self._scripts.items()}
        endpoints |= {
            name: Endpoint(name, collecting_connector(collected), NoOptions(), None, None, here) for name, collected in self._outputs.items()
        }
        settings = MachineSettings(run_id="driven", rejected_share_max=1.0)
        self._machine = Machine(self._plan, endpoints, self._clock, settings, stop)
        for name, feed in self._machine.graph.sinks.items():
            feed.deliver = _straight_to(self._machine, name)

    def _settle(self) -> None:
        """Let every source give what it has, until none has anything."""
        for _ in range(DRIVE_POLLS_MAX):
            moved = False
            for name, task in self._machine.sources.items():
                event = task.poll()
                task.publish()
                if event is not None:
                    if not event.ended or name not in self._ended:
                        self._machine.feed(name, event)
                        moved = True
                    if event.ended:
                        self._ended.add(name)
            if not moved:
                return
        raise AssertionError("a source never came to rest")

    def _raise_watermarks(self, to_ms: int) -> None:
        for name, task in self._machine.sources.items():
            event = task.raise_watermark(to_ms)
            self._machine.feed(name, event)

    def _finish(self) -> None:
        for script in self._scripts.values():
            script.finish()

    def _restart(self) -> None:
        stop = self._machine.saved(1, ended=False, receipts={})
        self._machine.close()
        self._ended = set()
        self._open(stop)


@dataclass
class ScriptedSource:
    """A source whose rows a test gives; a position is the number of rows before it."""

    count: int
    bounded: bool = False
    rewindable: bool = True
    frames: list[list[pl.DataFrame]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.frames = [[] for _ in range(self.count)]
        self.schema: TableSchema | None = None

    def connector(self) -> Connector:
        """A connector that opens this source."""
        return Connector("scripted", "Rows that a test gives.", NoOptions, self._open, None, takes_format=False)

    def push(self, partition: int, frame: pl.DataFrame) -> None:
        """Add rows behind those that are there."""
        if frame.height:  # a reader of no rows would never get past them
            self.frames[partition].append(frame)

    def finish(self) -> None:
        """Let every partition end behind its last row."""
        self.ended = True
        self.bounded = True

    def partitions(self) -> Sequence[str]:
        return [str(index) for index in range(self.count)]

    def open(self, partition: str, position: int | None) -> ScriptedReader:
        return ScriptedReader(self, int(partition), position or 0)

    def close(self) -> None:
        pass

    def _open(self, context: SourceContext) -> ScriptedSource:
        self.schema = context.schema
        return self


class ScriptedReader:
    """Reads one partition of a script."""

    def __init__(self, source: ScriptedSource, partition: int, position: int) -> None:
        self._source = source
        self._frames = source.frames[partition]
        self._position = position

    def read(self) -> Rows | None:
        assert self._source.schema is not None
        start, before = self._position, 0
        for frame in self._frames:
            if before == start:
                self._position += frame.height
                columns = frame.select([item.name for item in self._source.schema])
                return Rows(batch_from_polars(columns, self._source.schema), start)
            before += frame.height
        if self._source.ended:
            empty = pl.DataFrame({item.name: pl.Series([], dtype=polars_type(item.type)) for item in self._source.schema})
            return Rows(batch_from_polars(empty, self._source.schema), start, final=True)
        return None

    def position(self) -> int:
        return self._position

    def close(self) -> None:
        pass


def _straight_to(machine: Machine, name: str) -> Callable[[Batch, Edge], None]:
    task = machine.sinks[name]

    def deliver(batch: Batch, edge: Edge) -> None:
        task.take(batch, edge)
        task.write(batch)

    return deliver
