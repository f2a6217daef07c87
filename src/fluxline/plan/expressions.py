"""Typed expressions: what a plan computes per row or per group. Frozen, hashable, engine-independent.

Every expression knows its logical type. They are made by the planner's `bind`, which checks names and types; implicit
conversions stand in the tree as `Cast`, so an engine never converts on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.schema import LogicalType

Value: TypeAlias = bool | int | float | str | bytes | Decimal | datetime | date | time | timedelta | tuple["Value", ...] | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the input."""

    name: str
    type: LogicalType


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of this type."""

    value: Value
    type: LogicalType

    def __post_init__(self) -> None:
        if isinstance(self.value, datetime | time) and self.value.fold:
            object.__setattr__(self, "value", self.value.replace(fold=0))  # SQL knows no second reading of a local time

    def __hash__(self) -> int:
        return hash((repr(self.value), self.type))  # as __eq__ compares: the hash of a nan is its object's

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and True are equal in Python and different constants here; a nan equals itself.
        return isinstance(other, Constant) and self.type == other.type and repr(self.value) == repr(other.value)


@dataclass(frozen=True, slots=True)
class Call:
    """A scalar function of the dictionary (or an operator such as `+`) applied to arguments of the types it takes."""

    function: str
    arguments: tuple[Expression, ...]
    type: LogicalType


@dataclass(frozen=True, slots=True)
class Cast:
    """A conversion. `failing`: a value that cannot be converted makes the row fail ("error") or gives NULL ("null")."""

    input: Expression
    type: LogicalType
    failing: Literal["error", "null"] = "error"


@dataclass(frozen=True, slots=True)
class Case:
    """The value of the first branch whose condition is TRUE, else `otherwise`; all values have the type."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression
    type: LogicalType


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate per group: `function` over `argument` (None: COUNT(*)), of the rows for which `where` is TRUE."""

    name: str
    function: str
    argument: Expression | None
    where: Expression | None
    type: LogicalType


Expression: TypeAlias = Column | Constant | Call | Cast | Case


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside this one, in order."""
    if isinstance(expression, Call):
        return expression.arguments
    if isinstance(expression, Cast):
        return (expression.input,)
    if isinstance(expression, Case):
        return (*(part for branch in expression.branches for part in branch), expression.otherwise)
    return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all inside it, outermost first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def columns_of(*expressions: Expression | None) -> set[str]:
    """The names of the columns that the expressions read."""
    return {part.name for expression in expressions if expression is not None for part in walk(expression) if isinstance(part, Column)}
