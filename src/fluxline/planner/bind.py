"""Bind an expression as a front door wrote it: names become columns, types are inferred, conversions are put in.

The rules of types are Flink's; each function states its own in the dictionary. An error points at the part that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError, NameNotFound, TypeMismatch, UnsupportedByEngine, did_you_mean
from fluxline.library import AGGREGATES, FUNCTIONS
from fluxline.library.casts import cast_can_give_null, cast_supported
from fluxline.library.function import NOT_CONSTANT, ArgumentMismatch
from fluxline.library.inference import common_type
from fluxline.plan import unbound
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Expression, Measure
from fluxline.plan.nodes import NamedExpression
from fluxline.schema import BIGINT, BOOLEAN, BYTES, DATE, DOUBLE, INT, NULL, STRING, LogicalType, TableSchema, decimal, simple, timestamp

if TYPE_CHECKING:
    from fluxline.errors import Place

__all__ = ["Scope", "bind", "bind_column", "bind_measure", "bind_predicate", "common_type", "converted", "label_of"]

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
BIGINT_MIN, BIGINT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean: the columns of one stream, and the stream's name for messages."""

    schema: TableSchema
    stream: str


def bind(expression: unbound.Unbound, scope: Scope) -> Expression:
    """The typed form of an expression that is computed per row.

    Raises:
        NameNotFound: FLX-2104 a column, FLX-2106 a function does not exist.
        TypeMismatch: FLX-2113 arguments do not fit, FLX-2114 no such conversion.
        DefinitionError: FLX-2115, an aggregate where a value per row is needed.
    """
    if isinstance(expression, unbound.Name):
        found = scope.schema.find(expression.name, stream=scope.stream, place=expression.place)
        return Column(found.name, found.type)
    if isinstance(expression, unbound.Constant):
        return bind_constant(expression.value, expression.place)
    if isinstance(expression, unbound.Labelled):
        return bind(expression.input, scope)
    if isinstance(expression, unbound.Apply):
        return _apply(expression, scope)
    if isinstance(expression, unbound.Convert):
        return _convert(expression, scope)
    if isinstance(expression, unbound.Choose):
        return _choose(expression, scope)
    raise DefinitionError(
        "FLX-2115",
        f"the aggregate {expression.function} stands where one value per row is needed",
        hint="Use it in .agg(...) behind .group_by(...) or .window(...).",
        place=expression.place,
    )


def bind_predicate(expression: unbound.Unbound, scope: Scope, *, what: str) -> Expression:
    """The typed form of a condition.

    Raises:
        TypeMismatch: FLX-2116, it is not BOOLEAN.
    """
    bound = bind(expression, scope)
    if bound.type.root == "NULL":
        return Cast(bound, BOOLEAN)
    if bound.type.root != "BOOLEAN":
        raise TypeMismatch(
            "FLX-2116",
            f"{what} needs a condition, and this is {bound.type.text()}",
            hint='Compare it with something, such as col("x") > 0.',
            place=place_of(expression),
        )
    return bound


def bind_column(expression: unbound.Unbound, scope: Scope, *, name: str | None = None) -> NamedExpression:
    """The typed form of an output column; `name` or its label or, of a plain column, its own name.

    Raises:
        DefinitionError: FLX-2117, nothing says how the column is called.
    """
    label = name or label_of(expression)
    if label is None:
        raise DefinitionError(
            "FLX-2117", "this column has no name", hint='Write name=..., or end it with .alias("name").', place=place_of(expression)
        )
    bound = bind(expression, scope)
    if bound.type.root == "NULL":
        raise TypeMismatch(
            "FLX-2118",
            f'column "{label}" has no type',
            detail="A bare NULL has none.",
            hint="Cast it: lit(None).cast(str).",
            place=place_of(expression),
        )
    tags = scope.schema.field(bound.name).tags if isinstance(bound, Column) else ()
    return NamedExpression(label, bound, tags)


def bind_measure(expression: unbound.Unbound, scope: Scope, *, name: str | None = None) -> Measure:
    """The typed form of an aggregate.

    Raises:
        DefinitionError: FLX-2117 it has no name, FLX-2119 it is no aggregate.
        UnsupportedByEngine: FLX-2190, the aggregate is known and not built.
    """
    label = name or label_of(expression)
    inner = expression
    while isinstance(inner, unbound.Labelled):
        inner = inner.input
    if not isinstance(inner, unbound.Measured):
        raise DefinitionError(
            "FLX-2119",
            "agg takes aggregates, and this is a value per row",
            hint='Aggregate it: col("x").avg(), .sum(), .min(), .max(), .count(), or count(). Compute on results in .with_columns(...) behind it.',
            place=place_of(expression),
        )
    if label is None:
        raise DefinitionError(
            "FLX-2117", "this aggregate has no name", hint="Write name=... in agg(...), or end it with .alias(...).", place=inner.place
        )
    argument = None if inner.argument is None else bind(inner.argument, scope)
    function = AGGREGATES.get(inner.function)
    if function is None or inner.distinct:
        shown = f"{inner.function} of distinct values" if inner.distinct else inner.function
        raise UnsupportedByEngine(
            "FLX-2190", f"the aggregate {shown} is not part of this version", detail=f"It has {', '.join(sorted(AGGREGATES))}.", place=inner.place
        )
    try:
        signature = function.infer(None if argument is None else argument.type)
    except ArgumentMismatch as mismatch:
        raise TypeMismatch("FLX-2113", f"{function.name} does not fit its argument", detail=str(mismatch), place=inner.place) from None
    if argument is not None:
        argument = converted(argument, signature.arguments[0])
    where = None if inner.where is None else bind_predicate(inner.where, scope, what=".filter of an aggregate")
    nullable = signature.result.nullable or (where is not None and function.name != "COUNT")
    return Measure(label, function.name, argument, where, signature.result.with_nullable(nullable))


