"""Functions of numbers: rounding, roots, logarithms, signs, the greatest and the least.

POWER, SQRT, EXP, LN and LOG10 compute in DOUBLE; the last digit may differ from another machine's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from fluxline.library import decimals
from fluxline.library.comparison import comparison_polars
from fluxline.library.function import ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import (
    as_decimal,
    common_type,
    decimal_digits,
    decimal_rounded,
    fitted,
    is_integer,
    is_number,
    need,
    need_count,
    propagated,
)
from fluxline.schema import APPROXIMATES, DOUBLE, INT, INTEGER_BITS, LogicalType, decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Types = tuple[LogicalType, ...]
ROUND_SURE_BELOW = 1e14  # With one digit more, numbers are still told apart by 15 digits.
ROUND_DIGITS = 37  # Of any more a DECIMAL has no room.


def _number_argument(name: str, types: Types) -> LogicalType:
    need_count(name, types, 1)
    need(name, 0, types[0], "a number", is_number)
    return DOUBLE if types[0].root == "NULL" else types[0]


def _infer_same(name: str, *, whole: bool = False) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        kind = _number_argument(name, types)
        result = decimal(decimal_digits(kind)[0], 0) if whole and kind.root == "DECIMAL" else kind
        return propagated((fitted(types[0], kind),), result, constants)

    return infer


OfUse = Callable[[Signature], Callable[[Any], Any]]


def _same(name: str, doc: str, example: tuple[tuple[object, ...], object], forms: tuple[OfUse, OfUse, OfUse], *, whole: bool = False) -> Function:
    """A function of one number that keeps its type; `forms` are those of DECIMAL, of the others in Polars, and in numpy."""
    of_decimal, of_expression, of_array = forms

    def polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
        if whole and use.result.integer:
            return lambda value: value
        return of_decimal(use) if use.result.root == "DECIMAL" else of_expression(use)

    def numpy(use: Signature) -> Callable[[Any], Any] | None:
        if whole and use.result.integer:
            return lambda value: value
        return None if use.result.root == "DECIMAL" else of_array(use)

    return Function(
        name=name,
        doc=doc,
        takes="number",
        example=example,
        infer=_infer_same(name, whole=whole),
        polars=polars,
        numpy=numpy,
        flink=name,
        python=f'functions.{name.lower()}(col("x"))',
    )


def _sign_polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
    if use.result.integer:
        return lambda value: value.sign()
    return lambda value: pl.when((value == 0) | value.is_nan()).then(value).otherwise(value.sign())


def _sign_numpy(values: Any) -> Any:
    if np.issubdtype(values.dtype, np.floating):
        return np.where((values == 0) | np.isnan(values), values, np.copysign(np.ones_like(values), values))
    return np.sign(values)


def _double_function(name: str, doc: str, example: tuple[tuple[object, ...], object], ufunc: str, *, count: int = 1) -> Function:
    """A function that computes in DOUBLE; both forms run numpy's, so that both give the same last digit."""

    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, count)
        for position, kind in enumerate(types):
            need(name, position, kind, "a number", is_number)
        return propagated(tuple(fitted(kind, DOUBLE) for kind in types), DOUBLE, constants)

    def of_series(columns: Sequence[pl.Series]) -> pl.Series:
        with np.errstate(all="ignore"):
            values = getattr(np, ufunc)(*(column.fill_null(1.0).to_numpy() for column in columns))
        found = pl.lit(pl.Series(values, dtype=pl.Float64))
        present = reduce(lambda one, other: one & other, [pl.lit(column.is_not_null()) for column in columns])
        return pl.select(pl.when(present).then(found)).to_series()

    return Function(
        name=name,
        doc=doc,
        takes=", ".join(["number"] * count),
        example=example,
        infer=infer,
        polars=lambda _use: lambda *values: pl.map_batches(values, of_series, return_dtype=pl.Float64, is_elementwise=True),
        numpy=lambda _use: getattr(np, ufunc),
        flink=name,
        python=f'functions.{name.lower()}(col("x"){", 2" if count == 2 else ""})',
    )


