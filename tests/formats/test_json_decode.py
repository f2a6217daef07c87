"""Blocks of JSON records: many at once, misfits among them, and what is said of each."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

from fluxline.errors import UnsupportedByEngine
from fluxline.formats.json.depth import cut_deep, is_too_deep
from fluxline.formats.json.options import JSONOptions
from fluxline.options import read_options
from fluxline.schema import Field, LogicalType, TableSchema, parse_type
from tests.formats.reading import decode, decode_records, make_decoder, rejected, schema_of, values_of

BIDS = schema_of(auction="BIGINT", price="DECIMAL(12, 2)", at="TIMESTAMP_LTZ(3)", channel="STRING", ratio="DOUBLE", paid="BOOLEAN", bidder="INT")


def bid(number: int) -> bytes:
    """A record whose every third value is NULL or not there."""
    fields: dict[str, object] = {"bidder": number, "auction": number * 3, "ratio": number / 8, "paid": number % 2 == 0, "channel": f"c{number % 7}"}
    if number % 3 == 0:
        fields |= {"ratio": None, "paid": None, "channel": None, "auction": None}
    if number % 5 == 0:
        del fields["bidder"]
    if number % 4:
        fields["at"] = f"2026-01-31T10:{number // 60 % 60:02}:{number % 60:02}{'.5' if number % 7 == 0 else ''}Z"
    return json.dumps(fields).encode()[:-1] + b',"price":%d.%02d}' % (number, number % 100)


def test_a_block_of_many_records() -> None:
    """With NULL in every kind of column, values stay with their records."""
    count = 5_000
    decoded = decode("json", BIDS, b"\n".join(bid(number) for number in range(count)))
    assert decoded.rejects == ()
    assert decoded.records is None
    columns = {name: column.series(name).to_list() for name, column in decoded.columns.items()}
    numbers = range(count)
    assert columns["bidder"] == [None if number % 5 == 0 else number for number in numbers]
    assert columns["auction"] == [None if number % 3 == 0 else number * 3 for number in numbers]
    assert columns["ratio"] == [None if number % 3 == 0 else number / 8 for number in numbers]
    assert columns["paid"] == [None if number % 3 == 0 else number % 2 == 0 for number in numbers]
    assert columns["channel"] == [None if number % 3 == 0 else f"c{number % 7}" for number in numbers]
    assert columns["price"] == [Decimal(number * 100 + number % 100).scaleb(-2) for number in numbers]
    seconds = [f"10:{number // 60 % 60:02}:{number % 60:02}.{5 if number % 7 == 0 else 0}00" for number in numbers]
    expected = [datetime.fromisoformat(f"2026-01-31T{text}") for text in seconds]
    assert columns["at"] == [moment if number % 4 else None for number, moment in zip(numbers, expected, strict=True)]


@pytest.mark.parametrize("every", [1, 2, 10, 97])
def test_misfits_among_many_records(every: int) -> None:
    """Each kind of misfit again and again; the rest are rows in their order, and each reject has its own reason."""
    kinds = [
        (b'{"bidder":', "malformed"), (b'{"bidder":"x"}', "wrong_type"), (b'{"bidder":3000000000}', "out_of_range"), (b"", "malformed"),
        (b'{"at":"now"}', "wrong_type"), (b'{"a":"\xff"}', "not_utf8"), (b'{"price":1.555}', "out_of_range"),
    ]  # fmt: skip
    records = [kinds[number // every % len(kinds)][0] if number % every == 0 else bid(number) for number in range(1_500)]
    decoded = decode_records(make_decoder("json", BIDS), records)
    assert rejected(decoded) == [(number, kinds[number // every % len(kinds)][1]) for number in range(0, 1_500, every)]
    healthy = [number for number in range(1_500) if number % every]
    assert decoded.records is not None
    assert decoded.records.tolist() == healthy
    assert values_of(decoded.columns["bidder"], parse_type("INT")) == [None if number % 5 == 0 else number for number in healthy]


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        ([b'{"v":1}{"v":2}', b"", b'{"v":3}'], {0: "malformed", 1: "malformed"}),
        ([b'{"v":1', b',"w":2}', b'{"v":3}{"v":4}'], {0: "malformed", 1: "malformed", 2: "malformed"}),
        ([b'{"w":{"x":1}', b'{"v":2}{"v":3}'], {0: "malformed", 1: "malformed"}),
        ([b'{"v":1}', b'{"v":2}{"v":3}', b' {"v":4}', b""], {1: "malformed", 3: "malformed"}),
        ([b'{"v":1}}', b'{"v":2}', b'{{"v":3}'], {0: "malformed", 2: "malformed"}),
        ([b'{"w":"', b'","v":2}', b'{"v":3}{"v":3}'], {0: "malformed", 1: "malformed", 2: "malformed"}),
        ([b'{"w":[{"x":1}', b'{"x":2}],"v":5}'], {0: "malformed", 1: "malformed"}),
    ],
)
def test_objects_do_not_hide_in_their_neighbours(lines: list[bytes], reasons: dict[int, str]) -> None:
    """Two on a line and an empty line, or one over two lines, are as many objects as lines, and yet no rows."""
    decoded = decode_records(make_decoder("json", schema_of(v="BIGINT")), lines)
    assert dict(rejected(decoded)) == reasons
    assert decoded.rows == len(lines) - len(reasons)


@pytest.mark.parametrize(
    ("types", "record", "detail"),
    [
        ({"v": "BIGINT"}, b'{"v":"abc"}', 'Field "v" is BIGINT, and it holds the text "abc".'),
        ({"v": "BIGINT"}, b'{"v":12.7}', 'Field "v" is BIGINT, and it holds the number 12.7.'),
        ({"v": "TINYINT"}, b'{"v":300}', 'Field "v" is TINYINT, and it holds the number 300, which does not fit.'),
        ({"v": "STRING"}, b'{"v":{"a":1}}', 'Field "v" is STRING, and it holds an object.'),
        ({"v": "BOOLEAN"}, b'{"v":[1]}', 'Field "v" is BOOLEAN, and it holds an array.'),
        ({"v": "INT"}, b'{"v":true}', 'Field "v" is INT, and it holds true.'),
        ({"v": "INT NOT NULL"}, b'{"w":1}', 'Field "v" is INT NOT NULL, and it is not there.'),
        ({"v": "INT NOT NULL"}, b'{"v":null}', 'Field "v" is INT NOT NULL, and it is null.'),
        ({"v": "DATE"}, b'{"v":"31.1.2026"}', 'Field "v" is DATE, and it holds the text "31.1.2026"; the form is 2026-01-31.'),
        ({"v": "TIMESTAMP(3)"}, b'{"v":"2026-02-30T00:00:00"}',
         'Field "v" is TIMESTAMP(3), and it holds the text "2026-02-30T00:00:00", which does not fit.'),
        ({"v": "TIMESTAMP_LTZ(3)"}, b'{"v":1}', 'Field "v" is TIMESTAMP_LTZ(3), and it holds the number 1.'),
        ({"v": "BYTES"}, b'{"v":"YQ"}', 'Field "v" is BYTES, and it holds the text "YQ"; the form is base64 with padding.'),
        ({"v": "ARRAY<ROW<x INT>>"}, b'{"v":[{"x":1},{"x":"q"}]}', 'Field "v[1].x" is INT, and it holds the text "q".'),
        ({"v": "MAP<STRING, DATE>"}, b'{"v":{"k":"q"}}', 'Field "v["k"]" is DATE, and it holds the text "q"; the form is 2026-01-31.'),
        ({"a": "INT", "v": "INT"}, b'{"v":"later","a":"first"}', 'Field "a" is INT, and it holds the text "first".'),
        ({"v": "INT"}, b'{"v":"' + b"x" * 100 + b'"}', f'Field "v" is INT, and it holds the text "{"x" * 57}...".'),
        ({"v": "INT"}, b'{"v":1} tail', "The record is no JSON object: trailing characters."),
        ({"v": "INT"}, b'{"v":1', "The record is no JSON object: input data was truncated."),
        ({"v": "INT"}, b'[{"v":1}]', "The record is an array, not an object."),
        ({"v": "INT"}, b"true", "The record is a Boolean, not an object."),
        ({"v": "INT"}, b"<v>", "The record is no JSON object: it does not begin with {."),
        ({"v": "INT"}, b"  ", "The record is empty."),
        ({"v": "INT"}, b"\xef\xbb\xbf{}", "The record begins with a byte order mark."),
        ({"v": "INT"}, b'{"v":"\xff"}', "The record is not valid UTF-8 at byte 6: invalid start byte."),
        ({"v": "INT"}, b'{"v":' + b"[" * 1000 + b"]" * 1000 + b"}", "The record nests more than 1000 levels deep."),
    ],
)  # fmt: skip
def test_a_reject_says_what_was_found(types: dict[str, str], record: bytes, detail: str) -> None:
    """Where in the record, what is wanted and what stands there."""
    decoded = decode_records(make_decoder("json", schema_of(**types)), [record])
    assert [found.detail for found in decoded.rejects] == [detail]


@pytest.mark.parametrize("levels", [1, 249, 250, 251, 252, 500, 501, 502, 503, 900, 999])
def test_any_depth_up_to_the_limit_is_read(levels: int) -> None:
    """Wherever the record is cut for the parser, whichever brackets, and whatever texts stand between."""
    inner = b'["]{",' * levels + b"1" + b"]" * levels
    objects = b'{"}":' * levels + b"[]" + b"}" * levels
    decoder = make_decoder("json", schema_of(v="BIGINT", w="ARRAY<INT>"))
    records = [b'{"a":' + inner + b',"v":5,"w":[7]}', b'{"v":6,"a":[' + (objects if levels < 998 else b"") + b"]}"]
    decoded = decode_records(decoder, records)
    assert decoded.rejects == ()
    assert values_of(decoded.columns["v"], parse_type("BIGINT")) == [5, 6]
    assert decoded.columns["w"].series().to_list() == [[7], None]


def test_depth_does_not_lean_on_the_stack() -> None:
    """A caller that is deep in its own stack reads the same, and a higher limit of Python's lets nothing deeper in."""
    record = b'{"a":' + b"[" * 999 + b"]" * 999 + b',"v":1}'

    def deeper(frames: int) -> int:
        return deeper(frames - 1) if frames else decode_records(make_decoder("json", schema_of(v="BIGINT")), [record]).rows

    assert deeper(200) == 1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5_000)
    try:
        decoded = decode_records(make_decoder("json", schema_of(v="BIGINT")), [record.replace(b"[]", b"[[]]"), record])
    finally:
        sys.setrecursionlimit(limit)
    assert rejected(decoded) == [(0, "too_deep")]


