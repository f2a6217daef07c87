"""Conversions between types: which pairs CAST has, which of them can fail for a value, and how they run.

Whole numbers wrap, as in Java; a DOUBLE loses its fraction and stops at the ends of the integer type; a DECIMAL that does not
fit is NULL; text that is none of the type fails its row, or is NULL for TRY_CAST. A timestamp loses the digits that its type
does not have: before 1970, where less than a millisecond is not concerned, towards 1970, as in Flink; the same holds for the
day of a TIMESTAMP, while TIMESTAMP_LTZ gives the day that the clock shows. TIMESTAMP_LTZ is read and shown in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxline.library import decimals, parse
from fluxline.library.function import LazyModule
from fluxline.library.text_of import text_of
from fluxline.schema import APPROXIMATES, INTEGER_BITS, LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl

    from fluxline.schema import LogicalType
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

MS_PER_DAY = 86_400_000
NUMBERS = ("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL")
TEXTS = ("CHAR", "VARCHAR")
TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_LTZ")
TARGETS: dict[str, tuple[str, ...]] = {
    "BOOLEAN": ("BOOLEAN", *NUMBERS, *TEXTS),
    **dict.fromkeys(NUMBERS, ("BOOLEAN", *NUMBERS, *TEXTS)),
    **dict.fromkeys(TEXTS, ("BOOLEAN", *NUMBERS, *TEXTS, "VARBINARY", "DATE", "TIME", *TIMESTAMPS)),
    "BINARY": (*TEXTS, "VARBINARY"),
    "VARBINARY": (*TEXTS, "VARBINARY"),
    "DATE": (*TEXTS, "DATE", *TIMESTAMPS),
    "TIME": (*TEXTS, "TIME", *TIMESTAMPS),
    "TIMESTAMP": (*TEXTS, "DATE", "TIME", *TIMESTAMPS),
    "TIMESTAMP_LTZ": (*TEXTS, "DATE", "TIME", *TIMESTAMPS),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How one pair of types is converted.

    Attributes:
        polars: the converted value; NULL for NULL and where it cannot be converted.
        numpy: the same for an array without NULL; None where it has no such form.
        fails: TRUE where a value, not NULL, cannot be converted; None where every value can.
    """

    polars: Callable[[pl.Expr], pl.Expr]
    numpy: Callable[[Any], Any] | None = None
    fails: Callable[[pl.Expr], pl.Expr] | None = None


def cast_supported(source: LogicalType, target: LogicalType) -> bool:
    """Whether CAST converts the one type to the other."""
    if source.with_nullable(True) == target.with_nullable(True) or source.root == "NULL":
        return True
    if target.binary and target.length != LENGTH_MAX:
        return False
    return target.root in TARGETS.get(source.root, ())


def cast_can_fail(source: LogicalType, target: LogicalType) -> bool:
    """Whether there are values of the one type that CAST cannot convert to the other."""
    if source.root in TEXTS:
        return target.root not in (*TEXTS, "VARBINARY")
    return source.root in APPROXIMATES and target.root == "DECIMAL"


def cast_can_give_null(source: LogicalType, target: LogicalType) -> bool:
    """Whether CAST, failing aside, gives NULL for some values that are not: numbers too large for a DECIMAL."""
    if target.root != "DECIMAL" or source.root == "NULL":
        return False
    if source.root in APPROXIMATES or source.root in TEXTS:
        return source.root in APPROXIMATES
    precision, scale = (3, 0) if source.root == "BOOLEAN" else _digits(source)
    wanted, wanted_scale = decimals.digits(target)
    return precision - scale + (1 if scale > wanted_scale else 0) > wanted - wanted_scale


def conversion(source: LogicalType, target: LogicalType) -> Conversion:
    """How values of the one type become the other; the pair must be supported."""
    assert cast_supported(source, target), f"no conversion from {source} to {target}"
    if source.root == "NULL":
        return Conversion(lambda value: value)
    if source.root in TEXTS:
        return _from_text(target)
    if target.root in TEXTS:
        return Conversion(_cut(text_of(source), target))
    if target.root == "BOOLEAN" or source.root == "BOOLEAN":
        return _boolean(source, target)
    if source.numeric:
        return _number(source, target)
    return _temporal(source, target)


