"""Rows as Flink prints them."""

from __future__ import annotations

import io
import math
import sys
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxline.batch import Batch, Column, batch_from_polars, polars_type
from fluxline.connectors.print import CONNECTOR, PrintOptions, PrintSink
from fluxline.errors import ExternalError
from fluxline.schema import Field, TableSchema, parse_type
from tests.connectors.lines import numbers, sink_context

if TYPE_CHECKING:
    from pathlib import Path


def at(day: str, hour: int, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A time without a zone, as columns carry it."""
    return datetime.combine(date.fromisoformat(day), time(hour, minute, second, microsecond))


def printed(schema: TableSchema, batch: Batch, directory: Path, **options: object) -> str:
    stream = io.StringIO()
    sink = PrintSink(replace(sink_context(directory, PrintOptions(**options)), schema=schema, encoder=None), stream)  # type: ignore[arg-type]  # named
    assert sink.write(batch, None).acknowledged == batch.rows
    return stream.getvalue()


def shown(kind: str, *values: object) -> list[str]:
    """What stands between the brackets, value by value."""
    schema = TableSchema((Field("x", parse_type(kind)),))
    batch = batch_from_polars(pl.DataFrame({"x": pl.Series(list(values), dtype=polars_type(schema.field("x").type))}), schema)
    lines = printed(schema, batch, None).splitlines()  # type: ignore[arg-type]  # nothing is written there
    return [line.removeprefix("+I[").removesuffix("]") for line in lines]


def test_a_row(tmp_path: Path) -> None:
    schema = TableSchema(
        (
            Field("a", parse_type("INT")),
            Field("b", parse_type("DOUBLE")),
            Field("hidden", parse_type("INT"), hidden=True),
            Field("c", parse_type("STRING")),
        )
    )
    frame = pl.DataFrame(
        {"a": [1, None], "b": [2.5, None], "hidden": [7, 7], "c": ["abc", None]}, schema_overrides={"a": pl.Int32, "hidden": pl.Int32}
    )
    assert printed(schema, batch_from_polars(frame, schema), tmp_path) == "+I[1, 2.5, abc]\n+I[null, null, null]\n"


def test_kinds_and_identifier(tmp_path: Path) -> None:
    batch = Batch({"number": Column(np.arange(4))}, 4, kinds=np.array([0, 1, 2, 3], dtype=np.int8))
    schema = TableSchema((Field("number", parse_type("BIGINT")),))
    assert printed(schema, batch, tmp_path, print_identifier="aler\nts") == "aler\\nts> +I[0]\naler\\nts> -U[1]\naler\\nts> +U[2]\naler\\nts> -D[3]\n"


def test_one_write_per_batch_and_none_for_no_rows(tmp_path: Path) -> None:
    writes: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    sink = PrintSink(replace(sink_context(tmp_path, PrintOptions()), encoder=None), Stream())
    sink.write(numbers(0, 3), None)
    sink.write(numbers(0, 0), None)
    sink.write(numbers(3, 4), None)
    assert writes == ["+I[0]\n+I[1]\n+I[2]\n", "+I[3]\n"]


def test_control_characters_print_as_escapes() -> None:
    assert shown("STRING", "a\nb\r\t\0c", "\x1b[31mred", "\x7f\x85\u2028", "back\\slash é 木") == [
        "a\\nb\\r\\t\\x00c", "\\x1b[31mred", "\\x7f\\x85\\u2028", "back\\slash é 木",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("BOOLEAN", True, "true"),
        ("TINYINT", -128, "-128"),
        ("DECIMAL(10, 2)", Decimal("-1.50"), "-1.50"),
        ("DATE", date(2026, 1, 2), "2026-01-02"),
        ("TIME(3)", time(1, 2), "01:02"),
        ("TIME(3)", time(1, 2, 3), "01:02:03"),
        ("TIME(3)", time(1, 2, 3, 4_000), "01:02:03.004"),
        ("TIMESTAMP(3)", at("2026-01-01", 12), "2026-01-01T12:00"),
        ("TIMESTAMP(3)", at("2026-01-01", 12, 0, 5), "2026-01-01T12:00:05"),
        ("TIMESTAMP(3)", at("1969-12-31", 23, 59, 59, 500_000), "1969-12-31T23:59:59.500"),
        ("TIMESTAMP(6)", at("2026-01-01", 12, 0, 0, 1), "2026-01-01T12:00:00.000001"),
        ("TIMESTAMP(9)", at("2026-01-01", 12, 0, 0, 120_000), "2026-01-01T12:00:00.120"),
        ("TIMESTAMP_LTZ(3)", at("2026-01-01", 12), "2026-01-01T12:00:00Z"),
        ("BYTES", b"\x00\x7f\x80\xff", "[0, 127, -128, -1]"),
        ("BYTES", b"", "[]"),
        ("ARRAY<INT>", [1, None], "[1, null]"),
        ("ARRAY<ARRAY<STRING>>", [["a\n"], [], None], "[[a\\n], [], null]"),
        ("MAP<STRING, DOUBLE>", [{"key": "k", "value": 1e10}, {"key": "l", "value": None}], "{k=1.0E10, l=null}"),
        ("ROW<a INT, b ROW<c STRING>>", {"a": None, "b": {"c": "x"}}, "+I[null, +I[x]]"),
    ],
)
def test_values_print_as_in_java(kind: str, value: object, text: str) -> None:
    assert shown(kind, value, None) == [text, "null"]


def java_double(value: float) -> str:
    """`Double.toString`, from the digits that Python finds: the fewest that still give the value."""
    if math.isnan(value):
        return "NaN"
    sign = "-" if str(value).startswith("-") else ""
    size = abs(value)
    if size in (0, float("inf")):
        return sign + ("0.0" if size == 0 else "Infinity")
    _, digits, exponent = Decimal(repr(size)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)  # The value is 0.text times ten to this.
    if 1e-3 <= size < 1e7:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{text}"
        return f"{sign}{text[:point].ljust(point, '0')}.{text[point:] or '0'}"
    return f"{sign}{text[0]}.{text[1:] or '0'}E{point - 1}"


@given(st.floats())
@example(1e7)
@example(9999999.999999998)
@example(1e-3)
@example(0.0009999999999999998)
@example(123456789.125)
@example(5e-324)
@example(1.7976931348623157e308)
@example(1e16)
@example(-1.5e-5)
@example(100.0)
def test_doubles_print_as_in_java(value: float) -> None:
    assert shown("DOUBLE", value) == [java_double(value)]


def test_floats_print_their_own_digits() -> None:
    assert shown("FLOAT", 0.1, 16777216.0, 3.4028234663852886e38, 1e-45, 0.001) == ["0.1", "1.6777216E7", "3.4028235E38", "1.0E-45", "0.001"]


@pytest.mark.parametrize(("options", "name"), [({}, "stdout"), ({"standard_error": True}, "stderr")])
def test_it_prints_to_the_standard_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], name: str) -> None:
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    for stream, text in streams.items():
        monkeypatch.setattr(sys, stream, text)
    context = replace(sink_context(tmp_path, PrintOptions(**options)), encoder=None)  # type: ignore[arg-type]  # named
    assert CONNECTOR.sink is not None
    sink = CONNECTOR.sink(context)
    sink.write(numbers(0, 1), None)
    sink.flush()
    assert {stream: text.getvalue() for stream, text in streams.items()} == {"stdout": "", "stderr": "", name: "+I[0]\n"}


def test_a_stream_that_cannot_show_a_sign_shows_its_number(tmp_path: Path) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    schema = TableSchema((Field("x", parse_type("STRING")),))
    batch = batch_from_polars(pl.DataFrame({"x": ["é"]}), schema)
    PrintSink(replace(sink_context(tmp_path, PrintOptions()), schema=schema, encoder=None), stream).write(batch, None)
    stream.flush()
    assert raw.getvalue() == b"+I[\\xe9]\n"


def test_a_stream_whose_reader_is_gone_is_an_error_by_name(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    sink = PrintSink(replace(sink_context(tmp_path, PrintOptions()), encoder=None), Gone())
    with pytest.raises(ExternalError) as caught:
        sink.write(numbers(0, 1), None)
    assert caught.value.code == "FLX-4210"
    assert "standard output" in caught.value.fact