def test_cutting_keeps_what_is_above() -> None:
    """A record that is not deep stays as it is; what is cut out is null."""
    assert cut_deep(b'{"a":[1]}') == b'{"a":[1]}'
    deep = b"[" * 300 + b"1" + b"]" * 300
    assert cut_deep(b'{"a":' + deep + b',"b":"' + b"[" * 300 + b'"}') == b'{"a":' + b"[" * 249 + b"null" + b"]" * 249 + b',"b":"' + b"[" * 300 + b'"}'
    assert not is_too_deep(b'{"a":"' + b"[" * 2_000 + b'"}')


def test_only_the_fields_that_are_read_are_judged() -> None:
    """What nobody reads may hold anything that is JSON."""
    decoded = decode("json", schema_of(v="BIGINT"), b'{"v":1,"w":"x","t":"now"}\n', declared=schema_of(v="BIGINT", w="BIGINT NOT NULL", t="DATE"))
    assert decoded.rejects == ()
    assert list(decoded.columns) == ["v"]


def test_names_are_taken_as_they_are() -> None:
    """Spaces, accents, and names that Python has a meaning for."""
    names = ["a b", "größe", "class", "f1", "__init__", "", "a/b", "it's"]
    schema = TableSchema(tuple(Field(name, parse_type("INT")) for name in names))
    record = json.dumps({name: number for number, name in enumerate(names)}).encode()
    decoded = decode("json", schema, record)
    assert {name: column.series().to_list() for name, column in decoded.columns.items()} == {name: [number] for number, name in enumerate(names)}


