"""Choices between values: COALESCE, NULLIF, IF, IFNULL; CASE is a form of the plan, not a function.

As in Flink, COALESCE, IFNULL and NULLIF evaluate all their arguments, so a division by zero in one of them fails the row;
IF and CASE evaluate only the branch that they take.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from fluxline.library.comparison import compared, comparison_polars
from fluxline.library.function import ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import common_type, fitted, is_boolean, need, need_count
from fluxline.schema import BOOLEAN, LogicalType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Types = tuple[LogicalType, ...]
Pair = tuple[Any, Any]  # Values, and a mask of those that are not NULL, or None.


def _common(name: str, types: Types) -> LogicalType:
    common = common_type(types)
    if common is None:
        raise ArgumentMismatch(f"{name} needs values of one type; {', '.join(kind.text() for kind in types)} have none in common. Cast them.")
    return common


def _infer_coalesce(name: str, most: int | None) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, 2 if most else 1, most or max(len(types), 1))
        common = _common(name, types)
        nullable = all(kind.nullable for kind in types)
        return Signature(tuple(fitted(kind, common) for kind in types), common.with_nullable(nullable), constants)

    return infer


def _coalesce_numpy(_use: Signature) -> Callable[..., Pair]:
    return lambda *values: reduce(_first_of, values)


def _first_of(one: Pair, other: Pair) -> Pair:
    (values, valid), (others, others_valid) = one, other
    if valid is None:
        return one
    return np.where(valid, values, others), None if others_valid is None else valid | others_valid


def _coalesce(name: str, doc: str, takes: str, most: int | None, python: str) -> Function:
    return Function(
        name=name,
        doc=doc,
        takes=takes,
        example=((None, 7), 7),
        infer=_infer_coalesce(name, most),
        polars=lambda _use: pl.coalesce,
        numpy=_coalesce_numpy,
        nulls="own",
        flink=name,
        python=python,
    )


def _infer_nullif(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("NULLIF", types, 2)
    left, right = compared("=", types)
    kept = left.with_nullable(True) == types[0].with_nullable(True) or left.root == types[0].root == "DECIMAL"
    if types[0].text_like and types[1].text_like:
        left, right, kept = types[0], types[1], True
    if not kept:
        # The result has the type of the first argument, so the comparison must not change its values.
        raise ArgumentMismatch(f"NULLIF would have to compare {types[0].text()} as {left.text()}. Cast the first argument to it.")
    return Signature((left, right), types[0].with_nullable(True), constants)


def _nullif_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    same = comparison_polars("=", *use.arguments)
    return lambda value, other: pl.when(same(value, other).fill_null(False).not_()).then(value)


def _nullif_numpy(_use: Signature) -> Callable[[Pair, Pair], Pair]:
    def run(value: Pair, other: Pair) -> Pair:
        same = np.equal(value[0], other[0])
        if other[1] is not None:
            same = same & other[1]
        return value[0], ~same if value[1] is None else value[1] & ~same

    return run


def _infer_if(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("IF", types, 3)
    need("IF", 0, types[0], "a condition", is_boolean)
    common = _common("IF", types[1:])
    return Signature((fitted(types[0], BOOLEAN), *(fitted(kind, common) for kind in types[1:])), common, constants)


def _if_numpy(_use: Signature) -> Callable[[Pair, Pair, Pair], Pair]:
    def run(condition: Pair, then: Pair, otherwise: Pair) -> Pair:
        taken = condition[0] if condition[1] is None else condition[0] & condition[1]
        return chosen(taken, then, otherwise)

    return run


def chosen(taken: Any, then: Pair, otherwise: Pair) -> Pair:
    """The first pair's rows where a mask is TRUE, else the second's."""
    values = np.where(taken, then[0], otherwise[0])
    if then[1] is None and otherwise[1] is None:
        return values, None
    return values, np.where(taken, True if then[1] is None else then[1], True if otherwise[1] is None else otherwise[1])


FUNCTIONS: tuple[Function, ...] = (
    _coalesce("COALESCE", "The first value that is not NULL.", "any, ...", None, 'coalesce(col("x"), 0)'),
    _coalesce("IFNULL", "The first value, or the second where the first is NULL.", "any, any", 2, 'functions.ifnull(col("x"), 0)'),
    Function(
        name="NULLIF",
        doc="NULL where two values are equal, else the first.",
        takes="any, any",
        example=((7, 0), 7),
        infer=_infer_nullif,
        polars=_nullif_polars,
        numpy=_nullif_numpy,
        nulls="own",
        flink="NULLIF",
        python='functions.nullif(col("x"), 0)',
    ),
    Function(
        name="IF",
        doc="The second argument where the condition is TRUE, else the third.",
        takes="BOOLEAN, any, any",
        example=((True, 1, 2), 1),
        infer=_infer_if,
        polars=lambda _use: lambda condition, then, otherwise: pl.when(condition).then(then).otherwise(otherwise),
        numpy=_if_numpy,
        nulls="own",
        lazy=True,
        flink="IF",
        python='when(col("x") > 0).then(1).otherwise(2)',
    ),
)
