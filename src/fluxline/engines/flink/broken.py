"""The rejected rows of an expectation: who broke which rule first, with the bytes and the partition that the embedded engine shows.

The partition travels from the source to the expectation in a hidden column, where somebody asks for it; behind an aggregate no row
has one. The bytes are made by a function of the jar that goes with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.dialect import tree
from fluxline.engines.flink.expressions import to_term
from fluxline.errors import UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.plan import nodes
from fluxline.schema import BIGINT, STRING, timestamp

if TYPE_CHECKING:
    from fluxline.schema import LogicalType

FROM = "$from"
"""Hidden column: the partition that a row comes from, as text; NULL where it comes from several."""

ROW_TEXT = tree.CreateFunction("fluxline_row_text", "fluxline.formats.json.RowText")
"""Names and values in turn -> the row as the bytes of one JSON object."""

NO_PARTITION = tree.CastTo(tree.Verbatim("NULL"), STRING)
TIME_DIGITS = 3  # Flink keeps no more of a TIME.


def know_their_partition(plan: nodes.Plan) -> set[nodes.Node]:
    """The nodes whose rows carry their partition to an expectation whose rejected rows are shown."""
    found: dict[nodes.Node, bool] = {}

    def mark(node: nodes.Node) -> bool:
        if node not in found:
            if isinstance(node, nodes.WindowAggregate | nodes.GroupAggregate):
                found[node] = False
            elif isinstance(node, nodes.Late) or (isinstance(node, nodes.Rejected) and not isinstance(node.input, nodes.Scan)):
                found[node] = mark(node.input.inputs[0])
            else:
                found[node] = isinstance(node, nodes.Scan) or any([mark(part) for part in node.inputs])  # noqa: C419  # each of them is marked
        return found[node]

    for expectation in shown_expectations(plan):
        mark(expectation.input)
    return {node for node, known in found.items() if known}


def shown_expectations(plan: nodes.Plan) -> list[nodes.Expect]:
    """The expectations whose rejected rows somebody reads."""
    return [node.input for node in plan.nodes() if isinstance(node, nodes.Rejected) and isinstance(node.input, nodes.Expect)]


def broken_rows(node: nodes.Expect, source: tree.Relation, pipeline: str, operator: str, partition: tree.Term) -> tree.Select:
    """The rows that break a rule, as rows of the rejected output. NULL breaks a rule, and the first broken one names the row.

    Raises:
        UnsupportedByEngine: FLX-2650, the text of a column would differ; FLX-2130, JSON does not hold one.
    """
    _refuse(node, operator)
    broken = [(rule.name, tree.Spelled("{0} IS NOT TRUE", (to_term(rule.expression),))) for rule in node.rules]
    first = tree.CaseOf(tuple((condition, tree.Text(name)) for name, condition in broken), NO_PARTITION)
    time = node.input.time
    instant = timestamp(3, local=True)
    values: dict[str, tree.Term] = {
        "pipeline": tree.Text(pipeline),
        "operator": tree.Text(operator),
        "reason": tree.Text("rule"),
        "detail": tree.Function("CONCAT", (tree.Text("The row breaks the rule "), first, tree.Text("."))),
        "rule": first,
        "record": _row_text(node.input),
        "partition": partition,
        "position": tree.CastTo(tree.Verbatim("NULL"), BIGINT),
        "event_time": tree.CastTo(tree.Verbatim("NULL") if time is None else tree.Name(time.column), instant),
        "rejected_at": tree.CastTo(tree.Verbatim("CURRENT_TIMESTAMP"), instant),
    }
    any_broken = tree.Spelled(" OR ".join(f"{{{number}}}" for number in range(len(broken))), tuple(condition for _, condition in broken))
    return tree.Select(source, tuple(tree.Item(value, name) for name, value in values.items()), (any_broken,))


def _row_text(node: nodes.Node) -> tree.Term:
    names = node.schema.names()
    return tree.Function(ROW_TEXT.name, tuple(part for name in names for part in (tree.Text(name), tree.Name(name))))


def _refuse(node: nodes.Expect, operator: str) -> None:
    assert not node.input.updating, "the API refuses expectations of rows that may be taken back"
    visible = node.input.schema.visible()
    json = load_format("json")
    json.encoder(visible, json.options())  # Refuses what JSON does not hold.
    for item in visible:
        if _has_fine_time(item.type):
            raise UnsupportedByEngine(
                "FLX-2650",
                f'Flink cannot show the rejected rows of "{operator}"',
                detail=f'Column "{item.name}" is {item.type.text()}, and Flink keeps milliseconds of a TIME: the text of the row would differ.',
                hint=f'Leave "{item.name}" out in front of the expectation.',
            )


def _has_fine_time(kind: LogicalType) -> bool:
    if kind.root == "TIME":
        return (kind.precision or 0) > TIME_DIGITS
    return any(_has_fine_time(part) for part in (*kind.children, *(item.type for item in kind.fields)))
