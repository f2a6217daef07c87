"""Logic of three values: TRUE, FALSE and NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.library.function import Function, LazyModule, Signature
from fluxline.library.inference import fitted, is_boolean, need, need_count, propagated
from fluxline.schema import BOOLEAN, LogicalType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Pair = tuple[Any, Any]  # Values, and a mask of those that are not NULL, or None.


def both(left: Pair, right: Pair) -> Pair:
    """AND: FALSE as soon as one is FALSE."""
    (one, one_valid), (other, other_valid) = left, right
    return one & other, _known(one_valid, other_valid, lambda: ~one, lambda: ~other)


def either(left: Pair, right: Pair) -> Pair:
    """OR: TRUE as soon as one is TRUE."""
    (one, one_valid), (other, other_valid) = left, right
    return one | other, _known(one_valid, other_valid, lambda: one, lambda: other)


def _known(left_valid: Any, right_valid: Any, left_decides: Callable[[], Any], right_decides: Callable[[], Any]) -> Any:
    """The rows where both sides are there, or one is there and decides alone."""
    if left_valid is None and right_valid is None:
        return None
    if left_valid is None:
        return right_valid | left_decides()
    if right_valid is None:
        return left_valid | right_decides()
    return (left_valid & right_valid) | (left_valid & left_decides()) | (right_valid & right_decides())


def _infer(name: str, count: int) -> Callable[..., Signature]:
    def infer(types: tuple[LogicalType, ...], constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, count)
        for position, kind in enumerate(types):
            need(name, position, kind, "a condition", is_boolean)
        return propagated(tuple(fitted(kind, BOOLEAN) for kind in types), BOOLEAN, constants)

    return infer


def _infer_is(name: str) -> Callable[..., Signature]:
    def infer(types: tuple[LogicalType, ...], constants: tuple[object, ...] = ()) -> Signature:
        use = _infer(name, 1)(types, constants)
        return Signature(use.arguments, BOOLEAN.with_nullable(False), constants)

    return infer


def _is(name: str, doc: str, result_of_null: bool, value: bool) -> Function:  # noqa: FBT001  # a table of truth
    word = name.lower().replace(" ", "_")
    wanted = value != result_of_null  # `IS TRUE` and `IS NOT FALSE` keep the value, the others turn it.

    def of_array(argument: Pair) -> Pair:
        values, valid = argument
        kept = values if wanted else ~values
        if valid is None:
            return kept, None
        return (kept | ~valid, None) if result_of_null else (kept & valid, None)

    def of_expression(argument: pl.Expr) -> pl.Expr:
        return (argument if wanted else argument.not_()).fill_null(result_of_null)

    return Function(
        name=name,
        doc=doc,
        takes="BOOLEAN",
        example=((None,), result_of_null),
        infer=_infer_is(name),
        polars=lambda _use: of_expression,
        numpy=lambda _use: of_array,
        nulls="own",
        flink=f"{{0}} {name}",
        python=f'col("x").{word}()' if name in ("IS TRUE", "IS FALSE") else f'functions.{word}(col("x"))',
    )


FUNCTIONS: tuple[Function, ...] = (
    Function(
        name="AND",
        doc="TRUE if both conditions are; FALSE if one is FALSE. The right one does not count where the left one is FALSE.",
        takes="BOOLEAN, BOOLEAN",
        example=((None, False), False),
        infer=_infer("AND", 2),
        polars=lambda _use: lambda left, right: left & right,
        numpy=lambda _use: both,
        nulls="own",
        lazy=True,
        flink="{0} AND {1}",
        python='(col("x") > 1) & (col("y") > 2)',
    ),
    Function(
        name="OR",
        doc="FALSE if both conditions are; TRUE if one is TRUE. The right one does not count where the left one is TRUE.",
        takes="BOOLEAN, BOOLEAN",
        example=((None, True), True),
        infer=_infer("OR", 2),
        polars=lambda _use: lambda left, right: left | right,
        numpy=lambda _use: either,
        nulls="own",
        lazy=True,
        flink="{0} OR {1}",
        python='(col("x") > 1) | (col("y") > 2)',
    ),
    Function(
        name="NOT",
        doc="The opposite of a condition; NULL stays NULL.",
        takes="BOOLEAN",
        example=((False,), True),
        infer=_infer("NOT", 1),
        polars=lambda _use: lambda value: value.not_(),
        numpy=lambda _use: np.logical_not,
        flink="NOT {0}",
        python='~col("x")',
    ),
    _is("IS TRUE", "Whether a condition is TRUE; never NULL.", False, True),
    _is("IS FALSE", "Whether a condition is FALSE; never NULL.", False, False),
    _is("IS NOT TRUE", "Whether a condition is FALSE or NULL; never NULL.", True, True),
    _is("IS NOT FALSE", "Whether a condition is TRUE or NULL; never NULL.", True, False),
)
