"""Keep the rows for which a predicate is TRUE; a row for which it cannot be computed is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fluxline.engines.embedded.changelog import kept_rows
from fluxline.engines.embedded.expressions import compile_predicate
from fluxline.engines.embedded.operator import Operator

if TYPE_CHECKING:
    from fluxline.batch import Batch
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.expressions import Expression
    from fluxline.schema import TableSchema


class FilterOperator(Operator):
    """Rows pass, or are filtered."""

    def __init__(self, name: str, schema: TableSchema, rejects: RejectWriter, predicate: Expression) -> None:
        super().__init__(name, schema, rejects)
        self._predicate = compile_predicate(predicate, schema)

    def process(self, batch: Batch) -> None:
        keep, failed, detail = self._predicate.evaluate(batch)
        if failed is not None:
            self.reject_rows(batch, failed, "function", detail)
            self.ledger.filtered += int(np.count_nonzero(~keep & ~failed))
            keep = keep & ~failed
        else:
            self.ledger.filtered += int(np.count_nonzero(~keep))
        passed = batch if bool(keep.all()) else kept_rows(batch, keep)
        self.pass_on(passed)
