"""Where the records of a byte stream begin and end, and what is checked of every record."""

from __future__ import annotations

import numpy as np
import pytest

from fluxline.formats.records import Lines, excerpt, find_not_utf8, find_too_large, reject
from fluxline.limits import RECORD_BYTES_MAX, REJECT_DETAIL_CHARS_MAX
from tests.formats.reading import decode, make_decoder, rejected, schema_of


@pytest.mark.parametrize(
    ("data", "final", "bounds"),
    [
        (b"", False, [0]),
        (b"", True, [0]),
        (b"a", False, [0]),
        (b"a", True, [0, 1]),
        (b"a\n", False, [0, 2]),
        (b"a\n", True, [0, 2]),
        (b"a\nbc", False, [0, 2]),
        (b"a\nbc", True, [0, 2, 4]),
        (b"\n\n", True, [0, 1, 2]),
        (b"a\r\nb\rc\n", True, [0, 3, 7]),
    ],
)
def test_lines_end_with_newlines(data: bytes, final: bool, bounds: list[int]) -> None:
    """An empty line is a record; the end of the input ends one, unless nothing is left."""
    assert Lines().split(data, final=final).tolist() == bounds


def test_a_line_without_end_is_cut_and_skipped() -> None:
    """Once it is longer than a record may be; a newline begins the next record."""
    lines = Lines()
    assert lines.split(b"x" * RECORD_BYTES_MAX, final=False).tolist() == [0]
    assert lines.split(b"x" * (RECORD_BYTES_MAX + 1), final=False).tolist() == [0, RECORD_BYTES_MAX + 1]
    assert lines.split(b"xxx", final=False).tolist() == [3]
    assert lines.split(b"xx\nab\nc", final=False).tolist() == [3, 6]
    assert lines.split(b"cd\n", final=True).tolist() == [0, 3]


def test_a_line_that_is_cut_at_the_end_of_the_input() -> None:
    """Nothing is left of it."""
    lines = Lines()
    lines.split(b"x" * (RECORD_BYTES_MAX + 1), final=False)
    assert lines.split(b"xxx", final=True).tolist() == [3]


def test_the_limit_of_a_record() -> None:
    """Its line end does not count."""
    data = b"x" * RECORD_BYTES_MAX + b"\n" + b"y" * (RECORD_BYTES_MAX + 1) + b"\nz\n"
    bounds = Lines().split(data, final=True)
    assert {index: found.reason for index, found in find_too_large(data, bounds).items()} == {1: "too_large"}


def test_a_record_of_the_largest_size_is_read() -> None:
    """And one that is a byte longer is rejected; the records around them are rows."""
    text = "x" * (RECORD_BYTES_MAX - len('{"v":""}'))
    data = f'{{"v":"a"}}\n{{"v":"{text}"}}\n{{"v":"{text}x"}}\n{{"v":"b"}}\n'.encode()
    decoded = decode("json", schema_of(v="STRING"), data)
    assert rejected(decoded) == [(2, "too_large")]
    assert decoded.columns["v"].series().str.len_chars().to_list() == [1, len(text), 1]


def test_records_that_are_not_utf8_are_found_each() -> None:
    """Whatever stands between them; the byte counts from the beginning of the record."""
    data = "ä\n".encode() + b"\xff\n" + b"b\xc3\n" + "日\n".encode() + b"\xe6\x97"
    bounds = Lines().split(data, final=True)
    found = find_not_utf8(data, bounds)
    assert list(found) == [1, 2, 4]
    assert found[2].detail == "The record is not valid UTF-8 at byte 1: invalid continuation byte."


def test_bytes_behind_the_last_bound_are_not_judged() -> None:
    """The beginning of a character that is not whole yet is no fault."""
    data = "ä\nb\n日".encode()[:-1]
    bounds = Lines().split(data, final=False)
    assert bounds.tolist() == [0, 3, 5]
    assert find_not_utf8(data, bounds) == {}


def test_a_decoder_asserts_its_contract() -> None:
    """Records without line ends side by side could hide in each other."""
    decoder = make_decoder("json", schema_of(v="BIGINT"))
    with pytest.raises(AssertionError, match="no line end"):
        decoder.decode(b'{"v":1}{"v":2}', np.array([0, 7, 14], dtype=np.int64))


def test_a_detail_keeps_its_limit() -> None:
    """It is for people."""
    assert reject(0, "malformed", "x" * 10_000).detail == "x" * (REJECT_DETAIL_CHARS_MAX - 3) + "..."
    assert excerpt("a\n\x00é\u200b") == "a\\n\\x00é\\u200b"
    assert excerpt("x" * 100) == "x" * 57 + "..."
