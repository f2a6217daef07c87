"""What each flat type accepts, and how its column is built.

A `Reader` serves one field, element, key or value. msgspec checks the JSON type while it parses; `build` makes the column
and checks what msgspec does not (ranges, lengths, forms of text), a column at a time. `judge` says of one parsed value
why it is not of the type; it follows the same rules and is asked only when something was found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import numpy as np
import polars as pl

from fluxline.batch import Column, numpy_type
from fluxline.formats import temporal, values
from fluxline.formats.records import excerpt
from fluxline.formats.values import MISSING, OUT_OF_RANGE, REASONS, WRONG_TYPE, Built
from fluxline.schema import APPROXIMATES, INTEGER_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fluxline.formats.base import Reason
    from fluxline.formats.temporal import Form
    from fluxline.schema import LogicalType

_INTEGER = re.compile(r"-?[0-9]+")
_INTEGER_DIGITS_MAX = 19  # Of a 64-bit integer.


class Finding(NamedTuple):
    """Why a value is not of its type."""

    reason: Reason
    detail: str


class Reader(Protocol):
    """Reads the values of one type."""

    native: Any
    """The type that msgspec is asked for, None included where NULL is a value."""
    missing: Any
    """What a field that is not there becomes, or `msgspec.NODEFAULT` when it must be there."""

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        """The column of the values `get(row)`, or of the rows themselves."""
        ...

    def judge(self, value: object, path: str) -> Finding | None:
        """What is wrong with a value, or None. Numbers come as `msgspec.Raw`, the rest as Python has it."""
        ...


class FlatReader:
    """What the readers of flat types have in common."""

    python: Any = str

    def __init__(self, logical: LogicalType) -> None:
        self.logical = logical
        self.native = self.python | None if logical.nullable else self.python
        self.missing: Any = None if logical.nullable else msgspec.NODEFAULT

    def judge(self, value: object, path: str) -> Finding | None:
        if value is None:
            return None if self.logical.nullable else found_missing(self.logical, path, "null")
        code = self.code(value)
        return None if code == values.FINE else finding(code, self.logical, path, value, self.form())

    def form(self) -> str:
        """The form that a text must have, for messages."""
        return ""

    def code(self, value: object) -> int:
        """The code of one parsed value that is not None; the same as `build` gives it."""
        raise NotImplementedError

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        raise NotImplementedError


class IntegerReader(FlatReader):
    """TINYINT, SMALLINT, INT, BIGINT."""

    python = int

    def __init__(self, logical: LogicalType) -> None:
        super().__init__(logical)
        bits = INTEGER_BITS[logical.root]
        self.dtype = numpy_type(logical)
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        try:
            whole = np.fromiter(pulled(rows, get), dtype=np.int64, count=len(rows))
        except (TypeError, OverflowError):  # A NULL, or more than 64 bits.
            return self._with_gaps(list(pulled(rows, get)))
        if self.dtype == np.int64 or not len(whole):
            return Built(Column(whole.astype(self.dtype, copy=False)), None)
        codes = None
        if whole.min() < self.low or whole.max() > self.high:
            codes = ((whole < self.low) | (whole > self.high)).astype(np.uint8) * np.uint8(OUT_OF_RANGE)
        return Built(Column(whole.astype(self.dtype)), codes)

    def _with_gaps(self, found: list[int | None]) -> Built:
        valid = temporal.not_none(found)
        numbers = np.array(found, dtype=np.object_)
        numbers[~valid] = 0
        outside = (numbers < self.low) | (numbers > self.high)
        codes = None
        if outside.any():
            codes = outside.astype(np.uint8) * np.uint8(OUT_OF_RANGE)
            numbers[outside.astype(np.bool_)] = 0
        return Built(Column(numbers.astype(self.dtype), None if valid.all() else valid), codes)

    def code(self, value: object) -> int:
        text = number_text(value)
        if text is None or not _INTEGER.fullmatch(text):
            return WRONG_TYPE
        if len(text.lstrip("-")) > _INTEGER_DIGITS_MAX:
            return OUT_OF_RANGE
        return values.FINE if self.low <= int(text) <= self.high else OUT_OF_RANGE


class ApproximateReader(FlatReader):
    """FLOAT and DOUBLE, from any JSON number that they can hold."""

    python = float

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        numbers = np.fromiter(pulled(rows, get), dtype=np.float64, count=len(rows))
        nulls = np.isnan(numbers)  # numpy makes NaN of None, and JSON has no NaN of its own.
        numbers[nulls] = 0.0
        valid = ~nulls if nulls.any() else None
        if self.logical.root == "DOUBLE":
            return Built(Column(numbers, valid), None)
        with np.errstate(over="ignore"):
            short = numbers.astype(np.float32)
        outside = np.isinf(short)
        return Built(Column(short, valid), outside.astype(np.uint8) * np.uint8(OUT_OF_RANGE) if outside.any() else None)

    def code(self, value: object) -> int:
        text = number_text(value)
        if text is None:
            return WRONG_TYPE
        with np.errstate(over="ignore"):
            number = np.float64(text) if self.logical.root == "DOUBLE" else np.float32(float(text))
        return OUT_OF_RANGE if np.isinf(number) else values.FINE


class BooleanReader(FlatReader):
    """BOOLEAN."""

    python = bool

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        try:
            bits = np.fromiter(pulled(rows, get), dtype=np.int8, count=len(rows))  # As bool, None would be False.
            return Built(Column(bits.view(np.bool_)), None)
        except TypeError:
            found = list(pulled(rows, get))
            return Built(Column(np.array(found, dtype=np.object_).astype(np.bool_), temporal.not_none(found)), None)

    def code(self, value: object) -> int:
        return values.FINE if isinstance(value, bool) else WRONG_TYPE


class TextReader(FlatReader):
    """CHAR, VARCHAR, STRING."""

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        texts = pl.Series(list(pulled(rows, get)), dtype=pl.String)
        return Built(Column(texts), values.check_lengths(texts, self.logical))

    def code(self, value: object) -> int:
        return values.length_code(value, self.logical) if isinstance(value, str) else WRONG_TYPE


class BytesReader(FlatReader):
    """BINARY, VARBINARY, BYTES, from base64 text."""

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        found, codes = values.read_base64(pl.Series(list(pulled(rows, get)), dtype=pl.String), self.logical)
        return Built(Column(found), codes)

    def code(self, value: object) -> int:
        return values.base64_code(value, self.logical) if isinstance(value, str) else WRONG_TYPE

    def form(self) -> str:
        return "base64 with padding"


class DecimalReader(FlatReader):
    """DECIMAL, exact from the number's own text, so msgspec hands over the bytes of the value."""

    def __init__(self, logical: LogicalType) -> None:
        super().__init__(logical)
        self.native = msgspec.Raw
        self.missing = msgspec.Raw(b"null") if logical.nullable else msgspec.NODEFAULT

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        raws = list(pulled(rows, get))
        texts = _raw_texts(raws)
        if len(texts) != len(raws):  # An array or object that spans lines: no number, and one that stands on a line does as well.
            texts = _raw_texts([b"[]" if b"\n" in bytes(raw) else raw for raw in raws])
        codes = None
        nulls = texts == "null"
        if nulls.any():
            texts = texts.set(nulls, None)
            codes = None if self.logical.nullable else values.codes_where(nulls, MISSING)
        found, number_codes = values.read_decimals(texts, self.logical)
        return Built(Column(found), values.worst(codes, number_codes))

    def code(self, value: object) -> int:
        text = number_text(value)
        return WRONG_TYPE if text is None else values.decimal_code(text, self.logical)


