"""Stable names of operators: of what the user named, else *nearest named input / verb / key / window*; never a counter.

State is found again by these names, so moving a line of the definition, or adding a filter, loses nothing.
"""

from __future__ import annotations

from functools import lru_cache, singledispatch
from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError
from fluxline.limits import NAMES_KEPT_MAX
from fluxline.plan import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping


def name_operators(plan: nodes.Plan) -> Mapping[nodes.Node, str]:
    """The name of every operator of the plan; sources and sinks carry their own names.

    Raises:
        DefinitionError: FLX-2142, two operators that remember rows would have one name.
    """
    ordered = plan.nodes()
    names: dict[nodes.Node, str] = {}
    for node in ordered:
        names[node] = f"sink {node.name}" if isinstance(node, nodes.Sink) else describe_node(node)
    by_name: dict[str, list[nodes.Node]] = {}
    for node, name in names.items():
        by_name.setdefault(name, []).append(node)
    for name, sharing in by_name.items():
        if len(sharing) == 1:
            continue
        stateful = [node for node in sharing if remembers(node) or isinstance(node, nodes.Scan)]
        if stateful:
            raise DefinitionError(
                "FLX-2142",
                f'two operators would both be called "{name}"',
                detail="State is found again by that name, so it must be one operator's alone.",
                hint='End one of them with .named("...").',
                place=stateful[-1].place or sharing[-1].place,
            )
        for node in sharing:
            names[node] = f"{name}~{node.identity.hex()[:4]}"  # four letters that tell them apart by what they do
    return names


@lru_cache(maxsize=NAMES_KEPT_MAX)  # A name is made of the names before it, and a stream that is read twice has two ways to them.
def describe_node(node: nodes.Node) -> str:
    """The name of one operator, without regard to others."""
    return node.label or _own_name(node)


def remembers(node: nodes.Node) -> bool:
    """Whether the operator keeps state between batches."""
    return isinstance(node, nodes.WindowAggregate | nodes.GroupAggregate)


def _base(node: nodes.Node) -> str:
    """The nearest name up the stream that does not change when a stateless step is added."""
    while not (node.label or remembers(node) or isinstance(node, nodes.Scan | nodes.Union)):
        node = node.inputs[0]
    return describe_node(node)


@singledispatch
def _own_name(node: nodes.Node) -> str:
    raise AssertionError(f"no name for {type(node).__name__}")


@_own_name.register
def _(node: nodes.Scan) -> str:
    return node.source


@_own_name.register
def _(node: nodes.Filter) -> str:
    return f"{_base(node.input)}/filter"


@_own_name.register
def _(node: nodes.Project) -> str:
    return f"{_base(node.input)}/project"


@_own_name.register
def _(node: nodes.WindowAggregate) -> str:
    return "/".join(part for part in (_base(node.input), "aggregate", ",".join(node.keys), str(node.window)) if part)


@_own_name.register
def _(node: nodes.GroupAggregate) -> str:
    return "/".join(part for part in (_base(node.input), "aggregate", ",".join(node.keys)) if part)


@_own_name.register
def _(node: nodes.Union) -> str:
    return "+".join(dict.fromkeys(_base(part) for part in node.parts)) + "/union"


@_own_name.register
def _(node: nodes.MapBatches) -> str:
    return f"{_base(node.input)}/map_batches/{node.function.name}"


@_own_name.register
def _(node: nodes.Expect) -> str:
    return f"{_base(node.input)}/expect/{','.join(rule.name for rule in node.rules)}"


@_own_name.register
def _(node: nodes.Late) -> str:
    return f"{describe_node(node.input)}/late"


@_own_name.register
def _(node: nodes.Rejected) -> str:
    return f"{describe_node(node.input)}/rejected"


@_own_name.register
def _(node: nodes.Sink) -> str:
    return node.name
