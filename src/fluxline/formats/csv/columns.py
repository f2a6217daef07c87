"""What each type accepts in a CSV field, and how its column is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import Column, column_from_series, polars_type
from fluxline.formats import temporal, values
from fluxline.formats.csv.layout import quoted_fields
from fluxline.formats.pieces import cut_texts
from fluxline.formats.values import MISSING, OUT_OF_RANGE, WRONG_TYPE, Built, Codes
from fluxline.schema import APPROXIMATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Int64s, Mask
    from fluxline.formats.csv.layout import Dialect
    from fluxline.formats.temporal import Form
    from fluxline.schema import LogicalType

_TIMES = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ")
_INTEGER = r"^-?(0|[1-9][0-9]*)$"


@dataclass(frozen=True, slots=True)
class Fields:
    """One field of each of some records.

    Attributes:
        pieces: what the fields hold as places in the block, quotes at the ends aside. A doubled quote is still doubled there.
        valid: which are not NULL; None when all are.
        texts: what they hold, NULL for NULL; None for a type that is read from the places.
    """

    pieces: temporal.Texts
    valid: Mask | None
    texts: pl.Series | None

    def text(self, row: int, dialect: Dialect) -> str:
        """What one field holds."""
        assert self.pieces.starts is not None, "fields lie anywhere"
        start, quote = int(self.pieces.starts[row]), bytes([dialect.quote])
        return bytes(self.pieces.buffer[start : start + int(self.pieces.lengths[row])]).replace(quote + quote, quote).decode()


def cut_fields(
    data: bytes, places: Sequence[tuple[Int64s, Int64s]], types: Sequence[LogicalType], dialect: Dialect, null_literal: str
) -> list[Fields]:
    """The fields at these places: for each type, where they start and end."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    quoted = [quoted_fields(buffer, starts, ends, dialect) for starts, ends in places]
    inner = [(starts + marks, ends - marks) for (starts, ends), marks in zip(places, quoted, strict=True)]
    as_text = [number for number, logical in enumerate(types) if null_literal or logical.root not in _TIMES]
    cut = dict(zip(as_text, cut_texts(data, [inner[number] for number in as_text]), strict=True))
    quote = chr(dialect.quote)
    found = []
    for number, ((starts, ends), marks) in enumerate(zip(inner, quoted, strict=True)):
        texts = cut.get(number)
        if texts is not None and marks.any():  # No other field holds a quote.
            texts = texts.str.replace_all(quote + quote, quote, literal=True)
        nulls = starts == ends if texts is None or not null_literal else (texts == null_literal).to_numpy()
        nulls = nulls & ~marks
        valid = ~nulls if nulls.any() else None
        if texts is not None and valid is not None:
            texts = texts.set(pl.Series(nulls), None)
        found.append(Fields(temporal.Texts(buffer, starts, ends - starts), valid, texts))
    return found


def build(fields: Fields, logical: LogicalType, form: Form) -> Built:
    """The column of these fields, and a code for each record."""
    built = _build_present(fields, logical, form)
    if fields.valid is None or logical.nullable:
        return built
    missing = np.where(fields.valid, np.uint8(values.FINE), np.uint8(MISSING))
    return Built(built.column, values.worst(missing, built.codes))


def _build_present(fields: Fields, logical: LogicalType, form: Form) -> Built:
    if logical.root in _TIMES:
        return temporal.read_column(fields.pieces, logical, form, fields.valid)
    texts = fields.texts
    assert texts is not None, "all other types are read from texts"
    if logical.integer:
        return _number(texts, texts.cast(polars_type(logical), strict=False), _INTEGER, logical)
    if logical.root in APPROXIMATES:
        wide = texts.cast(pl.Float64, strict=False)
        found = wide.cast(polars_type(logical))
        return _number(texts, found.set(found.is_infinite().fill_null(value=False), None), values.NUMBER, logical)
    if logical.root == "BOOLEAN":
        truth = texts == "true"
        return Built(column_from_series(truth, logical), values.codes_where(~(truth | (texts == "false")), WRONG_TYPE))
    if logical.root == "DECIMAL":
        numbers, codes = values.read_decimals(texts, logical)
        return Built(Column(numbers), codes)
    if logical.binary:
        found, codes = values.read_base64(texts, logical)
        return Built(Column(found), codes)
    return Built(Column(texts), values.check_lengths(texts, logical))


def _number(texts: pl.Series, found: pl.Series, grammar: str, logical: LogicalType) -> Built:
    """A number column: NULL where a text is not of the grammar or beyond the range."""
    formed = texts.str.contains(grammar)
    codes: Codes | None = values.codes_where(~formed, WRONG_TYPE)
    if found.null_count() != texts.null_count():
        codes = values.worst(codes, values.codes_where(found.is_null() & texts.is_not_null(), OUT_OF_RANGE))
    return Built(column_from_series(found, logical), codes)


def null_column(rows: int, logical: LogicalType) -> Built:
    """The column of a field that the file does not have."""
    column = column_from_series(pl.Series([None] * rows, dtype=polars_type(logical)), logical)
    return Built(column, None if logical.nullable or not rows else np.full(rows, MISSING, dtype=np.uint8))
