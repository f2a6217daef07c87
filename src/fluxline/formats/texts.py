"""Columns to text: what JSON and CSV write alike, as Polars expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.formats.base import Encoded
from fluxline.formats.temporal import SEPARATORS
from fluxline.schema import APPROXIMATES

if TYPE_CHECKING:
    from fluxline.formats.temporal import Form
    from fluxline.schema import LogicalType


def flat_text(value: pl.Expr, logical: LogicalType, form: Form, *, words: tuple[str, str, str] = ("NaN", "Infinity", "-Infinity")) -> pl.Expr:
    """The expression that writes a column of a flat type as text, NULL as NULL.

    - FLOAT and DOUBLE are the shortest number that reads back as the same value, or one of `words`.
    - DECIMAL is in plain digits with its whole scale, bytes are base64.
    - A time prints no fraction that is zero and no zero at the fraction's end.
    """
    if logical.root in APPROXIMATES:
        others = pl.when(value.is_nan()).then(pl.lit(words[0])).when(value > 0).then(pl.lit(words[1])).otherwise(pl.lit(words[2]))
        return pl.when(value.is_finite()).then(value.cast(pl.String)).when(value.is_not_null()).then(others)
    if logical.numeric or logical.root == "BOOLEAN":
        return value.cast(pl.String)
    if logical.text_like:
        return value
    if logical.binary:
        return value.bin.encode("base64")
    if logical.root == "DATE":
        return value.dt.to_string("%Y-%m-%d")
    text = value.dt.to_string("%H:%M:%S%.f" if logical.root == "TIME" else f"%Y-%m-%d{SEPARATORS[form]}%H:%M:%S%.f")
    # %.f writes nothing, or three, six or nine digits.
    text = pl.when(value.dt.nanosecond() == 0).then(text).otherwise(text.str.strip_chars_end("0"))
    return text + "Z" if logical.root == "TIMESTAMP_LTZ" else text


def join_lines(lines: pl.Series) -> Encoded:
    """Texts that end with their line end, side by side."""
    bounds = np.zeros(len(lines) + 1, dtype=np.int64)
    np.cumsum(lines.str.len_bytes().to_numpy(), out=bounds[1:])
    return Encoded(lines.implode().list.join("").item().encode(), bounds)
