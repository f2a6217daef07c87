"""What happens to an expression before it is compiled: NOT moves inwards, and what has no columns is computed once.

`NOT (a < b)` becomes `a >= b`, and NOT over AND and OR moves to their arguments, because Flink does so. It makes a difference
for NaN alone, of which both `a < b` and `a >= b` are FALSE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxline.engines.embedded.expressions.constants import is_plain, value_of
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Expression, children

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
TURNED = {"AND": "OR", "OR": "AND"}


def normal_form(expression: Expression, evaluate: Callable[[Expression], tuple[pl.Series, bool]]) -> Expression:
    """The expression with NOT moved inwards and constant parts computed.

    Args:
        expression: as the planner bound it.
        evaluate: gives the value of an expression without columns, in one row, and whether it failed.
    """
    if isinstance(expression, Call):
        if expression.function == "NOT":
            turned = _turned(expression.arguments[0])
            if turned is not None:
                return normal_form(turned, evaluate)
        arguments = tuple(normal_form(part, evaluate) for part in expression.arguments)
        return _folded(replace(expression, arguments=arguments), evaluate)
    if isinstance(expression, Cast):
        return _folded(replace(expression, input=normal_form(expression.input, evaluate)), evaluate)
    if isinstance(expression, Case):
        branches = tuple((normal_form(condition, evaluate), normal_form(value, evaluate)) for condition, value in expression.branches)
        return _folded(replace(expression, branches=branches, otherwise=normal_form(expression.otherwise, evaluate)), evaluate)
    return expression


def _turned(condition: Expression) -> Expression | None:
    """The opposite of a condition, if NOT moves into it."""
    if not isinstance(condition, Call):
        return None
    if condition.function in OPPOSITE:
        return replace(condition, function=OPPOSITE[condition.function])
    if condition.function in TURNED:
        arguments = tuple(_turned(part) or Call("NOT", (part,), part.type) for part in condition.arguments)
        return replace(condition, function=TURNED[condition.function], arguments=arguments)
    return None


def _folded(expression: Expression, evaluate: Callable[[Expression], tuple[pl.Series, bool]]) -> Expression:
    if not is_plain(expression.type) or not all(isinstance(part, Constant) for part in children(expression)):
        return expression
    value, failed = evaluate(expression)
    # A failure belongs to the rows, so that they are rejected one by one, with their reason.
    return expression if failed else Constant(value_of(value, expression.type), expression.type)


def without_columns(expression: Expression) -> bool:
    """Whether the expression has the same value in every row."""
    return not isinstance(expression, Column) and all(without_columns(part) for part in children(expression))
