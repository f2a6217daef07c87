"""What a word of the function dictionary is: its meaning and both translations on one screen.

A form (Polars, numpy) is given as a *factory*: it gets the Signature of one use of the function, decides everything that
depends on types and constants, once, and returns what runs per batch. Polars and numpy are needed only when a word runs, so
this package loads them lazily: importing the dictionary stays cheap.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from fluxline.schema import LogicalType


class LazyModule:
    """A module that is imported when its first attribute is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


class ArgumentMismatch(Exception):
    """The arguments do not fit the function; the text is a full sentence for the user."""


class Unknown(Enum):
    """Stands for the value of an argument that is not a constant."""

    VALUE = "not a constant"


NOT_CONSTANT = Unknown.VALUE


@dataclass(frozen=True, slots=True)
class Signature:
    """One use of a function: the types that the arguments are converted to, the type of the result with its nullability.

    Attributes:
        arguments: one type per argument; an argument of another type is cast to it before the function runs.
        result: the type of the result.
        constants: one per argument, its value where it is a constant, else NOT_CONSTANT; empty when nobody knows.
    """

    arguments: tuple[LogicalType, ...]
    result: LogicalType
    constants: tuple[object, ...] = ()

    def constant(self, position: int, what: str) -> Any:
        """The value of an argument that has to be a constant.

        Args:
            position: of the argument, from 0.
            what: how a message names it, such as "the pattern of LIKE".

        Raises:
            ArgumentMismatch: it is not a constant, or NULL.
        """
        value = self.constants[position] if position < len(self.constants) else NOT_CONSTANT
        if value is NOT_CONSTANT or value is None:
            raise ArgumentMismatch(f"Here {what} has to be a constant.")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A scalar function or operator.

    Attributes:
        name: as Flink SQL names it; operators by their sign (`+`, `AND`, `IS NULL`).
        doc: one sentence.
        takes: the argument types for people, such as `STRING, INT`.
        example: arguments and the value for them; `examples.sql_text` writes it as SQL.
        infer: (argument types, constants as in Signature) -> Signature; raises ArgumentMismatch. Where the result type
            does not depend on a constant, the second argument may be left out.
        polars: Signature -> (one Polars expression per argument -> the result). The form gives NULL for NULL itself.
        numpy: Signature -> (one numpy array per argument -> the result, for arguments without NULL), or None for types
            that have no such form; None as a whole where it never pays. With `nulls="own"` the form gets (values, valid)
            pairs, `valid` None where nothing is NULL, and returns such a pair. An array may have length 1 for a constant. It runs
            with numpy's floating-point warnings off.
        fails: Signature -> (one Polars expression per argument -> TRUE where the computation fails), or None where it cannot;
            such a row is rejected. A row with a NULL argument never fails.
        fails_numpy: the same for numpy arrays; needed where both `numpy` and `fails` exist.
        failure: what a failed row suffered from, as a noun, for people: `division by zero`.
        nulls: "propagate": NULL in any argument gives NULL; "own": the forms decide.
        constant: positions of the arguments that have to be constants; the numpy form gets None in their place.
        lazy: arguments that are not evaluated for every row, as `IF` leaves one branch out; the engine knows the word.
        flink: Flink's spelling: a name, or a text with {0}, {1} for arguments, {1*} for that one and all behind it, {1!} for a
            constant that is a keyword, and brackets around what is left out where its argument is not there; None where Flink has
            no such function, and the planner refuses it there.
        flink_integers: the spelling for whole numbers only, where it is another one.
        python: how the Python API writes it, such as `col("x").str.upper()`.
    """

    name: str
    doc: str
    takes: str
    example: tuple[tuple[object, ...], object]
    infer: Callable[..., Signature]
    polars: Callable[[Signature], Callable[..., pl.Expr]]
    numpy: Callable[[Signature], Callable[..., Any] | None] | None = None
    fails: Callable[[Signature], Callable[..., pl.Expr] | None] | None = None
    fails_numpy: Callable[[Signature], Callable[..., Any] | None] | None = None
    failure: str = ""
    nulls: Literal["propagate", "own"] = "propagate"
    constant: tuple[int, ...] = ()
    lazy: bool = False
    flink: str | None
    flink_integers: str | None = None
    python: str

    def __post_init__(self) -> None:
        assert (self.fails is None) == (self.failure == ""), f"{self.name} says how it fails, or does not fail"
        assert self.numpy is None or (self.fails is None) == (self.fails_numpy is None), f"{self.name} fails alike in both forms"


@dataclass(frozen=True, slots=True)
class Partial:
    """One number (or value) that an aggregate keeps per group: how a batch gives it, how two are merged, and its type."""

    name: str
    of_rows: Callable[[pl.Expr], pl.Expr]
    merge: Literal["sum", "min", "max"]
    type: LogicalType


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """An aggregate function.

    Attributes:
        name: as Flink SQL names it.
        doc: one sentence.
        takes: the argument type for people; empty for COUNT(*).
        example: the values of a column and the aggregate over them.
        infer: argument type (None for COUNT(*)) -> Signature; raises ArgumentMismatch.
        partials: what is kept per group; `of_rows` gets the argument (of COUNT(*): a column that is never NULL). Of a group
            without any value the minimum and maximum are NULL, sums 0.
        final: (partials as expressions by name, result type) -> the result.
        flink: Flink's spelling.
        python: how the Python API writes it.
    """

    name: str
    doc: str
    takes: str
    example: tuple[tuple[object, ...], object]
    infer: Callable[[LogicalType | None], Signature]
    partials: Callable[[LogicalType | None], tuple[Partial, ...]]
    final: Callable[[dict[str, pl.Expr], LogicalType], pl.Expr]
    flink: str
    python: str
