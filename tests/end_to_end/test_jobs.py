"""Submitted jobs as their user sees them: operators and lines, watermarks, failures, and a job that goes on over more partitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # it is there

from fluxline.cli.main import fluxline
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.jobs import job_status, stop_job, wait_for_job
from fluxline.control.submit import submit
from fluxline.errors import ExternalError
from fluxline.pipeline.discovery import find_pipelines
from tests.end_to_end.stack_project import make_topic, until, values_of

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.plan.nodes import Plan
    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers

PIPELINE = """\
from datetime import datetime

from fluxline import Pipeline, Schema, col, count, tumble


class Row(Schema):
    id: int
    number: int
    at: datetime


p = Pipeline("p")
rows = p.source("rows", schema=Row, event_time="at", watermark="3 seconds")
rest = rows.with_columns(rest=col("id") % col("number")).named("rest")
typed = rest.filter(col("id") >= 0).with_columns(text=col("rest").cast("STRING")).named("typed")
counted = typed.window(tumble("10 seconds")).agg(rows=count(), last=col("text").max())
counted.sink("counted")
counted.late.sink("late")
rows.select("id").sink("seen")
"""
PROJECT = """\
[project]
name = "p"
pipelines = ["p.py"]
default_environment = "stack"

[environments.stack]
engine = "flink"
topics = "kafka"
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["{bootstrap}"], format = "json", topic = "{label}.{{name}}" }}

[environments.stack.flink]
gateway = "{gateway}"
rest = "{rest}"
parallelism = 1
checkpoint_interval = "1 second"
"""


class Project:
    """The pipeline in a directory, with topics of its own."""

    def __init__(self, directory: Path, stack: Stack, label: str, partitions: int) -> None:
        self.directory, self.stack, self.label = directory, stack, label
        (directory / "p.py").write_text(PIPELINE)
        flink = stack.flink
        (directory / "fluxline.toml").write_text(PROJECT.format(bootstrap=stack.kafka.bootstrap, label=label, gateway=flink.gateway, rest=flink.rest))
        make_topic(stack, f"{label}.rows", partitions)

    def plan(self) -> Plan:
        (pipeline,) = find_pipelines(str(self.directory / "p.py"))
        return pipeline._plan()

    def fill(self, *rows: tuple[int, int, int], number: int = 7) -> None:
        """Rows of (partition, id, second)."""
        producer = Producer({"bootstrap.servers": self.stack.kafka.bootstrap, "enable.idempotence": True})
        for partition, identity, second in rows:
            row = {"id": identity, "number": number, "at": f"2026-01-01T00:00:{second:02}Z"}
            producer.produce(f"{self.label}.rows", json.dumps(row).encode(), partition=partition)
        assert producer.flush(30) == 0

    def topic(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(value) for value in values_of(self.stack, f"{self.label}.{name}")]

    def line(self, text: str) -> int:
        (number,) = (number for number, line in enumerate(PIPELINE.splitlines(), 1) if line.startswith(text))
        return number

    def command(self, *words: str) -> str:
        """What a command of Fluxline says."""
        result = CliRunner().invoke(fluxline, list(words))
        assert result.exit_code == 0, result.stderr
        return str(result.stdout)


def test_a_job_in_its_users_words(kafka_and_flink: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watermarks and records while it runs; then a step divides by zero, and its line is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)
    project = Project(tmp_path, kafka_and_flink, "words", 2)
    found = project.command("check", "--connect")
    assert 'source rows at kafka: topic "words.rows" has 2 partitions' in found
    assert 'sink counted at kafka: topic "words.counted" is not there and will be made' in found
    assert " slots are free; the job needs 1\n" in found
    project.fill((0, 1, 1), (0, 2, 25), (1, 3, 20), (1, 4, 24))
    submit(project.plan(), tmp_path)
    try:

        def window_is_told() -> bool:
            status = job_status("p", tmp_path)
            assert status.vertices is not None
            marks = [vertex.watermark_ms for vertex in status.vertices if any("aggregate" in each.name for each in vertex.operators)]
            return len(marks) > 0 and all(mark == 1_767_225_621_000 for mark in marks)  # The smaller of 25 s and 24 s, less 3 s.

        until(window_is_told)
        text = project.command("jobs", "p")
        assert f"rest (p.py:{project.line('rest =')}), " in text
        assert f"typed/aggregate/tumble(10 seconds) (p.py:{project.line('counted =')})" in text
        assert "watermark 2026-01-01T00:00:21.000Z, " in text
        assert "no operator of the pipeline" not in text
        (told,) = json.loads(project.command("jobs", "p", "-o", "json"))["pipelines"]
        assert told["vertices"][0]["records_in"] == 4
        assert "it runs already, as job " in project.command("check", "--connect")
        project.fill((0, 5, 26), number=0)
        until(lambda: job_status("p", tmp_path).failure is not None)
        failure = job_status("p", tmp_path).failure
        assert failure is not None
        assert failure.error.fact.endswith(' on Flink, in "rest"')
        assert failure.error.place is not None
        assert (failure.error.place.file, failure.error.place.line) == (str(tmp_path / "p.py"), project.line("rest ="))
        assert (failure.kind, failure.message) == ("ArithmeticException", "/ by zero")
    finally:
        stop_job("p", tmp_path, cancel=True)
    with pytest.raises(ExternalError, match='in "rest"') as raised:
        wait_for_job("p", tmp_path)
    assert raised.value.code == "FLX-4506"


def test_a_job_goes_on_over_more_partitions_than_it_began_with(kafka_and_flink: Stack, tmp_path: Path) -> None:
    """What it remembers of its partitions holds, and the new one is read from its beginning and judged by itself."""
    project = Project(tmp_path, kafka_and_flink, "grows", 2)
    project.fill((0, 1, 1), (0, 2, 25), (1, 3, 1))
    submit(project.plan(), tmp_path)
    until(lambda: len(project.topic("seen")) == 3)
    assert stop_job("p", tmp_path).savepoint is not None
    admin = AdminClient({"bootstrap.servers": kafka_and_flink.kafka.bootstrap})
    admin.create_partitions([NewPartitions("grows.rows", 3)])["grows.rows"].result(30)
    project.fill((0, 4, 5), (1, 5, 12), (2, 6, 1), (2, 7, 5), (2, 8, 30), (2, 9, 2))
    submit(project.plan(), tmp_path)
    until(lambda: len(project.topic("seen")) == 9)
    stop_job("p", tmp_path, drain=True)
    # 4 is behind 25 s of its partition, which the first job read; 9 is behind 30 s of its own.
    assert sorted(row["id"] for row in project.topic("late")) == [4, 9]
    counted = {row["window_start"][-8:]: row["rows"] for row in project.topic("counted")}
    assert counted == {"00:00:00": 4, "00:00:10": 1, "00:00:20": 1, "00:00:30": 1}
    kept = DeploymentDirectory(tmp_path / ".fluxline/stack/p").read()
    assert kept is not None
    assert kept.partitions == {"rows": 2}
