"""A worker takes the records of a topic into a system that decides by versions; the broker is a real one, for its groups."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is there

from fluxline import col
from fluxline.batch import DELETE, UPDATE_AFTER, Batch
from fluxline.clock import SystemClock, VirtualClock
from fluxline.connectors import load_connector
from fluxline.connectors.base import Connector, SinkContext, Written
from fluxline.connectors.kafka.group import lag
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.engines.base import Endpoint
from fluxline.engines.worker.drain import Drain
from fluxline.engines.worker.relay import Relay
from fluxline.errors import ConnectionLost, ResourceBusy
from fluxline.formats import load_format
from fluxline.formats.base import Encoded, Reject
from fluxline.options import Options
from fluxline.pipeline.pipeline import Pipeline
from tests.end_to_end.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.plan.nodes import Sink
    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers
NOW = 1_700_000_000_000


class NoOptions(Options):
    """None."""


@dataclass
class Versions:
    """A system that keeps the highest version of each key; deleted rows are None."""

    rows: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    poison: str = ""
    batches: int = 0
    fails: bool = False
    away: str = ""
    refusals: int = 0

    def connector(self) -> Connector:
        return Connector("versions", "For tests.", NoOptions, None, lambda context: Writer(self, context), takes_format=False, versioned=True)


class Writer:
    """Writes one row after the other."""

    def __init__(self, system: Versions, context: SinkContext) -> None:
        self._system = system

    def write_versions(self, batch: Batch, versions: Int64s) -> Written:
        if self._system.away:
            self._system.refusals += 1
            raise ConnectionLost("FLX-4751", self._system.away)
        if self._system.fails:
            raise OSError("the system is away")
        self._system.batches += 1
        rejects = []
        kinds = [UPDATE_AFTER] * batch.rows if batch.kinds is None else batch.kinds.tolist()
        for index, (row, version, kind) in enumerate(zip(batch.polars().to_dicts(), versions.tolist(), kinds, strict=True)):
            text = None if kind == DELETE else row["text"]
            if self._system.poison and text == self._system.poison:
                rejects.append(Reject(index, "refused_by_sink", "It is poison."))
            elif version >= self._system.rows.get(row["id"], (0, ""))[0]:
                self._system.rows[row["id"]] = (version, text)
        return Written(batch.rows - len(rejects), tuple(rejects))

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        raise AssertionError("a worker writes versions")

    def flush(self) -> None: ...

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        return {}

    def commit(self, receipt: Mapping[str, object]) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def relays(topic: str, kafka_and_flink: Stack) -> Iterator[Relays]:
    made = Relays(topic, kafka_and_flink.kafka.bootstrap)
    yield made
    made.close()


class Relays:
    """Makes relays of one topic with the system behind them."""

    def __init__(self, topic: str, bootstrap: str) -> None:
        self.topic = topic
        self.servers = bootstrap
        admin = AdminClient({"bootstrap.servers": bootstrap})
        made = admin.create_topics([NewTopic(name, 3) for name in (topic, f"{topic}.rejected")])
        for each in made.values():
            each.result(30)
        self.system = Versions()
        self.time = VirtualClock(NOW)
        self.clock: Clock = self.time
        self._admin = admin
        self._open: list[Drain] = []

    def drain(self, *, updating: bool, instance: str = "") -> Drain:
        endpoint = Endpoint("log", load_connector("kafka"), self.options, load_format("json"), load_format("json").options(), Path())
        target = Endpoint("log", self.system.connector(), NoOptions(), None, None, Path())
        drain = Drain(Relay(_sink(updating=updating), endpoint, target, self.topic, f"{self.topic}-group"), self.clock, instance)
        self._open.append(drain)
        return drain

    @property
    def options(self) -> KafkaOptions:
        return KafkaOptions(bootstrap_servers=[self.servers])

    def put(self, *records: tuple[int, str | bytes | None, int]) -> None:
        """Put (id, text, partition); None deletes, bytes go as they are."""
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True})
        for identity, text, partition in records:
            value = text if text is None or isinstance(text, bytes) else json.dumps({"id": identity, "text": text}).encode()
            producer.produce(self.topic, value, json.dumps({"id": identity}).encode(), partition=partition)
        assert producer.flush(20) == 0

    def texts(self) -> dict[int, str | None]:
        return {identity: text for identity, (_version, text) in self.system.rows.items()}

    def dead(self) -> list[tuple[object, ...]]:
        """Key, value, reason, partition and offset of the records in the rejected topic, by their key."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "test"})
        name, found = f"{self.topic}.rejected", []
        for number in range(3):
            low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
            consumer.assign([TopicPartition(name, number, low)])
            for message in consumer.consume(high - low, 10) if high > low else []:
                headers = {key: bytes(value).decode() for key, value in message.headers()}  # type: ignore[union-attr,arg-type,str-unpack]
                found.append((message.key(), message.value(), headers["reason"], headers["partition"], headers["offset"]))
        consumer.close()
        return sorted(found, key=str)

    def lag(self) -> int:
        return lag(self.options, self.topic, f"{self.topic}-group")

    def members(self) -> int:
        group = f"{self.topic}-group"
        return len(self._admin.describe_consumer_groups([group])[group].result(10).members)

    def standing(self, drain: Drain) -> tuple[int, list[int]]:
        """The generation of the group in which a member is, and its partitions."""
        consumer = drain._reader._consumer
        packed = bytes(consumer.consumer_group_metadata())  # librdkafka's form: a word, the generation, the names
        assert packed.startswith(b"CGMDv2:"), packed
        return int.from_bytes(packed[7:11], sys.byteorder), sorted(part.partition for part in consumer.assignment())

    def close(self) -> None:
        for drain in self._open:
            drain.close()


