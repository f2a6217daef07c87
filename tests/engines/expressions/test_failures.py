"""Which rows fail, and which do not because the failing part is not evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fluxline.engines.embedded.expressions import compile_expression, compile_predicate, compile_projection
from fluxline.engines.embedded.expressions.compile import has_numpy_form
from tests.library.expressions import Operand, call, case, cast, table

if TYPE_CHECKING:
    from fluxline.plan.expressions import Expression

ROWS = table(a=("INT", [8, 8, 0, None]), b=("INT", [2, 0, 0, 0]), flag=("BOOLEAN", [True, False, None, None]), text=("STRING", ["5", "x", "7", "y"]))
A, B, FLAG, TEXT = (ROWS.col(name) for name in ("a", "b", "flag", "text"))
QUOTIENT = call("/", A, B)
WHOLE = call(">", QUOTIENT, 0)


def failing(expression: Expression) -> list[bool]:
    """The rows that fail, which both forms must agree on."""
    _, failed = ROWS.evaluate_in_polars(expression)
    assert ROWS.evaluate(expression)[1] == failed
    return failed


@pytest.mark.parametrize(
    ("expression", "failed"),
    [
        (QUOTIENT, [False, True, True, False]),
        (call("+", QUOTIENT, 1), [False, True, True, False]),
        (WHOLE, [False, True, True, False]),
        # AND does not evaluate its right side where the left one is FALSE; where it is NULL it does.
        (call("AND", FLAG, WHOLE), [False, False, True, False]),
        (call("AND", WHOLE, FLAG), [False, True, True, False]),
        (call("OR", FLAG, WHOLE), [False, True, True, False]),
        (call("OR", call("=", B, 0), WHOLE), [False, False, False, False]),
        (call("IF", call("<>", B, 0), QUOTIENT, 0), [False, False, False, False]),
        (call("IF", FLAG, 0, QUOTIENT), [False, True, True, False]),
        (call("IF", WHOLE, 1, 2), [False, True, True, False]),
        (case((call("<>", B, 0), QUOTIENT), otherwise=-1), [False, False, False, False]),
        (case((call("=", B, 0), 1), otherwise=QUOTIENT), [False, False, False, False]),
        (case((FLAG, 1), (WHOLE, 2), otherwise=3), [False, True, True, False]),
        (case((call("=", B, 0), 1), (WHOLE, 2), otherwise=3), [False, False, False, False]),
        (case((FLAG, QUOTIENT), otherwise=0), [False, False, False, False]),
        # COALESCE, IFNULL and NULLIF evaluate all their arguments, as in Flink.
        (call("COALESCE", A, QUOTIENT), [False, True, True, False]),
        (call("IFNULL", A, QUOTIENT), [False, True, True, False]),
        (call("NULLIF", A, QUOTIENT), [False, True, True, False]),
        # A failure in a failing row's arguments is one failure; NULL never fails.
        (call("/", QUOTIENT, B), [False, True, True, False]),
        (call("IS NULL", QUOTIENT), [False, True, True, False]),
    ],
)  # fmt: skip
def test_what_is_evaluated_fails_and_what_is_not_does_not(expression: Expression, failed: list[bool]) -> None:
    assert has_numpy_form(expression)
    assert failing(expression) == failed


@pytest.mark.parametrize(
    ("expression", "values", "failed"),
    [
        (cast(TEXT, "INT"), [5, None, 7, None], [False, True, False, True]),
        (cast(TEXT, "INT", null=True), [5, None, 7, None], [False] * 4),
        (case((FLAG, cast(TEXT, "INT")), otherwise=0), [5, 0, 0, 0], [False] * 4),
        (call("AND", FLAG, call(">", cast(TEXT, "INT"), 4)), [True, False, None, None], [False, False, False, True]),
        (call("/", cast(TEXT, "INT"), B), [2, None, None, None], [False, True, True, True]),
    ],
)  # fmt: skip
def test_a_conversion_fails_only_where_it_is_evaluated(expression: Expression, values: list[Any], failed: list[bool]) -> None:
    assert not has_numpy_form(expression)
    assert ROWS.evaluate(expression) == (values, failed)


def test_a_constant_that_fails_fails_every_row_and_none_of_no_rows() -> None:
    for expression in (call("/", 1, 0), cast("x", "INT")):
        assert ROWS.evaluate(expression) == ([None] * 4, [True] * 4)
    assert ROWS.evaluate(case((call("=", B, 0), 1), otherwise=call("/", 1, 0))) == ([None, 1, 1, 1], [True, False, False, False])


def test_the_detail_says_what_failed() -> None:
    def detail(expression: Expression) -> str:
        return compile_expression(expression, ROWS.schema).evaluate(ROWS.batch).detail

    assert detail(QUOTIENT) == "Division by zero."
    assert detail(cast(TEXT, "INT")) == "A value that is no INT."
    assert detail(call("/", cast(TEXT, "INT"), B)) == "A value that is no INT or division by zero."
    assert detail(A) == ""
    assert detail(call("/", A, 2)) == ""


def test_no_mask_is_made_where_nothing_failed() -> None:
    fine = ROWS.batch.slice(0, 1)
    assert compile_expression(QUOTIENT, ROWS.schema).evaluate(fine).failed is None
    assert compile_expression(cast(TEXT, "INT"), ROWS.schema).evaluate(fine).failed is None


@pytest.mark.parametrize("condition", [WHOLE, call("AND", call("LIKE", TEXT, "%"), WHOLE)])
def test_a_predicate_keeps_what_is_true_and_no_row_that_failed(condition: Expression) -> None:
    keep, failed, detail = compile_predicate(condition, ROWS.schema).evaluate(ROWS.batch)
    assert keep.tolist() == [True, False, False, False]
    assert failed is not None
    assert failed.tolist() == [False, True, True, False]
    assert detail == "Division by zero."


def test_a_projection_rejects_a_row_for_any_of_its_columns() -> None:
    columns: list[tuple[str, Expression]] = [
        ("q", QUOTIENT),
        ("n", cast(TEXT, "INT")),
        ("a", A),
        ("one", call("+", 0, 1)),
        ("said", call("CONCAT", "is ", TEXT)),
        ("word", call("UPPER", "w")),
    ]
    found, failed, _ = compile_projection(columns, ROWS.schema).evaluate(ROWS.batch)
    assert list(found) == ["q", "n", "a", "one", "said", "word"]
    assert failed is not None
    assert failed.tolist() == [False, True, True, True]
    assert found["a"] is ROWS.batch.columns["a"]
    assert found["one"].series().to_list() == [1, 1, 1, 1]
    assert found["said"].series().to_list() == ["is 5", "is x", "is 7", "is y"]
    assert found["word"].series().to_list() == ["W"] * 4
    assert found["q"].values.dtype == np.int32


def test_a_result_may_be_called_like_a_column_that_another_reads() -> None:
    columns: list[tuple[str, Expression]] = [("text", call("UPPER", TEXT)), ("a", call("CHAR_LENGTH", TEXT)), ("b", A)]
    found, failed, _ = compile_projection(columns, ROWS.schema).evaluate(ROWS.batch)
    assert failed is None
    assert {name: column.series().to_list() for name, column in found.items()} == {
        "text": ["5", "X", "7", "Y"],
        "a": [1, 1, 1, 1],
        "b": [8, 8, 0, None],
    }


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "x", b"x"])
def test_a_constant_stands_in_every_row(value: Operand) -> None:
    expression = cast(value, "INT") if value is None else call("COALESCE", value)
    assert ROWS.evaluate(expression) == ([value] * 4, [False] * 4)


def test_a_column_that_is_not_there_is_noticed_when_compiling() -> None:
    other = table(x=("INT", [1]))
    with pytest.raises(AssertionError, match='column "a"'):
        compile_expression(A, other.schema)
