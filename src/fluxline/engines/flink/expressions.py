"""Expressions of a plan as terms of Flink SQL."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from typing import TYPE_CHECKING

from fluxline.dialect import tree
from fluxline.errors import UnsupportedByEngine
from fluxline.library import find_aggregate, find_function
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant
from fluxline.schema import INTEGER_BITS

if TYPE_CHECKING:
    from fluxline.plan.expressions import Expression, Measure


LITERAL_DIGITS = 18


def to_term(expression: Expression) -> tree.Term:
    """The expression in Flink's words.

    Raises:
        UnsupportedByEngine: FLX-2653, Flink has no such function or constant.
    """
    return _term(expression)


def measure_term(measure: Measure) -> tree.Term:
    """An aggregate in Flink's words."""
    arguments = () if measure.argument is None else (to_term(measure.argument),)
    where = None if measure.where is None else to_term(measure.where)
    return tree.Function(find_aggregate(measure.function).flink, arguments, where)


def spell(flink: str, arguments: tuple[tree.Term, ...]) -> tree.Term:
    """A word of the dictionary by its Flink spelling: a name, or a text with places for the arguments."""
    return tree.Spelled(flink, arguments) if "{" in flink else tree.Function(flink, arguments)


@singledispatch
def _term(expression: Expression) -> tree.Term:
    raise AssertionError(f"no Flink form of {type(expression).__name__}")


@_term.register
def _(expression: Column) -> tree.Term:
    return tree.Name(expression.name)


@_term.register
def _(expression: Call) -> tree.Term:
    function = find_function(expression.function)
    if function.flink is None:
        raise UnsupportedByEngine("FLX-2653", f'Flink has no function "{function.name}"', hint="Run the pipeline on the embedded engine.")
    whole = function.flink_integers is not None and all(argument.type.root in INTEGER_BITS for argument in expression.arguments)
    spelling = function.flink_integers if whole and function.flink_integers is not None else function.flink
    terms = [to_term(argument) for argument in expression.arguments]
    for number in (int(found) for found in re.findall(r"\{(\d+)!\}", spelling)):
        keyword = expression.arguments[number]
        assert isinstance(keyword, Constant) and isinstance(keyword.value, str) and keyword.value.isalpha(), "a keyword is a word"
        terms[number] = tree.Verbatim(keyword.value.upper())
    spelled = spell(spelling.replace("!}", "}"), tuple(terms))
    # What is made of several operators has more digits than the function: each of them adds some.
    composed = function.flink_integers is not None and expression.type.root == "DECIMAL"
    return tree.CastTo(spelled, expression.type) if composed else spelled


@_term.register
def _(expression: Cast) -> tree.Term:
    return tree.CastTo(to_term(expression.input), expression.type, expression.failing == "null")


@_term.register
def _(expression: Case) -> tree.Term:
    branches = tuple((to_term(condition), to_term(value)) for condition, value in expression.branches)
    return tree.CaseOf(branches, to_term(expression.otherwise))


@_term.register
def _(expression: Constant) -> tree.Term:
    literal, own = _literal(expression)
    # A literal has its own type in Flink: 1 is INT, 1.5 DECIMAL(2, 1), a text CHAR of its length.
    return literal if own == expression.type.text() else tree.CastTo(literal, expression.type)


def _literal(constant: Constant) -> tuple[tree.Term, str]:
    """The literal, and the type that Flink gives it, as far as it is known."""
    value = constant.value
    if value is None:
        return tree.Verbatim("NULL"), "NULL"
    if isinstance(value, bool):
        return tree.Verbatim("TRUE" if value else "FALSE"), "BOOLEAN"
    if isinstance(value, int):
        if value == -(2**63):  # The minus is an operator, and the number behind it is too large for a BIGINT.
            return tree.Text(str(value)), ""
        return tree.Verbatim(str(value)), "INT" if -(2**31) <= value < 2**31 else "BIGINT"
    if isinstance(value, float):
        if not math.isfinite(value):
            # Flink has no literal of these; it reads them from a text.
            return tree.Text({"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[repr(value)]), ""
        if value == 0 and math.copysign(1, value) < 0:
            raise UnsupportedByEngine("FLX-2653", "Flink has no literal of -0.0", hint="Write 0.0.")
        return tree.Verbatim(_scientific(value)), "DOUBLE"
    if isinstance(value, Decimal):
        # A literal of more digits than a BIGINT has is refused.
        return (tree.Verbatim if len(value.as_tuple().digits) <= LITERAL_DIGITS else tree.Text)(f"{value:f}"), ""
    if isinstance(value, str):
        return tree.Text(value), f"CHAR({len(value)})"
    if isinstance(value, bytes):
        return tree.Text(value.hex(), "x"), ""
    if isinstance(value, datetime):
        # The session's time zone is UTC: a cast to TIMESTAMP_LTZ takes this text for UTC.
        local = value if value.tzinfo is None else value.astimezone(UTC)
        return tree.Text(local.replace(tzinfo=None).isoformat(" "), "TIMESTAMP"), ""
    if isinstance(value, date):
        return tree.Text(value.isoformat(), "DATE"), "DATE"
    if isinstance(value, time):
        return tree.Text(value.isoformat(), "TIME"), ""
    if isinstance(value, timedelta):
        return tree.Interval(value // timedelta(milliseconds=1)), constant.type.text()
    raise UnsupportedByEngine("FLX-2653", f"Flink has no literal of {constant.type.text()}", hint="Compute the value from columns.")


def _scientific(value: float) -> str:
    """A floating-point literal; without an exponent it would be a DECIMAL."""
    text = repr(value).upper()
    return text if "E" in text else f"{text}E0"
