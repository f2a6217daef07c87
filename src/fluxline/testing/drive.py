"""Run a pipeline in memory, step by step, on a virtual clock.

    def test_the_hour_closes(drive: Drive) -> None:
        run = drive(sensors, partitions=2, now="2024-06-07T13:30Z")
        run.push(readings, Reading(...), partition=0)
        run.advance_clock("31 seconds")
        assert run.rows(averages) == [...]

Everything happens in the calling thread. What was done is kept, so an output that is asked for late can be computed
from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fluxline.batch import batch_from_polars, polars_type
from fluxline.clock import SystemClock, VirtualClock
from fluxline.connectors.base import Connector, Rows, SourceContext
from fluxline.control.memory import Collected, NoOptions, collecting_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.errors import DefinitionError
from fluxline.limits import DRIVE_POLLS_MAX
from fluxline.options import parse_duration
from fluxline.pipeline.declare import Schema
from fluxline.pipeline.sink import Sink
from fluxline.plan import nodes
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.batch import Batch
    from fluxline.engines.embedded.operator import Edge
    from fluxline.engines.embedded.saved_state import SavedStop
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.pipeline.stream import Stream
    from fluxline.schema import TableSchema
    from fluxline.telemetry import Report


def utc(text: str) -> datetime:
    """An instant from ISO-8601 text; without an offset it is in UTC. `utc("2024-06-07T12:10Z")`."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


class Drive:
    """The type of the fixture: calling it starts a driven run."""

    def __init__(self) -> None:
        self._runs: list[Driven] = []

    def __call__(self, pipeline: Pipeline, *, partitions: int = 1, now: str | datetime | None = None) -> Driven:
        """Start a run.

        Args:
            pipeline: what to run; its sinks are kept in memory.
            partitions: how many partitions every source has.
            now: the clock's time at the start; the real time if not given.
        """
        if partitions < 1:
            raise DefinitionError("FLX-2122", f"partitions is at least 1, not {partitions}")
        run = Driven(pipeline, partitions, _instant_ms(now))
        self._runs.append(run)
        return run

    def check_ledgers(self) -> None:
        """Assert that the row ledger of every run balances."""
        for run in self._runs:
            imbalances = run.report.imbalances()
            assert not imbalances, "the row ledger does not balance:\n" + "\n".join(imbalances)


