"""What is Flink's own: what it refuses by name, how a failure is told, and the option that starts the servers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import polars as pl
import pytest
from confluent_kafka.admin import AdminClient

from fluxline import Pipeline, Schema, col, count
from fluxline.clock import SystemClock
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.errors import ExternalError, UnsupportedByEngine
from fluxline.schema import Field, TableSchema, parse_type
from fluxline.testing import Drive
from fluxline.testing.flink_records import encode
from fluxline.types import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.stack.running import Stack

NOW = "2026-05-04T12:30Z"
ROOT = Path(__file__).parents[2]
TOPICS_GONE_MS_MAX = 10_000  # A broker tells of a topic for a moment after it was taken away.
TEST_MS_MAX = 240_000  # Of a whole session with servers of its own, on a machine that is busy.


class Placed(Schema):
    id: int
    offset: Annotated[int, Metadata("offset")]


@pytest.fixture
def on_flink(kafka_and_flink: Stack) -> Iterator[Drive]:
    made = Drive(kafka_and_flink)
    try:
        yield made
    finally:
        made.close()


def refusal(error: pytest.ExceptionInfo[UnsupportedByEngine]) -> str:
    assert error.value.code == "FLX-2680"
    assert error.value.hint
    return error.value.fact


@pytest.mark.servers
def test_what_is_refused_by_name(on_flink: Drive) -> None:
    """Before anything is run."""
    pipeline = Pipeline("refused")
    source = pipeline.source("rows", schema={"id": "BIGINT NOT NULL"})
    sink = source.group_by("id", ttl="forever").agg(rows=count()).sink("counts", key=["id"])
    with pytest.raises(UnsupportedByEngine) as refused:
        on_flink(pipeline, now="1969-12-31T23:00Z")
    assert refusal(refused) == "a run cannot begin before 1970"
    run = on_flink(pipeline, now=NOW)
    with pytest.raises(UnsupportedByEngine) as refused:
        run.advance_clock("60001 ms")
    assert refusal(refused) == "time does not pass so fast on Flink"
    with pytest.raises(UnsupportedByEngine) as refused:
        run.changelog(sink)
    assert refusal(refused) == "Flink does not tell the changelog of an updating output"


@pytest.mark.servers
def test_a_source_with_metadata_is_refused(on_flink: Drive) -> None:
    pipeline = Pipeline("metadata")
    pipeline.source("rows", schema=Placed).sink("out")
    with pytest.raises(UnsupportedByEngine) as refused:
        on_flink(pipeline, now=NOW)
    assert refusal(refused) == 'source "rows" has metadata'


def test_a_value_that_json_does_not_carry_is_refused() -> None:
    schema = TableSchema((Field("id", parse_type("BIGINT NOT NULL")), Field("x", parse_type("DOUBLE"))))
    frame = pl.DataFrame({"id": [1, None], "x": [0.5, None]})
    assert encode(frame, schema) == [b'{"id":1,"x":0.5}', b'{"id":null,"x":null}'], "NULL where none may be is the job's to reject"
    with pytest.raises(UnsupportedByEngine) as refused:
        encode(pl.DataFrame({"id": [1], "x": [float("nan")]}), schema)
    assert refusal(refused) == "a pushed row cannot be told in JSON, which Flink reads"


@pytest.mark.servers
def test_a_row_that_fails_the_job(on_flink: Drive, kafka_and_flink: Stack) -> None:
    """The test hears of it with Flink's cause, at once and again; and nothing is left behind."""
    pipeline = Pipeline("failing")
    source = pipeline.source("rows", schema={"id": "BIGINT NOT NULL", "parts": "BIGINT NOT NULL"})
    sink = source.select("id", part=col("id") // col("parts")).sink("out")
    run = on_flink(pipeline, now=NOW)
    run.push(source, {"id": 7, "parts": 2})
    assert run.rows(sink) == [{"id": 7, "part": 3}]
    run.push(source, {"id": 8, "parts": 0})
    for _attempt in range(2):
        with pytest.raises(ExternalError, match='"failing" ended as FAILED') as raised:
            run.rows(sink)
        assert raised.value.code == "FLX-4506"
        assert raised.value.detail == "ArithmeticException: / by zero"
    on_flink.close()
    admin, clock = AdminClient({"bootstrap.servers": kafka_and_flink.kafka.bootstrap}), SystemClock()
    deadline_ms = clock.monotonic_ms() + TOPICS_GONE_MS_MAX
    while any(topic.startswith("drive-") for topic in admin.list_topics(timeout=10).topics):
        assert clock.monotonic_ms() < deadline_ms, "topics are left behind"
        clock.wait(Event(), 100)
    told = Cluster(kafka_and_flink.flink.rest).transport.ask("GET", "/jobs/overview")
    assert {job["state"] for job in told["jobs"] if job["name"] == "failing"} <= ENDED


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A session of its own."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TEST_MS_MAX / 1000, check=False)


@pytest.mark.servers
def test_the_option_runs_the_same_test_on_flink() -> None:
    """Servers that the session starts and ends; half a minute of the test is time that it lets pass."""
    done = run_pytest("--fluxline-engine=flink", "tests/api/examples/controlled_time.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "[100%]" in done.stdout


def test_another_engine_is_refused() -> None:
    done = run_pytest("--fluxline-engine=spark", "tests/api/examples/controlled_time.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'spark'" in done.stderr