def _raw_texts(raws: Sequence[Any]) -> pl.Series:
    """The bytes of values as text, one row for each that holds no newline."""
    if not raws:
        return pl.Series([], dtype=pl.String)
    return pl.Series([b"\n".join(raws).decode()], dtype=pl.String).str.split("\n").explode(empty_as_null=False)


class TemporalReader(FlatReader):
    """DATE, TIME, TIMESTAMP, TIMESTAMP_LTZ, from text."""

    def __init__(self, logical: LogicalType, form: Form) -> None:
        super().__init__(logical)
        self._form = form

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        texts, valid = temporal.texts_of(list(pulled(rows, get)))
        return temporal.read_column(texts, self.logical, self._form, valid)

    def code(self, value: object) -> int:
        return temporal.code_of(value, self.logical, self._form) if isinstance(value, str) else WRONG_TYPE

    def form(self) -> str:
        return temporal.form_of(self.logical, self._form)


def flat_reader(logical: LogicalType, form: Form) -> Reader:
    """The reader of a flat type."""
    root = logical.root
    if logical.integer:
        return IntegerReader(logical)
    if root in APPROXIMATES:
        return ApproximateReader(logical)
    if root == "BOOLEAN":
        return BooleanReader(logical)
    if root == "DECIMAL":
        return DecimalReader(logical)
    if logical.text_like:
        return TextReader(logical)
    if logical.binary:
        return BytesReader(logical)
    assert root in ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ"), f"no reader for {logical}"
    return TemporalReader(logical, form)


def pulled(rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Iterable[Any]:
    """The values of the rows."""
    return rows if get is None else map(get, rows)


def number_text(value: object) -> str | None:
    """The text of a parsed number, or None when the value is no number."""
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else None


def found_missing(logical: LogicalType, path: str, what: str) -> Finding:
    """The finding of a value that must be there; `what` is `null` or `not there`."""
    return Finding("missing", values.missing_sentence(logical, path, what))


def finding(code: int, logical: LogicalType, path: str, value: object, form: str = "") -> Finding:
    """The finding of a value that is there."""
    return Finding(REASONS[code], values.misfit_sentence(code, logical, path, describe(value), form if isinstance(value, str) else ""))


def describe(value: object) -> str:
    """A parsed value in words."""
    text = number_text(value)
    if text is not None:
        return f"the number {excerpt(text)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{excerpt(value)}"'
    return "an array" if isinstance(value, list) else "an object"
