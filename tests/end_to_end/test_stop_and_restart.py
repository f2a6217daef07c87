"""Stopping and going on: several runs over a growing file give what one undisturbed run gives, and each says where it starts."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from fluxline import control
from fluxline.errors import FluxlineError, RecoveryError, ResourceBusy
from fluxline.store.client import query
from tests.end_to_end.processes import command, read_all, running, wait_until
from tests.end_to_end.projects import (
    EXAMPLE,
    STORE,
    assert_ledger,
    assert_outputs,
    bag,
    lines,
    run,
    sensors,
    stored_averages,
    timed_lines,
    write_project,
)
from tests.reference.mutate import mutate
from tests.reference.sensors import compute, read_bytes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from fluxline.control.job import Job
    from fluxline.pipeline.pipeline import Pipeline
    from tests.reference.sensors import Expected

FOLLOW = 'path = "data/*.ndjson", follow = true'


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """9,000 readings of which 60 are late, and 20 records that are no reading."""
    directory = tmp_path_factory.mktemp("input")
    file = directory / "first.ndjson"
    file.write_bytes(b"".join(read_bytes(EXAMPLE / "data/readings.ndjson.zst").splitlines(keepends=True)[60_000:69_000]))
    (directory / "mutated").mkdir()
    rows = mutate(file, directory / "mutated", 5, added=300, deleted=300, late=60).read_bytes().splitlines(keepends=True)
    for place in range(0, 9_000, 450):
        rows[place] += b'{"sensor_id": "one"}\n'
    return b"".join(rows)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example's pipeline over a file that grows."""
    write_project(tmp_path, FOLLOW)
    shutil.copy(EXAMPLE / "sensors.py", tmp_path)
    return tmp_path


@pytest.fixture
def pipeline(project: Path) -> Pipeline:
    """The same definition as the project's file has, in this process."""
    return sensors()


def feed(project: Path, data: bytes) -> None:
    """Let the file grow."""
    with (project / "data/readings.ndjson").open("ab") as file:
        file.write(data)


def start(pipeline: Pipeline, project: Path) -> Job:
    """Run on in this process, without end."""
    return control.start(pipeline._plan(), project)


def assert_undisturbed(pipeline: Pipeline, project: Path) -> None:
    """Read the rest and end the input: files, tables and ledger are those of one run over the whole file."""
    report = run(pipeline, project)
    expected = compute([project / "data/readings.ndjson"])
    assert expected.late
    assert expected.rejected
    assert_outputs(project, expected)
    assert_ledger(report, expected)


