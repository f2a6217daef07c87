"""CSV: records and fields as RFC 4180 has them, strict types, headers and dialects."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from fluxline.batch import batch_from_polars, polars_type
from fluxline.errors import ConfigError, UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.formats.csv.options import CSVOptions
from fluxline.limits import RECORD_BYTES_MAX
from fluxline.options import read_options
from tests.formats.reading import decode, make_decoder, rejected, schema_of, values_of

PAIR = schema_of(a="STRING", b="STRING")


def rows(data: bytes, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of a file with two text columns, which has no rejects."""
    decoded = decode("csv", PAIR, data, **options)
    assert decoded.rejects == ()
    return list(zip(*(decoded.columns[name].series().to_list() for name in ("a", "b")), strict=True))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"x,y\n", [("x", "y")]),
        (b"x,y", [("x", "y")]),
        (b"x,y\r\nz,w\r\n", [("x", "y"), ("z", "w")]),
        (b",\n", [(None, None)]),
        (b'"",""\n', [("", "")]),
        (b'"x","y"\n', [("x", "y")]),
        (b'"a,b","c\nd"\r\n', [("a,b", "c\nd")]),
        (b'"a""b",""""\n', [('a"b', '"')]),
        (b'"a\r\nb",c\n', [("a\r\nb", "c")]),
        (b' x , "y"\n'.replace(b'"', b"'"), [(" x ", " 'y'")]),
        (b"a\rb,c\n", [("a\rb", "c")]),
        ("é,日本\n".encode(), [("é", "日本")]),
        (b'"",\n', [("", None)]),
        (b'"\n\n",x\n"y",z\n', [("\n\n", "x"), ("y", "z")]),
        (b"\\N,NULL\n", [("\\N", "NULL")]),
        (b"", []),
    ],
)
def test_records_and_fields(data: bytes, expected: list[tuple[str | None, str | None]]) -> None:
    """Quotes, doubled quotes, line ends inside quotes; only an empty field without quotes is NULL."""
    assert rows(data) == expected


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (b"x", "The record has 1 field, and the file 2 columns."),
        (b"x,y,z", "The record has 3 fields, and the file 2 columns."),
        (b"", "The record has 1 field, and the file 2 columns."),
        (b'x,a"b', "A quote stands in the middle of a field, or one is missing."),
        (b'x,"a"b', "A quote stands in the middle of a field, or one is missing."),
        (b'"x"y,z', "A quote stands in the middle of a field, or one is missing."),
        (b'x, "y"', "A quote stands in the middle of a field, or one is missing."),
        (b'"x"""y",z', "A quote stands in the middle of a field, or one is missing."),
    ],
)
def test_a_malformed_record(record: bytes, detail: str) -> None:
    """Its neighbours are rows, those with quoted newlines too."""
    decoded = decode("csv", PAIR, b'1,"\n"\n' + record + b'\n"2,","3"\n4,5\n')
    assert [(found.index, found.reason, found.detail) for found in decoded.rejects] == [(1, "malformed", detail)]
    assert decoded.columns["a"].series().to_list() == ["1", "2,", "4"]


def test_a_quote_that_is_never_closed() -> None:
    """Takes in what follows up to the next quote; behind it records are found again."""
    decoded = decode("csv", PAIR, b'1,2\n3,"open\n4,5\n6,"7"\n8,9\n10,"11\n12"\n')
    assert rejected(decoded) == [(1, "malformed")]
    assert decoded.columns["a"].series().to_list() == ["1", "8", "10"]
    decoded = decode("csv", PAIR, b'1,2\n3,"open\n4,5\n')
    assert rejected(decoded) == [(1, "malformed")]


