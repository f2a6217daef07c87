"""Sources that Flink does not read, or not from here: workers bring them into topics, and the rows are those of an embedded run."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
from collections import Counter
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from fluxline import Pipeline, col, control, count, tumble
from fluxline.cli.jobs import as_json, lines_of
from fluxline.clock import SystemClock
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.jobs import job_status, jobs, stop_job, wait_for_job
from fluxline.control.run import RunOptions
from fluxline.control.submit import SubmitOptions, submit
from fluxline.control.worker_processes import end_workers
from fluxline.errors import ConfigError, FluxlineError, RecoveryError
from fluxline.pipeline.discovery import find_pipelines
from tests.end_to_end.projects import bag, copy_example, lines, stored_averages, stored_readings
from tests.end_to_end.stack_project import timed, until
from tests.engines.flink.live import decoded, sorted_rows
from tests.reference.sensors import read_bytes, time_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.plan.nodes import Plan
    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers
JOB_MS_MAX = 180_000
ENVIRONMENT = """
[environments.cluster]
engine = "flink"
topics = "kafka"
tables = "kafka"
connections.kafka = {{ connector = "kafka", topic = "{label}.{{name}}", bootstrap_servers = ["127.0.0.1:{kafka}"], format = "json" }}
connections.files = {{ connector = "filesystem", path = "in/{{name}}.ndjson", format = "json" }}
connections.rows = {{ connector = "datagen" }}

[environments.cluster.flink]
gateway = "http://127.0.0.1:{flink_gateway}"
rest = "http://127.0.0.1:{flink}"
parallelism = 1
checkpoint_interval = "2 seconds"

[environments.cluster.bindings]
{bindings}
"""


class Cluster:
    """A project with an environment on the servers, and topics of its own."""

    def __init__(self, directory: Path, stack: Stack, label: str, bindings: str) -> None:
        self.directory = directory
        self.stack = stack
        self.label = label
        file = directory / "fluxline.toml"
        directory.mkdir(exist_ok=True)
        text = file.read_text() if file.exists() else '[project]\nname = "ingest"\npipelines = []\n'
        file.write_text(text + ENVIRONMENT.format(label=label, bindings=bindings, **stack.ports))

    def write(self, name: str, data: bytes) -> None:
        (self.directory / "in").mkdir(exist_ok=True)
        with (self.directory / "in" / name).open("ab") as file:
            file.write(data)

    def submit(self, plan: Plan, **options: Any) -> list[str]:
        told: list[str] = []
        submit(plan, self.directory, env="cluster", options=SubmitOptions(**{"told": told.append, **options}))
        return told

    def wait(self, name: str) -> Any:
        found = wait_for_job(name, self.directory, env="cluster", timeout_ms=JOB_MS_MAX)
        assert found.settled
        return found

    def status(self, name: str) -> Any:
        return job_status(name, self.directory, env="cluster")

    def stop(self, name: str, **options: Any) -> Any:
        return stop_job(name, self.directory, env="cluster", **options)

    def values(self, name: str) -> list[bytes]:
        """The records up to where each partition ends now; more may be coming."""
        topic, found = f"{self.label}.{name}", []
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, "group.id": "test", "enable.auto.commit": False})
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            consumer.assign([TopicPartition(topic, number, low)])
            while low < high:
                message = consumer.poll(30)
                assert message is not None
                assert message.error() is None, message.error()
                offset, value = message.offset(), message.value()
                assert offset is not None
                assert value is not None
                if offset < high:
                    found.append(value)
                low = offset + 1
        consumer.close()
        return found

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self.values(name)]

    def topics(self) -> set[str]:
        """Without Kafka's own."""
        found = AdminClient({"bootstrap.servers": self.stack.kafka.bootstrap}).list_topics(timeout=10).topics
        return {name for name in found if not name.startswith("__")}


@pytest.fixture(autouse=True)
def _no_worker_is_left(tmp_path: Path) -> Iterator[None]:
    """End what a test that failed has left; one that went well ends its workers itself."""
    yield
    for record in tmp_path.rglob("deployment.json"):
        end_workers(DeploymentDirectory(record.parent), SystemClock())


