"""Savepoint, rescale and restore on real servers: nothing is lost and nothing is doubled, by a count of what was produced."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition

from fluxline.cli.main import fluxline
from fluxline.clock import SystemClock
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.jobs import job_status
from fluxline.control.submit import Submission
from fluxline.control.worker_processes import end_workers
from fluxline.engines.flink.rest import Cluster
from fluxline.engines.flink.retained import Ends, ends_of
from fluxline.errors import ExternalError
from fluxline.stack.lifecycle import Start, kill, restart
from tests.end_to_end.stack_project import make_topic, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers

PIPELINE = """\
from datetime import datetime

from fluxline import Pipeline, Schema, col, count, tumble


class Row(Schema):
    id: int
    at: datetime


p = Pipeline("p")
rows = p.source("rows", schema=Row, event_time="at", watermark="3 seconds")
counted = rows.filter(col("id") >= 0).window(tumble("10 seconds")).agg(rows=count(), first=col("id").min())
counted.sink("counted")
counted.late.sink("late")
rows.select("id").sink("seen")
"""
PROJECT = """\
[project]
name = "restores"
pipelines = ["p.py"]
default_environment = "stack"

[environments.stack]
engine = "flink"
topics = "kafka"
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", topic = "{label}.{{name}}" }}
connections.files = {{ connector = "filesystem", path = "in/*.ndjson", format = "json" }}

[environments.stack.flink]
gateway = "{gateway}"
rest = "{rest}"
parallelism = 1
checkpoint_interval = "1 second"

[environments.stack.bindings]
counted = {{ delivery_guarantee = "exactly_once" }}
late = {{ delivery_guarantee = "exactly_once" }}
seen = {{ delivery_guarantee = "exactly_once" }}
"""
ROWS_PER_SECOND = 50  # Of event time: 500 rows per window.


class Project:
    """The pipeline in a directory, with topics of its own."""

    def __init__(self, directory: Path, stack: Stack, label: str, bindings: str = "") -> None:
        self.directory, self.stack, self.label = directory, stack, label
        (directory / "p.py").write_text(PIPELINE)
        flink = stack.flink
        text = PROJECT.format(bootstrap=stack.kafka.bootstrap, label=label, gateway=flink.gateway, rest=flink.rest)
        (directory / "fluxline.toml").write_text(text + bindings)

    def command(self, *words: str, code: int = 0) -> str:
        """What a command of Fluxline says."""
        result = CliRunner().invoke(fluxline, list(words))
        assert result.exit_code == code, result.output
        return result.output

    def told(self, *words: str) -> Any:
        """The same as JSON."""
        result = CliRunner().invoke(fluxline, [*words, "-o", "json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def committed(self, name: str) -> list[dict[str, Any]]:
        """The records of a topic that a reader of committed ones sees."""
        settings = {"group.id": "test", "enable.partition.eof": True, "isolation.level": "read_committed"}
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, **settings})
        topic = f"{self.label}.{name}"
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        found, ended = list[dict[str, Any]](), 0
        while ended < len(numbers):
            for message in consumer.consume(10_000, 1):
                if message.error() is not None:
                    ended += 1
                else:
                    found.append(json.loads(message.value() or b""))
        consumer.close()
        return found

    def parallelism(self) -> int:
        """That of the job which runs, by the cluster's own word."""
        status = job_status("p", self.directory)
        assert status.job is not None
        assert status.state == "RUNNING"
        return max(vertex.parallelism for vertex in status.job.vertices)


