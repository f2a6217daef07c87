"""Which steps of a plan each vertex of its running job serves.

Flink chains steps, puts several into one operator and gives them names of its own; no mark in the SQL survives that. What does survive: the names of
sources and sinks, the keys, windows and result names of aggregates, and the way between them. These are the fixed points. A step between
two of them runs in the row-by-row operators between the same two, and in which of these its columns and constants tell: a step
whose expressions are found is served where they are found, one whose expressions Flink rewrote may be in each. In front of the
late test it is served only where they are found: Flink moves there what it computes, and no more than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from fluxline.engines.flink.operators import GROUP_AGGREGATES, OVER, PASSING, SINK, SOURCE, WINDOW_AGGREGATES, read_operators
from fluxline.library import find_function
from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Cast, Column, Constant, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fluxline.engines.flink.operators import Operator
    from fluxline.engines.flink.rest import Vertex
    from fluxline.plan.expressions import Expression

_FIXED = (nodes.Scan, nodes.WindowAggregate, nodes.GroupAggregate, nodes.Sink)
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1}
_LATE_TEST = "CURRENT_WATERMARK("
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w$.])\d+(?:\.\d+)?(?:E[+-]?\d+)?(?![\w$])")


@dataclass(frozen=True, slots=True)
class Served:
    """What one vertex does for a plan.

    Attributes:
        nodes: the steps, in the order of the plan.
        unknown: the kinds of its operators of which nobody knows what they do for the plan.
    """

    nodes: tuple[nodes.Node, ...]
    unknown: tuple[str, ...]


def serves(plan: nodes.Plan, vertices: Sequence[Vertex]) -> Mapping[str, Served]:
    """Per vertex, by its id, the steps of the plan that run in it.

    Args:
        plan: as it was compiled, after the rules.
        vertices: of its job.
    """
    return _Matching(plan, read_operators(vertices)).served()


class _Matching:
    """One plan and one job."""

    def __init__(self, plan: nodes.Plan, chains: Mapping[str, list[Operator]]) -> None:
        self.chains = chains
        self.operators = [operator for chain in chains.values() for operator in chain]
        self.ordered = plan.nodes()
        self.read = {node: _reads(node) for node in self.ordered}
        self.readers: dict[nodes.Node, list[nodes.Node]] = {node: [] for node in self.ordered}
        for node in self.ordered:
            for part in self.read[node]:
                self.readers[part].append(node)
        self.steps = [node for node in self.ordered if not isinstance(node, _FIXED) and not _is_ours(node)]
        self.fixed: dict[int, set[nodes.Node]] = {}
        for operator in self.operators:
            if operator.kind in (SOURCE, SINK):
                self.fixed[id(operator)] = set(self.end(operator))
        for operator in self.operators:
            if operator.kind in WINDOW_AGGREGATES | GROUP_AGGREGATES:
                self.fixed[id(operator)] = self.aggregates(operator)

    def served(self) -> dict[str, Served]:
        possible = {id(operator): self.possible(operator) for operator in self.operators}
        shown = {id(operator): [node for node in possible[id(operator)] if _found(node, operator.text)] for operator in self.operators}
        told = {node for operator in self.operators if not _before_late_test(operator) for node in shown[id(operator)]}
        result = {}
        for vertex, chain in self.chains.items():
            served, unknown = set[nodes.Node](), []
            for operator in chain:
                rewritten = [] if _before_late_test(operator) else [node for node in possible[id(operator)] if node not in told]
                mine = {*shown[id(operator)], *rewritten}
                mine |= self.certain(operator)
                if not mine and operator.kind not in PASSING:
                    unknown.append(operator.kind)
                served |= mine
            result[vertex] = Served(tuple(node for node in self.ordered if node in served), tuple(dict.fromkeys(unknown)))
        return result

    def certain(self, operator: Operator) -> set[nodes.Node]:
        """What the operator does, whatever else it may do: an end, an aggregate, the late test, the union of its inputs."""
        found = set(self.fixed.get(id(operator), ()))
        if operator.kind == OVER:  # The largest event time of each partition, by which a source's rows are late.
            found |= {node for each in operator.before() if each.kind == SOURCE for node in self.fixed[id(each)]}
        if _LATE_TEST in operator.text:
            found |= {node for node in self.nearest(operator, "children") or () if isinstance(node, nodes.WindowAggregate)}
        if len(operator.parents) > 1:
            found |= {node for node in self.between(operator) if isinstance(node, nodes.Union)}
        return found

    def possible(self, operator: Operator) -> list[nodes.Node]:
        """The steps that the operator may run: those between the fixed points that it is between."""
        if operator.kind != "Calc":
            return []
        aggregates = [node for node in self.nearest(operator, "children") or () if _measured(node)]
        return [node for node in self.between(operator) if not isinstance(node, nodes.Union)] + aggregates

    def between(self, operator: Operator) -> list[nodes.Node]:
        before, behind = self.nearest(operator, "parents"), self.nearest(operator, "children")
        return [
            node
            for node in self.steps
            if (before is None or before & self.next_fixed(node, self.read)) and (behind is None or behind & self.next_fixed(node, self.readers))
        ]

    def nearest(self, operator: Operator, way: str) -> set[nodes.Node] | None:
        """The fixed points next to an operator; None where somebody unknown is in between."""
        if way == "children" and id(operator) in self.fixed:
            return self.fixed[id(operator)] or None
        found: set[nodes.Node] = set()
        for other in getattr(operator, way):
            if id(other) in self.fixed:
                here: set[nodes.Node] | None = self.fixed[id(other)] or None
            elif other.kind in PASSING or other.kind == OVER:
                here = self.nearest(other, way)
            else:
                here = None
            if here is None:
                return None
            found |= here
        return found

    def next_fixed(self, node: nodes.Node, way: Mapping[nodes.Node, Sequence[nodes.Node]]) -> set[nodes.Node]:
        """The fixed points next to a step of the plan."""
        found: set[nodes.Node] = set()
        for other in way[node]:
            found |= {other} if isinstance(other, _FIXED) else self.next_fixed(other, way)
        return found

    def end(self, operator: Operator) -> Iterator[nodes.Node]:
        """The source or sink of the table; before its name may stand others."""
        for node in self.ordered:
            if operator.kind == SINK and isinstance(node, nodes.Sink) and operator.of == node.name:
                yield node
            if operator.kind == SOURCE and isinstance(node, nodes.Scan) and (operator.of == node.source or operator.of.endswith(f".{node.source}")):
                yield node

    def aggregates(self, operator: Operator) -> set[nodes.Node]:
        """The aggregates of the plan that the operator may run, by keys, window and place in the plan, then by the names of the results."""
        kind = nodes.WindowAggregate if operator.kind in WINDOW_AGGREGATES else nodes.GroupAggregate
        sources = {node for each in operator.before() if each.kind == SOURCE for node in self.fixed[id(each)]}
        sinks = {node for each in operator.behind() if each.kind == SINK for node in self.fixed[id(each)]}
        found = [
            node
            for node in self.ordered
            if isinstance(node, kind)
            and _alike(node, operator.text)
            and sources & self.reached(node, self.read)
            and sinks & self.reached(node, self.readers)
        ]
        named = [node for node in found if all(f" AS {measure.name}" in operator.text for measure in node.measures)]
        return set(named or found)

    def reached(self, node: nodes.Node, way: Mapping[nodes.Node, Sequence[nodes.Node]]) -> set[nodes.Node]:
        found: set[nodes.Node] = set()
        waiting = [node]
        while waiting:
            for other in way[waiting.pop()]:
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found


def _before_late_test(operator: Operator) -> bool:
    return bool(operator.children) and all(each.kind == OVER for each in operator.children)


def _reads(node: nodes.Node) -> tuple[nodes.Node, ...]:
    """Whose rows a step reads on Flink: late rows are found in what the window reads."""
    return node.input.inputs if isinstance(node, nodes.Late) else node.inputs


def _is_ours(node: nodes.Node) -> bool:
    """Whether it is a choice of columns that a rule made, which no user wrote."""
    return isinstance(node, nodes.Project) and not node.label and node.place == node.input.place and not list(expressions_of(node))


def _measured(node: nodes.Node) -> bool:
    """Whether it aggregates what must be computed first."""
    return not isinstance(node, nodes.Sink) and any(True for _ in expressions_of(node))


def _alike(node: nodes.WindowAggregate | nodes.GroupAggregate, text: str) -> bool:
    keys = re.search(r"groupBy=\[([^\]]*)\]", text)
    if set(keys[1].split(", ") if keys is not None else ()) != set(node.keys):
        return False
    size = re.search(r"size=\[(\d+) (\w+)\]", text)
    return not isinstance(node, nodes.WindowAggregate) or size is None or int(size[1]) * _UNITS_MS.get(size[2], 0) == node.window.size_ms


def expressions_of(node: nodes.Node) -> Iterator[Expression]:
    """What a step computes or tests for a row, without columns that only pass."""
    if isinstance(node, nodes.Filter):
        yield node.predicate
    elif isinstance(node, nodes.Project):
        yield from (column.expression for column in node.columns if not isinstance(column.expression, Column))
    elif isinstance(node, nodes.Expect):
        yield from (rule.expression for rule in node.rules)
    elif isinstance(node, nodes.WindowAggregate | nodes.GroupAggregate):
        given = (part for measure in node.measures for part in (measure.argument, measure.where))
        yield from (part for part in given if part is not None and not isinstance(part, Column))


def _found(node: nodes.Node, text: str) -> bool:
    """Whether something that the step computes stands in what Flink says of an operator."""
    parts = [part for whole in expressions_of(node) for part in _conditions(whole)]
    wanted = [(_word(part), leaves) for part in parts if (leaves := set(_leaves(part, node.inputs[0])))]
    tests = isinstance(node, nodes.Filter | nodes.Expect)
    items = [_Item(item) for item in (*(() if tests else _columns(text)), *_conditions_of(text))] if wanted else []
    return any(word in item.text and all(item.has(leaf) for leaf in leaves) for word, leaves in wanted for item in items)


def _word(expression: Expression) -> str:
    """What Flink writes for the outermost operation, where that is one word."""
    if isinstance(expression, Cast):
        return "CAST("
    spelled = find_function(expression.function).flink or "" if isinstance(expression, Call) else ""
    return f"{spelled}(" if spelled.isidentifier() else ""


def _conditions(expression: Expression) -> Iterator[Expression]:
    """The parts of a condition that Flink may tear apart."""
    if isinstance(expression, Call) and expression.function in ("AND", "OR"):
        for argument in expression.arguments:
            yield from _conditions(argument)
    else:
        yield expression


def _leaves(expression: Expression, given: nodes.Node) -> Iterator[str | float | Column]:
    """The texts, numbers and columns of an expression; a column that a step before computes stands for what it is made of, as in Flink."""
    for part in walk(expression):
        if isinstance(part, Constant) and isinstance(part.value, str | int | float | Decimal) and not isinstance(part.value, bool):
            yield part.value if isinstance(part.value, str) else float(part.value)
        elif isinstance(part, Column):
            maker = given
            while isinstance(maker, nodes.Filter | nodes.Expect):
                maker = maker.input
            made = [column for column in maker.columns if column.name == part.name] if isinstance(maker, nodes.Project) else []
            if made and isinstance(maker, nodes.Project):
                yield from _leaves(made[0].expression, maker.input)
            else:
                yield part


class _Item:
    """One column or condition of an operator."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.texts = {found.replace("''", "'") for found in _TEXT.findall(text)}
        self.rest = _TEXT.sub(" ", text)
        self.numbers = {float(found) for found in _NUMBER.findall(self.rest)}

    def has(self, leaf: str | float | Column) -> bool:
        if isinstance(leaf, Column):
            return re.search(rf"(?<![\w$]){re.escape(leaf.name)}(?![\w$])", self.rest) is not None
        return leaf in self.texts if isinstance(leaf, str) else leaf in self.numbers


