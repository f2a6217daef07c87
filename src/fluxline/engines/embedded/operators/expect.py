"""Quality rules: a row passes when every rule is TRUE; NULL breaks a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fluxline.engines.embedded.expressions import compile_predicate
from fluxline.engines.embedded.operator import Operator
from fluxline.errors import FunctionFailed

if TYPE_CHECKING:
    from fluxline.batch import Batch
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import Expect


class ExpectOperator(Operator):
    """A row that breaks a rule is rejected with the first rule that it breaks, or counted, or stops the job."""

    def __init__(self, name: str, node: Expect, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects)
        self._rules = [(rule.name, compile_predicate(rule.expression, node.input.schema)) for rule in node.rules]
        self._on_failure = node.on_failure
        self._place = node.place
        self.broken: dict[str, int] = {}
        """Rule -> how many rows broke it first."""

    def process(self, batch: Batch) -> None:
        passing = np.ones(batch.rows, dtype=np.bool_)
        for name, rule in self._rules:
            keep, failed, detail = rule.evaluate(batch)
            if failed is not None:
                broken_computing = failed & passing
                self.reject_rows(batch, broken_computing, "function", detail, rule=name)
                passing &= ~failed
                keep = keep | failed
            broken = passing & ~keep
            count = int(np.count_nonzero(broken))
            if count:
                self.broken[name] = self.broken.get(name, 0) + count
                self._break(batch, broken, name, count)
                if self._on_failure != "count":
                    passing &= keep
        passed = batch if bool(passing.all()) else batch.take(passing)
        self.pass_on(passed)

    def _break(self, batch: Batch, broken: np.ndarray[tuple[int], np.dtype[np.bool_]], rule: str, count: int) -> None:
        if self._on_failure == "reject":
            self.reject_rows(batch, broken, "rule", f"The row breaks the rule {rule}.", rule=rule)
        elif self._on_failure == "fail":
            tagged = {item.name for item in self.schema if item.tags}
            first = {name: "***" if name in tagged else column.take(broken).series()[0] for name, column in batch.columns.items()}
            raise FunctionFailed(
                "FLX-3010",
                f'{count} rows break the rule "{rule}", whose policy is to stop',
                detail=f"The first is {first}.",
                hint='Let on_failure="reject" route such rows to .rejected.',
                place=self._place,
            )