def test_a_quote_that_is_never_closed_ends_at_the_limit() -> None:
    """Then the record is cut, and the next line is a record again."""
    decoder = make_decoder("csv", PAIR)
    data = b'1,2\n3,"open' + b"x\n" * (RECORD_BYTES_MAX // 2)
    bounds = decoder.split(data, final=False)
    assert bounds.tolist() == [0, 4, len(data)]
    assert rejected(decoder.decode(data, bounds)) == [(1, "too_large")]
    rest = b'x\n4,"5"\n'
    bounds = decoder.split(rest, final=True)
    assert bounds.tolist() == [2, 8]
    assert decoder.decode(rest, bounds).columns["b"].series().to_list() == ["5"]


def test_not_utf8_is_its_own_reason() -> None:
    """Also where nobody reads the field."""
    decoded = decode("csv", schema_of(b="STRING"), b"\xff,y\nx,z\n", declared=PAIR)
    assert rejected(decoded) == [(0, "not_utf8")]
    assert decoded.columns["b"].series().to_list() == ["z"]


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("TINYINT", ["127", "-128", "", "0", "-0"], [127, -128, None, 0, 0]),
        ("TINYINT", ["128", "-129", "1.0", "1e2", "+5", "007", " 5", "x", "--1", "\uff11"], ["out_of_range"] * 2 + ["wrong_type"] * 8),
        ("BIGINT", ["9223372036854775807"], [2**63 - 1]),
        ("BIGINT", ["9223372036854775808", "1" * 30], ["out_of_range"] * 2),
        ("BIGINT NOT NULL", ["5"], [5]),
        ("BIGINT NOT NULL", [""], ["missing"]),
        ("DOUBLE", ["1.5", "1", "-2e3", "1e-400", "", "0.1"], [1.5, 1.0, -2000.0, 0.0, None, 0.1]),
        ("DOUBLE", ["1e400", "-1e400", "NaN", "inf", ".5", "5.", "1_0", "0x1", " 1"], ["out_of_range"] * 2 + ["wrong_type"] * 7),
        ("FLOAT", ["1.5", ""], [1.5, None]),
        ("FLOAT", ["1e39"], ["out_of_range"]),
        ("BOOLEAN", ["true", "false", ""], [True, False, None]),
        ("BOOLEAN", ["TRUE", "1", "yes", " true"], ["wrong_type"] * 4),
        ("DECIMAL(4, 2)", ["1.5", "-99.99", "15e-1", "1.500", ""], ["1.50", "-99.99", "1.50", "1.50", None]),
        ("DECIMAL(4, 2)", ["1.555", "100", "x", "+1"], ["out_of_range"] * 2 + ["wrong_type"] * 2),
        ("VARCHAR(3)", ["abc", "äöü", ""], ["abc", "äöü", None]),
        ("VARCHAR(3)", ["abcd"], ["out_of_range"]),
        ("STRING NOT NULL", ['""', "x"], ["", "x"]),
        ("STRING NOT NULL", [""], ["missing"]),
        ("BYTES", ["YQ==", '"YWJj"', '""', ""], ["61", "616263", "", None]),
        ("BYTES", ["YQ", "YR==", "Y Q="], ["wrong_type"] * 3),
        ("DATE", ["2026-01-31", '"2024-02-29"', ""], ["2026-01-31", "2024-02-29", None]),
        ("DATE", ["2026-02-30", "31.1.2026", "now"], ["out_of_range", "wrong_type", "wrong_type"]),
        ("TIME(3)", ["10:00:00.5", "23:59:59", ""], ["10:00:00.500", "23:59:59.000", None]),
        ("TIME(3)", ["24:00:00", "10:00"], ["out_of_range", "wrong_type"]),
        ("TIMESTAMP(3)", ["2026-01-31T10:00:00.1239", ""], ["2026-01-31T10:00:00.123", None]),
        ("TIMESTAMP(3)", ["2026-01-31T10:00:00Z", "2026-01-31 10:00:00", "2026-01-31T24:00:00"], ["wrong_type"] * 2 + ["out_of_range"]),
        ("TIMESTAMP_LTZ(3)", ["2026-01-31T10:00:00Z", '"2026-01-31T10:00:00.5Z"'], ["2026-01-31T10:00:00.000", "2026-01-31T10:00:00.500"]),
        ("TIMESTAMP_LTZ(3)", ["2026-01-31T10:00:00", '"2026-01-31T10:00:00""Z"'], ["wrong_type"] * 2),
    ],
)
def test_types_are_strict(text: str, fields: list[str], expected: list[Any]) -> None:
    """Either all fields of a case are values or all are rejected; alone they become the same."""
    schema = schema_of(n="INT", v=text)
    data = "".join(f"{number},{field}\n" for number, field in enumerate(fields)).encode()
    decoded = decode("csv", schema, data)
    found = values_of(decoded.columns["v"], schema.field("v").type) or [reject.reason for reject in decoded.rejects]
    assert found == expected
    assert decoded.rows + len(decoded.rejects) == len(fields)
    for field, one in zip(fields, expected, strict=True):
        alone = decode("csv", schema, f"1,{field}".encode())
        assert (values_of(alone.columns["v"], schema.field("v").type) or [reject.reason for reject in alone.rejects]) == [one]


@pytest.mark.parametrize(
    ("text", "field", "detail"),
    [
        ("INT", b"x", 'Field "v" is INT, and it holds the text "x".'),
        ("INT NOT NULL", b"", 'Field "v" is INT NOT NULL, and it is null.'),
        ("TIMESTAMP(3)", b"now", 'Field "v" is TIMESTAMP(3), and it holds the text "now"; the form is 2026-01-31T10:00:00.'),
        ("VARCHAR(2)", b'"a""b"', 'Field "v" is VARCHAR(2), and it holds the text "a"b", which does not fit.'),
    ],
)
def test_a_reject_says_what_was_found(text: str, field: bytes, detail: str) -> None:
    """The first field that is not of its type."""
    decoded = decode("csv", schema_of(v=text, w="INT"), field + b",later\n")
    assert [found.detail for found in decoded.rejects] == [detail]


