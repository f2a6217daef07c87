"""Processes of the stack: started so that they outlive us or die with us, known by id and time of creation, ended."""

from __future__ import annotations

import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

from fluxline.errors import ExternalError
from fluxline.limits import STACK_POLL_MS
from fluxline.stack.state import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.stack.server import Server

# What runs first in a new process: it asks the kernel to be killed when the parent ends (1 is PR_SET_PDEATHSIG), sees whether that
# happened already, and becomes the server.
_LAUNCH = """
import ctypes, os, sys
parent, directory, *command = sys.argv[1:]
if parent != "0":
    ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(1)
os.chdir(directory)
os.execv(command[0], command)
"""


def psutil_module() -> Any:
    """The package psutil.

    Raises:
        ExternalError: FLX-4309, it is not installed.
    """
    try:
        import psutil
    except ImportError as error:
        raise ExternalError(
            "FLX-4309",
            'the stack needs the package "psutil"',
            detail="It tells whose process listens at a port.",
            hint='pip install "fluxline[stack]"',
        ) from error
    return psutil


def spawn(server: Server, directory: Path, variables: Mapping[str, str], *, die_with_parent: bool) -> ServerProcess:
    """Start a server in a session of its own, with its output in its log.

    A process that dies with its parent does so when the *thread* that started it ends.
    """
    log = str(directory / f"{server.name}.log")
    command = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid() if die_with_parent else 0), str(directory), *server.command]
    pid = os.posix_spawn(
        sys.executable,
        command,
        {**variables, **server.variables},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        setsigmask=[],
    )
    psutil = psutil_module()
    try:
        created_at = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        created_at = 0.0
    return ServerProcess(server.name, server.part, pid, created_at, server.host, server.listens[0] if server.listens else 0)


def is_running(process: ServerProcess) -> bool:
    """Whether this very process runs; another one that was given its id is not it."""
    return _find(process) is not None


def _find(process: ServerProcess) -> Any:
    psutil = psutil_module()
    try:
        found = psutil.Process(process.pid)
        if abs(found.create_time() - process.created_at) > 1 or found.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return found


def ports_of(process: ServerProcess) -> set[int]:
    """The ports at which the process itself listens."""
    psutil = psutil_module()
    found = _find(process)
    try:
        connections = [] if found is None else found.net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def memory_bytes(process: ServerProcess) -> int:
    """Memory that the process holds; 0 if it is gone."""
    found = _find(process)
    try:
        return 0 if found is None else int(found.memory_info().rss)
    except psutil_module().NoSuchProcess:
        return 0


def end_all(processes: Sequence[ServerProcess], clock: Clock, grace_ms: int, *, number: signal.Signals = signal.SIGTERM) -> list[str]:
    """End processes in their order: each is asked, by this signal, and who still runs when the grace is over is killed.

    Returns:
        The names of those that had to be killed.
    """
    asked = [process for process in processes if _send(process, number)]
    deadline_ms = clock.monotonic_ms() + grace_ms
    while (left := _running(asked)) and clock.monotonic_ms() < deadline_ms:
        clock.wait(Event(), STACK_POLL_MS)
    killed = [process for process in left if _send(process, signal.SIGKILL)]
    deadline_ms = clock.monotonic_ms() + grace_ms
    while _running(killed) and clock.monotonic_ms() < deadline_ms:
        clock.wait(Event(), STACK_POLL_MS)
    for process in processes:
        _reap(process.pid)
    return [process.name for process in killed]


def _running(processes: Iterable[ServerProcess]) -> list[ServerProcess]:
    return [process for process in processes if is_running(process)]


def _send(process: ServerProcess, number: signal.Signals) -> bool:
    """Signal the very process, if it runs."""
    found = _find(process)
    if found is None:
        return False
    try:
        found.send_signal(number)
    except psutil_module().NoSuchProcess:
        return False
    return True


def _reap(pid: int) -> None:
    """Take the exit status of a child, so that it does not stay as a zombie; other processes are not ours to wait for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
