"""What JSON records look like, byte by byte; the expected texts are written by hand."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from fluxline.batch import Batch, batch_from_polars, polars_type
from fluxline.errors import UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type
from tests.formats.reading import schema_of

moment = datetime.fromisoformat


def encode(text: str, values: list[Any], **options: object) -> list[str]:
    """The records of one column `v`."""
    schema = schema_of(v=text)
    word = load_format("json")
    frame = pl.DataFrame([pl.Series("v", values, dtype=polars_type(schema.field("v").type))])
    encoded = word.encoder(schema, read_options(word.options, options, of="json")).encode(batch_from_polars(frame, schema))
    lines = [encoded.data[start:end].decode() for start, end in zip(encoded.bounds.tolist(), encoded.bounds[1:].tolist(), strict=False)]
    assert all(line.startswith('{"v":') and line.endswith("}\n") for line in lines)
    return [line.removeprefix('{"v":').removesuffix("}\n") for line in lines]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("BOOLEAN", [True, False, None], ["true", "false", "null"]),
        ("BIGINT", [0, -(2**63), None], ["0", "-9223372036854775808", "null"]),
        ("DOUBLE", [1.0, 0.1, 1e22, 5e-324, -0.0, None], ["1.0", "0.1", "1e+22", "5e-324", "-0.0", "null"]),
        ("DOUBLE", [float("nan"), float("inf"), float("-inf")], ['"NaN"', '"Infinity"', '"-Infinity"']),
        ("FLOAT", [0.1, None], ["0.1", "null"]),
        ("DECIMAL(10, 2)", [Decimal("1.50"), Decimal(-3), Decimal("0.01"), None], ["1.50", "-3.00", "0.01", "null"]),
        ("DECIMAL(38, 0)", [Decimal(10) ** 37], ["1" + "0" * 37]),
        ("STRING", ["plain", "", None, 'é"\\\n\r\t\x00\x1f/\u2028😀'], ['"plain"', '""', "null", '"é\\"\\\\\\n\\r\\t\\u0000\\u001f/\u2028😀"']),
        ("CHAR(3)", ["a"], ['"a"']),
        ("BYTES", [b"abc", b"a", b"", None], ['"YWJj"', '"YQ=="', '""', "null"]),
        ("DATE", [date(2026, 1, 31), date(1, 2, 3), None], ['"2026-01-31"', '"0001-02-03"', "null"]),
        ("TIME(3)", [time(10), time(23, 59, 59, 120_000), None], ['"10:00:00"', '"23:59:59.12"', "null"]),
        ("TIMESTAMP(3)", [moment("2026-01-31T10:00:00"), moment("2026-01-31T10:00:00.500000")],
         ['"2026-01-31T10:00:00"', '"2026-01-31T10:00:00.5"']),
        ("TIMESTAMP(6)", [moment("1969-12-31T23:59:59.999990"), None], ['"1969-12-31T23:59:59.99999"', "null"]),
        ("TIMESTAMP_LTZ(3)", [moment("2026-01-31T10:00:00"), moment("2026-01-31T10:00:00.001000"), None],
         ['"2026-01-31T10:00:00Z"', '"2026-01-31T10:00:00.001Z"', "null"]),
        ("ARRAY<INT>", [[1, None, 3], [], None], ["[1,null,3]", "[]", "null"]),
        ("ARRAY<STRING>", [['a"', None]], ['["a\\"",null]']),
        ("MAP<STRING, DOUBLE>", [[{"key": "a\n", "value": 1.5}, {"key": "b", "value": None}], [], None], ['{"a\\n":1.5,"b":null}', "{}", "null"]),
        ("MAP<STRING, INT>", [[{"key": None, "value": 1}]], ['{"null":1}']),
        ("ROW<x INT, `y z` ARRAY<DATE>>", [{"x": 1, "y z": [date(2026, 1, 31)]}, {"x": None, "y z": None}, None],
         ['{"x":1,"y z":["2026-01-31"]}', '{"x":null,"y z":null}', "null"]),
    ],
)  # fmt: skip
def test_a_value_is_written(text: str, values: list[Any], expected: list[str]) -> None:
    """Each type, its special values, and NULL."""
    assert encode(text, values) == expected


def test_timestamps_in_sql_form() -> None:
    """A space instead of T."""
    assert encode("TIMESTAMP(3)", [moment("2026-01-31T10:00:00")], timestamp_format="SQL") == ['"2026-01-31 10:00:00"']
    assert encode("TIMESTAMP_LTZ(9)", [moment("2026-01-31T10:00:00")], timestamp_format="SQL") == ['"2026-01-31 10:00:00Z"']


def test_the_visible_columns_are_written_in_order() -> None:
    """Names are escaped like texts; hidden columns stay out."""
    schema = TableSchema((Field("b", parse_type("INT")), Field("hidden", parse_type("INT"), hidden=True), Field('é "q"', parse_type("STRING"))))
    frame = pl.DataFrame({'é "q"': ["x"], "hidden": [2], "b": [1]}, schema={'é "q"': pl.String, "hidden": pl.Int32, "b": pl.Int32})
    word = load_format("json")
    encoder = word.encoder(schema, word.options())
    assert encoder.encode(batch_from_polars(frame, schema)).data.decode() == '{"b":1,"é \\"q\\"":"x"}\n'
    assert encoder.header() == b""


def test_rows_without_columns() -> None:
    """An empty object each."""
    word = load_format("json")
    encoded = word.encoder(TableSchema(()), word.options()).encode(Batch({}, 3))
    assert encoded.data == b"{}\n" * 3
    assert encoded.bounds.tolist() == [0, 3, 6, 9]


def test_bounds_count_bytes() -> None:
    """Not characters."""
    schema = schema_of(v="STRING")
    word = load_format("json")
    frame = pl.DataFrame({"v": ["é", "日本", "\n"]})
    encoded = word.encoder(schema, word.options()).encode(batch_from_polars(frame, schema))
    assert encoded.bounds.tolist() == [0, 11, 26, 37]


def test_what_json_cannot_hold_is_refused() -> None:
    """A map whose keys are no text, wherever it stands."""
    word = load_format("json")
    with pytest.raises(UnsupportedByEngine) as error:
        word.encoder(schema_of(v="ARRAY<MAP<INT, INT>>"), word.options())
    assert error.value.code == "FLX-2130"
