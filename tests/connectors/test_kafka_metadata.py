"""Columns of a source that are not in its records: offset, partition, timestamp, key, headers."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from confluent_kafka import Producer

from fluxline import Pipeline, Schema, col, control
from fluxline.errors import DefinitionError
from fluxline.testing import utc
from fluxline.types import INT, Metadata
from tests.connectors.brokers import broker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.testing import Drive

TOPICS = (f"metadata-{number}" for number in itertools.count())
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Everything(Schema):
    """A number, and all that Kafka knows of its record."""

    number: int | None
    offset: Annotated[int, Metadata("offset")]
    partition: Annotated[int, Metadata("partition")]
    small: Annotated[INT, Metadata("partition")]
    at: Annotated[datetime, Metadata("timestamp")]
    key: Annotated[bytes | None, Metadata("key")]
    headers: Annotated[dict[str, bytes | None], Metadata("headers")]


class Timed(Schema):
    """A number, and when its record was made."""

    number: int | None
    offset: Annotated[int, Metadata("offset")]
    at: Annotated[datetime, Metadata("timestamp")]


def topic_of(records: Sequence[dict[str, Any]], partitions: int = 1) -> str:
    """A topic with these records, a second apart."""
    topic = next(TOPICS)
    broker().create(topic, partitions)
    producer = Producer({"bootstrap.servers": ",".join(broker().servers)})
    for number, record in enumerate(records):
        producer.produce(topic, timestamp=round(AT.timestamp() * 1000) + 1_000 * number, **{"partition": 0, **record})
    assert producer.flush(20) == 0
    return topic


def rows_of(pipeline: Pipeline, topic: str, directory: Path) -> list[dict[str, Any]]:
    """What a pipeline from a topic writes."""
    (directory / "fluxline.toml").write_text(
        f"""
[project]
name = "p"
pipelines = ["p.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "files"
tables = "files"
embedded = {{ directory = ".fluxline" }}
connections.files = {{ connector = "filesystem", path = "{{name}}.ndjson", format = "json" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = {json.dumps(broker().servers)}, topic = "{topic}", format = "json" }}
[environments.dev.bindings]
source = {{ connection = "kafka" }}
""",
        encoding="utf-8",
    )
    control.run(pipeline._plan(), directory, bounded=True)
    return [json.loads(line) for line in (directory / "out.ndjson").read_text(encoding="utf-8").splitlines()]


def test_each_column_is_what_kafka_knows(tmp_path: Path) -> None:
    """Beside a record that does not decode, which takes its own away with it."""
    topic = topic_of(
        [
            {"value": b'{"number":1,"offset":99}', "key": b"\xff\x00", "headers": [("a", b"1"), ("b", None)]},
            {"value": b"broken", "key": b"no"},
            {"value": b'{"number":2}', "partition": 1},
            {"value": b'{"number":3}', "key": "k"},
        ],
        partitions=2,
    )
    pipeline = Pipeline("p")
    pipeline.source("source", schema=Everything).sink("out")
    rows = sorted(rows_of(pipeline, topic, tmp_path), key=lambda row: row["number"])
    moments = ["2026-05-04T12:00:00Z", "2026-05-04T12:00:02Z", "2026-05-04T12:00:03Z"]
    assert [(row["number"], row["offset"], row["partition"], row["small"]) for row in rows] == [(1, 0, 0, 0), (2, 0, 1, 1), (3, 2, 0, 0)]
    assert [row["at"] for row in rows] == moments
    assert [row["key"] for row in rows] == ["/wA=", None, "aw=="]
    assert [row["headers"] for row in rows] == [{"a": "MQ==", "b": None}, {}, {}]


def test_the_event_time_may_be_the_records_own(tmp_path: Path) -> None:
    """A row that is late by it is late; nothing of the record itself is read."""
    records = [{"value": b"{}"} for _number in range(5)]
    topic = topic_of(records)
    pipeline = Pipeline("p")
    source = pipeline.source("source", schema=Timed, event_time="at", watermark="1 second")
    source.filter(col("offset") > 2).select("offset", "at").sink("out")
    assert rows_of(pipeline, topic, tmp_path) == [
        {"offset": 3, "at": "2026-05-04T12:00:03Z"},
        {"offset": 4, "at": "2026-05-04T12:00:04Z"},
    ]


def test_columns_follow_their_records_into_each_block(tmp_path: Path) -> None:
    """Records of more bytes than a block has."""
    topic = topic_of([{"value": b'{"number":%d,"x":"%s"}' % (number, b"x" * 300_000), "key": b"%d" % number} for number in range(9)])
    pipeline = Pipeline("p")
    pipeline.source("source", schema=Everything).select("number", "offset", "at").sink("out")
    wanted = [{"number": number, "offset": number, "at": (AT + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")} for number in range(9)]
    assert rows_of(pipeline, topic, tmp_path) == wanted


def test_a_test_pushes_them_like_any_column(drive: Drive) -> None:
    pipeline = Pipeline("p")
    source = pipeline.source("source", schema=Timed, event_time="at", watermark="1 second")
    out = source.filter(col("offset") > 2).sink("out")
    run = drive(pipeline)
    run.push(source, [{"number": 1, "offset": 2, "at": utc("2026-05-04T12:00Z")}, {"number": 2, "offset": 3, "at": utc("2026-05-04T12:00Z")}])
    assert [row["number"] for row in run.rows(out)] == [2]


class Unknown(Schema):
    """Something that Kafka does not know."""

    number: int
    offset: Annotated[int, Metadata("ofset")]


class OtherType(Schema):
    """A key may be missing, and is bytes."""

    number: int
    key: Annotated[str, Metadata("key")]


class OnlyMetadata(Schema):
    """Nothing of the record."""

    offset: Annotated[int, Metadata("offset")]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (Unknown, 'column "offset" of source "source" is metadata "ofset", which connector "kafka" does not know'),
        (OtherType, 'column "key" of source "source" is STRING NOT NULL'),
        (OnlyMetadata, 'source "source" declares no column of its records'),
    ],
)
def test_what_kafka_does_not_know_is_refused(schema: type[Schema], said: str, tmp_path: Path) -> None:
    pipeline = Pipeline("p")
    pipeline.source("source", schema=schema).sink("out")
    with pytest.raises(DefinitionError) as caught:
        rows_of(pipeline, "t", tmp_path)
    assert caught.value.code == "FLX-2155"
    assert said in str(caught.value)


def test_a_connector_that_knows_none_refuses_them(tmp_path: Path) -> None:
    pipeline = Pipeline("p")
    pipeline.source("source", schema=Timed).sink("out")
    (tmp_path / "fluxline.toml").write_text(
        """
[project]
name = "p"
pipelines = ["p.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "files"
tables = "files"
embedded = { directory = ".fluxline" }
connections.files = { connector = "filesystem", path = "{name}.ndjson", format = "json" }
""",
        encoding="utf-8",
    )
    with pytest.raises(ExceptionGroup) as caught:
        control.check(pipeline._plan(), tmp_path)
    assert {error.code for error in caught.value.exceptions if isinstance(error, DefinitionError)} == {"FLX-2155"}
