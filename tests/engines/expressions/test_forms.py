"""The numpy form and the Polars form of every function give the same, on random columns with NULLs; and so does DuckDB where SQL agrees."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxline.engines.embedded.expressions.compile import has_numpy_form
from fluxline.errors import UnsupportedByEngine
from fluxline.library import FUNCTIONS
from fluxline.library.function import ArgumentMismatch
from tests.library.expressions import Table, call, case, cast, table

if TYPE_CHECKING:
    from fluxline.plan.expressions import Call, Expression

INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
KINDS = [*INTEGERS, "FLOAT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP(3)", "TIMESTAMP(6)"]


def drawn(random: Random, kind: str, rows: int) -> list[Any]:
    """Values of a type, with NULLs and with the ones at its ends."""

    def one() -> Any:
        if random.random() < 0.15:
            return None
        if kind in INTEGERS:
            bits = INTEGERS[kind]
            return random.choice([0, 1, -1, 2, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, random.randrange(-100, 100)])
        if kind in ("FLOAT", "DOUBLE"):
            return random.choice([0.0, -0.0, 1.5, -2.5, math.nan, math.inf, -math.inf, 0.5, random.randrange(-1000, 1000) / 8])
        if kind == "BOOLEAN":
            return random.random() < 0.5
        return random.randrange(-(10**5), 10**5) * (1 if kind == "DATE" else 86_399_123)

    return [one() for _ in range(rows)]


def columns(seed: str, rows: int = 200) -> Table:
    """Two columns of every type that has a numpy form."""
    random = Random(seed)
    made = {}
    for kind in KINDS:
        for side in ("l", "r"):
            made[f"{side}_{kind}"] = (kind, drawn(random, kind, rows))
    return table(**made)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


def agree(made: Table, expression: Expression) -> None:
    ours, failed = made.evaluate(expression)
    others, others_failed = made.evaluate_in_polars(expression)
    assert failed == others_failed
    different = [(index, one, other) for index, (one, other) in enumerate(zip(ours, others, strict=True)) if not same(one, other)]
    assert different == []


def calls(made: Table, name: str) -> list[Call]:
    """Calls of a function with one to three columns, of all pairs of types that fit."""
    function = FUNCTIONS[name]
    found: list[Call] = []
    for left in KINDS:
        for right in KINDS:
            for arguments in (
                [made.col(f"l_{left}")],
                [made.col(f"l_{left}"), made.col(f"r_{right}")],
                [made.col(f"l_{left}"), made.col(f"r_{right}"), made.col(f"l_{right}")],
                [made.col("l_BOOLEAN"), made.col(f"l_{left}"), made.col(f"r_{right}")],
                [made.col(f"l_{left}"), *(function.example[0][position] for position in function.constant[:1])],
            ):
                try:
                    expression = call(name, *arguments)
                except (ArgumentMismatch, UnsupportedByEngine):
                    continue
                if expression not in found:
                    found.append(expression)
    return [expression for expression in found if has_numpy_form(expression)]


@pytest.mark.parametrize("name", sorted(name for name, function in FUNCTIONS.items() if function.numpy is not None))
def test_both_forms_of_a_function_agree(name: str) -> None:
    made = columns(name)
    expressions = calls(made, name)
    assert expressions, f"no call of {name} was tried"
    for expression in expressions:
        agree(made, expression)


@pytest.mark.parametrize("source", KINDS)
def test_both_forms_of_a_conversion_agree(source: str) -> None:
    made = columns(source)
    tried = 0
    for target in [*KINDS, "TIMESTAMP(0)", "TIMESTAMP(1)", "TIMESTAMP_LTZ(3)"]:
        try:
            expression = cast(made.col(f"l_{source}"), target)
            if not has_numpy_form(expression):
                continue
        except AssertionError:
            continue
        agree(made, expression)
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize("items", [(7,), tuple(range(-20, 20, 3)), (*range(12), None)])
def test_a_list_of_any_length_is_searched_alike(items: tuple[int | None, ...]) -> None:
    made = columns("IN")
    for kind in ("INT", "DOUBLE", "TINYINT"):
        numbers = made.col(f"l_{kind}")
        expression = call("IN", numbers, *items)
        agree(made, expression)
        wanted = [
            None if value is None else True if value in [item for item in items if item is not None] else None if None in items else False
            for value in made.evaluate(numbers)[0]
        ]
        assert made.evaluate(expression)[0] == wanted


@given(st.integers(0, 2**32))
def test_nested_conditions_agree(seed: int) -> None:
    random = Random(seed)
    made = table(
        x=("INT", drawn(random, "INT", 30)), y=("DOUBLE", [random.choice([None, 1.0, 1.5, 2.5]) for _ in range(30)]),
        p=("BOOLEAN", drawn(random, "BOOLEAN", 30)),
        q=("BOOLEAN", drawn(random, "BOOLEAN", 30)),
    )  # fmt: skip

    def condition(depth: int) -> Expression:
        if depth == 0 or random.random() < 0.2:
            whole = call("=", call("/", 100, made.col("x")), 50)
            simple: list[Expression] = [made.col("p"), made.col("q"), call(">", made.col("x"), 1), call("<=", made.col("y"), 1.5), whole]
            return random.choice(simple)
        word = random.choice(["AND", "OR", "NOT", "IS TRUE", "IS NOT FALSE", "CASE", "IN"])
        if word == "CASE":
            return case((condition(depth - 1), condition(depth - 1)), (condition(depth - 1), made.col("p")), otherwise=condition(depth - 1))
        if word == "IN":
            return call("IN", made.col("x"), random.choice([1, None]), 2, -1)
        return call(word, *(condition(depth - 1) for _ in range(2 if word in ("AND", "OR") else 1)))

    agree(made, condition(3))


DUCK = table(
    i=("INT", [7, -7, None, 0, 123456]), j=("INT", [2, 3, 4, None, -5]), d=("DOUBLE", [1.5, -2.5, None, 0.0, 1e10]),
    s=("STRING", ["abc", "", None, "a%b", "Äöü"]),
    m=("DECIMAL(10, 2)", [1, None, 3, 4, 5]), p=("BOOLEAN", [True, False, None, True, None]), q=("BOOLEAN", [None, None, None, True, False]),
)  # fmt: skip


class Arrow:
    """A frame that shows DuckDB nothing but Arrow memory."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    ("sql", "expression"),
    [
        ("i + j", call("+", DUCK.col("i"), DUCK.col("j"))),
        ("i * j - i", call("-", call("*", DUCK.col("i"), DUCK.col("j")), DUCK.col("i"))),
        ("i // j", call("/", DUCK.col("i"), DUCK.col("j"))),
        ("i % j", call("%", DUCK.col("i"), DUCK.col("j"))),
        ("p AND q", call("AND", DUCK.col("p"), DUCK.col("q"))),
        ("p OR q", call("OR", DUCK.col("p"), DUCK.col("q"))),
        ("NOT p", call("NOT", DUCK.col("p"))),
        ("i > j", call(">", DUCK.col("i"), DUCK.col("j"))),
        ("i IS DISTINCT FROM j", call("IS DISTINCT FROM", DUCK.col("i"), DUCK.col("j"))),
        ("i BETWEEN -7 AND j", call("BETWEEN", DUCK.col("i"), -7, DUCK.col("j"))),
        ("i IN (7, NULL, 0)", call("IN", DUCK.col("i"), 7, None, 0)),
        ("coalesce(i, j, 1)", call("COALESCE", DUCK.col("i"), DUCK.col("j"), 1)),
        ("nullif(i, -7)", call("NULLIF", DUCK.col("i"), -7)),
        ("CASE WHEN p THEN i WHEN q THEN j ELSE 0 END", case((DUCK.col("p"), DUCK.col("i")), (DUCK.col("q"), DUCK.col("j")), otherwise=0)),
        ("upper(s)", call("UPPER", DUCK.col("s"))),
        ("length(s)", call("CHAR_LENGTH", DUCK.col("s"))),
        ("s LIKE 'a%'", call("LIKE", DUCK.col("s"), "a%")),
        ("s LIKE '_öü'", call("LIKE", DUCK.col("s"), "_öü")),
        ("substring(s, 2)", call("SUBSTRING", DUCK.col("s"), 2)),
        ("replace(s, 'a', 'xy')", call("REPLACE", DUCK.col("s"), "a", "xy")),
        ("position('b' IN s)", call("POSITION", "b", DUCK.col("s"))),
        ("s || '!'", call("||", DUCK.col("s"), "!")),
        ("concat_ws('-', s, 'x', NULL)", call("CONCAT_WS", "-", DUCK.col("s"), "x", None)),
        ("d * 2 + 1", call("+", call("*", DUCK.col("d"), 2), 1)),
        ("floor(d)", call("FLOOR", DUCK.col("d"))),
        ("abs(d)", call("ABS", DUCK.col("d"))),
        ("m + m", call("+", DUCK.col("m"), DUCK.col("m"))),
        ("m * m", call("*", DUCK.col("m"), DUCK.col("m"))),
        ("m > 3", call(">", DUCK.col("m"), 3)),
    ],
)  # fmt: skip
def test_duckdb_gives_the_same_where_its_sql_means_the_same(sql: str, expression: Expression) -> None:
    connection = duckdb.connect()
    connection.register("t", Arrow(DUCK.batch.polars()))
    wanted = [row[0] for row in connection.sql(f"SELECT {sql} FROM t").fetchall()]
    assert DUCK.evaluate(expression) == (wanted, [False] * 5)
