"""The common type of values, as Apache Flink 2.3 finds it for CASE and COALESCE."""

from __future__ import annotations

import pytest

from fluxline.library.inference import common_type, decimal_product, decimal_quotient, decimal_rounded, decimal_sum
from fluxline.schema import NULL, parse_type

CASES = [
    (("INT", "DECIMAL(10, 2)"), "DECIMAL(12, 2)"),
    (("INT", "DOUBLE"), "DOUBLE"),
    (("FLOAT", "INT"), "FLOAT"),
    (("FLOAT", "BIGINT"), "FLOAT"),
    (("FLOAT", "DECIMAL(10, 2)"), "DOUBLE"),
    (("FLOAT", "DOUBLE"), "DOUBLE"),
    (("TINYINT", "SMALLINT"), "SMALLINT"),
    (("DECIMAL(10, 2)", "DECIMAL(20, 10)"), "DECIMAL(20, 10)"),
    (("DECIMAL(38, 18)", "BIGINT"), "DECIMAL(38, 18)"),
    (("CHAR(1)", "CHAR(3)"), "VARCHAR(3)"),
    (("CHAR(4)", "STRING"), "STRING"),
    (("CHAR(4)", "VARCHAR(3)"), "VARCHAR(4)"),
    (("TIMESTAMP(3)", "TIMESTAMP(6)"), "TIMESTAMP(6)"),
    (("TIME(0)", "TIME(3)"), "TIME(3)"),
    (("BOOLEAN", "BOOLEAN"), "BOOLEAN"),
    (("ARRAY<INT>", "ARRAY<INT>"), "ARRAY<INT>"),
    (("INT NOT NULL", "INT NOT NULL"), "INT NOT NULL"),
    (("INT NOT NULL", "BIGINT"), "BIGINT"),
    (("INT", "BIGINT", "DECIMAL(4, 1)"), "DECIMAL(20, 1)"),
    (("BYTES", "BINARY(3)"), "BYTES"),
]


@pytest.mark.parametrize(("types", "common"), CASES)
def test_the_common_type_is_flinks_in_any_order(types: tuple[str, ...], common: str) -> None:
    kinds = [parse_type(kind) for kind in types]
    assert str(common_type(kinds)) == common
    assert str(common_type(kinds[::-1])) == common


@pytest.mark.parametrize(
    "types",
    [
        ("INT", "STRING"),
        ("DATE", "TIMESTAMP(3)"),
        ("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)"),
        ("BOOLEAN", "INT"),
        ("ARRAY<INT>", "ARRAY<STRING>"),
        ("STRING", "BYTES"),
    ],
)
def test_what_has_no_common_type_has_none(types: tuple[str, ...]) -> None:
    assert common_type([parse_type(kind) for kind in types]) is None


def test_a_bare_null_fits_everywhere_and_makes_the_result_nullable() -> None:
    assert str(common_type([NULL, parse_type("INT NOT NULL")])) == "INT"
    assert common_type([NULL, NULL]) == NULL


def test_decimal_results_have_flinks_digits() -> None:
    a, b, c = parse_type("DECIMAL(10, 2)"), parse_type("DECIMAL(20, 10)"), parse_type("DECIMAL(38, 18)")
    assert [str(rule(b, b)) for rule in (decimal_sum, decimal_product)] == ["DECIMAL(21, 10)", "DECIMAL(38, 17)"]
    assert [str(rule(c, c)) for rule in (decimal_sum, decimal_product, decimal_quotient)] == ["DECIMAL(38, 17)", "DECIMAL(38, 6)", "DECIMAL(38, 6)"]
    assert str(decimal_quotient(b, a)) == "DECIMAL(33, 21)"
    assert [str(decimal_rounded(a, places)) for places in (5, 1, 0, -1)] == ["DECIMAL(10, 2)", "DECIMAL(10, 1)", "DECIMAL(9, 0)", "DECIMAL(9, 0)"]
