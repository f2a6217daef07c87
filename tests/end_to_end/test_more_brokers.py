"""A broker is added to a running stack and a topic gets more partitions, under a steady producer and a job that runs.

What was acknowledged is counted at the producer, and read again by a client of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic  # type: ignore[attr-defined]  # they are there

from fluxline import Pipeline, Schema, count, tumble
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.topics import ensure_topic, look_at_topic
from fluxline.control.jobs import job_status, stop_job
from fluxline.control.stack import environment
from fluxline.control.submit import SubmitOptions, submit
from fluxline.errors import ConfigError, ExternalError
from fluxline.options import read_options
from fluxline.stack.lifecycle import Start, kill, up
from fluxline.stack.running import running_stack
from tests.end_to_end.stack_project import until, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fluxline.errors import Caution
    from fluxline.plan.nodes import Plan
    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = ("copy", "counts", "late")
APART_MS = 5  # Of two rows that follow one another, in event time.


class Reading(Schema):
    id: int
    sensor: int
    at: datetime


def plan() -> Plan:
    pipeline = Pipeline("p")
    rows = pipeline.source("rows", schema=Reading, event_time="at", watermark="5 seconds", idle_after="2 seconds")
    rows.sink("copy")
    windowed = rows.window(tumble("10 seconds")).group_by("sensor").agg(n=count())
    windowed.sink("counts")
    windowed.late.sink("late")
    return pipeline._plan()


class Steady:
    """A producer of numbered rows, taken in turn by the first partitions of a topic."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.partitions: Sequence[int] = range(3)
        self.sent = 0
        self.acknowledged: list[tuple[int | None, int | None]] = []
        self.lost: list[Any] = []
        self.client = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "on_delivery": self.delivered})

    def delivered(self, error: Any, message: Any) -> None:
        if error is None:
            self.acknowledged.append((message.partition(), message.offset()))
        else:
            self.lost.append(error)

    def send(self, rows: int) -> None:
        for _ in range(rows):
            at = (FIRST + timedelta(milliseconds=APART_MS * self.sent)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            value = json.dumps({"id": self.sent, "sensor": self.sent % 7, "at": at}).encode()
            self.client.produce(self.topic, value, partition=self.partitions[self.sent % len(self.partitions)])
            self.sent += 1
        self.client.poll(0)

    def settle(self) -> None:
        assert self.client.flush(60) == 0
        assert (self.lost, len(self.acknowledged), len(set(self.acknowledged))) == ([], self.sent, self.sent)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Some hundred rows a second, in a thread."""
        over = Event()

        def work() -> None:
            while not over.wait(0.02):
                self.send(10)

        thread = Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def reach(self, admin: AdminClient, partitions: Sequence[int]) -> None:
        """Give the topic so many partitions that these are there, and let the producer use them."""
        admin.create_partitions([NewPartitions(self.topic, max(partitions) + 1)])[self.topic].result(30)
        until(lambda: len(self.client.list_topics(self.topic, timeout=10).topics[self.topic].partitions) > max(partitions))
        self.partitions = partitions


def ids(stack: Stack, topic: str) -> Counter[int]:
    return Counter(json.loads(value)["id"] for value in values_of(stack, topic))


def ledger(stack: Stack) -> int:
    """The rows that are in a window that was closed, or were too late for theirs."""
    return int(sum(json.loads(value)["n"] for value in values_of(stack, "counts")) + len(values_of(stack, "late")))


def once(numbers: int) -> Counter[int]:
    return Counter(range(numbers))


def test_a_broker_and_partitions_are_added(tmp_path: Path) -> None:
    """3 brokers and partitions, then 4 and 6 while rows come and the job runs, then 8 while it does not: each row is there once."""
    with running_stack(("kafka", "flink"), directory=tmp_path / ".fluxline" / "stack" / "default", die_with_parent=True, nodes={"kafka": 3}) as stack:
        head = '[project]\nname = "p"\ndefault_environment = "stack"\n'
        once_each = "".join(f'{name} = {{ delivery_guarantee = "exactly_once" }}\n' for name in OUTPUTS)
        bindings = f"\n[environments.stack.bindings]\n{once_each}"
        (tmp_path / "fluxline.toml").write_text(head + environment(stack.directory, "stack", "k") + bindings)
        admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
        admin.create_topics([NewTopic("rows", 3, 3)])["rows"].result(30)
        steady = Steady(stack.kafka.bootstrap, "rows")
        steady.send(500)
        warned: list[Sequence[Caution]] = []
        with steady.running():
            submit(plan(), tmp_path, options=SubmitOptions(warned=warned.append))
            up(("kafka",), stack.directory, Start(die_with_parent=True, nodes={"kafka": 4}), lambda _line: None)
            steady.reach(admin, range(6))
            at = steady.sent
            until(lambda: steady.sent > at + 1_000)
        steady.settle()
        assert [[caution.code for caution in told] for told in warned] == [["FLX-6201"]]  # One task manager; topics are as they should be.
        check_topics(admin)
        assert ids(stack, "rows") == once(steady.sent)
        until(lambda: ids(stack, "copy").total() >= steady.sent)
        assert ids(stack, "copy") == once(steady.sent)
        until(lambda: job_status("p", tmp_path).sources[0].offsets_left_max == 0)  # Of all six partitions.

        stop_job("p", tmp_path)
        steady.reach(admin, [6, 7])
        steady.send(1_000)
        steady.settle()
        submit(plan(), tmp_path)
        until(lambda: ids(stack, "copy").total() >= steady.sent)
        assert ids(stack, "copy") == once(steady.sent)
        stop_job("p", tmp_path, drain=True)
        until(lambda: ledger(stack) >= steady.sent)  # The brokers show a transaction a moment after it was committed.
        assert ledger(stack) == steady.sent

        check_refusals(admin, stack)
        kill("kafka-3", stack.directory)
        steady.partitions = range(8)
        steady.send(800)
        steady.settle()
        assert ids(stack, "rows") == once(steady.sent)
        assert ids(stack, "copy") == once(steady.sent - 800), "it has no job any more"


def check_topics(admin: AdminClient) -> None:
    """New partitions are on the new broker too, and topics that the submission made outlive the loss of one."""
    topics = admin.list_topics(timeout=30).topics
    assert 4 in {broker for number in (3, 4, 5) for broker in topics["rows"].partitions[number].replicas}
    for name in OUTPUTS:
        assert {len(partition.replicas) for partition in topics[name].partitions.values()} == {3}
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        assert admin.describe_configs([resource])[resource].result(30)["min.insync.replicas"].value == "2"


def check_refusals(admin: AdminClient, stack: Stack) -> None:
    """More replicas than brokers, and more in sync than replicas: before anything is made, and when it would be."""

    def options(**declared: Any) -> KafkaOptions:
        return read_options(KafkaOptions, {"bootstrap_servers": stack.kafka.bootstrap.split(","), "create_topics": True, **declared}, of="x")

    for attempt in (look_at_topic, ensure_topic):
        with pytest.raises(ExternalError) as many:
            attempt(options(replication_factor=5), "many")
        assert (many.value.code, many.value.fact) == ("FLX-4408", 'topic "many" is to have 5 replicas, and there are 4 brokers')
        with pytest.raises(ConfigError) as never:
            attempt(options(topic_config={"min.insync.replicas": 4}), "many")
        assert never.value.code == "FLX-4409"
    admin.create_topics([NewTopic("stuck", 1, 1, config={"min.insync.replicas": "2"})])["stuck"].result(30)
    for attempt in (look_at_topic, ensure_topic):
        with pytest.raises(ConfigError, match='nothing could be written to topic "stuck": it has 1 replica, and 2 must be in sync'):
            attempt(options(), "stuck", written=True)
    assert look_at_topic(options(), "stuck") == 1, "it can be read"
    with pytest.raises(ExternalError, match="FLX-4406"):
        ensure_topic(options(replication_factor=3), "stuck")
    assert "many" not in admin.list_topics(timeout=30).topics
