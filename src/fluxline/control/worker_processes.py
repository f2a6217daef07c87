"""The worker processes of a deployment on this machine: started so that they outlive the command, and ended."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

from fluxline.control.status import is_alive
from fluxline.control.watcher import Watcher
from fluxline.control.worker_state import read_watcher_state
from fluxline.errors import ExternalError
from fluxline.limits import FLINK_POLL_MS, WORKER_END_MS_MAX, WORKER_SAID_CHARS_MAX, WORKER_START_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.config import Environment
    from fluxline.control.deployment import DeploymentDirectory
    from fluxline.control.submit import SubmitOptions


def start_workers(place: DeploymentDirectory, environment: Environment, options: SubmitOptions, clock: Clock) -> int:
    """Start the watcher with as many workers as were asked for, and wait until each has its systems open.

    Raises:
        ExternalError: FLX-4522, one of them ended or is not ready in time.
    """
    command = ["--env", environment.name]
    for override in options.overrides:
        command += ["--set", override]
    watch = ["worker", "--deployed", str(place.path.absolute()), "--watch", str(options.workers), *command]
    log = place.path / "watcher.log"
    pid = spawn(watch, environment.project_directory, log, session=True)
    try:
        _await(pid, log, options.workers, place, clock)
    except BaseException:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        raise
    return options.workers


def watch_workers(
    place: DeploymentDirectory, directory: Path, count: int, command: Sequence[str], clock: Clock, stopping: Callable[[], bool]
) -> None:
    """Be the watcher of a deployment until somebody asks to stop.

    Args:
        place: the deployment.
        directory: the project's.
        count: how many workers.
        command: options of each, such as its environment.
        clock: time.
        stopping: whether somebody asks.

    Raises:
        FluxlineError: as `Watcher.run`.
    """
    words = ["worker", "--deployed", str(place.path.absolute()), *command]

    def start(number: int) -> int:
        return spawn(words, directory, place.path / f"worker-{number}.log", session=False)

    Watcher(place, count, start, clock).run(stopping)


def spawn(command: Sequence[str], directory: Path, log: Path, *, session: bool) -> int:
    """Start a command of ours as a process, in a session of its own or in this one's, with its output in its log."""
    runs = f"import os, sys; os.chdir({str(directory)!r}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", runs, "-m", "fluxline.cli.main", *command],
        dict(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=session,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP],
        setsigmask=[],
    )


def _await(watcher: int, log: Path, count: int, place: DeploymentDirectory, clock: Clock) -> None:
    """Wait until all workers are ready.

    Raises:
        ExternalError: FLX-4522.
    """
    deadline_ms = clock.monotonic_ms() + WORKER_START_MS_MAX
    while len(running_workers(place)) < count:
        ended, status = os.waitpid(watcher, os.WNOHANG)
        if ended:
            said = log.read_text(errors="replace").strip()
            code = os.waitstatus_to_exitcode(status)
            raise ExternalError("FLX-4522", "the watcher of the workers does not start", detail=said or f"It ended with code {code}.")
        state = read_watcher_state(place)
        dead = [] if state is None or state.pid != watcher else [worker for worker in state.workers if worker.deaths]
        if dead:
            raise ExternalError("FLX-4522", "a worker does not start", detail=dead[0].said)
        if clock.monotonic_ms() >= deadline_ms:
            raise ExternalError("FLX-4522", "a worker is not ready in time", detail=f"Its log is in {place.path}.")
        clock.wait(Event(), FLINK_POLL_MS)


def running_workers(place: DeploymentDirectory) -> list[int]:
    """The processes of the workers that run here and are ready."""
    found = []
    for worker in place.workers():
        told = worker.running()
        pid = None if told is None else told.get("pid")
        if isinstance(pid, int) and is_alive(worker.path, pid):
            found.append(pid)
    return found


def said_by_workers(place: DeploymentDirectory) -> str:
    """The end of what the workers that were started here have said."""
    logs = sorted(place.path.glob("worker-*.log"))
    return "\n".join(said for log in logs if (said := log.read_text(errors="replace")[-WORKER_SAID_CHARS_MAX:].strip()))


def expects_workers(place: DeploymentDirectory) -> bool:
    """Whether a worker runs here, or the watcher will start one."""
    state = read_watcher_state(place)
    return bool(running_workers(place)) or (state is not None and state.tries)


def end_workers(place: DeploymentDirectory, clock: Clock) -> int:
    """Ask the watcher and the workers on this machine to end, and wait for them; those that do not are killed.

    Returns:
        How many workers there were.
    """
    state = read_watcher_state(place)
    watcher = state.pid if state is not None and state.alive else None
    found = _holders(place)
    if watcher is not None:
        _signal([watcher], signal.SIGTERM)  # First, so that it starts no more of them.
    _signal(found, signal.SIGTERM)
    deadline_ms = clock.monotonic_ms() + WORKER_END_MS_MAX
    asked = [*found, *([] if watcher is None else [watcher])]
    while _holders(place) or not all(_exited(pid) for pid in asked):  # A process lets go of its place a moment before it exits.
        if clock.monotonic_ms() >= deadline_ms:
            if watcher is not None and _alive(place, watcher):
                _signal([watcher], signal.SIGKILL)
                _signal(_children(place, watcher), signal.SIGKILL)
            _signal(_holders(place), signal.SIGKILL)  # What they did not commit, the next ones do again.
            asked = []
        clock.wait(Event(), FLINK_POLL_MS)
    shutil.rmtree(place.path / "watcher", ignore_errors=True)
    return len(found)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _exited(pid: int) -> bool:
    """Whether a process is gone; one of our own is waited for."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _alive(place: DeploymentDirectory, watcher: int | None) -> bool:
    return is_alive(place.path / "watcher", watcher)


def _children(place: DeploymentDirectory, watcher: int) -> list[int]:
    """The workers that a watcher has started, those included that hold no place yet: they are in its group."""
    state, found = read_watcher_state(place), []
    for worker in () if state is None else state.workers:
        with suppress(ProcessLookupError):
            if worker.pid is not None and os.getpgid(worker.pid) == watcher:
                found.append(worker.pid)
    return found


def _holders(place: DeploymentDirectory) -> list[int]:
    """The processes that hold a worker's place, ready or not."""
    found = []
    for worker in place.workers():
        try:
            pid = int((worker.path / "lock").read_text())
        except (OSError, ValueError):
            continue
        if is_alive(worker.path, pid):
            found.append(pid)
    return found
