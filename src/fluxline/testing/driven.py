"""What every driven run can do, and what is the same for it on every engine.

What was done is kept, so an output that is asked for late can be computed from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from fluxline.batch import polars_type
from fluxline.clock import SystemClock
from fluxline.errors import DefinitionError
from fluxline.options import parse_duration
from fluxline.pipeline.declare import Schema
from fluxline.pipeline.sink import Sink
from fluxline.plan import nodes
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from fluxline.control.memory import Collected
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.pipeline.stream import Stream
    from fluxline.schema import TableSchema
    from fluxline.telemetry import Report


def utc(text: str) -> datetime:
    """An instant from ISO-8601 text; without an offset it is in UTC. `utc("2024-06-07T12:10Z")`."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


class Driven:
    """One run, step by step."""

    def __init__(self, pipeline: Pipeline, partitions: int, now_ms: int) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._now_ms = now_ms
        self._actions: list[Callable[[], None]] = []
        self._finished = False
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
        if not isinstance(node, nodes.Scan) or all(node.source != scan.source for scan in self._plan.scans()):
            raise DefinitionError("FLX-2171", "rows are pushed to a source of the pipeline, and this stream is not one")
        if not 0 <= partition < self._partitions:
            raise DefinitionError("FLX-2122", f"partition {partition} does not exist: the run has {self._partitions}")
        if self._finished:
            raise DefinitionError("FLX-2172", "rows are pushed behind the end of the input", hint="Push them before finish().")
        items = [rows] if isinstance(rows, Schema | Mapping) else list(rows)
        plain = [item.as_row() if isinstance(item, Schema) else dict(item) for item in items]
        frame = frame_of(plain, node.declared)
        self._act(lambda: self._give(node.source, partition, frame))

    def advance_watermark(self, to: str | datetime) -> None:
        """Say of all partitions that no row at or before this time is expected any more."""
        to_ms = instant_ms(to)
        self._act(lambda: self._raise_watermarks(to_ms))

    def advance_clock(self, by: str | timedelta) -> None:
        """Let time pass; on Flink the test really waits, so it is 60 seconds at most there."""
        by_ms = parse_duration(by, name="by")
        self._act(lambda: self._advance(by_ms))

    def finish(self) -> None:
        """End the input: every window closes."""
        self._act(self._finish)
        self._finished = True

    def restart(self) -> None:
        """Save, forget everything, and go on from what was saved."""
        self._act(self._restart)

    def rows(self, output: Sink | Stream) -> list[dict[str, Any]]:
        """All rows so far, final rows if updating; sorted by key, then by columns."""
        return _plain(self._collected(output).final(), output)

    def changelog(self, output: Sink | Stream) -> list[dict[str, Any]]:
        """All rows so far in their order, with their kind under `row_kind`; on Flink not of an updating output."""
        collected = self._collected(output)
        return [dict(row) for row in _zoned(collected.changelog(), collected.schema).iter_rows(named=True)]

    @property
    def report(self) -> Report:
        """The row ledger of this moment; on Flink what is read and rejected, late and written, and nothing of what lies between."""
        raise NotImplementedError

    # What an engine brings.
    def _start(self) -> None:
        """Start `self._plan` over empty sources."""
        raise NotImplementedError

    def _give(self, source: str, partition: int, frame: pl.DataFrame) -> None:
        raise NotImplementedError

    def _raise_watermarks(self, to_ms: int) -> None:
        raise NotImplementedError

    def _advance(self, by_ms: int) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _restart(self) -> None:
        raise NotImplementedError

    def _settle(self) -> None:
        """Let what was done take effect, where it does not by itself."""

    def _rows_of(self, sink: nodes.Sink) -> Collected:
        """What a sink of the plan was given so far."""
        raise NotImplementedError

    def _check_ledger(self) -> None:
        """Assert that what the engine tells of its rows adds up."""

    def _close(self) -> None:
        """Leave nothing behind; may be called twice."""

    # What is the same.
    def _act(self, action: Callable[[], None]) -> None:
        action()
        self._settle()
        self._actions.append(action)

    def _begin(self) -> None:
        """Build everything anew and do again what was done."""
        declared = self._pipeline._plan()
        hidden = tuple(nodes.Sink(node, name, self._hidden_key(node)) for name, node in self._asked.items())
        self._plan = apply_rules(nodes.Plan(declared.name, (*declared.sinks, *hidden)))
        self._start()
        self._settle()
        for action in self._actions:
            action()
            self._settle()

    def _hidden_key(self, node: nodes.Node) -> tuple[str, ...] | None:
        """The key of the sink behind a stream that has none and is looked at."""
        return node.key

    def _collected(self, output: Sink | Stream) -> Collected:
        if isinstance(output, Sink):
            name = output.name
        else:
            name = self._names.setdefault(output._node, f"driven_{len(self._names)}")
            if name not in self._asked:
                self._asked[name] = output._node
                self._begin()
        for sink in self._plan.sinks:
            if sink.name == name:
                return self._rows_of(sink)
        raise DefinitionError("FLX-2171", f'"{name}" is not a sink of the pipeline')


def frame_of(rows: list[dict[str, Any]], schema: TableSchema) -> pl.DataFrame:
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


def instant_ms(at: str | datetime | None) -> int:
    """Milliseconds since 1970; the real time if nothing is given."""
    if at is None:
        return SystemClock().now_ms()
    instant = utc(at) if isinstance(at, str) else at
    return int(instant.timestamp() * 1000)
