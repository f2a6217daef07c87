"""A driven run on a live Kafka and Flink: sources and sinks are topics of the run, the pipeline is the job that `submit` would start.

- A push is a row of records whose log time is the test's clock, so `max_future_skew` is judged by that clock.
- The job starts when something is asked of it for the first time. What tests like to look at, late and rejected rows, has a
  sink from the start; another stream that is looked at later makes the run begin anew and do again what was done.
- The job tells in a topic of its own which record it has read. `rows` waits until that is all that was pushed, and then for a
  checkpoint: its barrier flows behind all rows and watermarks, and at it every sink writes what it holds.
- Flink's own clock runs on: time passes while the test works, and `advance_clock` waits.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from fluxline.clock import SystemClock
from fluxline.connectors import load_connector
from fluxline.connectors.base import FlinkEnd
from fluxline.connectors.kafka.flink import FLINK, table_options
from fluxline.control.memory import Collected
from fluxline.dialect import tree
from fluxline.engines.base import Endpoint
from fluxline.engines.flink.compile import compile_plan
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.heartbeats import HEADER
from fluxline.engines.flink.late import PARTITION
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.engines.flink.tables import POSITION, needs_partitions
from fluxline.errors import ExternalError, UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.limits import DRIVE_CLOCK_MS_MAX, DRIVE_IDLE_NOTICE_MS, DRIVE_READ_POLL_MS, DRIVE_THROUGH_MS_MAX
from fluxline.options import parse_duration
from fluxline.pipeline.sink import Sink
from fluxline.plan import nodes
from fluxline.plan.names import name_operators
from fluxline.schema import BIGINT, INT, STRING
from fluxline.telemetry import Ledger, Report
from fluxline.testing.driven import Driven
from fluxline.testing.flink_records import add_changes, add_rows, encode, without_bytes
from fluxline.testing.flink_topics import RunTopics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    import polars as pl

    from fluxline.engines.flink.compile import Compiled
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.pipeline.stream import Stream
    from fluxline.stack.running import Stack

SESSION = {
    "restart-strategy.type": "none",  # A row that fails the job fails it again; the test is to hear of it at once.
    "execution.checkpointing.interval": "1 h",  # Those that the run asks for are enough.
    "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
}
HEARTBEAT = b"{}"
POSITIONS = "driven positions"  # No source, sink or stream has a blank in its name.
NOTE = "On Flink it is counted what was read, rejected, late for the first window and written. What became of other rows is not known."


class FlinkDriven(Driven):
    """One run on Flink."""

    def __init__(self, pipeline: Pipeline, partitions: int, now_ms: int, stack: Stack) -> None:
        self._clock = SystemClock()
        self._stack = stack
        self._cluster = Cluster(stack.flink.rest, self._clock)
        self._gateway = Gateway(stack.flink.gateway, self._clock)
        self._topics: RunTopics | None = None
        self._job_id: str | None = None
        if now_ms <= 0:
            raise _refuse("a run cannot begin before 1970", "Kafka keeps no earlier time of a record.", "Choose a later now=.")
        super().__init__(pipeline, partitions, now_ms)

    def advance_clock(self, by: str | timedelta) -> None:
        by_ms = parse_duration(by, name="by")
        if by_ms > DRIVE_CLOCK_MS_MAX:
            detail = f"The test really waits there, {DRIVE_CLOCK_MS_MAX // 1000} seconds at most, and it is {by_ms / 1000:g}."
            raise _refuse("time does not pass so fast on Flink", detail, "Use advance_watermark, or shorter times: idle_after and the steps.")
        super().advance_clock(by)

    def changelog(self, output: Sink | Stream) -> list[dict[str, Any]]:
        if (output._planned if isinstance(output, Sink) else output._node).updating:
            detail = "A topic holds the newest row of each key, and not whether it was inserted or updated."
            raise _refuse("Flink does not tell the changelog of an updating output", detail, "Ask for its rows.")
        return super().changelog(output)

    @property
    def report(self) -> Report:
        self._get_through()
        names = name_operators(self._plan)
        operators = {names[scan]: Ledger(read=len(self._log_of(scan.source))) for scan in self._plan.scans()}
        for sink in self._plan.sinks:
            if isinstance(sink.input, nodes.Late):
                count = self._rows_of(sink).final().height
                operators[names[sink.input.input]] = Ledger(read=count, late=count)
            elif isinstance(sink.input, nodes.Rejected) and sink.name in self._asked:
                for reason in self._rows_of(sink).final()["reason"].to_list():
                    operators[names[sink.input.input]].reject(reason)
        for scan in self._plan.scans():
            ledger = operators[names[scan]]
            ledger.used = ledger.written = ledger.read - ledger.rejected
        declared = [sink for sink in self._plan.sinks if sink.name not in self._asked]
        for sink in declared:
            count = len(self._ready.records(sink.name))
            operators[names[sink]] = Ledger(read=count, used=count)
        sources = tuple(names[scan] for scan in self._plan.scans())
        return Report(self._plan.name, operators, (), sources, {sink.name: names[sink] for sink in declared}, {}, notes=(NOTE,))

    # How it runs.
    def _begin(self) -> None:
        for node in _foreseen(self._pipeline._plan()):
            self._asked.setdefault(self._names.setdefault(node, f"driven_{len(self._names)}"), node)
        super()._begin()

    def _hidden_key(self, node: nodes.Node) -> tuple[str, ...] | None:
        return None if node.updating else node.key  # Flink takes no key that may be NULL; without one it tells every change.

    def _start(self) -> None:
        self._close()
        scans = self._plan.scans()
        for scan in scans:
            _refuse_metadata(scan)
        self._now_here_ms = self._now_ms
        self._ended = False
        self._through = False
        self._log: dict[tuple[str, int], dict[int, tuple[int, int]]] = {}
        self._told = 0
        self._read: dict[tuple[str, int], int] = {}
        partitions = {scan.source: self._partitions for scan in scans} | {sink.name: 1 for sink in self._plan.sinks} | {POSITIONS: 1}
        topics = RunTopics(self._stack.kafka.bootstrap, partitions, self._clock)
        connector = replace(load_connector("kafka"), flink=replace(FLINK, table=_driven_table))
        chosen = load_format("json")
        ends = {name: Endpoint(name, connector, topics.options(name), chosen, chosen.options(), Path.cwd()) for name in partitions}
        self._compiled = _telling_positions(compile_plan(self._plan, ends, ends, parallelism=1, heartbeats=True), self._plan, ends[POSITIONS])
        self._topics = topics
        topics.make()

    @property
    def _ready(self) -> RunTopics:
        assert self._topics is not None, "the run has begun"
        return self._topics

    def _settle(self) -> None:
        self._through = False

    def _give(self, source: str, partition: int, frame: pl.DataFrame) -> None:
        scan = next(scan for scan in self._plan.scans() if scan.source == source)
        first = self._ready.send(source, partition, encode(frame, scan.declared), self._now_here_ms)
        log = self._log.setdefault((source, partition), {})
        rows = len(log)
        log |= {first + index: (rows + index, self._now_here_ms) for index in range(frame.height)}

    def _raise_watermarks(self, to_ms: int) -> None:
        if self._ended:
            return  # It is at its end.
        for scan in self._plan.scans():
            if scan.event_time is not None:
                for partition in range(self._partitions):
                    self._ready.send(scan.source, partition, [HEARTBEAT], self._now_here_ms, {HEADER: str(to_ms).encode()})

    def _advance(self, by_ms: int) -> None:
        self._get_through()  # A silence begins behind the last record that was read.
        self._now_here_ms += by_ms
        self._clock.wait(Event(), by_ms + DRIVE_IDLE_NOTICE_MS)

    def _finish(self) -> None:
        if not self._ended:
            job_id = self._get_through()
            self._cluster.stop(job_id, None, drain=True)
            if self._cluster.wait(job_id, {"FINISHED"}, DRIVE_THROUGH_MS_MAX) is None:
                raise _not_through(job_id)
            self._ended = True

    def _restart(self) -> None:
        if not self._ended:
            job_id = self._get_through()
            self._run_job(self._cluster.stop(job_id, None))

    def _run_job(self, savepoint: str | None = None) -> str:
        """Submit the job and wait until it runs; its id."""
        properties = {**self._compiled.properties, **SESSION}
        if savepoint is not None:
            properties["execution.state-recovery.path"] = savepoint
        with self._gateway.open_session(properties) as session:
            for text in self._compiled.texts():
                result = session.execute(text)
        assert result.job_id is not None, "Flink names the job that it starts"
        self._job_id = result.job_id
        self._cluster.wait_until_all_run(result.job_id)
        readers = [vertex.name for vertex in self._cluster.job(result.job_id).vertices if vertex.name.startswith("Source:")]
        # With two readers of one topic, what one of them tells says nothing of the other.
        assert len(readers) == len(self._plan.scans()), f"each source is read once: {readers}"
        return result.job_id

    def _get_through(self) -> str:
        """Wait until the job has read all that was pushed, and its sinks have written all that came of it; its id."""
        job_id = self._job_id or self._run_job()
        if self._ended or self._through:
            return job_id
        deadline_ms = self._clock.monotonic_ms() + DRIVE_THROUGH_MS_MAX
        while not (self._has_read_all(job_id) and self._make_checkpoint(job_id)):
            if self._clock.monotonic_ms() >= deadline_ms:
                raise _not_through(job_id)
            self._clock.wait(Event(), DRIVE_READ_POLL_MS)
        self._through = True
        return job_id

    def _has_read_all(self, job_id: str) -> bool:
        """Whether the last record of each partition was read; a job that fails does not get so far."""
        told = self._ready.records(POSITIONS)
        for _, value in told[self._told :]:
            place = json.loads(value or b"")
            self._read[place["source"], place["partition"]] = place["position"]
        self._told = len(told)
        self._refuse_failed(job_id)
        return all(self._read.get(place, -1) >= last for place, last in self._ready.ends().items())

    def _make_checkpoint(self, job_id: str) -> bool:
        """Whether one was made.

        Raises:
            ExternalError: FLX-4506, the job failed, with the cause.
        """
        try:
            return self._cluster.checkpoint(job_id, DRIVE_THROUGH_MS_MAX)
        except ExternalError:
            self._refuse_failed(job_id)
            raise

    def _refuse_failed(self, job_id: str) -> None:
        job = self._cluster.job(job_id)
        if job.state in ENDED:
            raise self._cluster.failure(job)

    def _log_of(self, source: str) -> list[tuple[int, int]]:
        """Of each pushed row its number in its partition and the time when it was pushed."""
        return [entry for (name, _), log in self._log.items() if name == source for entry in log.values()]

    def _rows_of(self, sink: nodes.Sink) -> Collected:
        self._get_through()
        records = self._ready.records(sink.name)
        found = Collected(sink.schema.visible(), sink.row_key)
        if not sink.updating:
            add_rows(found, [value for _, value in records])
        elif sink.row_key:
            add_rows(found, [value for value in dict(records).values() if value is not None])
        else:
            add_changes(found, [value for _, value in records])
        if isinstance(sink.input, nodes.Rejected) and isinstance(sink.input.input, nodes.Scan):
            source = sink.input.input.source
            return without_bytes(found, {partition: log for (name, partition), log in self._log.items() if name == source})
        return found

    def _close(self) -> None:
        if self._job_id is not None:
            self._cluster.cancel(self._job_id)
            self._cluster.wait(self._job_id, ENDED, DRIVE_THROUGH_MS_MAX)  # Until its slot is free.
            self._job_id = None
        if self._topics is not None:
            self._topics.close()
            self._topics = None


def _foreseen(plan: nodes.Plan) -> Iterator[nodes.Node]:
    """The streams that tests like to look at, as far as Flink can show them."""
    judged = needs_partitions(plan)
    for node in plan.nodes():
        if isinstance(node, nodes.Scan):
            yield nodes.Rejected(node)
        elif isinstance(node, nodes.WindowAggregate) and node.input in judged:
            yield nodes.Late(node)


def _driven_table(end: FlinkEnd) -> Mapping[str, str]:
    """The options of a topic of the run; updates without a key are written with all that they take back."""
    if end.role == "source" or not end.updating or end.key:
        return table_options(end)
    options = {f"debezium-{name}": value for name, value in end.format_options.items()}
    return table_options(replace(end, updating=False, format=f"debezium-{end.format}", format_options=options))


def _telling_positions(compiled: Compiled, plan: nodes.Plan, end: Endpoint) -> Compiled:
    """The same job, which also writes the place of each record that it reads."""
    *declarations, work = compiled.statements
    assert isinstance(work, tree.StatementSet) and end.connector.flink is not None and end.format is not None
    types = {"source": STRING, "partition": INT, "position": BIGINT}
    columns = tuple(tree.TableColumn(name, kind) for name, kind in types.items())
    options = end.connector.flink.table(FlinkEnd(end.name, end.options, "sink", (), end.format.name, {}, end.directory))
    table = tree.CreateTable(end.name, columns, tuple(options.items()))
    parts = []
    for scan in plan.scans():
        values = (tree.Item(tree.CastTo(tree.Text(scan.source), STRING)), tree.Item(tree.Name(PARTITION)), tree.Item(tree.Name(POSITION)))
        parts.append(tree.Select(tree.Table(scan.source), values))
    inserts = (*work.inserts, tree.Insert(end.name, tree.UnionAll(tuple(parts))))
    return replace(compiled, statements=(*declarations, table, tree.StatementSet(inserts)))


def _refuse_metadata(scan: nodes.Scan) -> None:
    names = [item.name for item in scan.declared if item.metadata is not None]
    if names:
        detail = f"Column {', '.join(names)} is metadata: Kafka gives it, and not the row that is pushed."
        raise _refuse(f'source "{scan.source}" has metadata', detail, "Test it on the embedded engine.")


def _not_through(job_id: str) -> ExternalError:
    hint = "Look at the cluster's load and logs."
    return ExternalError("FLX-4530", "what was pushed does not get through Flink in time", detail=f"It is job {job_id}.", hint=hint)


def _refuse(fact: str, detail: str, hint: str) -> UnsupportedByEngine:
    return UnsupportedByEngine("FLX-2680", fact, detail=detail, hint=hint)
