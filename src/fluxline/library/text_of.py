"""Values as text, as CAST to STRING writes them: a DOUBLE as Java prints it, `25.5`, `1.0E10`, `1.0E-4`, `NaN`, `Infinity`.

The digits are the shortest that read back as the same number. (A JVM older than 19 prints one digit more for a few numbers.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fluxline.library.function import LazyModule

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl

    from fluxline.schema import LogicalType
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

PLAIN_MIN, PLAIN_BELOW = 1e-3, 1e7  # Numbers of this size are written without an exponent.
SECOND_CHARS = len("2024-06-07 12:00:00")


def text_of(kind: LogicalType) -> Callable[[pl.Expr], pl.Expr] | None:
    """How a value of this type becomes text, or None where it cannot."""
    if kind.root in ("FLOAT", "DOUBLE"):
        return lambda value: value.map_batches(number_text, return_dtype=pl.String, is_elementwise=True)
    if kind.root == "BOOLEAN":
        return lambda value: pl.when(value).then(pl.lit("TRUE")).when(value.not_()).then(pl.lit("FALSE"))
    if kind.integer or kind.root == "DECIMAL" or kind.text_like:
        return lambda value: value.cast(pl.String)
    if kind.root == "DATE":
        return lambda value: value.dt.to_string("%Y-%m-%d")
    if kind.root == "TIME":
        return _time_text(kind.precision or 0)
    if kind.timestamp:
        return _timestamp_text(kind.precision or 0)
    if kind.binary:
        return lambda value: value.map_batches(_decoded, return_dtype=pl.String, is_elementwise=True)
    return None


def number_text(column: pl.Series) -> pl.Series:
    """FLOAT or DOUBLE as Java's toString writes it."""
    texts = column.cast(pl.String)
    size = np.abs(column.to_numpy())
    plain = ((size >= PLAIN_MIN) & (size < PLAIN_BELOW)) | (size == 0)
    if plain.all():
        return texts
    rows = (~pl.Series(plain) & column.is_not_null()).arg_true()
    short = column.dtype == pl.Float32
    return texts.scatter(rows, [java_text(value, short=short) for value in column.gather(rows).to_list()])


def java_text(value: float, *, short: bool = False) -> str:
    """One number as Java writes it.

    Args:
        value: the number.
        short: it is a FLOAT: the shortest digits that tell it from its neighbours in 32 bits.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if PLAIN_MIN <= abs(value) < PLAIN_BELOW or value == 0:
        return np.format_float_positional(np.float32(value), unique=True, trim="0") if short else repr(value)
    number = np.float32(value) if short else np.float64(value)
    digits, exponent = np.format_float_scientific(number, unique=True, trim="0").split("e")
    if digits.endswith(".0"):
        # Java writes two digits at least, and of the least numbers the second one is not 0.
        nearest = f"{float(number):.1e}"
        if type(number)(nearest) == number:
            digits, exponent = nearest.split("e")
    return f"{digits}E{int(exponent)}"


def _timestamp_text(precision: int) -> Callable[[pl.Expr], pl.Expr]:
    if precision == 0:
        return lambda value: value.dt.to_string("%Y-%m-%d %H:%M:%S")
    printed = 3 if precision <= 3 else 6 if precision <= 6 else 9
    pattern = f"%Y-%m-%d %H:%M:%S%.{printed}f"
    if printed == precision:
        return lambda value: value.dt.to_string(pattern)
    return lambda value: value.dt.to_string(pattern).str.slice(0, SECOND_CHARS + 1 + precision)


def _time_text(precision: int) -> Callable[[pl.Expr], pl.Expr]:
    if precision == 0:
        return lambda value: value.dt.to_string("%H:%M:%S")
    # Flink writes a TIME without the zeros at its end, but for one.
    return lambda value: value.dt.to_string("%H:%M:%S%.3f").str.replace(r"(\.\d+?)0+$", "${1}")


def _decoded(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:  # some value is not UTF-8
        return pl.Series(column.name, [None if value is None else value.decode("utf-8", "replace") for value in column.to_list()], dtype=pl.String)