def _digits(kind: LogicalType) -> tuple[int, int]:
    from fluxline.library.inference import decimal_digits

    return decimal_digits(kind)


def _from_text(target: LogicalType) -> Conversion:
    if target.root in TEXTS:
        return Conversion(_cut(lambda value: value, target))
    if target.binary:
        return Conversion(lambda value: value.cast(pl.Binary))
    form = parse.parsed(target)
    assert form is not None, f"text is not read as {target}"
    return Conversion(form, None, lambda value: value.is_not_null() & form(value).is_null())


def _cut(form: Callable[[pl.Expr], pl.Expr] | None, target: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    assert form is not None, "every type that is cast to text has a text"
    length = target.length
    assert length is not None
    if length == LENGTH_MAX:
        return form
    if target.root == "CHAR":
        return lambda value: form(value).str.slice(0, length).str.pad_end(length)
    return lambda value: form(value).str.slice(0, length)


def _boolean(source: LogicalType, target: LogicalType) -> Conversion:
    if source.root == target.root:
        return Conversion(lambda value: value, lambda value: value)
    if source.root == "BOOLEAN":
        if target.root == "DECIMAL":
            exact = decimals.to_decimal(_tinyint(), target)
            return Conversion(lambda value: exact(value.cast(pl.Int8)))
        return Conversion(lambda value: value.cast(_polars(target)), lambda value: value.astype(_numpy(target)))
    if source.root == "DECIMAL":
        nothing = pl.lit(0, dtype=pl.Int128)
        return Conversion(lambda value: value.to_physical() != nothing)
    return Conversion(lambda value: value != 0, lambda value: value != 0)


def _tinyint() -> LogicalType:
    from fluxline.schema import TINYINT

    return TINYINT


def _number(source: LogicalType, target: LogicalType) -> Conversion:
    if target.root == "DECIMAL":
        if source.root in APPROXIMATES:
            return Conversion(_rounded_decimal(target), None, lambda value: value.is_nan() | value.is_infinite())
        return Conversion(decimals.to_decimal(source, target))
    if source.root == "DECIMAL":
        if target.integer:
            return Conversion(decimals.to_integer(source, _polars(target)))
        double = decimals.to_double(source)
        return Conversion(double if target.root == "DOUBLE" else lambda value: double(value).cast(pl.Float32))
    if source.integer and target.integer:
        return Conversion(lambda value: value.cast(_polars(target), wrap_numerical=True), lambda value: value.astype(_numpy(target)))
    if target.root in APPROXIMATES:
        return Conversion(lambda value: value.cast(_polars(target)), lambda value: value.astype(_numpy(target)))
    return Conversion(lambda value: _whole(value, target), lambda value: whole_numbers(value, INTEGER_BITS[target.root]))


def _whole(value: pl.Expr, target: LogicalType) -> pl.Expr:
    # As Java: to INT or BIGINT, which stops at the ends and makes NaN 0; the small types are what is left of the INT.
    wide = value.cast(pl.Int64 if target.root == "BIGINT" else pl.Int32, wrap_numerical=True)
    return wide.cast(_polars(target), wrap_numerical=True)


def whole_numbers(values: Any, bits: int) -> Any:
    """FLOAT or DOUBLE to an integer type, as Java converts them: without fraction, NaN to 0, ends where the type ends."""
    wide = 64 if bits == 64 else 32
    low, above = -(2.0 ** (wide - 1)), 2.0 ** (wide - 1)
    inside = (values >= low) & (values < above)
    kind = np.int64 if wide == 64 else np.int32
    if inside.all():
        found = values.astype(kind)
    else:
        limits = np.iinfo(kind)
        found = np.where(inside, values, 0).astype(kind)
        found = np.where(values >= above, limits.max, np.where(values < low, limits.min, found)).astype(kind)
    return found.astype(f"int{bits}")


def _rounded_decimal(target: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    """FLOAT or DOUBLE to DECIMAL: from the shortest digits of the number as a DOUBLE, half up."""
    precision, scale = decimals.digits(target)

    def run(column: pl.Series) -> pl.Series:
        value = column.cast(pl.Float64)
        size = value.abs()
        tiny = size < 10.0 ** -(scale + 2)
        texts = pl.select(
            pl.when(pl.lit(tiny)).then(pl.lit("0")).when(pl.lit(size) < 10.0 ** (precision - scale + 1)).then(pl.lit(value).cast(pl.String))
        ).to_series()
        return parse.decimal_of_text(texts, precision, scale)

    return lambda value: value.map_batches(run, return_dtype=pl.Decimal(precision, scale), is_elementwise=True)


def _temporal(source: LogicalType, target: LogicalType) -> Conversion:
    if target.binary or source.root == target.root == "DATE":
        return Conversion(lambda value: value, lambda value: value)
    if target.root == "DATE":
        return _to_date(source)
    if target.root == "TIME":
        return _to_time(source, target)
    if source.root == "TIME":
        return Conversion(lambda value: (value.to_physical() // _nanos(target)).cast(_polars(target)))
    if source.root == "DATE":
        return Conversion(lambda value: value.cast(_polars(target)), lambda value: value.astype(_numpy(target)))
    return _to_timestamp(source, target)


def _to_date(source: LogicalType) -> Conversion:
    if source.root == "TIMESTAMP_LTZ":
        return Conversion(lambda value: value.dt.date(), lambda value: value.astype("datetime64[D]"))
    return Conversion(
        lambda value: days_towards_1970(value).cast(pl.Int32).cast(pl.Date),
        lambda value: truncated_quotient(value.astype("datetime64[ms]").view(np.int64), MS_PER_DAY).view("datetime64[D]"),
    )


def days_towards_1970(value: pl.Expr) -> pl.Expr:
    """The day of a timestamp as whole days since 1970, before it rounded up."""
    return value.dt.epoch("ms").truncdiv(MS_PER_DAY)


def truncated_quotient(values: Any, step: int) -> Any:
    """Whole numbers divided by a step, without the fraction."""
    if len(values) == 0 or values.min() >= 0:
        return values // step
    return -(-values // step) * (values < 0) + (values // step) * (values >= 0)


def _to_time(source: LogicalType, target: LogicalType) -> Conversion:
    step = 10 ** (9 - min(target.precision or 0, 3))  # A TIME has milliseconds, as Flink keeps it.

    def form(value: pl.Expr) -> pl.Expr:
        nanos = (value if source.root == "TIME" else value.dt.time()).to_physical()
        found: pl.Expr = (nanos - nanos % step).cast(pl.Time)
        return found

    return Conversion(form)


def _to_timestamp(source: LogicalType, target: LogicalType) -> Conversion:
    have, want = source.precision or 0, target.precision or 0
    unit = _unit(target)
    if want >= have:
        return Conversion(lambda value: value.cast(_polars(target)), lambda value: value.astype(_numpy(target)))
    per_second = {"ms": 3, "us": 6, "ns": 9}[unit]
    step = 10 ** (per_second - want)

    def cut(value: pl.Expr) -> pl.Expr:
        ticks = _at_unit(value, unit).to_physical()
        kept = ticks.truncdiv(step) * step if want < 3 else ticks - ticks % step
        found: pl.Expr = kept.cast(_polars(target))
        return found

    def cut_numpy(value: Any) -> Any:
        ticks = value.astype(f"datetime64[{unit}]").view(np.int64)
        kept = truncated_quotient(ticks, step) * step if want < 3 else ticks - ticks % step
        return kept.view(f"datetime64[{unit}]")

    return Conversion(cut, cut_numpy)


def _at_unit(value: pl.Expr, unit: str) -> pl.Expr:
    found: pl.Expr = value.dt.cast_time_unit(unit)  # type: ignore[arg-type]  # one of the three units
    return found


def _nanos(kind: LogicalType) -> int:
    return parse.NANOS_PER[_unit(kind)]


def _unit(kind: LogicalType) -> str:
    precision = kind.precision or 0
    return "ms" if precision <= 3 else "us" if precision <= 6 else "ns"


def _polars(kind: LogicalType) -> Any:
    from fluxline.batch import polars_type

    return polars_type(kind)


def _numpy(kind: LogicalType) -> Any:
    from fluxline.batch import numpy_type

    return numpy_type(kind)