def test_the_example_s_files_give_the_same_rows(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """Two files, one of them compressed: 5,000 readings, and those that are broken or late, which come out the same, at the topic's offsets."""
    directory = copy_example(tmp_path / "sensors")
    whole = directory / "data/readings.ndjson.zst"
    (directory / "data/readings.ndjson.gz").write_bytes(gzip.compress(b"".join(read_bytes(whole).splitlines(keepends=True)[:5_000])))
    whole.unlink()
    assert (directory / "data/extra.ndjson").read_bytes().count(b"\n") == 44
    project = Cluster(directory, kafka_and_flink, "files", 'sensor_data = { connection = "files", path = "data/*.ndjson*", ingest = true }')
    (pipeline,) = find_pipelines(str(directory / "sensors.py"))
    told = project.submit(pipeline._plan(), bounded=True)
    assert "sensor_data is in topic files.sensors.sensor_data: 5,044 records" in told
    done = project.wait("sensors")
    assert done.late_dropped in (0, None)
    assert (done.ingested["sensor_data"].moved, done.ingested["sensor_data"].ended, done.lags) == (5_044, True, {})
    report = control.run(pipeline._plan(), directory, env="dev", options=RunOptions(bounded=True))
    assert (report.read, report.rejected) == (5_044, 20)
    assert bag(timed(project.rows("alerts"))) == bag(timed(lines(directory / "out/alerts.ndjson")))
    late = timed(project.rows("late_readings"))
    assert bag(late) == bag(timed(lines(directory / "out/late_readings.ndjson")))
    assert len(late) == report.late > 0
    averages = sorted((row["sensor_id"], time_ms(row["window_start"] + "Z"), row["readings"]) for row in project.rows("hourly_averages"))
    assert averages == sorted((row[0], row[1], row[4]) for row in stored_averages(directory))
    wanted = stored_readings(directory)
    assert {(row["sensor_id"], time_ms(row["timestamp"])): row["temperature"] for row in project.rows("sensor_readings")} == {
        key: row["temperature"] for key, row in wanted.items()
    }
    rejected, expected = project.rows("rejected_readings"), lines(directory / "out/rejected_readings.ndjson")
    assert same_record(rejected) == same_record(expected)
    files = sorted({row["partition"] for row in expected})
    for row in rejected:  # The record stands at this offset of this partition; its file is the one of that number.
        assert base64.b64decode(row["record"]) == record_at(directory, files, int(row["partition"]), row["position"])
    project.stop("sensors")
    assert project.status("sensors").workers == ()


def same_record(rows: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """Rejected rows without their place, the detail, and when."""
    return Counter((row["operator"], row["reason"], row["record"], row["event_time"]) for row in rows)


def record_at(directory: Path, files: list[str], partition: int, offset: int) -> bytes:
    """The line that a record of the topic was: the first file by name is partition 0, and offsets count its lines."""
    names = sorted(path.name for path in (directory / "data").glob("*.ndjson*"))
    assert set(files) <= set(names)
    return (directory / "data" / names[partition]).read_bytes().split(b"\n")[offset].rstrip(b"\r")


TYPES = {
    "id": "BIGINT NOT NULL", "at": "TIMESTAMP_LTZ(3)", "local": "TIMESTAMP(3)", "day": "DATE", "name": "STRING", "flag": "BOOLEAN",
    "small": "INT", "price": "DECIMAL(10, 2)", "share": "DOUBLE", "data": "BYTES", "list": "ARRAY<STRING>",
}  # fmt: skip


def numbers() -> Plan:
    pipeline = Pipeline("numbers")
    pipeline.source("made", schema=dict(TYPES)).filter(col("id") % 2 == 0).sink("even")
    return pipeline._plan()


def made(rows: int, per_second: int) -> str:
    fields = f'{{ id = {{ kind = "sequence", start = 0, end = {rows - 1} }} }}'
    return f'made = {{ connection = "rows", number_of_rows = {rows}, rows_per_second = {per_second}, fields = {fields} }}'


def test_generated_rows(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """Flink has no datagen like ours; a run that is to end has all rows, once. Submitted again nothing is left to move, anew all of it is."""
    project = Cluster(tmp_path, kafka_and_flink, "generated", made(20_000, 1_000_000))
    project.submit(numbers(), bounded=True)
    project.wait("numbers")
    assert sorted(row["id"] for row in project.rows("even")) == list(range(0, 20_000, 2))
    (sink,) = numbers().sinks
    made_rows, even = (decoded(sink.schema.visible(), project.values(name)) for name in ("numbers.made", "even"))
    assert sorted(made_rows["id"]) == list(range(20_000))
    assert sorted_rows(even) == sorted_rows(made_rows.filter(pl.col("id") % 2 == 0))
    assert all(even[name].n_unique() > 1 for name in even.columns if name != "day")  # Made today, all of them.
    project.submit(numbers(), bounded=True)
    project.wait("numbers")
    assert len(project.values("numbers.made")) == 20_000
    project.submit(numbers(), bounded=True, fresh=True)
    project.wait("numbers")
    assert len(project.values("numbers.made")) == 20_000
    (found,) = jobs(project.directory, env="cluster")
    assert "  made: datagen -> topic generated.numbers.made, 20,000 records moved, all of them" in lines_of(found)
    assert as_json(found)["ingests"] == [
        {"source": "made", "topic": "generated.numbers.made", "connector": "datagen", "moved": 20_000, "rejected": 0, "ended": True}
    ]
    project.stop("numbers")
    (project.directory / ".fluxline/cluster/numbers/ingest-made/positions.json").unlink()
    with pytest.raises(RecoveryError, match="is not the one that source") as caught:  # The records would be in it twice.
        project.submit(numbers(), bounded=True)
    assert caught.value.code == "FLX-5803"
    assert len(project.values("numbers.made")) == 20_000


def test_a_worker_that_is_killed_loses_nothing(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """The one that reads is killed in the middle; the other takes over: every row is in the topic, and comes out of Flink."""
    project = Cluster(tmp_path, kafka_and_flink, "killed", made(1_000_000_000, 2_000))
    project.submit(numbers(), workers=2)
    until(lambda: project.status("numbers").ingested["made"].moved > 0)
    reader = reader_of(project)
    assert reader in project.status("numbers").workers
    os.kill(reader, signal.SIGKILL)
    until(lambda: reader not in project.status("numbers").workers)
    at = project.status("numbers").ingested["made"].moved
    until(lambda: project.status("numbers").ingested["made"].moved > at + 2_000)
    until(lambda: max((row["id"] for row in project.rows("even")), default=0) > at + 2_000)
    project.stop("numbers", cancel=True)
    moved = project.status("numbers").ingested["made"].moved
    assert {row["id"] for row in project.rows("numbers.made")} == set(range(moved))
    even = {row["id"] for row in project.rows("even")}
    assert even == set(range(0, max(even) + 1, 2))


def reader_of(project: Cluster) -> int:
    """The worker that holds the source: the one of the two that has the lock's file open and locked."""
    lock = (project.directory / ".fluxline/cluster/numbers/ingest-made/lock").stat()
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and int(fields[5].split(":")[2]) == lock.st_ino:
            return int(fields[4])
    raise AssertionError("nobody reads the source")


def reading(number: int, minute: int) -> bytes:
    return json.dumps({"id": number, "at": f"2024-06-07T10:{minute:02}:00Z"}).encode() + b"\n"


def test_stopped_and_submitted_again_it_goes_on(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """A file that is followed: what comes in between is read by the next submission; every row counts once, in its window."""
    pipeline = Pipeline("followed")
    rows = pipeline.source("rows", schema={"id": "BIGINT NOT NULL", "at": "TIMESTAMP_LTZ(3)"}, event_time="at", watermark="1 second")
    rows.sink("copies")
    rows.window(tumble("10 minutes")).agg(rows=count(), last=col("id").max()).sink("windows")
    plan = pipeline._plan()
    project = Cluster(tmp_path, kafka_and_flink, "goes_on", 'rows = { connection = "files", follow = true, ingest = true }')
    project.write("rows.ndjson", reading(1, 1) + reading(2, 2))
    project.submit(plan)
    until(lambda: len(project.values("copies")) == 2)
    stopped = project.stop("followed")
    assert (stopped.savepoint is not None, stopped.workers) == (True, 1)
    said = (project.directory / ".fluxline/cluster/followed/worker-1.log").read_text()
    assert said == "followed: reads rows\n  rows: moved 2 records\n"
    project.write("rows.ndjson", reading(3, 3) + reading(4, 21))
    Event().wait(1)
    assert len(project.values("followed.rows")) == 2, "nobody reads it meanwhile"
    project.submit(plan)
    until(lambda: project.values("windows") != [])
    assert project.status("followed").ingested["rows"].moved == 4
    ((row),) = project.rows("windows")
    assert (row["rows"], row["last"]) == (3, 3)
    assert sorted(row["id"] for row in project.rows("copies")) == [1, 2, 3, 4]
    project.stop("followed", cancel=True)


def test_a_submission_that_fails_leaves_no_topic_and_no_worker(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """A job that fails when it begins, with the rows in their topic; and rows without end, which a job that is to end cannot have."""
    more = 'delivery_guarantee = "exactly_once", properties_java = { "transaction.timeout.ms" = "3600000" }'
    project = Cluster(tmp_path, kafka_and_flink, "half", f"{made(100, 1_000_000)}\neven = {{ {more} }}")
    before = project.topics()
    told: list[str] = []
    with pytest.raises(FluxlineError, match="transaction timeout") as caught:
        project.submit(numbers(), bounded=True, told=told.append)
    assert caught.value.code == "FLX-4506"
    assert "made is in topic half.numbers.made: 100 records" in told
    endless = Cluster(tmp_path / "endless", kafka_and_flink, "endless", 'made = { connection = "rows" }')
    with pytest.raises(ConfigError, match="without end"):
        endless.submit(numbers(), bounded=True)
    assert project.topics() == before
    assert jobs(project.directory, env="cluster") == []
    assert not list(tmp_path.rglob("deployment.json"))
    assert not list(tmp_path.rglob("running.json"))
