"""Compile expressions for batches of one schema: decide the form once, then evaluate batch after batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from fluxline.batch import Column, column_from_series, empty_batch, numpy_type, polars_type
from fluxline.engines.embedded.expressions.constants import constant_column
from fluxline.engines.embedded.expressions.normal_form import normal_form, without_columns
from fluxline.engines.embedded.expressions.numpy_form import NoNumpyForm, Step, either_mask, is_true, numpy_form
from fluxline.engines.embedded.expressions.polars_form import PolarsForm
from fluxline.plan import expressions
from fluxline.plan.expressions import columns_of
from fluxline.schema import Field, TableSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.batch import Batch, Mask
    from fluxline.plan.expressions import Expression
    from fluxline.schema import LogicalType

FAILED = "\0failed"  # No column of a user can have this name.


class Evaluated(NamedTuple):
    """The values of one expression; the rows that have none (None: every row has one), and what these suffered from."""

    column: Column
    failed: Mask | None
    detail: str


class Judged(NamedTuple):
    """The rows for which a condition is TRUE; the rows that have no value, never among them, and what these suffered from."""

    keep: Mask
    failed: Mask | None
    detail: str


class Projected(NamedTuple):
    """The values of several expressions; the rows that lack one of them, and what these suffered from."""

    columns: dict[str, Column]
    failed: Mask | None
    detail: str


def compile_expression(expression: Expression, schema: TableSchema) -> Compiled:
    """One expression over batches of a schema.

    Raises:
        UnsupportedByEngine: FLX-2191, the engine does not run it.
    """
    return Compiled(expression, schema)


def compile_predicate(expression: Expression, schema: TableSchema) -> CompiledPredicate:
    """A condition over batches of a schema.

    Raises:
        UnsupportedByEngine: FLX-2191, the engine does not run it.
    """
    return CompiledPredicate(expression, schema)


def compile_projection(columns: Sequence[tuple[str, Expression]], schema: TableSchema) -> CompiledProjection:
    """Several named expressions over batches of a schema, evaluated together.

    Raises:
        UnsupportedByEngine: FLX-2191, the engine does not run one of them.
    """
    return CompiledProjection(columns, schema)


class Compiled:
    """One expression, ready to run."""

    def __init__(self, expression: Expression, schema: TableSchema) -> None:
        self._projection = CompiledProjection([("", expression)], schema)

    def evaluate(self, batch: Batch) -> Evaluated:
        """The expression's value in every row of a batch."""
        columns, failed, detail = self._projection.evaluate(batch)
        return Evaluated(columns[""], failed, detail)


class CompiledPredicate:
    """One condition, ready to run."""

    def __init__(self, expression: Expression, schema: TableSchema) -> None:
        assert expression.type.root == "BOOLEAN", f"a condition is BOOLEAN, not {expression.type}"
        self._projection = CompiledProjection([("", expression)], schema)

    def evaluate(self, batch: Batch) -> Judged:
        """The rows of a batch for which the condition is TRUE."""
        columns, failed, detail = self._projection.evaluate(batch)
        column = columns[""]
        keep = is_true(column.values, column.valid)
        return Judged(keep if failed is None else keep & ~failed, failed, detail)


