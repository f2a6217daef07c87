"""Expressions as a front door writes them: names without types. The planner binds them to typed ones (`expressions.py`).

Both front doors build these nodes; each carries the place in the user's text, so that an error can show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import date, time, timedelta
    from decimal import Decimal

    from fluxline.errors import Place
    from fluxline.schema import LogicalType

    ConstantValue: TypeAlias = bool | int | float | str | bytes | Decimal | date | time | timedelta | None


@dataclass(frozen=True, slots=True)
class Name:
    """A column of the stream that the expression is used in."""

    name: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant (`datetime` counts as `date` here: it is its subclass)."""

    value: ConstantValue
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of the dictionary, by its SQL name, or an operator such as `+`, applied to arguments."""

    function: str
    arguments: tuple[Unbound, ...]
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Convert:
    """CAST, or TRY_CAST where `failing` is "null"."""

    input: Unbound
    type: LogicalType
    failing: str = "error"
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Choose:
    """CASE: the first branch whose condition is TRUE, else `otherwise`."""

    branches: tuple[tuple[Unbound, Unbound], ...]
    otherwise: Unbound
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """An aggregate function over the rows of a group, of those only for which `where` is TRUE."""

    function: str
    argument: Unbound | None
    where: Unbound | None = None
    distinct: bool = False
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Labelled:
    """An expression with a name for its result."""

    input: Unbound
    label: str
    place: Place | None = field(default=None, compare=False)


Unbound: TypeAlias = Name | Constant | Apply | Convert | Choose | Measured | Labelled
