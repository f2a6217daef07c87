"""Processes: known by id and time of creation, ended or killed, and gone with their parent where that is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Event
from typing import TYPE_CHECKING

import psutil
import pytest

from fluxline.clock import SystemClock
from fluxline.errors import ExternalError
from fluxline.stack import lifecycle
from fluxline.stack.lifecycle import down
from fluxline.stack.processes import end_all, is_running, spawn
from fluxline.stack.server import Server
from fluxline.stack.state import ServerProcess, State, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEP = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def server(code: str, *, listens: tuple[int, ...] = (), name: str = "kafka") -> Server:
    return Server(name, "kafka", (sys.executable, "-S", "-c", code), {}, listens, lambda: True)


def wait_until(holds: Callable[[], bool], within_ms: int = 20_000) -> None:
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + within_ms
    while not holds():
        assert clock.monotonic_ms() < deadline_ms, "it did not come to hold"
        clock.wait(Event(), 20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], ServerProcess]]:
    started: list[ServerProcess] = []

    def spawned(code: str) -> ServerProcess:
        started.append(spawn(server(code), tmp_path, os.environ, die_with_parent=True))
        wait_until(lambda: (tmp_path / "kafka.log").read_text() == "up\n")
        return started[-1]

    yield spawned
    end_all(started, SystemClock(), 0)


def test_down_ends_what_the_record_names(start: Callable[[str], ServerProcess], tmp_path: Path) -> None:
    process = start(SLEEP)
    write_state(tmp_path, State({"kafka": 15_000}, [process]))
    assert is_running(process)
    assert down(tmp_path) == ["kafka"]
    assert not is_running(process)
    assert not psutil.pid_exists(process.pid)
    assert read_state(tmp_path) == State({"kafka": 15_000}, [])
    assert down(tmp_path) == []


def test_down_spares_a_process_that_was_given_the_id_later(start: Callable[[str], ServerProcess], tmp_path: Path) -> None:
    process = start(SLEEP)
    earlier = ServerProcess(process.name, process.part, process.pid, process.created_at - 60)
    write_state(tmp_path, State({}, [earlier]))
    assert down(tmp_path) == []
    assert is_running(process)


def test_who_does_not_end_is_killed(start: Callable[[str], ServerProcess]) -> None:
    process = start(STUBBORN)
    assert end_all([process], SystemClock(), 300) == ["kafka"]
    assert not psutil.pid_exists(process.pid)


def test_a_killed_parent_takes_its_servers_along(tmp_path: Path) -> None:
    """And leaves those that were started to outlive it."""
    code = f"""
import os, pathlib, signal
from fluxline.stack.processes import spawn
from fluxline.stack.server import Server
command = ({sys.executable!r}, "-S", "-c", {SLEEP!r})
started = [
    spawn(Server(name, "kafka", command, {{}}, (), bool), pathlib.Path({str(tmp_path)!r}), os.environ, die_with_parent=dies)
    for name, dies in (("dies", True), ("stays", False))
]
print(*(part for each in started for part in (each.pid, each.created_at)), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        words = parent.stdout.readline().split()
        dies, stays = (ServerProcess("kafka", "kafka", int(words[at]), float(words[at + 1])) for at in (0, 2))
        wait_until(lambda: all((tmp_path / f"{name}.log").exists() and (tmp_path / f"{name}.log").read_text() for name in ("dies", "stays")))
        assert is_running(dies)
        parent.kill()
    wait_until(lambda: not is_running(dies))
    assert is_running(stays)
    end_all([stays], SystemClock(), 5_000)
    assert not is_running(stays)


def test_a_server_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    broken = server("print('the disk is on fire'); raise SystemExit(3)", listens=(1,))
    process = spawn(broken, tmp_path, os.environ, die_with_parent=True)
    with pytest.raises(ExternalError, match="kafka did not start") as failed:
        lifecycle._await_ready(broken, process, tmp_path, SystemClock(), SystemClock().monotonic_ms() + 20_000)
    assert failed.value.code == "FLX-4302"
    assert "It ended." in failed.value.detail
    assert "the disk is on fire" in failed.value.detail
    end_all([process], SystemClock(), 0)


def test_a_listener_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    """The port answers, but it is our own process that listens, not the server."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        silent = server(SLEEP, listens=(listener.getsockname()[1],))
        process = spawn(silent, tmp_path, os.environ, die_with_parent=True)
        with pytest.raises(ExternalError, match="kafka did not start") as failed:
            lifecycle._await_ready(silent, process, tmp_path, SystemClock(), SystemClock().monotonic_ms() + 300)
    assert "It does not listen at port" in failed.value.detail
    end_all([process], SystemClock(), 1_000)
