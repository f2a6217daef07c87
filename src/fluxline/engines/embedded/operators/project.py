"""Compute the columns of a projection; a row for which one cannot be computed is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.engines.embedded.changelog import kept_rows
from fluxline.engines.embedded.expressions import compile_projection
from fluxline.engines.embedded.operator import Operator

if TYPE_CHECKING:
    from fluxline.batch import Batch
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import Project


class ProjectOperator(Operator):
    """Every row gives one row, or is rejected; hidden columns travel along."""

    def __init__(self, name: str, node: Project, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects)
        self._projection = compile_projection([(column.name, column.expression) for column in node.columns], node.input.schema)
        self._carried = [item.name for item in node.schema if item.hidden]

    def process(self, batch: Batch) -> None:
        columns, failed, detail = self._projection.evaluate(batch)
        made = batch.with_columns({**columns, **{name: batch.columns[name] for name in self._carried}})
        if failed is not None and bool(failed.any()):
            self.reject_rows(batch, failed, "function", detail)
            made = kept_rows(made, ~failed)
        self.pass_on(made)
