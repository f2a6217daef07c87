"""Exact arithmetic of DECIMAL: whole numbers of 128 bits in Polars, with Flink's scales and rounding.

A DECIMAL(p, s) is the whole number `value * 10^s`. Each operation is done on these numbers, at the scale where it is exact,
then rounded half up to the result's scale; a result of more digits than its type has is NULL, as in Flink. Where the exact
number could leave 128 bits (more than 38 digits on the way), those rows alone are computed one by one.
"""

from __future__ import annotations

import decimal as python_decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from fluxline.library.function import LazyModule
from fluxline.schema import DECIMAL_PRECISION_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from fluxline.library.function import Signature
    from fluxline.schema import LogicalType
else:
    pl = LazyModule("polars")

WHOLE_MAX = 1.6e38  # Below 2^127 = 1.7e38, with room for the error of the estimate.
DOUBLE_DIGITS = 15  # Whole numbers of so many digits are exact in a DOUBLE ...
DOUBLE_POWERS = 22  # ... and so are these powers of ten, so that one division rounds once.
EXACT = python_decimal.Context(prec=120, rounding=python_decimal.ROUND_HALF_UP)


def add(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """`left + right`."""
    return _binary(signature, _sum_of(1))


def subtract(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """`left - right`."""
    return _binary(signature, _sum_of(-1))


def multiply(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """`left * right`."""

    def product(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        return _rescaled(left * right, scales[0] + scales[1], scales[2])

    def size(left: pl.Series, right: pl.Series, _scales: tuple[int, int, int]) -> pl.Series:
        return left * right

    return _binary(signature, (product, size, lambda left, right: left * right))


def divide(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """`left / right`; NULL where the divisor is zero, which the caller reports as a failure."""

    def quotient(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        shift = scales[2] + scales[1] - scales[0]
        numerator = left * power(max(shift, 0))
        denominator = right * power(max(-shift, 0))
        whole = truncated(numerator, denominator)
        rest = (numerator - whole * denominator).abs()
        up = rest >= denominator.abs() - rest
        return whole + up.cast(pl.Int128) * numerator.sign() * denominator.sign()

    def size(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        shift = scales[2] + scales[1] - scales[0]
        numerator = left * 10.0 ** max(shift, 0)
        denominator = right * 10.0 ** max(-shift, 0)
        return pl.select(pl.max_horizontal(numerator.abs(), denominator.abs())).to_series()

    return _binary(signature, (quotient, size, lambda left, right: EXACT.divide(left, right) if right else None))


def modulo(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """The remainder with the sign of the dividend."""

    def remainder(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        scale = max(scales[0], scales[1])
        left, right = left * power(scale - scales[0]), right * power(scale - scales[1])
        return _rescaled(left - truncated(left, right) * right, scale, scales[2])

    return _binary(signature, (remainder, _aligned_size, _exact_remainder))


def floor_modulo(signature: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """The remainder with the sign of the divisor."""

    def remainder(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        scale = max(scales[0], scales[1])
        left, right = left * power(scale - scales[0]), right * power(scale - scales[1])
        rest = left - truncated(left, right) * right
        other_side = (rest * right.sign() < whole_number(0)).cast(pl.Int128)
        return _rescaled(rest + other_side * right, scale, scales[2])

    def exact(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal | None:
        rest = _exact_remainder(left, right)
        return rest + right if rest is not None and rest and (rest < 0) != (right < 0) else rest

    return _binary(signature, (remainder, _aligned_size, exact))


def _exact_remainder(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal | None:
    return EXACT.remainder(left, right) if right else None


def _sum_of(sign: int) -> Operation:
    def total(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
        scale = max(scales[0], scales[1])
        left, right = left * power(scale - scales[0]), right * power(scale - scales[1])
        return _rescaled(left + right if sign > 0 else left - right, scale, scales[2])

    def exact(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal:
        return EXACT.add(left, right) if sign > 0 else EXACT.subtract(left, right)

    return total, _aligned_size, exact


def _aligned_size(left: pl.Series, right: pl.Series, scales: tuple[int, int, int]) -> pl.Series:
    scale = max(scales[0], scales[1])
    return left.abs() * 10.0 ** (scale - scales[0]) + right.abs() * 10.0 ** (scale - scales[1])


# How an operation runs on whole numbers, how large these get on the way (in DOUBLE), and the exact value of one row.
Operation = tuple[
    "Callable[[pl.Series, pl.Series, tuple[int, int, int]], pl.Series]",
    "Callable[[pl.Series, pl.Series, tuple[int, int, int]], pl.Series]",
    "Callable[[python_decimal.Decimal, python_decimal.Decimal], python_decimal.Decimal | None]",
]


def _binary(signature: Signature, operation: Operation) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    result = pl.Decimal(*digits(signature.result))
    scales = (digits(signature.arguments[0])[1], digits(signature.arguments[1])[1], digits(signature.result)[1])
    run = partial(_run_binary, operation=operation, scales=scales, precision=digits(signature.result)[0])

    def apply(left: pl.Expr, right: pl.Expr) -> pl.Expr:
        return pl.map_batches([left, right], lambda columns: run(columns[0], columns[1]), return_dtype=result, is_elementwise=True)

    return apply


def _run_binary(left: pl.Series, right: pl.Series, *, operation: Operation, scales: tuple[int, int, int], precision: int) -> pl.Series:
    compute, size, exact = operation
    whole_left, whole_right = left.to_physical(), right.to_physical()
    large = size(whole_left.cast(pl.Float64), whole_right.cast(pl.Float64), scales).abs() >= WHOLE_MAX
    found = bounded(compute(whole_left, whole_right, scales), precision)
    if large.any():
        rows = large.fill_null(False).arg_true()
        quantum = python_decimal.Decimal(1).scaleb(-scales[2])
        values = [_fitting(exact(one, other), quantum, precision) for one, other in zip(_picked(left, rows), _picked(right, rows), strict=True)]
        found = found.scatter(rows, pl.Series(values, dtype=pl.Int128))
    return rescaled_type(found, precision, scales[2])


def _picked(column: pl.Series, rows: pl.Series) -> list[Any]:
    return column.to_list() * len(rows) if len(column) == 1 else column.gather(rows).to_list()


def _fitting(value: python_decimal.Decimal | None, quantum: python_decimal.Decimal, precision: int) -> int | None:
    if value is None:
        return None
    whole = int(EXACT.quantize(value, quantum).scaleb(-quantum.as_tuple().exponent, EXACT))  # type: ignore[operator]  # an int: not NaN
    return whole if abs(whole) < 10**precision else None


def digits(kind: LogicalType) -> tuple[int, int]:
    """Precision and scale."""
    assert kind.precision is not None and kind.scale is not None, f"{kind} is no DECIMAL"
    return kind.precision, kind.scale


def whole_number(value: int) -> pl.Series:
    """A whole number as a column of one row, which fits any other."""
    return pl.Series([value], dtype=pl.Int128)


def power(exponent: int) -> pl.Series:
    """A power of ten as a column of one row."""
    return whole_number(10**exponent)


def truncated(left: pl.Series, right: pl.Series) -> pl.Series:
    """The quotient without its fraction; NULL where the divisor is zero."""
    return pl.select(pl.lit(left).truncdiv(pl.lit(right))).to_series()


def bounded(whole: pl.Series, precision: int) -> pl.Series:
    """NULL where there are more digits than this."""
    limit = pl.lit(10**precision, dtype=pl.Int128)
    return pl.select(pl.when((pl.lit(whole) < limit) & (pl.lit(whole) > -limit)).then(pl.lit(whole))).to_series()


def rescaled_type(whole: pl.Series, precision: int, scale: int) -> pl.Series:
    """Whole numbers as DECIMAL(precision, scale)."""
    return whole.reinterpret(dtype=pl.Decimal(precision, scale))


def _rescaled(whole: pl.Series, scale: int, wanted: int) -> pl.Series:
    if wanted >= scale:
        return whole * power(wanted - scale) if wanted > scale else whole
    step = 10 ** (scale - wanted)
    half = whole_number(step // 2)
    return truncated(whole + whole.sign() * half, whole_number(step))


def _unary(run: Callable[[pl.Series], pl.Series], result: pl.DataType) -> Callable[[pl.Expr], pl.Expr]:
    return lambda value: value.map_batches(run, return_dtype=result, is_elementwise=True)


def to_decimal(source: LogicalType, wanted: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    """From DECIMAL or an integer type to DECIMAL: half up, NULL where it does not fit."""
    scale = digits(source)[1] if source.root == "DECIMAL" else 0
    precision, wanted_scale = digits(wanted)

    def run(column: pl.Series) -> pl.Series:
        whole = column.to_physical() if source.root == "DECIMAL" else column.cast(pl.Int128)
        # Where even the unscaled number has too many digits, scaling up could leave the 128 bits.
        room = min(DECIMAL_PRECISION_MAX, precision - wanted_scale + scale) if wanted_scale > scale else DECIMAL_PRECISION_MAX
        return rescaled_type(bounded(_rescaled(bounded(whole, room), scale, wanted_scale), precision), precision, wanted_scale)

    return _unary(run, pl.Decimal(precision, wanted_scale))


def to_integer(source: LogicalType, bits: pl.DataType) -> Callable[[pl.Expr], pl.Expr]:
    """The whole part, wrapped into the integer type."""
    step = power(digits(source)[1])

    def run(column: pl.Series) -> pl.Series:
        return truncated(column.to_physical(), step).cast(pl.Int64, wrap_numerical=True).cast(bits, wrap_numerical=True)

    return _unary(run, bits)


def to_double(source: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    """The nearest DOUBLE."""
    precision, scale = digits(source)
    if precision <= DOUBLE_DIGITS and scale <= DOUBLE_POWERS:
        return _unary(lambda column: column.to_physical().cast(pl.Int64).cast(pl.Float64) / 10.0**scale, pl.Float64())
    return lambda value: value.cast(pl.String).cast(pl.Float64)


def negate(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """`-x`."""
    return _same_scale(signature, lambda whole, _step: whole_number(0) - whole)


def absolute(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """ABS."""
    return _same_scale(signature, lambda whole, _step: whole.abs())


def sign(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """SIGN, in the argument's type."""
    return _same_scale(signature, lambda whole, step: whole.sign() * step)


def floor(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """FLOOR, of scale 0."""
    return _same_scale(signature, lambda whole, step: whole // step)


def ceil(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """CEIL, of scale 0."""
    return _same_scale(signature, lambda whole, step: whole_number(0) - (whole_number(0) - whole) // step)


def _same_scale(signature: Signature, compute: Callable[[pl.Series, pl.Series], pl.Series]) -> Callable[[pl.Expr], pl.Expr]:
    step = power(digits(signature.arguments[0])[1])
    precision, scale = digits(signature.result)
    return _unary(
        lambda column: rescaled_type(bounded(compute(column.to_physical(), step), precision), precision, scale), pl.Decimal(precision, scale)
    )


def rounded(signature: Signature, places: int) -> Callable[[pl.Expr], pl.Expr]:
    """ROUND half up to this many digits behind the point; fewer than none rounds to tens, hundreds, ..."""
    scale = digits(signature.arguments[0])[1]
    precision, kept = digits(signature.result)

    def run(column: pl.Series) -> pl.Series:
        whole = column.to_physical()
        if places >= scale:
            return rescaled_type(whole, precision, kept)
        if scale - places > DECIMAL_PRECISION_MAX:
            return rescaled_type(whole * whole_number(0), precision, kept)
        coarse = _rescaled(whole, scale, places)
        return rescaled_type(bounded(coarse * power(kept - places), precision), precision, kept)

    return _unary(run, pl.Decimal(precision, kept))


def compare(operator: str, left_kind: LogicalType, right_kind: LogicalType) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """A comparison of two DECIMALs of any scales.

    Args:
        operator: one of `=` `<>` `<` `<=` `>` `>=`.
        left_kind: type of the left side.
        right_kind: type of the right side.
    """
    left_scale, right_scale = digits(left_kind)[1], digits(right_kind)[1]
    scale = max(left_scale, right_scale)
    test: Callable[[pl.Series, pl.Series], pl.Series] = COMPARISONS[operator]

    def run(columns: Sequence[pl.Series]) -> pl.Series:
        left, right = columns[0].to_physical(), columns[1].to_physical()
        if left_scale == right_scale:
            return test(left, right)
        # Whole parts first, then fractions: aligning the scales as they are could leave the 128 bits.
        left_whole, right_whole = left // power(left_scale), right // power(right_scale)
        left_rest = (left - left_whole * power(left_scale)) * power(scale - left_scale)
        right_rest = (right - right_whole * power(right_scale)) * power(scale - right_scale)
        order = (left_whole > right_whole).cast(pl.Int8) - (left_whole < right_whole).cast(pl.Int8)
        fine = (left_rest > right_rest).cast(pl.Int8) - (left_rest < right_rest).cast(pl.Int8)
        return test(order * 2 + fine, pl.Series([0], dtype=pl.Int8))

    return lambda left, right: pl.map_batches([left, right], run, return_dtype=pl.Boolean(), is_elementwise=True)


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
