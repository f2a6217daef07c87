"""Arithmetic: the operators of SQL, and those of Python where these mean something else (`/` divides truly, `//` and `%` floor).

Whole numbers wrap silently in the wider type of the two, as in Java. Dividing a whole number or a DECIMAL by zero fails the
row; a FLOAT or DOUBLE gives Infinity or NaN. DECIMAL follows Flink's precision and scale.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from fluxline.library import decimals
from fluxline.library.function import ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import (
    as_decimal,
    common_type,
    decimal_modulo,
    decimal_product,
    decimal_quotient,
    decimal_sum,
    fitted,
    is_number,
    need,
    need_count,
    propagated,
)
from fluxline.schema import APPROXIMATES, DOUBLE, LogicalType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Types = tuple[LogicalType, ...]
ZERO = "division by zero"


def _operands(name: str, types: Types) -> tuple[Types, LogicalType]:
    """The arguments' types and the number type that they have in common; DECIMAL stays in its own precision."""
    need_count(name, types, 2)
    for position, kind in enumerate(types):
        need(name, position, kind, "a number", is_number)
    common = common_type(types)
    assert common is not None, "all numbers have a common type"
    if common.root == "NULL":
        raise ArgumentMismatch(f"{name} needs a number beside NULL.")
    if common.root == "DECIMAL":
        known = next(kind for kind in types if kind.root == "DECIMAL")
        return tuple(fitted(kind, known if kind.root == "NULL" else as_decimal(kind)) for kind in types), common
    return tuple(fitted(kind, common) for kind in types), common


def _infer(name: str, of_decimals: Callable[[LogicalType, LogicalType], LogicalType]) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        arguments, common = _operands(name, types)
        if common.root != "DECIMAL":
            return propagated(arguments, common, constants)
        return _nullable(arguments, of_decimals(*arguments), constants)

    return infer


def _nullable(arguments: Types, result: LogicalType, constants: tuple[object, ...]) -> Signature:
    # A DECIMAL of 38 digits may be too small for the result, which is NULL then.
    full = result.precision == 38
    use = propagated(arguments, result, constants)
    return Signature(arguments, result.with_nullable(full or use.result.nullable), constants)


def _basic(name: str, doc: str, example: tuple[tuple[object, ...], object], run: Callable[[Any, Any], Any]) -> Function:
    of_types = {"+": decimal_sum, "-": decimal_sum, "*": decimal_product}[name]
    operation = {"+": decimals.ADD, "-": decimals.SUBTRACT, "*": decimals.MULTIPLY}[name]
    return Function(
        name=name,
        doc=doc,
        takes="number, number",
        example=example,
        infer=_infer(name, of_types),
        polars=lambda use: decimals.binary(use, operation) if use.result.root == "DECIMAL" else run,
        numpy=lambda use: None if use.result.root == "DECIMAL" else run,
        flink=f"{{0}} {name} {{1}}",
        python=f'col("x") {name} col("y")',
    )


# Division of SQL: whole numbers lose the fraction.
def _whole_quotient(left: Any, right: Any) -> Any:
    if np.issubdtype(left.dtype, np.floating):
        return left / right
    floored = left // right
    return floored + ((left % right != 0) & ((left < 0) != (right < 0))).astype(floored.dtype)


def _quotient_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    if use.arguments[0].root == "DECIMAL":
        return decimals.binary(use, decimals.DIVIDE)
    if use.arguments[0].root in APPROXIMATES:
        return operator.truediv
    return lambda left, right: left.truncdiv(right)


def _no_decimal(run: Callable[[Any, Any], Any]) -> Callable[[Signature], Callable[[Any, Any], Any] | None]:
    return lambda use: None if use.arguments[0].root == "DECIMAL" else run


def _by_zero(use: Signature) -> Callable[[Any, Any], Any] | None:
    if use.arguments[0].root in APPROXIMATES:
        return None
    if use.arguments[0].root == "DECIMAL":
        nothing = pl.lit(0, dtype=pl.Int128)
        return lambda left, right: (right.to_physical() == nothing) & left.is_not_null()
    return lambda left, right: (right == 0) & left.is_not_null()


def _by_zero_numpy(use: Signature) -> Callable[[Any, Any], Any] | None:
    if use.arguments[0].root in APPROXIMATES or use.arguments[0].root == "DECIMAL":
        return None
    return lambda _left, right: right == 0


# MOD: the sign of the dividend, the type of the divisor.
def _infer_modulo(name: str) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        arguments, common = _operands(name, types)
        if common.root in APPROXIMATES:
            raise ArgumentMismatch(f"{name} takes whole numbers and DECIMAL, not {common.text()}.")
        if common.root == "DECIMAL":
            return _nullable(arguments, decimal_modulo(*arguments), constants)
        # Each number keeps its own type, because the divisor's is the result's.
        arguments = tuple(fitted(kind, common) if kind.root == "NULL" else kind for kind in types)
        return propagated(arguments, arguments[1], constants)

    return infer


def _modulo_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    if use.arguments[0].root == "DECIMAL":
        return decimals.binary(use, decimals.MODULO)
    from fluxline.batch import polars_type

    narrow = polars_type(use.result)

    def run(left: pl.Expr, right: pl.Expr) -> pl.Expr:
        left, right = left.cast(pl.Int64), right.cast(pl.Int64)
        # The least number divided by -1 is itself, so its rest comes out as 0 by wrapping.
        return (left - left.truncdiv(right) * right).cast(narrow)

    return run


def _modulo_numpy(use: Signature) -> Callable[[Any, Any], Any] | None:
    if use.arguments[0].root == "DECIMAL":
        return None
    from fluxline.batch import numpy_type

    kind = numpy_type(use.result)
    return lambda left, right: np.fmod(left, right).astype(kind)