class CompiledProjection:
    """Several expressions, ready to run: columns pass as they are, constants are repeated, the rest is computed.

    Whatever needs Polars is computed in one select over the columns that it reads.
    """

    def __init__(self, columns: Sequence[tuple[str, Expression]], schema: TableSchema) -> None:
        for name in columns_of(*(expression for _, expression in columns)):
            assert name in schema, f'column "{name}" is not in the schema that the expression is compiled for'
        self._names = [name for name, _ in columns]
        self._types = {name: expression.type for name, expression in columns}
        self._passed: dict[str, str] = {}
        self._constants: dict[str, expressions.Constant] = {}
        self._steps: list[tuple[str, Step]] = []
        failures: list[str] = []
        rest: list[tuple[str, Expression]] = []
        for name, expression in columns:
            self._place(name, normal_form(expression, _evaluate_constant), failures, rest)
        alone = [item for item in rest if without_columns(item[1])]
        together = [item for item in rest if not without_columns(item[1])]
        self._selects = [_Select(items, failures) for items in ([together] if together else []) + [[item] for item in alone]]
        self._detail = _described(failures)
        self._single = self._steps[0] if len(columns) == 1 and self._steps else None

    def _place(self, name: str, expression: Expression, failures: list[str], rest: list[tuple[str, Expression]]) -> None:
        if isinstance(expression, expressions.Column):
            self._passed[name] = expression.name
        elif isinstance(expression, expressions.Constant):
            self._constants[name] = expression
        else:
            here: list[str] = []
            try:
                self._steps.append((name, numpy_form(expression, here)))
                failures.extend(here)
            except NoNumpyForm:
                rest.append((name, expression))

    def evaluate(self, batch: Batch) -> Projected:
        """The expressions' values in every row of a batch."""
        rows = batch.rows
        if rows == 0:
            return Projected(_empty(self._types), None, "")
        if self._single is not None:
            name, step = self._single
            with np.errstate(all="ignore"):
                values, valid, failed = step(batch.columns)
            column = Column(values if len(values) == rows else _spread(values, rows), _spread(valid, rows))
            return Projected({name: column}, *self._judged(failed, rows))
        found: dict[str, Column] = {}
        failed = None
        with np.errstate(all="ignore"):
            for name, step in self._steps:
                values, valid, one_failed = step(batch.columns)
                found[name] = Column(_spread(values, rows), _spread(valid, rows))
                failed = either_mask(failed, one_failed)
        for select in self._selects:
            failed = either_mask(failed, select.evaluate(batch, found))
        for name, source in self._passed.items():
            found[name] = batch.columns[source]
        for name, constant in self._constants.items():
            found[name] = constant_column(constant, rows)
        return Projected({name: found[name] for name in self._names}, *self._judged(failed, rows))

    def _judged(self, failed: Any, rows: int) -> tuple[Mask | None, str]:
        if failed is None or not failed.any():
            return None, ""
        return _spread(failed, rows), self._detail


class _Select:
    """Expressions that Polars computes in one select."""

    def __init__(self, items: list[tuple[str, Expression]], failures: list[str]) -> None:
        form = PolarsForm()
        # The names of the results are ours: a result may be called like a column that another expression reads.
        self._exprs = [form.build(expression).alias(str(index)) for index, (_, expression) in enumerate(items)]
        self._items = [(name, expression.type, polars_type(expression.type)) for name, expression in items]
        failed = form.any_failed()
        self._fails = failed is not None
        if failed is not None:
            self._exprs.append(failed.alias(FAILED))
        failures.extend(form.failures)
        self._reads = sorted(columns_of(*(expression for _, expression in items)))

    def evaluate(self, batch: Batch, found: dict[str, Column]) -> Mask | None:
        """Add the computed columns; the rows that failed."""
        series = [batch.columns[name].series(name) for name in self._reads]
        frame = series[0].to_frame() if len(series) == 1 else pl.DataFrame(series)
        results = frame.select(self._exprs).get_columns()
        for (name, logical, wanted), result in zip(self._items, results, strict=False):
            assert result.dtype == wanted, f"an expression of type {logical} gave {result.dtype}"
            spread = result if len(result) == batch.rows else result.new_from_index(0, batch.rows)
            found[name] = column_from_series(spread.alias(""), logical)
        if not self._fails:
            return None
        failed: Mask = results[-1].to_numpy()
        return failed


def _evaluate_constant(expression: Expression) -> tuple[pl.Series, bool]:
    form = PolarsForm()
    value = form.build(expression)
    failed = form.any_failed()
    if failed is not None and bool(pl.select(failed).item()):
        return pl.Series([None]), True
    return pl.select(value).to_series(), False


def _spread(values: Any, rows: int) -> Any:
    """An array of one row, of a constant, in all rows."""
    return values if values is None or len(values) == rows else np.repeat(values, rows)


def _empty(types: Mapping[str, LogicalType]) -> dict[str, Column]:
    columns = empty_batch(TableSchema(tuple(Field(str(index), kind) for index, kind in enumerate(types.values())))).columns
    return dict(zip(types, columns.values(), strict=True))


def _described(failures: list[str]) -> str:
    words = list(dict.fromkeys(failures))
    if not words:
        return ""
    text = " or ".join(words)
    return f"{text[0].upper()}{text[1:]}."


def has_numpy_form(expression: Expression) -> bool:
    """Whether the expression runs in numpy; for tests and explanations."""
    if numpy_type(expression.type) is None:
        return False
    try:
        numpy_form(normal_form(expression, _evaluate_constant), [])
    except NoNumpyForm:
        return False
    return True
