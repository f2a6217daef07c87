"""Records a second from a file to a topic of a real broker, and from a topic to nowhere, through pipelines without windows.

Input: seeded readings of four fields, about 95 bytes of JSON each. The broker runs on this machine, with a topic of
three partitions; it, its disk and the pipeline share the processors. The records are counted on the other side first.
A worker that brings the same file into a topic of one partition, for Flink to read, is the row "ingest".
Beside them stands what librdkafka's own Python client does with the same records and nothing else: no decoding, no
encoding, no engine.

    FLUXLINE_BENCH_ROWS=2000000 python -m benchmarks kafka
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from confluent_kafka import Consumer, Producer, TopicPartition

from fluxline import Pipeline, Schema
from fluxline.clock import SystemClock, measure_seconds
from fluxline.connectors import load_connector
from fluxline.connectors.filesystem.options import FilesystemOptions
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.topics import ensure_topic
from fluxline.control.positions import IngestDirectory
from fluxline.control.run import RunOptions, run
from fluxline.engines.base import Endpoint
from fluxline.engines.worker.ingest import Ingest
from fluxline.engines.worker.intake import Intake
from fluxline.formats import load_format
from fluxline.stack.running import running_stack

ROWS = int(os.environ.get("FLUXLINE_BENCH_ROWS", "1000000"))
ROUNDS = 3
PARTITIONS = 3


class Reading(Schema):
    """What a sensor measured."""

    sensor_id: str
    temperature: float
    humidity: float
    at: datetime


def write_readings(path: Path, rows: int) -> None:
    """Write seeded readings as NDJSON."""
    draw = np.random.Generator(np.random.PCG64(7))
    times = (np.datetime64("2026-01-01T00:00:00", "ms").astype(np.int64) + np.arange(rows) // 10).astype("datetime64[ms]")
    frame = pl.DataFrame(
        {
            "sensor_id": pl.Series([f"s-{number:04}" for number in range(1_000)]).gather(draw.integers(0, 1_000, rows)),
            "temperature": (draw.random(rows) * 4_000).round() / 100,
            "humidity": (draw.random(rows) * 1_000).round() / 10,
            "at": pl.Series(times).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        }
    )
    frame.write_ndjson(path)


def copied(source: str, sink: str, key: list[str] | None) -> Pipeline:
    """All readings, from one place to another."""
    pipeline = Pipeline("copied")
    pipeline.source(source, schema=Reading).sink(sink, key=key)
    return pipeline


def project(directory: Path, bootstrap: str, topic: str) -> None:
    """A project that reads or writes one topic; everything else is a file, or nowhere."""
    (directory / "fluxline.toml").write_text(
        f"""
[project]
name = "bench"
pipelines = ["none.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "kafka"
tables = "kafka"
embedded = {{ directory = ".fluxline" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", create_topics = true, partitions = {PARTITIONS} }}
connections.files = {{ connector = "filesystem", path = "readings.ndjson", format = "json" }}
connections.nowhere = {{ connector = "blackhole" }}
[environments.dev.bindings]
readings = {{ connection = "files" }}
nowhere = {{ connection = "nowhere" }}
copies = {{ topic = "{topic}" }}
""",
        encoding="utf-8",
    )


def timed(directory: Path, pipeline: Pipeline) -> float:
    """Seconds of one bounded run."""
    started = measure_seconds()
    run(pipeline._plan(), directory, options=RunOptions(bounded=True, fresh=True))
    return measure_seconds() - started


def held(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> int:
    """Records in a topic, by the ends of its partitions."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench"})
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20) for number in range(partitions)]
    consumer.close()
    return sum(high - low for low, high in ends)


def ingested(bootstrap: str, directory: Path, topic: str) -> float:
    """Seconds in which one worker brings the file into a topic of one partition, its positions kept."""
    connectors, json = [load_connector(name) for name in ("filesystem", "kafka")], load_format("json")
    file, kafka = FilesystemOptions(path="readings.ndjson"), KafkaOptions(bootstrap_servers=[bootstrap], create_topics=True)
    source, log = [
        Endpoint("readings", known, given, json, json.options(), directory) for known, given in zip(connectors, (file, kafka), strict=True)
    ]
    for name in (topic, f"{topic}.rejected"):
        ensure_topic(kafka, name, partitions=1)
    ingest = Ingest(copied("readings", "copies", None)._plan().scans()[0], source, log, topic)
    started = measure_seconds()
    intake = Intake(ingest, IngestDirectory(directory / f"ingest-{topic}"), SystemClock(), bounded=True)
    intake.run(lambda: False)
    seconds = measure_seconds() - started
    assert intake.kept.moved == ROWS
    intake.close()
    return seconds


def alone_written(bootstrap: str, path: Path) -> float:
    """Seconds in which librdkafka alone writes the lines of a file."""
    lines = path.read_bytes().splitlines()
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 0, "compression.type": "lz4", "enable.idempotence": True})
    producer.list_topics(timeout=20)
    started = measure_seconds()
    for start in range(0, len(lines), 10_000):
        producer.produce_batch("alone", [{"value": line} for line in lines[start : start + 10_000]])
    assert producer.flush(60) == 0
    return measure_seconds() - started


def alone_read(bootstrap: str, topic: str, rows: int) -> float:
    """Seconds in which librdkafka alone gives the records of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "fetch.queue.backoff.ms": 1, "queued.min.messages": 200_000})
    started = measure_seconds()
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found = 0
    while found < rows:
        found += len(consumer.consume(10_000, 1.0))
    seconds = measure_seconds() - started
    consumer.close()
    return seconds


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, running_stack(("kafka",), directory=Path(name) / "stack", die_with_parent=True) as stack:
        directory, bootstrap = Path(name), stack.kafka.bootstrap
        write_readings(directory / "readings.ndjson", ROWS)
        size = (directory / "readings.ndjson").stat().st_size / ROWS
        print(f"kafka: {ROWS} records of {size:.0f} bytes, the best of {ROUNDS} rounds")
        for title, key in (("file -> topic", None), ("file -> topic, by key", ["sensor_id", "at"])):
            best = 0.0
            for attempt in range(ROUNDS):
                topic = f"copies-{bool(key)}-{attempt}"
                project(directory, bootstrap, topic)
                best = max(best, ROWS / timed(directory, copied("readings", "copies", key)))
                assert held(bootstrap, topic) == ROWS, f"{topic} holds {held(bootstrap, topic)} records"
            print(f"  {title:24} {best:12,.0f} records/s")
        best = max(ROWS / ingested(bootstrap, directory, f"ingest-{attempt}") for attempt in range(ROUNDS))
        assert held(bootstrap, "ingest-0", 1) == ROWS, "the worker lost records"
        print(f"  {'ingest: file -> topic':24} {best:12,.0f} records/s")
        project(directory, bootstrap, "copies-False-0")
        best = max(ROWS / timed(directory, copied("copies", "nowhere", None)) for _attempt in range(ROUNDS))
        print(f"  {'topic -> nowhere':24} {best:12,.0f} records/s")
        best = max(ROWS / alone_written(bootstrap, directory / "readings.ndjson") for _attempt in range(ROUNDS))
        print(f"  {'librdkafka alone, writes':24} {best:12,.0f} records/s")
        print(f"  {'librdkafka alone, reads':24} {ROWS / alone_read(bootstrap, 'copies-False-0', ROWS):12,.0f} records/s")


if __name__ == "__main__":
    main()