def _columns(text: str) -> Iterator[str]:
    """The columns of a Calc, without the names that they get."""
    for item in _split(_until_closed(text.partition("select=[")[2]), (", ",)):
        yield re.sub(r" AS [^()]*$", "", item)


def _conditions_of(text: str) -> Iterable[str]:
    """The conditions of a Calc."""
    return _torn(_until_closed(text.rpartition("where=[")[2])) if "where=[" in text else ()


def _torn(condition: str) -> Iterable[str]:
    """A condition's parts, which AND and OR connect."""
    inner = condition.strip()
    while inner.startswith("(") and _until_closed(inner[1:]) == inner[1:-1]:
        inner = inner[1:-1]
    parts = _split(inner, (" AND ", " OR "))
    return [inner] if len(parts) == 1 else [item for part in parts for item in _torn(part)]


def _until_closed(text: str) -> str:
    """The text up to the bracket that closes what was opened before it."""
    for position, depth in _depths(text):
        if depth < 0:
            return text[:position]
    return text


def _split(text: str, separators: tuple[str, ...]) -> list[str]:
    """The parts of a text between separators that stand outside of brackets and texts."""
    parts, begin = [], 0
    for position, depth in _depths(text):
        for separator in separators:
            if depth == 0 and position >= begin and text.startswith(separator, position):
                parts.append(text[begin:position])
                begin = position + len(separator)
    return [*parts, text[begin:]]


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Each position outside of texts, and in how many brackets it is; a closing one counts as outside of its own."""
    depth, inside = 0, False
    for position, character in enumerate(text):
        if character == "'":
            inside = not inside
        elif not inside:
            depth += (character in "([") - (character in ")]")
            yield position, depth