@pytest.mark.parametrize("schema", [{'say "hi"': "INT"}, {"a\\b": "INT"}, {"v": 'ROW<`a"b` INT>'}])
def test_a_name_that_needs_escapes_is_refused(schema: dict[str, str]) -> None:
    """By name, before anything is read."""
    with pytest.raises(UnsupportedByEngine, match="named") as error:
        make_decoder("json", schema_of(**schema))
    assert error.value.code == "FLX-2131"


@pytest.mark.parametrize("other", ['"!"', "null", '"YQ=="'])
def test_bytes_that_are_too_long_are_found_beside_any_other(other: str) -> None:
    """Text that is no base64 in another record of the block changes nothing."""
    decoded = decode("json", schema_of(v="VARBINARY(2)"), b'{"v":"YWJj"}\n{"v":%s}\n' % other.encode())
    assert rejected(decoded)[0] == (0, "out_of_range")


@pytest.mark.parametrize("tail", [b"", b"\\"])
def test_brackets_behind_a_text_that_is_not_closed(tail: bytes) -> None:
    """They count, and the quotes among them take no time."""
    records = [b'{"v":"' + b'\\"' * 200_000 + b"[" * levels + tail for levels in (999, 1000)]
    assert rejected(decode_records(make_decoder("json", schema_of(v="STRING")), records)) == [(0, "malformed"), (1, "too_deep")]


