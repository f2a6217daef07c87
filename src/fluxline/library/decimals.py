"""Exact arithmetic of DECIMAL: whole numbers of 128 bits in Polars, with Flink's scales and rounding.

A DECIMAL(p, s) is the whole number `value * 10^s`. Each operation is done on these numbers, at the scale where it is exact,
then rounded half up to the result's scale; a result of more digits than its type has is NULL, as in Flink. Where the exact
number could leave 128 bits (more than 38 digits on the way), those rows alone are computed one by one.
"""

from __future__ import annotations

import decimal as python_decimal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fluxline.library.function import LazyModule
from fluxline.schema import DECIMAL_PRECISION_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from fluxline.library.function import Signature
    from fluxline.schema import LogicalType
else:
    pl = LazyModule("polars")

WHOLE_BELOW = 1.6e38  # Below 2^127 = 1.7e38, with room for the error of the estimate.
DOUBLE_DIGITS = 15  # Whole numbers of so many digits are exact in a DOUBLE ...
DOUBLE_POWERS = 22  # ... and so are these powers of ten, so that one division rounds once.
EXACT = python_decimal.Context(prec=120, rounding=python_decimal.ROUND_HALF_UP)

Scales = tuple[int, int, int]  # Of the left side, the right side and the result.


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of two DECIMALs.

    Attributes:
        compute: whole numbers at their scales -> the result's whole number.
        digits: (precisions, scales) -> how many digits the numbers on the way can have at most.
        size: the numbers as DOUBLE -> how large the numbers on the way are.
        exact: the result for one row, with any number of digits; None for none.
    """

    compute: Callable[[pl.Expr, pl.Expr, Scales], pl.Expr]
    digits: Callable[[tuple[int, int], Scales], int]
    size: Callable[[pl.Expr, pl.Expr, Scales], pl.Expr]
    exact: Callable[[python_decimal.Decimal, python_decimal.Decimal], python_decimal.Decimal | None]


def _aligned(left: pl.Expr, right: pl.Expr, scales: Scales) -> tuple[pl.Expr, pl.Expr]:
    scale = max(scales[0], scales[1])
    return _raised(left, scale - scales[0]), _raised(right, scale - scales[1])


def _raised(whole: pl.Expr, places: int) -> pl.Expr:
    return whole * power(places) if places else whole


def _aligned_digits(precisions: tuple[int, int], scales: Scales) -> int:
    scale = max(scales[0], scales[1])
    return max(precisions[0] + scale - scales[0], precisions[1] + scale - scales[1]) + 1


def _aligned_size(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    scale = max(scales[0], scales[1])
    return left.abs() * 10.0 ** (scale - scales[0]) + right.abs() * 10.0 ** (scale - scales[1])


def _sum(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    left, right = _aligned(left, right, scales)
    return rescaled(left + right, max(scales[0], scales[1]), scales[2])


def _difference(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    left, right = _aligned(left, right, scales)
    return rescaled(left - right, max(scales[0], scales[1]), scales[2])


def _product(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    return rescaled(left * right, scales[0] + scales[1], scales[2])


def _quotient(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    shift = scales[2] + scales[1] - scales[0]
    numerator, denominator = _raised(left, max(shift, 0)), _raised(right, max(-shift, 0))
    found = numerator.truncdiv(denominator)
    rest = (numerator - found * denominator).abs()
    up = rest >= denominator.abs() - rest  # Twice the rest could leave the 128 bits.
    return found + up.cast(pl.Int128) * numerator.sign() * denominator.sign()


def _quotient_digits(precisions: tuple[int, int], scales: Scales) -> int:
    shift = scales[2] + scales[1] - scales[0]
    return max(precisions[0] + max(shift, 0), precisions[1] + max(-shift, 0))


def _quotient_size(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    shift = scales[2] + scales[1] - scales[0]
    return pl.max_horizontal(left.abs() * 10.0 ** max(shift, 0), right.abs() * 10.0 ** max(-shift, 0))


def _remainder(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    left, right = _aligned(left, right, scales)
    return rescaled(left - left.truncdiv(right) * right, max(scales[0], scales[1]), scales[2])


def _floor_remainder(left: pl.Expr, right: pl.Expr, scales: Scales) -> pl.Expr:
    left, right = _aligned(left, right, scales)
    rest = left - left.truncdiv(right) * right
    other_side = (rest * right.sign() < whole_number(0)).cast(pl.Int128)
    return rescaled(rest + other_side * right, max(scales[0], scales[1]), scales[2])


def _exact_quotient(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal | None:
    return EXACT.divide(left, right) if right else None


def _exact_remainder(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal | None:
    return EXACT.remainder(left, right) if right else None


def _exact_floor_remainder(left: python_decimal.Decimal, right: python_decimal.Decimal) -> python_decimal.Decimal | None:
    rest = _exact_remainder(left, right)
    return EXACT.add(rest, right) if rest and (rest < 0) != (right < 0) else rest


ADD = Operation(_sum, _aligned_digits, _aligned_size, EXACT.add)
SUBTRACT = Operation(_difference, _aligned_digits, _aligned_size, EXACT.subtract)
MULTIPLY = Operation(_product, lambda precisions, _scales: sum(precisions), lambda left, right, _scales: left * right, EXACT.multiply)
DIVIDE = Operation(_quotient, _quotient_digits, _quotient_size, _exact_quotient)  # NULL by zero, which the caller reports.
MODULO = Operation(_remainder, _aligned_digits, _aligned_size, _exact_remainder)  # The sign of the dividend.
FLOOR_MODULO = Operation(_floor_remainder, _aligned_digits, _aligned_size, _exact_floor_remainder)  # The sign of the divisor.


def binary(signature: Signature, operation: Operation) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """An operation of two DECIMALs as a Polars form."""
    (p1, s1), (p2, s2), (precision, scale) = digits(signature.arguments[0]), digits(signature.arguments[1]), digits(signature.result)
    scales = (s1, s2, scale)
    if operation.digits((p1, p2), scales) <= DECIMAL_PRECISION_MAX:

        def direct(left: pl.Expr, right: pl.Expr) -> pl.Expr:
            return as_type(bounded(operation.compute(left.to_physical(), right.to_physical(), scales), precision), precision, scale)

        return direct
    run = partial(_run_checked, operation=operation, scales=scales, precision=precision)
    kind = pl.Decimal(precision, scale)
    return lambda left, right: pl.map_batches([left, right], run, return_dtype=kind, is_elementwise=True)


def _run_checked(columns: Sequence[pl.Series], *, operation: Operation, scales: Scales, precision: int) -> pl.Series:
    left, right = columns[0].to_physical(), columns[1].to_physical()
    one, other = pl.lit(left), pl.lit(right)
    frame = pl.select(
        bounded(operation.compute(one, other, scales), precision).alias("found"),
        (operation.size(one.cast(pl.Float64), other.cast(pl.Float64), scales).abs() >= WHOLE_BELOW).fill_null(False).alias("large"),
    )
    found, large = frame.get_column("found"), frame.get_column("large")
    if large.any():
        rows = large.arg_true()
        quantum = python_decimal.Decimal(1).scaleb(-scales[2])
        pairs = zip(_picked(columns[0], rows), _picked(columns[1], rows), strict=True)
        values = [_fitting(operation.exact(a, b), quantum, precision) for a, b in pairs]
        found = found.scatter(rows, pl.Series(values, dtype=pl.Int128))
    return found.reinterpret(dtype=pl.Decimal(precision, scales[2]))


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


def whole_number(value: int) -> pl.Expr:
    """A constant whole number."""
    return pl.lit(value, dtype=pl.Int128)


def power(exponent: int) -> pl.Expr:
    """A power of ten."""
    return whole_number(10**exponent)


def bounded(whole: pl.Expr, precision: int) -> pl.Expr:
    """NULL where there are more digits than this."""
    return pl.when((whole < power(precision)) & (whole > whole_number(-(10**precision)))).then(whole)


def as_type(whole: pl.Expr, precision: int, scale: int) -> pl.Expr:
    """Whole numbers as DECIMAL(precision, scale)."""
    return whole.reinterpret(dtype=pl.Decimal(precision, scale))


def rescaled(whole: pl.Expr, scale: int, wanted: int) -> pl.Expr:
    """The whole number at another scale, half up."""
    if wanted >= scale:
        return _raised(whole, wanted - scale)
    step = 10 ** (scale - wanted)
    return (whole + whole.sign() * whole_number(step // 2)).truncdiv(whole_number(step))


def to_decimal(source: LogicalType, wanted: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    """From DECIMAL or an integer type to DECIMAL: half up, NULL where it does not fit."""
    scale = digits(source)[1] if source.root == "DECIMAL" else 0
    precision, wanted_scale = digits(wanted)
    # Where even the unscaled number has too many digits, scaling up could leave the 128 bits.
    room = min(DECIMAL_PRECISION_MAX, precision - wanted_scale + scale) if wanted_scale > scale else DECIMAL_PRECISION_MAX

    def form(value: pl.Expr) -> pl.Expr:
        whole = value.to_physical() if source.root == "DECIMAL" else value.cast(pl.Int128)
        return as_type(bounded(rescaled(bounded(whole, room), scale, wanted_scale), precision), precision, wanted_scale)

    return form


def to_integer(source: LogicalType, kind: pl.DataType) -> Callable[[pl.Expr], pl.Expr]:
    """The whole part, wrapped into the integer type."""
    step = power(digits(source)[1])
    return lambda value: value.to_physical().truncdiv(step).cast(pl.Int64, wrap_numerical=True).cast(kind, wrap_numerical=True)


def to_double(source: LogicalType) -> Callable[[pl.Expr], pl.Expr]:
    """The nearest DOUBLE."""
    precision, scale = digits(source)
    if precision <= DOUBLE_DIGITS and scale <= DOUBLE_POWERS:
        return lambda value: value.to_physical().cast(pl.Int64).cast(pl.Float64) / 10.0**scale
    return lambda value: value.cast(pl.String).cast(pl.Float64)


def negate(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """`-x`."""
    return _of_one(signature, lambda whole, _step: whole_number(0) - whole)


def absolute(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """ABS."""
    return _of_one(signature, lambda whole, _step: whole.abs())


def sign(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """SIGN, in the argument's type."""
    return _of_one(signature, lambda whole, step: whole.sign() * step)


