"""Expressions of the Python API: `col("temperature") > 25`. They are data; nothing is computed here.

Operators mean what Python means (`/` divides truly, `//` and `%` floor), methods and functions what Flink SQL means.
A string inside an expression is text; `col("x")` names a column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fluxline.errors import TypeMismatch
from fluxline.pipeline.declare import column_name, logical_type
from fluxline.pipeline.near_misses import EXPR, TEXT, miss
from fluxline.pipeline.origin import here
from fluxline.plan.unbound import Apply, Choose, Constant, Convert, Labelled, Measured, Name, Unbound

if TYPE_CHECKING:
    from datetime import date, time, timedelta
    from decimal import Decimal

    from fluxline.errors import Place

    Value: TypeAlias = "Expr | bool | int | float | str | bytes | Decimal | date | time | timedelta | None"


Text: TypeAlias = str  # Inside the class, `str` is the namespace of text functions.


class Expr:
    """A value computed per row or, with an aggregate, per group."""

    __slots__ = ("_unbound",)

    def __init__(self, unbound: Unbound) -> None:
        self._unbound = unbound

    # Operators, as Python means them.
    def __add__(self, other: Value) -> Expr:
        return apply("+", self, other)

    def __radd__(self, other: Value) -> Expr:
        return apply("+", other, self)

    def __sub__(self, other: Value) -> Expr:
        return apply("-", self, other)

    def __rsub__(self, other: Value) -> Expr:
        return apply("-", other, self)

    def __mul__(self, other: Value) -> Expr:
        return apply("*", self, other)

    def __rmul__(self, other: Value) -> Expr:
        return apply("*", other, self)

    def __truediv__(self, other: Value) -> Expr:
        return apply("TRUEDIV", self, other)

    def __rtruediv__(self, other: Value) -> Expr:
        return apply("TRUEDIV", other, self)

    def __floordiv__(self, other: Value) -> Expr:
        return apply("FLOORDIV", self, other)

    def __rfloordiv__(self, other: Value) -> Expr:
        return apply("FLOORDIV", other, self)

    def __mod__(self, other: Value) -> Expr:
        return apply("FLOORMOD", self, other)

    def __rmod__(self, other: Value) -> Expr:
        return apply("FLOORMOD", other, self)

    def __neg__(self) -> Expr:
        return apply("NEGATE", self)

    def __eq__(self, other: Value) -> Expr:  # type: ignore[override]  # a comparison is an expression here
        self._refuse_none(other, "is_null()")
        return apply("=", self, other)

    def __ne__(self, other: Value) -> Expr:  # type: ignore[override]  # a comparison is an expression here
        self._refuse_none(other, "is_not_null()")
        return apply("<>", self, other)

    def __lt__(self, other: Value) -> Expr:
        return apply("<", self, other)

    def __le__(self, other: Value) -> Expr:
        return apply("<=", self, other)

    def __gt__(self, other: Value) -> Expr:
        return apply(">", self, other)

    def __ge__(self, other: Value) -> Expr:
        return apply(">=", self, other)

    def __and__(self, other: Value) -> Expr:
        return apply("AND", self, other)

    def __rand__(self, other: Value) -> Expr:
        return apply("AND", other, self)

    def __or__(self, other: Value) -> Expr:
        return apply("OR", self, other)

    def __ror__(self, other: Value) -> Expr:
        return apply("OR", other, self)

    def __invert__(self) -> Expr:
        return apply("NOT", self)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> NoReturn:
        raise TypeMismatch(
            "FLX-2126",
            "an expression has no truth value before there are rows",
            hint="Combine conditions with & | ~ and parentheses, and choose with when(...).then(...).otherwise(...).",
            place=here(),
        )

    def __iter__(self) -> NoReturn:
        raise TypeMismatch("FLX-2126", "an expression cannot be iterated", place=here())

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: Text) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Expr", name, EXPR)

    def __repr__(self) -> Text:
        return f"Expr({shown(self._unbound)})"

    def _refuse_none(self, other: object, method: Text) -> None:
        if other is None:
            raise TypeMismatch("FLX-2127", "a comparison with None is never TRUE", hint=f"Write .{method}.", place=here())

    # Conditions.
    def is_null(self) -> Expr:
        """Whether the value is NULL."""
        return apply("IS NULL", self)

    def is_not_null(self) -> Expr:
        """Whether the value is not NULL."""
        return apply("IS NOT NULL", self)

    def is_in(self, values: Iterable[Value]) -> Expr:
        """Whether the value equals one of these; NULL as SQL's IN."""
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise TypeMismatch("FLX-2122", f"is_in takes a list of values, not {values!r}", hint="Write .is_in([...]).", place=here("is_in"))
        return apply("IN", self, *values)

    def is_between(self, low: Value, high: Value) -> Expr:
        """Whether `low <= value <= high`."""
        return apply("BETWEEN", self, low, high)

    def is_true(self) -> Expr:
        """Whether the condition is TRUE; never NULL."""
        return apply("IS TRUE", self)

    def is_false(self) -> Expr:
        """Whether the condition is FALSE; never NULL."""
        return apply("IS FALSE", self)

    # Names and types.
    def alias(self, name: Text) -> Expr:
        """Name the result."""
        place = here("alias")
        return Expr(Labelled(self._unbound, column_name(name, place), place))

    def cast(self, type: object) -> Expr:
        """Convert as Flink's CAST; a value that cannot be converted makes its row a rejected one.

        Args:
            type: a Python type, a type of `fluxline.types`, or a Flink type as text.
        """
        place = here("cast")
        return Expr(Convert(self._unbound, logical_type(type, place), "error", place))

    def try_cast(self, type: object) -> Expr:
        """Convert as Flink's TRY_CAST: NULL where a value cannot be converted."""
        place = here("try_cast")
        return Expr(Convert(self._unbound, logical_type(type, place), "null", place))

    # Aggregates, as Flink SQL means them.
    def avg(self) -> Expr:
        """AVG: the mean of the values that are not NULL, in the type of the values."""
        return self._measure("AVG")

    def sum(self) -> Expr:
        """SUM of the values that are not NULL; NULL if there is none."""
        return self._measure("SUM")

    def min(self) -> Expr:
        """MIN of the values that are not NULL."""
        return self._measure("MIN")

    def max(self) -> Expr:
        """MAX of the values that are not NULL."""
        return self._measure("MAX")

    def count(self) -> Expr:
        """COUNT(x): how many values are not NULL."""
        return self._measure("COUNT")

    def filter(self, predicate: Expr) -> Expr:
        """Aggregate only the rows for which the predicate is TRUE."""
        inner = self._unbound
        if not isinstance(inner, Measured) or inner.where is not None:
            raise TypeMismatch(
                "FLX-2128", "filter stands behind one aggregate", hint='Write col("x").sum().filter(col("y") > 0).', place=here("filter")
            )
        return Expr(Measured(inner.function, inner.argument, as_unbound(predicate), inner.distinct, inner.place))

    def _measure(self, function: Text) -> Expr:
        return Expr(Measured(function, self._unbound, place=here()))

    @property
    def str(self) -> TextFunctions:
        """Functions of text."""
        return TextFunctions(self)

    @property
    def dt(self) -> TimeFunctions:
        """Functions of dates and times."""
        return TimeFunctions(self)


