"""A worker brings a source into a topic: every record at least once, in its partition's order, over librdkafka's own brokers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from fluxline.clock import VirtualClock
from fluxline.connectors import load_connector
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.control.positions import IngestDirectory
from fluxline.engines.base import Endpoint
from fluxline.engines.worker import intake as module
from fluxline.engines.worker.ingest import Ingest
from fluxline.engines.worker.intake import Intake
from fluxline.errors import FluxlineError, RecoveryError
from fluxline.formats import load_format
from fluxline.limits import BLOCK_BYTES_MAX, INGEST_KEEP_MS, RECORD_BYTES_MAX
from fluxline.options import read_options
from fluxline.pipeline.pipeline import Pipeline
from tests.connectors.brokers import broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fluxline.plan.nodes import Scan

NUMBER = count()
SCHEMA = {"id": "BIGINT NOT NULL", "text": "STRING"}


def scan_of(schema: Mapping[str, str]) -> Scan:
    pipeline = Pipeline("p")
    pipeline.source("rows", schema=dict(schema)).sink("out")
    return pipeline._plan().scans()[0]


@dataclass
class Ground:
    """A directory with the source's files, the place of its positions, and a topic of its own."""

    directory: Path
    partitions: int = 1
    topic: str = field(default_factory=lambda: f"intake-{next(NUMBER)}")
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(1_700_000_000_000))
    opened: list[Intake] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.servers = broker().create(self.topic, self.partitions)
        broker().create(f"{self.topic}.rejected", 1)
        self.place = IngestDirectory(self.directory / "ingest-rows")

    def write(self, name: str, data: bytes, mode: str = "wb") -> None:
        (self.directory / "in").mkdir(exist_ok=True)
        with (self.directory / "in" / name).open(mode) as file:
            file.write(data)

    def ingest(self, connector: str = "filesystem", format: str | None = "json", schema: Mapping[str, str] = SCHEMA, **options: object) -> Ingest:
        known, kafka, json_format = load_connector(connector), load_connector("kafka"), load_format("json")
        given = {"path": "in", **options} if connector == "filesystem" else options
        chosen = None if format is None else load_format(format)
        made = None if chosen is None else read_options(chosen.options, {"header": True} if format == "csv" else {}, of="format")
        source = Endpoint("rows", known, read_options(known.options, given, of="connector"), chosen, made, self.directory)
        log = Endpoint("p.rows", kafka, KafkaOptions(bootstrap_servers=self.servers), json_format, json_format.options(), self.directory)
        return Ingest(scan_of(schema), source, log, self.topic)

    def open(self, *, bounded: bool = True, **options: Any) -> Intake:
        intake = Intake(self.ingest(**options), self.place, self.clock, bounded=bounded)
        self.opened.append(intake)
        return intake

    def crash(self, intake: Intake) -> None:
        """Leave it as a process that was killed would: what was handed over may have arrived, nothing more is kept."""
        intake._appender.settle()
        intake.close()

    def values(self, partition: int = 0) -> list[bytes | None]:
        return [value for number, _key, value in broker().records(self.topic) if number == partition]

    def rejected(self) -> list[tuple[bytes | None, dict[str, str]]]:
        consumer = Consumer({"bootstrap.servers": ",".join(self.servers), "group.id": "test", "fetch.message.max.bytes": 10_000_000})
        name = f"{self.topic}.rejected"
        low, high = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)
        consumer.assign([TopicPartition(name, 0, low)])
        found: list[tuple[bytes | None, dict[str, str]]] = []
        while len(found) < high - low:
            for message in consumer.consume(1, 10):
                headers = {key: bytes(value).decode() for key, value in message.headers()}  # type: ignore[union-attr,arg-type,str-unpack]
                found.append((message.value(), headers))
        consumer.close()
        return found


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    for intake in made.opened:
        intake.close()


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path, partitions=2)
    yield made
    for intake in made.opened:
        intake.close()


def never() -> bool:
    return False


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps({"id": number, "text": f"row {number}"}).encode() + b"\n" for number in numbers)


