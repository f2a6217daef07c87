"""Aggregates: COUNT, SUM, AVG, MIN, MAX, each as partial results that a batch gives and that are merged by sum, min or max.

SUM has the type of its values and wraps in it; of DECIMAL it has 38 digits, and is NULL where the whole sum has more. AVG of
whole numbers is a whole number, without its fraction. MIN and MAX leave NaN out unless there is nothing else; in Flink it
depends on which value came first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.library import decimals
from fluxline.library.function import Aggregate, ArgumentMismatch, LazyModule, Partial, Signature
from fluxline.schema import BIGINT, DECIMAL_PRECISION_MAX, DOUBLE, LogicalType, decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
else:
    pl = LazyModule("polars")

COMPARABLE = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL", "CHAR", "VARCHAR", "DATE", "TIME", "TIMESTAMP",
    "TIMESTAMP_LTZ",
)  # fmt: skip

PART_DIGITS = 19  # Half of 38: a part and a sum of 10^19 of them fit into 38 digits.


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
    if kept.root == "DECIMAL":
        return _decimal_partials(kept)
    from fluxline.batch import polars_type

    wide = polars_type(kept)
    return (Partial("sum", lambda values: values.cast(wide).sum(), "sum", kept.with_nullable(False)), _counted())


def _decimal_partials(kept: LogicalType) -> tuple[Partial, ...]:
    """The whole numbers in two parts, value = high * 10^19 + low with 0 <= low < 10^19: no sum of such parts overflows.

    So a total is exact in whatever order its values come, and one that has too many digits is seen.
    """
    from fluxline.batch import polars_type

    wide, scale = polars_type(kept), decimals.digits(kept)[1]

    def whole(values: pl.Expr) -> pl.Expr:
        return values.cast(wide).to_physical()

    def high(values: pl.Expr) -> pl.Expr:
        return decimals.as_type(whole(values) // decimals.power(PART_DIGITS), DECIMAL_PRECISION_MAX, scale).sum()

    def low(values: pl.Expr) -> pl.Expr:
        part = decimals.power(PART_DIGITS)
        return decimals.as_type(whole(values) - whole(values) // part * part, DECIMAL_PRECISION_MAX, scale).sum()

    kind = kept.with_nullable(False)
    return (Partial("high", high, "sum", kind), Partial("low", low, "sum", kind), _counted())


def _decimal_total(high: pl.Series, low: pl.Series) -> pl.Series:
    """The sum as DECIMAL(38, s); NULL where it has more than 38 digits."""
    part = decimals.power(PART_DIGITS)
    parts = pl.DataFrame([high.alias("high").to_physical(), low.alias("low").to_physical()])
    parts = parts.with_columns(carry=pl.col("low") // part)
    parts = parts.select(high=pl.col("high") + pl.col("carry"), low=pl.col("low") - pl.col("carry") * part)
    fits = (pl.col("high") >= -part) & (pl.col("high") < part) & ~((pl.col("high") == -part) & (pl.col("low") == decimals.whole_number(0)))
    whole = pl.when(fits).then(pl.col("high")) * part + pl.col("low")
    return parts.select(decimals.as_type(whole, DECIMAL_PRECISION_MAX, high.dtype.scale)).to_series()  # type: ignore[attr-defined]  # a Decimal


def _sum_final(partials: dict[str, pl.Expr], result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    if result.root == "DECIMAL":
        parts = [partials["high"], partials["low"]]
        found = pl.map_batches(parts, lambda columns: _decimal_total(*columns), return_dtype=polars_type(result), is_elementwise=True)
    else:
        found = partials["sum"].cast(polars_type(result), wrap_numerical=True)
    return pl.when(partials["count"] > 0).then(found)


def _avg_final(partials: dict[str, pl.Expr], result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    if result.root == "DECIMAL":
        # The sum's own scale is the argument's; a quotient at the result's scale is rounded half up once.
        return pl.when(partials["count"] > 0).then(_decimal_mean(partials, result))
    total, count = partials["sum"], partials["count"]
    if result.integer:
        return total.truncdiv(count).cast(polars_type(result), wrap_numerical=True)
    return pl.when(count > 0).then((total / count).cast(polars_type(result)))


def _decimal_mean(partials: dict[str, pl.Expr], result: LogicalType) -> pl.Expr:
    from fluxline.batch import polars_type

    def run(columns: Sequence[pl.Series]) -> pl.Series:
        total = _decimal_total(columns[0], columns[1])
        use = Signature((decimal(DECIMAL_PRECISION_MAX, total.dtype.scale), decimal(19, 0)), result)  # type: ignore[attr-defined]  # a Decimal
        divided = decimals.binary(use, decimals.DIVIDE)(pl.lit(total), pl.lit(columns[2]).cast(pl.Decimal(19, 0)))
        return pl.select(divided).to_series()

    parts = [partials[name] for name in ("high", "low", "count")]
    return pl.map_batches(parts, run, return_dtype=polars_type(result), is_elementwise=True)


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
        doc="The sum of the values that are not NULL; NULL if there is none, or if a DECIMAL sum has more than 38 digits in the end.",
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
