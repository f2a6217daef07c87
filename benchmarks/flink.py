"""One window aggregate over one topic: Flink SQL written by hand, the compiled pipeline, and the embedded engine.

Input: the readings of `kafka.py` in a topic, a partition for each job at parallelism 1 and three of them at 2; the hottest
reading and the number of readings per sensor and minute go to another topic. Every way runs once to warm up and is then
taken ROUNDS times in turn; the best counts. A job's time is from its first vertex that runs to its end, as Flink tells it;
that of the embedded engine from its start to its end. The rows are compared before any time is.

    by hand       Flink's own json, its own watermark, no output for late or rejected rows
    operator      the same pipeline compiled, lateness="operator", no output for late or rejected rows: strict decoding
    ledger        the default: late decided by the partition, late and rejected rows in outputs of their own

    FLUXLINE_BENCH_ROWS=2000000 python -m benchmarks flink
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.kafka import Reading, write_readings
from fluxline import Pipeline, col, count, tumble
from fluxline.config import load_project, resolve_environment
from fluxline.control.flink import prepare, session_properties
from fluxline.control.run import RunOptions, run
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.rest import Cluster
from fluxline.stack.running import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal

    from fluxline.stack.running import Stack

ROWS = int(os.environ.get("FLUXLINE_BENCH_ROWS", "1000000"))
ROUNDS = 3
_WHOLE_SECONDS = re.compile(r"(:\d\d)\.000\b")
"""What one way of writing a time shows and another does not."""
JOB_MS_MAX = 300_000
PROJECT = """
[project]
name = "bench"
pipelines = ["none.py"]
default_environment = "flink"
[environments.flink]
engine = "flink"
topics = "kafka"
flink = {{ gateway = "{gateway}", rest = "{rest}", parallelism = {parallelism}, checkpoint_interval = "10 seconds" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", create_topics = true }}
bindings.readings = {{ topic = "readings-{partitions}" }}
bindings.hottest = {{ topic = "{out}" }}
[environments.dev]
engine = "embedded"
topics = "kafka"
embedded = {{ directory = ".fluxline" }}
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", create_topics = true }}
bindings.readings = {{ topic = "readings-{partitions}" }}
bindings.hottest = {{ topic = "{out}" }}
"""
BY_HAND = (
    """
CREATE TABLE readings (
  sensor_id STRING, temperature DOUBLE, humidity DOUBLE, `at` TIMESTAMP_LTZ(3),
  WATERMARK FOR `at` AS `at` - INTERVAL '10' SECOND
) WITH (
  'connector' = 'kafka', 'topic' = 'readings-{partitions}', 'properties.bootstrap.servers' = '{bootstrap}',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', 'scan.watermark.emit.strategy' = 'on-event',
  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
)""",
    """
CREATE TABLE hottest (
  sensor_id STRING, window_start TIMESTAMP(3), window_end TIMESTAMP(3), hottest DOUBLE, readings BIGINT
) WITH (
  'connector' = 'kafka', 'topic' = '{out}', 'properties.bootstrap.servers' = '{bootstrap}',
  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
)""",
    """
INSERT INTO hottest
SELECT sensor_id, window_start, window_end, MAX(temperature), COUNT(*)
FROM TABLE(TUMBLE(
  DATA => (SELECT * FROM readings WHERE humidity > 5), TIMECOL => DESCRIPTOR(`at`), SIZE => INTERVAL '1' MINUTE))
GROUP BY sensor_id, window_start, window_end""",
)


@dataclass
class Bench:
    """The servers, and one setting."""

    stack: Stack
    directory: Path
    partitions: int
    parallelism: int
    topics: int = 0

    def new_topic(self) -> str:
        """The name of a topic that nobody has written."""
        self.topics += 1
        return f"hottest-{self.partitions}-{self.topics}"

    def project(self, out: str) -> None:
        """A project file whose output goes to this topic."""
        text = PROJECT.format(
            gateway=self.stack.flink.gateway, rest=self.stack.flink.rest, bootstrap=self.stack.kafka.bootstrap,
            parallelism=self.parallelism, partitions=self.partitions, out=out,
        )  # fmt: skip
        (self.directory / "fluxline.toml").write_text(text, encoding="utf-8")

    def by_hand(self) -> tuple[float, Counter[str]]:
        """Seconds and rows of the SQL as people write it."""
        out = self.new_topic()
        properties = {"parallelism.default": str(self.parallelism), "table.local-time-zone": "UTC", "pipeline.object-reuse": "true"}
        texts = [text.format(bootstrap=self.stack.kafka.bootstrap, partitions=self.partitions, out=out) for text in BY_HAND]
        return self.job({**properties, "execution.checkpointing.interval": "10000 ms"}, texts), self.rows(out)

    def compiled(self, pipeline: Pipeline, properties: Mapping[str, str] | None = None) -> tuple[float, Counter[str]]:
        """The same of a compiled pipeline, with properties in place of its own."""
        out = self.new_topic()
        self.project(out)
        environment = resolve_environment(load_project(self.directory / "fluxline.toml"), "flink")
        prepared = prepare(pipeline._plan(), environment, reveal=True, bounded=True)
        assert prepared.compiled is not None, prepared.problems
        return self.job({**session_properties(environment, prepared.compiled), **(properties or {})}, prepared.compiled.texts()), self.rows(out)

    def job(self, properties: dict[str, str], texts: Iterable[str]) -> float:
        """Seconds that a job runs."""
        with Gateway(self.stack.flink.gateway).open_session(properties) as session:
            for text in texts:
                result = session.execute(text)
        assert result.job_id is not None
        cluster = Cluster(self.stack.flink.rest)
        assert cluster.wait(result.job_id, {"FINISHED"}, JOB_MS_MAX) is not None, "the job does not end"
        told = cluster.transport.ask("GET", f"/jobs/{result.job_id}")
        return float(told["timestamps"]["FINISHED"] - told["timestamps"]["RUNNING"]) / 1000

    def embedded(self, pipeline: Pipeline) -> tuple[float, Counter[str]]:
        """The same of the embedded engine."""
        out = self.new_topic()
        self.project(out)
        report = run(pipeline._plan(), self.directory, env="dev", options=RunOptions(bounded=True, fresh=True))
        return report.seconds, self.rows(out)

    def rows(self, topic: str) -> Counter[str]:
        """All rows of a topic."""
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, "group.id": "bench"})
        found: Counter[str] = Counter()
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            consumer.assign([TopicPartition(topic, number, low)])
            while low < high:
                for message in consumer.consume(10_000, 1.0):
                    low = (message.offset() or 0) + 1
                    found[_WHOLE_SECONDS.sub(r"\1", json.dumps(json.loads(message.value() or b""), sort_keys=True))] += 1
        consumer.close()
        return found


def pipeline_of(lateness: Literal["partition", "operator"], *, ledger: bool) -> Pipeline:
    """The hottest reading of each sensor and minute."""
    pipeline = Pipeline("bench")
    readings = pipeline.source("readings", schema=Reading, event_time="at", watermark="10 seconds", lateness=lateness, max_future_skew=None)
    hottest = readings.filter(col("humidity") > 5).window(tumble("1 minute")).group_by("sensor_id")
    aggregated = hottest.agg(hottest=col("temperature").max(), readings=count())
    aggregated.sink("hottest")
    if ledger:
        aggregated.late.sink("late")
        readings.rejected.sink("rejected")
    return pipeline


def fill(stack: Stack, path: Path, partitions: int, *, topic: str | None = None, rows: int | None = None) -> None:
    """Put the readings, or the first of them, into a new topic, one after the other into its partitions."""
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap, "enable.idempotence": True, "queue.buffering.max.messages": 0})
    topic = topic or f"readings-{partitions}"
    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(30)
    for number, line in enumerate(path.read_bytes().splitlines()[:rows]):
        producer.produce(topic, line, partition=number % partitions)
        if number % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, running_stack(("kafka", "flink"), directory=Path(name) / "stack", die_with_parent=True) as stack:
        directory = Path(name)
        write_readings(directory / "readings.ndjson", ROWS)
        print(f"flink: {ROWS} records, the best of {ROUNDS} rounds; seconds, and how many times as fast as by hand")
        for partitions, parallelism in ((1, 1), (3, 2)):
            fill(stack, directory / "readings.ndjson", partitions)
            bench = Bench(stack, directory, partitions, parallelism)
            operator, ledger = pipeline_of("operator", ledger=False), pipeline_of("partition", ledger=True)
            ways: dict[str, Callable[[], tuple[float, Counter[str]]]] = {
                "by hand": bench.by_hand,
                "operator": partial(bench.compiled, operator),
                "ledger": partial(bench.compiled, ledger),
                "embedded, ledger": partial(bench.embedded, ledger),
            }
            expected: Counter[str] | None = None
            best: dict[str, float] = {}
            for attempt in range(ROUNDS + 1):
                for title, way in ways.items():
                    seconds, rows = way()
                    expected = rows if expected is None else expected
                    assert rows == expected, f"{title} gives other rows"
                    if attempt:
                        best[title] = min(best.get(title, seconds), seconds)
            for title, seconds in best.items():
                print(f"  {partitions} partitions, parallelism {parallelism}  {title:18} {seconds:6.2f} s  {best['by hand'] / seconds:5.2f}")


if __name__ == "__main__":
    main()
