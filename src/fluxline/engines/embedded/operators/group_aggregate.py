"""Aggregate the whole stream by keys; the result is updating.

Per batch and touched key the old row is taken back (-U) and the new one given (+U); a key's first row is an insert (+I).
A row is used as soon as it is counted.

The result depends on the rows alone; how often a key is updated on the way depends on the batches, as in Flink with
mini-batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch, batch_from_polars, polars_type
from fluxline.engines.embedded.aggregation import ROWS, Aggregation
from fluxline.engines.embedded.operator import Operator, Snapshot
from fluxline.engines.embedded.state.keyed import KeyedState
from fluxline.library import AGGREGATES
from fluxline.plan.json import state_digest

if TYPE_CHECKING:
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import GroupAggregate


class GroupAggregateOperator(Operator):
    """Keeps one row of partial results per key."""

    def __init__(self, name: str, node: GroupAggregate, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects)
        self._aggregation = Aggregation(node.keys, node.measures, node.input.schema)
        merges = {ROWS: "sum"}
        for index, measure in enumerate(node.measures):
            argument_type = None if measure.argument is None else measure.argument.type
            for partial in AGGREGATES[measure.function].partials(argument_type):
                merges[f"__{index}_{partial.name}"] = partial.merge
        self._state = KeyedState(node.keys, merges, node.ttl_ms)
        self._meaning = state_digest(node)
        self._kinds: dict[str, pl.DataType] = {name: polars_type(node.input.schema.field(name).type) for name in node.keys}

    def process(self, batch: Batch) -> None:
        frame, failed, detail = self._aggregation.prepare(batch)
        if failed is not None and bool(failed.any()):
            self.reject_rows(batch, failed, "function", detail)
            frame = frame.filter(pl.Series(~failed))
        if frame.height == 0:
            return
        partial = self._aggregation.partial(frame, self._state.keys)
        self._kinds.update({name: partial.schema[name] for name in partial.columns})
        now_ms = self.rejects.clock.now_ms()
        self._state.expire(now_ms)
        before, after, new = self._state.update(partial, now_ms)
        before = before.filter(pl.Series(~new))
        self.ledger.used += int(after.get_column(ROWS).sum()) - int(before.get_column(ROWS).sum())  # as the state counted them
        self._emit(before, after, new)

    def snapshot(self) -> Snapshot:
        base = super().snapshot()
        return Snapshot(base.values | {"meaning": self._meaning}, {"state": self._state.frame(self._kinds)} if len(self._state) else {})

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self.require_same_meaning(snapshot, self._meaning)
        state = snapshot.frames.get("state")
        if state is not None:
            self._kinds.update({name: state.schema[name] for name in state.columns})
            self._state.load(state)

    def _emit(self, before: pl.DataFrame, after: pl.DataFrame, new: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Every update as -U directly in front of its +U; a row that did not change is not emitted again."""
        results_after = self._rows(after)
        results_before = self._rows(before)
        order_after = np.arange(after.height) * 2 + 1
        order_before = order_after[~new] - 1
        unchanged = np.zeros(after.height, dtype=np.bool_)
        if before.height:
            updated = results_after.filter(pl.Series(~new))
            same = np.logical_and.reduce([results_before[name].eq_missing(updated[name]).to_numpy() for name in updated.columns])
            unchanged[~new] = same
            results_before, order_before = results_before.filter(pl.Series(~same)), order_before[~same]
        self.ledger.written += int(np.count_nonzero(new)) + 2 * int(np.count_nonzero(~new & ~unchanged))
        kinds_after = np.where(new, INSERT, UPDATE_AFTER).astype(np.int8)[~unchanged]
        results_after, order_after = results_after.filter(pl.Series(~unchanged)), order_after[~unchanged]
        rows = pl.concat([results_before, results_after])
        order = np.argsort(np.concatenate([order_before, order_after]), kind="stable")
        kinds = np.concatenate([np.full(results_before.height, UPDATE_BEFORE, dtype=np.int8), kinds_after])[order]
        made = batch_from_polars(rows[order.tolist()] if before.height else rows, self.schema)
        self.main.emit(Batch(made.columns, made.rows, kinds=kinds))

    def _rows(self, partials: pl.DataFrame) -> pl.DataFrame:
        keys = partials.select(self._state.keys).get_columns() if self._state.keys else []
        return pl.DataFrame([*keys, *self._aggregation.final(partials)])