def test_json_goes_over_as_it_comes(ground: Ground) -> None:
    """Broken records, blanks and an empty line included; a line end is no part of a record, be it one byte or two."""
    ground.write("a.ndjson", b'{"id": 1}\n{"id": "two"\n\n  {"text":null, "id":3 }\r\n\xff\xfe\n{"id": 4}')
    intake = ground.open()
    intake.run(never)
    assert ground.values() == [b'{"id": 1}', b'{"id": "two"', b"", b'  {"text":null, "id":3 }', b"\xff\xfe", b'{"id": 4}']
    assert (intake.kept.moved, intake.kept.rejected, intake.kept.ended) == (6, 0, True)
    assert ground.rejected() == []


def test_blocks_are_cut_where_records_end(ground: Ground) -> None:
    """More than one read of the file, and not every record ends with a read."""
    data = lines(*range(40_000))
    assert len(data) > BLOCK_BYTES_MAX
    ground.write("a.ndjson", data)
    ground.open().run(never)
    assert ground.values() == data.splitlines()


def test_what_is_too_large_for_any_engine_is_rejected(ground: Ground) -> None:
    big, largest = b'{"text": "' + b"x" * RECORD_BYTES_MAX + b'"}', b'{"id": 2, "text": "' + b"y" * (RECORD_BYTES_MAX - 21) + b'"}'
    assert len(largest) == RECORD_BYTES_MAX
    ground.write("a.ndjson", lines(1) + big + b"\n" + largest + b"\n" + lines(3))
    intake = ground.open()
    intake.run(never)
    ((value, headers),) = ground.rejected()
    assert value == big[: 512 * 1024]
    assert (headers["reason"], headers["partition"], headers["offset"]) == ("too_large", "a.ndjson", str(len(lines(1))))
    assert (intake.kept.moved, intake.kept.rejected) == (3, 1)


def test_csv_is_decoded_and_written_as_json(ground: Ground) -> None:
    """What cannot be decoded lies in the rejected topic with its reason, file and position."""
    ground.write("a.csv", b'text,id\n"a, b",1\nc,two\n,3\n')
    intake = ground.open(format="csv")
    intake.run(never)
    assert [json.loads(value or b"") for value in ground.values()] == [{"id": 1, "text": "a, b"}, {"id": 3, "text": None}]
    ((value, headers),) = ground.rejected()
    assert (value, headers["reason"], headers["partition"], headers["offset"]) == (b"c,two", "wrong_type", "a.csv", "17")
    assert (intake.kept.moved, intake.kept.rejected) == (2, 1)


def test_csv_goes_on_behind_its_header(ground: Ground) -> None:
    ground.write("a.csv", b"text,id\na,1\n")
    ground.open(format="csv").run(never)
    ground.write("a.csv", b"b,2\n", "ab")
    ground.place.begin()
    ground.open(format="csv").run(never)
    assert [json.loads(value or b"")["id"] for value in ground.values()] == [1, 2]


def test_rows_are_encoded(wide: Ground) -> None:
    """Each partition of datagen in its own, in order."""
    fields = {"id": {"kind": "sequence", "start": 0, "end": 9}}
    intake = wide.open(
        connector="datagen", format=None, schema={"id": "BIGINT"}, number_of_rows=10, rows_per_second=1_000_000, partitions=2, fields=fields
    )
    for _round in range(20):
        wide.clock.advance(1_000)
        intake.step()
    assert intake.kept.ended
    assert [[json.loads(value or b"")["id"] for value in wide.values(number)] for number in (0, 1)] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert intake.kept.appended == [5, 5]


def test_files_take_turns_at_the_partitions_for_ever(wide: Ground) -> None:
    """The first goes to 0, the second to 1, the third to 0 behind the first; a file that comes between keeps the others where they are."""
    for name, number in (("a", 1), ("c", 2), ("e", 3)):
        wide.write(f"{name}.ndjson", lines(number, number + 10))
    wide.open().run(never)
    assert wide.values(0) == lines(1, 11, 3, 13).splitlines()
    assert wide.values(1) == lines(2, 12).splitlines()
    wide.write("b.ndjson", lines(4))
    wide.write("c.ndjson", lines(5), "ab")
    wide.place.begin()
    wide.open().run(never)
    assert wide.values(0) == lines(1, 11, 3, 13).splitlines()
    assert sorted(wide.values(1), key=repr) == sorted(lines(2, 12, 4, 5).splitlines(), key=repr)


