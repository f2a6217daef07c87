"""From the bytes of a partition to a batch: a format decodes, misfits are rejected with their reason and position.

The event time is judged here too: a row without one (`no_event_time`), or too far ahead (`too_far_ahead`) of the time at which a log
took it, else of the clock, is rejected before it can move a watermark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import Batch, Column
from fluxline.engines.embedded.expressions import compile_expression
from fluxline.formats.base import Reject
from fluxline.plan import expressions

if TYPE_CHECKING:
    from fluxline.batch import Int64s, Mask
    from fluxline.clock import Clock
    from fluxline.connectors.base import Bytes
    from fluxline.formats.base import Decoded, Decoder
    from fluxline.plan.nodes import Scan


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the records of one read.

    Attributes:
        batch: the healthy rows, columns of the scan's schema.
        times_ms: their event times, or None where the source has no time attribute.
        rejects: the others; their index counts the records of the read.
        reject_times_ms: event times of rejects that have one, by index.
    """

    batch: Batch
    times_ms: Int64s | None
    rejects: list[Reject]
    reject_times_ms: dict[int, int]


class DecodeStep:
    """Decodes one source's records and judges their event time."""

    def __init__(self, scan: Scan, clock: Clock) -> None:
        self.schema = scan.decoded
        self._metadata = [item.name for item in self.schema if item.metadata is not None]
        self._clock = clock
        self._output = [item.name for item in scan.schema]
        self._time_name = None if scan.event_time is None else scan.event_time.name
        self._computed_time = None
        if scan.event_time is not None and not isinstance(scan.event_time.expression, expressions.Column):
            self._computed_time = compile_expression(scan.event_time.expression, self.schema)
        elif scan.event_time is not None:
            assert isinstance(scan.event_time.expression, expressions.Column)
            self._time_name = scan.event_time.expression.name
        self._skew_ms = None if scan.strategy is None else scan.strategy.max_future_skew_ms

    def decode(self, decoder: Decoder, read: Bytes, bounds: Int64s, partition: str) -> Judged:
        """The records `data[bounds[i]:bounds[i + 1]]` of what was read of a partition."""
        decoded = decoder.decode(read.data, bounds)
        logged_ms = read.logged_ms if read.logged_ms is None or decoded.records is None else read.logged_ms[decoded.records]
        if not self._metadata:
            return self._judge(decoded, partition, logged_ms)
        assert read.metadata is not None, "a source knows the metadata that it was opened for"
        columns = dict(decoded.columns)
        for name in self._metadata:
            columns[name] = read.metadata[name] if decoded.records is None else read.metadata[name].take(decoded.records)
        return self._judge(replace(decoded, columns=columns), partition, logged_ms)

    def of_rows(self, batch: Batch, partition: str) -> Judged:
        """Rows that a connector gives as columns."""
        decoded = {item.name: batch.columns[item.name] for item in self.schema}
        rejects, healthy = self._missing(decoded, batch.rows)
        records = None if healthy is None else np.flatnonzero(healthy)
        columns = decoded if healthy is None else {name: column.take(healthy) for name, column in decoded.items()}
        count = batch.rows if healthy is None else int(np.count_nonzero(healthy))
        return self._judge_columns(columns, count, records, rejects, partition, None)

    def _judge(self, decoded: Decoded, partition: str, logged_ms: Int64s | None) -> Judged:
        return self._judge_columns(dict(decoded.columns), decoded.rows, decoded.records, list(decoded.rejects), partition, logged_ms)

    def _judge_columns(
        self, columns: dict[str, Column], rows: int, records: Int64s | None, rejects: list[Reject], partition: str, logged_ms: Int64s | None
    ) -> Judged:
        if self._time_name is None:
            return Judged(self._batch(columns, rows, partition), None, rejects, {})
        failed: Mask | None = None
        if self._computed_time is not None:
            evaluated = self._computed_time.evaluate(Batch(columns, rows))
            columns[self._time_name] = evaluated.column
            failed = evaluated.failed
        time = columns[self._time_name]
        assert isinstance(time.values, np.ndarray)
        times_ms = time.values.astype("datetime64[ms]").astype(np.int64)
        missing = np.zeros(rows, dtype=np.bool_) if time.valid is None else ~time.valid
        if failed is not None:
            missing = missing | failed
        ahead = np.zeros(rows, dtype=np.bool_)
        if self._skew_ms is not None:
            ahead = (times_ms > self._latest_ms(logged_ms)) & ~missing
        unfit = missing | ahead
        columns[self._time_name] = Column(time.values)
        if not bool(unfit.any()):
            return Judged(self._batch(columns, rows, partition), times_ms, rejects, {})
        late_known: dict[int, int] = {}
        for row in np.flatnonzero(unfit):
            index = int(row) if records is None else int(records[row])
            if missing[row]:
                rejects.append(Reject(index, "no_event_time", f'Column "{self._time_name}" is missing or null, and event time is needed.'))
            else:
                late_known[index] = int(times_ms[row])
                of_what = "the clock" if logged_ms is None else "the time at which the record was logged"
                rejects.append(Reject(index, "too_far_ahead", f'Column "{self._time_name}" is more than max_future_skew ahead of {of_what}.'))
        kept = {name: column.take(~unfit) for name, column in columns.items()}
        rejects.sort(key=lambda reject: reject.index)
        return Judged(self._batch(kept, int(np.count_nonzero(~unfit)), partition), times_ms[~unfit], rejects, late_known)

    def _latest_ms(self, logged_ms: Int64s | None) -> Int64s | int:
        """The latest event time that a row may have: by when it was logged, where its log tells, else by the clock."""
        assert self._skew_ms is not None
        now_ms = self._clock.now_ms()
        if logged_ms is None:
            return now_ms + self._skew_ms
        latest: Int64s = np.where(logged_ms < 0, now_ms, logged_ms) + self._skew_ms
        return latest

    def _batch(self, columns: dict[str, Column], rows: int, partition: str) -> Batch:
        return Batch({name: columns[name] for name in columns if name in self._output or name in self.schema}, rows, partition)

    def _missing(self, columns: dict[str, Column], rows: int) -> tuple[list[Reject], Mask | None]:
        """NOT NULL columns of a connector's own rows that hold NULL."""
        healthy = np.ones(rows, dtype=np.bool_)
        rejects = []
        for item in self.schema:
            if item.type.nullable:
                continue
            valid = columns[item.name].is_valid()
            for row in np.flatnonzero(~valid & healthy):
                rejects.append(Reject(int(row), "missing", f'Column "{item.name}" is NOT NULL and is missing.'))
            healthy &= valid
        return (rejects, None) if bool(healthy.all()) else (rejects, healthy)