def floor(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """FLOOR, of scale 0."""
    return _of_one(signature, lambda whole, step: whole // step)


def ceil(signature: Signature) -> Callable[[pl.Expr], pl.Expr]:
    """CEIL, of scale 0."""
    return _of_one(signature, lambda whole, step: whole_number(0) - (whole_number(0) - whole) // step)


def _of_one(signature: Signature, compute: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[pl.Expr], pl.Expr]:
    step = power(digits(signature.arguments[0])[1])
    precision, scale = digits(signature.result)
    return lambda value: as_type(bounded(compute(value.to_physical(), step), precision), precision, scale)


def rounded(signature: Signature, places: int) -> Callable[[pl.Expr], pl.Expr]:
    """ROUND half up to this many digits behind the point; fewer than none rounds to tens, hundreds, ..."""
    scale = digits(signature.arguments[0])[1]
    precision, kept = digits(signature.result)

    def form(value: pl.Expr) -> pl.Expr:
        whole = value.to_physical()
        if places >= scale:
            return as_type(whole, precision, kept)
        if scale - places > DECIMAL_PRECISION_MAX:
            return as_type(whole * whole_number(0), precision, kept)
        coarse = bounded(rescaled(whole, scale, places), DECIMAL_PRECISION_MAX - (kept - places))
        return as_type(bounded(_raised(coarse, kept - places), precision), precision, kept)

    return form


def compare(operator: str, left_kind: LogicalType, right_kind: LogicalType) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """A comparison of two DECIMALs of any scales.

    Args:
        operator: one of `=` `<>` `<` `<=` `>` `>=`.
        left_kind: type of the left side.
        right_kind: type of the right side.
    """
    (p1, s1), (p2, s2) = digits(left_kind), digits(right_kind)
    scales = (s1, s2, 0)
    test: Callable[[pl.Expr, pl.Expr], pl.Expr] = COMPARISONS[operator]
    if _aligned_digits((p1, p2), scales) - 1 <= DECIMAL_PRECISION_MAX:
        return lambda left, right: test(*_aligned(left.to_physical(), right.to_physical(), scales))

    def by_parts(left: pl.Expr, right: pl.Expr) -> pl.Expr:
        # Whole parts first, then fractions: aligning the scales could leave the 128 bits.
        left, right = left.to_physical(), right.to_physical()
        left_whole, right_whole = left // power(s1), right // power(s2)
        left_rest, right_rest = _aligned(left - left_whole * power(s1), right - right_whole * power(s2), scales)
        order = (left_whole > right_whole).cast(pl.Int8) - (left_whole < right_whole).cast(pl.Int8)
        fine = (left_rest > right_rest).cast(pl.Int8) - (left_rest < right_rest).cast(pl.Int8)
        return test(order * 2 + fine, pl.lit(0, dtype=pl.Int8))

    return by_parts


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
