"""Aggregates, in one step and in several, against what Apache Flink 2.3 gave for the same values."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from fluxline.batch import polars_type
from fluxline.library import AGGREGATES
from fluxline.library.examples import type_of_value
from fluxline.library.function import ArgumentMismatch
from fluxline.schema import LogicalType, parse_type


def aggregated(name: str, kind: LogicalType, values: list[Any], *, parts: int = 1) -> Any:
    """The aggregate of values that come in so many batches, merged as an engine merges them."""
    aggregate = AGGREGATES[name]
    result = aggregate.infer(kind).result
    partials = aggregate.partials(kind)
    size = max(1, -(-len(values) // parts))
    frames = []
    for start in range(0, max(len(values), 1), size):
        frame = pl.DataFrame({"x": pl.Series(values[start : start + size], dtype=polars_type(kind), strict=False), "k": 1}, strict=False)
        frames.append(frame.group_by("k").agg([partial.of_rows(pl.col("x")).alias(partial.name) for partial in partials]))
    together = pl.concat(frames)
    for partial in partials:
        assert together.schema[partial.name] == polars_type(partial.type)
    merged = together.group_by("k").agg([getattr(pl.col(partial.name), partial.merge)() for partial in partials])
    for partial in partials:
        assert merged.schema[partial.name] == polars_type(partial.type)
    final = merged.select(aggregate.final({partial.name: pl.col(partial.name) for partial in partials}, result)).to_series()
    assert final.dtype == polars_type(result)
    return final.item()


INTS, TINIES = [2147483647, 1, None, -6], [100, 100, None, -1]
DOUBLES, DECIMALS = [0.1, 0.2, None, 0.3], [Decimal("1.01"), Decimal("2.02"), None, Decimal("-0.01")]
NINES, MINUS, CENT = Decimal("9" * 38), Decimal("-" + "9" * 38), Decimal("0.01")  # A sign in front of a name would round to 28 digits.
CENTS, MICROS = Decimal("9" * 36 + ".99"), Decimal("9" * 32 + ".999999")
CASES: list[tuple[str, str, list[Any], Any]] = [
    ("COUNT", "INT", INTS, 3),
    ("SUM", "TINYINT", TINIES, -57),
    ("SUM", "INT", INTS, 2147483642),
    ("SUM", "INT", [2147483647, 1], -2147483648),
    ("SUM", "BIGINT", [9223372036854775807, 1, None, 2], -9223372036854775806),
    ("SUM", "FLOAT", [0.5, 0.25, None], 0.75),
    ("SUM", "DOUBLE", DOUBLES, 0.6000000000000001),
    ("SUM", "DECIMAL(10, 2)", DECIMALS, Decimal("3.02")),
    ("SUM", "DECIMAL(10, 2)", [-CENT, -CENT, None], Decimal("-0.02")),
    ("SUM", "DECIMAL(38, 0)", [NINES, None], NINES),
    ("SUM", "DECIMAL(38, 0)", [MINUS], MINUS),
    ("SUM", "DECIMAL(38, 0)", [NINES, Decimal(1)], None),
    ("SUM", "DECIMAL(38, 0)", [MINUS, Decimal(-1)], None),
    ("SUM", "DECIMAL(38, 0)", [NINES, NINES, NINES], None),
    ("SUM", "DECIMAL(38, 0)", [NINES] * 4 + [None, MINUS, MINUS, MINUS], NINES),
    ("SUM", "DECIMAL(38, 0)", [MINUS, MINUS, NINES], MINUS),
    ("SUM", "DECIMAL(38, 0)", [NINES, NINES, MINUS, MINUS], Decimal(0)),
    ("SUM", "DECIMAL(38, 2)", [CENTS, CENT], None),
    ("SUM", "DECIMAL(38, 2)", [CENTS, CENT, -CENT], CENTS),
    ("AVG", "DECIMAL(38, 6)", [MICROS, MICROS, Decimal("-" + str(MICROS))], Decimal("3" * 32 + ".333333")),
    ("AVG", "DECIMAL(38, 6)", [MICROS, MICROS], None),
    ("AVG", "TINYINT", [100, 100, 100], 100),
    ("AVG", "INT", [2147483647, 1, 1], 715827883),
    ("AVG", "INT", [7, -8], 0),
    ("AVG", "INT", [-7, 0], -3),
    ("AVG", "FLOAT", [0.5, 0.25], 0.375),
    ("AVG", "DOUBLE", DOUBLES, 0.20000000000000004),
    ("AVG", "DECIMAL(10, 2)", DECIMALS, Decimal("1.006667")),
    ("AVG", "DECIMAL(38, 18)", DECIMALS, Decimal("1.006666666666666667")),
    ("AVG", "DECIMAL(20, 8)", DECIMALS, Decimal("1.00666667")),
    ("AVG", "DECIMAL(10, 2)", [Decimal("-0.01"), Decimal(0), Decimal(0)], Decimal("-0.003333")),
    ("MIN", "INT", INTS, -6),
    ("MAX", "DECIMAL(10, 2)", DECIMALS, Decimal("2.02")),
    ("MIN", "STRING", ["b", "a", None, "\U0001f600", "\uffee"], "a"),
    ("MAX", "STRING", ["b", "a", None, "\U0001f600", "\uffee"], "\U0001f600"),
    ("MIN", "BOOLEAN", [True, False, None], False),
    ("MAX", "BOOLEAN", [False, None, True], True),
    ("MIN", "DATE", [date(2024, 1, 2), date(2022, 1, 2), None], date(2022, 1, 2)),
    *((name, "INT", [None, None], None) for name in ("SUM", "AVG", "MIN", "MAX")),
    ("SUM", "DECIMAL(10, 2)", [None], None),
    ("AVG", "DECIMAL(10, 2)", [None], None),
    ("AVG", "DOUBLE", [None], None),
    ("COUNT", "INT", [None], 0),
]


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize(("name", "kind", "values", "result"), CASES)
def test_an_aggregate_gives_what_flink_gives(name: str, kind: str, values: list[Any], result: Any, parts: int) -> None:
    found = aggregated(name, parse_type(kind), values, parts=parts)
    assert found == pytest.approx(result, rel=1e-14) if isinstance(result, float) else found == result


@pytest.mark.parametrize("name", sorted(AGGREGATES))
def test_the_example_is_true(name: str) -> None:
    values, result = AGGREGATES[name].example
    assert aggregated(name, type_of_value(values[0]).with_nullable(True), list(values)) == result


def test_the_least_number_beside_nan_is_a_number() -> None:
    assert aggregated("MIN", parse_type("DOUBLE"), [math.nan, 1.0, 2.0]) == 1.0
    assert aggregated("MAX", parse_type("DOUBLE"), [1.0, math.nan, 2.0]) == 2.0
    assert math.isnan(aggregated("MIN", parse_type("DOUBLE"), [math.nan]))


def test_result_types_are_flinks() -> None:
    def shown(name: str, kind: str) -> str:
        return str(AGGREGATES[name].infer(parse_type(kind)).result)

    assert shown("COUNT", "STRING") == "BIGINT NOT NULL"
    assert shown("SUM", "TINYINT NOT NULL") == "TINYINT"
    assert shown("SUM", "DECIMAL(10, 2)") == "DECIMAL(38, 2)"
    assert shown("AVG", "DECIMAL(10, 2)") == "DECIMAL(38, 6)"
    assert shown("AVG", "DECIMAL(38, 18)") == "DECIMAL(38, 18)"
    assert shown("MIN", "TIMESTAMP(3) NOT NULL") == "TIMESTAMP(3)"
    assert str(AGGREGATES["COUNT"].infer(None).result) == "BIGINT NOT NULL"


@pytest.mark.parametrize(("name", "kind"), [("SUM", "STRING"), ("AVG", "BOOLEAN"), ("MIN", "ARRAY<INT>"), ("MAX", "BYTES")])
def test_an_argument_that_does_not_fit_is_refused_in_a_sentence(name: str, kind: str) -> None:
    with pytest.raises(ArgumentMismatch) as caught:
        AGGREGATES[name].infer(parse_type(kind))
    assert str(caught.value).endswith(".")
    for word in ("SUM", "AVG", "MIN", "MAX"):
        with pytest.raises(ArgumentMismatch):
            AGGREGATES[word].infer(None)