# The operators of Python.
def _infer_true_division(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    arguments, common = _operands("/", types)
    if common.root == "DECIMAL":
        return _nullable(arguments, decimal_quotient(*arguments), constants)
    if common.integer:
        arguments, common = tuple(fitted(kind, DOUBLE) for kind in types), DOUBLE
    return propagated(arguments, common, constants)


def _infer_floor(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    arguments, common = _operands("//", types)
    if common.root == "DECIMAL":
        raise ArgumentMismatch("// takes whole numbers, FLOAT and DOUBLE, not DECIMAL. Divide with / and take functions.floor(...) of it.")
    return propagated(arguments, common, constants)


def _infer_floor_modulo(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    arguments, common = _operands("%", types)
    if common.root == "DECIMAL":
        return _nullable(arguments, decimal_modulo(*arguments), constants)
    return propagated(arguments, common, constants)


def _floored(left: Any, right: Any) -> Any:
    return np.floor(left / right) if np.issubdtype(left.dtype, np.floating) else left // right


def _floored_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    if use.result.root in APPROXIMATES:
        return lambda left, right: (left / right).floor()
    return lambda left, right: left // right


def _floor_modulo_numpy(left: Any, right: Any) -> Any:
    return left - right * np.floor(left / right) if np.issubdtype(left.dtype, np.floating) else left % right


def _floor_modulo_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    if use.arguments[0].root == "DECIMAL":
        return decimals.binary(use, decimals.FLOOR_MODULO)
    if use.result.root in APPROXIMATES:
        return lambda left, right: left - right * (left / right).floor()
    return lambda left, right: left - (left // right) * right


def _infer_negate(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("-", types, 1)
    need("-", 0, types[0], "a number", is_number)
    if types[0].root == "NULL":
        raise ArgumentMismatch("- needs a number, not NULL.")
    return propagated(types, types[0], constants)


def _negate_polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
    if use.result.root == "DECIMAL":
        return decimals.negate(use)
    from fluxline.batch import polars_type

    minus = pl.lit(-1, dtype=polars_type(use.result))
    return lambda value: value * minus


def _negate_numpy(use: Signature) -> Callable[[Any], Any] | None:
    return None if use.result.root == "DECIMAL" else np.negative


FUNCTIONS: tuple[Function, ...] = (
    _basic("+", "The sum of two numbers.", ((2, 2.5), 4.5), operator.add),
    _basic("-", "The difference of two numbers.", ((2, 5), -3), operator.sub),
    _basic("*", "The product of two numbers.", ((3, 4), 12), operator.mul),
    Function(
        name="NEGATE",
        doc="The number with the other sign.",
        takes="number",
        example=((7,), -7),
        infer=_infer_negate,
        polars=_negate_polars,
        numpy=_negate_numpy,
        flink="-{0}",
        python='-col("x")',
    ),
    Function(
        name="/",
        doc="The quotient of two numbers as SQL means it: of whole numbers without its fraction.",
        takes="number, number",
        example=((-7, 2), -3),
        infer=_infer("/", decimal_quotient),
        polars=_quotient_polars,
        numpy=_no_decimal(_whole_quotient),
        fails=_by_zero,
        fails_numpy=_by_zero_numpy,
        failure=ZERO,
        flink="{0} / {1}",
        python='functions.divide(col("x"), col("y"))',
    ),
    *(
        Function(
            name=name,
            doc="The rest of a division, with the sign of the dividend and the type of the divisor.",
            takes="exact number, exact number",
            example=((-7, 3), -1),
            infer=_infer_modulo(name),
            polars=_modulo_polars,
            numpy=_modulo_numpy,
            fails=_by_zero,
            fails_numpy=_by_zero_numpy,
            failure=ZERO,
            flink=flink,
            python='functions.mod(col("x"), col("y"))',
        )
        for name, flink in (("%", "{0} % {1}"), ("MOD", "MOD"))
    ),
    Function(
        name="TRUEDIV",
        doc="The quotient of two numbers as Python means it: of whole numbers a DOUBLE.",
        takes="number, number",
        example=((7, 2), 3.5),
        infer=_infer_true_division,
        polars=_quotient_polars,
        numpy=_no_decimal(_whole_quotient),
        fails=_by_zero,
        fails_numpy=_by_zero_numpy,
        failure=ZERO,
        flink="{0} / {1}",
        python='col("x") / col("y")',
    ),
    Function(
        name="FLOORDIV",
        doc="The quotient of two numbers, rounded down.",
        takes="number, number",
        example=((-7, 2), -4),
        infer=_infer_floor,
        polars=_floored_polars,
        numpy=_no_decimal(_floored),
        fails=_by_zero,
        fails_numpy=_by_zero_numpy,
        failure=ZERO,
        flink="FLOOR({0} / {1})",
        flink_integers="{0} / {1} - CASE WHEN MOD({0}, {1}) <> 0 AND (MOD({0}, {1}) < 0) <> ({1} < 0) THEN 1 ELSE 0 END",
        python='col("x") // col("y")',
    ),
    Function(
        name="FLOORMOD",
        doc="The rest of a division that rounds down: it has the sign of the divisor.",
        takes="number, number",
        example=((-7, 3), 2),
        infer=_infer_floor_modulo,
        polars=_floor_modulo_polars,
        numpy=_no_decimal(_floor_modulo_numpy),
        fails=_by_zero,
        fails_numpy=_by_zero_numpy,
        failure=ZERO,
        flink="{0} - {1} * FLOOR({0} / {1})",
        flink_integers="MOD({0}, {1}) + CASE WHEN MOD({0}, {1}) <> 0 AND (MOD({0}, {1}) < 0) <> ({1} < 0) THEN {1} ELSE 0 END",
        python='col("x") % col("y")',
    ),
)
