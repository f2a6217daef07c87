"""The parts of a job put together, without threads: sources, operators, sinks. A job drives it with threads, a test by hand."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fluxline.connectors.base import SinkContext, SourceContext
from fluxline.engines.embedded.compile import OperatorGraph, compile_plan
from fluxline.engines.embedded.refused import RefusedRows
from fluxline.engines.embedded.rejects import RejectWriter
from fluxline.engines.embedded.saved_state import SavedStop
from fluxline.engines.embedded.sink import SinkTask
from fluxline.engines.embedded.source import SourceOptions, SourceTask
from fluxline.errors import RecoveryError
from fluxline.formats import load_format
from fluxline.plan import nodes
from fluxline.plan.json import plan_digest
from fluxline.plan.names import remembers
from fluxline.schema import TableSchema
from fluxline.telemetry import EdgeCount, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.batch import Batch
    from fluxline.clock import Clock
    from fluxline.engines.base import Endpoint
    from fluxline.engines.embedded.source import SourceEvent
    from fluxline.formats.base import Decoder, Encoder
    from fluxline.plan.nodes import Plan


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """What a run may choose.

    Attributes:
        bounded: sources end where their input ends now.
        fresh: nothing of an earlier run is continued; sinks may clear what it left.
        rejected_share_max: share of a source's first records that may be rejected.
        run_id: identity of the state.
        directory: of the pipeline's state, where rows are kept that a sink's system refuses; None: they are only counted.
    """

    run_id: str
    bounded: bool = False
    fresh: bool = False
    rejected_share_max: float = 0.5
    directory: Path | None = None


class Machine:
    """All parts of one job."""

    def __init__(self, plan: Plan, endpoints: Mapping[str, Endpoint], clock: Clock, settings: MachineSettings, stop: SavedStop | None = None) -> None:
        self.plan = plan
        self.clock = clock
        self.digest = plan_digest(plan)
        self.settings = settings
        self.graph: OperatorGraph = compile_plan(plan, clock=clock, encode_rows=json_rows)
        self.sources: dict[str, SourceTask] = {}
        self.sinks: dict[str, SinkTask] = {}
        try:
            for scan in plan.scans():
                self.sources[scan.source] = self._open_source(scan, endpoints[scan.source])
            for sink in plan.sinks:
                receipt = None if stop is None else stop.receipts.get(sink.name)
                self.sinks[sink.name] = self._open_sink(sink, endpoints[sink.name], receipt)
            if stop is not None:
                self._restore(stop)
        except BaseException:
            self.close()
            raise

    def feed(self, source: str, event: SourceEvent) -> None:
        """Push what a source gave through the operators; sinks get it by their feeds."""
        entry = self.graph.scans[source]
        if event.rejected is not None:
            entry.rejected.emit(event.rejected)
        if event.batch is not None:
            entry.main.emit(event.batch)
        entry.main.advance(event.watermark)
        if event.ended:
            for port in entry.ports():
                port.end()

    def saved(self, number: int, *, ended: bool, receipts: Mapping[str, Mapping[str, object]]) -> SavedStop:
        """Everything that a next run goes on from; nothing may be on its way."""
        report = self.report({}, {})
        return SavedStop(
            number=number,
            run_id=self.settings.run_id,
            plan_digest=self.digest,
            saved_at_ms=self.clock.now_ms(),
            ended=ended,
            sources={name: (task.watermark.watermark, task.state()) for name, task in self.sources.items()},
            snapshots={operator.name: operator.snapshot() for operator in self.graph.operators},
            ledgers=report.operators,
            edges={(edge.writer, edge.port, edge.reader): (edge.written, edge.read) for edge in report.edges},
            receipts=receipts,
        )

    def report(self, inside_sources: Mapping[str, int], inside_sinks: Mapping[str, int]) -> Report:
        """The row ledger, given how many rows are on their way from sources and to sinks."""
        operators, edges = {}, []
        names = self.graph.names
        for scan in self.plan.scans():
            operators[names[scan]] = self.sources[scan.source].published.copy()
        for operator in self.graph.operators:
            if operator.name not in operators:
                ledger = operator.ledger.copy()
                ledger.held = operator.held()
                operators[operator.name] = ledger
        for task in self.sinks.values():
            operators[task.name] = task.ledger.copy()
            operators[task.name].held = task.held()
        entries = {entry.name: source for source, entry in self.graph.scans.items()}
        for writer, port, edge in self.graph.edges():
            written, inside = port.rows_written, 0
            if writer.name in entries:
                ledger, source = operators[writer.name], entries[writer.name]
                written = ledger.written if port.name == "main" else ledger.written_rejected
                inside = inside_sources.get(source if port.name == "main" else f"{source}/rejected", 0)
            if edge.reader.name in {task.name for task in self.sinks.values()}:
                inside += inside_sinks.get(edge.reader.name, 0)
            edges.append(EdgeCount(writer.name, port.name, edge.reader.name, written, edge.rows_read, inside))
        return Report(
            pipeline=self.plan.name,
            operators=operators,
            edges=tuple(edges),
            sources=tuple(names[scan] for scan in self.plan.scans()),
            sinks={sink.name: names[sink] for sink in self.plan.sinks},
            paths={sink.name: tuple(names[node] for node in path_to(sink) if node in names) for sink in self.plan.sinks},
            watermarks={name: task.watermark.known() for name, task in self.sources.items()},
            positions={name: {part: state.position for part, state in task.state().items()} for name, task in self.sources.items()},
        )

    def close(self) -> None:
        """Let go of all sources and sinks, also where one of them raises."""
        with ExitStack() as stack:
            for sink in self.sinks.values():
                stack.callback(sink.close)
            for source in self.sources.values():
                stack.callback(source.close)

    def _open_source(self, scan: nodes.Scan, endpoint: Endpoint) -> SourceTask:
        connector, schema = endpoint.connector, scan.decoded
        assert connector.source is not None, "the planner refuses a source that cannot be read"
        logged = scan.strategy is not None and scan.strategy.max_future_skew_ms is not None
        source = connector.source(SourceContext(scan.source, endpoint.options, schema, endpoint.directory, self.clock, self.settings.bounded, logged))

        def make_decoder() -> Decoder | None:
            if endpoint.format is None:
                return None
            assert endpoint.format_options is not None
            return endpoint.format.decoder(schema.of_records(), scan.declared.of_records(), endpoint.format_options)

        wants = any(isinstance(node, nodes.Rejected) and node.input == scan for node in self.plan.nodes())
        options = SourceOptions(make_decoder, wants, self.settings.rejected_share_max)
        return SourceTask(self.graph.names[scan], scan, source, RejectWriter(self.plan.name, self.clock), self.clock, options)

    def _open_sink(self, sink: nodes.Sink, endpoint: Endpoint, receipt: Mapping[str, object] | None) -> SinkTask:
        context = sink_context(sink, endpoint, self.clock, self.settings, receipt)
        assert endpoint.connector.sink is not None, "the planner refuses a sink that cannot be written"
        return SinkTask(self.graph.names[sink], sink, endpoint.connector.sink(context), context.encoder, self._refused(sink))

    def _refused(self, sink: nodes.Sink) -> RefusedRows | None:
        """Where refused rows of a sink go."""
        if self.settings.directory is None:
            return None
        time = None if sink.input.time is None else sink.input.time.column
        writer = RejectWriter(self.plan.name, self.clock, time, json_rows(sink.schema))
        return RefusedRows(self.settings.directory, sink.name, writer)

    def _restore(self, stop: SavedStop) -> None:
        """Take over a saved stop.

        Raises:
            RecoveryError: FLX-5005, it holds the state of an operator that the plan does not have.
        """
        by_name = {operator.name: operator for operator in self.graph.operators}
        stateful = {self.graph.names[node] for node in self.plan.nodes() if remembers(node)}
        for name, snapshot in stop.snapshots.items():
            if name in by_name:
                by_name[name].restore(snapshot)
            elif snapshot.frames:
                raise RecoveryError(
                    "FLX-5005",
                    f'the saved state belongs to operator "{name}", which the pipeline no longer has',
                    detail=f"The pipeline has {', '.join(sorted(stateful)) or 'no operator that remembers rows'}.",
                    hint='Give the changed operator its old name with .named("..."), or start over: --fresh.',
                )
        for name, (watermark, partitions) in stop.sources.items():
            if name in self.sources:
                self.sources[name].restore(partitions, watermark)
        self._restore_ledger(stop)

    def _restore_ledger(self, stop: SavedStop) -> None:
        """Go on counting where the stop was; of a changed plan only the held rows are known."""
        if stop.plan_digest != self.digest:
            for operator in self.graph.operators:
                operator.ledger.read = operator.held()
            return
        for source, entry in self.graph.scans.items():
            self.sources[source].restore_ledger(stop.ledgers[entry.name].copy())
        for operator in self.graph.operators:
            operator.ledger = stop.ledgers[operator.name].copy()
        for task in self.sinks.values():
            task.ledger = stop.ledgers[task.name].copy()
        for writer, port, edge in self.graph.edges():
            port.rows_written, edge.rows_read = stop.edges[writer.name, port.name, edge.reader.name]


def sink_context(sink: nodes.Sink, endpoint: Endpoint, clock: Clock, settings: MachineSettings, receipt: Mapping[str, object] | None) -> SinkContext:
    """What a sink's connector is opened with."""
    schema = sink.schema.visible()
    encoder: Encoder | None = None
    make_key_encoder: Callable[[], Encoder] | None = None
    if endpoint.format is not None:
        assert endpoint.format_options is not None
        encoder = endpoint.format.encoder(schema, endpoint.format_options)
        if sink.row_key is not None:
            keys = TableSchema(tuple(schema.field(name) for name in sink.row_key))
            make_key_encoder = partial(endpoint.format.encoder, keys, endpoint.format_options)
    return SinkContext(
        name=sink.name, options=endpoint.options, schema=schema, key=sink.row_key, updating=sink.updating, directory=endpoint.directory,
        clock=clock, run_id=settings.run_id, receipt=receipt, fresh=settings.fresh, encoder=encoder,
        make_key_encoder=make_key_encoder,
    )  # fmt: skip


def json_rows(schema: TableSchema) -> Callable[[Batch], Sequence[bytes]]:
    """A function that gives each row of a batch as one JSON text."""
    made: list[Encoder] = []

    def encode(batch: Batch) -> Sequence[bytes]:
        if not made:
            json = load_format("json")
            made.append(json.encoder(schema.visible(), json.options()))
        encoded = made[0].encode(batch)
        bounds = encoded.bounds
        return [encoded.data[bounds[row] : bounds[row + 1]].rstrip(b"\n") for row in range(batch.rows)]

    return encode


def path_to(sink: nodes.Sink) -> list[nodes.Node]:
    """The nodes from the sources to a sink, inputs first."""
    found: dict[nodes.Node, None] = {}

    def visit(node: nodes.Node) -> None:
        for part in node.inputs:
            visit(part)
        found[node] = None

    visit(sink)
    return list(found)
