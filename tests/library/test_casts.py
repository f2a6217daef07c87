"""CAST: every pair of types against what Apache Flink 2.3 gave for the same values (`flink_casts.ndjson`), and what fails."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fluxline.batch import column_from_series, numpy_type, polars_type
from fluxline.library.casts import TARGETS, cast_can_fail, cast_can_give_null, cast_supported, conversion
from fluxline.library.text_of import java_text
from fluxline.plan.expressions import Cast
from fluxline.schema import STRING, LogicalType, parse_type
from tests.library.expressions import cast, table

CASES = [json.loads(line) for line in Path(__file__).with_name("flink_casts.ndjson").read_text().splitlines()]
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # a TIMESTAMP has no time zone
DIGITS = {"ms": 3, "us": 6, "ns": 9}

# What differs on purpose. Flink reads rubbish as a number or a time; cuts a time before 1970 to a negative one; and a JVM older
# than 19 prints some FLOATs with a digit more than needed.
RUBBISH = {"t", "y", "n", "f", "yes", "no", "off", "1f", "1d", "\uff11", "99999999.995", ".", "012:030:045", "12 :30", "12:30:45.x", "1.9x"}
LONGER = {"2.14748365E9", "-2.14748365E9", "9.0071993E15", "1.17549435E-38", "1.23456791E17"}


def differs(source: LogicalType, target: LogicalType, value: Any, result: str | None) -> bool:
    if source.text_like and target.root in ("DECIMAL", "TIME"):
        return value in RUBBISH
    if source.root == "TIMESTAMP" and target.root == "TIME":
        return bool(value < "1970")
    if source.root == "TIMESTAMP" and target.root == "TIMESTAMP" and value == "1969-12-31 00:00:00.000000001":
        return True  # Flink keeps the nanosecond although the type has no room for it.
    if source.text_like and target.precision == 9:
        return str(value)[:4] in ("0001", "9999")  # Nanoseconds reach from 1677 to 2262.
    return "FLOAT" in (source.root, target.root) and result in LONGER


def values_of(kind: LogicalType, values: list[Any]) -> list[Any]:
    """The values of the file in Python."""
    if kind.binary:
        return [base64.b64decode(value) for value in values]
    if kind.root == "DECIMAL":
        return [Decimal(value) for value in values]
    if kind.root in ("FLOAT", "DOUBLE"):
        return [float(value) for value in values]
    if kind.root == "DATE":
        return [date.fromisoformat(value) for value in values]
    if kind.root == "TIME":
        return [time.fromisoformat(value if "." not in value else value.ljust(12, "0")) for value in values]
    return [ticks(value, kind) for value in values] if kind.timestamp else values


def ticks(text: str, kind: LogicalType) -> int:
    unit = DIGITS[str(polars_type(kind).time_unit)]  # type: ignore[attr-defined]  # a Datetime
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole.replace("T", " "))
    return (moment - EPOCH) // timedelta(seconds=1) * int(10**unit) + int((fraction + "0" * 9)[:unit])


def shown(value: Any, kind: LogicalType) -> str | None:
    """A value as the file writes results, but for times."""
    if value is None:
        return None
    if kind.root in ("FLOAT", "DOUBLE"):
        return java_text(value, short=kind.root == "FLOAT")
    if kind.binary:
        return f"x'{value.hex()}'"
    if kind.root == "BOOLEAN":
        return str(value).lower()
    if kind.root == "DECIMAL":
        return format(value, "f")
    return str(value)


def results_of(kind: LogicalType, results: list[str | None]) -> list[Any]:
    """The results of the file, times as numbers."""
    if kind.timestamp:
        return [None if result is None else ticks(result, kind) for result in results]
    if kind.root == "DATE":
        return [None if result is None else days(result) for result in results]
    if kind.root == "TIME":
        return [None if result is None else nanoseconds(result) for result in results]
    return results


def days(text: str) -> int:
    if text.startswith("0000"):
        return date.fromisoformat(text.replace("0000", "0004", 1)).toordinal() - date(1970, 1, 1).toordinal() - 1461
    return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


def nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    hour, minute, second = ([int(part) for part in whole.split(":")] + [0])[:3]
    return (hour * 3600 + minute * 60 + second) * 10**9 + int((fraction + "0" * 9)[:9])


@pytest.mark.parametrize("case", CASES, ids=[f"{case['from']} to {case['to']} {index}" for index, case in enumerate(CASES)])
def test_a_value_is_converted_as_flink_converts_it(case: dict[str, Any]) -> None:
    source, target = parse_type(case["from"]), parse_type(case["to"])
    made = table(x=("BIGINT" if source.timestamp else case["from"], values_of(source, case["values"])))
    series = made.batch.columns["x"].series("x")
    if source.timestamp:
        series = series.cast(polars_type(source))
    form = conversion(source, target)
    found = series.to_frame().select(form.polars(pl.col("x"))).to_series()
    assert found.dtype == polars_type(target)
    ours = found.to_physical().to_list() if target.timestamp or target.root in ("DATE", "TIME") else [shown(one, target) for one in found.to_list()]
    flinks = results_of(target, case["results"])
    pairs = [
        (value, our, flink)
        for value, our, flink, result in zip(case["values"], ours, flinks, case["results"], strict=True)
        if not differs(source, target, value, result)
    ]
    assert [(value, our) for value, our, _ in pairs] == [(value, flink) for value, _, flink in pairs]
    if form.numpy is not None and numpy_type(source) is not None:
        with np.errstate(over="ignore"):
            arrays = form.numpy(column_from_series(series, source).values)
        assert arrays.dtype == numpy_type(target)
        assert column_from_series(found, target).values.tobytes() == arrays.tobytes()  # type: ignore[union-attr]  # an array


def test_text_that_is_no_value_fails_its_row_and_is_null_for_try_cast() -> None:
    made = table(x=("STRING", ["1", "x", None, " 7 ", "9999999999"]))
    strict, lenient = cast(made.col("x"), "INT"), cast(made.col("x"), "INT", null=True)
    assert made.evaluate(strict) == ([1, None, None, 7, None], [False, True, False, False, True])
    assert made.evaluate(lenient) == ([1, None, None, 7, None], [False] * 5)


@pytest.mark.parametrize("target", ["BOOLEAN", "INT", "DOUBLE", "DECIMAL(10, 2)", "DATE", "TIME(0)", "TIMESTAMP(3)", "TIMESTAMP_LTZ(3)"])
def test_rubbish_fails_for_every_type_that_text_is_read_as(target: str) -> None:
    made = table(x=("STRING", ["rubbish", None]))
    assert cast_can_fail(STRING, parse_type(target))
    assert made.evaluate(cast(made.col("x"), target)) == ([None, None], [True, False])


def test_a_number_too_large_for_a_decimal_is_null_and_fails_nothing() -> None:
    made = table(x=("INT", [7, 2147483647]), y=("DOUBLE", [1e300, float("nan")]))
    assert made.evaluate(cast(made.col("x"), "DECIMAL(4, 1)")) == ([Decimal("7.0"), None], [False, False])
    assert made.evaluate(cast(made.col("y"), "DECIMAL(4, 1)")) == ([None, None], [False, True])  # NaN is no number at all.
    assert cast_can_give_null(parse_type("INT"), parse_type("DECIMAL(4, 1)"))
    assert not cast_can_give_null(parse_type("SMALLINT"), parse_type("DECIMAL(10, 2)"))


def test_bytes_that_are_not_utf_8_are_shown_with_a_replacement() -> None:
    made = table(x=("BYTES", [b"caf\xc3\xa9", b"\xff", None]))
    assert made.evaluate(cast(made.col("x"), "STRING"))[0] == ["café", "\ufffd", None]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("BOOLEAN", "DATE"),
        ("INT", "TIMESTAMP(3)"),
        ("TIMESTAMP(3)", "BIGINT"),
        ("DATE", "TIME(0)"),
        ("TIME(0)", "DATE"),
        ("BYTES", "INT"),
        ("STRING", "BINARY(3)"),
    ],
)
def test_what_has_no_conversion_is_known(source: str, target: str) -> None:
    assert not cast_supported(parse_type(source), parse_type(target))


def test_every_supported_pair_runs_and_gives_its_type() -> None:
    samples: dict[str, tuple[str, list[Any]]] = {
        "BOOLEAN": ("BOOLEAN", [True]), "TINYINT": ("TINYINT", [7]), "SMALLINT": ("SMALLINT", [7]), "INT": ("INT", [7]), "BIGINT": ("BIGINT", [7]),
        "FLOAT": ("FLOAT", [1.5]), "DOUBLE": ("DOUBLE", [1.5]), "DECIMAL": ("DECIMAL(10, 2)", [Decimal("1.50")]), "VARCHAR": ("STRING", ["1"]),
        "CHAR": ("CHAR(2)", ["1"]), "VARBINARY": ("BYTES", [b"1"]), "BINARY": ("BINARY(1)", [b"1"]), "DATE": ("DATE", [date(2024, 6, 7)]),
        "TIME": ("TIME(3)", [time(12, 30)]), "TIMESTAMP": ("TIMESTAMP(3)", [EPOCH]), "TIMESTAMP_LTZ": ("TIMESTAMP_LTZ(3)", [EPOCH]),
    }  # fmt: skip
    for root, targets in TARGETS.items():
        kind, values = samples[root]
        made = table(x=(kind, [*values, None]))
        for target in targets:
            expression = Cast(made.col("x"), parse_type(samples[target][0]), "null")
            assert made.evaluate_in_polars(expression)[0][1] is None
            assert made.evaluate(expression) == made.evaluate_in_polars(expression)
