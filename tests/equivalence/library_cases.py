"""The cases of the function library, each over columns of a table, on both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.dialect import tree
from fluxline.dialect.printer import print_term
from fluxline.engines.flink.expressions import to_term
from fluxline.errors import ExternalError
from tests.equivalence.outcomes import Outcome
from tests.equivalence.words import ask, constant, judged
from tests.library import test_numbers, test_temporal, test_text
from tests.library.expressions import call, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.engines.flink.gateway import Session
    from fluxline.plan.expressions import Expression
    from fluxline.schema import Field
    from tests.library.expressions import Table

BATCH = 30


def compare_cases(session: Session) -> list[Outcome]:
    """All cases of numbers, text and times whose rows all succeed on the embedded engine."""
    found = []
    for given, cases in (
        (test_numbers.NUMBERS, [(name, arguments) for name, arguments, _kind, _results in test_numbers.CASES]),
        (test_text.TEXTS, [(name, arguments) for name, arguments, _results in test_text.CASES]),
        (test_temporal.TIMES, [(name, arguments) for name, arguments, _results in test_temporal.CASES]),
    ):
        made = _without_negative_zero(given)
        expressions = [call(name, *arguments) for name, arguments in cases]
        kept = [expression for expression in expressions if not any(made.evaluate(expression)[1])]
        for first in range(0, len(kept), BATCH):
            found += _compare(session, made, kept[first : first + BATCH])
    return found


def _compare(session: Session, made: Table, cases: Sequence[Expression]) -> list[Outcome]:
    items = (tree.Item(tree.Name("row")), *(tree.Item(to_term(case), f"r{number}") for number, case in enumerate(cases)))
    try:
        types, rows = ask(session, tree.Select(_values(made), items))
    except ExternalError as error:
        if len(cases) == 1:
            return [Outcome(_shown(cases[0]), "different", error.fact)]
        middle = len(cases) // 2
        return _compare(session, made, cases[:middle]) + _compare(session, made, cases[middle:])
    return [
        judged(_shown(case), made.evaluate(case)[0], [row[number] for row in rows], case.type, types[number]) for number, case in enumerate(cases)
    ]


def _without_negative_zero(made: Table) -> Table:
    """Flink's planner makes 0.0 of it wherever it stands in a statement."""
    columns = {field.name: (str(field.type), made.batch.columns[field.name].series().to_list()) for field in made.schema}
    return table(
        **{name: (kind, [0.0 if value == 0 and isinstance(value, float) else value for value in values]) for name, (kind, values) in columns.items()}
    )


def _shown(case: Expression) -> str:
    return print_term(to_term(case))


def _values(made: Table) -> tree.Query:
    """The rows of the table, numbered."""
    columns: list[tuple[Field, list[Any]]] = [(field, made.batch.columns[field.name].series().to_list()) for field in made.schema]
    parts = []
    for row in range(made.batch.rows):
        items = [tree.Item(constant(values[row], str(field.type)), field.name) for field, values in columns]
        parts.append(tree.Select(tree.Table("one"), (tree.Item(tree.Verbatim(str(row)), "row"), *items)))
    return tree.UnionAll(tuple(parts))
