"""Builds typed expressions the way the planner does, and evaluates them on columns of Python values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from fluxline.batch import Batch, batch_from_polars, polars_type
from fluxline.engines.embedded.expressions import compile_expression
from fluxline.engines.embedded.expressions.polars_form import PolarsForm
from fluxline.library import find_function
from fluxline.library.examples import type_of_value
from fluxline.library.function import NOT_CONSTANT
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Expression
from fluxline.schema import Field, LogicalType, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Sequence

Operand = Expression | bool | int | float | str | bytes | Decimal | datetime | date | time | None


@dataclass(frozen=True)
class Table:
    """Columns of Python values, by name and type."""

    schema: TableSchema
    batch: Batch

    def col(self, name: str) -> Column:
        return Column(name, self.schema.field(name).type)

    def evaluate(self, expression: Expression) -> tuple[list[Any], list[bool]]:
        """The values, None where NULL or failed; and which rows failed."""
        found = compile_expression(expression, self.schema).evaluate(self.batch)
        failed = [False] * self.batch.rows if found.failed is None else [bool(one) for one in found.failed]
        values = found.column.series().to_list()
        return [None if lost else value for value, lost in zip(values, failed, strict=True)], failed

    def evaluate_in_polars(self, expression: Expression) -> tuple[list[Any], list[bool]]:
        """The same by the Polars form, whatever form the engine would take."""
        form = PolarsForm()
        value = form.build(expression)
        failed = form.any_failed()
        frame = self.batch.polars().with_columns(value.alias("value"), (pl.lit(False) if failed is None else failed).alias("failed"))
        lost = frame.get_column("failed").to_list()
        series = frame.get_column("value")
        assert series.dtype == polars_type(expression.type), f"{expression} gave {series.dtype}"
        return [None if gone else one for one, gone in zip(series.to_list(), lost, strict=True)], lost


def table(**columns: tuple[str, Sequence[Any]]) -> Table:
    """A table of `name=(type, values)`."""
    schema = TableSchema(tuple(Field(name, parse_type(kind)) for name, (kind, _) in columns.items()))
    frame = pl.DataFrame(
        [pl.Series(name, list(values), dtype=polars_type(schema.field(name).type), strict=False) for name, (_, values) in columns.items()]
    )
    return Table(schema, batch_from_polars(frame, schema))


def operand(value: Operand) -> Expression:
    """An expression, or a constant of the value's type."""
    if isinstance(value, Column | Constant | Call | Cast | Case):
        return value
    return Constant(value, type_of_value(value))


def call(name: str, *arguments: Operand) -> Call:
    """A function applied to arguments, which are cast to the types that it takes."""
    function = find_function(name)
    operands = [operand(argument) for argument in arguments]
    constants = tuple(one.value if isinstance(one, Constant) else NOT_CONSTANT for one in operands)
    use = function.infer(tuple(one.type for one in operands), constants)
    fitted = tuple(converted(one, wanted) for one, wanted in zip(operands, use.arguments, strict=True))
    return Call(name, fitted, use.result)


def converted(expression: Expression, wanted: LogicalType) -> Expression:
    """The expression in another type."""
    if expression.type.with_nullable(True) == wanted.with_nullable(True):
        return expression
    return Cast(expression, wanted.with_nullable(expression.type.nullable))


def cast(value: Operand, kind: str, *, null: bool = False) -> Cast:
    """CAST, or TRY_CAST."""
    return Cast(operand(value), parse_type(kind), "null" if null else "error")


def case(*branches: tuple[Operand, Operand], otherwise: Operand) -> Case:
    """CASE, whose values have one type already."""
    last = operand(otherwise)
    return Case(tuple((operand(condition), operand(value)) for condition, value in branches), last, last.type)
