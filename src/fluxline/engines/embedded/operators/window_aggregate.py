"""Aggregate per window and key. A group comes out once, when the watermark has passed its window's last millisecond.

A row is late when its window is closed by the watermark before the row: that of its own partition, or the operator's where that
is further or the time attribute says that it decides; the judgment is row by row. Late rows go to the late output and are counted.

State: for every open window a list of partial frames, merged when they have grown to the size of what was merged
before, so that the work per row stays constant however long a window is open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import batch_from_polars
from fluxline.engines.embedded.aggregation import ROWS, Aggregation
from fluxline.engines.embedded.operator import Operator, Snapshot
from fluxline.limits import PARTIAL_FRAMES_MAX
from fluxline.plan.json import state_digest
from fluxline.plan.window import WINDOW_END, WINDOW_START, WINDOW_TIME
from fluxline.windows import find_window

if TYPE_CHECKING:
    from fluxline.batch import Batch, Column, Int64s, Mask
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import WindowAggregate

_START = "__window_start"


@dataclass(slots=True)
class OpenWindow:
    """The partial results of one open window."""

    merged_rows: int = 0
    pending_rows: int = 0
    frames: list[pl.DataFrame] = field(default_factory=list)


class WindowAggregateOperator(Operator):
    """Rows are held until their window closes, then used."""

    def __init__(self, name: str, node: WindowAggregate, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects)
        assert node.input.time is not None
        self._time_column = node.input.time.column
        self._window = node.window
        self._kind = find_window(node.window)
        self._aggregation = Aggregation(node.keys, node.measures, node.input.schema)
        self._keys = list(node.keys)
        self._by = [_START, *self._keys]
        self._meaning = state_digest(node)
        self._open: dict[int, OpenWindow] = {}

    def process(self, batch: Batch) -> None:
        starts = self._kind.assign(event_times_ms(batch.columns[self._time_column]), self._window)
        late = self._late(batch, starts)
        if bool(late.any()):
            dropped = batch.take(late)
            self.ledger.late += dropped.rows
            self.late.emit(dropped)
            batch, starts = batch.take(~late), starts[~late]
        if batch.rows == 0:
            return
        frame, failed, detail = self._aggregation.prepare(batch)
        if failed is not None and bool(failed.any()):
            self.reject_rows(batch, failed, "function", detail)
            frame, starts = frame.filter(pl.Series(~failed)), starts[~failed]
        self._add(frame, starts)

    def advance_watermark(self, watermark: int) -> None:
        closed = [start for start in self._open if self._end(start) - 1 <= watermark]
        if closed:
            self._emit([frame for start in closed for frame in self._open.pop(start).frames])
        self.main.advance(watermark)

    def held(self) -> int:
        return sum(int(frame.get_column(ROWS).sum()) for window in self._open.values() for frame in window.frames)

    def snapshot(self) -> Snapshot:
        frames = [frame for window in self._open.values() for frame in window.frames]
        return Snapshot(super().snapshot().values | {"meaning": self._meaning}, {"open": self._aggregation.merge(frames, self._by)} if frames else {})

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self.require_same_meaning(snapshot, self._meaning)
        if "open" in snapshot.frames:
            self._keep(snapshot.frames["open"])

    def _late(self, batch: Batch, starts: Int64s) -> Mask:
        last = self._kind.end(starts, self._window) - 1
        late: Mask = last <= self.watermark
        if batch.watermark_before is not None:
            late = late | (last <= batch.watermark_before)
        return late

    def _end(self, start: int) -> int:
        return int(self._kind.end(np.array([start], dtype=np.int64), self._window)[0])

    def _add(self, frame: pl.DataFrame, starts: Int64s) -> None:
        if len(starts):
            self._keep(self._aggregation.partial(frame.with_columns(pl.Series(_START, starts)), self._by))

    def _keep(self, partial: pl.DataFrame) -> None:
        """Put partial rows to the windows that they belong to."""
        starts = partial.get_column(_START).to_numpy()
        parts = {(int(starts[0]),): partial} if bool((starts == starts[0]).all()) else partial.partition_by(_START, as_dict=True)
        for (start,), part in parts.items():
            assert isinstance(start, int)
            window = self._open.setdefault(start, OpenWindow())
            window.frames.append(part)
            window.pending_rows += part.height
            if len(window.frames) >= PARTIAL_FRAMES_MAX and window.pending_rows >= window.merged_rows:
                merged = self._aggregation.merge(window.frames, self._by)
                window.frames, window.merged_rows, window.pending_rows = [merged], merged.height, 0

    def _emit(self, frames: list[pl.DataFrame]) -> None:
        """The groups of windows that have closed, by window and key."""
        groups = self._aggregation.merge(frames, self._by).sort(self._by)
        self.ledger.used += int(groups.get_column(ROWS).sum())
        self.ledger.written += groups.height
        starts = groups.get_column(_START)
        ends = pl.Series(self._kind.end(starts.to_numpy(), self._window))
        columns = [groups.get_column(key) for key in self._keys]
        for name, values in ((WINDOW_START, starts), (WINDOW_END, ends), (WINDOW_TIME, ends - 1)):
            columns.append(values.cast(pl.Datetime("ms")).alias(name))
        frame = pl.DataFrame([*columns, *self._aggregation.final(groups)])
        self.main.emit(batch_from_polars(frame.select([item.name for item in self.schema]), self.schema))


def event_times_ms(column: Column) -> Int64s:
    """Event times in whole milliseconds, as windows see them."""
    values = column.values
    assert isinstance(values, np.ndarray)
    return values.astype("datetime64[ms]").astype(np.int64)
