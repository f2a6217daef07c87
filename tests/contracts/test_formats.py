"""Every format keeps its contract: a word that is added without columns here fails."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from fluxline.batch import batch_from_polars, polars_type
from fluxline.formats import FORMATS, load_format
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type
from fluxline.testing.contracts import FormatContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Batch

moment = datetime.fromisoformat

# Type -> three distinct values; the third row of most columns is NULL.
FLAT: dict[str, list[Any]] = {
    "BOOLEAN": [True, False, None],
    "TINYINT": [127, -128, None],
    "SMALLINT": [32_767, -32_768, None],
    "INT": [2_147_483_647, -2_147_483_648, None],
    "BIGINT": [2**63 - 1, -(2**63), None],
    "BIGINT NOT NULL": [1, 2, 3],
    "FLOAT": [1.5, -3.4028234663852886e38, None],
    "DOUBLE": [0.1, 1.7976931348623157e308, None],
    "DECIMAL(38, 18)": [Decimal("12345678901234567890.123456789012345678"), Decimal("-0.000000000000000001"), None],
    "DECIMAL(4, 4)": [Decimal("0.9999"), Decimal("-0.0001"), None],
    "CHAR(3)": ["abc", "ä", None],
    "VARCHAR(4)": ["", "日本", None],
    "STRING": ['say "hi",\\ \t\n\r', "\u2028\x00\x1f\x7f😀", None],
    "STRING NOT NULL": ["a", "", "NULL"],
    "BINARY(2)": [b"ab", b"\x00", None],
    "BYTES": [b"\xff\xfe\n", b"", None],
    "DATE": [date(1, 1, 1), date(9999, 12, 31), None],
    "TIME(0)": [time(0, 0, 0), time(23, 59, 59), None],
    "TIME(9)": [time(10, 0, 0, 500_000), time(23, 59, 59, 999_999), None],
    "TIMESTAMP(3)": [moment("1969-12-31T23:59:59.999000"), moment("2026-01-31T10:00:00.120000"), None],
    "TIMESTAMP(6)": [moment("0001-01-01T00:00:00"), moment("9999-12-31T23:59:59.999999"), None],
    "TIMESTAMP(9)": [moment("1700-01-01T00:00:00"), moment("2262-01-01T00:00:00.000001"), None],
    "TIMESTAMP_LTZ(3)": [moment("2024-02-29T23:00:00"), moment("1900-03-01T00:00:00"), None],
}
NESTED: dict[str, list[Any]] = {
    "ARRAY<INT>": [[1, None, 3], [], None],
    "ARRAY<STRING NOT NULL> NOT NULL": [['"'], ["a", "\n"], []],
    "ARRAY<ARRAY<DECIMAL(5, 2)>>": [[[Decimal("1.50")], [], None], [], None],
    "ARRAY<TIMESTAMP(3)>": [[moment("2026-01-31T10:00:00")], [None, moment("2026-01-31T10:00:00.005000")], None],
    "MAP<STRING NOT NULL, DOUBLE>": [[{"key": "a", "value": 1.5}, {"key": '"', "value": None}], [], None],
    "MAP<STRING NOT NULL, ARRAY<BOOLEAN>>": [[{"key": "a", "value": [True, None]}], [{"key": "", "value": None}], None],
    "ROW<x INT, `y z` STRING>": [{"x": 1, "y z": "a"}, {"x": None, "y z": None}, None],
    "ROW<x INT NOT NULL, r ROW<b BYTES, t TIME(3)>> NOT NULL": [
        {"x": 1, "r": {"b": b"\x00", "t": time(1, 2, 3)}},
        {"x": 2, "r": None},
        {"x": 3, "r": {"b": None, "t": None}},
    ],
    "ARRAY<ROW<m MAP<STRING NOT NULL, INT>, d DATE>>": [[{"m": [{"key": "k", "value": 1}], "d": date(2026, 1, 31)}, None], [], None],
}

COLUMNS: dict[tuple[str, str], tuple[dict[str, list[Any]], dict[str, object]]] = {
    ("json", "all"): (FLAT | NESTED, {}),
    ("json", "sql"): (FLAT, {"timestamp_format": "SQL"}),
    ("csv", "all"): (FLAT, {}),
    ("csv", "header"): (FLAT, {"header": True}),
    ("csv", "dialect"): (FLAT, {"field_delimiter": "\t", "quote_character": "'", "null_literal": "NULL", "timestamp_format": "SQL"}),
    ("csv", "one"): ({"STRING": ["", None, "a,b"]}, {}),
    ("raw", "text"): ({"STRING": ["a", "", "ä\r"]}, {}),
    ("raw", "bytes"): ({"BYTES": [b"\xff", b"", b"\x00\r"]}, {}),
    ("raw", "crlf"): ({"STRING": ["a", "", "ä"]}, {"crlf": True}),
}


def make(columns: Mapping[str, list[Any]]) -> tuple[TableSchema, Batch]:
    """Columns `c0`, `c1`, ... of these types."""
    schema = TableSchema(tuple(Field(f"c{number}", parse_type(text)) for number, text in enumerate(columns)))
    series = []
    for item, values in zip(schema.fields, columns.values(), strict=True):
        series.append(pl.Series(item.name, values, dtype=polars_type(item.type), strict=True))
    return schema, batch_from_polars(pl.DataFrame(series), schema)


@pytest.mark.parametrize("case", COLUMNS, ids="-".join)
def test_format_keeps_its_contract(case: tuple[str, str]) -> None:
    """Each format with columns of every kind that it holds, under different options."""
    columns, raw = COLUMNS[case]
    schema, batch = make(columns)
    word = load_format(case[0])
    FormatContract(format=word, schema=schema, batch=batch, options=read_options(word.options, raw, of=case[0])).check()


def test_every_format_is_here() -> None:
    """The dictionary and the cases name the same words, and each word says its name."""
    assert {name for name, _ in COLUMNS} == set(FORMATS)
    for name in FORMATS:
        assert load_format(name).name == name
        assert load_format(name).doc.endswith(".")
