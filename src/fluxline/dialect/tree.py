"""Flink SQL as a tree of small frozen nodes; `printer.py` writes it. Nothing here knows a plan.

statement := CreateTable | CreateView | CreateFunction | Insert | StatementSet | Explain
query     := Select | UnionAll
relation  := Table | Tumble | query
term      := Name | Text | Verbatim | Interval | Spelled | Function | CastTo | CaseOf | Element | RunningMaximum
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fluxline.schema import LogicalType


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text; `prefix` makes it a literal of another type, such as DATE or x."""

    value: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A word or number that is printed as it is: TRUE, NULL, 12, 1.5E0."""

    text: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A length of time."""

    length_ms: int


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text with {0}, {1} for its arguments, {1*} for that one and all behind it.

    What stands in brackets is left out where its argument is not there.
    """

    template: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name; `where` is the FILTER of an aggregate."""

    name: str
    arguments: tuple[Term, ...]
    where: Term | None = None


@dataclass(frozen=True, slots=True)
class CastTo:
    """CAST, or TRY_CAST where a value that does not fit gives NULL."""

    input: Term
    type: LogicalType
    tries: bool = False


@dataclass(frozen=True, slots=True)
class CaseOf:
    """CASE over conditions."""

    branches: tuple[tuple[Term, Term], ...]
    otherwise: Term


@dataclass(frozen=True, slots=True)
class Element:
    """The value of a MAP at a key; NULL where it has none."""

    container: Term
    key: Term


@dataclass(frozen=True, slots=True)
class RunningMaximum:
    """The largest value so far, the row included, per partition in the order of arrival."""

    value: Term
    partition_by: Term
    order_by: Term


Term: TypeAlias = Name | Text | Verbatim | Interval | Spelled | Function | CastTo | CaseOf | Element | RunningMaximum


@dataclass(frozen=True, slots=True)
class Item:
    """One output column; `alias` None where the term is a column that keeps its name."""

    term: Term
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Tumble:
    """The table function TUMBLE over a relation."""

    data: Relation
    time_column: str
    size_ms: int
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT; `where` is a conjunction, `items` None stands for all columns."""

    source: Relation
    items: tuple[Item, ...] | None = None
    where: tuple[Term, ...] = ()
    group_by: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class UnionAll:
    """All rows of all parts."""

    parts: tuple[Select, ...]


Query: TypeAlias = Select | UnionAll
Relation: TypeAlias = Table | Tumble | Select | UnionAll


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of CREATE TABLE: of a type; or computed; or, with `metadata`, read from the connector."""

    name: str
    type: LogicalType | None = None
    computed: Term | None = None
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class Watermark:
    """WATERMARK FOR a column."""

    column: str
    value: Term


@dataclass(frozen=True, slots=True)
class CreateTable:
    """CREATE TABLE with its connector's options."""

    name: str
    columns: tuple[TableColumn, ...]
    options: tuple[tuple[str, str], ...]
    watermark: Watermark | None = None
    primary_key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateView:
    """CREATE VIEW."""

    name: str
    query: Query


@dataclass(frozen=True, slots=True)
class CreateFunction:
    """CREATE TEMPORARY FUNCTION from a class of Java."""

    name: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT INTO a table, by position."""

    table: str
    query: Query


@dataclass(frozen=True, slots=True)
class StatementSet:
    """All inserts as one job."""

    inserts: tuple[Insert, ...]


@dataclass(frozen=True, slots=True)
class Explain:
    """The plan of a statement set, without running it."""

    statement: StatementSet


Statement: TypeAlias = CreateTable | CreateView | CreateFunction | Insert | StatementSet | Explain
