"""Properties of the formats over generated types, values and damage."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxline.batch import batch_from_polars, polars_type
from fluxline.formats import load_format
from fluxline.schema import Field, LogicalType, TableSchema, decimal, parse_type, row, timestamp
from tests.formats.reading import decode, decode_records, make_decoder, schema_of

if TYPE_CHECKING:
    from fluxline.batch import Batch
    from fluxline.formats.base import Format

FEW = settings(max_examples=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLAT_TYPES = st.one_of(
    st.sampled_from(["BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR(8)", "STRING", "BYTES", "DATE"]).map(parse_type),
    st.integers(1, 38).flatmap(lambda precision: st.integers(0, precision).map(lambda scale: decimal(precision, scale))),
    st.builds(timestamp, st.integers(0, 9), local=st.booleans()),
    st.integers(0, 9).map(lambda precision: LogicalType("TIME", precision=precision)),
)


def nullable(types: st.SearchStrategy[LogicalType]) -> st.SearchStrategy[LogicalType]:
    """The types, some of them NOT NULL."""
    return st.builds(LogicalType.with_nullable, types, st.booleans())


def nest(children: st.SearchStrategy[LogicalType]) -> st.SearchStrategy[LogicalType]:
    """Arrays, maps and rows of the types."""
    key = parse_type("STRING NOT NULL")
    return nullable(
        st.one_of(
            children.map(lambda child: LogicalType("ARRAY", children=(child,))),
            children.map(lambda child: LogicalType("MAP", children=(key, child))),
            st.lists(children, min_size=1, max_size=3).map(lambda found: row(Field(f"m{number}", child) for number, child in enumerate(found))),
        )
    )


TYPES = st.recursive(nullable(FLAT_TYPES), nest, max_leaves=4)


def values_for(logical: LogicalType) -> st.SearchStrategy[Any]:
    """Values of a type as Polars takes them, which the type holds exactly."""
    found = _present(logical)
    return st.none() | found if logical.nullable else found


def _present(logical: LogicalType) -> st.SearchStrategy[Any]:
    bits = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
    if logical.integer:
        half = 2 ** (bits[logical.root] - 1)
        return st.integers(-half, half - 1)
    match logical.root:
        case "BOOLEAN":
            return st.booleans()
        case "FLOAT":
            return st.floats(width=32, allow_nan=False, allow_infinity=False)
        case "DOUBLE":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "DECIMAL":
            assert logical.precision is not None and logical.scale is not None
            largest, scale = 10**logical.precision - 1, logical.scale
            return st.integers(-largest, largest).map(lambda unscaled: Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale)))
        case "VARCHAR":
            return TEXTS
        case "VARBINARY":
            return st.binary(max_size=6)
        case "DATE":
            return st.dates()
        case "TIME":
            return st.times().map(lambda value: value.replace(microsecond=_cut(value.microsecond, logical)))
        case "TIMESTAMP" | "TIMESTAMP_LTZ":
            wide = logical.precision is not None and logical.precision <= 6
            dates = st.dates() if wide else st.dates(date(1680, 1, 1), date(2260, 1, 1))
            return st.builds(datetime.combine, dates, st.times()).map(lambda value: value.replace(microsecond=_cut(value.microsecond, logical)))
        case "ARRAY":
            return st.lists(values_for(logical.children[0]), max_size=3)
        case "MAP":
            pairs = st.dictionaries(TEXTS, values_for(logical.children[1]), max_size=3)
            return pairs.map(lambda found: [{"key": key, "value": value} for key, value in found.items()])
    return st.fixed_dictionaries({item.name: values_for(item.type) for item in logical.fields})


def _cut(microsecond: int, logical: LogicalType) -> int:
    unit: int = 10 ** max(0, 6 - (logical.precision or 0))
    return microsecond // unit * unit


@st.composite
def batches(draw: st.DrawFn, types: st.SearchStrategy[LogicalType]) -> tuple[TableSchema, Batch]:
    """A few columns of generated types with up to 40 rows."""
    schema = TableSchema(tuple(Field(f"c{number}", logical) for number, logical in enumerate(draw(st.lists(types, min_size=1, max_size=4)))))
    rows = draw(st.integers(1, 40))
    columns = [
        pl.Series(item.name, draw(st.lists(values_for(item.type), min_size=rows, max_size=rows)), dtype=polars_type(item.type), strict=True)
        for item in schema.fields
    ]
    return schema, batch_from_polars(pl.DataFrame(columns), schema)


def check_round_trip(word: Format, schema: TableSchema, batch: Batch) -> None:
    """Encoding and decoding give the same columns."""
    options = word.options()
    encoded = word.encoder(schema, options).encode(batch)
    decoder = word.decoder(schema, schema, options)
    bounds = decoder.split(encoded.data, final=True)
    assert bounds.tolist() == encoded.bounds.tolist()
    decoded = decoder.decode(encoded.data, bounds)
    assert decoded.rejects == ()
    for name, column in batch.columns.items():
        assert decoded.columns[name].series().equals(column.series(), null_equal=True), (schema.describe(), encoded.data)


@FEW
@given(batches(TYPES))
def test_json_columns_come_back(made: tuple[TableSchema, Batch]) -> None:
    """Every type, nested ones and NULL included."""
    check_round_trip(load_format("json"), *made)


@FEW
@given(batches(nullable(FLAT_TYPES)))
def test_csv_columns_come_back(made: tuple[TableSchema, Batch]) -> None:
    """Every flat type, quoted newlines and NULL included."""
    check_round_trip(load_format("csv"), *made)


@FEW
@given(batches(TYPES))
def test_json_is_json(made: tuple[TableSchema, Batch]) -> None:
    """Another reader of JSON takes every record, in UTF-8 and with the fields in order."""
    schema, batch = made
    word = load_format("json")
    encoded = word.encoder(schema, word.options()).encode(batch)
    lines = encoded.data.decode().split("\n")
    assert lines.pop() == ""
    assert [list(json.loads(line)) for line in lines] == [list(schema.names())] * batch.rows


RECORDS = schema_of(id="BIGINT NOT NULL", price="DECIMAL(10, 2)", at="TIMESTAMP(3)", note="STRING", tags="ARRAY<INT>")
FLAT_RECORDS = schema_of(id="BIGINT NOT NULL", price="DECIMAL(10, 2)", at="TIMESTAMP(3)", note="STRING", ratio="DOUBLE")
JSON_RECORD = b'{"id":%d,"price":1.50,"at":"2026-01-31T10:00:00.5","note":"a \\"b\\" \xc3\xa9","tags":[1,null]}'
CSV_RECORD = b'%d,1.50,2026-01-31T10:00:00.5,"a ""b"", \xc3\xa9",1.5'
DAMAGE = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4)
TELLING = st.sampled_from([b"\n", b'"', b"{", b"}", b",", b"[", b"]", b"\\", b"\x00", b"\xff", b"e", b"-", b"9", b" ", b"\r", b"null"])


def damage(record: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """The record with pieces replaced."""
    for where, length, piece in changes:
        start = where % (len(record) + 1)
        record = record[:start] + piece + record[start + length :]
    return record


@settings(max_examples=120)
@given(DAMAGE | st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), TELLING), min_size=1, max_size=3), st.integers(0, 50))
def test_damage_costs_only_its_own_record(changes: list[tuple[int, int, bytes]], place: int) -> None:
    """A damaged record is a row or a reject that is explained; its neighbours are rows whatever it is."""
    for word, schema, template in (("json", RECORDS, JSON_RECORD), ("csv", FLAT_RECORDS, CSV_RECORD)):
        records = [template % number for number in range(50)]
        records.insert(place, damage(template % 7, changes))
        decoded = decode_records(make_decoder(word, schema), records)
        numbers = decoded.columns["id"].series().to_list()
        others = [number for number, index in zip(numbers, _records(decoded, 51), strict=True) if index != place]
        assert others == list(range(50))
        assert {found.index for found in decoded.rejects} <= {place}
        assert all(found.detail != "A field does not fit its type." for found in decoded.rejects)


def _records(decoded: Any, count: int) -> list[int]:
    return list(range(count)) if decoded.records is None else decoded.records.tolist()


@settings(max_examples=80)
@given(st.binary(max_size=300) | st.text('{}[]",:\\\n\r0123456789.eE-+ truefalsn"idv\u00e9', max_size=120).map(str.encode))
def test_any_bytes_are_rows_and_rejects(data: bytes) -> None:
    """As many as there are records, and never an exception."""
    for word, schema in (("json", RECORDS), ("csv", FLAT_RECORDS), ("raw", schema_of(line="STRING"))):
        decoder = make_decoder(word, schema)
        bounds = decoder.split(data, final=True)
        assert int(bounds[-1]) == len(data)
        decoded = decoder.decode(data, bounds)
        assert decoded.rows + len(decoded.rejects) == len(bounds) - 1
        assert sorted([*_records(decoded, decoded.rows), *(found.index for found in decoded.rejects)]) == list(range(len(bounds) - 1))


@settings(max_examples=80)
@given(st.text('ab",\n\r', max_size=60).map(str.encode), st.lists(st.integers(1, 9), min_size=1))
def test_pieces_of_csv_give_the_same_records(data: bytes, sizes: list[int]) -> None:
    """Quoted newlines, stray quotes and open ends included."""
    schema = schema_of(a="STRING", b="STRING")
    whole = make_decoder("csv", schema)
    expected = whole.split(data, final=True).tolist()
    decoder, found, start, position, turn = make_decoder("csv", schema), [0], 0, 0, 0
    while position < len(data):
        position += sizes[turn % len(sizes)]
        turn += 1
        bounds = decoder.split(data[start:position], final=position >= len(data))
        found += (bounds[1:] + start).tolist()
        start += int(bounds[-1])
    assert found == expected


@settings(max_examples=80)
@given(st.lists(st.sampled_from(["a", "", '"', '""', ",", "\n", "x y", "\u00e9", "\r\n"]), max_size=4).map("".join), st.booleans())
def test_csv_text_comes_back(text: str, other: bool) -> None:
    """Whatever special characters a text is made of."""
    schema = schema_of(a="STRING", b="STRING")
    frame = pl.DataFrame({"a": [text, None], "b": ["", text if other else None]}, schema={"a": pl.String, "b": pl.String})
    check_round_trip(load_format("csv"), schema, batch_from_polars(frame, schema))


@settings(max_examples=80)
@given(st.datetimes(), st.integers(0, 9), st.integers(0, 9), st.sampled_from(["", "Z", "x", "+00:00"]), st.booleans())
def test_timestamps_are_read_as_by_another_calendar(value: datetime, digits: int, precision: int, suffix: str, local: bool) -> None:
    """Python's own calendar counts the same time since 1970; the fraction is cut at the column's precision."""
    fraction = f"{value.microsecond:06}123"[:digits]
    text = value.strftime("%Y").zfill(4) + value.strftime("-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + suffix
    logical = timestamp(precision, local=local)
    decoded = decode("json", TableSchema((Field("v", logical),)), json.dumps({"v": text}).encode())
    exact = (value.replace(microsecond=0) - datetime.fromisoformat("1970-01-01")) // timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0"))
    in_range = precision <= 6 or -(2**63) + 10**9 <= exact < 2**63 - 10**9
    if suffix != ("Z" if local else ""):
        assert [found.reason for found in decoded.rejects] == ["wrong_type"]
    elif in_range:
        unit = 10 ** (9 - (3 if precision <= 3 else 6 if precision <= 6 else 9))
        cut = 10 ** (9 - precision)
        assert decoded.columns["v"].series().to_physical().to_list() == [exact // cut * cut // unit]


@settings(max_examples=120)
@given(st.integers(0, 10_000), st.integers(0, 20), st.integers(0, 40), st.integers(0, 30), st.integers(0, 70), st.integers(0, 70))
def test_only_real_dates_and_times_are_read(year: int, month: int, day: int, hour: int, minute: int, second: int) -> None:
    """As Python's calendar has them; year 0 is a leap year."""
    try:
        real = bool(date(2000 if year == 0 else year, month, day)) and bool(time(hour, minute, second) or True) and year < 10_000
    except ValueError:
        real = False
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    decoded = decode("json", schema_of(v="TIMESTAMP(3)"), json.dumps({"v": text}).encode())
    reasons = [found.reason for found in decoded.rejects]
    assert reasons == ([] if real else ["wrong_type" if year == 10_000 else "out_of_range"])


