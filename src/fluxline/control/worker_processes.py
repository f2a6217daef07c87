"""The worker processes of a deployment on this machine: started so that they outlive the command, and ended."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

from fluxline.control.status import is_alive
from fluxline.errors import ExternalError
from fluxline.limits import FLINK_POLL_MS, WORKER_END_MS_MAX, WORKER_SAID_CHARS_MAX, WORKER_START_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.config import Environment
    from fluxline.control.deployment import DeploymentDirectory
    from fluxline.control.submit import SubmitOptions


def start_workers(place: DeploymentDirectory, environment: Environment, options: SubmitOptions, clock: Clock) -> int:
    """Start as many workers as were asked for, and wait until each has its systems open.

    Raises:
        ExternalError: FLX-4522, one of them ended or is not ready in time.
    """
    command = ["-m", "fluxline.cli.main", "worker", "--deployed", str(place.path.absolute()), "--env", environment.name]
    for override in options.overrides:
        command += ["--set", override]
    started: dict[int, Path] = {}
    for number in range(1, options.workers + 1):
        log = place.path / f"worker-{number}.log"
        started[_spawn(command, environment.project_directory, log)] = log
    try:
        _await(started, place, clock)
    except BaseException:
        for pid in started:  # also those that hold no place yet
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
        raise
    return len(started)


def _spawn(command: list[str], directory: Path, log: Path) -> int:
    """Start a process in a session of its own, with its output in its log."""
    runs = f"import os, sys; os.chdir({str(directory)!r}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", runs, *command],
        dict(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP],
        setsigmask=[],
    )


def _await(started: Mapping[int, Path], place: DeploymentDirectory, clock: Clock) -> None:
    """Wait until each is ready.

    Raises:
        ExternalError: FLX-4522.
    """
    deadline_ms = clock.monotonic_ms() + WORKER_START_MS_MAX
    while len(running_workers(place)) < len(started):
        for pid, log in started.items():
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                said = log.read_text(errors="replace").strip()
                code = os.waitstatus_to_exitcode(status)
                raise ExternalError("FLX-4522", "a worker does not start", detail=said or f"It ended with code {code}.")
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


def end_workers(place: DeploymentDirectory, clock: Clock) -> int:
    """Ask the workers on this machine to end, and wait for them; those that do not are killed.

    Returns:
        How many there were.
    """
    found = _holders(place)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline_ms = clock.monotonic_ms() + WORKER_END_MS_MAX
    while _holders(place):
        if clock.monotonic_ms() >= deadline_ms:
            for pid in _holders(place):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # what it did not commit, the next one does again
            break
        clock.wait(Event(), FLINK_POLL_MS)
    for pid in found:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return len(found)


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
