"""Apply a user's function of frames. Where it raises, the batch is halved until the rows it raises for stand alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import Batch, batch_from_polars, polars_type
from fluxline.engines.embedded.operator import Operator
from fluxline.errors import FluxlineError, FunctionFailed

if TYPE_CHECKING:
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import MapBatches


class MapBatchesOperator(Operator):
    """Rows that the function took without raising are used, whatever it returned for them."""

    def __init__(self, name: str, node: MapBatches, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects)
        if node.function.call is None:
            raise FunctionFailed(
                "FLX-3011",
                f'function "{node.function.name}" is not to be had',
                detail="A plan read from data does not carry Python functions.",
                place=node.place,
            )
        self._function = node.function.call
        self._function_name = node.function.name
        self._visible = [item.name for item in node.input.schema if not item.hidden]
        self._on_error = node.on_error
        self._place = node.place

    def process(self, batch: Batch) -> None:
        self._map(batch.with_columns({name: batch.columns[name] for name in self._visible}))

    def _map(self, batch: Batch) -> None:
        if batch.rows == 0:
            return
        try:
            made = self._call(batch)
        except FluxlineError:
            raise
        except Exception as error:  # whatever a user's function raises
            detail = f"{type(error).__name__}: {error}"
            if self._on_error == "fail":
                raise FunctionFailed(
                    "FLX-3012",
                    f'function "{self._function_name}" raised, and its policy is to stop',
                    detail=detail,
                    hint='Let on_error="reject" route such rows to .rejected.',
                    place=self._place,
                ) from error
            if batch.rows == 1:
                self.reject_rows(batch, np.ones(1, dtype=np.bool_), "function", detail)
                return
            middle = batch.rows // 2
            self._map(batch.slice(0, middle))
            self._map(batch.slice(middle, batch.rows))
            return
        self.ledger.used += batch.rows
        self.give(made)

    def _call(self, batch: Batch) -> Batch:
        frame = self._function(batch.polars())
        if not isinstance(frame, pl.DataFrame):
            raise FunctionFailed(
                "FLX-3013", f'function "{self._function_name}" returned {type(frame).__name__}, not a Polars frame', place=self._place
            )
        missing = [item.name for item in self.schema if item.name not in frame.columns]
        if missing:
            raise FunctionFailed(
                "FLX-3013",
                f'function "{self._function_name}" returned a frame without {", ".join(missing)}',
                detail=f"It has {', '.join(frame.columns)}.",
                place=self._place,
            )
        columns = []
        for item in self.schema:
            series = frame.get_column(item.name)
            wanted = polars_type(item.type)
            if series.dtype != wanted:
                series = series.cast(wanted)
            if not item.type.nullable and series.has_nulls():
                raise ValueError(f"column {item.name} is NOT NULL and the function returned NULL")
            columns.append(series)
        return batch_from_polars(pl.DataFrame(columns), self.schema, partition=batch.partition)
