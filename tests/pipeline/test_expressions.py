"""Expressions are data: operators and methods build what they say, and what cannot be an expression says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from fluxline import Expr, coalesce, col, concat, count, functions, lit, types, when
from fluxline.errors import TypeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

a, b = col("a"), col("b")


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (a + 1, "(a + 1)"), (1 + a, "(1 + a)"), (a - 1, "(a - 1)"), (1 - a, "(1 - a)"), (a * 2, "(a * 2)"), (2 * a, "(2 * a)"),
        (a / 2, "TRUEDIV(a, 2)"), (2 / a, "TRUEDIV(2, a)"), (a // 2, "FLOORDIV(a, 2)"), (2 // a, "FLOORDIV(2, a)"), (a % 2, "FLOORMOD(a, 2)"),
        (2 % a, "FLOORMOD(2, a)"), (-a, "NEGATE(a)"),
        (a == 1, "(a = 1)"), (a != "x", "(a <> 'x')"), (a < b, "(a < b)"), (a <= b, "(a <= b)"), (a > b, "(a > b)"), (a >= b, "(a >= b)"),
        ((a > 1) & (b > 2), "((a > 1) AND (b > 2))"), ((a > 1) | (b > 2), "((a > 1) OR (b > 2))"), (~(a > 1), "NOT((a > 1))"),
        (True & (a > 1), "(True AND (a > 1))"), (False | (a > 1), "(False OR (a > 1))"),
        (a.is_null(), "IS NULL(a)"), (a.is_not_null(), "IS NOT NULL(a)"), (a.is_in([1, 2]), "IN(a, 1, 2)"), (a.is_in((b, 3)), "IN(a, b, 3)"),
        (a.is_between(1, b), "BETWEEN(a, 1, b)"), (a.is_true(), "IS TRUE(a)"), (a.is_false(), "IS FALSE(a)"),
        (a.alias("x"), "a AS x"), (a.cast(int), "CAST(a AS BIGINT)"), (a.try_cast("DECIMAL(5, 2)"), "TRY_CAST(a AS DECIMAL(5, 2))"),
        (a.avg(), "AVG(a)"), (a.sum(), "SUM(a)"), (a.min(), "MIN(a)"), (a.max(), "MAX(a)"), (a.count(), "COUNT(a)"), (count(), "COUNT(*)"),
        (a.sum().filter(b > 1), "SUM(a) FILTER (WHERE (b > 1))"), (count().filter(b == 1).alias("ones"), "COUNT(*) FILTER (WHERE (b = 1)) AS ones"),
        (a.str.upper(), "UPPER(a)"), (a.str.lower(), "LOWER(a)"), (a.str.trim(), "TRIM(a)"), (a.str.char_length(), "CHAR_LENGTH(a)"),
        (a.str.substring(2), "SUBSTRING(a, 2)"), (a.str.substring(2, 3), "SUBSTRING(a, 2, 3)"), (a.str.replace("x", "y"), "REPLACE(a, 'x', 'y')"),
        (a.str.like("%x_"), "LIKE(a, '%x_')"),
        (a.dt.year(), "YEAR(a)"), (a.dt.quarter(), "QUARTER(a)"), (a.dt.month(), "MONTH(a)"), (a.dt.day(), "DAYOFMONTH(a)"), (a.dt.hour(), "HOUR(a)"),
        (a.dt.minute(), "MINUTE(a)"), (a.dt.second(), "SECOND(a)"),
        (lit(None), "None"), (lit("text"), "'text'"), (lit(a), "a"), (coalesce(a, b, 0), "COALESCE(a, b, 0)"), (concat("x", a), "CONCAT('x', a)"),
        (when(a > 1).then("x").when(a > 0).then(b).otherwise(None), "CASE WHEN (a > 1) THEN 'x' WHEN (a > 0) THEN b ELSE None END"),
        (functions.abs(a), "ABS(a)"), (functions.to_timestamp_ltz(a, 3), "TO_TIMESTAMP_LTZ(a, 3)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_expression_is_what_was_written(expr: Expr, text: str) -> None:
    """Shown by its repr; a string inside is text."""
    assert repr(expr) == f"Expr({text})"


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (str, "STRING"), (bytes, "BYTES"), (datetime, "TIMESTAMP_LTZ(3)"), ("INT", "INT"),
        ("decimal(10, 2)", "DECIMAL(10, 2)"), ("ARRAY<INT NOT NULL>", "ARRAY<INT NOT NULL>"), (types.SMALLINT, "SMALLINT"),
        (types.DECIMAL(12, 2), "DECIMAL(12, 2)"), (types.TIMESTAMP(6), "TIMESTAMP(6)"), (Annotated[str, types.VARCHAR(5)], "VARCHAR(5)"),
        (list[int], "ARRAY<BIGINT NOT NULL>"),
    ],
)  # fmt: skip
def test_a_type_to_convert_to(declared: object, text: str) -> None:
    """A Python type, a Flink text, a type of `fluxline.types`."""
    assert repr(a.cast(declared)) == f"Expr(CAST(a AS {text}))"


def refused(call: Callable[[], Any]) -> TypeMismatch:
    """What is told, at this file's line."""
    with pytest.raises(TypeMismatch) as caught:
        call()
    assert caught.value.place is not None
    assert caught.value.place.file == __file__
    return caught.value


