"""Move filters before projections, and into a source that has no other reader.

    sink(project(x, message=...)(filter(temperature > 25)(scan)))  ->  sink(project(...)(scan where temperature > 25))

Only where nothing that moves can fail for a row, so that no row is rejected that was filtered before, or the reverse.
A node that the user named stays where it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Case, Cast, Column, Expression
from fluxline.planner.failing import can_fail

if TYPE_CHECKING:
    from collections.abc import Callable


def push_filters_toward_sources(plan: nodes.Plan) -> nodes.Plan:
    """The plan with its filters as near to the sources as they can be."""
    moved = rewrite(plan, _before_project)
    return _into_scans(moved)


def _before_project(node: nodes.Node) -> nodes.Node:
    """filter(project(x)) -> project(filter(x)), as often as it goes."""
    if not isinstance(node, nodes.Filter) or node.label:
        return node
    project = node.input
    if not isinstance(project, nodes.Project) or project.label or can_fail(node.predicate):
        return node
    if any(can_fail(column.expression) for column in project.columns):
        return node
    inlined = _inline(node.predicate, {column.name: column.expression for column in project.columns})
    if inlined is None:
        return node
    below = _before_project(replace(node, input=project.input, predicate=inlined))
    return replace(project, input=below)


def _inline(expression: Expression, columns: dict[str, Expression]) -> Expression | None:
    """The predicate in terms of the projection's input; None where it uses a column that is computed."""
    if isinstance(expression, Column):
        source = columns.get(expression.name)
        if source is None:
            return expression  # a hidden column, which passes unchanged
        return source if isinstance(source, Column) else None
    parts: list[Expression | None]
    if isinstance(expression, Call):
        parts = [_inline(part, columns) for part in expression.arguments]
        return None if None in parts else replace(expression, arguments=tuple(part for part in parts if part is not None))
    if isinstance(expression, Cast):
        inner = _inline(expression.input, columns)
        return None if inner is None else replace(expression, input=inner)
    if isinstance(expression, Case):
        return None  # Rare in a filter behind a projection; it stays.
    return expression


def _into_scans(plan: nodes.Plan) -> nodes.Plan:
    """Scan read by one filter alone -> scan with that predicate."""
    replaced: dict[nodes.Node, nodes.Node] = {}
    for scan in plan.scans():
        readers = [node for node in plan.nodes() if scan in node.inputs and not isinstance(node, nodes.Rejected)]
        only = readers[0] if len(readers) == 1 else None
        if isinstance(only, nodes.Filter) and not only.label and scan.predicate is None and not can_fail(only.predicate):
            pushed = replace(scan, predicate=only.predicate)
            replaced[scan] = pushed
            replaced[only] = pushed
    return rewrite(plan, lambda node: node, replaced) if replaced else plan


def rewrite(plan: nodes.Plan, change: Callable[[nodes.Node], nodes.Node], replaced: dict[nodes.Node, nodes.Node] | None = None) -> nodes.Plan:
    """The plan with `change(node)` applied to every node, inputs first; shared nodes stay shared.

    Args:
        plan: what to rewrite.
        change: node (with its inputs rewritten) -> node.
        replaced: nodes of the old plan that are replaced as a whole.
    """
    done: dict[nodes.Node, nodes.Node] = dict(replaced or {})
    for node in plan.nodes():
        if node not in done:
            done[node] = change(node.with_inputs(tuple(done[part] for part in node.inputs)))
    sinks = [done[sink] for sink in plan.sinks]
    return replace(plan, sinks=tuple(sink for sink in sinks if isinstance(sink, nodes.Sink)))
