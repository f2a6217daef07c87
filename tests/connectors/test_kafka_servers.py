"""The connector `kafka` and a real broker: topics that it makes, transactions, new partitions, pipelines, a broker that goes away."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from fluxline import Pipeline, Schema, col, control, count, tumble
from fluxline.clock import SystemClock
from fluxline.connectors.base import SourceContext
from fluxline.connectors.kafka.group import GroupReader
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.source import KafkaSource
from fluxline.connectors.kafka.topics import ensure_topic, look_at_topic
from fluxline.errors import ExternalError, FluxlineError, PositionExpired, ResourceMissing
from fluxline.options import read_options
from tests.connectors.lines import NUMBERS
from tests.connectors.test_kafka_source import blocks, numbered, records_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fluxline.control.job import Job

pytestmark = pytest.mark.servers
TOPICS = (f"t{number}" for number in itertools.count())
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker, asked with librdkafka itself."""

    directory: Path
    bootstrap: str
    admin: AdminClient

    def create(self, partitions: int, **config: str) -> str:
        """A new topic."""
        topic = next(TOPICS)
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(20)
        return topic

    def fill(self, topic: str, records: Mapping[int, Sequence[bytes]], first_at_ms: int = START_MS) -> None:
        """Put records into partitions, logged a millisecond apart."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "queue.buffering.max.messages": 1_000_000})
        for partition, values in records.items():
            for number, value in enumerate(values):
                producer.produce(topic, value, partition=partition, timestamp=first_at_ms + number)
        assert producer.flush(30) == 0

    def records(self, topic: str) -> list[tuple[bytes | None, Any]]:
        """Keys and decoded values of all records, in the order of each partition."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "test", "enable.partition.eof": True, "fetch.wait.max.ms": 10})
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[tuple[bytes | None, Any]] = []
        ended = 0
        while ended < len(partitions):
            message = consumer.poll(20)
            assert message is not None
            if (error := message.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
                continue
            key, value = message.key(), message.value()
            assert value is not None
            found.append((key if isinstance(key, bytes) else None, json.loads(value)))
        consumer.close()
        return found

    def options(self, **options: Any) -> KafkaOptions:
        """Options for this broker."""
        return read_options(KafkaOptions, {"bootstrap_servers": [self.bootstrap], **options}, of="x")

    def source(self, topic: str, *, bounded: bool = True, **options: Any) -> KafkaSource:
        """A source."""
        return KafkaSource(SourceContext("input", self.options(topic=topic, **options), NUMBERS, Path(), SystemClock(), bounded))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests here."""
    from fluxline.stack.running import running_stack

    with running_stack(("kafka",), directory=tmp_path_factory.mktemp("stack"), die_with_parent=True) as stack:
        yield Broker(stack.directory, stack.kafka.bootstrap, AdminClient({"bootstrap.servers": stack.kafka.bootstrap}))


def test_a_topic_is_made_as_it_is_declared(broker: Broker) -> None:
    """Once; with other declarations it is refused with each difference, and stays as it is."""
    declared: dict[str, Any] = {"partitions": 3, "replication_factor": 1, "topic_config": {"retention.ms": 3_600_000, "preallocate": True}}
    options = broker.options(create_topics=True, **declared)
    assert (ensure_topic(options, "made"), ensure_topic(options, "made"), ensure_topic(broker.options(**declared), "made")) == (True, False, False)
    assert len(broker.admin.list_topics("made", timeout=10).topics["made"].partitions) == 3
    other = broker.options(
        create_topics=True, partitions=4, replication_factor=2, topic_config={"retention.ms": "1", "preallocate": True, "no.such": "x"}
    )
    with pytest.raises(ExternalError) as caught:
        ensure_topic(other, "made")
    assert caught.value.code == "FLX-4406"
    assert caught.value.detail == (
        "It has 3 partitions, and partitions = 4 is declared. It has 1 replicas of a partition, and replication_factor = 2 is declared. "
        'Its "retention.ms" is "3600000", and "1" is declared. The brokers know no setting "no.such" of topics.'
    )
    assert len(broker.admin.list_topics("made", timeout=10).topics["made"].partitions) == 3


def test_a_topic_is_made_only_if_that_is_asked_for(broker: Broker) -> None:
    with pytest.raises(ResourceMissing, match="FLX-4403"):
        ensure_topic(broker.options(partitions=3), "unmade")
    with pytest.raises(ResourceMissing, match="FLX-4403"):
        broker.source("unmade").partitions()
    assert "unmade" not in broker.admin.list_topics(timeout=10).topics
    assert broker.source("unmade", create_topics=True, partitions=2).partitions() == ("0", "1")


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ({"replication_factor": 3}, "FLX-4408"),
        ({"topic_config": {"min.insync.replicas": 2}}, "FLX-4409"),
        ({"topic_config": {"no.such": "x"}}, "FLX-4407"),
        ({"topic_config": {"retention.ms": "soon"}}, "FLX-4407"),
    ],
)
def test_a_topic_that_cannot_be_made_is_refused(declared: dict[str, Any], code: str, broker: Broker) -> None:
    """When it would be made, and by those who only look."""
    for attempt in (ensure_topic, look_at_topic):
        with pytest.raises(FluxlineError) as caught:
            attempt(broker.options(create_topics=True, **declared), "impossible")
        assert caught.value.code == code


def test_a_fresh_run_begins_at_a_time(broker: Broker) -> None:
    """In each partition at its first record of that time or later; where there is none, at its end."""
    topic = broker.create(2)
    broker.fill(topic, {0: list(numbered(0, 10).values())}, first_at_ms=1_767_225_600_000 - 4)
    broker.fill(topic, {1: list(numbered(0, 3).values())}, first_at_ms=1_767_225_600_000 - 9)
    source = broker.source(topic, start="timestamp", start_timestamp="2026-01-01T01:00:00+01:00")
    assert [records_of(blocks(source.open(name, None))) for name in source.partitions()] == [numbered(4, 10), {}]
    source.close()


def test_records_of_aborted_and_open_transactions_are_not_read(broker: Broker) -> None:
    """Offsets have gaps where transactions end; the end of the topic is reached all the same, and gone on from."""
    topic = broker.create(1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    for value, ends in ((b"0", producer.commit_transaction), (b"no", producer.abort_transaction), (b"4", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(20)
        ends(20)
    source = broker.source(topic)
    reader = source.open("0", None)
    assert records_of(blocks(reader)) == {0: b"0", 4: b"4"}
    assert reader.position() == 6
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(20)
    again = source.open("0", 6)
    assert records_of(blocks(again)) == {}
    source.close()
    producer.abort_transaction(20)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(compression: str, broker: Broker) -> None:
    """As Java compresses them, for the broker does it anew, and as librdkafka does; both ways of fetching read both."""
    values = [b"%d" % number * 200 for number in range(500)]
    kept, made = broker.create(1, **{"compression.type": compression}), broker.create(1)
    broker.fill(kept, {0: values})
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": compression})
    for value in values:
        producer.produce(made, value)
    assert producer.flush(30) == 0
    for topic in (kept, made):
        for properties in ({}, {"check.crcs": "true"}):
            source = broker.source(topic, properties_librdkafka=properties)
            assert list(records_of(blocks(source.open("0", None))).values()) == values
            source.close()


def test_a_partition_that_is_added_is_read_from_its_beginning(broker: Broker) -> None:
    """Also when the run began at the end: what is in it came later."""
    topic = broker.create(1)
    broker.fill(topic, {0: [b"old"]})
    source = broker.source(topic, bounded=False, start="latest")
    assert source.partitions() == ("0",)
    first = source.open("0", None)
    broker.admin.create_partitions([NewPartitions(topic, 2)])[topic].result(20)
    clock = SystemClock()
    for _attempt in range(100):
        if source.partitions() == ("0", "1"):
            break
        clock.wait(Event(), 50)
    broker.fill(topic, {0: [b"new"], 1: [b"0"]})
    second = source.open("1", None)
    assert records_of(blocks(second, 1)) == {0: b"0"}
    assert records_of(blocks(first, 1)) == {1: b"new"}
    source.close()


def test_a_position_that_retention_has_removed_is_refused(broker: Broker) -> None:
    topic = broker.create(1)
    broker.fill(topic, {0: list(numbered(0, 9).values())})
    broker.admin.delete_records([TopicPartition(topic, 0, 5)])[TopicPartition(topic, 0, 5)].result(20)
    source = broker.source(topic)
    with pytest.raises(PositionExpired, match="FLX-4404"):
        source.open("0", 3)
    source.close()


class Reading(Schema):
    """What a sensor measured."""

    sensor: str
    value: int
    at: datetime


def sensors(readings: str, totals: str) -> Pipeline:
    """Totals of each sensor over 10 seconds, from topic to topic."""
    pipeline = Pipeline("sensors")
    source = pipeline.source(readings, schema=Reading, event_time="at", watermark="2 seconds")
    grouped = source.window(tumble("10 seconds")).group_by("sensor").agg(total=col("value").sum(), n=count())
    grouped.sink(totals, key=["sensor", "window_start"])
    return pipeline


def reading(number: int) -> tuple[int, bytes]:
    """A partition and a record; seven sensors, ten readings a second, three partitions by sensor."""
    sensor = number % 7
    at = START + timedelta(milliseconds=100 * number)
    return sensor % 3, json.dumps({"sensor": f"s{sensor}", "value": number, "at": at.isoformat().replace("+00:00", "Z")}).encode()


def readings(first: int, stop: int) -> dict[int, list[bytes]]:
    """Readings by partition."""
    found: dict[int, list[bytes]] = defaultdict(list)
    for number in range(first, stop):
        partition, record = reading(number)
        found[partition].append(record)
    return found


def expected(stop: int) -> list[tuple[str, str, int, int]]:
    """Sensor, window, total and count of the windows that `stop` readings close: those that end two seconds before the last."""
    totals: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number in range(stop):
        totals[f"s{number % 7}", number // 100].append(number)
    closed = (stop - 1 - 7 - 20) // 100  # The slowest partition's last reading is at most seven back.
    return sorted((sensor, window_text(window), sum(values), len(values)) for (sensor, window), values in totals.items() if window < closed)


def window_text(window: int) -> str:
    """Begin of a window as a record has it."""
    return (START + timedelta(seconds=10 * window)).replace(tzinfo=None).isoformat()


def found_in(broker: Broker, topic: str) -> list[tuple[str, str, int, int]]:
    """What the topic of totals holds, each record once per record."""
    return sorted((row["sensor"], row["window_start"][:19], row["total"], row["n"]) for _key, row in broker.records(topic))


def project(directory: Path, broker: Broker) -> Path:
    """A project whose topics and tables are the broker's."""
    (directory / "fluxline.toml").write_text(
        f"""
[project]
name = "sensors"
pipelines = ["sensors.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "kafka"
tables = "kafka"
embedded = {{ directory = ".fluxline" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{broker.bootstrap}"], format = "json" }}
""",
        encoding="utf-8",
    )
    return directory


def wait_for(broker: Broker, topic: str, rows: int, job: Job) -> None:
    """Wait until the topic has so many records."""
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + 30_000
    while (found := len(broker.records(topic))) < rows:
        assert not job.finished, job.report
        assert clock.monotonic_ms() < deadline_ms, f"{found} of {rows} records: {job.report}"
        clock.wait(Event(), 100)


def test_a_topic_is_read_to_its_end(broker: Broker, tmp_path: Path) -> None:
    """All windows close then, and each has its key."""
    source, totals = broker.create(3), broker.create(2)
    broker.fill(source, readings(0, 3_000))
    control.run(sensors(source, totals)._plan(), project(tmp_path, broker), bounded=True)
    assert found_in(broker, totals) == expected(3_100)  # A topic that goes on would need 100 readings more to close these windows.
    keys = {(key, row["sensor"], row["window_start"]) for key, row in broker.records(totals)}
    assert {(json.loads(key or b"")["sensor"], json.loads(key or b"")["window_start"]) for key, _s, _w in keys} == {row[1:] for row in keys}
    assert len(keys) == 30 * 7


def test_a_run_goes_on_where_the_one_before_stopped(broker: Broker, tmp_path: Path) -> None:
    """No window is lost, none comes twice, and those that were open count what came before."""
    source, totals = broker.create(3), broker.create(2)
    plan, directory = sensors(source, totals)._plan(), project(tmp_path, broker)
    for first, stop in ((0, 1_234), (1_234, 2_345), (2_345, 3_333)):
        broker.fill(source, readings(first, stop))
        with control.start(plan, directory, env="dev") as job:
            wait_for(broker, totals, len(expected(stop)), job)
            job.stop()
        assert found_in(broker, totals) == expected(stop)


def test_a_broker_may_go_away_while_a_pipeline_runs(broker: Broker, tmp_path: Path) -> None:
    """It is stopped, rows wait, it is started, and all windows are there once."""
    from fluxline.stack.lifecycle import Start, down, up

    source, totals = broker.create(3), broker.create(2)
    broker.fill(source, readings(0, 1_000))
    with control.start(sensors(source, totals)._plan(), project(tmp_path, broker), env="dev") as job:
        wait_for(broker, totals, len(expected(1_000)), job)
        assert down(broker.directory) == ["kafka"]
        SystemClock().wait(Event(), 2_000)
        assert not job.finished
        state = up(("kafka",), broker.directory, Start(die_with_parent=True), lambda _line: None)
        assert broker.bootstrap.endswith(f":{state.ports['kafka']}")
        broker.fill(source, readings(1_000, 2_000))
        wait_for(broker, totals, len(expected(2_000)), job)
        job.stop()
    assert found_in(broker, totals) == expected(2_000)


def test_a_clock_that_jumps_changes_no_row(broker: Broker, tmp_path: Path) -> None:
    """The clock of the machine that logs the readings goes back three days, then half an hour ahead of all others: event times count."""
    source, totals = broker.create(3), broker.create(2)
    now_ms = SystemClock().now_ms()
    broker.fill(source, readings(0, 1_000), first_at_ms=now_ms)
    broker.fill(source, readings(1_000, 2_000), first_at_ms=now_ms - 3 * 86_400_000)
    broker.fill(source, readings(2_000, 3_000), first_at_ms=now_ms + 1_800_000)
    control.run(sensors(source, totals)._plan(), project(tmp_path, broker), bounded=True)
    assert found_in(broker, totals) == expected(3_100)


def test_a_clock_that_is_too_far_from_the_brokers_is_told_by_name(broker: Broker, tmp_path: Path) -> None:
    """The topic takes what was logged in this very millisecond, as if our clock were behind: what it does not take is counted, with the reason."""
    source, totals = broker.create(3), broker.create(2, **{"message.timestamp.before.max.ms": "0"})
    broker.fill(source, readings(0, 3_000))
    report = control.run(sensors(source, totals)._plan(), project(tmp_path, broker), bounded=True)
    assert report.imbalances() == []
    (kept,) = (tmp_path / ".fluxline" / "sensors" / "refused").iterdir()
    refused = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(refused) > 0
    assert len(refused) + len(broker.records(totals)) == len(expected(3_100))
    assert all("the clock of this machine is further from theirs than" in row["detail"] for row in refused)


def test_a_group_finds_new_partitions(broker: Broker) -> None:
    """Of the topic in front of a store: within seconds, and from their beginning."""
    topic, clock = broker.create(1), SystemClock()
    broker.fill(topic, {0: [b"first"]})
    reader = GroupReader(broker.options(), topic, "grows", clock)
    found: list[tuple[bytes | None, int]] = []
    deadline_ms = clock.monotonic_ms() + 30_000

    def read(count: int) -> None:
        while len(found) < count:
            assert clock.monotonic_ms() < deadline_ms, found
            if (records := reader.read()) is not None:
                found.extend(zip(records.values, records.places[:, 0].tolist(), strict=True))
                reader.commit()

    read(1)
    broker.admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    for _attempt in range(100):
        if len(broker.admin.list_topics(topic, timeout=20).topics[topic].partitions) == 3:
            break
        clock.wait(Event(), 50)
    broker.fill(topic, {2: [b"second"], 1: [b"third"]})
    read(3)
    reader.close()
    assert sorted(found, key=lambda each: each[1]) == [(b"first", 0), (b"third", 1), (b"second", 2)]
