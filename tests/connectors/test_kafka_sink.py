"""The sink `kafka` against brokers in this process: keys, partitions, tombstones, refused records, brokers that go away."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from confluent_kafka import KafkaError

from fluxline import Pipeline, Schema, control, count
from fluxline.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch, batch_from_polars
from fluxline.clock import VirtualClock
from fluxline.connectors.base import SinkContext
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.sink import KafkaSink, pieces
from fluxline.errors import ConfigError, ConnectionLost, ResourceMissing, Unauthorized
from fluxline.formats import load_format
from fluxline.formats.base import Encoded
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type
from tests.connectors.brokers import broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fluxline.connectors.base import Written
    from fluxline.formats.base import Encoder

TOPICS = (f"sink-{number}" for number in itertools.count())
SCHEMA = TableSchema(tuple(Field(name, parse_type(text)) for name, text in (("id", "BIGINT"), ("at", "TIMESTAMP(3)"), ("text", "STRING"))))
PRODUCE = 0
"""The number of the request in Kafka's protocol."""


def encoder_of(schema: TableSchema) -> Encoder:
    """The format `json`."""
    found = load_format("json")
    return found.encoder(schema, read_options(found.options, {}, of="json"))


def batch_of(rows: Sequence[tuple[int, int, str | None]], kinds: Sequence[int] | None = None) -> Batch:
    """Rows of the schema: a number, milliseconds, a text."""
    frame = pl.DataFrame(
        {"id": [row[0] for row in rows], "at": pl.Series([row[1] for row in rows], dtype=pl.Datetime("ms")), "text": [row[2] for row in rows]},
        schema_overrides={"text": pl.String},
    )
    batch = batch_from_polars(frame, SCHEMA)
    return batch if kinds is None else Batch(batch.columns, batch.rows, kinds=np.array(kinds, dtype=np.int8))


class Opened:
    """Sinks that a test opened."""

    def __init__(self) -> None:
        self.sinks: list[KafkaSink] = []

    def __call__(self, topic: str, key: tuple[str, ...] | None = None, **options: Any) -> KafkaSink:
        raw = {"bootstrap_servers": broker().servers, "topic": topic, **options}
        make: Callable[[], Encoder] | None = None
        if key is not None:
            columns = TableSchema(tuple(SCHEMA.field(name) for name in key))
            make = lambda: encoder_of(columns)  # noqa: E731
        self.sinks.append(
            KafkaSink(
                SinkContext(
                    name="output",
                    options=read_options(KafkaOptions, raw, of="x"),
                    schema=SCHEMA,
                    key=key,
                    updating=False,
                    directory=Path(),
                    clock=VirtualClock(0),
                    run_id="run-1",
                    encoder=encoder_of(SCHEMA),
                    make_key_encoder=make,
                )
            )
        )
        return self.sinks[-1]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens sinks, and closes them."""
    opened = Opened()
    yield opened
    for sink in opened.sinks:
        sink.close()


def topic_of(partitions: int = 1) -> str:
    """An empty topic."""
    topic = next(TOPICS)
    broker().create(topic, partitions)
    return topic


def write(sink: KafkaSink, batch: Batch) -> Written:
    """Write a batch as JSON."""
    return sink.write(batch, encoder_of(SCHEMA).encode(batch))


def test_rows_without_a_key_have_none_and_are_spread(opened: Opened) -> None:
    """Row by row with this property; without it the client changes the partition every 10 ms."""
    topic = topic_of(3)
    assert (
        write(opened(topic, properties={"sticky.partitioning.linger.ms": 0}), batch_of([(number, 0, None) for number in range(25_000)])).acknowledged
        == 25_000
    )
    found = broker().records(topic)
    assert {key for _partition, key, _value in found} == {None}
    assert sorted(json.loads(value or b"")["id"] for _partition, _key, value in found) == list(range(25_000))
    assert {partition for partition, _key, _value in found} == {0, 1, 2}


def test_the_key_is_the_key_columns_in_the_sinks_format(opened: Opened) -> None:
    """In the order of the key; equal keys stay in one partition and in order."""
    topic = topic_of(4)
    rows = [(number % 7, 60_000, str(number)) for number in range(21_000)]
    sink = opened(topic, ("at", "id"))
    write(sink, batch_of(rows[:10_500]))
    write(sink, batch_of(rows[10_500:]))
    found: dict[bytes, list[tuple[int, int]]] = {}
    for partition, key, value in broker().records(topic):
        assert key is not None
        found.setdefault(key, []).append((partition, int(json.loads(value or b"")["text"])))
    assert sorted(found) == [b'{"at":"1970-01-01T00:01:00","id":%d}' % number for number in range(7)]
    for key, records in found.items():
        assert len({partition for partition, _text in records}) == 1
        assert [text for _partition, text in records] == list(range(json.loads(key)["id"], 21_000, 7))


def test_a_key_goes_where_the_java_client_puts_it(opened: Opened) -> None:
    """murmur2 of the key without its sign, by the number of partitions; computed here once more."""
    topic = topic_of(5)
    write(opened(topic, ("id",)), batch_of([(number, 0, None) for number in range(40)]))
    for partition, key, _value in broker().records(topic):
        assert partition == (murmur2(key or b"") & 0x7FFFFFFF) % 5, key


def murmur2(data: bytes) -> int:
    """Austin Appleby's hash with the seed that Kafka uses."""
    factor, result = 0x5BD1E995, 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * factor & 0xFFFFFFFF
        word = (word ^ word >> 24) * factor & 0xFFFFFFFF
        result = result * factor & 0xFFFFFFFF ^ word
    if len(data) > whole:
        result = (result ^ int.from_bytes(data[whole:], "little")) * factor & 0xFFFFFFFF
    result = (result ^ result >> 13) * factor & 0xFFFFFFFF
    return result ^ result >> 15