def test_a_dialect() -> None:
    """Other characters, and another word for NULL: then an empty field is an empty text."""
    data = b"'a\t''b'\t\\N\n\t'\\N'\n"
    assert rows(data, field_delimiter="\t", quote_character="'", null_literal="\\N") == [("a\t'b", None), ("", "\\N")]


def test_sql_timestamps() -> None:
    """With a space instead of T."""
    decoded = decode("csv", schema_of(v="TIMESTAMP_LTZ(3)"), b"2026-01-31 10:00:00Z\n", timestamp_format="SQL")
    assert values_of(decoded.columns["v"], schema_of(v="TIMESTAMP_LTZ(3)").field("v").type) == ["2026-01-31T10:00:00.000"]


def test_a_header_names_the_columns() -> None:
    """In any order, with columns that nobody knows, a byte order mark in front, and quotes where they are needed."""
    data = b'\xef\xbb\xbf"b","extra, ""x""",a\r\ny,1,x\r\n'
    assert rows(data, header=True) == [("x", "y")]
    assert rows(b"a,b\n", header=True) == []
    assert rows(b"a,b", header=True) == []


def test_a_header_comes_in_pieces() -> None:
    """It is no record, and what follows it is."""
    decoder = make_decoder("csv", PAIR, header=True)
    assert decoder.split(b"b", final=False).tolist() == [0]
    assert decoder.snapshot() == {}
    bounds = decoder.split(b"b,a\nx,", final=False)
    assert bounds.tolist() == [4]
    assert decoder.snapshot() == {"columns": ["b", "a"], "fault": ""}
    bounds = decoder.split(b"x,y\n", final=True)
    assert decoder.decode(b"x,y\n", bounds).columns["a"].series().to_list() == ["y"]


def test_a_field_that_the_header_does_not_name() -> None:
    """Is NULL; where it is NOT NULL every record of the file is rejected, with the nearest name."""
    data = b"sensor_ids,b\nx,y\nz,w\n"
    decoded = decode("csv", schema_of(sensor_id="STRING", b="STRING"), data, header=True)
    assert decoded.columns["sensor_id"].series().to_list() == [None, None]
    decoded = decode("csv", schema_of(sensor_id="STRING NOT NULL", b="STRING"), data, header=True)
    assert rejected(decoded) == [(0, "missing"), (1, "missing")]
    assert decoded.rejects[0].detail == ('Field "sensor_id" is STRING NOT NULL, and it is not in the file\'s header. Did you mean "sensor_ids"?')


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (b"a,b,a", 'The file\'s header names the column "a" twice.'),
        (b'a,b"', "In the file's header a quote stands in the middle of a name, or one is missing."),
        (b"a,\xff", "The file's header is not valid UTF-8."),
        (b"a," + b"b" * RECORD_BYTES_MAX, f"The file's header is longer than {RECORD_BYTES_MAX} bytes."),
    ],
)
def test_a_header_that_cannot_be_used(header: bytes, detail: str) -> None:
    """Rejects all records of its file, and says so after a stop as well."""
    decoder = make_decoder("csv", PAIR, header=True)
    data = header + b"\nx,y\nz,w\n"
    decoded = decoder.decode(data, decoder.split(data, final=True))
    assert [(found.reason, found.detail) for found in decoded.rejects] == [("malformed", detail)] * 2
    other = make_decoder("csv", PAIR, header=True)
    other.restore(decoder.snapshot())
    decoded = other.decode(b"x,y\n", other.split(b"x,y\n", final=True))
    assert [found.detail for found in decoded.rejects] == [detail]


def test_columns_without_a_header() -> None:
    """Come in the order of the schema as declared, or of the option, whichever fields are read."""
    wanted = schema_of(c="INT", a="INT")
    declared = schema_of(a="INT", b="STRING", c="INT")
    decoded = decode("csv", wanted, b"1,x,3\n", declared=declared)
    assert {name: column.series().to_list() for name, column in decoded.columns.items()} == {"c": [3], "a": [1]}
    decoded = decode("csv", wanted, b"7,3,x,1\n", declared=declared, columns=["other", "c", "b", "a"])
    assert {name: column.series().to_list() for name, column in decoded.columns.items()} == {"c": [3], "a": [1]}