class Driven:
    """One run in memory."""

    def __init__(self, pipeline: Pipeline, partitions: int, now_ms: int) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._now_ms = now_ms
        self._actions: list[Callable[[], None]] = []
        self._asked: dict[str, nodes.Node] = {}
        self._names: dict[nodes.Node, str] = {}
        self._begin()

    def push(self, stream: Stream, rows: Schema | Mapping[str, Any] | Sequence[Schema | Mapping[str, Any]], *, partition: int = 0) -> None:
        """Give rows to a source, in one batch.

        Args:
            stream: what `pipeline.source(...)` returned.
            rows: one or several: objects of the source's schema class, or mappings.
            partition: which of its partitions they arrive in.
        """
        node = stream._node
        if not isinstance(node, nodes.Scan) or node.source not in self._scripts:
            raise DefinitionError("FLX-2171", "rows are pushed to a source of the pipeline, and this stream is not one")
        if not 0 <= partition < self._partitions:
            raise DefinitionError("FLX-2122", f"partition {partition} does not exist: the run has {self._partitions}")
        items = [rows] if isinstance(rows, Schema | Mapping) else list(rows)
        plain = [item.as_row() if isinstance(item, Schema) else dict(item) for item in items]
        frame = _frame(plain, node.declared)
        self._act(lambda: self._scripts[node.source].push(partition, frame))

    def advance_watermark(self, to: str | datetime) -> None:
        """Say of all partitions that no row at or before this time is expected any more."""
        to_ms = _instant_ms(to)
        self._act(lambda: self._raise_watermarks(to_ms))

    def advance_clock(self, by: str | timedelta) -> None:
        """Let time pass."""
        by_ms = parse_duration(by, name="by")
        self._act(lambda: self._clock.advance(by_ms))

    def finish(self) -> None:
        """End the input: every window closes."""
        self._act(self._finish)

    def restart(self) -> None:
        """Save, forget everything, and go on from what was saved."""
        self._act(self._restart)

    def rows(self, output: Sink | Stream) -> list[dict[str, Any]]:
        """All rows so far, final rows if updating; sorted by key, then by columns."""
        return _plain(self._collected(output).final(), output)

    def changelog(self, output: Sink | Stream) -> list[dict[str, Any]]:
        """All rows so far in their order, with their kind under `row_kind`."""
        collected = self._collected(output)
        return [dict(row) for row in _zoned(collected.changelog(), collected.schema).iter_rows(named=True)]

    @property
    def report(self) -> Report:
        """The row ledger of this moment."""
        return self._machine.report({}, {})

    # How it runs.
    def _act(self, action: Callable[[], None]) -> None:
        self._actions.append(action)
        action()
        self._poll()

    def _begin(self) -> None:
        """Build everything anew and do again what was done."""
        self._clock = VirtualClock(self._now_ms)
        declared = self._pipeline._plan()
        hidden = tuple(nodes.Sink(node, name, node.key) for name, node in self._asked.items())
        self._plan = apply_rules(nodes.Plan(declared.name, (*declared.sinks, *hidden)))
        self._scripts = {scan.source: ScriptedSource(self._partitions) for scan in self._plan.scans()}
        self._ended: set[str] = set()
        self._outputs = {sink.name: Collected(sink.schema.visible(), sink.row_key) for sink in self._plan.sinks}
        self._open(None)
        self._poll()
        for action in self._actions:
            action()
            self._poll()

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

    def _poll(self) -> None:
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

    def _collected(self, output: Sink | Stream) -> Collected:
        if isinstance(output, Sink):
            if output.name not in self._outputs:
                raise DefinitionError("FLX-2171", f'"{output.name}" is not a sink of the pipeline')
            return self._outputs[output.name]
        node = output._node
        name = self._names.setdefault(node, f"driven_{len(self._names)}")
        if name not in self._asked:
            self._asked[name] = node
            self._begin()
        return self._outputs[name]


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


def _frame(rows: list[dict[str, Any]], schema: TableSchema) -> pl.DataFrame:
    """Rows as a frame of the schema; instants lose their zone, which is UTC inside."""
    columns = []
    for item in schema:
        values = [_naive(row.get(item.name)) for row in rows]
        columns.append(pl.Series(item.name, values, dtype=polars_type(item.type), strict=True))
    for row in rows:
        for name in row:
            schema.find(name, stream="the source")
    return pl.DataFrame(columns)


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo is not None else value


def _zoned(frame: pl.DataFrame, schema: TableSchema) -> pl.DataFrame:
    return frame.with_columns(pl.col(item.name).dt.replace_time_zone("UTC") for item in schema if item.type.root == "TIMESTAMP_LTZ")


def _plain(frame: pl.DataFrame, output: Sink | Stream) -> list[dict[str, Any]]:
    schema = (output._planned if isinstance(output, Sink) else output._node).schema.visible()
    key = output.key or ()
    rows = [dict(row) for row in _zoned(frame, schema).iter_rows(named=True)]
    order = [*key, *(name for name in schema.names() if name not in key)]
    return sorted(rows, key=lambda row: [(row[name] is not None, _comparable(row[name])) for name in order])


def _comparable(value: Any) -> Any:
    return 0 if value is None else value if isinstance(value, int | float | str | bytes | datetime) else repr(value)


def _instant_ms(at: str | datetime | None) -> int:
    if at is None:
        return SystemClock().now_ms()
    instant = utc(at) if isinstance(at, str) else at
    return int(instant.timestamp() * 1000)