class TextFunctions:
    """`col("x").str`: what has its home with text."""

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def upper(self) -> Expr:
        """UPPER."""
        return apply("UPPER", self._expr)

    def lower(self) -> Expr:
        """LOWER."""
        return apply("LOWER", self._expr)

    def trim(self) -> Expr:
        """TRIM: without spaces at both ends."""
        return apply("TRIM", self._expr)

    def char_length(self) -> Expr:
        """CHAR_LENGTH: the number of characters."""
        return apply("CHAR_LENGTH", self._expr)

    def substring(self, start: Value, length: Value = None) -> Expr:
        """SUBSTRING from a character (1 is the first), of at most `length` characters."""
        return apply("SUBSTRING", self._expr, start) if length is None else apply("SUBSTRING", self._expr, start, length)

    def replace(self, old: Value, new: Value) -> Expr:
        """REPLACE every occurrence of a text."""
        return apply("REPLACE", self._expr, old, new)

    def like(self, pattern: Value) -> Expr:
        """LIKE: `%` stands for any text, `_` for one character."""
        return apply("LIKE", self._expr, pattern)

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Expr.str", name, TEXT)


class TimeFunctions:
    """`col("x").dt`: what has its home with dates and times, in UTC."""

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def year(self) -> Expr:
        """YEAR."""
        return apply("YEAR", self._expr)

    def quarter(self) -> Expr:
        """QUARTER, 1 to 4."""
        return apply("QUARTER", self._expr)

    def month(self) -> Expr:
        """MONTH, 1 to 12."""
        return apply("MONTH", self._expr)

    def day(self) -> Expr:
        """DAYOFMONTH, 1 to 31."""
        return apply("DAYOFMONTH", self._expr)

    def hour(self) -> Expr:
        """HOUR, 0 to 23."""
        return apply("HOUR", self._expr)

    def minute(self) -> Expr:
        """MINUTE, 0 to 59."""
        return apply("MINUTE", self._expr)

    def second(self) -> Expr:
        """SECOND, 0 to 59."""
        return apply("SECOND", self._expr)

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Expr.dt", name, {})


