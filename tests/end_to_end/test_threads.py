"""The threads of a job: back pressure, reports at any moment, and no end leaves anything behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fluxline import Pipeline, control
from fluxline.clock import SystemClock
from fluxline.connectors import CONNECTORS
from fluxline.dictionary import Entry
from fluxline.errors import FunctionFailed
from fluxline.limits import CHANNEL_BATCHES_MAX
from tests.end_to_end.connectors import ROWS, STEERING
from tests.end_to_end.processes import python, read_all, running, wait_until
from tests.end_to_end.projects import EXAMPLE, STORE, Reading, reading, run, sensors, write_project
from tests.reference.sensors import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from fluxline.control.job import Job

JOBS: list[Job] = []
"""What a failed test may have left running."""
BLOCKS = '{ connection = "faulty", fault = "block" }'


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose source never ends, with a sink `alerts` that goes to a file; at the end no thread is left."""
    for word in ("endless", "faulty"):
        monkeypatch.setitem(CONNECTORS, word, Entry(f"tests.end_to_end.connectors:{word.upper()}"))
    STEERING.reset()
    before = set(threading.enumerate())
    yield tmp_path
    STEERING.gate.set()
    for job in JOBS:
        job.cancel()
    JOBS.clear()
    wait_until(lambda: set(threading.enumerate()) <= before, f"the end of {set(threading.enumerate()) - before}")


def project(directory: Path, source: str = "", sink: str = "") -> Path:
    """The endless source with these options, and the sink `alerts` bound to this."""
    connections = '[environments.dev.connections.endless]\nconnector = "endless"\n[environments.dev.connections.faulty]\nconnector = "faulty"\n'
    separator = ", " if source else ""
    return write_project(directory, f'connection = "endless"{separator}{source}', (f"alerts = {sink}\n" if sink else "") + connections)


def start(directory: Path) -> Job:
    """The sensors pipeline in the background."""
    JOBS.append(control.start(sensors()._plan(), directory))
    return JOBS[-1]


def assert_free(directory: Path) -> None:
    """Nothing of the ended job holds the pipeline, its files or its store."""
    write_project(directory, 'path = "data/readings.ndjson"')
    (directory / "data/readings.ndjson").write_bytes(reading(1, "10:00:00", 30.0))
    assert run(sensors(), directory, fresh=True).written["sensor_readings"] == 1