# Clean stops
def test_two_stops_in_the_middle_of_lines(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Each run goes on from the stop before it; the ledger counts over all of them; the end is known as such."""
    parts = content[:300_007], content[300_007:700_001], content[700_001:]
    for number, part in enumerate(parts[:2]):
        feed(project, part)
        whole_lines = (project / "data/readings.ndjson").read_bytes().count(b"\n")
        job = start(pipeline, project)
        read_all(job, whole_lines)
        report = job.stop()
        assert report.imbalances() == []
        assert report.read == whole_lines
        assert report.operators["sensor_data/aggregate/sensor_id/tumble(1 hour)"].held > 0
        assert [note.split(" of ")[0] for note in report.notes] == ["Going on from the clean stop"] * number
    feed(project, parts[2])
    assert_undisturbed(pipeline, project)
    before = (project / "out/alerts.ndjson").read_bytes()
    again = run(pipeline, project)
    assert "The last run read its input to the end, " in again.notes[0]
    assert again.notes[0].endswith("; nothing is left to do. --fresh starts over.")
    assert_ledger(again, compute([project / "data/readings.ndjson"]))
    assert (project / "out/alerts.ndjson").read_bytes() == before
    feed(project, content[: content.index(b"\n") + 1])
    with pytest.raises(RecoveryError) as more:
        run(pipeline, project)
    assert more.value.code == "FLX-5006"
    assert "readings.ndjson" in more.value.detail
    assert (project / "out/alerts.ndjson").read_bytes() == before
    fresh = run(pipeline, project, fresh=True)
    cleared = [note.removeprefix("--fresh clears ") for note in fresh.notes]
    assert len(cleared) == len(fresh.notes) == 6  # three files, two tables, the saved stops
    assert [line.split()[0] for line in cleared] == ["file", "table", "table", "file", "file", "the"]
    assert_outputs(project, compute([project / "data/readings.ndjson"]))
    assert_ledger(fresh, compute([project / "data/readings.ndjson"]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_process_cleanly(number: signal.Signals, pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Meanwhile a second process is refused, naming the first; the run after it goes on from the stop."""
    half = content.index(b"\n", 500_000) + 1
    feed(project, content[:half])
    with running(command(project, "run")) as process:
        wait_until_stored(process, project, len(compute([project / "data/readings.ndjson"]).readings))
        with pytest.raises(ResourceBusy, match=f'FLX-4101  pipeline "sensors" runs already, in process {process.pid}\n'):
            start(pipeline, project)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "balanced: every operator and every edge" in out
    feed(project, content[half:])
    job = start(pipeline, project)
    assert job.report.notes[0].startswith("Going on from the clean stop of ")
    job.stop()
    assert_undisturbed(pipeline, project)


# A changed definition
def test_a_changed_definition_keeps_state_by_name(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Another threshold and the averages of only some sensors: the open windows go on; the ledger begins with what they hold."""
    half = content.index(b"\n", 500_000) + 1
    feed(project, content[:half])
    job = start(pipeline, project)
    read_all(job, content[:half].count(b"\n"))
    stopped = job.stop()
    feed(project, content[half:])
    report = run(sensors(threshold=20.0), project)
    whole, first = compute([project / "data/readings.ndjson"], threshold=20.0), len(compute_of(content[:half], project).alerts)
    assert [row[:3] + row[4:] for row in stored_averages(project)] == [row[:3] + row[4:] for row in whole.averages]
    alerts = timed_lines(project / "out/alerts.ndjson")
    later = len(whole.alerts) - len(compute_of(content[:half], project, threshold=20.0).alerts)
    assert len(alerts) == first + later
    window = "sensor_data/aggregate/sensor_id/tumble(1 hour)"
    healthy_later = report.operators["sensor_data"].used
    assert report.read == content[half:].count(b"\n")
    assert report.operators[window].read == stopped.operators[window].held + healthy_later


def test_state_of_an_operator_that_is_gone_is_refused(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """The error names it and the way out; nothing is lost by the attempt."""
    half = content.index(b"\n", 500_000) + 1
    feed(project, content[:half])
    job = start(pipeline, project)
    read_all(job, content[:half].count(b"\n"))
    job.stop()
    before = (project / "out/alerts.ndjson").read_bytes()
    with pytest.raises(RecoveryError) as caught:
        start(sensors(window="2 hours"), project)
    assert caught.value.code == "FLX-5005"
    assert '"sensor_data/aggregate/sensor_id/tumble(1 hour)"' in caught.value.fact
    assert "tumble(2 hours)" in caught.value.detail
    assert ".named(" in caught.value.hint
    assert "--fresh" in caught.value.hint
    assert (project / "out/alerts.ndjson").read_bytes() == before
    feed(project, content[half:])
    assert_undisturbed(pipeline, project)


def compute_of(data: bytes, project: Path, threshold: float = 25.0) -> Expected:
    """The second computation over a part of the input."""
    part = project / "part.ndjson"
    part.write_bytes(data)
    return compute([part], threshold=threshold)


# Crashes
def test_killed_in_its_first_moments(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Before it has said that it runs, and right after: the next run begins at the beginning, and nothing is there twice."""
    feed(project, content)
    state = project / ".fluxline/dev/sensors"
    kill(project, (state / "lock").exists, "the state directory", early=True)
    pid = kill(project, lambda: True, "the note that it runs")
    job = start(pipeline, project)
    assert job.report.notes[0] == crashed(pid, "from the beginning of its input")
    job.stop()
    assert_undisturbed(pipeline, project)


def test_killed_before_its_first_stop(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Rows are in the file and in the tables; twice in a row."""
    half = content.index(b"\n", 500_000) + 1
    feed(project, content[:half])
    alerts = len(compute([project / "data/readings.ndjson"]).alerts)
    kill(project, lambda: rows_in(project / "out/alerts.ndjson") == alerts, f"{alerts} alerts")
    feed(project, content[half:])
    alerts = len(compute([project / "data/readings.ndjson"]).alerts)
    pid = kill(project, lambda: rows_in(project / "out/alerts.ndjson") == alerts, f"{alerts} alerts")
    job = start(pipeline, project)
    assert job.report.notes[0] == crashed(pid, "from the beginning of its input")
    job.stop()
    assert_undisturbed(pipeline, project)


def test_killed_after_a_stop(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """What came after the stop comes again, and is there once; twice in a row."""
    cut = content.index(b"\n", 300_000) + 1
    feed(project, content[:cut])
    job = start(pipeline, project)
    read_all(job, content[:cut].count(b"\n"))
    job.stop()
    feed(project, content[cut:])
    alerts = len(compute([project / "data/readings.ndjson"]).alerts)
    for _ in range(2):
        pid = kill(project, lambda: rows_in(project / "out/alerts.ndjson") == alerts, f"{alerts} alerts")
    job = start(pipeline, project)
    note = job.report.notes[0]
    assert note.startswith(crashed(pid, "from the clean stop of ").removesuffix(". No sink repeats rows."))
    assert note.endswith(" UTC. No sink repeats rows.")
    job.stop()
    assert_undisturbed(pipeline, project)


def test_killed_in_the_middle_of_its_work(project: Path, content: bytes) -> None:
    """With every reading an alert, megabytes are on their way when it dies, and the file ends anywhere; twice in a row."""
    for index in range(4):
        (project / f"data/copy{index}.ndjson").write_bytes(content)
    text = (project / "sensors.py").read_text()
    (project / "sensors.py").write_text(text.replace("> 25", "> -100"))
    alerts = project / "out/alerts.ndjson"
    kill(project, lambda: alerts.stat().st_size > 0, "a first write")
    pid = kill(project, lambda: alerts.stat().st_size > 2_500_000, "some more")
    pipeline = sensors(threshold=-100)
    report = run(pipeline, project)
    assert report.notes[0] == crashed(pid, "from the beginning of its input")
    expected = compute(sorted((project / "data").glob("copy*")), threshold=-100)
    assert_outputs(project, expected)
    assert_ledger(report, expected)


def test_killed_while_it_stops(pipeline: Pipeline, project: Path, content: bytes) -> None:
    """When the directory of the stop appears, whole or in the making; the next run goes on from it or from the beginning."""
    feed(project, content)
    with running(command(project, "run")) as process:
        wait_until_stored(process, project, len(compute([project / "data/readings.ndjson"]).readings))
        process.terminate()
        wait_until(lambda: any((project / ".fluxline/dev/sensors").glob("stop-*")), "the stop")
        process.kill()
    assert_undisturbed(pipeline, project)


def test_an_end_without_a_stop_names_the_sinks_that_repeat_rows(project: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Printed lines cannot be taken back; files and tables can."""
    write_project(project, FOLLOW, 'alerts = { connection = "screen" }\n[environments.dev.connections.screen]\nconnector = "print"\n')
    feed(project, content)
    for _ in range(2):
        job = start(sensors(), project)
        read_all(job, content.count(b"\n"))
        job.cancel()
    assert job.report.notes[0].endswith("; going on from the beginning of its input. These sinks may repeat rows: alerts.")
    run(sensors(), project)
    expected = compute([project / "data/readings.ndjson"])
    assert capfd.readouterr().out.count("High temperature") >= len(expected.alerts)
    assert [row[:3] + row[4:] for row in stored_averages(project)] == [row[:3] + row[4:] for row in expected.averages]
    assert len(lines(project / "out/late_readings.ndjson")) == len(expected.late)


def test_a_table_without_key_holds_every_row_once(project: Path, content: bytes) -> None:
    """Rows that a run without a clean stop brought to the disk are taken back, before the first stop and after it."""
    write_project(project, FOLLOW, 'alerts = { connection = "store" }\n')
    cut, later = content.index(b"\n", 300_000) + 1, content.index(b"\n", 700_000) + 1
    in_table = []
    for part, cleanly in ((content[:cut], False), (b"", True), (content[cut:later], False)):
        feed(project, part)
        job = start(sensors(), project)
        read_all(job, (project / "data/readings.ndjson").read_bytes().count(b"\n"))
        wait_until(lambda job=job: processed(job), "the rows in the sinks")  # type: ignore[misc]  # binds the loop's value
        if cleanly:
            job.stop()
        else:
            job.cancel()
        in_table.append(query(project / STORE, "SELECT count(*) FROM alerts").item())
    assert 0 < in_table[0] == in_table[1] < in_table[2]
    feed(project, content[later:])
    run(sensors(), project)
    expected = compute([project / "data/readings.ndjson"])
    rows = query(project / STORE, 'SELECT sensor_id, temperature, humidity, epoch_ms("timestamp"::TIMESTAMP) AS "timestamp", message FROM alerts')
    assert bag(rows.iter_rows(named=True)) == bag(expected.alerts)


# Files of others
@pytest.mark.parametrize("whose", ["an unknown run", "somebody"])
def test_a_file_of_others_is_not_touched(whose: str, pipeline: Pipeline, project: Path, content: bytes) -> None:
    """Neither of a run whose saved state is gone, nor a file that Fluxline did not write."""
    feed(project, content)
    if whose == "somebody":
        (project / "out").mkdir()
        (project / "out/alerts.ndjson").write_text("my notes\n")
    else:
        job = start(pipeline, project)
        read_all(job, content.count(b"\n"))
        job.stop()
        shutil.rmtree(project / ".fluxline")
    before = (project / "out/alerts.ndjson").read_bytes()
    with pytest.raises(RecoveryError, match="FLX-5101") as caught:
        start(pipeline, project)
    assert "alerts.ndjson" in caught.value.fact
    assert (project / "out/alerts.ndjson").read_bytes() == before
    if whose == "somebody":
        with pytest.raises(RecoveryError, match="FLX-5101"):
            run(pipeline, project, fresh=True)
        assert (project / "out/alerts.ndjson").read_bytes() == before


def kill(project: Path, at: Callable[[], bool], what: str, *, early: bool = False) -> int:
    """Run in a process of its own and kill it at a moment, at once; returns its number.

    Args:
        project: what to run.
        at: whether the moment has come.
        what: the moment, for a failure's message.
        early: look for the moment before the process has noted that it runs, and taken back what an earlier one left.
    """
    noted = project / ".fluxline/dev/sensors/running.json"
    with running(command(project, "run")) as process:
        if not early:
            wait_until(lambda: noted.exists() and json.loads(noted.read_text())["pid"] == process.pid, "the note that it runs", process)
        wait_until(at, what, process)
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL
        return process.pid


def processed(job: Job) -> bool:
    """Whether every row that was read has come to where it goes."""
    report = job.report
    return all(edge.inside == 0 for edge in report.edges) and all(report.operators[name].held == 0 for name in report.sinks.values())


def crashed(pid: int, start: str) -> str:
    """What the next run says first, where every sink delivers exactly once."""
    return f"The last run (process {pid}) did not end with a clean stop; going on {start}. No sink repeats rows."


def rows_in(path: Path) -> int:
    """How many whole lines a file has."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_until_stored(process: subprocess.Popen[str], project: Path, rows: int) -> None:
    """Wait until the table of readings has so many rows, as another process sees it."""

    def stored() -> bool:
        try:
            return bool(query(project / STORE, "SELECT count(*) FROM sensor_readings").item() == rows)
        except FluxlineError:
            return False  # no store or no table yet

    wait_until(stored, f"{rows} readings in the store", process)
