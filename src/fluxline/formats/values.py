"""Texts to values, a column at a time: what JSON and CSV read alike.

Each reader returns the values and one code per row. A row with a code other than `FINE` holds no meaningful value; the
record that it came from is rejected for `REASONS[code]`.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from fluxline.schema import LENGTH_MAX

if TYPE_CHECKING:
    from fluxline.batch import Column
    from fluxline.formats.base import Reason
    from fluxline.schema import LogicalType

Codes: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"
FINE, WRONG_TYPE, OUT_OF_RANGE, MISSING = 0, 1, 2, 3
REASONS: tuple[Reason, ...] = ("malformed", "wrong_type", "out_of_range", "missing")  # FINE has no reason.

NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"  # JSON's own grammar.
_NUMBER_PARTS = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_EXPONENT_DIGITS_MAX = 9  # A longer exponent is beyond every DECIMAL, unless all digits are zero.


class Built(NamedTuple):
    """A column, and a code for each row (None when all rows are fine)."""

    column: Column
    codes: Codes | None


def check_lengths(series: pl.Series, logical: LogicalType) -> Codes | None:
    """Codes of texts or bytes that are longer than CHAR(n), VARCHAR(n), BINARY(n) or VARBINARY(n) allows; None if all fit.

    A shorter CHAR or BINARY fits: nothing is padded.
    """
    if logical.length is None or logical.length == LENGTH_MAX:
        return None
    sizes = series.bin.size() if logical.binary else series.str.len_chars()
    return codes_where(sizes > logical.length, OUT_OF_RANGE)


def length_code(value: str | bytes, logical: LogicalType) -> int:
    """The code that `check_lengths` gives one value."""
    return OUT_OF_RANGE if logical.length is not None and len(value) > logical.length else FINE


def read_base64(texts: pl.Series, logical: LogicalType) -> tuple[pl.Series, Codes | None]:
    """Bytes from base64 text with padding, in its only spelling: what no byte needs is zero."""
    values = texts.str.decode("base64", strict=False)
    codes = None
    if values.null_count() != texts.null_count():
        codes = codes_where(values.is_null() & texts.is_not_null(), WRONG_TYPE)
    return values, worst(codes, check_lengths(values, logical))


def base64_code(text: str, logical: LogicalType) -> int:
    """The code that `read_base64` gives one text."""
    try:
        found = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return WRONG_TYPE
    if binascii.b2a_base64(found, newline=False).decode() != text:
        return WRONG_TYPE
    return length_code(found, logical)


def read_decimals(texts: pl.Series, logical: LogicalType) -> tuple[pl.Series, Codes | None]:
    """DECIMAL values, exact, from the texts of numbers.

    A value fits when precision and scale hold it; zeros behind the last digit that counts do not matter, so `1.50` fits
    DECIMAL(10, 1).
    """
    assert logical.precision is not None and logical.scale is not None, "a DECIMAL has both"
    dtype = pl.Decimal(logical.precision, logical.scale)
    whole = logical.precision - logical.scale
    whole_form = "0" if whole == 0 else rf"(0|[1-9][0-9]{{0,{whole - 1}}})"
    fraction_form = rf"(\.[0-9]{{1,{logical.scale}}})?" if logical.scale else ""
    plain = texts.str.contains(f"^-?{whole_form}{fraction_form}$")
    odd = (~plain).arg_true()
    if not len(odd):
        return texts.cast(dtype), None
    codes = np.zeros(len(texts), dtype=np.uint8)
    rewritten = []
    for index, text in zip(odd.to_list(), texts.gather(odd).to_list(), strict=True):
        written = _plain_decimal(text, whole, logical.scale)
        rewritten.append(written if isinstance(written, str) else None)
        codes[index] = FINE if isinstance(written, str) else written
    # scatter works in place; the texts are the caller's.
    return texts.clone().scatter(odd, pl.Series(rewritten, dtype=pl.String)).cast(dtype), codes


def decimal_code(text: str, logical: LogicalType) -> int:
    """The code that `read_decimals` gives one text."""
    assert logical.precision is not None and logical.scale is not None, "a DECIMAL has both"
    written = _plain_decimal(text, logical.precision - logical.scale, logical.scale)
    return FINE if isinstance(written, str) else written


def _plain_decimal(text: str, whole: int, scale: int) -> str | int:
    """The number in plain digits, or the code that says why it does not fit."""
    match = _NUMBER_PARTS.fullmatch(text)
    if match is None:
        return WRONG_TYPE
    sign, before, after, exponent = match.groups()
    digits = (before + (after or "")).lstrip("0")
    if not digits.rstrip("0"):
        return "0"
    if len((exponent or "").lstrip("+-").lstrip("0")) > _EXPONENT_DIGITS_MAX:
        return OUT_OF_RANGE
    power = int(exponent or 0) - len(after or "") + len(digits) - len(digits.rstrip("0"))
    digits = digits.rstrip("0")
    if power < -scale or len(digits) + power > whole:
        return OUT_OF_RANGE
    if power >= 0:
        return f"{sign}{digits}{'0' * power}"
    padded = digits.rjust(1 - power, "0")
    return f"{sign}{padded[:power]}.{padded[power:]}"


def codes_where(rows: pl.Series, code: int) -> Codes | None:
    """This code for the rows that a Boolean series holds True for, else FINE; None if there are none. NULL is not True."""
    if not rows.any():
        return None
    return rows.fill_null(value=False).to_numpy().astype(np.uint8) * np.uint8(code)


def worst(first: Codes | None, second: Codes | None) -> Codes | None:
    """For each row the first code that is not FINE."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first == FINE, second, first)


def missing_sentence(logical: LogicalType, path: str, what: str) -> str:
    """The detail of a reject whose value must be there; `what` is `null` or `not there`."""
    return f'Field "{path}" is {logical.text()} NOT NULL, and it is {what}.'


def misfit_sentence(code: int, logical: LogicalType, path: str, what: str, form: str) -> str:
    """The detail of a reject whose value is there; `form` is the form that a text should have."""
    tail = ", which does not fit" if code == OUT_OF_RANGE else f"; the form is {form}" if form else ""
    return f'Field "{path}" is {logical.text()}, and it holds {what}{tail}.'
