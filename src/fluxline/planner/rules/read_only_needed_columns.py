"""Decode and compute only the columns that somebody reads.

    sink(select(sensor_id)(scan a, b, sensor_id))  ->  sink(select(sensor_id)(scan sensor_id))

A column that can fail is computed although nobody reads it, so that the same rows are rejected. A rejected row keeps all
columns of the operator's input, and a late row those of the window's input.
"""

from __future__ import annotations

from dataclasses import replace

from fluxline.plan import nodes
from fluxline.plan.expressions import Column, columns_of
from fluxline.planner.failing import can_fail
from fluxline.planner.rules.push_filters_toward_sources import rewrite


def read_only_needed_columns(plan: nodes.Plan) -> nodes.Plan:
    """The plan whose scans and projections give only what is read."""
    needed = _needed(plan)

    done: dict[nodes.Node, nodes.Node] = {}
    for node in plan.nodes():
        inputs = tuple(done[part] for part in node.inputs)
        done[node] = _narrowed(node, needed[node], inputs)
    return rewrite(plan, lambda node: node, done)


def _narrowed(node: nodes.Node, names: set[str], inputs: tuple[nodes.Node, ...]) -> nodes.Node:
    """The node over narrowed inputs, giving no more than these columns where it can."""
    if isinstance(node, nodes.Scan):
        kept = tuple(item.name for item in node.schema if item.name in names) or (node.schema.fields[0].name,)
        return node if len(kept) == len(node.schema.fields) else replace(node, columns=kept)
    if isinstance(node, nodes.Project):
        return replace(node, input=inputs[0], columns=_kept(node, names))
    return node.with_inputs(_aligned(node, names, inputs) if isinstance(node, nodes.Union) else inputs)


def _kept(project: nodes.Project, names: set[str]) -> tuple[nodes.NamedExpression, ...]:
    """The columns that are read, and those that can fail: their rows are rejected, whether they are read or not."""
    return tuple(column for column in project.columns if column.name in names or can_fail(column.expression)) or project.columns[:1]


def _aligned(union: nodes.Union, names: set[str], inputs: tuple[nodes.Node, ...]) -> tuple[nodes.Node, ...]:
    """Inputs of the union that all give the same needed columns: some of them have more, for other readers."""
    order = [name for name in union.schema.names() if name in names] or [union.schema.names()[0]]
    parts: list[nodes.Node] = []
    for part in inputs:
        columns = tuple(nodes.NamedExpression(name, Column(name, part.schema.field(name).type), part.schema.field(name).tags) for name in order)
        parts.append(part if list(part.schema.names()) == order else nodes.Project(part, columns, place=part.place))
    return tuple(parts)


def _needed(plan: nodes.Plan) -> dict[nodes.Node, set[str]]:
    """For every node, which of its output columns are read."""
    needed: dict[nodes.Node, set[str]] = {node: set() for node in plan.nodes()}
    rejected_read = {node.input for node in plan.nodes() if isinstance(node, nodes.Rejected)}
    for node in reversed(plan.nodes()):
        everything = node in rejected_read and not isinstance(node, nodes.Scan)
        for part in node.inputs:
            reads = _reads(node, part, needed[node])
            if everything:
                reads |= set(part.schema.names())
            needed[part] |= reads
        if isinstance(node, nodes.Late):
            needed[node.input.inputs[0]] |= needed[node]
    return needed


def _reads(node: nodes.Node, part: nodes.Node, wanted: set[str]) -> set[str]:
    """Which columns of `part` this node reads, when `wanted` of its own are."""
    if isinstance(node, nodes.Late | nodes.Rejected):
        return set()
    if isinstance(node, nodes.Filter):
        return wanted | columns_of(node.predicate)
    if isinstance(node, nodes.Project):
        return columns_of(*(column.expression for column in _kept(node, wanted))) | {item.name for item in part.schema if item.hidden}
    if isinstance(node, nodes.WindowAggregate | nodes.GroupAggregate):
        reads = set(node.keys) | columns_of(*(expression for measure in node.measures for expression in (measure.argument, measure.where)))
        if isinstance(node, nodes.WindowAggregate) and part.time is not None:
            reads.add(part.time.column)
        return reads
    if isinstance(node, nodes.Expect):
        return wanted | columns_of(*(rule.expression for rule in node.rules))
    if isinstance(node, nodes.Union):
        return wanted
    return {item.name for item in part.schema}