class When:
    """`when(condition)`: CASE WHEN; goes on with `.then(value)`."""

    __slots__ = ("_branches", "_condition")

    def __init__(self, branches: tuple[tuple[Unbound, Unbound], ...], condition: Expr) -> None:
        self._branches = branches
        self._condition = as_unbound(condition)

    def then(self, value: Value) -> Then:
        """The value where the condition is TRUE; a string is text."""
        return Then((*self._branches, (self._condition, as_unbound(value))))


class Then:
    """`when(...).then(...)`: goes on with `.when(...)` or ends with `.otherwise(...)`."""

    __slots__ = ("_branches",)

    def __init__(self, branches: tuple[tuple[Unbound, Unbound], ...]) -> None:
        self._branches = branches

    def when(self, condition: Expr) -> When:
        """The next condition, asked where none before was TRUE."""
        return When(self._branches, condition)

    def otherwise(self, value: Value) -> Expr:
        """The value where no condition is TRUE."""
        return Expr(Choose(self._branches, as_unbound(value), here("otherwise")))


def col(name: str) -> Expr:
    """A column of the stream that the expression is used in."""
    place = here()
    if not isinstance(name, str):
        raise TypeMismatch("FLX-2129", f"col takes the name of a column, not {name!r}", place=place)
    return Expr(Name(name, place))


def lit(value: Value) -> Expr:
    """A constant."""
    return value if isinstance(value, Expr) else Expr(Constant(value, here()))


def when(condition: Expr) -> When:
    """CASE WHEN: `when(c).then(x).otherwise(y)`."""
    return When((), condition)


def count() -> Expr:
    """COUNT(*): the number of rows."""
    return Expr(Measured("COUNT", None, place=here()))


def coalesce(*values: Value) -> Expr:
    """The first value that is not NULL."""
    return apply("COALESCE", *values)


def concat(*parts: Value) -> Expr:
    """Join parts as text; NULL if any is NULL, as Flink's CONCAT."""
    return apply("CONCAT", *parts)


def apply(function: str, *arguments: Value) -> Expr:
    """A function of the dictionary applied to values, at the user's place."""
    return Expr(Apply(function, tuple(as_unbound(argument) for argument in arguments), here()))


def as_unbound(value: Any, place: Place | None = None) -> Unbound:
    """What an argument of an expression stands for: an expression, or a constant.

    Args:
        value: what was given.
        place: of the verb that it was given to; of the whole call if not given.
    """
    if isinstance(value, When | Then):
        raise TypeMismatch(
            "FLX-2113", "this CASE has no end", hint="End it with .otherwise(...); .otherwise(None) gives NULL.", place=place or here()
        )
    return value._unbound if isinstance(value, Expr) else Constant(value, place or here())


def as_column(value: Any, place: Place | None = None) -> Unbound:
    """What stands in a column's place: a string names a column."""
    return Name(value, place or here()) if isinstance(value, str) else as_unbound(value, place)


def shown(unbound: Unbound) -> str:
    """A short text of an expression, for people."""
    if isinstance(unbound, Name):
        return unbound.name
    if isinstance(unbound, Constant):
        return repr(unbound.value)
    if isinstance(unbound, Labelled):
        return f"{shown(unbound.input)} AS {unbound.label}"
    if isinstance(unbound, Measured):
        inside = "*" if unbound.argument is None else shown(unbound.argument)
        return f"{unbound.function}({inside})" + ("" if unbound.where is None else f" FILTER (WHERE {shown(unbound.where)})")
    if isinstance(unbound, Convert):
        return f"{'TRY_' if unbound.failing == 'null' else ''}CAST({shown(unbound.input)} AS {unbound.type.text()})"
    if isinstance(unbound, Choose):
        inside = " ".join(f"WHEN {shown(condition)} THEN {shown(value)}" for condition, value in unbound.branches)
        return f"CASE {inside} ELSE {shown(unbound.otherwise)} END"
    parts = [shown(argument) for argument in unbound.arguments]
    if (len(parts) == 2 and not unbound.function[0].isalpha()) or unbound.function in ("AND", "OR"):
        return f"({f' {unbound.function} '.join(parts)})"
    return f"{unbound.function}({', '.join(parts)})"
