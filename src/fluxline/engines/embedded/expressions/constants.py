"""Constants of a plan as values of numpy and Polars, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fluxline.batch import Column, numpy_type, polars_type, time_unit

if TYPE_CHECKING:
    from fluxline.plan.expressions import Constant, Value
    from fluxline.schema import LogicalType

SCALARS_ONLY = ("ARRAY", "MAP", "ROW", "NULL")


def constant_array(constant: Constant) -> np.ndarray[Any, np.dtype[Any]]:
    """The constant as an array of one row; of NULL the value means nothing."""
    kind = numpy_type(constant.type)
    assert kind is not None, f"{constant.type} has no numpy form"
    if constant.value is None:
        return np.zeros(1, dtype=kind)
    if constant.type.timestamp:
        return np.array([_utc(constant.value)], dtype="datetime64[us]").astype(kind)
    return np.array([constant.value], dtype=kind)


def constant_series(constant: Constant) -> pl.Series:
    """The constant as a Polars series of one row."""
    return pl.Series([_utc(constant.value)], dtype=polars_type(constant.type))


def constant_literal(constant: Constant) -> pl.Expr:
    """The constant as a Polars literal."""
    kind = polars_type(constant.type)
    if constant.value is None:
        return pl.lit(None, dtype=kind)
    if constant.type.root in SCALARS_ONLY or constant.type.root in ("DECIMAL", "TIME"):
        return pl.lit(constant_series(constant)).first()
    return pl.lit(_utc(constant.value), dtype=kind)


def constant_column(constant: Constant, rows: int) -> Column:
    """The constant in every row."""
    if numpy_type(constant.type) is None:
        return Column(constant_series(constant).new_from_index(0, rows))
    valid = np.zeros(rows, dtype=np.bool_) if constant.value is None else None
    return Column(np.repeat(constant_array(constant), rows), valid)


def value_of(series: pl.Series, kind: LogicalType) -> Value:
    """The one value of a series, as a plan carries it."""
    value: Value = series.item()
    assert value is None or kind.root not in SCALARS_ONLY, f"{kind} is no plain value"
    return value


def is_plain(kind: LogicalType) -> bool:
    """Whether a constant of this type can carry every value: nested ones cannot, nor can nanoseconds."""
    return kind.root not in SCALARS_ONLY and not (kind.timestamp and time_unit(kind) == "ns")


def _utc(value: Value) -> Value:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