def bind_constant(value: unbound.ConstantValue, place: Place | None) -> Constant:
    """A Python value as a typed constant: int is INT or BIGINT, float DOUBLE, str STRING, datetime TIMESTAMP or TIMESTAMP_LTZ.

    Raises:
        TypeMismatch: FLX-2113, the value has no SQL type.
    """
    kind = _constant_type(value)
    if kind is None:
        shown = f"{value} does not fit 64 bits" if isinstance(value, int) else f"{type(value).__name__} has no SQL type"
        raise TypeMismatch("FLX-2113", f"the constant cannot be used: {shown}", place=place)
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return Constant(value, kind if value is None else kind.with_nullable(False))


def _constant_type(value: unbound.ConstantValue) -> LogicalType | None:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INT if INT_MIN <= value <= INT_MAX else BIGINT if BIGINT_MIN <= value <= BIGINT_MAX else None
    if isinstance(value, Decimal):
        return _decimal_type(value)
    if isinstance(value, datetime):
        return timestamp(6 if value.microsecond % 1000 else 3, local=value.tzinfo is not None)
    if isinstance(value, timedelta):
        return None  # Intervals come with the SQL front end.
    kinds: dict[type, LogicalType] = {
        float: DOUBLE, str: STRING, bytes: BYTES, date: DATE, time: LogicalType("TIME", precision=3),
    }  # fmt: skip
    return kinds.get(type(value))


def _decimal_type(value: Decimal) -> LogicalType | None:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return None  # NaN and infinities are no decimals.
    scale = max(0, -exponent)
    precision = max(len(value.as_tuple().digits) + max(0, exponent), scale, 1)
    return decimal(precision, scale) if precision <= 38 else None


def _apply(expression: unbound.Apply, scope: Scope) -> Expression:
    function = FUNCTIONS.get(expression.function)
    if function is None:
        raise NameNotFound(
            "FLX-2106", f"no function {expression.function}", hint=did_you_mean(expression.function, FUNCTIONS), place=expression.place
        )
    arguments = tuple(bind(argument, scope) for argument in expression.arguments)
    constants = tuple(argument.value if isinstance(argument, Constant) else NOT_CONSTANT for argument in arguments)
    for position in function.constant:
        if position < len(constants) and constants[position] is NOT_CONSTANT:
            raise TypeMismatch(
                "FLX-2113", f"argument {position + 1} of {function.name} has to be a constant", place=place_of(expression.arguments[position])
            )
    try:
        signature = function.infer(tuple(argument.type for argument in arguments), constants)
    except ArgumentMismatch as mismatch:
        shown = ", ".join(argument.type.text() for argument in arguments)
        raise TypeMismatch(
            "FLX-2113", f"{function.name} does not fit its arguments ({shown})", detail=str(mismatch), place=expression.place
        ) from None
    fitted = tuple(converted(argument, wanted) for argument, wanted in zip(arguments, signature.arguments, strict=True))
    return Call(function.name, fitted, signature.result)


def _convert(expression: unbound.Convert, scope: Scope) -> Expression:
    inner = bind(expression.input, scope)
    if inner.type.root != "NULL" and not cast_supported(inner.type, expression.type):
        raise TypeMismatch("FLX-2114", f"{inner.type.text()} cannot be converted to {expression.type.text()}", place=expression.place)
    failing = "null" if expression.failing == "null" else "error"
    nullable = inner.type.nullable or failing == "null" or (inner.type.root != "NULL" and cast_can_give_null(inner.type, expression.type))
    return Cast(inner, expression.type.with_nullable(nullable), failing)  # type: ignore[arg-type]  # one of the two words


def _choose(expression: unbound.Choose, scope: Scope) -> Expression:
    branches = [(bind_predicate(condition, scope, what="when()"), bind(value, scope)) for condition, value in expression.branches]
    otherwise = bind(expression.otherwise, scope)
    types = [value.type for _, value in branches] + [otherwise.type]
    common = common_type(types)
    if common is None:
        shown = ", ".join(kind.text() for kind in types)
        raise TypeMismatch("FLX-2113", f"the branches have no common type ({shown})", hint="Cast them to one type.", place=expression.place)
    common = common.with_nullable(any(kind.nullable for kind in types))
    return Case(tuple((condition, converted(value, common)) for condition, value in branches), converted(otherwise, common), common)


def converted(expression: Expression, wanted: LogicalType) -> Expression:
    """The expression in the wanted type; a number constant is converted at once."""
    if expression.type.with_nullable(True) == wanted.with_nullable(True):
        return expression
    if isinstance(expression, Constant) and expression.value is not None and not isinstance(expression.value, bool):
        if isinstance(expression.value, int) and wanted.root == "DOUBLE":
            return Constant(float(expression.value), simple("DOUBLE", nullable=False))
        if isinstance(expression.value, int) and wanted.root == "BIGINT":
            return Constant(expression.value, simple("BIGINT", nullable=False))
    return Cast(expression, wanted.with_nullable(expression.type.nullable))


def label_of(expression: unbound.Unbound) -> str | None:
    """How the expression calls its result, if it does."""
    if isinstance(expression, unbound.Labelled):
        return expression.label
    return expression.name if isinstance(expression, unbound.Name) else None


def place_of(expression: unbound.Unbound) -> Place | None:
    """Where the expression stands in the user's text."""
    return expression.place