# ROUND half up. A DOUBLE is rounded as its shortest digits read: 2.675 to 2.68.
def _infer_round(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("ROUND", types, 1, 2)
    kind = _number_argument("ROUND", types[:1])
    use = Signature((fitted(types[0], kind), *(fitted(extra, INT) for extra in types[1:])), kind, constants)
    if len(types) == 2:
        need("ROUND", 1, types[1], "a whole number", is_integer)
        places = use.constant(1, "the number of digits of ROUND")
        if not -ROUND_DIGITS <= places <= ROUND_DIGITS:
            raise ArgumentMismatch(f"ROUND rounds to at most {ROUND_DIGITS} digits, on either side of the point.")
    result = decimal_rounded(kind, _places(use)) if kind.root == "DECIMAL" else kind
    return propagated(use.arguments, result, constants)


def _places(use: Signature) -> int:
    return int(use.constant(1, "the number of digits of ROUND")) if len(use.arguments) == 2 else 0


def _round_polars(use: Signature) -> Callable[..., pl.Expr]:
    places, kind = _places(use), use.arguments[0]
    if kind.root == "DECIMAL":
        rounded = decimals.rounded(use, places)
    elif kind.integer:
        rounded = _round_integer(use, places)
    else:
        rounded = _round_column(pl.Float32() if kind.root == "FLOAT" else pl.Float64(), places)
    return lambda value, *_rest: rounded(value)


def _round_column(kind: pl.DataType, places: int) -> Callable[[pl.Expr], pl.Expr]:
    def run(column: pl.Series) -> pl.Series:
        found = pl.Series(column.name, rounded_numbers(column.fill_null(0.0).to_numpy(), places), dtype=kind)
        return pl.select(pl.when(pl.lit(column).is_not_null()).then(pl.lit(found))).to_series() if column.has_nulls() else found

    return lambda value: value.map_batches(run, return_dtype=kind, is_elementwise=True)


def _round_numpy(use: Signature) -> Callable[..., Any] | None:
    places, kind = _places(use), use.arguments[0]
    if kind.integer and places >= 0:
        return lambda value, *_rest: value
    if kind.root not in APPROXIMATES:
        return None
    return lambda value, *_rest: rounded_numbers(value, places)


def _round_fails_numpy(use: Signature) -> Callable[..., Any] | None:
    return (lambda value, *_rest: ~np.isfinite(value)) if use.arguments[0].root in APPROXIMATES else None


def _round_integer(use: Signature, places: int) -> Callable[[pl.Expr], pl.Expr]:
    if places >= 0:
        return lambda value: value
    from fluxline.batch import polars_type

    wide = decimals.rounded(Signature((as_decimal(use.arguments[0]),), decimal(min(decimal_digits(use.arguments[0])[0] + 1, 38), 0)), places)
    narrow = polars_type(use.result)
    exact = pl.Decimal(*decimal_digits(use.arguments[0]))
    return lambda value: wide(value.cast(exact)).to_physical().cast(pl.Int64).cast(narrow, wrap_numerical=True)


def rounded_numbers(numbers: Any, places: int) -> Any:
    """FLOAT or DOUBLE rounded half up, as the shortest digits of each number as a DOUBLE read; NaN and Infinity become NaN."""
    wide = numbers.astype(np.float64)
    size = np.abs(wide)
    with np.errstate(all="ignore"):
        # The middle of two results has at most 15 digits, so a number reads as at least the middle if it is at least the DOUBLE
        # nearest to it. Quotients and products of whole numbers and powers of ten that a DOUBLE holds are rounded once, or exact.
        if places >= 0:
            whole = np.floor(size * 10.0**places)
            found = (whole + (size >= (whole * 10 + 5) / 10.0 ** (places + 1))) / 10.0**places
        else:
            whole = np.floor(size / 10.0**-places)
            found = (whole + (size >= (whole * 10 + 5) * 10.0 ** (-places - 1))) * 10.0**-places
        sure = (whole < ROUND_SURE_BELOW) & (size < ROUND_SURE_BELOW) & (abs(places) < decimals.DOUBLE_DIGITS)
        found = np.copysign(found, wide) + 0.0  # Flink's zero has no sign.
        if not sure.all():
            found[~sure] = [_rounded_digits(value, places) for value in wide[~sure].tolist()]
        return found.astype(numbers.dtype)


def _rounded_digits(value: float, places: int) -> float:
    if not math.isfinite(value):
        return math.nan
    exact = Decimal(repr(value))
    if exact.as_tuple().exponent >= -places:  # type: ignore[operator]  # an int: not NaN
        return value + 0.0
    return float(exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=decimals.EXACT)) + 0.0


