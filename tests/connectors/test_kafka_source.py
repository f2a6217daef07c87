"""The source `kafka` against brokers in this process: where it begins, what it gives, what it refuses, brokers that go away."""

from __future__ import annotations

import itertools
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from fluxline.clock import VirtualClock
from fluxline.connectors.base import SourceContext
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.source import KafkaSource
from fluxline.errors import ConfigError, ConnectionLost, ExternalError, PositionExpired, ResourceMissing, Unauthorized
from fluxline.limits import BLOCK_BYTES_MAX
from fluxline.options import Secret, read_options
from tests.connectors.brokers import broker
from tests.connectors.lines import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fluxline.connectors.base import Bytes, PartitionReader

TOPICS = (f"source-{number}" for number in itertools.count())
FETCH = 1
"""The number of the request in Kafka's protocol."""


def topic_of(*partitions: Sequence[bytes | None]) -> str:
    """A topic with these records in its partitions."""
    topic = next(TOPICS)
    broker().create(topic, len(partitions))
    broker().fill(topic, dict(enumerate(partitions)))
    return topic


class Opened:
    """Sources that a test opened."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        self.sources: list[KafkaSource] = []
        self._common = common

    def __call__(self, topic: str, *, bounded: bool = True, **options: Any) -> KafkaSource:
        raw = {"bootstrap_servers": broker().servers, "topic": topic, **self._common, **options}
        context = SourceContext("input", read_options(KafkaOptions, raw, of="x"), NUMBERS, Path(), VirtualClock(0), bounded)
        self.sources.append(KafkaSource(context))
        return self.sources[-1]


WAYS: dict[str, dict[str, Any]] = {"direct": {}, "librdkafka": {"properties_librdkafka": {"check.crcs": "true"}}}
"""Options that lead to each way of fetching: a property that only librdkafka obeys leaves the fetching to it."""


@pytest.fixture(params=sorted(WAYS))
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Opens sources that fetch in each way, and closes them."""
    opened = Opened(WAYS[request.param])
    yield opened
    for source in opened.sources:
        source.close()


def blocks(reader: PartitionReader, records: int | None = None) -> list[Bytes]:
    """What comes until the end, or until so many records came."""
    found: list[Any] = []
    for _attempt in range(3_000):
        read: Any = reader.read()
        if read is None:
            Event().wait(0.005)
            continue
        found.append(read)
        if read.final or (records is not None and sum(len(each.positions) for each in found) >= records):
            return found
    raise AssertionError(f"the end did not come; {found}")


def records_of(found: Sequence[Bytes]) -> dict[int, bytes]:
    """The records by offset, without their line ends."""
    records = {}
    for block in found:
        assert block.bounds is not None
        assert block.positions is not None
        for offset, (first, last) in zip(block.positions.tolist(), itertools.pairwise(block.bounds.tolist()), strict=True):
            assert block.data[last - 1 : last] == b"\n"
            records[offset] = block.data[first : last - 1]
    return records


def read(source: KafkaSource, records: int | None = None) -> dict[str, dict[int, bytes]]:
    """The records of each partition by offset."""
    return {name: records_of(blocks(source.open(name, None), records)) for name in source.partitions()}


def numbered(first: int, stop: int) -> dict[int, bytes]:
    """Records that hold their offset."""
    return {number: b"%d" % number for number in range(first, stop)}


