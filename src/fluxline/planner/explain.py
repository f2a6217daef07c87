"""A plan as text: its steps, what each remembers, and where the text of the user stands."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from fluxline.options import format_duration
from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Expression, Measure
from fluxline.plan.names import name_operators

if TYPE_CHECKING:
    from collections.abc import Mapping


def explain_plan(plan: nodes.Plan) -> str:
    """Every sink with the steps before it; a step that several sinks share is written out once."""
    names = name_operators(plan)
    shown: set[nodes.Node] = set()
    lines: list[str] = [f"pipeline {plan.name}"]
    for sink in plan.sinks:
        _tree(sink, names, shown, lines, "  ")
    return "\n".join(lines)


def explain_node(node: nodes.Node) -> str:
    """The steps before one stream."""
    names = name_operators(nodes.Plan("", (nodes.Sink(node, "_"),)))
    lines: list[str] = []
    _tree(node, names, set(), lines, "")
    return "\n".join(lines)


def explain_state(plan: nodes.Plan) -> list[str]:
    """What every operator that remembers rows keeps, and for how long."""
    names = name_operators(plan)
    lines = []
    for node in plan.nodes():
        if isinstance(node, nodes.WindowAggregate):
            keys = ", ".join(node.keys) or "no key"
            delay = (
                "" if node.time is None else f", until the watermark passes its end ({format_duration(_delay(node))} behind the largest event time)"
            )
            lines.append(f"{names[node]}: one row per open window and {keys}{delay}")
        elif isinstance(node, nodes.GroupAggregate):
            keys = ", ".join(node.keys) or "no key"
            kept = "for ever" if node.ttl_ms is None else f"for {format_duration(node.ttl_ms)} after its last row"
            lines.append(f"{names[node]}: one row per {keys}, {kept}")
    return lines


def explain_determinism(plan: nodes.Plan) -> list[str]:
    """What, beside the input and its partitioning, the rows depend on."""
    lines = []
    for scan in plan.scans():
        strategy = scan.strategy
        if strategy is None:
            continue
        if strategy.idle_after_ms is not None:
            lines.append(
                f"{scan.source}: an idle timeout ({format_duration(strategy.idle_after_ms)}) that really fires decides by the clock who is late"
            )
        if strategy.max_future_skew_ms is not None:
            bound = format_duration(strategy.max_future_skew_ms)
            lines.append(f"{scan.source}: max_future_skew ({bound}) compares with the time at which a topic logged the record, else with the clock")
    for node in plan.nodes():
        if isinstance(node, nodes.GroupAggregate) and node.ttl_ms is not None:
            lines.append(f"a TTL ({format_duration(node.ttl_ms)}) forgets keys by the clock")
    return lines


def _delay(node: nodes.Node) -> int:
    return max((part.strategy.effective_delay_ms for part in nodes.upstream(node) if isinstance(part, nodes.Scan) and part.strategy), default=0)


def _tree(node: nodes.Node, names: Mapping[nodes.Node, str], shown: set[nodes.Node], lines: list[str], indent: str) -> None:
    place = f"   [{node.place}]" if node.place is not None else ""
    if isinstance(node, nodes.Late | nodes.Rejected):
        what = "late rows" if isinstance(node, nodes.Late) else "rejected rows"
        lines.append(f"{indent}{what} of {names.get(node.input, '?')}{place}")
        if node.input not in shown:
            _tree(node.input, names, shown, lines, indent + "  ")
        return
    lines.append(f"{indent}{names[node]}: {_describe(node)}{place}")
    if node in shown:
        if node.inputs:
            lines.append(f"{indent}  (as above)")
        return
    shown.add(node)
    for part in node.inputs:
        _tree(part, names, shown, lines, indent + "  ")


@singledispatch
def _describe(node: nodes.Node) -> str:
    return type(node).__name__


@_describe.register
def _(node: nodes.Scan) -> str:
    text = f"read {', '.join(node.schema.names())}"
    if node.event_time is not None and node.strategy is not None:
        text += (
            f"; event time {node.event_time.name}, watermark {format_duration(node.strategy.delay_ms)} behind, lateness by {node.strategy.lateness}"
        )
    if node.predicate is not None:
        text += f"; where {show(node.predicate)}"
    return text


@_describe.register
def _(node: nodes.Filter) -> str:
    return f"where {show(node.predicate)}"


@_describe.register
def _(node: nodes.Project) -> str:
    parts = []
    for column in node.columns:
        same = isinstance(column.expression, Column) and column.expression.name == column.name
        parts.append(column.name if same else f"{show(column.expression)} as {column.name}")
    return ", ".join(parts)


@_describe.register
def _(node: nodes.WindowAggregate) -> str:
    keys = f" by {', '.join(node.keys)}" if node.keys else ""
    return f"{node.window}{keys}: {', '.join(show_measure(measure) for measure in node.measures)}"


@_describe.register
def _(node: nodes.GroupAggregate) -> str:
    keys = f" by {', '.join(node.keys)}" if node.keys else ""
    return f"updating{keys}: {', '.join(show_measure(measure) for measure in node.measures)}"


@_describe.register
def _(node: nodes.Union) -> str:
    return f"all rows of {len(node.parts)} streams"


@_describe.register
def _(node: nodes.MapBatches) -> str:
    return f"{node.function.name}(frame), on error {node.on_error}"


@_describe.register
def _(node: nodes.Expect) -> str:
    return f"{', '.join(f'{rule.name}: {show(rule.expression)}' for rule in node.rules)}; on failure {node.on_failure}"


@_describe.register
def _(node: nodes.Sink) -> str:
    kind = "upsert" if node.row_key is not None else "append"
    key = f" by {', '.join(node.row_key)}" if node.row_key else ""
    return f"{kind}{key}: {node.schema.describe()}"


def show_measure(measure: Measure) -> str:
    """`AVG(temperature) as mean`."""
    inside = "*" if measure.argument is None else show(measure.argument)
    where = "" if measure.where is None else f" filter (where {show(measure.where)})"
    return f"{measure.function}({inside}){where} as {measure.name}"


def show(expression: Expression) -> str:
    """An expression as text, for people."""
    if isinstance(expression, Column):
        return expression.name
    if isinstance(expression, Constant):
        return f"'{expression.value}'" if isinstance(expression.value, str) else "NULL" if expression.value is None else str(expression.value)
    if isinstance(expression, Cast):
        return f"{'try_' if expression.failing == 'null' else ''}cast({show(expression.input)} as {expression.type.text()})"
    if isinstance(expression, Case):
        branches = " ".join(f"when {show(condition)} then {show(value)}" for condition, value in expression.branches)
        return f"case {branches} else {show(expression.otherwise)} end"
    assert isinstance(expression, Call)
    parts = [show(argument) for argument in expression.arguments]
    word = {"TRUEDIV": "/", "FLOORDIV": "//", "FLOORMOD": "%"}.get(expression.function, expression.function)
    if len(parts) == 2 and (not word[0].isalpha() or word in ("AND", "OR")):
        return f"({parts[0]} {word} {parts[1]})"
    if len(parts) == 1 and word.startswith("IS "):
        return f"({parts[0]} {word})"
    return f"{word}({', '.join(parts)})"
