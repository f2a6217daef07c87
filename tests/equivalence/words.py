"""Functions and aggregates on both engines: the example of each, and NULL in each of its arguments."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fluxline.dialect import tree
from fluxline.dialect.printer import print_statement, print_term, quote
from fluxline.engines.flink.expressions import measure_term, to_term
from fluxline.errors import ExternalError, UnsupportedByEngine
from fluxline.library import AGGREGATES, FUNCTIONS
from fluxline.library.examples import type_of_value
from fluxline.plan.expressions import Column, Constant, Measure
from fluxline.schema import STRING, Field, TableSchema, parse_type
from tests.engines.flink.live import decoded
from tests.equivalence.outcomes import Outcome
from tests.library.expressions import call, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.engines.flink.gateway import Session
    from fluxline.plan.expressions import Expression
    from fluxline.schema import LogicalType

BATCH = 24
"""Functions of one statement: each statement costs a second, and one that Flink refuses is taken apart."""
ROWS = 6


@dataclass(frozen=True)
class Case:
    """One function over columns of its own.

    Attributes:
        columns: name -> (type, values), ROWS of them: the example, NULL in each argument in turn, the example again.
    """

    name: str
    expression: Expression
    columns: dict[str, tuple[str, list[Any]]]

    def expected(self) -> list[Any]:
        """What the embedded engine gives."""
        made = table(row=("INT", list(range(ROWS))), **self.columns)
        values, failed = made.evaluate(self.expression)
        assert not any(failed), f"the example of {self.name} fails"
        return values


def case_of(name: str, number: int) -> Case:
    """The example of a function; what may be a column is one."""
    function = FUNCTIONS[name]
    arguments: list[Any] = []
    columns: dict[str, tuple[str, list[Any]]] = {}
    for position, value in enumerate(function.example[0]):
        if position in function.constant or value is None:
            arguments.append(value)
            continue
        kind = type_of_value(value).with_nullable(True)
        column = f"c{number}_{position}"
        columns[column] = (str(kind), [None if row == position + 1 else value for row in range(ROWS)])
        arguments.append(Column(column, kind))
    return Case(name, call(name, *arguments), columns)


def compare_functions(session: Session) -> list[Outcome]:
    """All functions of the dictionary."""
    cases, found = [], []
    for number, name in enumerate(sorted(FUNCTIONS)):
        case = case_of(name, number)
        try:
            to_term(case.expression)
        except UnsupportedByEngine:
            found.append(Outcome(f"function {name}", "refused", "no_counterpart"))
        else:
            cases.append(case)
    for first in range(0, len(cases), BATCH):
        found += _compare(session, cases[first : first + BATCH])
    return found


def _compare(session: Session, cases: Sequence[Case]) -> list[Outcome]:
    """One statement; if Flink refuses it, each half by itself."""
    try:
        types, rows = _ask(session, cases)
    except ExternalError as error:
        if len(cases) == 1:
            return [Outcome(f"function {cases[0].name}", "different", error.fact)]
        middle = len(cases) // 2
        return _compare(session, cases[:middle]) + _compare(session, cases[middle:])
    return [
        judged(f"function {case.name}", case.expected(), [row[number] for row in rows], case.expression.type, types[number])
        for number, case in enumerate(cases)
    ]


def _ask(session: Session, cases: Sequence[Case]) -> tuple[list[LogicalType], list[list[Any]]]:
    """Types and values on Flink."""
    columns: dict[str, tuple[str, list[Any]]] = {"row": ("INT", list(range(ROWS)))}
    for case in cases:
        columns |= case.columns
    parts = tuple(
        tree.Select(tree.Table("one"), tuple(tree.Item(constant(values[row], kind), name) for name, (kind, values) in columns.items()))
        for row in range(ROWS)
    )
    items = (tree.Item(tree.Name("row")), *(tree.Item(to_term(case.expression), f"r{number}") for number, case in enumerate(cases)))
    return ask(session, tree.Select(tree.UnionAll(parts), items))


def ask(session: Session, query: tree.Query) -> tuple[list[LogicalType], list[list[Any]]]:
    """Types and values of a query but for its first column, which gives the order of its rows."""
    session.execute(print_statement(tree.CreateView("asked", query)))
    try:
        described = session.execute("DESCRIBE `asked`").rows
        names, types = [str(row[0]) for row in described], [parse_type(str(row[1])) for row in described]
        # JSON has no NaN, and a decimal of many digits would become a double: both travel as text.
        texts = [kind.root in ("DECIMAL", "DOUBLE", "FLOAT") for kind in types]
        items = [tree.CastTo(tree.Name(name), STRING) if text else tree.Name(name) for name, text in zip(names, texts, strict=True)]
        listed = ", ".join(f"{print_term(item)} AS {quote(name)}" for item, name in zip(items, names, strict=True))
        result = session.execute(f"SELECT {listed} FROM `asked`")
    finally:
        session.execute("DROP VIEW `asked`")
    schema = TableSchema(tuple(Field(name, STRING if text else kind) for name, kind, text in zip(names, types, texts, strict=True)))
    # Of an updating result the last row counts.
    last = {row[0]: row for row, kind in zip(result.rows, result.kinds, strict=True) if kind in ("INSERT", "UPDATE_AFTER")}
    records = [json.dumps(dict(zip(names, row, strict=True))).encode() for row in last.values()]
    rows = sorted(decoded(schema, records).rows())
    return types[1:], [[_read(value, kind) for value, kind in zip(row[1:], types[1:], strict=True)] for row in rows]


def _read(value: Any, kind: LogicalType) -> Any:
    """A number that came as text."""
    if value is None or kind.root not in ("DECIMAL", "DOUBLE", "FLOAT"):
        return value
    return Decimal(value) if kind.root == "DECIMAL" else float(value)


def constant(value: Any, kind: str) -> tree.Term:
    """A value of a type."""
    return tree.CastTo(to_term(Constant(value, type_of_value(value))), parse_type(kind))


def judged(name: str, expected: list[Any], found: list[Any], expected_type: LogicalType, found_type: LogicalType) -> Outcome:
    """Equal values of one type: what Flink says of NULL is its own."""
    wanted, given = str(expected_type.with_nullable(True)), str(found_type.with_nullable(True))
    if [_plain(value) for value in expected] != [_plain(value) for value in found]:
        return Outcome(name, "different", f"embedded {expected}, Flink {found}")
    if wanted != given:
        return Outcome(name, "different", f"embedded {wanted}, Flink {given}")
    return Outcome(name, "equal")


def _plain(value: Any) -> Any:
    """Numbers to twelve digits, as floating-point results are compared; NaN equal to itself."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value:.12g}")
    return value