def test_another_partitioner_puts_keys_elsewhere(opened: Opened) -> None:
    """CRC32 of the key, by the number of partitions."""
    import zlib

    topic = topic_of(5)
    write(opened(topic, ("id",), partitioner="consistent"), batch_of([(number, 0, None) for number in range(40)]))
    assert all(partition == zlib.crc32(key or b"") % 5 for partition, key, _value in broker().records(topic))
    with pytest.raises(ConfigError, match="FLX-1106"):
        opened(topic, partitioner="by_moon")


def test_an_updating_stream_writes_what_each_key_has_now(opened: Opened) -> None:
    """A row before its update writes nothing, a deleted row a record without a value; all count as written."""
    topic = topic_of()
    rows = [(1, 0, "a"), (2, 0, "b"), (1, 0, "a"), (1, 0, "c"), (2, 0, "b"), (3, 0, "d")]
    kinds = [INSERT, INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE, INSERT]
    written = write(opened(topic, ("id",)), batch_of(rows, kinds))
    assert (written.acknowledged, written.rejects) == (6, ())
    found = [(key, None if value is None else json.loads(value)["text"]) for key, value in broker().messages(topic)]
    assert found == [(b'{"id":1}', "a"), (b'{"id":2}', "b"), (b'{"id":1}', "c"), (b'{"id":2}', None), (b'{"id":3}', "d")]


def test_a_table_of_one_row_has_a_key_without_columns(opened: Opened) -> None:
    topic = topic_of()
    write(opened(topic, ()), batch_of([(1, 0, "a"), (2, 0, "b"), (2, 0, "b")], [INSERT, UPDATE_AFTER, DELETE]))
    assert [(key, value is None) for key, value in broker().messages(topic)] == [(b"{}", False), (b"{}", False), (b"{}", True)]


def test_a_record_that_is_too_large_is_rejected_alone(opened: Opened) -> None:
    """The limit of the client, given as a property, decides at once."""
    topic = topic_of()
    rows = [(0, 0, "a"), (1, 0, "x" * 2_000), (2, 0, "b"), (3, 0, "x" * 3_000)]
    written = write(opened(topic, properties_librdkafka={"message.max.bytes": 1_500}), batch_of(rows))
    assert (written.acknowledged, [(reject.index, reject.reason) for reject in written.rejects]) == (
        2,
        [(1, "refused_by_sink"), (3, "refused_by_sink")],
    )
    assert "Message size too large" in written.rejects[0].detail
    assert [json.loads(value or b"")["id"] for value in broker().values(topic)] == [0, 2]


def test_a_record_that_the_brokers_find_too_large_is_rejected_alone(opened: Opened) -> None:
    """They refuse what was sent together; a report names no row, and of equal rows each will do."""
    topic = topic_of()
    sink = opened(topic, ("id",))
    broker().fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    written = write(sink, batch_of([(7, 0, "a"), (7, 0, "a"), (8, 0, "b")]))
    assert (written.acknowledged, [reject.index for reject in written.rejects]) == (0, [0, 1, 2])
    assert write(sink, batch_of([(9, 0, "c")])).acknowledged == 1
    assert [json.loads(value or b"")["id"] for value in broker().values(topic)] == [9]


