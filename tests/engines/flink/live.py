"""A live Kafka and Flink: topics filled and read back, a plan run on both engines over the same topic."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from fluxline.batch import Batch
from fluxline.clock import SystemClock, new_identity
from fluxline.connectors import load_connector
from fluxline.control.memory import Collected, NoOptions, collecting_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.job import EmbeddedJob
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.engines.flink.compile import compile_plan
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.rest import Cluster
from fluxline.formats import load_format
from fluxline.options import read_options
from tests.formats.reading import decode_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from fluxline.engines.flink.compile import Compiled
    from fluxline.plan.nodes import Plan, Sink
    from fluxline.schema import TableSchema
    from fluxline.stack.running import Stack
    from fluxline.telemetry import Report

JOB_MS_MAX = 90_000
Row = tuple[Any, ...]


@dataclass
class Live:
    """The servers, and clients of them."""

    stack: Stack
    gateway: Gateway = field(init=False)
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = Gateway(self.stack.flink.gateway)
        self.cluster = Cluster(self.stack.flink.rest)

    def make_topic(self, name: str, partitions: int = 1, **config: str) -> str:
        """A new topic with these settings (`_` for `.`); its name."""
        topic = f"{name}-{new_identity()[:8]}"
        admin = AdminClient({"bootstrap.servers": self.stack.kafka.bootstrap})
        settings = {key.replace("_", "."): value for key, value in config.items()}
        for made in admin.create_topics([NewTopic(topic, partitions, 1, config=settings)]).values():
            made.result(30)
        return topic

    def fill(self, topic: str, records: Mapping[int, Sequence[Mapping[str, object] | bytes]]) -> None:
        """Put records into partitions, each partition's in this order."""
        # Idempotent: a plain producer may change the order of two batches.
        producer = Producer({"bootstrap.servers": self.stack.kafka.bootstrap, "enable.idempotence": True})
        for partition, values in records.items():
            for value in values:
                producer.produce(topic, value if isinstance(value, bytes) else json.dumps(value).encode(), partition=partition)
        assert producer.flush(30) == 0

    def records(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Keys and values of all committed records."""
        # Markers of transactions have offsets and are no messages: only the client knows when it is at the end.
        settings = {"group.id": "tests", "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 10}
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, **settings})
        found: list[tuple[bytes | None, bytes | None]] = []
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
            while True:
                message = consumer.poll(30)
                assert message is not None
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    break
                assert error is None, error
                key, value = message.key(), message.value()
                found.append((key if isinstance(key, bytes) else None, value))
        consumer.close()
        return found

    def late_dropped(self, job_id: str) -> int:
        """Flink's own count of late rows, once an operator tells it."""
        clock = SystemClock()
        deadline_ms = clock.monotonic_ms() + JOB_MS_MAX
        while (dropped := self.cluster.late_dropped(job_id)) is None:
            assert clock.monotonic_ms() < deadline_ms, "no operator tells how many rows it dropped"
            clock.wait(Event(), 200)
        return dropped


def topic_end(live: Live, name: str, topic: str) -> Endpoint:
    """A topic as the end of a plan."""
    kafka, chosen = load_connector("kafka"), load_format("json")
    given = {"bootstrap_servers": [live.stack.kafka.bootstrap], "topic": topic}
    options = read_options(kafka.options, given, of='connector "kafka"')
    return Endpoint(name, kafka, options, chosen, read_options(chosen.options, {}, of='format "json"'), Path.cwd())


@dataclass
class OnFlink:
    """A plan that is compiled with its sinks bound to fresh topics."""

    live: Live
    plan: Plan
    compiled: Compiled
    topics: dict[str, str]

    def submit(self, savepoint: str | None = None) -> str:
        """Start it, or go on from a savepoint; the id of the job."""
        begin = {} if savepoint is None else {"execution.state-recovery.path": savepoint}
        with self.live.gateway.open_session({**self.compiled.properties, **begin}) as session:
            for text in self.compiled.texts():
                result = session.execute(text)
        assert result.job_id is not None
        return result.job_id

    def run(self) -> dict[str, list[Row]]:
        """Run it to its end; the rows of each sink."""
        job = self.submit()
        assert self.live.cluster.wait(job, {"FINISHED"}, JOB_MS_MAX) is not None, "the job does not end"
        return self.rows()

    def rows(self) -> dict[str, list[Row]]:
        """What each sink's topic holds; of a sink with a key the last row of each."""
        return {sink.name: self.rows_of(sink) for sink in self.plan.sinks}

    def rows_of(self, sink: Sink) -> list[Row]:
        """What the topic of one sink holds."""
        records = self.live.records(self.topics[sink.name])
        if sink.updating:
            records = [(key, value) for key, value in dict(records).items() if value is not None]
        return sorted_rows(decoded(sink.schema.visible(), [value or b"" for _, value in records]))


def on_flink(
    live: Live,
    plan: Plan,
    sources: Mapping[str, str],
    *,
    bounded: bool = True,
    parallelism: int = 1,
    partitions: Mapping[str, int] | None = None,
    exactly_once: bool = False,
) -> OnFlink:
    """Compile a plan for the servers."""
    topics = {sink.name: live.make_topic(sink.name, 2) for sink in plan.sinks}
    reads = {name: topic_end(live, name, topic) for name, topic in sources.items()}
    writes = {sink.name: topic_end(live, sink.name, topics[sink.name]) for sink in plan.sinks}
    transactions = f"tests-{new_identity()[:8]}" if exactly_once else None
    if exactly_once:
        writes |= {sink.name: replace(writes[sink.name], guarantee="exactly_once") for sink in plan.sinks if not sink.updating}
    compiled = compile_plan(plan, reads, writes, bounded=bounded, parallelism=parallelism, partitions=partitions, transactions=transactions)
    return OnFlink(live, plan, compiled, topics)


def run_embedded(live: Live, plan: Plan, sources: Mapping[str, str]) -> tuple[dict[str, list[Row]], Report]:
    """The same plan on the embedded engine, over the same topics."""
    collected = {sink.name: Collected(sink.schema.visible(), sink.row_key) for sink in plan.sinks}
    ends = {name: topic_end(live, name, topic) for name, topic in sources.items()}
    ends |= {name: Endpoint(name, collecting_connector(into), NoOptions(), None, None, Path.cwd()) for name, into in collected.items()}
    job = EmbeddedJob(Machine(plan, ends, SystemClock(), MachineSettings("live", bounded=True, rejected_share_max=1.0)), None, 1)
    job.start()
    assert job.wait(JOB_MS_MAX), "the embedded job does not end"
    return {name: sorted_rows(into.final()) for name, into in collected.items()}, job.report()


def decoded(schema: TableSchema, records: Sequence[bytes]) -> pl.DataFrame:
    """Records that Flink wrote, read by our own decoder, which is strict."""
    chosen = load_format("json")
    found = decode_records(chosen.decoder(schema, schema, chosen.options()), records)
    assert found.rejects == (), [(each.detail, records[each.index]) for each in found.rejects]
    return Batch(found.columns, found.rows).polars().select(schema.names())


def sorted_rows(frame: pl.DataFrame) -> list[Row]:
    """All rows, in an order that depends on them alone."""
    return sorted(frame.rows(), key=repr)
