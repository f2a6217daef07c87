"""From a plan to operators that are joined by edges: one function per kind of node; what is missing is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING

from fluxline.engines.embedded.operator import Edge, Operator, Port, Reader
from fluxline.engines.embedded.operators.expect import ExpectOperator
from fluxline.engines.embedded.operators.filter import FilterOperator
from fluxline.engines.embedded.operators.group_aggregate import GroupAggregateOperator
from fluxline.engines.embedded.operators.map_batches import MapBatchesOperator
from fluxline.engines.embedded.operators.project import ProjectOperator
from fluxline.engines.embedded.operators.union import UnionOperator
from fluxline.engines.embedded.operators.window_aggregate import WindowAggregateOperator
from fluxline.engines.embedded.rejects import RejectWriter
from fluxline.errors import UnsupportedByEngine
from fluxline.plan import nodes
from fluxline.plan.names import name_operators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fluxline.batch import Batch
    from fluxline.clock import Clock
    from fluxline.schema import TableSchema

    EncodeRows = Callable[[TableSchema], Callable[[Batch], Sequence[bytes]]]

UNSUPPORTED: dict[str, str] = {}
"""Node -> why this engine does not run it; with the operators below it covers every node."""


class ScanFeed(Operator):
    """Where the rows of a source enter the operators; the source itself counts them."""

    def process(self, batch: Batch) -> None:
        raise AssertionError("a scan has no input")


class SinkFeed(Reader):
    """Where rows leave the operators; `deliver` is set by the job."""

    def __init__(self, name: str, node: nodes.Sink) -> None:
        self.name = name
        self.node = node
        self.deliver: Callable[[Batch, Edge], None] = _not_connected
        self.on_finished: Callable[[], None] = lambda: None

    def receive(self, batch: Batch, edge: Edge) -> None:
        self.deliver(batch, edge)

    def on_end(self, edge: Edge) -> None:
        self.on_finished()


@dataclass
class OperatorGraph:
    """The running form of a plan, without threads.

    Attributes:
        plan: what it was compiled from.
        names: node -> name.
        operators: all but sinks, inputs before readers.
        scans: source name -> where its rows enter.
        sinks: sink name -> where its rows leave.
    """

    plan: nodes.Plan
    names: Mapping[nodes.Node, str]
    operators: list[Operator] = field(default_factory=list)
    scans: dict[str, ScanFeed] = field(default_factory=dict)
    sinks: dict[str, SinkFeed] = field(default_factory=dict)

    def edges(self) -> list[tuple[Operator, Port, Edge]]:
        """Every edge with the operator and port that it starts from."""
        return [(operator, port, edge) for operator in self.operators for port in operator.ports() for edge in port.edges]


@dataclass
class CompileContext:
    """What the functions below need beside the node."""

    graph: OperatorGraph
    clock: Clock
    encode_rows: EncodeRows
    made: dict[nodes.Node, Operator] = field(default_factory=dict)

    def rejects(self, node: nodes.Node) -> RejectWriter:
        """What makes rejected rows of a node's input."""
        source = node.inputs[0] if node.inputs else node
        encode = self.encode_rows(source.schema) if node.inputs else None
        time = source.time
        return RejectWriter(self.graph.plan.name, self.clock, None if time is None else time.column, encode)


def compile_plan(plan: nodes.Plan, *, clock: Clock, encode_rows: EncodeRows) -> OperatorGraph:
    """The operators of a plan, joined.

    Args:
        plan: a plan on which the rules ran.
        clock: time.
        encode_rows: schema -> a function that gives each row of a batch as one JSON text, for rejected rows.

    Raises:
        UnsupportedByEngine: FLX-2190, a node that this engine does not run.
    """
    graph = OperatorGraph(plan, name_operators(plan))
    context = CompileContext(graph, clock, encode_rows)
    for node in plan.nodes():
        if isinstance(node, nodes.Late | nodes.Rejected):
            continue  # they are ports of the operator that they ask
        name = graph.names[node]
        if isinstance(node, nodes.Sink):
            feed = SinkFeed(name, node)
            graph.sinks[node.name] = feed
            _connect(context, node.input, feed, 0)
            continue
        operator = compile_node(node, name, context)
        context.made[node] = operator
        graph.operators.append(operator)
        for index, part in enumerate(node.inputs):
            _connect(context, part, operator, index)
    return graph


def _connect(context: CompileContext, writer: nodes.Node, reader: Reader, index: int) -> None:
    """Join a reader to the port that the writer node stands for."""
    if isinstance(writer, nodes.Late):
        port = context.made[writer.input].late
    elif isinstance(writer, nodes.Rejected):
        port = context.made[writer.input].rejected
    else:
        port = context.made[writer].main
    port.edges.append(Edge(reader, index))


@singledispatch
def compile_node(node: nodes.Node, name: str, context: CompileContext) -> Operator:
    """The operator of a node."""
    kind = type(node).__name__
    raise UnsupportedByEngine("FLX-2190", f"{kind} is not run by the embedded engine", detail=UNSUPPORTED.get(kind, ""), place=node.place)


@compile_node.register
def _(node: nodes.Scan, name: str, context: CompileContext) -> Operator:
    feed = ScanFeed(name, node.schema, context.rejects(node))
    context.graph.scans[node.source] = feed
    return feed


@compile_node.register
def _(node: nodes.Filter, name: str, context: CompileContext) -> Operator:
    return FilterOperator(name, node.schema, context.rejects(node), node.predicate)


@compile_node.register
def _(node: nodes.Project, name: str, context: CompileContext) -> Operator:
    return ProjectOperator(name, node, context.rejects(node))


@compile_node.register
def _(node: nodes.WindowAggregate, name: str, context: CompileContext) -> Operator:
    return WindowAggregateOperator(name, node, context.rejects(node))


@compile_node.register
def _(node: nodes.GroupAggregate, name: str, context: CompileContext) -> Operator:
    return GroupAggregateOperator(name, node, context.rejects(node))


@compile_node.register
def _(node: nodes.Union, name: str, context: CompileContext) -> Operator:
    return UnionOperator(name, node, context.rejects(node))


@compile_node.register
def _(node: nodes.MapBatches, name: str, context: CompileContext) -> Operator:
    return MapBatchesOperator(name, node, context.rejects(node))


@compile_node.register
def _(node: nodes.Expect, name: str, context: CompileContext) -> Operator:
    return ExpectOperator(name, node, context.rejects(node))


def _not_connected(batch: Batch, edge: Edge) -> None:
    raise AssertionError("the sink is not connected")
