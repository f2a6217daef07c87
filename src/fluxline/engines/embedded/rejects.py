"""Builds the rows of the rejected output, which have one schema for the whole project (`REJECTED_SCHEMA`).

A record that could not be decoded is there as its bytes, with its position; a row that failed later is there as one
JSON object of the operator's input, without a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import Batch, batch_from_polars, polars_type
from fluxline.limits import RECORD_BYTES_MAX, REJECT_DETAIL_CHARS_MAX
from fluxline.plan.nodes import REJECTED_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.formats.base import Reject


@dataclass(frozen=True, slots=True)
class RejectWriter:
    """Makes rejected rows for one operator.

    Attributes:
        pipeline: name of the pipeline.
        clock: stamps `rejected_at`.
        time_column: the input's event-time column, if it has one.
        encode: input rows -> one JSON text each.
    """

    pipeline: str
    clock: Clock
    time_column: str | None = None
    encode: Callable[[Batch], Sequence[bytes]] | None = None

    def of_rows(self, operator: str, rows: Batch, reason: str, detail: str, rule: str | None) -> Batch:
        """Rows of an operator's input that failed there, all for the same reason."""
        return self._of_rows(operator, rows, [reason] * rows.rows, [detail] * rows.rows, [rule] * rows.rows)

    def of_refused(self, operator: str, batch: Batch, refused: Sequence[Reject]) -> Batch:
        """Those rows of a batch that a sink's system refused."""
        rows = batch.take(np.array([reject.index for reject in refused], dtype=np.int64))
        return self._of_rows(operator, rows, [reject.reason for reject in refused], [reject.detail for reject in refused], None)

    def _of_rows(self, operator: str, rows: Batch, reasons: Sequence[str], details: Sequence[str], rules: Sequence[str | None] | None) -> Batch:
        records = list(self.encode(rows)) if self.encode is not None else [None] * rows.rows
        event_times: Int64s | None = None
        if self.time_column is not None and self.time_column in rows.columns:
            values = rows.columns[self.time_column].values
            assert isinstance(values, np.ndarray)
            event_times = values.astype("datetime64[ms]").astype(np.int64)
        return self.build(
            operator, reasons=reasons, details=details, rules=rules, records=records, partition=rows.partition or None,
            positions=[None] * rows.rows, event_times=None if event_times is None else event_times.tolist(),
        )  # fmt: skip

    def build(
        self,
        operator: str,
        *,
        reasons: Sequence[str],
        details: Sequence[str],
        records: Sequence[bytes | None],
        partition: str | None,
        positions: Sequence[int | None],
        rules: Sequence[str | None] | None = None,
        event_times: Sequence[int | None] | None = None,
    ) -> Batch:
        """Rejected rows from lists of equal length; event times in ms."""
        count = len(reasons)
        kept = [None if record is None else record[:RECORD_BYTES_MAX] for record in records]
        values: dict[str, object] = {
            "pipeline": [self.pipeline] * count,
            "operator": [operator] * count,
            "reason": list(reasons),
            "detail": [detail[:REJECT_DETAIL_CHARS_MAX] for detail in details],
            "rule": list(rules) if rules is not None else [None] * count,
            "record": kept,
            "partition": [partition] * count,
            "position": list(positions),
            "event_time": list(event_times) if event_times is not None else [None] * count,
            "rejected_at": [self.clock.now_ms()] * count,
        }
        columns = []
        for item in REJECTED_SCHEMA:
            kind = polars_type(item.type)
            if item.type.timestamp:
                columns.append(pl.Series(item.name, values[item.name], dtype=pl.Int64).cast(kind))  # type: ignore[arg-type]  # a list of ints
            else:
                columns.append(pl.Series(item.name, values[item.name], dtype=kind))  # type: ignore[arg-type]  # a list
        return batch_from_polars(pl.DataFrame(columns), REJECTED_SCHEMA, partition=partition or "")
