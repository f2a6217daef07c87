"""An expression as Polars expressions: its value, and for every part that can fail, where it does.

A part that is not evaluated does not fail, so each carries a guard: the rows that reach it.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from fluxline.batch import polars_type
from fluxline.engines.embedded.expressions.constants import constant_literal
from fluxline.engines.embedded.expressions.signatures import form_of, use_of
from fluxline.library.casts import conversion
from fluxline.plan import expressions

if TYPE_CHECKING:
    from fluxline.library.function import Function, Signature
    from fluxline.plan.expressions import Expression


class PolarsForm:
    """Builds the Polars form of one expression, and gathers where it fails."""

    def __init__(self) -> None:
        self.failed: list[pl.Expr] = []
        self.failures: list[str] = []

    def build(self, expression: Expression, guard: pl.Expr | None = None) -> pl.Expr:
        """The value of an expression, in normal form, of which only the rows of the guard count."""
        if isinstance(expression, expressions.Column):
            return pl.col(expression.name)
        if isinstance(expression, expressions.Constant):
            return constant_literal(expression)
        if isinstance(expression, expressions.Cast):
            return self._cast(expression, guard)
        if isinstance(expression, expressions.Case):
            return self._case(expression, guard)
        return self._call(expression, guard)

    def any_failed(self) -> pl.Expr | None:
        """Where some part fails; None where none can."""
        return reduce(lambda one, other: one | other, self.failed) if self.failed else None

    def _fail(self, where: pl.Expr, failure: str, guard: pl.Expr | None) -> None:
        where = where.fill_null(False)
        self.failed.append(where if guard is None else where & guard)
        self.failures.append(failure)

    def _cast(self, cast: expressions.Cast, guard: pl.Expr | None) -> pl.Expr:
        value = self.build(cast.input, guard)
        if cast.input.type.root == "NULL":
            return pl.lit(None, dtype=polars_type(cast.type))
        form = conversion(cast.input.type, cast.type)
        if form.fails is not None and cast.failing == "error":
            self._fail(form.fails(value), f"a value that is no {cast.type.text()}", guard)
        return form.polars(value)

    def _call(self, call: expressions.Call, guard: pl.Expr | None) -> pl.Expr:
        function, use = use_of(call)
        if function.lazy:
            return self._lazy(call, function, use, guard)
        arguments = [self.build(argument, guard) for argument in call.arguments]
        fails = None if function.fails is None else function.fails(use)
        if fails is not None:
            self._fail(fails(*arguments), function.failure, guard)
        form = form_of(call, lambda: function.polars(use))
        return form(*arguments)

    def _lazy(self, call: expressions.Call, function: Function, use: Signature, guard: pl.Expr | None) -> pl.Expr:
        first = self.build(call.arguments[0], guard)
        true = first.fill_null(False)
        reached = {"AND": [first.fill_null(True)], "OR": [true.not_()], "IF": [true, true.not_()]}[call.function]
        rest = [self.build(argument, _both(guard, where)) for argument, where in zip(call.arguments[1:], reached, strict=True)]
        return function.polars(use)(first, *rest)

    def _case(self, case: expressions.Case, guard: pl.Expr | None) -> pl.Expr:
        branches = []
        reached = guard
        for condition, value in case.branches:
            test = self.build(condition, reached)
            true = test.fill_null(False)
            branches.append((test, self.build(value, _both(reached, true))))
            reached = _both(reached, true.not_())
        found = self.build(case.otherwise, reached)
        for test, taken in reversed(branches):
            found = pl.when(test).then(taken).otherwise(found)
        return found


def _both(guard: pl.Expr | None, where: pl.Expr) -> pl.Expr:
    return where if guard is None else guard & where