def row(identity: int) -> bytes:
    minutes, seconds = divmod(identity // ROWS_PER_SECOND, 60)
    return json.dumps({"id": identity, "at": f"2026-01-01T00:{minutes:02}:{seconds:02}Z"}).encode()


class Feed:
    """Puts rows into a topic from a thread, odd ones into one partition and even ones into the other, until it is closed."""

    def __init__(self, stack: Stack, topic: str) -> None:
        self.produced = 0
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": stack.kafka.bootstrap, "enable.idempotence": True})
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(0.05):
            for _ in range(10):
                self._producer.produce(self._topic, row(self.produced), partition=self.produced % 2)
                self.produced += 1
            self._producer.poll(0)

    def close(self) -> int:
        """Stop; how many rows there are."""
        self._closing.set()
        self._thread.join()
        assert self._producer.flush(30) == 0
        del self._producer  # One that lives on would look for brokers that are gone.
        return self.produced


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands are given in the project's folder; what a test that failed has left is ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)
    yield
    for record in tmp_path.rglob("deployment.json"):
        end_workers(DeploymentDirectory(record.parent), SystemClock())


def windows_of(count: int) -> Counter[tuple[str, int, int]]:
    """Start, rows and first id of each window of so many rows, by arithmetic: rows come in the order of their times."""
    size = 10 * ROWS_PER_SECOND
    starts = [(f"{first // ROWS_PER_SECOND // 60:02}:{first // ROWS_PER_SECOND % 60:02}", first) for first in range(0, count, size)]
    return Counter((start, min(size, count - first), first) for start, first in starts)


def fails_once(step: Callable[[Submission, str], None]) -> Callable[[Submission, str], None]:
    """The first checkpoint of a submission as it is, but the first time something goes wrong when it is done, and rows are committed."""
    left = ["FLX-4506"]

    def checkpoint(submission: Submission, job_id: str) -> None:
        step(submission, job_id)
        if left:
            raise ExternalError(left.pop(), "something goes wrong")

    return checkpoint


def test_nothing_is_lost_and_nothing_doubled(kafka_and_flink: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A savepoint, parallelism 1, 2 and 1, a rescale that fails when it has written, and the loss of the job manager, all under input."""
    stack = kafka_and_flink
    project = Project(tmp_path, stack, "restores")
    make_topic(stack, "restores.rows", 2)
    feed = Feed(stack, "restores.rows")
    project.command("submit")
    until(lambda: len(project.committed("seen")) > 0)
    savepoint = project.told("savepoint", "p")["savepoint"]
    assert ends_of(savepoint) == Ends(frozenset({"rows"}), frozenset({"counted", "late", "seen"}))
    assert "FLX-4510" in project.command("savepoint", "p", "--set", 'flink.savepoint_directory="file:///proc/none"', code=1)
    refused = project.command("rescale", "p", "--parallelism", "3", code=1)
    assert 'FLX-4535  "p" cannot go on with parallelism 3' in refused
    assert "Take at most 2" in refused
    assert project.parallelism() == 1
    monkeypatch.setattr(Submission, "checkpoint", fails_once(Submission.checkpoint))
    assert "It goes on with parallelism 1, as job" in project.command("rescale", "p", "--parallelism", "2", code=1)
    assert project.parallelism() == 1
    for copies in (2, 1):
        project.command("rescale", "p", "--parallelism", str(copies))
        assert project.parallelism() == copies
    cluster = Cluster(stack.flink.rest)
    before = job_status("p", tmp_path).deployment
    seen = len(project.committed("seen"))
    until(lambda: len(project.committed("seen")) > seen and cluster.latest_checkpoint(before.job_id) is not None)
    assert kill("jobmanager", stack.directory) == ["jobmanager"]
    try:
        assert "fluxline restore p --env stack" in project.command("jobs", code=1)
    finally:
        restart("jobmanager", stack.directory, Start(die_with_parent=True), lambda _line: None)
    assert len(project.committed("seen")) < feed.produced, "there was something left to read"
    (gone,) = project.told("jobs")["pipelines"]
    assert gone["state"] == "GONE"
    assert f"/{before.job_id}/chk-" in gone["lost"]["begins"]
    assert "bring it back: fluxline restore p --env stack" in project.command("jobs")
    assert "FLX-5807" in project.command("submit", code=1)
    project.command("restore", "p")
    assert job_status("p", tmp_path).deployment.began_from == gone["lost"]["begins"]
    assert "FLX-4520" in project.command("restore", "p", code=1)
    produced = feed.close()
    until(lambda: len(project.committed("seen")) >= produced)
    project.command("stop", "--drain")
    assert Counter(each["id"] for each in project.committed("seen")) == Counter(range(produced))
    assert Counter((each["window_start"][14:19], each["rows"], each["first"]) for each in project.committed("counted")) == windows_of(produced)
    assert project.committed("late") == []
    assert "FLX-5806" in project.command("restore", "p", code=1)


def test_workers_go_on_and_a_condition_may_change(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """The worker that reads the files outlives its job; a filter with another condition finds the open window; other steps are refused."""
    (tmp_path / "in").mkdir()
    for name, first in (("a", 0), ("b", 1)):
        (tmp_path / "in" / f"{name}.ndjson").write_bytes(b"".join(row(identity) + b"\n" for identity in range(first, 400, 2)))
    project = Project(tmp_path, kafka_and_flink, "kept", 'rows = { connection = "files", ingest = true }\n')
    project.command("submit")
    until(lambda: len(project.committed("seen")) == 400)
    (worker,) = job_status("p", tmp_path).workers
    project.command("rescale", "p", "--parallelism", "2")
    assert (project.parallelism(), job_status("p", tmp_path).workers) == (2, (worker,))
    Cluster(kafka_and_flink.flink.rest).cancel(job_status("p", tmp_path).deployment.job_id)
    os.kill(worker, 9)
    until(lambda: job_status("p", tmp_path).lost is not None)
    project.command("restore", "p")
    assert project.parallelism() == 2, "as it was"
    (other,) = job_status("p", tmp_path).workers
    assert other != worker
    project.command("stop")
    text = (tmp_path / "p.py").read_text()
    (tmp_path / "p.py").write_text(text.replace('tumble("10 seconds")', 'tumble("20 seconds")'))
    refused = project.command("submit", code=1)
    assert "FLX-5801" in refused
    assert '"rows/aggregate/tumble(20 seconds)"' in refused
    (tmp_path / "p.py").write_text(text.replace('col("id") >= 0', 'col("id") >= 450'))
    for name, first in (("a", 400), ("b", 401)):
        with (tmp_path / "in" / f"{name}.ndjson").open("ab") as file:
            file.write(b"".join(row(identity) + b"\n" for identity in range(first, 500, 2)))
    assert "conditions have changed in rows/filter" in project.command("submit", "--set", "flink.parallelism=2")
    until(lambda: len(project.committed("seen")) == 500)
    project.command("stop", "--drain")
    assert Counter(each["id"] for each in project.committed("seen")) == Counter(range(500))
    (window,) = project.committed("counted")
    assert (window["rows"], window["first"]) == (400 + 50, 0), "those before, and those that the new condition keeps"
