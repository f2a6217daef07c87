"""DOUBLE and FLOAT as text: the values of Java's Double.toString and Float.toString."""

from __future__ import annotations

import math

import pytest

from fluxline.library.text_of import java_text
from tests.library.expressions import cast, table

DOUBLES = [
    (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (-1.0, "-1.0"), (25.5, "25.5"), (0.1, "0.1"), (0.30000000000000004, "0.30000000000000004"),
    (100.0, "100.0"), (1e6, "1000000.0"), (9999999.0, "9999999.0"), (9999999.999, "9999999.999"), (1e7, "1.0E7"), (1e10, "1.0E10"),
    (1.5e7, "1.5E7"), (12345678.9, "1.23456789E7"), (123456789.125, "1.23456789125E8"), (1e-3, "0.001"), (0.001234, "0.001234"),
    (9.999e-4, "9.999E-4"), (1e-4, "1.0E-4"), (1e-10, "1.0E-10"), (1e14, "1.0E14"), (1e15, "1.0E15"), (1e16, "1.0E16"), (1e20, "1.0E20"),
    (1e21, "1.0E21"), (1e22, "1.0E22"), (1.5e300, "1.5E300"), (1e-300, "1.0E-300"), (1.7976931348623157e308, "1.7976931348623157E308"),
    (2.2250738585072014e-308, "2.2250738585072014E-308"), (3.141592653589793, "3.141592653589793"), (2.718281828459045, "2.718281828459045"),
    (1 / 3, "0.3333333333333333"), (2 / 3, "0.6666666666666666"), (-2.5e-5, "-2.5E-5"), (123456.789, "123456.789"), (1e100, "1.0E100"),
    (5e-324, "4.9E-324"), (9007199254740992.0, "9.007199254740992E15"), (0.5, "0.5"), (1234567.0, "1234567.0"), (math.nan, "NaN"),
    (math.inf, "Infinity"), (-math.inf, "-Infinity"), (6.02214076e23, "6.02214076E23"),
]  # fmt: skip
FLOATS = [
    (0.0, "0.0"), (1.5, "1.5"), (0.1, "0.1"), (25.5, "25.5"), (16777216.0, "1.6777216E7"), (1e7, "1.0E7"), (9999999.0, "9999999.0"),
    (1e10, "1.0E10"), (1e-3, "0.001"), (1e-4, "1.0E-4"), (3.4028235e38, "3.4028235E38"), (1 / 3, "0.33333334"), (100.0, "100.0"),
    (1e-10, "1.0E-10"), (math.nan, "NaN"), (math.inf, "Infinity"), (-2.5, "-2.5"),
]  # fmt: skip


def test_a_double_prints_as_in_java() -> None:
    values = table(x=("DOUBLE", [value for value, _ in DOUBLES]))
    assert values.evaluate(cast(values.col("x"), "STRING"))[0] == [text for _, text in DOUBLES]


def test_a_float_prints_as_in_java() -> None:
    values = table(x=("FLOAT", [value for value, _ in FLOATS]))
    assert values.evaluate(cast(values.col("x"), "STRING"))[0] == [text for _, text in FLOATS]


@pytest.mark.parametrize(("value", "text"), DOUBLES)
def test_one_number_prints_as_in_a_column(value: float, text: str) -> None:
    assert java_text(value) == text


def test_null_among_numbers_stays_null() -> None:
    values = table(x=("DOUBLE", [None, 1e10, None, 0.5]), y=("DOUBLE", [None, 1.0, 2.0, None]))
    assert values.evaluate(cast(values.col("x"), "STRING"))[0] == [None, "1.0E10", None, "0.5"]
    assert values.evaluate(cast(values.col("y"), "STRING"))[0] == [None, "1.0", "2.0", None]


def test_the_text_reads_back_as_the_number() -> None:
    numbers = [number * scale for number in (1.1, 2.345678, 9.99999, 7.0) for scale in (1e-9, 1e-3, 1.0, 1e5, 1e12, 1e200)]
    values = table(x=("DOUBLE", numbers))
    texts = values.evaluate(cast(values.col("x"), "STRING"))[0]
    assert [float(text) for text in texts] == numbers
