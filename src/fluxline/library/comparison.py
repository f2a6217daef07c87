"""Comparisons: equal, less, between, in, like, is NULL.

A FLOAT or DOUBLE that is NaN equals nothing, itself included, and is neither less nor greater than anything, as in Java.
Text is compared by code point.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from fluxline.library import decimals
from fluxline.library.function import NOT_CONSTANT, ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import as_decimal, common_type, fitted, is_approximate, is_text, need, need_count, propagated
from fluxline.library.patterns import like_pattern
from fluxline.schema import BOOLEAN, LogicalType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Types = tuple[LogicalType, ...]
UFUNCS = {"=": "equal", "<>": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
METHODS = {"=": "eq", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
PYTHON = {"=": "==", "<>": "!="}
TEMPORALS = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ")
UNORDERED = ("ARRAY", "MAP", "ROW")


def compared(name: str, types: Types) -> Types:
    """The types in which values are compared.

    Raises:
        ArgumentMismatch: they cannot be compared.
    """
    if name in ("=", "<>") and {kind.root for kind in types} == {"FLOAT", "DOUBLE"}:
        return tuple(fitted(kind, types[0]) for kind in types)  # Flink tests such a pair in the type of the left side.
    exact = all(kind.root in ("DECIMAL", "NULL") or kind.integer for kind in types)
    if exact and any(kind.root == "DECIMAL" for kind in types):
        known = next(kind for kind in types if kind.root == "DECIMAL")
        return tuple(fitted(kind, known) if kind.root == "NULL" else as_decimal(kind) for kind in types)
    common = common_type(types) or _read_as_time(types)
    if common is None or common.root in UNORDERED:
        shown = " and ".join(kind.text() for kind in types)
        times = {kind.root for kind in types} & {"TIMESTAMP", "TIMESTAMP_LTZ"}
        more = " A TIMESTAMP_LTZ is compared with a datetime that has a time zone, a TIMESTAMP with one that has none." if len(times) == 2 else ""
        raise ArgumentMismatch(f"{shown} cannot be compared.{more}")
    return tuple(fitted(kind, common) for kind in types)


def _read_as_time(types: Types) -> LogicalType | None:
    """The date or time type that text is read as, where text meets one."""
    rest = [kind for kind in types if not is_text(kind)]
    common = common_type(rest) if rest else None
    return common if common is not None and common.root in TEMPORALS else None


def _infer_comparison(name: str) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, 2)
        return propagated(compared(name, types), BOOLEAN, constants)

    return infer


def comparison_polars(name: str, left: LogicalType, right: LogicalType) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """The Polars form of one comparison of two types."""
    if left.root == "DECIMAL" and right.root == "DECIMAL":
        return decimals.compare(name, left, right)
    method = METHODS[name]
    if not is_approximate(left):
        return lambda one, other: getattr(one, method)(other)

    def of_numbers(one: pl.Expr, other: pl.Expr) -> pl.Expr:
        # Polars takes NaN for the largest number and equal to itself.
        ordinary = one.is_not_nan() & other.is_not_nan()
        found = getattr(one, method)(other)
        return pl.when(one.is_not_null() & other.is_not_null()).then(found | ordinary.not_() if name == "<>" else found & ordinary)

    return of_numbers


def _comparison(name: str, doc: str, example: tuple[tuple[object, ...], object]) -> Function:
    return Function(
        name=name,
        doc=doc,
        takes="any, any",
        example=example,
        infer=_infer_comparison(name),
        polars=lambda use: comparison_polars(name, *use.arguments),
        numpy=lambda _use: getattr(np, UFUNCS[name]),
        flink=f"{{0}} {name} {{1}}",
        python=f'col("x") {PYTHON.get(name, name)} y',
    )


# BETWEEN is `value >= low AND value <= high`, so one FALSE makes it FALSE although the other is NULL.
def _infer_between(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("BETWEEN", types, 3)
    return propagated(compared("BETWEEN", types), BOOLEAN, constants)


def _between_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr, pl.Expr], pl.Expr]:
    value_kind, low_kind, high_kind = use.arguments
    above, below = comparison_polars(">=", value_kind, low_kind), comparison_polars("<=", value_kind, high_kind)
    return lambda value, low, high: above(value, low) & below(value, high)


Pair = tuple[Any, Any]  # Values, and a mask of those that are not NULL, or None.


def _between_numpy(_use: Signature) -> Callable[[Pair, Pair, Pair], Pair]:
    from fluxline.library.logic import both

    def run(value: Pair, low: Pair, high: Pair) -> Pair:
        return both(_masked(np.greater_equal, value, low), _masked(np.less_equal, value, high))

    return run


def _masked(compare: Callable[[Any, Any], Any], left: Pair, right: Pair) -> Pair:
    return compare(left[0], right[0]), joint(left[1], right[1])


def joint(left: Any, right: Any) -> Any:
    """The mask of rows where both are not NULL; None where nothing is."""
    return right if left is None else left if right is None else left & right


# IN is TRUE if an item equals the value, else NULL if the value or an item is NULL, else FALSE.
def _infer_in(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("IN", types, 2, max(len(types), 2))
    return propagated(compared("=", types), BOOLEAN, constants)


def _in_polars(use: Signature) -> Callable[..., pl.Expr]:
    kind = use.arguments[0]
    items = use.constants[1:]
    if items and NOT_CONSTANT not in items and None not in items and not is_approximate(kind) and kind.root != "DECIMAL":
        from fluxline.batch import polars_type

        def among(value: pl.Expr, *_items: pl.Expr) -> pl.Expr:
            return value.is_in(pl.lit(pl.Series(list(items), dtype=polars_type(kind))).implode())

        return among
    tests = [comparison_polars("=", kind, item) for item in use.arguments[1:]]
    return lambda value, *others: reduce(lambda one, other: one | other, [test(value, item) for test, item in zip(tests, others, strict=True)])


def _in_numpy(_use: Signature) -> Callable[..., Pair]:
    from fluxline.library.logic import either

    def run(value: Pair, *items: Pair) -> Pair:
        if len(items) > IN_ITEMS_COMPARED and all(valid is None and len(values) == 1 for values, valid in items):
            return np.isin(value[0], np.concatenate([values for values, _ in items])), value[1]
        return reduce(either, [_masked(np.equal, value, item) for item in items])

    return run


IN_ITEMS_COMPARED = 8  # More constants than these are looked up in a sorted list instead of being compared one by one.


def _infer_is_null(name: str) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, 1)
        return Signature(types, BOOLEAN.with_nullable(False), constants)

    return infer


def _is_null_numpy(_use: Signature) -> Callable[[Pair], Pair]:
    return lambda value: (np.zeros(len(value[0]), np.bool_) if value[1] is None else ~value[1], None)


def _is_not_null_numpy(_use: Signature) -> Callable[[Pair], Pair]:
    return lambda value: (np.ones(len(value[0]), np.bool_) if value[1] is None else value[1], None)


# IS DISTINCT FROM takes NULL for a value that equals itself.
def _infer_distinct(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("IS DISTINCT FROM", types, 2)
    return Signature(compared("=", types), BOOLEAN.with_nullable(False), constants)


def _distinct_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    differ = comparison_polars("<>", *use.arguments)

    def run(left: pl.Expr, right: pl.Expr) -> pl.Expr:
        return pl.when(left.is_null() | right.is_null()).then(left.is_null() != right.is_null()).otherwise(differ(left, right))

    return run


def _distinct_numpy(_use: Signature) -> Callable[[Pair, Pair], Pair]:
    def run(left: Pair, right: Pair) -> Pair:
        differ = np.not_equal(left[0], right[0])
        if left[1] is None and right[1] is None:
            return differ, None
        one = True if left[1] is None else left[1]
        other = True if right[1] is None else right[1]
        return (differ & one & other) | np.not_equal(one, other), None

    return run


# LIKE: `%` any text, `_` one character, no escape but the one that is given.
def _infer_like(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("LIKE", types, 2, 3)
    for position, kind in enumerate(types):
        need("LIKE", position, kind, "text", is_text)
    use = Signature(tuple(types), BOOLEAN, constants)
    if constants:
        _like_of(use)
    return propagated(use.arguments, BOOLEAN, constants)


def _like_of(use: Signature) -> tuple[str, str]:
    escape = use.constant(2, "the escape of LIKE") if len(use.arguments) == 3 else ""
    return like_pattern(use.constant(1, "the pattern of LIKE"), escape)


def _like_polars(use: Signature) -> Callable[..., pl.Expr]:
    kind, text = _like_of(use)
    if kind == "whole":
        return lambda value, *_rest: value == pl.lit(text)
    if kind == "start":
        return lambda value, *_rest: value.str.starts_with(text)
    if kind == "end":
        return lambda value, *_rest: value.str.ends_with(text)
    return lambda value, *_rest: value.str.contains(text, literal=kind == "inside")


FUNCTIONS: tuple[Function, ...] = (
    _comparison("=", "Whether two values are equal.", ((7, 7.0), True)),
    _comparison("<>", "Whether two values differ.", ((7, 7.5), True)),
    _comparison("<", "Whether the left value is less.", (("Ab", "a"), True)),
    _comparison("<=", "Whether the left value is less or equal.", ((2, 2), True)),
    _comparison(">", "Whether the left value is greater.", ((25.5, 25), True)),
    _comparison(">=", "Whether the left value is greater or equal.", ((1, 2), False)),
    Function(
        name="BETWEEN",
        doc="Whether a value lies between two bounds, bounds included.",
        takes="any, any, any",
        example=((5, 1, 8), True),
        infer=_infer_between,
        polars=_between_polars,
        numpy=_between_numpy,
        nulls="own",
        flink="{0} BETWEEN {1} AND {2}",
        python='col("x").is_between(low, high)',
    ),
    Function(
        name="IN",
        doc="Whether a value equals one of a list; NULL if none does and a NULL is there.",
        takes="any, any, ...",
        example=((7, 1, 7), True),
        infer=_infer_in,
        polars=_in_polars,
        numpy=_in_numpy,
        nulls="own",
        flink="{0} IN ({1*})",
        python='col("x").is_in([1, 7])',
    ),
    Function(
        name="IS NULL",
        doc="Whether a value is NULL.",
        takes="any",
        example=((None,), True),
        infer=_infer_is_null("IS NULL"),
        polars=lambda _use: lambda value: value.is_null(),
        numpy=_is_null_numpy,
        nulls="own",
        flink="{0} IS NULL",
        python='col("x").is_null()',
    ),
    Function(
        name="IS NOT NULL",
        doc="Whether a value is not NULL.",
        takes="any",
        example=((None,), False),
        infer=_infer_is_null("IS NOT NULL"),
        polars=lambda _use: lambda value: value.is_not_null(),
        numpy=_is_not_null_numpy,
        nulls="own",
        flink="{0} IS NOT NULL",
        python='col("x").is_not_null()',
    ),
    Function(
        name="IS DISTINCT FROM",
        doc="Whether two values differ, where NULL equals NULL and nothing else.",
        takes="any, any",
        example=((None, 1), True),
        infer=_infer_distinct,
        polars=_distinct_polars,
        numpy=_distinct_numpy,
        nulls="own",
        flink="{0} IS DISTINCT FROM {1}",
        python='functions.is_distinct_from(col("x"), col("y"))',
    ),
    Function(
        name="IS NOT DISTINCT FROM",
        doc="Whether two values are equal, where NULL equals NULL and nothing else.",
        takes="any, any",
        example=((None, None), True),
        infer=_infer_distinct,
        polars=lambda use: lambda left, right: _distinct_polars(use)(left, right).not_(),
        numpy=lambda use: lambda left, right: (~_distinct_numpy(use)(left, right)[0], None),
        nulls="own",
        flink="{0} IS NOT DISTINCT FROM {1}",
        python='functions.is_not_distinct_from(col("x"), col("y"))',
    ),
    Function(
        name="LIKE",
        doc="Whether text has the form of a pattern: `%` is any text, `_` one character; a third argument names an escape character.",
        takes="STRING, STRING [, STRING]",
        example=(("h%o", "h!%_", "!"), True),
        constant=(1, 2),
        infer=_infer_like,
        polars=_like_polars,
        flink="{0} LIKE {1}[ ESCAPE {2}]",
        python='col("x").str.like("h%")',
    ),
)
