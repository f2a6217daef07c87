"""Dates and times from text, a column at a time.

    DATE            2026-01-31
    TIME            10:00:00[.f]
    TIMESTAMP       2026-01-31T10:00:00[.f]      (SQL form: a space instead of T)
    TIMESTAMP_LTZ   2026-01-31T10:00:00[.f]Z

- `f` is one to nine digits; those beyond the column's precision are cut.
- A text in another form is of the wrong type; one in the form that names no real date or time is out of range.
- A text is read by arithmetic: its characters less those of the form are digits, and digits are numbers. numpy's own
  reader is no faster, and it takes `now`, `NaT` and an empty text; a product of matrices would wake the threads of BLAS.
"""

from __future__ import annotations

import operator
import re
from calendar import monthrange
from dataclasses import dataclass
from functools import cache
from itertools import compress, repeat
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from fluxline.batch import Column, time_unit
from fluxline.formats.records import NEWLINE
from fluxline.formats.values import FINE, OUT_OF_RANGE, WRONG_TYPE, Built, Codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fluxline.batch import Int64s, Mask
    from fluxline.formats.records import Buffer
    from fluxline.schema import LogicalType

Form = Literal["ISO-8601", "SQL"]
FORMS: tuple[Form, ...] = ("ISO-8601", "SQL")
FRACTION_DIGITS_MAX = 9
SEPARATORS: dict[Form, str] = {"ISO-8601": "T", "SQL": " "}
_UNIT_DIGITS = {"ms": 3, "us": 6, "ns": 9}
_DATE_CHARS, _TIME_CHARS = 10, 8
_YEARS = 10_000  # Years of four digits.
# datetime64[ns] ends within these seconds of 1677 and 2262; the two broken seconds at the ends are given up.
_NANOSECOND_SECONDS = (-(2**63) // 10**9 + 1, (2**63) // 10**9 - 1)


def as_form(option: str) -> Form:
    """The form that an option names; options are checked where they are read."""
    assert option in FORMS, f"no form {option}"
    return option


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as pieces of one buffer of bytes.

    Attributes:
        buffer: the bytes.
        starts: where each text begins; None when all have the same length and a newline stands behind each.
        lengths: length of each text, or of all.
    """

    buffer: Buffer
    starts: Int64s | None
    lengths: Int64s

    def by_length(self, fixed: int, fraction_max: int) -> Iterator[tuple[Int64s | slice, int, Buffer]]:
        """Texts of equal length together: their indexes, the digits of their fraction, and one row of characters for each.

        `fixed` is the length of the form without a fraction. Texts whose length the form cannot have are left out.
        """
        lengths = self.lengths.tolist() if self.starts is None else np.unique(self.lengths).tolist()
        for length in lengths:
            fraction = length - fixed - 1 if length > fixed else 0
            if length != fixed and not 1 <= fraction <= fraction_max:
                continue
            if self.starts is None:
                yield slice(None), fraction, self.buffer.reshape(-1, length + 1)[:, :length]
            else:
                rows = np.flatnonzero(self.lengths == length).astype(np.int64, copy=False)
                yield rows, fraction, self.buffer[self.starts[rows][:, None] + np.arange(length, dtype=np.int64)]

    def __len__(self) -> int:
        return len(self.buffer) // (int(self.lengths[0]) + 1) if self.starts is None else len(self.starts)


def texts_of(values: Sequence[str | None]) -> tuple[Texts, Mask | None]:
    """Texts from Python strings, and which of them are not None (None when all are)."""
    valid = None
    texts: Sequence[str] = values  # type: ignore[assignment]  # a None raises
    try:
        joined = "\n".join(texts)
    except TypeError:
        valid = not_none(values)
        texts = list(compress(values, valid.tolist()))  # type: ignore[arg-type]  # no None is left
        joined = "\n".join(texts)
    if not joined.isascii():  # No such text is a date; its characters must stay one byte each all the same.
        texts = [text if text.isascii() else "\x00" for text in texts]
        joined = "\n".join(texts)
    found = _pieces(texts, joined)
    if valid is None:
        return found, None
    starts, lengths = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.int64)
    stride = int(found.lengths[0]) + 1 if found.starts is None else 0
    starts[valid] = np.arange(len(texts), dtype=np.int64) * stride if found.starts is None else found.starts
    lengths[valid] = found.lengths
    return Texts(found.buffer, starts, lengths), valid


def _pieces(texts: Sequence[str], joined: str) -> Texts:
    """The texts that were joined by newlines, as pieces."""
    if not texts:
        nothing = np.zeros(0, dtype=np.int64)
        return Texts(np.zeros(0, dtype=np.uint8), nothing, nothing)
    buffer = np.frombuffer(f"{joined}\n".encode("ascii"), dtype=np.uint8)
    newlines = (buffer == NEWLINE).nonzero()[0]
    stride = len(texts[0]) + 1
    if len(newlines) == len(texts):
        if len(buffer) == len(texts) * stride and int(newlines[0]) == stride - 1 and bool((newlines[1:] - newlines[:-1] == stride).all()):
            return Texts(buffer, None, np.array([stride - 1], dtype=np.int64))
        starts = np.concatenate([np.zeros(1, dtype=np.int64), newlines[:-1] + 1])
        return Texts(buffer, starts, newlines - starts)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return Texts(buffer, np.cumsum(lengths + 1) - lengths - 1, lengths)


def not_none(values: Sequence[object]) -> Mask:
    """Which values are not None."""
    return np.fromiter(map(operator.is_not, values, repeat(None)), dtype=np.bool_, count=len(values))


def read_column(texts: Texts, logical: LogicalType, form: Form, valid: Mask | None) -> Built:
    """The column of a DATE, TIME or timestamp type from its texts, NULL where not valid."""
    groups = texts.by_length(len(form_of(logical, form)), 0 if logical.root == "DATE" else FRACTION_DIGITS_MAX)
    found = np.zeros(len(texts), dtype=np.int64)
    codes = np.full(len(texts), WRONG_TYPE, dtype=np.uint8)
    for rows, fraction, characters in groups:
        some, misfits = _read(characters, _pattern(logical, form, fraction))
        if texts.starts is None and misfits is None:  # These are all.
            return Built(_column(some, logical, None), None)
        found[rows], codes[rows] = some, FINE if misfits is None else misfits
    if valid is not None:
        codes[~valid] = FINE
    return Built(_column(found, logical, valid), codes if codes.any() else None)


def _column(found: Int64s, logical: LogicalType, valid: Mask | None) -> Column:
    if logical.root == "TIME":
        series = pl.Series(found).cast(pl.Time)
        return Column(series if valid is None else series.set(pl.Series(~valid), None))
    unit = "D" if logical.root == "DATE" else time_unit(logical)
    return Column(found.view(f"datetime64[{unit}]"), valid)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A form as arithmetic on the characters of a text.

    Attributes:
        first: per character, the least one that may stand there.
        span: and how far the greatest lies behind it: 9 for a digit, 0 for a character that is fixed.
        tens: where the numbers of two digits begin: century, year in it, month, day; hour, minute, second.
        ones: and their second digits.
        least: of those that have a range, from the month or the hour on, the least.
        width: and how far the greatest lies behind it.
        fraction: where the digits of the fraction that count stand.
        scale: counts of the column in the last of these digits.
        units: counts of the column in a second, 0 for DATE.
    """

    first: Buffer
    span: Buffer
    tens: Int64s
    ones: Int64s
    least: Buffer
    width: Buffer
    fraction: range
    scale: int
    units: int


@cache
def _pattern(logical: LogicalType, form: Form, fraction: int) -> _Pattern:
    """The pattern of texts with so many digits of a fraction."""
    text = form_of(logical, form)
    if fraction:
        text = f"{text.removesuffix('Z')}.{'0' * fraction}{'Z' if text.endswith('Z') else ''}"
    first = np.array([ord("0") if character.isdigit() else ord(character) for character in text], dtype=np.uint8)
    date, time = [0, 2, 5, 8], [0, 3, 6]
    ranges = [(0, 23), (0, 59), (0, 59)]
    if logical.root == "DATE":
        tens, ranges = date, [(1, 12), (1, 31)]
    elif logical.root == "TIME":
        tens = time
    else:
        tens, ranges = [*date, *(_DATE_CHARS + 1 + place for place in time)], [(1, 12), (1, 31), *ranges]
    digits = 0 if logical.root == "DATE" else FRACTION_DIGITS_MAX if logical.root == "TIME" else _UNIT_DIGITS[time_unit(logical)]
    begin, kept = tens[-1] + 3, min(fraction, logical.precision or 0)
    least, most = (np.array([[bounds[end]] for bounds in ranges], dtype=np.uint8) for end in (0, 1))
    span, places = np.where(first == ord("0"), 9, 0).astype(np.uint8), np.array(tens, dtype=np.int64)
    return _Pattern(
        first, span, places, places + 1, least, most - least, range(begin, begin + kept), 10 ** (digits - kept), 10**digits if digits else 0
    )


def _read(characters: Buffer, pattern: _Pattern) -> tuple[Int64s, Codes | None]:
    """Counts of the column's unit, and the code of each text (None when all are fine)."""
    digits = characters - pattern.first  # What lies below wraps to a large number.
    misfits = digits > pattern.span
    places = digits.T
    pairs = places[pattern.tens] * np.uint8(10) + places[pattern.ones]
    outside = pairs[-len(pattern.least) :] - pattern.least > pattern.width
    unreal = None
    found = _seconds(pairs) if pattern.units else np.zeros(pairs.shape[1], dtype=np.int64)
    if len(pattern.tens) != 3:  # There is a date.
        days, unreal = _days(pairs)
        found = found + days * np.int64(86_400) if pattern.units else days
        if pattern.units == 10**FRACTION_DIGITS_MAX:
            unreal = unreal | (found < _NANOSECOND_SECONDS[0]) | (found > _NANOSECOND_SECONDS[1])
    codes = None
    if misfits.any() or outside.any() or (unreal is not None and unreal.any()):
        codes = np.where(outside.any(axis=0), np.uint8(OUT_OF_RANGE), np.uint8(FINE))
        if unreal is not None:
            codes[unreal] = OUT_OF_RANGE
        codes[misfits.any(axis=1)] = WRONG_TYPE
        found = np.where(codes == FINE, found, 0)
    if pattern.units:
        found = found * np.int64(pattern.units)
    if pattern.fraction:
        found += _number(places, pattern.fraction) * np.int64(pattern.scale)
    return found if codes is None else np.where(codes == FINE, found, 0), codes


def _seconds(pairs: Buffer) -> Int64s:
    hour, minute, second = pairs[-3:]
    seconds: Int64s = hour * np.int64(3_600) + minute * np.int64(60) + second
    return seconds


def _days(pairs: Buffer) -> tuple[Int64s, Mask]:
    """Days since 1970, and which of them the calendar does not have."""
    century, year, month, day = pairs[:4]
    months, first_days = century * np.int64(1_200) + year * np.int64(12) + month, _first_days()
    first = first_days.take(months, mode="clip")  # What is no number may lie anywhere.
    return first + day - 1, day > first_days.take(months + 1, mode="clip") - first


def _number(places: Buffer, digits: range) -> Int64s:
    number: Int64s = places[digits[0]].astype(np.int64)
    for place in digits[1:]:
        number = number * 10 + places[place]
    return number


@cache
def _first_days() -> Int64s:
    """The first day of each month, in days since 1970; month 1 is January of year 0. One month comes before and one behind the years."""
    months = np.arange(-1970 * 12 - 1, (_YEARS - 1970) * 12 + 1).view("datetime64[M]")
    return months.astype("datetime64[D]").view(np.int64)


def code_of(text: str, logical: LogicalType, form: Form) -> int:
    """The code that `read_column` gives one text."""
    match = re.fullmatch(_grammar(logical, form), text, re.ASCII)
    if match is None:
        return WRONG_TYPE
    date, time = match.groupdict().get("date"), match.groupdict().get("time")
    year, month, day = (int(part) for part in date.split("-")) if date else (1970, 1, 1)
    hour, minute, second = (int(part) for part in time.split(":")) if time else (0, 0, 0)
    # The calendar repeats after 400 years, and Python's has no year 0.
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(2000 + year % 400, month)[1] or hour > 23 or minute > 59 or second > 59:
        return OUT_OF_RANGE
    if logical.timestamp and time_unit(logical) == "ns":
        days = int(np.datetime64(date, "D").astype(np.int64))
        first, last = _NANOSECOND_SECONDS
        return FINE if first <= days * 86_400 + hour * 3600 + minute * 60 + second <= last else OUT_OF_RANGE
    return FINE


def _grammar(logical: LogicalType, form: Form) -> str:
    date, time = r"(?P<date>\d{4}-\d\d-\d\d)", r"(?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    if logical.root == "DATE":
        return date
    if logical.root == "TIME":
        return time
    return f"{date}{SEPARATORS[form]}{time}{'Z' if logical.root == 'TIMESTAMP_LTZ' else ''}"


def form_of(logical: LogicalType, form: Form) -> str:
    """An example of the form that a DATE, TIME or timestamp has, for messages."""
    if logical.root == "DATE":
        return "2026-01-31"
    if logical.root == "TIME":
        return "10:00:00"
    return f"2026-01-31{SEPARATORS[form]}10:00:00{'Z' if logical.root == 'TIMESTAMP_LTZ' else ''}"
