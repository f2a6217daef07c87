"""Dates and times from text, a column at a time.

    DATE            2026-01-31
    TIME            10:00:00[.f]
    TIMESTAMP       2026-01-31T10:00:00[.f]      (SQL form: a space instead of T)
    TIMESTAMP_LTZ   2026-01-31T10:00:00[.f]Z

- `f` is one to nine digits; those beyond the column's precision are cut.
- A text in another form is of the wrong type; one in the form that names no real date or time is out of range.
- Digits are read by arithmetic on columns of characters. numpy's own reader takes `now`, `NaT` and an empty text.
"""

from __future__ import annotations

import operator
import re
from calendar import monthrange
from dataclasses import dataclass
from functools import cache
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, Literal

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

    def by_length(self, fixed: int) -> Iterator[tuple[Int64s | slice, int, Buffer]]:
        """Texts of equal length together: their indexes, the digits of their fraction, and their characters.

        `fixed` is the length of the form without a fraction. `characters[i]` is the i-th character of each of the texts.
        Texts whose length the form cannot have are left out.
        """
        for length in np.flatnonzero(np.bincount(np.minimum(self.lengths, fixed + FRACTION_DIGITS_MAX + 2))).tolist():
            fraction = length - fixed - 1 if length > fixed else 0
            if length != fixed and not 1 <= fraction <= FRACTION_DIGITS_MAX:
                continue
            if self.starts is None:
                yield slice(None), fraction, np.ascontiguousarray(self.buffer.reshape(-1, length + 1).T)[:length]
            else:
                rows = np.flatnonzero(self.lengths == length).astype(np.int64, copy=False)
                yield rows, fraction, self.buffer[self.starts[rows] + np.arange(length, dtype=np.int64)[:, None]]

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
    newlines = np.flatnonzero(buffer == NEWLINE).astype(np.int64, copy=False)
    if len(newlines) == len(texts):
        first = int(newlines[0])
        if len(buffer) == len(texts) * (first + 1) and bool((np.diff(newlines) == first + 1).all()):
            return Texts(buffer, None, np.array([first], dtype=np.int64))
        starts = np.concatenate([np.zeros(1, dtype=np.int64), newlines[:-1] + 1])
        return Texts(buffer, starts, newlines - starts)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return Texts(buffer, np.cumsum(lengths + 1) - lengths - 1, lengths)


def not_none(values: Sequence[object]) -> Mask:
    """Which values are not None."""
    return np.fromiter(map(operator.is_not, values, repeat(None)), dtype=np.bool_, count=len(values))


def read_column(texts: Texts, logical: LogicalType, form: Form, valid: Mask | None) -> Built:
    """The column of a DATE, TIME or timestamp type from its texts, NULL where not valid."""
    if logical.root == "DATE":
        found, codes = read_dates(texts)
    elif logical.root == "TIME":
        found, codes = read_times(texts, logical)
    else:
        found, codes = read_timestamps(texts, logical, form)
    if valid is not None:
        codes = np.where(valid, codes, np.uint8(FINE))
    if logical.root == "TIME":
        series = pl.Series(found).cast(pl.Time)
        column = Column(series if valid is None else series.set(pl.Series(~valid), None))
    else:
        unit = "D" if logical.root == "DATE" else time_unit(logical)
        column = Column(found.view(f"datetime64[{unit}]"), valid)
    return Built(column, codes if codes.any() else None)


def read_timestamps(texts: Texts, logical: LogicalType, form: Form) -> tuple[Int64s, Codes]:
    """Counts of the column's time unit since 1970, and a code for each text."""
    assert logical.precision is not None, "a timestamp has a precision"
    values, codes = _blank(texts)
    unit_digits = _UNIT_DIGITS[time_unit(logical)]
    suffix = b"Z" if logical.root == "TIMESTAMP_LTZ" else b""
    separator = ord(SEPARATORS[form])
    for rows, fraction, characters in texts.by_length(_DATE_CHARS + 1 + _TIME_CHARS + len(suffix)):
        date, time = characters[:_DATE_CHARS], characters[_DATE_CHARS + 1 :]
        days, date_codes = _date(date)
        seconds, parts, time_codes = _time(time, fraction, min(logical.precision, unit_digits), unit_digits)
        formed = characters[_DATE_CHARS] == separator
        if suffix:
            formed &= characters[-1] == suffix[0]
        total = days * 86_400 + seconds
        found = _merge(formed, date_codes, time_codes)
        if unit_digits == FRACTION_DIGITS_MAX:
            outside = (total < _NANOSECOND_SECONDS[0]) | (total > _NANOSECOND_SECONDS[1])
            found[(found == FINE) & outside] = OUT_OF_RANGE
            total[outside] = 0
        values[rows] = total * 10**unit_digits + parts
        codes[rows] = found
    return values, codes


def read_dates(texts: Texts) -> tuple[Int64s, Codes]:
    """Days since 1970, and a code for each text."""
    values, codes = _blank(texts)
    for rows, fraction, characters in texts.by_length(_DATE_CHARS):
        if not fraction:
            values[rows], codes[rows] = _date(characters)
    return values, codes