def _round_fails(use: Signature) -> Callable[..., pl.Expr] | None:
    if use.arguments[0].root not in APPROXIMATES:
        return None
    return lambda value, *_rest: value.is_finite().not_()


# GREATEST and LEAST: NULL if one is NULL; NaN is greater than any number.
def _infer_extreme(name: str) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, 1, max(len(types), 1))
        common = common_type(types)
        if common is None or common.root in ("ARRAY", "MAP", "ROW"):
            raise ArgumentMismatch(f"{name} needs values of one type; {', '.join(kind.text() for kind in types)} have none in common.")
        return propagated(tuple(fitted(kind, common) for kind in types), common, constants)

    return infer


def _extreme(name: str, doc: str, example: tuple[tuple[object, ...], object], ufunc: str, operator: str) -> Function:
    def polars(use: Signature) -> Callable[..., pl.Expr]:
        first = use.arguments[0]
        ahead = comparison_polars(operator, first, first)

        def chosen(left: pl.Expr, right: pl.Expr) -> pl.Expr:
            test = ahead(left, right)
            if first.root in APPROXIMATES:
                test = test | (left.is_nan() if operator == ">=" else right.is_nan())
            return pl.when(left.is_not_null() & right.is_not_null()).then(pl.when(test).then(left).otherwise(right))

        return lambda *values: reduce(chosen, values)

    return Function(
        name=name,
        doc=doc,
        takes="any, ...",
        example=example,
        infer=_infer_extreme(name),
        polars=polars,
        numpy=lambda _use: lambda *values: reduce(getattr(np, ufunc), values),
        flink=name,
        python=f'functions.{name.lower()}(col("x"), col("y"))',
    )


def _absolute_polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
    if use.result.integer and INTEGER_BITS[use.result.root] < 64:
        from fluxline.batch import polars_type

        narrow = polars_type(use.result)  # The least number has no opposite and wraps to itself.
        return lambda value: value.cast(pl.Int64).abs().cast(narrow, wrap_numerical=True)
    return lambda value: value.abs()


FUNCTIONS: tuple[Function, ...] = (
    _same("ABS", "The number without its sign.", ((-7,), 7), (decimals.absolute, _absolute_polars, lambda _use: np.absolute)),
    _same(
        "CEIL",
        "The least whole number that is not less.",
        ((2.1,), 3.0),
        (decimals.ceil, lambda _use: lambda value: value.ceil(), lambda _use: np.ceil),
        whole=True,
    ),
    _same(
        "FLOOR",
        "The greatest whole number that is not greater.",
        ((-2.1,), -3.0),
        (decimals.floor, lambda _use: lambda value: value.floor(), lambda _use: np.floor),
        whole=True,
    ),
    _same("SIGN", "-1, 0 or 1, in the type of the number.", ((-2.5,), -1.0), (decimals.sign, _sign_polars, lambda _use: _sign_numpy)),
    Function(
        name="ROUND",
        doc="The number rounded half up to so many digits behind the point; a negative number of digits rounds to tens, hundreds, ...",
        takes="number [, INT]",
        example=((2.675, 2), 2.68),
        constant=(1,),
        infer=_infer_round,
        polars=_round_polars,
        numpy=_round_numpy,
        fails=_round_fails,
        fails_numpy=_round_fails_numpy,
        failure="NaN or Infinity cannot be rounded",
        flink="ROUND",
        python='functions.round(col("x"), 2)',
    ),
    _double_function("POWER", "A number raised to a power.", ((2, 10), 1024.0), "power", count=2),
    _double_function("SQRT", "The square root; NaN of a number below zero.", ((6.25,), 2.5), "sqrt"),
    _double_function("EXP", "e raised to a power.", ((0,), 1.0), "exp"),
    _double_function("LN", "The natural logarithm; NaN of a number below zero.", ((1,), 0.0), "log"),
    _double_function("LOG10", "The logarithm to base 10; NaN of a number below zero.", ((1000,), 3.0), "log10"),
    _extreme("GREATEST", "The greatest of the values; NULL if one is NULL.", ((3, 9, 4), 9), "maximum", ">="),
    _extreme("LEAST", "The least of the values; NULL if one is NULL.", ((3, 9, 4), 3), "fmin", "<="),
)
