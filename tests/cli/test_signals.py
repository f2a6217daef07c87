"""Signals of a running command: a clean stop for the first, the end for the second; what a process was told to ignore stays so."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from fluxline.cli.signals import Asked, signals
from tests.cli.conftest import finish, spawn, write_project

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Command

WAIT_SECONDS = 60
MORE = '{"sensor_id": 1, "temperature": 30.0, "humidity": null, "timestamp": "2024-06-07T11:30:00Z"}\n'


@pytest.fixture
def following(project: Path) -> Path:
    """The project, with an input that never ends."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('readings = { path = "data/readings.ndjson", follow = true }\n')
    return project


def wait_for_alerts(command: Command, process: subprocess.Popen[str], count: int) -> None:
    """Until the running pipeline has written so many; queries are answered by its process."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until and process.poll() is None:
        outcome = command("query", "select count(*) as n from alerts", "-o", "json")
        if outcome.code == 0 and outcome.data["rows"] == [{"n": count}]:
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no {count} alerts in {WAIT_SECONDS} seconds: {process.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_clean_stop_and_going_on(number: signal.Signals, following: Path, command: Command) -> None:
    """Exit code 0, the ledger, open windows held; the next run goes on behind what was read, and counts on."""
    ignored = signal.getsignal(number) is signal.SIG_IGN  # as under nohup; the process would inherit it
    if ignored:
        signal.signal(number, signal.SIG_DFL)
    process = spawn(["run"], following)
    if ignored:
        signal.signal(number, signal.SIG_IGN)
    wait_for_alerts(command, process, 3)
    state = command("status", "-o", "json").data["pipelines"][0]
    assert (state["state"], state["pid"], state["definition_changed"]) == ("running", process.pid, False)
    assert f"demo in dev: running in process {process.pid} since " in command("status").out
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == 0
    # By hand: the watermark is 10:00, so the hour of 10 is open, with two readings.
    assert "readings -> hourly_averages: read 12 = used 8 + late 1 + rejected 1 + held 2; wrote 4\n" in outcome.out
    assert outcome.err == (
        "demo: starting in environment dev\nstopping: what was read is still written; Ctrl-C again ends now\ndemo: stopped cleanly\n"
    )
    write_project(following, {"data/readings.ndjson": (following / "data/readings.ndjson").read_text() + MORE})
    again = command("run", "--bounded")
    assert "demo: Going on from the clean stop of " in again.err
    assert "readings -> alerts: read 13 = used 4 + filtered 8 + rejected 1; wrote 4\n" in again.out
    assert "readings -> hourly_averages: read 13 = used 11 + late 1 + rejected 1; wrote 7\n" in again.out


# A step that cannot be cut short: it takes until the file "go" is there.
SLOW = '''

import threading
from pathlib import Path

import polars as pl


def slow(frame: pl.DataFrame) -> pl.DataFrame:
    """Wait for the file."""
    while not Path("go").exists():
        threading.Event().wait(0.02)
    return frame


readings.map_batches(slow, schema=Reading).sink("slow_readings")
'''


@pytest.fixture
def stopping(following: Path, command: Command) -> Iterator[subprocess.Popen[str]]:
    """A process that was asked for a clean stop and cannot come to it, and was told to end now."""
    with (following / "fluxline.toml").open("a") as file:
        file.write('slow_readings = { connection = "store" }\n')
    write_project(following, {"pipelines/demo.py": (following / "pipelines/demo.py").read_text() + SLOW})
    process = spawn(["run"], following)
    wait_for_alerts(command, process, 3)
    assert process.stderr is not None
    for said in ("stopping: ", "ending now, "):
        process.send_signal(signal.SIGINT)
        while not (line := process.stderr.readline()).startswith(said):
            assert line, f"it ended before it said {said}"
    yield process
    process.kill()
    process.communicate()


def test_the_second_interrupt_ends_now(following: Path, stopping: subprocess.Popen[str], command: Command) -> None:
    """Exit code 130; the run counts as crashed, and the next one goes on from the last clean stop."""
    (following / "go").touch()
    outcome = finish(stopping)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "ended; the next run goes on from the last clean stop\n")
    assert command("status", "-o", "json").data["pipelines"][0]["state"] == "crashed"
    assert "not running; process " in command("status").out


def test_the_third_interrupt_waits_for_nothing(stopping: subprocess.Popen[str]) -> None:
    """A step that never ends cannot hold the process."""
    stopping.send_signal(signal.SIGINT)
    outcome = finish(stopping)
    assert (outcome.code, outcome.out, outcome.err) == (-signal.SIGINT, "", "")


def test_a_background_job_ignores_the_terminal(following: Path, command: Command) -> None:
    """A shell starts it with SIGINT ignored, nohup with SIGHUP ignored; SIGTERM still stops it."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        process = spawn(["run"], following)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    wait_for_alerts(command, process, 3)
    for number in before:
        process.send_signal(number)
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    assert finish(process).code == 0


def test_until_a_job_runs_an_interrupt_is_an_interrupt() -> None:
    """There is nothing to stop cleanly yet."""
    with signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_what_was_asked_is_noted() -> None:
    """By the kind of signal; the handlers from before come back."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with signals() as asked:
        asked.running = True
        assert (asked.stop, asked.end) == (False, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (asked.stop, asked.end) == (True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (asked.stop, asked.end) == (True, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (asked.stop, asked.end) == (True, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (asked.stop, asked.end) == (True, True)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_another_thread_handles_no_signals() -> None:
    """Python gives them to the main thread alone; a command there runs without."""
    import threading

    found: list[Asked] = []

    def work() -> None:
        with signals() as asked:
            found.append(asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [asked.stop for asked in found] == [False]