@pytest.mark.parametrize(
    "use",
    [
        lambda: bool(a > 1), lambda: not a, lambda: (a > 1) and (b > 1), lambda: (a > 1) or (b > 1), lambda: 1 < a < 5, lambda: 7 if a else 8,
        lambda: a in [1, 2], lambda: [x for x in [1] if a], lambda: any([a]), lambda: sorted([a, b]), lambda: max(a, b),
    ],
)  # fmt: skip
def test_no_truth_value(use: Callable[[], object]) -> None:
    """However Python asks for it."""
    error = refused(use)
    assert error.code == "FLX-2126"
    assert "& | ~" in error.hint


@pytest.mark.parametrize("use", [lambda: list(a), lambda: sum(a), lambda: [*a], lambda: dict(a)])
def test_no_elements(use: Callable[[], object]) -> None:
    """A column is not a sequence."""
    assert refused(use).fact == "an expression cannot be iterated"


def test_none_is_asked_for_by_name() -> None:
    """And the fix is in the message."""
    assert refused(lambda: a == None).hint == "Write .is_null()."  # noqa: E711
    assert refused(lambda: a != None).hint == "Write .is_not_null()."  # noqa: E711
    assert refused(lambda: None == a).hint == "Write .is_null()."  # noqa: E711, SIM300


def test_an_expression_can_be_a_key_of_a_dictionary() -> None:
    """By identity: equality is an expression."""
    found = {a: 1, b: 2}
    assert found[a] == 1
    assert len({a, b, a}) == 2


def test_col_takes_a_name() -> None:
    """Nothing else."""
    for name in (5, None, ["a"], a):
        assert refused(lambda name=name: col(name)).code == "FLX-2129"  # type: ignore[misc]  # binds the loop's value


def test_a_filter_stands_behind_one_aggregate() -> None:
    """Not behind a value, nor twice."""
    assert refused(lambda: a.filter(b > 1)).code == "FLX-2128"
    assert refused(lambda: a.sum().filter(b > 1).filter(b > 2)).code == "FLX-2128"


def test_a_name_is_a_text() -> None:
    """An empty one is none."""
    assert refused(lambda: a.alias("")).code == "FLX-2129"
    assert refused(lambda: a.alias(5)).fact == "5 cannot be the name of a column"  # type: ignore[arg-type]  # the mistake


def test_a_list_of_values_is_a_list() -> None:
    """A text would be its letters."""
    assert refused(lambda: a.is_in("abc")).code == "FLX-2122"
    assert refused(lambda: a.is_in(5)).code == "FLX-2122"  # type: ignore[arg-type]  # the mistake


def test_an_unfinished_case_is_no_value() -> None:
    """Wherever a value is taken."""
    unfinished: Any = when(a > 1).then(2)
    assert refused(lambda: a + unfinished).hint == "End it with .otherwise(...); .otherwise(None) gives NULL."
    assert refused(lambda: coalesce(unfinished, 1)).code == "FLX-2113"


def test_constants_keep_their_values() -> None:
    """Of every kind that has a type."""
    for value in (True, 1, 2.5, "x", b"x", Decimal("1.20"), AT, AT.date(), AT.time(), None, timedelta(1)):
        assert repr(lit(value)) == f"Expr({value!r})"


AT = datetime(2024, 6, 7, 12, tzinfo=UTC)