def test_a_crash_loses_nothing_and_repeats_what_was_not_kept(ground: Ground) -> None:
    """Three reads, of which one was kept: the other two come again, in order."""
    data = lines(*range(120_000))
    assert len(data) > 3 * BLOCK_BYTES_MAX
    ground.write("a.ndjson", data)
    first = ground.open()
    first.step()
    first.keep()
    kept = first.kept.moved
    first.step()
    first.step()
    moved = first.kept.moved
    assert 0 < kept < moved < 120_000
    ground.crash(first)
    second = ground.open()
    assert second.kept.moved == kept
    second.run(never)
    assert ground.values() == [*data.splitlines()[:moved], *data.splitlines()[kept:]]
    assert second.kept.moved == 120_000


def test_a_clean_stop_repeats_nothing(ground: Ground) -> None:
    data = lines(*range(40_000))
    ground.write("a.ndjson", data)
    answers = iter([False, True])
    first = ground.open()
    first.run(lambda: next(answers))
    first.close()
    assert 0 < first.kept.moved < 40_000
    ground.open().run(never)
    assert ground.values() == data.splitlines()


def test_positions_are_kept_in_time_also_where_little_comes(ground: Ground) -> None:
    """A file that is followed: the begin of a record waits for its end, and is not counted."""
    ground.write("a.ndjson", lines(1) + b'{"id": ')
    intake = ground.open(bounded=False, follow=True)
    intake.step()
    assert ground.place.load() is None
    ground.clock.advance(INGEST_KEEP_MS)
    assert not intake.step()
    kept = ground.place.load()
    assert kept is not None
    assert (kept.moved, kept.ended, kept.places["a.ndjson"].position) == (1, False, len(lines(1)))
    ground.write("a.ndjson", b"2}\n", "ab")
    intake.step()
    intake.keep()
    assert ground.values() == [*lines(1).splitlines(), b'{"id": 2}']


def test_a_bounded_run_ends_where_a_followed_file_ends_now(ground: Ground) -> None:
    ground.write("a.ndjson", lines(1, 2))
    intake = ground.open(bounded=True, follow=True)
    intake.run(never)
    assert (intake.kept.ended, intake.kept.moved) == (True, 2)


def test_nothing_is_kept_that_the_brokers_do_not_have(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that refuses for good: the worker fails, and the positions stay."""
    ground.write("a.ndjson", lines(1, 2))
    intake = ground.open()
    intake.keep()
    broker().fail(0, 29)  # of a produce request: TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(FluxlineError) as caught:
        intake.run(never)
    assert caught.value.code == "FLX-4402"
    assert ground.place.load() is None


def test_records_of_another_shape_do_not_stand_behind_those_that_are_there(ground: Ground) -> None:
    ground.write("a.csv", b"text,id\na,1\n")
    ground.open(format="csv").run(never)
    with pytest.raises(RecoveryError) as caught:
        ground.open(format="csv", schema={"id": "BIGINT", "text": "STRING", "more": "INT"})
    assert caught.value.code == "FLX-5802"
    assert "json of id BIGINT, text STRING;" in caught.value.detail


def test_a_topic_with_fewer_partitions_is_another(wide: Ground) -> None:
    for name in ("a", "b"):
        wide.write(f"{name}.ndjson", lines(1))
    wide.open().run(never)
    other = Ground(wide.directory)
    with pytest.raises(RecoveryError) as caught:
        other.open()
    assert caught.value.code == "FLX-5803"


def test_files_that_share_a_partition_are_read_one_after_the_other(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each needs several reads."""
    first, second = lines(*range(40_000)), lines(*range(40_000, 80_000))
    ground.write("a.ndjson", first)
    ground.write("b.ndjson", second)
    monkeypatch.setattr(module, "INGEST_KEEP_MS", 0)
    ground.open().run(never)
    assert ground.values() == (first + second).splitlines()