@settings(max_examples=120)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?", fullmatch=True), st.integers(1, 12), st.integers(0, 6))
def test_decimals_are_read_exactly(text: str, precision: int, scale: int) -> None:
    """A value fits exactly if Python's decimals say that it does."""
    scale = min(scale, precision)
    value = Decimal(text)
    scaled = value.scaleb(scale)
    fits = scaled == scaled.to_integral_value() and abs(scaled) < 10**precision
    decoded = decode("json", schema_of(v=f"DECIMAL({precision}, {scale})"), f'{{"v":{text}}}'.encode())
    if fits:
        assert decoded.columns["v"].series().to_list() == [value]
    else:
        assert [found.reason for found in decoded.rejects] == ["out_of_range"]


@settings(max_examples=80)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_doubles_are_the_nearest(text: str) -> None:
    """As Python reads the number; beyond the range it is rejected."""
    decoded = decode("json", schema_of(v="DOUBLE"), f'{{"v":{text}}}'.encode())
    csv = decode("csv", schema_of(v="DOUBLE"), f"{text}\n".encode())
    if np.isinf(float(text)):
        assert [found.reason for found in (*decoded.rejects, *csv.rejects)] == ["out_of_range"] * 2
    else:
        assert decoded.columns["v"].series().to_list() == csv.columns["v"].series().to_list() == [float(text)]