def compare_aggregates(session: Session) -> list[Outcome]:
    """All aggregates, over the values of their examples."""
    return [_aggregate(session, name) for name in sorted(AGGREGATES)]


def _aggregate(session: Session, name: str) -> Outcome:
    function = AGGREGATES[name]
    values, expected = function.example
    kind = next(type_of_value(value) for value in values if value is not None).with_nullable(True)
    use = function.infer(kind if function.takes else None)
    argument = Column("x", use.arguments[0]) if function.takes else None
    measure = Measure("result", name, argument, None, use.result)
    taken = kind if argument is None else use.arguments[0]
    parts = tuple(tree.Select(tree.Table("one"), (tree.Item(constant(value, str(taken)), "x"),)) for value in values)
    try:
        types, rows = ask(
            session, tree.Select(tree.UnionAll(parts), (tree.Item(tree.Verbatim("1"), "row"), tree.Item(measure_term(measure), "result")))
        )
    except ExternalError as error:
        return Outcome(f"aggregate {name}", "different", error.fact)
    return judged(f"aggregate {name}", [expected], [row[0] for row in rows], use.result, types[0])


def prepare(session: Session) -> None:
    """The table of one row that values are selected from."""
    session.execute("CREATE VIEW `one` AS SELECT * FROM (VALUES (1)) AS t (`x`)")