def test_columns_have_their_types() -> None:
    """Also where no record became a row."""
    schema = schema_of(a="SMALLINT", b="FLOAT", c="TIMESTAMP(9)", d="DATE", e="BOOLEAN")
    for data in (b"", b"x\n", b"{}\n"):
        decoded = decode("json", schema, data)
        dtypes = [np.asarray(decoded.columns[name].values).dtype for name in "abcde"]
        assert dtypes == [np.dtype(text) for text in ("int16", "float32", "datetime64[ns]", "datetime64[D]", "bool")]


@pytest.mark.parametrize("text", ["MAP<INT, STRING>", "ARRAY<MAP<DATE, INT>>", "ROW<m MAP<BIGINT, INT>>"])
def test_a_map_needs_text_for_keys(text: str) -> None:
    """JSON has no others, wherever the map stands."""
    with pytest.raises(UnsupportedByEngine, match="keys") as error:
        make_decoder("json", schema_of(v=text))
    assert error.value.code == "FLX-2130"


def test_a_type_may_not_nest_without_end() -> None:
    """No parser would follow."""
    logical = parse_type("INT")
    for _ in range(200):
        logical = LogicalType("ARRAY", children=(logical,))
    with pytest.raises(UnsupportedByEngine, match="nested"):
        make_decoder("json", TableSchema((Field("v", logical),)))


def test_lenient_decoding_is_refused_by_name() -> None:
    """It is not accepted and then ignored."""
    assert read_options(JSONOptions, {"strict": True}, of="json").strict
    with pytest.raises(UnsupportedByEngine) as error:
        read_options(JSONOptions, {"strict": False}, of="json")
    assert error.value.code == "FLX-2131"
    assert error.value.hint