def _sink(*, updating: bool) -> Sink:
    pipeline = Pipeline("p")
    rows = pipeline.source("rows", schema={"id": "BIGINT NOT NULL", "text": "STRING"})
    stream = rows.group_by("id", ttl="forever").agg(text=col("text").max()) if updating else rows
    stream.sink("table", key="id")
    return pipeline._plan().sinks[0]


def read(drain: Drain, count: int) -> None:
    """Step until so many records were read; the group needs some rounds to form."""
    for _round in range(300):
        if drain.counts.read >= count:
            break
        drain.step()
    assert drain.counts.read == count


def test_rows_arrive_with_versions_that_grow_along_their_partition(relays: Relays) -> None:
    relays.put((1, "a", 0), (2, "b", 1), (1, "c", 0))
    drain = relays.drain(updating=False)
    read(drain, 3)
    assert relays.system.rows == {1: (NOW * 1000 + 1, "c"), 2: (NOW * 1000, "b")}
    assert (drain.counts.written, drain.counts.rejected) == (3, 0)
    assert relays.lag() == 0


def test_a_record_without_value_deletes_in_the_order_of_the_topic(relays: Relays) -> None:
    relays.put((1, "a", 0), (1, None, 0), (2, "b", 0), (2, None, 0), (2, "again", 0), (3, None, 0))
    read(relays.drain(updating=True), 6)
    assert relays.texts() == {1: None, 2: "again", 3: None}


def test_the_next_worker_goes_on_with_the_same_versions(relays: Relays) -> None:
    relays.put((1, "a", 0))
    first = relays.drain(updating=False)
    read(first, 1)
    first.close()
    relays.time.advance(60_000)
    relays.put((1, "b", 0), (5, "c", 0))
    second = relays.drain(updating=False)
    read(second, 2)
    assert relays.system.rows == {1: (NOW * 1000 + 1, "b"), 5: (NOW * 1000 + 2, "c")}
    assert second.counts.read == 2, "what was committed is not read again"


def test_what_was_not_written_is_not_committed_and_comes_again(relays: Relays) -> None:
    relays.put((1, "a", 0))
    relays.system.fails = True
    first = relays.drain(updating=False)
    with pytest.raises(OSError, match="away"):
        read(first, 1)
    first.close()
    assert relays.lag() == 1
    relays.system.fails = False
    read(relays.drain(updating=False), 1)
    assert relays.texts() == {1: "a"}


def test_what_cannot_go_on_lies_in_the_rejected_topic_with_its_reason(relays: Relays) -> None:
    relays.system.poison = "poison"
    relays.put((1, "a", 0), (2, b'{"id": "two"}', 0), (3, "poison", 0), (4, None, 0), (5, "e", 0))
    drain = relays.drain(updating=False)
    read(drain, 5)
    assert relays.texts() == {1: "a", 5: "e"}
    assert (drain.counts.written, drain.counts.rejected) == (2, 3)
    assert relays.dead() == [
        (b'{"id": 2}', b'{"id": "two"}', "wrong_type", "0", "1"),
        (b'{"id": 3}', b'{"id": 3, "text": "poison"}', "refused_by_sink", "0", "2"),
        (b'{"id": 4}', None, "malformed", "0", "3"),
    ]
    assert relays.lag() == 0


def test_two_workers_share_the_partitions_and_one_takes_over_from_the_other(relays: Relays) -> None:
    first, second = relays.drain(updating=False), relays.drain(updating=False)
    for _round in range(100):  # until the group has settled, each has something to read
        relays.put(*((number, "x", number % 3) for number in range(30)))
        first.step()
        second.step()
        if first.counts.read and second.counts.read:
            break
    assert first.counts.read
    assert second.counts.read
    first.close()
    relays.put(*((number, "y", number % 3) for number in range(30)))
    for _round in range(100):
        second.step()
        if relays.lag() == 0:
            break
    assert relays.texts() == dict.fromkeys(range(30), "y")
    assert second.counts.rejected == 0


