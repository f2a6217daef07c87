"""Aggregates over groups, in two steps: partial results per batch, and a merge of partial results.

    prepare(batch)      the key columns and one argument column per measure, as a frame
    partial(frame, by)  one row per group: the partials of every measure, and how many input rows it counts
    merge(frames, by)   the same shape, of several partial frames
    final(frame)        the measures

The input rows of a group travel with it (column `ROWS`), so the ledger can count them when the group comes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fluxline.batch import polars_type
from fluxline.engines.embedded.expressions import compile_projection
from fluxline.library import AGGREGATES
from fluxline.plan.expressions import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Batch, Mask
    from fluxline.plan.expressions import Expression, Measure
    from fluxline.schema import TableSchema

ROWS = "__rows"
_EVERY = "__every"


class Aggregation:
    """The measures of one aggregate, compiled."""

    def __init__(self, keys: Sequence[str], measures: Sequence[Measure], schema: TableSchema) -> None:
        self.keys = list(keys)
        self._measures = list(measures)
        columns: list[tuple[str, Expression]] = [(name, Column(name, schema.field(name).type)) for name in keys]
        for index, measure in enumerate(measures):
            if measure.argument is not None:
                columns.append((f"__argument_{index}", measure.argument))
            if measure.where is not None:
                columns.append((f"__where_{index}", measure.where))
        self._inputs = compile_projection(columns, schema) if columns else None
        self._partial = [pl.len().cast(pl.Int64).alias(ROWS)]
        self._merge = [pl.col(ROWS).sum()]
        self._final = []
        for index, measure in enumerate(measures):
            function = AGGREGATES[measure.function]
            argument_type = None if measure.argument is None else measure.argument.type
            values = pl.col(f"__argument_{index}") if measure.argument is not None else pl.col(_EVERY)
            if measure.where is not None:
                values = pl.when(pl.col(f"__where_{index}")).then(values)
            names = {}
            for partial in function.partials(argument_type):
                name = f"__{index}_{partial.name}"
                names[partial.name] = pl.col(name)
                self._partial.append(partial.of_rows(values).alias(name))
                self._merge.append(getattr(pl.col(name), partial.merge)())
            result = function.final(names, measure.type).cast(polars_type(measure.type))
            self._final.append(result.alias(measure.name))

    def prepare(self, batch: Batch) -> tuple[pl.DataFrame, Mask | None, str]:
        """The keys and arguments of every row; and which rows cannot be computed, and why."""
        every = pl.Series(_EVERY, [True], dtype=pl.Boolean).new_from_index(0, batch.rows)
        if self._inputs is None:
            return pl.DataFrame([every]), None, ""
        columns, failed, detail = self._inputs.evaluate(batch)
        return pl.DataFrame([*(column.series(name) for name, column in columns.items()), every]), failed, detail

    def partial(self, frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """One row per group of prepared rows."""
        return self._grouped(frame, by, self._partial)

    def merge(self, frames: Sequence[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
        """One row per group of partial frames."""
        together = frames[0] if len(frames) == 1 else pl.concat(frames)
        return self._grouped(together, by, self._merge)

    def final(self, frame: pl.DataFrame) -> list[pl.Series]:
        """The measures of every group of a partial frame."""
        return frame.select(self._final).get_columns()

    def _grouped(self, frame: pl.DataFrame, by: Sequence[str], aggregates: list[pl.Expr]) -> pl.DataFrame:
        if by:
            return frame.group_by(list(by)).agg(aggregates)
        return frame.select(aggregates)