def read_times(texts: Texts, logical: LogicalType) -> tuple[Int64s, Codes]:
    """Nanoseconds since midnight, and a code for each text."""
    assert logical.precision is not None, "a TIME has a precision"
    values, codes = _blank(texts)
    for rows, fraction, characters in texts.by_length(_TIME_CHARS):
        seconds, parts, codes[rows] = _time(characters, fraction, logical.precision, FRACTION_DIGITS_MAX)
        values[rows] = seconds * 10**FRACTION_DIGITS_MAX + parts
    values[codes != FINE] = 0  # A time that is none has no place in a column of times.
    return values, codes


def code_of(text: str, logical: LogicalType, form: Form) -> int:
    """The code that the readers above give one text."""
    match = re.fullmatch(_pattern(logical, form), text, re.ASCII)
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


def _pattern(logical: LogicalType, form: Form) -> str:
    date, time = r"(?P<date>\d{4}-\d\d-\d\d)", r"(?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    if logical.root == "DATE":
        return date
    if logical.root == "TIME":
        return time
    return f"{date}{SEPARATORS[form]}{time}{'Z' if logical.root == 'TIMESTAMP_LTZ' else ''}"


def _blank(texts: Texts) -> tuple[Int64s, Codes]:
    count = len(texts)
    return np.zeros(count, dtype=np.int64), np.full(count, WRONG_TYPE, dtype=np.uint8)


def _date(characters: Buffer) -> tuple[Int64s, Codes]:
    digits, formed = _digits(characters, (0, 1, 2, 3, 5, 6, 8, 9))
    formed &= (characters[4] == ord("-")) & (characters[7] == ord("-"))
    year, month, day = _number(digits[:4]), _number(digits[4:6]), _number(digits[6:8])
    real = (month >= 1) & (month <= 12) & (year < _YEARS)
    first_days = _first_days()
    months = np.where(real, year * 12 + month - 1, 0)
    first = first_days[months]
    real &= (day >= 1) & (day <= first_days[months + 1] - first)
    return first + day - 1, _codes(formed, real)


@cache
def _first_days() -> Int64s:
    """The first day of each month from year 0 on, in days since 1970."""
    months = np.arange(-1970 * 12, (_YEARS - 1970) * 12 + 1).view("datetime64[M]")
    return months.astype("datetime64[D]").view(np.int64)


def _time(characters: Buffer, fraction: int, kept: int, unit_digits: int) -> tuple[Int64s, Int64s, Codes]:
    """Seconds of the day and the fraction in units, of which the first `kept` digits count."""
    digits, formed = _digits(characters, (0, 1, 3, 4, 6, 7))
    formed &= (characters[2] == ord(":")) & (characters[5] == ord(":"))
    hour, minute, second = _number(digits[:2]), _number(digits[2:4]), _number(digits[4:6])
    parts = np.zeros(characters.shape[1], dtype=np.int64)
    if fraction:
        places, fraction_formed = _digits(characters, tuple(range(_TIME_CHARS + 1, _TIME_CHARS + 1 + fraction)))
        formed &= fraction_formed & (characters[_TIME_CHARS] == ord("."))
        used = min(fraction, kept)
        if used:
            parts = _number(places[:used]) * np.int64(10 ** (unit_digits - used))
    real = (hour < 24) & (minute < 60) & (second < 60)
    return (hour * 3600 + minute * 60 + second).astype(np.int64), parts, _codes(formed, real)


def _digits(characters: Buffer, places: tuple[int, ...]) -> tuple[Buffer, Mask]:
    digits = characters[list(places)]
    digits -= np.uint8(ord("0"))  # What is below "0" wraps to a large number.
    return digits, np.logical_and.reduce(digits <= 9)


def _number(digits: Buffer) -> np.ndarray[Any, np.dtype[np.int32]]:
    value: np.ndarray[Any, np.dtype[np.int32]] = digits[0].astype(np.int32)
    for digit in digits[1:]:
        value *= 10
        value += digit
    return value


def _codes(formed: Mask, real: Mask) -> Codes:
    if formed.all() and real.all():
        return np.zeros(len(formed), dtype=np.uint8)
    return np.where(formed, np.where(real, np.uint8(FINE), np.uint8(OUT_OF_RANGE)), np.uint8(WRONG_TYPE))


def _merge(formed: Mask, first: Codes, second: Codes) -> Codes:
    """The code of a text made of two parts: a wrong form anywhere comes first."""
    if formed.all() and not first.any() and not second.any():
        return first
    wrong = ~formed | (first == WRONG_TYPE) | (second == WRONG_TYPE)
    return np.where(wrong, np.uint8(WRONG_TYPE), np.maximum(first, second))


def form_of(logical: LogicalType, form: Form) -> str:
    """An example of the form that a DATE, TIME or timestamp has, for messages."""
    if logical.root == "DATE":
        return "2026-01-31"
    if logical.root == "TIME":
        return "10:00:00"
    return f"2026-01-31{SEPARATORS[form]}10:00:00{'Z' if logical.root == 'TIMESTAMP_LTZ' else ''}"
