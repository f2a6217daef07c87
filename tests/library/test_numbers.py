"""Arithmetic, comparison and functions of numbers, against what Apache Flink 2.3 gave for the same calls."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from random import Random
from typing import Any

import numpy as np
import pytest

from fluxline.library.function import ArgumentMismatch
from fluxline.library.mathematics import rounded_numbers
from tests.library.expressions import Operand, call, cast, table

NAN, INF = math.nan, math.inf
NUMBERS = table(
    i=("INT", [7, -7]), b=("BIGINT", [2, 3]), d=("DOUBLE", [2.5, 0.0]), f=("FLOAT", [1.5, 0.0]), ti=("TINYINT", [127, -128]),
    si=("SMALLINT", [32767, None]), de=("DECIMAL(10, 2)", [Decimal("12.34"), Decimal("-0.05")]),
    dl=("DECIMAL(38, 18)", [Decimal("1.5"), Decimal("-123456789012.123")]), d4=("DECIMAL(20, 10)", [Decimal("2.5"), Decimal("-0.0000000001")]),
    bo=("BOOLEAN", [True, None]),
)  # fmt: skip
N, B, D, F, TI, SI, DE, DL, D4 = (NUMBERS.col(name) for name in ("i", "b", "d", "f", "ti", "si", "de", "dl", "d4"))


def exact(text: str) -> Decimal:
    return Decimal(text)


CASES: list[tuple[str, tuple[Operand, ...], str, list[Any]]] = [
    ("+", (N, B), "BIGINT", [9, -4]),
    ("+", (N, 2147483647), "INT", [-2147483642, 2147483640]),
    ("+", (TI, cast(1, "TINYINT")), "TINYINT", [-128, -127]),
    ("*", (TI, SI), "SMALLINT", [32641, None]),
    ("/", (N, 2), "INT", [3, -3]),
    ("/", (N, B), "BIGINT", [3, -2]),
    ("%", (N, 3), "INT", [1, -1]),
    ("%", (B, N), "INT", [2, 3]),
    ("%", (N, cast(2, "TINYINT")), "TINYINT", [1, -1]),
    ("MOD", (DE, 3), "DECIMAL(10, 2)", [exact("0.34"), exact("-0.05")]),
    ("MOD", (N, Decimal("3.5")), "DECIMAL(2, 1)", [exact("0.0"), exact("0.0")]),
    ("+", (DE, DE), "DECIMAL(11, 2)", [exact("24.68"), exact("-0.10")]),
    ("+", (DE, D4), "DECIMAL(21, 10)", [exact("14.84"), exact("-0.0500000001")]),
    ("*", (DE, D4), "DECIMAL(31, 12)", [exact("30.85"), exact("0.000000000005")]),
    ("*", (D4, D4), "DECIMAL(38, 17)", [exact("6.25"), exact("0")]),
    ("/", (D4, DE), "DECIMAL(33, 21)", [exact("0.202593192868719611021"), exact("0.000000002000000000000")]),
    ("/", (DE, DE), "DECIMAL(23, 13)", [exact("1"), exact("1")]),
    ("*", (DL, DL), "DECIMAL(38, 6)", [exact("2.250000"), exact("15241578753183854306240.967129")]),
    ("+", (DL, DL), "DECIMAL(38, 17)", [exact("3"), exact("-246913578024.246")]),
    ("/", (DL, DL), "DECIMAL(38, 6)", [exact("1"), exact("1")]),
    ("/", (N, DE), "DECIMAL(23, 11)", [exact("0.56726094003"), exact("140")]),
    ("/", (DE, N), "DECIMAL(21, 13)", [exact("1.7628571428571"), exact("0.0071428571429")]),
    ("+", (DE, N), "DECIMAL(13, 2)", [exact("19.34"), exact("-7.05")]),
    ("+", (DE, B), "DECIMAL(22, 2)", [exact("14.34"), exact("2.95")]),
    ("*", (DE, B), "DECIMAL(30, 2)", [exact("24.68"), exact("-0.15")]),
    ("+", (DE, TI), "DECIMAL(11, 2)", [exact("139.34"), exact("-128.05")]),
    ("/", (Decimal("1.0"), N), "DECIMAL(13, 12)", [exact("0.142857142857"), exact("-0.142857142857")]),
    ("+", (DE, D), "DOUBLE", [14.84, -0.05]),
    ("*", (DE, F), "DOUBLE", [18.509999999999998, -0.0]),
    ("+", (D, F), "DOUBLE", [4.0, 0.0]),
    ("+", (N, F), "FLOAT", [8.5, -7.0]),
    ("/", (N, D), "DOUBLE", [2.8, -INF]),
    ("TRUEDIV", (N, B), "DOUBLE", [3.5, -7 / 3]),
    ("FLOORDIV", (N, B), "BIGINT", [3, -3]),
    ("FLOORMOD", (N, B), "BIGINT", [1, 2]),
    ("FLOORMOD", (DE, Decimal("-5")), "DECIMAL(3, 2)", [exact("-2.66"), exact("-0.05")]),
    ("FLOORDIV", (D, 2), "DOUBLE", [1.0, 0.0]),
    ("FLOORMOD", (D, -2), "DOUBLE", [-1.5, 0.0]),
    ("NEGATE", (DE,), "DECIMAL(10, 2)", [exact("-12.34"), exact("0.05")]),
    ("NEGATE", (TI,), "TINYINT", [-127, -128]),
    ("ABS", (N,), "INT", [7, 7]),
    ("ABS", (TI,), "TINYINT", [127, -128]),
    ("ABS", (DE,), "DECIMAL(10, 2)", [exact("12.34"), exact("0.05")]),
    ("CEIL", (DE,), "DECIMAL(10, 0)", [exact("13"), exact("0")]),
    ("FLOOR", (DE,), "DECIMAL(10, 0)", [exact("12"), exact("-1")]),
    ("CEIL", (D,), "DOUBLE", [3.0, 0.0]),
    ("CEIL", (F,), "FLOAT", [2.0, 0.0]),
    ("CEIL", (N,), "INT", [7, -7]),
    ("ROUND", (DE, 1), "DECIMAL(10, 1)", [exact("12.3"), exact("-0.1")]),
    ("ROUND", (DE, 0), "DECIMAL(9, 0)", [exact("12"), exact("0")]),
    ("ROUND", (DE,), "DECIMAL(9, 0)", [exact("12"), exact("0")]),
    ("ROUND", (DE, -1), "DECIMAL(9, 0)", [exact("10"), exact("0")]),
    ("ROUND", (DE, 5), "DECIMAL(10, 2)", [exact("12.34"), exact("-0.05")]),
    ("ROUND", (DL, 2), "DECIMAL(23, 2)", [exact("1.50"), exact("-123456789012.12")]),
    ("ROUND", (D, 1), "DOUBLE", [2.5, 0.0]),
    ("ROUND", (D,), "DOUBLE", [3.0, 0.0]),
    ("ROUND", (N, -1), "INT", [10, -10]),
    ("ROUND", (B, -1), "BIGINT", [0, 0]),
    ("POWER", (N, 2), "DOUBLE", [49.0, 49.0]),
    ("SQRT", (D,), "DOUBLE", [1.5811388300841898, 0.0]),
    ("SIGN", (N,), "INT", [1, -1]),
    ("SIGN", (DE,), "DECIMAL(10, 2)", [exact("1.00"), exact("-1.00")]),
    ("SIGN", (F,), "FLOAT", [1.0, 0.0]),
    ("GREATEST", (N, 3), "INT", [7, 3]),
    ("GREATEST", (N, B), "BIGINT", [7, 3]),
    ("GREATEST", (DE, N), "DECIMAL(12, 2)", [exact("12.34"), exact("-0.05")]),
    ("GREATEST", (DE, D4), "DECIMAL(20, 10)", [exact("12.34"), exact("-0.0000000001")]),
    ("LEAST", (N, cast(None, "INT")), "INT", [None, None]),
    ("COALESCE", (SI, N), "INT", [32767, -7]),
    ("COALESCE", (DE, N), "DECIMAL(12, 2)", [exact("12.34"), exact("-0.05")]),
    ("NULLIF", (N, 7), "INT", [None, -7]),
    ("IF", (call(">", N, 0), N, B), "BIGINT", [7, 3]),
    ("=", (N, D), "BOOLEAN", [False, False]),
    ("=", (N, DE), "BOOLEAN", [False, False]),
    ("IS DISTINCT FROM", (SI, SI), "BOOLEAN", [False, False]),
    ("IS NOT DISTINCT FROM", (N, B), "BOOLEAN", [False, False]),
    ("BETWEEN", (N, 1, 8), "BOOLEAN", [True, False]),
    ("IN", (N, 1, 7, None), "BOOLEAN", [True, None]),
    ("IN", (N, 1, Decimal("7.0")), "BOOLEAN", [True, False]),
    ("IS TRUE", (NUMBERS.col("bo"),), "BOOLEAN", [True, False]),
    ("IS NOT FALSE", (NUMBERS.col("bo"),), "BOOLEAN", [True, True]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "kind", "results"), CASES)
def test_a_call_has_the_type_and_values_of_flink(name: str, arguments: tuple[Operand, ...], kind: str, results: list[Any]) -> None:
    expression = call(name, *arguments)
    assert expression.type.text() == kind
    assert NUMBERS.evaluate(expression) == (results, [False, False])
    assert NUMBERS.evaluate_in_polars(expression) == (results, [False, False])


SPECIAL = table(
    a=("DOUBLE", [NAN, NAN, 1.0, -0.0, 16777216.0]), b=("DOUBLE", [NAN, 1.0, NAN, 0.0, 0.1]), f=("FLOAT", [NAN, NAN, 1.0, -0.0, 16777216.0]),
    g=("FLOAT", [NAN, 1.0, NAN, 0.0, 0.1]), i=("INT", [1, 2, 16777217, 0, 16777217]), de=("DECIMAL(10, 2)", [1, 1, 16777217, 0, Decimal("0.1")]),
)  # fmt: skip
A, SB, SF, SG, SI2, SDE = (SPECIAL.col(name) for name in ("a", "b", "f", "g", "i", "de"))


@pytest.mark.parametrize(
    ("name", "arguments", "results"),
    [
        ("=", (A, SB), [False, False, False, True, False]),
        ("<>", (A, SB), [True, True, True, False, True]),
        ("<", (A, SB), [False, False, False, False, False]),
        ("<=", (A, SB), [False, False, False, True, False]),
        (">", (A, SB), [False, False, False, False, True]),
        (">=", (A, SB), [False, False, False, True, True]),
        ("IS DISTINCT FROM", (A, SB), [True, True, True, False, True]),
        ("IS NOT DISTINCT FROM", (A, SB), [False, False, False, True, False]),
        ("BETWEEN", (A, SB, SB), [False, False, False, True, False]),
        ("IN", (A, SB, 3), [False, False, False, True, False]),
        ("NOT", (call("<", A, SB),), [False, False, False, True, True]),
        ("NOT", (call("AND", call("<", A, SB), call(">", SI2, 0)),), [False, False, False, True, True]),
        ("NOT", (call("=", A, SB),), [True, True, True, False, True]),
        ("IS FALSE", (call("<", A, SB),), [True, True, True, True, True]),
        ("=", (SF, SI2), [False, False, False, True, True]),
        ("=", (SG, SB), [False, True, False, True, True]),  # A FLOAT meets a DOUBLE as a FLOAT where it stands left, ...
        ("=", (SB, SG), [False, True, False, True, False]),  # ... and as a DOUBLE where it stands right.
        ("<", (SB, SG), [False, False, False, False, True]),
        ("=", (SB, SDE), [False, True, False, True, True]),
        ("=", (SG, SDE), [False, True, False, True, False]),
    ],
)  # fmt: skip
def test_nan_and_mixed_widths_compare_as_in_flink(name: str, arguments: tuple[Operand, ...], results: list[bool]) -> None:
    expression = call(name, *arguments)
    assert SPECIAL.evaluate(expression)[0] == results
    assert name == "NOT" or SPECIAL.evaluate_in_polars(expression)[0] == results


def test_the_greatest_is_nan_and_the_least_is_a_number() -> None:
    for evaluate in (SPECIAL.evaluate, SPECIAL.evaluate_in_polars):
        assert repr(evaluate(call("GREATEST", A, SB))[0][:3]) == "[nan, nan, nan]"
        assert repr(evaluate(call("LEAST", A, SB))[0][:3]) == "[nan, 1.0, 1.0]"


def test_a_nan_that_is_equal_to_nothing_is_no_reason_for_nullif() -> None:
    assert repr(SPECIAL.evaluate(call("NULLIF", A, SB))[0]) == "[nan, nan, 1.0, None, 16777216.0]"


DIVIDED = table(
    i=("INT", [7, None, 0]), z=("INT", [0, 0, 3]), d=("DOUBLE", [7.0, -7.0, 0.0]), e=("DOUBLE", [0.0, 0.0, 0.0]), m=("DECIMAL(4, 1)", [7, None, 0])
)


@pytest.mark.parametrize("name", ["/", "%", "MOD", "FLOORDIV", "FLOORMOD"])
def test_whole_numbers_divided_by_zero_fail_unless_null(name: str) -> None:
    expression = call(name, DIVIDED.col("i"), DIVIDED.col("z"))
    assert DIVIDED.evaluate(expression) == ([None, None, 0], [True, False, False])
    assert DIVIDED.evaluate_in_polars(expression) == ([None, None, 0], [True, False, False])


@pytest.mark.parametrize("name", ["/", "MOD", "TRUEDIV", "FLOORMOD"])
def test_a_decimal_divided_by_zero_fails_unless_null(name: str) -> None:
    assert DIVIDED.evaluate(call(name, DIVIDED.col("m"), DIVIDED.col("z"))) == ([None, None, 0], [True, False, False])


def test_a_double_divided_by_zero_is_infinite_or_nan() -> None:
    for evaluate in (DIVIDED.evaluate, DIVIDED.evaluate_in_polars):
        assert repr(evaluate(call("TRUEDIV", DIVIDED.col("d"), DIVIDED.col("e")))) == "([inf, -inf, nan], [False, False, False])"
        assert repr(evaluate(call("TRUEDIV", DIVIDED.col("i"), DIVIDED.col("z")))) == "([inf, None, 0.0], [False, False, False])"


def test_the_least_whole_number_divided_by_minus_one_wraps() -> None:
    made = table(x=("INT", [-(2**31)]), y=("INT", [-1]), z=("BIGINT", [-(2**63)]), w=("BIGINT", [-1]))
    for evaluate in (made.evaluate, made.evaluate_in_polars):
        assert evaluate(call("/", made.col("x"), made.col("y")))[0] == [-(2**31)]
        assert evaluate(call("/", made.col("z"), made.col("w")))[0] == [-(2**63)]
        assert evaluate(call("%", made.col("x"), made.col("y")))[0] == [0]
        assert evaluate(call("*", made.col("z"), made.col("w")))[0] == [-(2**63)]
        assert evaluate(call("NEGATE", made.col("x")))[0] == [-(2**31)]


def test_infinity_and_nan_cannot_be_rounded() -> None:
    made = table(x=("DOUBLE", [NAN, INF, 1.005, None, 2.675, -2.5]))
    for evaluate in (made.evaluate, made.evaluate_in_polars):
        assert evaluate(call("ROUND", made.col("x"), 2)) == ([None, None, 1.01, None, 2.68, -2.5], [True, True, False, False, False, False])


@pytest.mark.parametrize("places", [0, 1, 2, 5, 14, 20, -1, -3, -20])
def test_a_double_is_rounded_as_its_shortest_digits_read(places: int) -> None:
    random = Random(3)
    numbers = [random.uniform(-1000, 1000) for _ in range(2000)]
    numbers += [round(random.uniform(-1e6, 1e6), digits) for digits in (1, 2, 3, 4, 5) for _ in range(1000)]
    numbers += [random.uniform(-1, 1) * 10 ** random.randint(-8, 18) for _ in range(2000)]
    numbers += [0.29, 1.005, 2.675, 0.125, -0.0, 1e22, 5e15 + 0.5, 1e300, 5e-324, 0.5, 1.5, -2.5, 123456789012345.5]
    wide = Context(prec=400)
    wanted = [float(Decimal(repr(one)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=wide)) + 0.0 for one in numbers]
    assert repr(rounded_numbers(np.array(numbers), places).tolist()) == repr(wanted)


OPERATIONS: dict[str, Any] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "MOD": lambda left, right: left % right,
}


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize(("left", "right"), [((10, 2), (8, 3)), ((38, 0), (38, 20)), ((20, 10), (38, 37)), ((5, 5), (38, 1)), ((38, 30), (9, 0))])
def test_decimals_compute_as_with_unbounded_digits(name: str, left: tuple[int, int], right: tuple[int, int]) -> None:
    random = Random(f"{name} {left} {right}")

    def drawn(precision: int, scale: int) -> Decimal:
        return Decimal(random.randrange(-(10 ** random.randint(0, precision)), 10 ** random.randint(0, precision))).scaleb(-scale, Context(prec=80))

    ones, others = [drawn(*left) for _ in range(300)], [drawn(*right) or Decimal(1) for _ in range(300)]
    made = table(x=(f"DECIMAL{left}", ones), y=(f"DECIMAL{right}", others))
    expression = call(name, made.col("x"), made.col("y"))
    assert expression.type.precision is not None and expression.type.scale is not None
    limit, quantum = Decimal(10) ** (expression.type.precision - expression.type.scale), Decimal(1).scaleb(-expression.type.scale)
    with localcontext(Context(prec=200, rounding=ROUND_HALF_UP)):
        wanted = [OPERATIONS[name](one, other).quantize(quantum) for one, other in zip(ones, others, strict=True)]
    assert made.evaluate(expression)[0] == [None if abs(one) >= limit else one for one in wanted]


@pytest.mark.parametrize(
    ("left", "right"), [("DECIMAL(38, 0)", "DECIMAL(38, 20)"), ("DECIMAL(10, 2)", "DECIMAL(20, 10)"), ("DECIMAL(4, 1)", "DECIMAL(6, 1)")]
)
def test_decimals_of_any_scale_are_compared_exactly(left: str, right: str) -> None:
    ones = [Decimal(7), Decimal(7), Decimal(-7), Decimal(0), Decimal(99)]
    others = [Decimal(7), Decimal("7.1"), Decimal("-7.1"), Decimal("-0.1"), Decimal("99")]
    made = table(x=(left, ones), y=(right, others))
    for name, compare in {"=": Decimal.__eq__, "<": Decimal.__lt__, "<=": Decimal.__le__, ">": Decimal.__gt__}.items():
        wanted = [compare(one, other) for one, other in zip(ones, others, strict=True)]
        assert made.evaluate(call(name, made.col("x"), made.col("y")))[0] == wanted


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("+", (N, "a")), ("+", (None, None)), ("MOD", (D, 2)), ("FLOORDIV", (DE, 2)), ("NEGATE", ("a",)), ("NULLIF", (N, 7.5)), ("ROUND", (D, 99)),
     ("ROUND", (D, N)), ("ROUND", (D, 1.5)), ("=", (N, "7")), ("AND", (N, True)), ("IF", (N, 1, 2)), ("COALESCE", (N, "x")), ("IN", (N,)),
     ("ABS", ("x",))],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused_in_a_sentence(name: str, arguments: tuple[Operand, ...]) -> None:
    with pytest.raises(ArgumentMismatch) as caught:
        call(name, *arguments)
    assert str(caught.value).endswith(".")