def test_a_topic_that_may_not_be_written_fails_the_run(opened: Opened) -> None:
    topic = topic_of()
    sink = opened(topic)
    broker().fail(PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(Unauthorized, match=f'topic "{topic}" may not be used to write'):
        write(sink, batch_of([(1, 0, None)]))


def test_brokers_that_go_away_are_waited_for(opened: Opened) -> None:
    """Rows are acknowledged once the brokers are back; until then the sink takes no others."""
    topic = topic_of()
    sink = opened(topic)
    assert write(sink, batch_of([(0, 0, None)])).acknowledged == 1
    broker().down()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(write(sink, batch_of([(1, 0, None), (2, 0, None)])).acknowledged))
    thread.start()
    thread.join(1)
    assert (thread.is_alive(), found) == (True, [])
    broker().up()
    thread.join(20)
    assert found == [2]
    assert [json.loads(value or b"")["id"] for value in broker().values(topic)] == [0, 1, 2]


def test_brokers_that_stay_away_fail_the_run(opened: Opened) -> None:
    """When is librdkafka's property."""
    sink = opened(topic_of(), properties={"message.timeout.ms": 600, "socket.timeout.ms": 500})
    broker().down()
    try:
        with pytest.raises(ConnectionLost) as caught:
            write(sink, batch_of([(1, 0, None)]))
    finally:
        broker().up()
    assert caught.value.code == "FLX-4401"


def test_all_that_was_written_is_there_at_a_stop(opened: Opened) -> None:
    """`write` returns with the acknowledgements, so a stop, and a crash behind it, lose nothing."""
    topic = topic_of(3)
    sink = opened(topic, properties={"linger.ms": 10_000})  # Nothing would be sent for seconds by itself.
    write(sink, batch_of([(number, 0, None) for number in range(100)]))
    assert len(broker().values(topic)) == 100
    receipt = sink.prepare(1)
    assert receipt == {"topic": topic}
    sink.commit(receipt)
    sink.commit(receipt)


def test_a_large_batch_waits_for_room(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxline.connectors.kafka.sink.KAFKA_SEND_BYTES_MAX", 3_000)
    monkeypatch.setattr("fluxline.connectors.kafka.sink.KAFKA_SEND_RECORDS", 10)
    topic = topic_of()
    assert write(opened(topic), batch_of([(number, 0, "x" * 90) for number in range(1_005)])).acknowledged == 1_005
    assert [json.loads(value or b"")["id"] for value in broker().values(topic)] == list(range(1_005))


def test_a_missing_topic_is_named(opened: Opened) -> None:
    broker().create("hourly_averages", 1)
    with pytest.raises(ResourceMissing) as caught:
        opened("hourly_average")
    assert (caught.value.code, caught.value.hint) == ("FLX-4403", 'Did you mean "hourly_averages"?')


def test_pieces_are_the_records_without_line_ends() -> None:
    """Also where line ends are inside of records, where there are none, and where records are empty."""

    def cut(*records: bytes) -> list[bytes | None]:
        return pieces(Encoded(b"".join(records), np.cumsum([0, *map(len, records)], dtype=np.int64)))

    assert cut() == []
    assert cut(b"a\n", b"bc\n", b"\n") == [b"a", b"bc", b""]
    assert cut(b"a\nb\n", b"c\n") == [b"a\nb", b"c"]
    assert cut(b"a\nb", b"c\n") == [b"a\nb", b"c"]
    assert cut(b"ab", b"c") == [b"ab", b"c"]
    assert cut(b"\n\n", b"") == [b"\n", b""]


def totals() -> Pipeline:
    """A count that grows, by text."""
    pipeline = Pipeline("totals")
    words = pipeline.source("words", schema=Word)
    words.group_by("text", ttl="1 day").agg(n=count()).sink("totals")
    return pipeline


class Word(Schema):
    """One word."""

    text: str


def test_updates_of_a_pipeline_go_to_a_topic_by_their_own_key(tmp_path: Path) -> None:
    (tmp_path / "words.ndjson").write_text('{"text":"a"}\n{"text":"b"}\n{"text":"a"}\n', encoding="utf-8")
    topic = topic_of()
    (tmp_path / "fluxline.toml").write_text(
        f"""
[project]
name = "words"
pipelines = ["words.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "files"
tables = "kafka"
embedded = {{ directory = ".fluxline" }}
connections.files = {{ connector = "filesystem", path = "{{name}}.ndjson", format = "json" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = {json.dumps(broker().servers)}, topic = "{topic}", format = "json" }}
[environments.dev.bindings]
totals = {{ connection = "kafka" }}
""",
        encoding="utf-8",
    )
    control.run(totals()._plan(), tmp_path)
    last = {key: json.loads(value or b"") for key, value in broker().messages(topic)}
    assert last == {b'{"text":"a"}': {"text": "a", "n": 2}, b'{"text":"b"}': {"text": "b", "n": 1}}
