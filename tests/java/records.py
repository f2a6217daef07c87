"""Records to try decoders with, the same for the same seed: values of the table of strict JSON put together to records of many columns, then changed.

A record is changed as a tree (members doubled, left out, moved, of another type), as text (numbers, quotes, escapes, white space) and as bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.formats.reading import schema_of
from tests.formats.test_json_cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from fluxline.schema import TableSchema

    Change = Callable[[Random, bytes], bytes]

FLAT = schema_of(
    a="TINYINT", b="SMALLINT", c="INT", d="BIGINT", e="FLOAT", f="DOUBLE", g="DECIMAL(10, 2)", h="DECIMAL(38, 0)", i="DECIMAL(2, 2)", j="BOOLEAN",
    k="STRING", l="VARCHAR(3)", m="CHAR(3)", n="BYTES", o="VARBINARY(2)", p="DATE", q="TIME(0)", r="TIME(3)", s="TIMESTAMP(3)", t="TIMESTAMP(6)",
    u="TIMESTAMP(9)", w="TIMESTAMP_LTZ(3)", x="TIMESTAMP_LTZ(9)", y="DECIMAL(38, 19)", z="TIMESTAMP(0)",
)  # fmt: skip
NESTED = schema_of(
    a="ARRAY<INT>", b="ARRAY<ARRAY<INT>>", c="MAP<STRING NOT NULL, INT>", d="ROW<x INT, y STRING>", e="ARRAY<ROW<m MAP<STRING NOT NULL, DATE>>>",
    f="ARRAY<TIMESTAMP(3)>", g="ROW<x INT NOT NULL, y ROW<z DECIMAL(10, 2), w BOOLEAN NOT NULL>>",
    h="MAP<VARCHAR(3) NOT NULL, ARRAY<BIGINT NOT NULL>>", i="ARRAY<DOUBLE>", j="MAP<STRING NOT NULL, TIMESTAMP_LTZ(9)>",
)  # fmt: skip
REQUIRED = schema_of(
    v="BIGINT NOT NULL", s="STRING", t="TIMESTAMP(3) NOT NULL", u="TIMESTAMP_LTZ(6)", d="DECIMAL(10, 2) NOT NULL", r="ROW<x INT, y STRING> NOT NULL"
)
"""Its timestamps are in the SQL form."""

_PIECE = re.compile(rb'\{\s*"v"\s*:(.*)\}', re.DOTALL)
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TEXT = re.compile(rb'"[^"\\]*"')
_PIECE_BYTES_MAX = 200  # Deep and long cases are tried alone.


def _pieces() -> tuple[dict[str, list[bytes]], list[bytes]]:
    """The texts of values in the table: the good ones of each type, and all."""
    good: dict[str, list[bytes]] = {}
    everything = []
    for case in CASES:
        match = _PIECE.fullmatch(case.record)
        if match is not None and len(match[1]) <= _PIECE_BYTES_MAX:
            everything.append(match[1])
            if case.reason is None and not case.options:
                good.setdefault(case.type.removesuffix(" NOT NULL"), []).append(match[1])
    return good, everything


_GOOD, _ALL = _pieces()
_WRITTEN = {  # Of types that the table does not have, or has with few values.
    "DECIMAL(38, 19)": [b"1.5", b"-0", b"9999999999999999999.9999999999999999999", b"1e18", b"1e-19"],
    "ROW<x INT NOT NULL, y ROW<z DECIMAL(10, 2), w BOOLEAN NOT NULL>>": [b'{"x":1}', b'{"y":{"z":1.25,"w":true},"x":-5}', b'{"x":1,"y":null}'],
    "MAP<VARCHAR(3) NOT NULL, ARRAY<BIGINT NOT NULL>>": [b"{}", b'{"abc":[],"":[1,2]}', b'{"\xe6\x97\xa5\xe6\x9c\xac":[5]}', b"null"],
    "ARRAY<DOUBLE>": [b"[]", b"[1,2.5,-0.0,1e-5,null]", b"[0.1,1e22,123456789012345678901234567890]"],
    "MAP<STRING NOT NULL, TIMESTAMP_LTZ(9)>": [b"{}", b'{"a":"2026-01-31T10:00:00.123456789Z","b":null}'],
    "ARRAY<ROW<m MAP<STRING NOT NULL, DATE>>>": [b"[]", b'[{"m":{"d":"2026-01-31"}},null,{}]'],
    "TIMESTAMP(0)": [b'"2026-01-31T10:00:00"', b'"1969-12-31T23:59:59.9"', b'"0000-02-29T00:00:00"'],
    "TIMESTAMP_LTZ(9)": [b'"2026-01-31T10:00:00.000000001Z"', b'"1969-12-31T23:59:59.999999999Z"'],
    "TIMESTAMP_LTZ(6)": [b'"2026-01-31T10:00:00.1Z"'],
    "DECIMAL(2, 2)": [b"0.25", b"0", b"-1e-2"],
    "VARBINARY(2)": [b'"YWI="', b'""'],
}
for _type, _values in _WRITTEN.items():
    _GOOD.setdefault(_type, []).extend(_values)


def make_record(random: Random, schema: TableSchema, *, sql: bool = False) -> bytes:
    """A record of the schema, changed or not."""
    wild = random.random() < 0.2
    members = []
    for field in schema.fields:
        if field.type.nullable and random.random() < 0.15:
            continue
        piece = random.choice(_ALL if wild and random.random() < 0.1 else _GOOD[field.type.text()])
        if piece.strip() == b"null" and not field.type.nullable:
            piece = random.choice(_ALL)
        members.append((b'"%s"' % field.name.encode(), piece if not sql else re.sub(rb"(\d\d)T(\d\d)", rb"\1 \2", piece)))
    for change_members in random.choices(_MEMBER_CHANGES, k=random.choice((0, 0, 1, 2))):
        change_members(random, members)
    space = random.choice((b"", b"", b" ", b"\n", b"\r\n\t "))
    record = b"{" + b",".join(space + key + b":" + space + value for key, value in members) + space + b"}"
    for change in random.choices(_CHANGES, k=random.choice((0, 0, 0, 1, 1, 2))):
        record = change(random, record)
    return record


Members = list[tuple[bytes, bytes]]


def _double(random: Random, members: Members) -> None:
    if members:
        key, value = random.choice(members)
        members.insert(random.randrange(len(members) + 1), (key, random.choice((value, random.choice(_ALL)))))


def _shuffle(random: Random, members: Members) -> None:
    random.shuffle(members)


def _leave_out(random: Random, members: Members) -> None:
    if members:
        members.pop(random.randrange(len(members)))


def _add(random: Random, members: Members) -> None:
    key = random.choice((b'"unread"', b'""', b'"A"', b'"\\u0061"', b'"a "', b'"\\ud83d\\ude00"', b'"\xc3\xa9"'))
    members.insert(random.randrange(len(members) + 1), (key, random.choice(_ALL)))


def _wrap(random: Random, members: Members) -> None:
    if members:
        place = random.randrange(len(members))
        levels = random.choice((1, 1, 1, 2, 240, 260, 998, 999, 1000, 1001))
        key, value = members[place]
        before, behind = random.choice(((b"[", b"]"), (b'{"x":', b"}")))
        name = random.choice((key, b'"unread"'))
        members[place] = (name, before * levels + value + behind * levels)


def _quote(random: Random, members: Members) -> None:
    if members:
        place = random.randrange(len(members))
        key, value = members[place]
        members[place] = (key, value[1:-1] if value.startswith(b'"') else b'"' + value.replace(b'"', b'\\"') + b'"')


_MEMBER_CHANGES = (_double, _double, _shuffle, _shuffle, _leave_out, _add, _add, _wrap, _quote)


def _number(random: Random, record: bytes) -> bytes:
    return _replace_one(random, record, _NUMBER, lambda text: random.choice(_NUMBER_CHANGES)(random, text))


_ODD_NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"1e400", b"-1e400", b"5e-324", b"2e-324", b"3.4028236e38", b"-0.0", b"-0", b"-0e5",
    b"3.4028235677973366e38", b"0e99999999999", b"1e99999999999", b"-1e-99999999999",
)  # fmt: skip
_NUMBER_CHANGES: tuple[Change, ...] = (
    lambda random, text: text + b"%d" % random.randrange(10 ** random.randrange(1, 20)),
    lambda random, text: text + b".%d" % random.randrange(10 ** random.randrange(1, 20)),
    lambda random, text: text + b"e%d" % random.randrange(-40, 40),
    lambda random, text: text + b"E+%d" % random.randrange(400),
    lambda random, text: text + b"e-%d" % random.randrange(400),
    lambda random, text: b"-" + text,
    lambda random, text: random.choice((b"+", b"0", b".", b"--", b" -", b"0x")) + text,
    lambda random, text: text + random.choice((b".", b"e", b"L", b"_0", b"d", b"f", b",5", b" 5", b"e5.5", b"%", b"0" * 25)),
    lambda random, text: b"%r" % (random.random() * 10 ** random.randrange(-310, 309)),
    lambda random, text: b"%d.%d" % (random.randrange(10**17, 10**19), random.randrange(10**17)),
    lambda random, text: b"%d" % (random.choice((1, -1)) * (2 ** random.choice((7, 15, 31, 53, 63, 64)) + random.randrange(-1, 2))),
    lambda random, text: random.choice(_ODD_NUMBERS),
)


def _escape(random: Random, record: bytes) -> bytes:
    def change(text: bytes) -> bytes:
        if len(text) <= 2:
            return b'"' + random.choice(_ESCAPES) + b'"'
        place = random.randrange(1, len(text) - 1)
        spelled = b"\\u%04x" % text[place] if text[place] < 128 and random.random() < 0.5 else random.choice(_ESCAPES)
        return text[:place] + spelled + text[place + random.randrange(2) :]

    return _replace_one(random, record, _TEXT, change)


_ESCAPES = (
    b"\\n", b"\\/", b'\\"', b"\\\\", b"\\b", b"\\u0000", b"\\u0041", b"\\uD83D\\uDE00", b"\\ud83d", b"\\ude00", b"\\ud83d\\u0041",
    b"\\ud83d\\ud83d\\ude00",
    b"\\u12", b"\\u12g4", b"\\x41", b"\\a", b"\\'", b"\\U0041", b"\\", b"\\u", b"\t", b"\x00", b"\x1f", b"\x7f", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\xf0\x9f\x98\x80", b"\\\\u0041", b"\\\\ud83d", b"\\uFEFF", b"\xef\xbb\xbf", b"\\uffff", b"\\ud83d\\\\ude00", b"\\ud83d \\ude00",
)  # fmt: skip


def _letter(random: Random, record: bytes) -> bytes:
    def change(text: bytes) -> bytes:
        place = random.randrange(len(text))
        return text[:place] + random.choice((b"", b"0", b"9", b"-", b":", b"T", b"Z", b" ", b"=", b"\xc3\xa9")) + text[place + random.randrange(2) :]

    return _replace_one(random, record, _TEXT, change)


def _space(random: Random, record: bytes) -> bytes:
    spaces = (b" ", b"\n", b"\t", b"\r", b"\r\n", b" " * 20, b"\x0b", b"\x0c", b"\x00", b"\xc2\xa0", b"\xe2\x80\xa8")
    return _insert(random, record, random.choice(spaces))


def _byte(random: Random, record: bytes) -> bytes:
    place = random.randrange(len(record) + 1)
    return record[:place] + bytes([random.randrange(256)]) + record[place + random.randrange(2) :]


def _sign(random: Random, record: bytes) -> bytes:
    signs = (b"{", b"}", b"[", b"]", b",", b":", b'"', b"'", b"/", b"//", b"/**/", b"#", b"null", b"true", b"\\")
    return _insert(random, record, random.choice(signs))


_SEQUENCES = (
    b"\xff", b"\x80", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80", b"\xc1\xbf",
)  # fmt: skip


def _not_utf8(random: Random, record: bytes) -> bytes:
    return _insert(random, record, random.choice(_SEQUENCES))


def _cut(random: Random, record: bytes) -> bytes:
    place = random.randrange(len(record) + 1)
    return random.choice((record[:place], record[place:], record[:place] + record[place + random.randrange(10) :]))


def _around(random: Random, record: bytes) -> bytes:
    tail = random.choice((b" x", b"{}", b",", b"}", b"]", b"\x00", b"\n{}", b" ", b"\n\n", b"//", b"5", b"null", b"\xc2\xa0", record))
    head = random.choice((b"\xef\xbb\xbf", b" ", b"\n", b"[", b",", b"{", b"\x00", b"x", b"\xc2\xa0", b")]}',\n"))
    return random.choice((record + tail, head + record, b"[" + record + b"]", b"[" + record + b"," + record + b"]", b'"' + record + b'"'))


def _other(random: Random, record: bytes) -> bytes:
    wide = record.decode("latin-1").encode("utf-16")
    return random.choice((b"", b" ", b"null", b"5", b"true", b'"x"', b"[]", b"{}", b"{ }", b"NaN", b"{", b"}", b"{}{}", wide, wide[2:]))


_CHANGES: tuple[Change, ...] = (
    _number, _number, _number, _escape, _escape, _escape, _letter, _letter, _space, _space, _byte, _sign, _not_utf8, _cut, _around, _other,
)  # fmt: skip


def _insert(random: Random, record: bytes, piece: bytes) -> bytes:
    place = random.randrange(len(record) + 1)
    return record[:place] + piece + record[place:]


def _replace_one(random: Random, record: bytes, pattern: re.Pattern[bytes], change: Callable[[bytes], bytes]) -> bytes:
    found = list(pattern.finditer(record))
    if not found:
        return record
    match = random.choice(found)
    return record[: match.start()] + change(match.group()) + record[match.end() :]
