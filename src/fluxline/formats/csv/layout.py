"""Where CSV records and their fields begin and end, found for a whole block at once.

    record := field (delimiter field)* newline          newline := LF | CR LF
    field  := quote (character | quote quote)* quote | (character but quote, delimiter, LF)*

With quotes only where this grammar has them, a byte stands inside a quoted field exactly if an odd number of quotes
stands before it: the two halves of a doubled quote close and open again. So newlines and delimiters that count are found
by counting quotes. A quote that stands elsewhere breaks the count from there on: its record is malformed, and the ends of
records behind it are found one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fluxline.formats.records import NEWLINE, RETURN, Buffer, newline_ends

if TYPE_CHECKING:
    from fluxline.batch import Int64s, Mask


@dataclass(frozen=True, slots=True)
class Dialect:
    """The two characters that structure a file."""

    delimiter: int
    quote: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the fields of some records are.

    Attributes:
        records: indexes of the records that have as many fields as they should, and well-formed ones.
        starts: int64 array of shape (columns, records): where each field begins.
        ends: the same: behind its last byte.
        misquoted: indexes of the records in which a quote stands where it may not.
        fields: of every record, how many fields it has; of a misquoted one this means nothing.
    """

    records: Int64s
    starts: Int64s
    ends: Int64s
    misquoted: Int64s
    fields: Int64s


def record_ends(data: bytes, start: int, dialect: Dialect) -> Int64s:
    """The positions behind the newlines that end the records of `data[start:]`."""
    ends: Int64s = newline_ends(data, start)
    buffer = np.frombuffer(data, dtype=np.uint8)
    quotes = _positions(buffer, start, len(data), dialect.quote)
    if not len(quotes):
        return ends
    ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    opens = np.arange(len(quotes)) % 2 == 0
    stray = quotes[~_regular(buffer, quotes, opens, np.full(len(quotes), start), np.full(len(quotes), len(data)), dialect)]
    if not len(stray):
        return ends
    ends = ends[ends <= stray[0]]
    return np.concatenate([ends, _ends_one_by_one(data, int(ends[-1]) if len(ends) else start, dialect)])


def lay_out(data: bytes, bounds: Int64s, columns: int, dialect: Dialect) -> Layout:
    """The fields of records; `columns` is how many each should have."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    count, begin, end = len(bounds) - 1, int(bounds[0]), int(bounds[-1])
    starts, ends = bounds[:-1], content_ends(buffer, bounds)
    delimiters = _positions(buffer, begin, end, dialect.delimiter)
    owners = _owners(bounds, delimiters)
    misquoted = np.zeros(count, dtype=np.bool_)
    quotes = _positions(buffer, begin, end, dialect.quote)
    if len(quotes):
        quote_owners = _owners(bounds, quotes)
        before = np.searchsorted(quotes, starts)
        opens = (np.arange(len(quotes)) - before[quote_owners]) % 2 == 0
        regular = _regular(buffer, quotes, opens, starts[quote_owners], ends[quote_owners], dialect)
        misquoted[quote_owners[~regular]] = True
        misquoted |= np.bincount(quote_owners, minlength=count) % 2 == 1
        outside = (np.searchsorted(quotes, delimiters) - before[owners]) % 2 == 0
        delimiters, owners = delimiters[outside], owners[outside]
    fields = np.bincount(owners, minlength=count).astype(np.int64, copy=False) + 1
    healthy = ~misquoted & (fields == columns)
    records = np.flatnonzero(healthy).astype(np.int64, copy=False)
    inner = delimiters[healthy[owners]].reshape(len(records), columns - 1).T
    return Layout(
        records,
        np.concatenate([starts[records][None, :], inner + 1]),
        np.concatenate([inner, ends[records][None, :]]),
        np.flatnonzero(misquoted).astype(np.int64, copy=False),
        fields,
    )


def content_ends(buffer: Buffer, bounds: Int64s) -> Int64s:
    """Where each record ends without its line end."""
    starts = bounds[:-1]
    ends: Int64s = bounds[1:]
    ends = ends - ((ends > starts) & (buffer[ends - 1] == NEWLINE))
    ends -= (ends < bounds[1:]) & (ends > starts) & (buffer[ends - 1] == RETURN)
    return ends


def _positions(buffer: Buffer, begin: int, end: int, byte: int) -> Int64s:
    return (np.flatnonzero(buffer[begin:end] == byte) + begin).astype(np.int64, copy=False)


def _owners(bounds: Int64s, positions: Int64s) -> Int64s:
    """The index of the record in which each position lies."""
    return (np.searchsorted(bounds, positions, side="right") - 1).astype(np.int64, copy=False)


def _regular(buffer: Buffer, quotes: Int64s, opens: Mask, starts: Int64s, ends: Int64s, dialect: Dialect) -> Mask:
    """Which quotes stand where the grammar has them.

    Args:
        buffer: the bytes.
        quotes: their positions.
        opens: which of them open a field, or are the second half of a doubled quote.
        starts: where the record of each begins, or where all of them begin.
        ends: where the content of the record of each ends, or where all of them end.
        dialect: the two characters.
    """
    previous, following = buffer[quotes - 1], buffer[np.minimum(quotes + 1, len(buffer) - 1)]
    second = buffer[np.minimum(quotes + 2, len(buffer) - 1)]
    opening = (quotes == starts) | np.isin(previous, (dialect.delimiter, NEWLINE, dialect.quote))
    returned = (following == RETURN) & ((quotes + 2 >= ends) | (second == NEWLINE))
    closing = (quotes + 1 >= ends) | returned | np.isin(following, (dialect.delimiter, NEWLINE, dialect.quote))
    regular: Mask = np.where(opens, opening, closing)
    return regular


def _ends_one_by_one(data: bytes, start: int, dialect: Dialect) -> Int64s:
    pattern, found = _record_pattern(dialect), []
    while (match := pattern.match(data, start)) is not None:
        start = match.end()
        found.append(start)
    return np.array(found, dtype=np.int64)


@cache
def _record_pattern(dialect: Dialect) -> re.Pattern[bytes]:
    quote, delimiter = re.escape(bytes([dialect.quote])), re.escape(bytes([dialect.delimiter]))
    rest = rb"[^%s\n]*+" % delimiter
    quoted = rb"%s[^%s]*+(?:%s%s[^%s]*+)*+%s%s" % (quote, quote, quote, quote, quote, quote, rest)
    field = rb"(?:%s|(?!%s)%s)" % (quoted, quote, rest)
    return re.compile(rb"%s(?:%s%s)*+\n" % (field, delimiter, field))


def text_of_field(data: bytes, start: int, end: int, dialect: Dialect) -> tuple[bytes, bool]:
    """What one well-formed field holds, and whether it is quoted."""
    field, quote = data[start:end], bytes([dialect.quote])
    if not field.startswith(quote):
        return field, False
    return field[1:-1].replace(quote + quote, quote), True


def quoted_fields(buffer: Buffer, starts: Int64s, ends: Int64s, dialect: Dialect) -> Mask:
    """Which well-formed fields are quoted."""
    quoted: Mask = (ends > starts) & (buffer[np.minimum(starts, len(buffer) - 1)] == dialect.quote)
    return quoted