# Back pressure
def test_a_sink_that_waits_makes_the_source_wait(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read ahead is bounded by the channels; a report balances meanwhile; when the sink goes on, so does the rest."""
    monkeypatch.setattr("fluxline.engines.embedded.job.REPORT_WAIT_SECONDS", 1)
    job = start(project(endless, sink=BLOCKS))
    assert STEERING.blocked.wait(30)
    settled = -1
    while settled != STEERING.reads:
        settled = STEERING.reads
        SystemClock().wait(threading.Event(), 200)
    # Two channels in a row, and a batch in the hands of each of the three threads.
    assert CHANNEL_BATCHES_MAX <= STEERING.reads <= 2 * CHANNEL_BATCHES_MAX + 3
    report = job.report  # of before: the operators are in the middle of a batch, and stay there
    assert report.imbalances() == []
    assert report.read <= settled * ROWS
    assert STEERING.reads == settled
    STEERING.gate.set()
    read_all(job, 4 * CHANNEL_BATCHES_MAX * ROWS)
    report = job.stop()
    assert report.imbalances() == []
    assert report.read == STEERING.reads * ROWS
    assert report.operators["sink alerts"].held == 0


MEASURED = """
import sys
from pathlib import Path
from tests.end_to_end.projects import run, sensors
sys.stdout.write(str(run(sensors(), Path(sys.argv[1]), fresh=True).peak_memory_bytes))
"""


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Five times the input, the largest resident memory within 1.4 times."""
    data = read_bytes(EXAMPLE / "data/readings.ndjson.zst")
    sizes = []
    for count in (33_000, 165_000):
        directory = write_project(tmp_path / str(count))
        (directory / "data/readings.ndjson").write_bytes(b"".join(data.splitlines(keepends=True)[:count]))
        with running(python(MEASURED, directory, str(directory))) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        sizes.append(int(out))
    assert sizes[1] < 1.4 * sizes[0], sizes


# Reports
def test_fifty_reports_of_a_running_job(endless: Path) -> None:
    """Each balances, and none counts back."""
    job = start(project(endless))
    reads = []
    for _ in range(50):
        report = job.report
        assert report.imbalances() == []
        reads.append(report.read)
    assert not job.finished
    assert reads == sorted(reads)
    assert reads[-1] > reads[0]
    assert job.stop().imbalances() == []


def test_reports_while_files_come_and_go(tmp_path: Path) -> None:
    """Partitions are opened and finished by another thread than the one that reports."""
    directory = write_project(tmp_path)
    for number in range(200):
        (directory / f"data/{number:03}.ndjson").write_bytes(reading(number, "10:00:00", 30.0))
    job = start(directory)
    reports = 0
    while not job.finished:
        report = job.report
        assert report.imbalances() == []
        reports += 1
    assert job.wait().read == 200
    assert reports > 10


def test_another_process_sees_rows_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also rows that no flush has brought to the disk."""
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_MS", 3_600_000)
    directory = write_project(tmp_path, 'path = "data/readings.ndjson", follow = true')
    (directory / "data/readings.ndjson").write_bytes(reading(1, "10:00:00", 30.0) + reading(2, "10:00:00", 20.0))
    script = """
import sys, threading
from fluxline.store.client import query
while (rows := query(sys.argv[1], "SELECT sensor_id, temperature FROM sensor_readings ORDER BY 1").rows()) == []:
    threading.Event().wait(0.02)
sys.stdout.write(repr(rows))
"""
    with start(directory) as job:
        read_all(job, 2)
        with running(python(script, directory, str(directory / STORE))) as process:
            out, err = process.communicate(timeout=60)
        assert out == "[(1, 30.0), (2, 20.0)]", err
        assert not job.finished


# Ends
@pytest.mark.parametrize("fault", ["write", "flush"])
def test_a_sink_that_breaks(fault: str, endless: Path) -> None:
    """The job ends with the sink's own error, and nothing is held."""
    job = start(project(endless, sink=f'{{ connection = "faulty", fault = "{fault}" }}'))
    with pytest.raises(RuntimeError, match=f"^the sink broke in {fault}$"):
        job.wait(timeout="60 seconds")
    assert job.finished
    assert_free(endless)


@pytest.mark.parametrize("fault", ["prepare", "commit", "close"])
def test_a_sink_that_breaks_at_the_stop(fault: str, endless: Path) -> None:
    """Likewise; whether the stop was saved depends on which side of it the sink broke; the other sinks are closed."""
    job = start(project(endless, sink=f'{{ connection = "faulty", fault = "{fault}" }}'))
    read_all(job, ROWS)
    with pytest.raises(RuntimeError, match=f"^the sink broke in {fault}$"):
        job.stop()
    saved = [path.name for path in (endless / ".fluxline/dev/sensors").glob("stop-*")]
    assert saved == ([] if fault == "prepare" else ["stop-000001"])
    assert (endless / ".fluxline/dev/sensors/running.json").exists() == (fault != "close")
    assert_free(endless)


def test_a_source_that_breaks(endless: Path) -> None:
    """The job ends with the source's own error."""
    job = start(project(endless, source="break_at = 20"))
    with pytest.raises(RuntimeError, match="the source broke"):
        job.wait(timeout="60 seconds")
    assert not list((endless / ".fluxline/dev/sensors").glob("stop-*"))
    assert_free(endless)


def test_an_operator_that_breaks(endless: Path) -> None:
    """The job ends with the operator's own error, though a source is in the middle of a read; nobody reads what was closed."""
    pipeline = Pipeline("sensors")
    readings = pipeline.source("sensor_data", schema=Reading, event_time="timestamp")

    def breaks(frame: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("the function broke")

    readings.map_batches(breaks, schema=Reading, on_error="fail").sink("alerts")
    job = control.start(pipeline._plan(), project(endless, source="pause_ms = 150"))
    with pytest.raises(FunctionFailed) as caught:
        job.wait(timeout="60 seconds")
    assert (caught.value.code, caught.value.detail) == ("FLX-3012", "ValueError: the function broke")
    assert STEERING.closed
    assert STEERING.reads_after_close == 0
    assert_free(endless)


@pytest.mark.parametrize("busy", [False, True])
def test_cancel(busy: bool, endless: Path) -> None:
    """Ends now, also while the channels are full; nothing is saved."""
    job = start(project(endless, sink=BLOCKS if busy else ""))
    read_all(job, ROWS)
    if busy:
        assert STEERING.blocked.wait(30)
        threading.Timer(0.3, STEERING.gate.set).start()
    job.cancel()
    assert job.finished
    assert STEERING.reads_after_close == 0
    assert not list((endless / ".fluxline/dev/sensors").glob("stop-*"))
    assert_free(endless)


def test_leaving_the_block_stops_cleanly(endless: Path) -> None:
    """A job is a context manager."""
    with start(project(endless)) as job:
        read_all(job, ROWS)
    assert job.finished
    assert job.report.read == STEERING.reads * ROWS
    assert [path.name for path in (endless / ".fluxline/dev/sensors").glob("stop-*")] == ["stop-000001"]
    assert_free(endless)


def test_leaving_the_block_by_an_error_ends_now(endless: Path) -> None:
    """The error of the block is the one that is raised, and nothing is saved."""
    with pytest.raises(KeyError, match="mine"), start(project(endless)) as job:
        read_all(job, ROWS)
        raise KeyError("mine")
    assert job.finished
    assert not list((endless / ".fluxline/dev/sensors").glob("stop-*"))
    assert_free(endless)


def test_leaving_the_block_of_a_job_that_failed(endless: Path) -> None:
    """A failure that nobody was told is raised at the end of the block; one that was told is not told twice."""
    with pytest.raises(RuntimeError, match="the source broke"), start(project(endless, source="break_at = 3")) as job:
        wait_until(lambda: job.finished, "the failure")
    STEERING.reset()
    with start(endless) as job, pytest.raises(RuntimeError, match="the source broke"):
        job.wait(timeout="60 seconds")
    assert_free(endless)
