"""A worker's rows a second into Cassandra, and what the topic in front of it adds to a row's way.

Rate: seeded readings of `kafka.py` lie in a topic of three partitions, and one worker, in this process, writes them into a
table keyed by sensor and time. The rows of the table are counted before the time is.

Latency: a pipeline of one filter runs on Flink, from a topic over the relay's topic into Cassandra. Readings are sent one by one,
with a pause between them. Of each it is noted when it was sent, when it came into the relay's topic, and when a question to
Cassandra first gave it; the difference of the last two is what the extra hop costs, writing and asking included.

    FLUXLINE_BENCH_ROWS=300000 python -m benchmarks stack
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cassandra.cluster import Cluster
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.flink import fill
from benchmarks.kafka import Reading, write_readings
from fluxline import Pipeline, col
from fluxline.clock import SystemClock, measure_seconds
from fluxline.config import load_project, resolve_environment
from fluxline.control.flink import bind
from fluxline.control.jobs import stop_job
from fluxline.control.submit import submit
from fluxline.engines.worker.drain import Drain
from fluxline.stack.running import running_stack

if TYPE_CHECKING:
    from fluxline.stack.running import Stack

ROWS = int(os.environ.get("FLUXLINE_BENCH_ROWS", "300000"))
SENT = 200
PAUSE_MS = 100
ROUNDS = 3
PROJECT = """
[project]
name = "bench"
pipelines = ["none.py"]
default_environment = "stack"
[environments.stack]
engine = "flink"
topics = "kafka"
tables = "cassandra"
flink = {{ gateway = "{gateway}", rest = "{rest}", parallelism = 1, checkpoint_interval = "10 seconds" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", create_topics = true }}
connections.cassandra = {{ connector = "cassandra", contact_points = ["127.0.0.1"], port = {port}, keyspace = "bench" }}
bindings.live = {{ topic = "readings-1" }}
"""


def pipeline_of(name: str, source: str) -> Pipeline:
    """Readings into a table."""
    pipeline = Pipeline(name)
    readings = pipeline.source(source, schema=Reading, event_time="at", watermark="10 seconds", max_future_skew=None)
    readings.filter(col("humidity") >= 0).sink("kept", key=["sensor_id", "at"])
    return pipeline


def rate(stack: Stack, directory: Path, session: object) -> float:
    """Rows a second of one worker."""
    environment = resolve_environment(load_project(directory / "fluxline.toml"), "stack")
    best = 0.0
    for attempt in range(ROUNDS):
        name = f"rate{attempt}"
        bound = bind(pipeline_of(name, "live")._plan(), environment, reveal=True)
        (relay,) = bound.relays
        fill(stack, directory / "readings.ndjson", 3, topic=relay.topic)
        drain = Drain(relay, SystemClock())
        drain.step()  # The group is joined, and the first rows have warmed up the node.
        began, before = measure_seconds(), drain.counts.read
        while drain.counts.read < ROWS:
            drain.step()
        best = max(best, (ROWS - before) / (measure_seconds() - began))
        drain.close()
        assert drain.counts.written == ROWS
    ((held,),) = session.execute("SELECT count(*) FROM bench.kept", timeout=300)  # type: ignore[attr-defined]
    expected = len({(line["sensor_id"], line["at"]) for line in map(json.loads, (directory / "readings.ndjson").read_bytes().splitlines())})
    assert held == expected, f"the table holds {held} rows of {expected}"
    return best


class Watch:
    """When rows came into the relay's topic, seen by a thread with a consumer of its own."""

    def __init__(self, stack: Stack, topic: str) -> None:
        self.seen: dict[str, float] = {}
        self._consumer = Consumer({"bootstrap.servers": stack.kafka.bootstrap, "group.id": "watch", "fetch.queue.backoff.ms": 1})
        self._consumer.assign([TopicPartition(topic, 0, 0)])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.05)
            if message is not None and message.error() is None:
                self.seen.setdefault(json.loads(message.value() or b"")["sensor_id"], measure_seconds())

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
        self._consumer.close()


def latencies(stack: Stack, directory: Path, session: object) -> tuple[list[float], list[float]]:
    """Seconds from the sending into the relay's topic, and from there to an answer of Cassandra, of each reading."""
    submit(pipeline_of("hop", "live")._plan(), directory, env="stack")
    watch = Watch(stack, "hop.kept")
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap, "linger.ms": 0})
    asked = session.prepare("SELECT sensor_id FROM bench.kept WHERE sensor_id = ?")  # type: ignore[attr-defined]
    clock, never = SystemClock(), threading.Event()
    until_topic, hop = [], []
    for number in range(SENT):
        sensor, at = f"hop-{number}", datetime.fromtimestamp(clock.now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        value = {"sensor_id": sensor, "temperature": 1.0, "humidity": 1.0, "at": at}
        sent = measure_seconds()
        producer.produce("readings-1", json.dumps(value).encode(), partition=0)
        producer.flush(10)
        while not session.execute(asked, [sensor]).one():  # type: ignore[attr-defined]
            clock.wait(never, 1)
            assert measure_seconds() - sent < 60, f"reading {number} does not come"
        stored = measure_seconds()
        while sensor not in watch.seen:
            clock.wait(never, 1)
        if number >= SENT // 4:  # the others warm up
            until_topic.append(watch.seen[sensor] - sent)
            hop.append(max(0.0, stored - watch.seen[sensor]))
        clock.wait(never, PAUSE_MS)
    watch.close()
    stop_job("hop", directory, env="stack", cancel=True)
    return until_topic, hop


def main() -> None:
    """Measure and print."""
    parts = ("kafka", "flink", "cassandra")
    with tempfile.TemporaryDirectory() as name, running_stack(parts, directory=Path(name) / "stack", die_with_parent=True) as stack:
        directory = Path(name)
        port = stack.ports["cassandra"]
        text = PROJECT.format(gateway=stack.flink.gateway, rest=stack.flink.rest, bootstrap=stack.kafka.bootstrap, port=port)
        (directory / "fluxline.toml").write_text(text, encoding="utf-8")
        write_readings(directory / "readings.ndjson", ROWS)
        cluster = Cluster(["127.0.0.1"], port=port, protocol_version=5)
        session = cluster.connect()
        session.default_timeout = 60
        print(f"stack: one worker into one node of Cassandra, {ROWS} rows, the best of {ROUNDS} rounds")
        print(f"  {rate(stack, directory, session):12,.0f} rows/s")
        fill(stack, directory / "readings.ndjson", 1, rows=1)
        until_topic, hop = latencies(stack, directory, session)
        print(f"stack: {len(hop)} readings sent one by one, milliseconds, median and 99th of 100")
        for title, values in (("into the relay's topic, through Flink", until_topic), ("the extra hop, to an answer of Cassandra", hop)):
            print(f"  {title:42} {np.percentile(values, 50) * 1000:8.1f} {np.percentile(values, 99) * 1000:8.1f}")
        cluster.shutdown()


if __name__ == "__main__":
    main()
