"""What is wrong with records, projects and disks: told by class, code and place; what is healthy goes on."""

from __future__ import annotations

import errno
import resource
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from fluxline import control
from fluxline.cli.main import fluxline
from fluxline.engines.embedded.saved_state import StateDirectory
from fluxline.errors import ConfigError, DecodeError, DiskFull, NameNotFound, ResourceBusy, ResourceMissing
from tests.end_to_end.processes import python, read_all, running
from tests.end_to_end.projects import (
    EXAMPLE,
    assert_ledger,
    assert_outputs,
    lines,
    reading,
    rejected,
    run,
    sensors,
    stored_averages,
    write_project,
)
from tests.reference.sensors import RECORD_BYTES_MAX, compute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fluxline.errors import FluxlineError

TIME = b'"timestamp": "2024-06-07T10:30:00Z"'
MISFITS = {
    "malformed": b'{"sensor_id": 1, "temperature": 31.0, "humidi',
    "wrong_type": b'{"sensor_id": 1, "temperature": "31.0", ' + TIME + b"}",
    "out_of_range": b'{"sensor_id": 9223372036854775808, "temperature": 31.0, ' + TIME + b"}",
    "missing": b'{"sensor_id": 1, ' + TIME + b"}",
    "not_utf8": b'{"sensor_id": 1, "temperature": 31.0, ' + TIME + b', "place": "\xff"}',
    "too_large": b'{"sensor_id": 1, "temperature": 31.0, ' + TIME + b', "note": "' + b"x" * RECORD_BYTES_MAX + b'"}',
    "too_deep": b'{"sensor_id": 1, "temperature": 31.0, ' + TIME + b', "note": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "no_event_time": b'{"sensor_id": 1, "temperature": 31.0}',
    "too_far_ahead": b'{"sensor_id": 1, "temperature": 31.0, "timestamp": "9999-12-31T23:59:59Z"}',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that reads `data/readings.ndjson` to its end."""
    return write_project(tmp_path, 'path = "data/readings.ndjson"')


# Records
def test_each_kind_of_misfit_between_healthy_neighbours(project: Path) -> None:
    """Rejected with its reason, position and bytes; the neighbours are there, and no window closes by it."""
    data = b""
    wanted = []
    for index, (reason, record) in enumerate(MISFITS.items()):
        data += reading(1, f"10:{index:02}:00", 20.0 + index)
        wanted.append((reason, len(data), record))
        data += record + b"\n"
    data += reading(1, "10:09:00", 29.0)
    (project / "data/readings.ndjson").write_bytes(data)
    report = run(sensors(), project)
    found = sorted(rejected(project).elements(), key=lambda item: item[1])
    assert [(file, position, reason) for file, position, reason, _ in found] == [("readings.ndjson", place, reason) for reason, place, _ in wanted]
    for (_, _, reason, record), (_, _, original) in zip(found, wanted, strict=True):
        assert record == original or (reason == "too_large" and original.startswith(record))
    assert (report.rejected, report.late) == (9, 0)
    # By hand: ten readings of one hour, 20 to 29 degrees.
    assert [(row[0], row[3], row[4]) for row in stored_averages(project)] == [(1, 24.5, 10)]
    assert [row["temperature"] for row in lines(project / "out/alerts.ndjson")] == [26.0, 27.0, 28.0, 29.0]


def test_records_of_every_size_around_the_limit(project: Path) -> None:
    """4 MiB are accepted, one byte more is not; the bytes behind a cut record are no records of their own."""
    head, tail = b'{"sensor_id": 7, "temperature": 30.0, ' + TIME + b', "note": "', b'"}'
    largest = head + b"x" * (RECORD_BYTES_MAX - len(head) - len(tail)) + tail
    huge = head + b'x",\n'.replace(b"\n", b"") * (RECORD_BYTES_MAX // 2) + tail
    data = largest + b"\n" + huge + b"\n" + reading(1, "10:31:00", 20.0) + largest.replace(b"xx", b"xxx", 1) + b"\n"
    (project / "data/readings.ndjson").write_bytes(data)
    report = run(sensors(), project, keep_going=True)
    assert (report.read, report.rejected) == (4, 2)
    places = [len(largest) + 1, len(data) - len(largest) - 2]
    assert sorted((place, reason) for _, place, reason, _ in rejected(project)) == [(place, "too_large") for place in places]
    assert len(lines(project / "out/alerts.ndjson")) == 1


WRONG = b'{"sensor_id": "s-17", "temperature": 21.5, "timestamp": "2024-06-07T10:00:00Z"}\n'


@pytest.mark.parametrize(("wrong", "healthy"), [(5, 0), (501, 499), (501, 5_000)])
def test_a_source_that_is_not_what_was_declared(wrong: int, healthy: int, project: Path) -> None:
    """More than half of the first records rejected: the run stops, with the top reason and a record; nothing runs on."""
    data = WRONG * wrong + b"".join(reading(1, "10:00:00", 30.0) for _ in range(healthy))
    (project / "data/readings.ndjson").write_bytes(data)
    with pytest.raises(DecodeError) as caught:
        run(sensors(), project)
    error = caught.value
    assert error.code == "FLX-3001"
    assert error.fact == f'source "sensor_data" rejected {wrong} of its first {min(1_000, wrong + healthy)} records'
    assert f"The most frequent reason is wrong_type ({wrong})." in error.detail
    assert "s-17" in error.detail
    assert "--keep-going" in error.hint
    assert error.place is not None
    assert error.place.file.endswith("projects.py")
    for options in ({"keep_going": True}, {"overrides": ("embedded.rejected_share_max=1.0",), "fresh": True}):
        report = run(sensors(), project, **options)
        assert (report.rejected, report.written["alerts"]) == (wrong, healthy)
        assert len(lines(project / "out/alerts.ndjson")) == healthy
        assert len(lines(project / "out/rejected_readings.ndjson")) == wrong


def test_half_may_be_rejected(project: Path) -> None:
    """The share is a bound that may be reached; the project file can lower it."""
    (project / "data/readings.ndjson").write_bytes(WRONG * 2 + reading(1, "10:00:00", 30.0) * 2)
    assert run(sensors(), project).rejected == 2
    text = (project / "fluxline.toml").read_text()
    (project / "fluxline.toml").write_text(text.replace('{environment}" }\nconn', '{environment}", rejected_share_max = 0.49 }\nconn', 1))
    with pytest.raises(DecodeError, match="rejected 2 of its first 4 records"):
        run(sensors(), project, fresh=True)


def test_only_the_first_records_decide(tmp_path: Path) -> None:
    """A source that was healthy for 1,000 records runs on however many are rejected later, after a restart too."""
    write_project(tmp_path, 'path = "data/readings.ndjson", follow = true')
    file = tmp_path / "data/readings.ndjson"
    file.write_bytes(reading(1, "10:00:00", 20.0) * 1_000)
    job = control.start(sensors()._plan(), tmp_path)
    read_all(job, 1_000)
    with file.open("ab") as more:
        more.write(WRONG * 3_000)
    read_all(job, 4_000)
    job.stop()
    with file.open("ab") as more:
        more.write(reading(1, "10:01:00", 20.0))
    report = run(sensors(), tmp_path)
    assert (report.read, report.rejected) == (4_001, 3_000)


def test_records_of_before_a_stop_count(tmp_path: Path) -> None:
    """A source is judged once, by its first 1,000 records, whichever run read them."""
    write_project(tmp_path, 'path = "data/readings.ndjson", follow = true')
    file = tmp_path / "data/readings.ndjson"
    file.write_bytes(WRONG * 600)
    job = control.start(sensors()._plan(), tmp_path)
    read_all(job, 600)
    job.stop()
    with file.open("ab") as more:
        more.write(reading(1, "10:00:00", 20.0) * 400)
    with pytest.raises(DecodeError, match="rejected 600 of its first 1000 records") as caught:
        run(sensors(), tmp_path)
    assert caught.value.detail == "The most frequent reason is wrong_type (600). They were rejected before the last stop."


# Projects
@pytest.mark.parametrize(
    ("old", "new", "kind", "code", "line", "fact"),
    [
        ('"data/readings.ndjson"', '"data/redings.ndjson"', ResourceMissing, "FLX-4201", None, 'there is no file or directory "'),
        ('connector = "filesystem"', 'connector = "filesystm"', NameNotFound, "FLX-1120", 11, 'no connector "filesystm"'),
        ('{ path = "data', '{ pth = "data', NameNotFound, "FLX-1103", 15, 'connector "filesystem" has no option "pth"'),
        ('format = "json"', 'format = "jsn"', NameNotFound, "FLX-1120", 11, 'no format "jsn"'),
        ("follow = false", 'follow = "no"', ConfigError, "FLX-1105", 15, ""),
        ('default_environment = "dev"', 'default_environment = "prod"', NameNotFound, "FLX-1007", 4, ""),
    ],
)
def test_what_the_project_file_gets_wrong(
    old: str, new: str, kind: type[FluxlineError], code: str, line: int | None, fact: str, tmp_path: Path
) -> None:
    """The error has its class, its code, and the line of the project file; nothing was written."""
    write_project(tmp_path, 'path = "data/readings.ndjson", follow = false')
    (tmp_path / "data/readings.ndjson").write_bytes(reading(1, "10:00:00", 30.0))
    project_file = tmp_path / "fluxline.toml"
    text = project_file.read_text()
    assert old in text
    project_file.write_text(text.replace(old, new))
    with pytest.raises((kind, ExceptionGroup)) as caught:
        run(sensors(), tmp_path)
    found = [caught.value] if not isinstance(caught.value, ExceptionGroup) else list(caught.value.exceptions)
    for error in found:
        assert isinstance(error, kind)
        assert error.code == code
        assert error.fact.startswith(fact)
        assert (None if error.place is None else error.place.line) == line
    assert not list(tmp_path.glob(".fluxline/*/sensors/stop-*"))
    assert lines(tmp_path / "out/alerts.ndjson") == []


def test_an_unknown_environment(project: Path) -> None:
    """Named on the command line."""
    with pytest.raises(NameNotFound, match='FLX-1007  no environment "devv"'):
        control.run(sensors()._plan(), project, env="devv")


HOLDER = """
import sys
from pathlib import Path
from fluxline.clock import SystemClock
from fluxline.store.store import Store
store = Store.open(Path(sys.argv[1]), clock=SystemClock())
print("open", flush=True)
sys.stdin.readline()
store.close()
"""


def test_a_store_that_another_process_holds(project: Path) -> None:
    """Refused, naming the process; when it has gone the pipeline runs."""
    (project / "data/readings.ndjson").write_bytes(reading(1, "10:00:00", 30.0))
    with running(python(HOLDER, project, str(project / ".fluxline/dev/tables.duckdb"))) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(ResourceBusy, match=f"is held by process {holder.pid}") as caught:
            run(sensors(), project)
        assert caught.value.code == "FLX-4601"
    report = run(sensors(), project)
    assert report.notes == ()
    assert_ledger(report, compute([project / "data/readings.ndjson"]))


# Disks
@contextmanager
def disk_of(bytes_max: int) -> Iterator[None]:
    """No file of this process can become longer; the system's answer is that of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A project that was stopped cleanly after 500 readings, and then got 4,000 more, all of them alerts of different sensors."""
    write_project(tmp_path, 'path = "data/readings.ndjson", follow = true')
    file = tmp_path / "data/readings.ndjson"
    file.write_bytes(b"".join(reading(number, "10:00:00", 30.0) for number in range(500)))
    job = control.start(sensors()._plan(), tmp_path)
    read_all(job, 500)
    job.stop()
    with file.open("ab") as more:
        more.write(b"".join(reading(number, "10:05:00", 30.0) for number in range(4_000)))
    return tmp_path


def test_a_full_disk_under_a_file(growing: Path) -> None:
    """The run ends with what is wrong; the next one goes on from the stop, and every row is there once."""
    sinks = 'hourly_averages = { connection = "hole" }\nsensor_readings = { connection = "hole" }\n'
    hole = f'{sinks}[environments.dev.connections.hole]\nconnector = "blackhole"\n'
    write_project(growing, 'path = "data/readings.ndjson", follow = true', hole)
    with disk_of(300_000), pytest.raises(DiskFull, match="FLX-4204"):
        run(sensors(), growing)
    run(sensors(), growing)
    assert len(lines(growing / "out/alerts.ndjson")) == 4_500
    assert {row["sensor_id"] for row in lines(growing / "out/alerts.ndjson")} == set(range(4_000))


def test_a_full_disk_under_the_store(growing: Path) -> None:
    """The same where tables are."""
    hole = 'alerts = { connection = "hole" }\n[environments.dev.connections.hole]\nconnector = "blackhole"\n'
    following = 'path = "data/readings.ndjson", follow = true'
    write_project(growing, following, hole)
    with disk_of(60_000), pytest.raises(DiskFull) as caught:
        run(sensors(), growing)
    assert caught.value.code == "FLX-4605"
    write_project(growing, following)
    report = run(sensors(), growing)
    assert "did not end with a clean stop; going on from the clean stop of " in report.notes[0]
    expected = compute([growing / "data/readings.ndjson"])
    assert_outputs(growing, expected)
    assert_ledger(report, expected)


def test_a_full_disk_under_the_saved_stop(tmp_path: Path) -> None:
    """The state of 20,000 sensors in an open window does not fit: no traceback, and nothing is lost by the attempt."""
    hole = '[environments.dev.connections.hole]\nconnector = "blackhole"\n'
    names = ("alerts", "hourly_averages", "sensor_readings", "late_readings", "rejected_readings")
    sinks = "".join(f'{name} = {{ connection = "hole" }}\n' for name in names)
    write_project(tmp_path, 'path = "data/readings.ndjson", follow = true', sinks + hole)
    (tmp_path / "data/readings.ndjson").write_bytes(b"".join(reading(number, "10:00:00", 30.0) for number in range(20_000)))
    job = control.start(sensors()._plan(), tmp_path)
    read_all(job, 20_000)
    with disk_of(30_000), pytest.raises(DiskFull, match="FLX-4102"):
        job.stop()
    assert not list((tmp_path / ".fluxline/dev/sensors").glob("stop-*[0-9]"))
    report = run(sensors(), tmp_path)
    assert "did not end with a clean stop; going on from the beginning of its input." in report.notes[0]
    assert report.written["hourly_averages"] == 20_000


def test_a_full_disk_at_the_start(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the note that the run has begun fits."""

    def full(file: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="FLX-4102"):
        patch.setattr("fluxline.engines.embedded.saved_state.os.fsync", full)
        StateDirectory(project).begin({})
    assert StateDirectory(project).running() is None


def test_the_command_line_shows_no_traceback(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the errors above, as a user sees it."""
    shutil.copy(EXAMPLE / "sensors.py", growing)
    monkeypatch.chdir(growing)
    with disk_of(150_000):
        result = CliRunner().invoke(fluxline, ["run", "--bounded"])
    assert result.exit_code == 1
    assert "no room to write" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert CliRunner().invoke(fluxline, ["run", "--bounded"]).exit_code == 0
    assert_outputs(growing, compute([growing / "data/readings.ndjson"]))