def commit(topic: str, group: str, partition: int, offset: int) -> None:
    """Let a consumer group commit an offset."""
    consumer = Consumer({"bootstrap.servers": ",".join(broker().servers), "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    consumer.close()


@pytest.mark.parametrize(
    ("options", "firsts"),
    [
        ({}, (2, 0)),
        ({"start": "earliest"}, (2, 0)),
        ({"start": "latest"}, (6, 3)),
        ({"start": "offsets", "start_offsets": {"0": 4}}, (4, 0)),
        ({"start": "offsets", "start_offsets": {"0": 6, "1": 1}}, (6, 1)),
        ({"start": "group", "group_id": "committed"}, (2, 2)),
    ],
)
def test_a_fresh_run_begins_where_it_is_told(options: Mapping[str, Any], firsts: tuple[int, int], opened: Opened) -> None:
    """Two records of partition 0 have expired; of the group, only partition 1 has an offset."""
    topic = topic_of(list(numbered(0, 6).values()), list(numbered(0, 3).values()))
    broker().expire(topic, 0, 2)
    commit(topic, "committed", 1, 2)
    assert read(opened(topic, **options)) == {"0": numbered(firsts[0], 6), "1": numbered(firsts[1], 3)}


def test_a_group_whose_offset_has_expired_begins_at_the_oldest_record(opened: Opened) -> None:
    topic = topic_of(list(numbered(0, 6).values()))
    broker().expire(topic, 0, 4)
    commit(topic, "slow", 0, 1)
    assert read(opened(topic, start="group", group_id="slow")) == {"0": numbered(4, 6)}


def test_a_saved_position_is_gone_on_from(opened: Opened) -> None:
    """Where a fresh run would begin does not matter then."""
    topic = topic_of(list(numbered(0, 6).values()))
    source = opened(topic, start="latest")
    reader = source.open("0", 3)
    assert reader.position() == 3
    assert records_of(blocks(reader)) == numbered(3, 6)
    assert reader.position() == 6


@pytest.mark.parametrize("position", [1, 7])
def test_a_position_that_is_gone_is_refused(position: int, opened: Opened) -> None:
    """Records expired, or the topic was made anew and is shorter."""
    topic = topic_of(list(numbered(0, 6).values()))
    broker().expire(topic, 0, 2)
    with pytest.raises(PositionExpired) as caught:
        opened(topic).open("0", position)
    assert caught.value.code == "FLX-4404"
    assert caught.value.detail == f"It has offsets from 2 up to 6, and reading was to go on at {position}."


def test_a_position_that_expires_while_it_is_read_is_refused(opened: Opened) -> None:
    """Never are records left out in silence."""
    topic = topic_of(list(numbered(0, 6).values()))
    broker().fail(FETCH, KafkaError.OFFSET_OUT_OF_RANGE)
    with pytest.raises(PositionExpired, match="FLX-4404"):
        read(opened(topic))


def test_offsets_that_are_not_there_are_refused(opened: Opened) -> None:
    with pytest.raises(PositionExpired, match="FLX-4404"):
        opened(topic_of([b"1"]), start="offsets", start_offsets={"0": 2}).open("0", None)


def test_it_ends_where_the_partitions_end_when_they_are_opened(opened: Opened) -> None:
    topic = topic_of([b"0", b"1"], [])
    source = opened(topic)
    readers = [source.open(name, None) for name in source.partitions()]
    broker().fill(topic, {0: [b"2"], 1: [b"0"]})
    assert [records_of(blocks(reader)) for reader in readers] == [numbered(0, 2), {}]
    assert [reader.read() for reader in readers] == [None, None]
    assert [reader.position() for reader in readers] == [2, 0]


def test_it_follows_a_topic(opened: Opened) -> None:
    """Each partition keeps a position of its own."""
    topic = topic_of([b"0"], [])
    source = opened(topic, bounded=False)
    first, second = (source.open(name, None) for name in source.partitions())
    assert records_of(blocks(first, 1)) == numbered(0, 1)
    assert (first.read(), second.read()) == (None, None)
    broker().fill(topic, {1: list(numbered(0, 500).values())})
    assert records_of(blocks(second, 500)) == numbered(0, 500)
    broker().fill(topic, {0: [b"1"]})
    assert records_of(blocks(first, 1)) == {1: b"1"}
    assert (first.position(), second.position()) == (2, 500)


def test_records_without_a_value_are_empty_and_line_ends_stay(opened: Opened) -> None:
    assert read(opened(topic_of([b"a", None, b"b\nc\n", b""]))) == {"0": {0: b"a", 1: b"", 2: b"b\nc\n", 3: b""}}


def test_no_block_is_larger_than_a_block_unless_one_record_is(opened: Opened) -> None:
    sizes = [400_000, 400_000, 300_000, 5, BLOCK_BYTES_MAX - 1, 3, 950_000]
    topic = topic_of([])
    broker().fill(topic, {0: [b"%d" % (number % 10) * size for number, size in enumerate(sizes)]})
    found = blocks(opened(topic).open("0", None))
    assert [len(record) for record in records_of(found).values()] == sizes
    assert all(len(block.data) <= BLOCK_BYTES_MAX for block in found)


def test_nothing_is_fetched_beyond_the_buffer(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does not read holds the others' records back, and all come in the end."""
    monkeypatch.setattr("fluxline.connectors.kafka.fetch.KAFKA_BUFFER_BYTES_MAX", 1_000)
    monkeypatch.setattr("fluxline.connectors.kafka.direct_fetch.KAFKA_BUFFER_BYTES_MAX", 1_000)
    monkeypatch.setattr("fluxline.connectors.kafka.direct_fetch.KAFKA_FETCH_BYTES", 100)
    monkeypatch.setattr("fluxline.connectors.kafka.library_fetch.KAFKA_CONSUME_RECORDS", 100)
    topic = topic_of([], [])
    for first in range(0, 1_000, 100):  # a batch each
        broker().fill(topic, {number: list(numbered(first, first + 100).values()) for number in (0, 1)})
    source = opened(topic)
    readers = [source.open(name, None) for name in source.partitions()]
    for _attempt in range(200):
        if source._fetcher._buffered >= 1_000:
            break
        Event().wait(0.1)
    Event().wait(0.5)  # in which more would come, if anything let it
    waiting = source._fetcher._buffered
    assert 1_000 <= waiting <= 1_000 + 4 * 100 * 4  # two leaders, and what each was asked for meanwhile
    found: list[list[Any]] = [[], []]
    while not all(each and each[-1].final for each in found):
        for each, reader in zip(found, readers, strict=True):
            if (read := reader.read()) is not None:
                each.append(read)
    assert [records_of(each) for each in found] == [numbered(0, 1_000)] * 2
    assert source._fetcher._buffered == 0


def test_brokers_that_go_away_are_waited_for(opened: Opened) -> None:
    topic = topic_of([b"0"])
    source = opened(topic, bounded=False)
    assert source.partitions() == ("0",)
    reader = source.open("0", None)
    assert records_of(blocks(reader, 1)) == numbered(0, 1)
    broker().down()
    try:
        assert source.partitions() == ("0",)
        assert reader.read() is None
    finally:
        broker().up()
    broker().fill(topic, {0: [b"1"]})
    assert records_of(blocks(reader, 1)) == {1: b"1"}


def test_a_partition_is_followed_to_another_leader(opened: Opened) -> None:
    """The one before answers that it leads no more; meanwhile the other partition is read on."""
    topic = topic_of([b"0"], [b"0"])
    source = opened(topic, bounded=False)
    readers = [source.open(name, None) for name in source.partitions()]
    assert [records_of(blocks(reader, 1)) for reader in readers] == [numbered(0, 1)] * 2
    for leader in (1, 2, 3):
        broker().lead(topic, 0, leader)
        broker().fill(topic, {0: [b"%d" % leader], 1: [b"%d" % leader]})
        assert [records_of(blocks(reader, 1)) for reader in readers] == [{leader: b"%d" % leader}] * 2


@pytest.mark.parametrize("opened", ["direct"], indirect=True)
def test_a_broker_that_says_nothing_is_left_and_asked_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a network that drops what is sent; the connection stays open."""
    monkeypatch.setattr("fluxline.connectors.kafka.direct_fetch.KAFKA_SILENCE_SECONDS", 0.1)
    topic = topic_of([b"0"])
    source = opened(topic, bounded=False)
    reader = source.open("0", None)
    assert records_of(blocks(reader, 1)) == numbered(0, 1)
    broker().delay(600_000)
    try:
        for _attempt in range(600):
            if "it does not answer" in source._troubles.text():
                break
            Event().wait(0.01)
        assert "it does not answer" in source._troubles.text()
    finally:
        broker().delay(0)
    broker().fill(topic, {0: [b"1"]})
    assert records_of(blocks(reader, 1)) == {1: b"1"}


@pytest.mark.parametrize("opened", ["direct"], indirect=True)
def test_a_topic_that_is_taken_away_is_named(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once: a broker that has just begun may not know it yet."""
    monkeypatch.setattr("fluxline.connectors.kafka.direct_fetch.KAFKA_REMOVED_ROUNDS", 3)
    topic = topic_of([b"0"])
    source = opened(topic, bounded=False)
    reader = source.open("0", None)
    assert records_of(blocks(reader, 1)) == numbered(0, 1)
    broker().remove(topic)
    with pytest.raises(ExternalError) as caught:
        blocks(reader, 1)
    assert caught.value.code == "FLX-4403"


def test_a_missing_topic_is_named(opened: Opened) -> None:
    topic = topic_of([])
    broker().create(f"{topic}-sensor_data", 1)
    with pytest.raises(ResourceMissing) as caught:
        opened(f"{topic}-sensor_dta").partitions()
    assert str(caught.value).splitlines()[0] == f'FLX-4403  there is no topic "{topic}-sensor_dta"'
    assert caught.value.hint == f'Did you mean "{topic}-sensor_data"?'


def test_an_address_without_brokers_is_named(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxline.connectors.kafka.client.KAFKA_CONNECT_ATTEMPTS", 2)
    with pytest.raises(ConnectionLost) as caught:
        opened("t", bootstrap_servers=["127.0.0.1:1"]).partitions()
    assert caught.value.code == "FLX-4401"
    assert '"127.0.0.1:1"' in str(caught.value)
    assert "Connection refused" in (caught.value.detail or "")


def test_a_login_that_fails_is_named_and_its_password_is_not(opened: Opened) -> None:
    """These brokers know no login; what a real one says of a wrong one comes the same way."""
    login: dict[str, Any] = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": "u", "password": Secret("hidden-word")}
    with pytest.raises(Unauthorized) as caught:
        opened("t", **login).partitions()
    assert caught.value.code == "FLX-4402"
    assert "SASL" in (caught.value.detail or "")
    assert "hidden-word" not in f"{caught.value}{caught.value.detail}{caught.value!r}"


def test_a_topic_that_may_not_be_read_is_named(opened: Opened) -> None:
    topic = topic_of([b"0"])
    broker().fail(FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(Unauthorized) as caught:
        read(opened(topic))
    assert caught.value.code == "FLX-4402"
    assert f'topic "{topic}" may not be used to read' in str(caught.value)


def test_an_error_that_does_not_pass_ends_the_reading(opened: Opened) -> None:
    """Records could be missing behind it."""
    topic = topic_of([b"0"])
    broker().fail(FETCH, KafkaError.UNKNOWN)
    with pytest.raises(ExternalError) as caught:
        read(opened(topic))
    assert caught.value.code == "FLX-4405"


def test_an_error_that_passes_is_waited_out(opened: Opened) -> None:
    topic = topic_of(list(numbered(0, 3).values()))
    broker().fail(FETCH, KafkaError.REQUEST_TIMED_OUT, times=2)
    assert read(opened(topic)) == {"0": numbered(0, 3)}


def test_a_failure_of_the_thread_reaches_the_reader(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> list[Bytes]:
        raise MemoryError("none left")

    monkeypatch.setattr("fluxline.connectors.kafka.fetch.make_blocks", fail)
    with pytest.raises(MemoryError, match="none left"):
        read(opened(topic_of([b"0"])))


WRONG: list[tuple[dict[str, object], str]] = [
    ({"bootstrap_servers": []}, "bootstrap_servers"),
    ({"bootstrap_servers": [""]}, "bootstrap_servers"),
    ({"properties": {"bootstrap.servers": "x"}}, 'set by the option "bootstrap_servers"'),
    ({"properties": {"sasl.password": "x"}}, 'set by the option "password"'),
    ({"properties_librdkafka": {"auto.offset.reset": "latest"}}, 'set by the option "start"'),
    ({"properties_librdkafka": {"enable.auto.commit": True}}, "delivery and positions depend on it"),
    ({"properties": {"fetch.min.bytes": [1]}}, '"fetch.min.bytes" takes a text or a number'),
    ({"username": "u"}, 'needs security_protocol = "SASL_SSL"'),
    ({"security_protocol": "SASL_SSL"}, "sasl_mechanism"),
    ({"start": "timestamp"}, 'start = "timestamp" needs it'),
    ({"start": "offsets"}, 'start = "offsets" needs it'),
    ({"start": "group"}, 'start = "group" needs it'),
    ({"start_timestamp": "2026-01-01T00:00:00Z"}, 'only with start = "timestamp"'),
    ({"start": "timestamp", "start_timestamp": "2026-01-01T00:00:00"}, "no time with a zone"),
    ({"start": "timestamp", "start_timestamp": "soon"}, "no time with a zone"),
    ({"start": "offsets", "start_offsets": {"a": 1}}, '"a" = 1 is none'),
    ({"start": "offsets", "start_offsets": {"0": -1}}, '"0" = -1 is none'),
    ({"start": "middle"}, "start"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(KafkaOptions, {"bootstrap_servers": ["x:1"], **options}, of='connector "kafka"')
    assert said in str(caught.value)


@pytest.mark.parametrize(("properties", "said"), [({"fetch.min.byte": "1"}, '"fetch.min.byte"'), ({"fetch.min.bytes": "many"}, '"fetch.min.bytes"')])
def test_a_property_that_librdkafka_does_not_know_is_refused_by_name(properties: dict[str, object], said: str, opened: Opened) -> None:
    with pytest.raises(ConfigError) as caught:
        opened("t", properties_librdkafka=properties)
    assert caught.value.code == "FLX-1106"
    assert said in (caught.value.detail or "")


def test_properties_pass_as_they_are_and_the_nearer_one_wins() -> None:
    """Those for librdkafka win over those for all clients, and both over ours; those for Java are not ours to pass."""
    options = KafkaOptions(
        bootstrap_servers=["a:1", "b:2"],
        properties={"fetch.min.bytes": "7", "client.id": "all"},
        properties_librdkafka={"client.id": "this", "fetch.queue.backoff.ms": "5"},
        properties_java={"client.dns.lookup": "x"},
    )
    assert options.raw() == {"fetch.min.bytes": "7", "client.id": "this", "fetch.queue.backoff.ms": "5"}
    assert options.client() == {"bootstrap.servers": "a:1,b:2", "security.protocol": "PLAINTEXT"}
