"""The format `raw`: the whole record is the value."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fluxline.batch import batch_from_polars
from fluxline.errors import ConfigError, UnsupportedByEngine
from fluxline.formats import load_format
from tests.formats.reading import decode, decode_records, make_decoder, rejected, schema_of

TEXT, BYTES = schema_of(line="STRING"), schema_of(line="BYTES")


def test_a_line_is_a_value() -> None:
    """Without its newline; an empty line is an empty text, and what is no UTF-8 is no text."""
    decoded = decode("raw", TEXT, b'a b\n\n\xff\n"d\xc3\xa9"\tx')
    assert decoded.columns["line"].series().to_list() == ["a b", "", '"dé"\tx']
    assert rejected(decoded) == [(2, "not_utf8")]
    assert decode("raw", BYTES, b"a b\n\n\xff\n").columns["line"].series().to_list() == [b"a b", b"", b"\xff"]


def test_carriage_returns() -> None:
    """Are part of the value, unless they belong to the line end by option."""
    assert decode("raw", TEXT, b"a\r\n\r\nb\r").columns["line"].series().to_list() == ["a\r", "\r", "b\r"]
    assert decode("raw", TEXT, b"a\r\n\r\nb\r", crlf=True).columns["line"].series().to_list() == ["a", "", "b\r"]


def test_values_of_a_log() -> None:
    """May hold newlines; only the one behind each is no part of it."""
    decoded = decode_records(make_decoder("raw", BYTES), [b"a\nb", b"", b"\n", b"c\n"])
    assert decoded.columns["line"].series().to_list() == [b"a\nb", b"", b"\n", b"c\n"]


def test_lengths() -> None:
    """In characters or in bytes."""
    decoded = decode("raw", schema_of(line="VARCHAR(2)"), "ab\näö\nabc\n".encode())
    assert decoded.columns["line"].series().to_list() == ["ab", "äö"]
    assert [(found.index, found.reason, found.detail) for found in decoded.rejects] == [
        (2, "out_of_range", 'Field "line" is VARCHAR(2), and it holds the text "abc", which does not fit.')
    ]
    decoded = decode("raw", schema_of(line="VARBINARY(2)"), "ab\näö\n".encode())
    assert [found.detail for found in decoded.rejects] == ['Field "line" is VARBINARY(2), and it holds 4 bytes, which does not fit.']


def test_what_is_written() -> None:
    """The bytes as they are, with a line end; NULL is an empty record."""
    word = load_format("raw")
    frame = pl.DataFrame({"line": ["é", None, ""]})
    encoded = word.encoder(TEXT, word.options()).encode(batch_from_polars(frame, TEXT))
    assert encoded.data.decode() == "é\n\n\n"
    assert encoded.bounds.tolist() == [0, 3, 4, 5]


def test_one_column_of_text_or_bytes() -> None:
    """Anything else is refused by name."""
    word = load_format("raw")
    for schema in (schema_of(a="STRING", b="STRING"), schema_of()):
        with pytest.raises(ConfigError) as error:
            word.decoder(schema, schema, word.options())
        assert error.value.code == "FLX-1124"
    with pytest.raises(UnsupportedByEngine) as refused:
        word.encoder(schema_of(a="INT"), word.options())
    assert refused.value.code == "FLX-2130"


def test_a_cut_record_is_one_reject() -> None:
    """Its bounds are those that `split` gave."""
    decoder = make_decoder("raw", TEXT)
    bounds = np.array([0, 2, 4], dtype=np.int64)
    assert decoder.decode(b"a\nb\n", bounds).rows == 2