@pytest.mark.parametrize(
    "options",
    [
        {"field_delimiter": ""},
        {"field_delimiter": ",,"},
        {"field_delimiter": "a"},
        {"field_delimiter": "."},
        {"field_delimiter": "\n"},
        {"field_delimiter": "·"},
        {"quote_character": ","},
        {"quote_character": "-"},
        {"null_literal": "a,b"},
        {"null_literal": '"'},
        {"null_literal": "\n"},
        {"columns": []},
        {"columns": ["a", "a"]},
        {"columns": ["a", 5]},
        {"columns": ["a", "b"], "header": True},
        {"timestamp_format": "RFC"},
    ],
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    """They are refused where they are read, by name."""
    with pytest.raises(ConfigError) as error:
        read_options(CSVOptions, options, of='format "csv"')
    assert error.value.code == "FLX-1106"


def test_columns_must_name_what_is_read() -> None:
    """The nearest name is suggested."""
    with pytest.raises(ConfigError) as error:
        make_decoder("csv", schema_of(sensor_id="INT"), columns=["sensor_ids", "b"])
    assert error.value.code == "FLX-1125"
    assert error.value.hint == 'Did you mean "sensor_ids"?'


@pytest.mark.parametrize("text", ["ARRAY<INT>", "MAP<STRING, INT>", "ROW<x INT>"])
def test_nested_types_are_refused(text: str) -> None:
    """For reading and for writing."""
    word = load_format("csv")
    schema = schema_of(v=text)
    for make in (lambda: word.decoder(schema, schema, word.options()), lambda: word.encoder(schema, word.options())):
        with pytest.raises(UnsupportedByEngine) as error:
            make()
        assert error.value.code == "FLX-2130"


def encode(types: dict[str, str], values: dict[str, list[Any]], **options: object) -> tuple[str, str]:
    """The header and the records of some columns."""
    schema = schema_of(**types)
    word = load_format("csv")
    encoder = word.encoder(schema, read_options(word.options, options, of="csv"))
    series = [pl.Series(item.name, values[item.name], dtype=polars_type(item.type)) for item in schema.fields]
    return encoder.header().decode(), encoder.encode(batch_from_polars(pl.DataFrame(series), schema)).data.decode()


def test_what_is_written() -> None:
    """Every flat type, and quotes exactly where they are needed; the text is written by hand."""
    types = {
        "i": "INT", "d": "DECIMAL(5, 2)", "f": "DOUBLE", "s": "STRING", "o": "BOOLEAN", "y": "BYTES", "e": "DATE", "m": "TIME(3)",
        "t": "TIMESTAMP_LTZ(3)",
    }  # fmt: skip
    columns: dict[str, list[Any]] = {
        "i": [1, None], "d": [Decimal("1.5"), None], "f": [0.1, None], "s": ['a,"b"', ""], "o": [True, None], "y": [b"a", b""],
        "e": [date(2026, 1, 31), None], "m": [time(1, 2, 3), None], "t": [datetime.fromisoformat("2026-01-31T10:00:00.500"), None],
    }  # fmt: skip
    header, records = encode(types, columns, header=True)
    assert header == "i,d,f,s,o,y,e,m,t\n"
    assert records == '1,1.50,0.1,"a,""b""",true,YQ==,2026-01-31,01:02:03,2026-01-31T10:00:00.5Z\n,,,"",,"",,,\n'


def test_texts_that_need_quotes() -> None:
    """Line ends, the delimiter, quotes, and what would be read as NULL."""
    texts = ["a b", "a\nb", "a\rb", "a;b", "a'b", "NULL", "", None, "null"]
    _header, records = encode({"s": "STRING"}, {"s": texts}, field_delimiter=";", quote_character="'", null_literal="NULL")
    assert records == "a b\n'a\nb'\n'a\rb'\n'a;b'\n'a''b'\n'NULL'\n\nNULL\nnull\n"


def test_numbers_that_would_be_read_as_null() -> None:
    """Are quoted too."""
    _header, records = encode({"i": "INT"}, {"i": [0, 1, None]}, null_literal="0")
    assert records == '"0"\n1\n0\n'
    schema = schema_of(i="INT")
    assert values_of(decode("csv", schema, records.encode(), null_literal="0").columns["i"], schema.field("i").type) == [0, 1, None]


def test_columns_in_the_order_of_the_option() -> None:
    """Exactly the columns that are written."""
    types = {"a": "INT", "b": "INT"}
    assert encode(types, {"a": [1], "b": [2]}, columns=["b", "a"]) == ("", "2,1\n")
    assert encode({"a,b": "INT"}, {"a,b": [1]}, header=True) == ('"a,b"\n', "1\n")
    for names in (["a"], ["a", "b", "c"]):
        with pytest.raises(ConfigError) as error:
            encode(types, {"a": [1], "b": [2]}, columns=names)
        assert error.value.code == "FLX-1125"