def test_a_topic_that_was_made_anew_is_read_from_its_beginning_as_newer(relays: Relays) -> None:
    relays.put((1, "a", 0), (1, "b", 0), (1, "c", 0))
    first = relays.drain(updating=False)
    read(first, 3)
    first.close()
    admin = AdminClient({"bootstrap.servers": relays.servers})
    admin.delete_topics([relays.topic])[relays.topic].result(30)
    for _attempt in range(100):
        if relays.topic not in admin.list_topics(timeout=10).topics:
            break
    admin.create_topics([NewTopic(relays.topic, 3)])[relays.topic].result(30)
    relays.time.advance(60_000)
    relays.put((1, "d", 0))
    read(relays.drain(updating=False), 1)
    assert relays.system.rows == {1: ((NOW + 60_000) * 1000, "d")}


def test_a_system_that_is_away_is_waited_for_within_the_group(relays: Relays) -> None:
    """The worker says so, holds the rows at hand alone, and hands them over when the system is back."""
    relays.clock = SystemClock()
    relays.put((1, "a", 0))
    drain = relays.drain(updating=False)
    read(drain, 1)
    relays.system.away = "no node answers"
    relays.put((1, "b", 0), (2, "c", 1))
    asked = Event()
    thread = Thread(target=drain.run, args=(asked.is_set,))
    thread.start()
    try:
        wait_until(lambda: drain.waiting is not None and relays.system.refusals > 1, "the worker to have tried twice")
        waiting = drain.waiting
        assert waiting is not None
        assert waiting.detail.startswith("FLX-4751  no node answers")
        assert abs(waiting.since_ms - SystemClock().now_ms()) < 60_000
        relays.put(*((number, "d", number % 3) for number in range(10, 20)))
        assert relays.lag() >= 11, "nothing is committed meanwhile"
        assert relays.members() == 1
        relays.system.away = ""
        wait_until(lambda: relays.lag() == 0, "everything to be written")
        assert drain.waiting is None
    finally:
        asked.set()
        thread.join(30)
    assert relays.texts() == {1: "b", 2: "c", **dict.fromkeys(range(10, 20), "d")}


def test_a_worker_that_waits_for_its_system_ends_when_it_is_asked_to(relays: Relays) -> None:
    relays.clock = SystemClock()
    relays.put((1, "a", 0))
    drain = relays.drain(updating=False)
    relays.system.away = "no node answers"
    asked = Event()
    thread = Thread(target=drain.run, args=(asked.is_set,))
    thread.start()
    wait_until(lambda: relays.system.refusals > 0, "the worker to have tried")
    asked.set()
    thread.join(10)
    assert not thread.is_alive()
    assert relays.lag() == 1


def test_versions_are_those_of_the_group_whatever_the_clocks_say(relays: Relays) -> None:
    """The first one, whose clock is an hour ahead, dies with its rows written and not committed."""
    relays.put((1, "a", 0), (1, "b", 0))
    relays.time.advance(3_600_000)
    ahead = relays.clock.now_ms() * 1000
    first = relays.drain(updating=False)
    first._reader.commit = lambda: None  # type: ignore[method-assign]  # it dies before it gets there
    read(first, 2)
    first.close()
    assert relays.lag() == 2
    relays.clock = VirtualClock(NOW)
    relays.put((1, "c", 0))
    read(relays.drain(updating=False), 3)
    assert relays.system.rows == {1: (ahead + 2, "c")}, "the later record wins"


def test_a_restart_within_the_session_moves_nothing(relays: Relays) -> None:
    """Of three members each ends in turn and comes back under its name: no generation of the group has passed, and each has its partition."""
    drains = {name: relays.drain(updating=False, instance=name) for name in ("a", "b", "c")}

    def step(names: str) -> None:
        for name in names:
            drains[name].step()

    for _round in range(200):
        step("abc")
        if all(len(drain._reader._consumer.assignment()) == 1 for drain in drains.values()):
            break
    before = {name: relays.standing(drain) for name, drain in drains.items()}
    assert sorted(part for _generation, parts in before.values() for part in parts) == [0, 1, 2]
    for restarted in "abc":
        drains[restarted].close()
        relays.put(*((number, restarted, number % 3) for number in range(30)))
        drains[restarted] = relays.drain(updating=False, instance=restarted)
        for _round in range(200):
            step("abc")
            if relays.lag() == 0:
                break
        assert relays.texts() == dict.fromkeys(range(30), restarted)
    assert {name: relays.standing(drain) for name, drain in drains.items()} == before


def test_of_two_with_one_name_the_older_is_fenced_and_says_so(relays: Relays) -> None:
    relays.put((1, "a", 0))
    older = relays.drain(updating=False, instance="worker-1")
    read(older, 1)
    newer = relays.drain(updating=False, instance="worker-1")
    relays.put((1, "b", 0))
    read(newer, 1)
    with pytest.raises(ResourceBusy) as caught:
        for _round in range(300):
            older.step()
    assert caught.value.code == "FLX-4410"
    assert caught.value.fact == f'another worker has taken the name "worker-1" in group "{relays.topic}-group"'
    relays.put((1, "c", 0))
    read(newer, 2)
    assert relays.texts() == {1: "c"}
