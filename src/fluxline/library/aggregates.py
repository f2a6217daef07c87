"""Aggregates: COUNT, SUM, AVG, MIN, MAX, each as partial results that a batch gives and that are merged by sum, min or max.

SUM has the type of its values and wraps in it; of DECIMAL it has 38 digits. AVG of whole numbers is a whole number, without
its fraction. MIN and MAX leave NaN out unless there is nothing else; in Flink it depends on which value came first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.library import decimals
from fluxline.library.function import Aggregate, ArgumentMismatch, LazyModule, Partial, Signature
from fluxline.schema import BIGINT, DOUBLE, LogicalType, decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
else:
    pl = LazyModule("polars")

COMPARABLE = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL", "CHAR", "VARCHAR", "DATE", "TIME", "TIMESTAMP",
    "TIMESTAMP_LTZ",
)  # fmt: skip


def _infer_count(kind: LogicalType | None) -> Signature:
    return Signature(() if kind is None else (kind,), BIGINT.with_nullable(False))


def _count_partials(_kind: LogicalType | None) -> tuple[Partial, ...]:
    return (_counted(),)


def _counted() -> Partial:
    return Partial("count", lambda values: values.count().cast(pl.Int64), "sum", BIGINT.with_nullable(False))


def _number(name: str, kind: LogicalType | None) -> LogicalType:
    if kind is None or not kind.numeric:
        raise ArgumentMismatch(f"{name} takes a number{'' if kind is None else f', not {kind.text()}'}.")
    return kind


def _infer_sum(kind: LogicalType | None) -> Signature:
    number = _number("SUM", kind)
    result = decimal(38, decimals.digits(number)[1]) if number.root == "DECIMAL" else number
    return Signature((number,), result.with_nullable(True))


def _infer_avg(kind: LogicalType | None) -> Signature:
    number = _number("AVG", kind)
    result = decimal(38, max(6, decimals.digits(number)[1])) if number.root == "DECIMAL" else number
    return Signature((number,), result.with_nullable(True))


def _sum_type(kind: LogicalType) -> LogicalType:
    """In what a sum is kept: 64 bits, or 38 digits."""
    if kind.root == "DECIMAL":
        return decimal(38, decimals.digits(kind)[1])
    return BIGINT if kind.integer else DOUBLE


def _sum_partials(kind: LogicalType | None) -> tuple[Partial, ...]:
    assert kind is not None, "a sum has an argument"
    kept = _sum_type(kind)
    from fluxline.batch import polars_type

    wide = polars_type(kept)
    return (Partial("sum", lambda values: values.cast(wide).sum(), "sum", kept.with_nullable(False)), _counted())


def _sum_final(partials: dict[str, pl.Expr], result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    found = partials["sum"]
    if result.root != "DECIMAL":
        found = found.cast(polars_type(result), wrap_numerical=True)
    return pl.when(partials["count"] > 0).then(found)


def _avg_final(partials: dict[str, pl.Expr], result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    total, count = partials["sum"], partials["count"]
    if result.root == "DECIMAL":
        # The sum's own scale is the argument's; a quotient at the result's scale is rounded half up once.
        return pl.when(count > 0).then(_decimal_mean(total, count, result))
    if result.integer:
        return total.truncdiv(count).cast(polars_type(result), wrap_numerical=True)
    return pl.when(count > 0).then((total / count).cast(polars_type(result)))


def _decimal_mean(total: pl.Expr, count: pl.Expr, result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    def run(columns: Sequence[pl.Series]) -> pl.Series:
        scale = columns[0].dtype.scale  # type: ignore[attr-defined]  # a Decimal
        use = Signature((decimal(38, scale), decimal(19, 0)), result)
        divided = decimals.binary(use, decimals.DIVIDE)(pl.lit(columns[0]), pl.lit(columns[1]).cast(pl.Decimal(19, 0)))
        return pl.select(divided).to_series()

    return pl.map_batches([total, count], run, return_dtype=polars_type(result), is_elementwise=True)


def _infer_extreme(name: str, kind: LogicalType | None) -> Signature:
    if kind is None or kind.root not in COMPARABLE:
        raise ArgumentMismatch(f"{name} takes values that have an order{'' if kind is None else f', not {kind.text()}'}.")
    return Signature((kind,), kind.with_nullable(True))


def _min_partials(kind: LogicalType | None) -> tuple[Partial, ...]:
    assert kind is not None, "a minimum has an argument"
    return (Partial("min", lambda values: values.min(), "min", kind.with_nullable(True)),)


def _max_partials(kind: LogicalType | None) -> tuple[Partial, ...]:
    assert kind is not None, "a maximum has an argument"
    return (Partial("max", lambda values: values.max(), "max", kind.with_nullable(True)),)


EXAMPLE_VALUES = (1, 2, 4, None)

AGGREGATES: tuple[Aggregate, ...] = (
    Aggregate(
        name="COUNT",
        doc="How many values are not NULL; without an argument, COUNT(*), how many rows there are.",
        takes="any, or nothing",
        example=(EXAMPLE_VALUES, 3),
        infer=_infer_count,
        partials=_count_partials,
        final=lambda partials, _result: partials["count"],
        flink="COUNT",
        python='count(), col("x").count()',
    ),
    Aggregate(
        name="SUM",
        doc="The sum of the values that are not NULL; NULL if there is none.",
        takes="number",
        example=(EXAMPLE_VALUES, 7),
        infer=_infer_sum,
        partials=_sum_partials,
        final=_sum_final,
        flink="SUM",
        python='col("x").sum()',
    ),
    Aggregate(
        name="AVG",
        doc="The mean of the values that are not NULL, in their type; NULL if there is none.",
        takes="number",
        example=(EXAMPLE_VALUES, 2),
        infer=_infer_avg,
        partials=_sum_partials,
        final=_avg_final,
        flink="AVG",
        python='col("x").avg()',
    ),
    Aggregate(
        name="MIN",
        doc="The least value; NULL if there is none.",
        takes="comparable",
        example=(EXAMPLE_VALUES, 1),
        infer=lambda kind: _infer_extreme("MIN", kind),
        partials=_min_partials,
        final=lambda partials, _result: partials["min"],
        flink="MIN",
        python='col("x").min()',
    ),
    Aggregate(
        name="MAX",
        doc="The greatest value; NULL if there is none.",
        takes="comparable",
        example=(EXAMPLE_VALUES, 4),
        infer=lambda kind: _infer_extreme("MAX", kind),
        partials=_max_partials,
        final=lambda partials, _result: partials["max"],
        flink="MAX",
        python='col("x").max()',
    ),
)
