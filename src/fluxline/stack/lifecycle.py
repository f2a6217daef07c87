"""Start and stop a stack: the order, what makes a server believed, and what is undone when a start fails."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock, new_identity
from fluxline.errors import ConfigError, ExternalError, UnsupportedByEngine, did_you_mean
from fluxline.limits import MIB, STACK_FREE_BYTES_MIN, STACK_LOG_LINES_SHOWN, STACK_POLL_MS, STACK_READY_MS_MAX, STACK_STOP_MS_MAX
from fluxline.stack import cassandra, flink, kafka
from fluxline.stack.cache import cache_directory, ensure, no_room
from fluxline.stack.ports import draw_ports
from fluxline.stack.processes import end_all, is_running, ports_of, psutil_module, spawn
from fluxline.stack.server import Place
from fluxline.stack.state import ServerProcess, State, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.stack.cache import Fetched
    from fluxline.stack.server import Server

    Say = Callable[[str], None]

PARTS = ("kafka", "flink", "cassandra")
_PORTS = {"kafka": kafka.PORTS, "flink": flink.PORTS, "cassandra": cassandra.PORTS}
_STANDARD = {"kafka": kafka.STANDARD, "flink": flink.STANDARD, "cassandra": cassandra.STANDARD}
# Variables that would change a Java, Flink or Kafka behind our back.
_HIDDEN = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "FLINK_CONF_DIR", "FLINK_PLUGINS_DIR", "FLINK_HOME")


@dataclass(frozen=True, slots=True)
class Start:
    """How a stack is started.

    Attributes:
        standard_ports: take the ports that everybody knows, and fail if one is taken.
        metrics: let Flink answer Prometheus; its reporter listens on all addresses of the machine and has no option for it.
        fresh: forget the data of earlier starts.
        die_with_parent: end the servers when the thread that started them ends.
        ready_ms_max: longest wait for one server.
    """

    standard_ports: bool = False
    metrics: bool = False
    fresh: bool = False
    die_with_parent: bool = False
    ready_ms_max: int = STACK_READY_MS_MAX


def up(parts: Sequence[str], directory: Path, start: Start, say: Say, *, variables: Mapping[str, str] | None = None) -> State:
    """Start those of the parts that do not run yet; a part that is there in pieces is started anew.

    Args:
        parts: any of `PARTS`; none means all.
        directory: the folder of the stack; made if it is not there.
        start: how.
        say: takes lines that tell what happens.
        variables: the environment's variables; by default those of the process.

    Raises:
        UnsupportedByEngine: FLX-4300, this is no Linux.
        ConfigError: FLX-4310, a part is not known.
        FluxlineError: what `ensure` and `draw_ports` raise; FLX-4302 a server does not start, FLX-4303 the disk has no room.
    """
    chosen = _checked(parts)
    variables = dict(os.environ if variables is None else variables)
    directory = directory.absolute()
    with _held(directory):
        state = read_state(directory)
        state.processes = [process for process in state.processes if is_running(process)]
        whole = {part for part in PARTS if _is_whole(state, part)}
        wanted = tuple(part for part in chosen if part not in whole)
        _end(state, [process for process in state.processes if process.part not in whole], directory)
        if not wanted:
            say(f"{', '.join(chosen)} {'runs' if len(chosen) == 1 else 'run'} already")
            return state
        fetched = ensure(wanted, cache_directory(variables), variables, say)
        if shutil.disk_usage(directory).free < STACK_FREE_BYTES_MIN:
            raise no_room(directory, f"Less than {STACK_FREE_BYTES_MIN // MIB} MiB are free.")
        fixed = {name: port for part in wanted for name, port in _STANDARD[part].items() if start.standard_ports}
        names = tuple(name for part in wanted for name in _PORTS[part])
        state.ports |= draw_ports(names, new_identity(), fixed, state.ports)
        given = {name: value for name, value in variables.items() if name not in _HIDDEN}
        _start(wanted, directory, state, fetched, start, given, say)
    return state


def down(directory: Path, *, grace_ms: int = STACK_STOP_MS_MAX) -> list[str]:
    """End all processes of a stack.

    Returns:
        The names of those that ran.
    """
    if not (directory / "state.json").exists():
        return []
    directory = directory.absolute()
    with _held(directory):
        state = read_state(directory)
        ran = [process for process in state.processes if is_running(process)]
        _end(state, state.processes, directory, grace_ms)
    return [process.name for process in ran]


def _checked(parts: Sequence[str]) -> tuple[str, ...]:
    if sys.platform != "linux":
        detail = f"This is {sys.platform}. The servers and the way they are watched have been tried on Linux alone."
        hint = "Run the stack in a Linux machine or container, or name servers of your own in the project file."
        raise UnsupportedByEngine("FLX-4300", "the stack of Kafka, Flink and Cassandra runs on Linux only", detail=detail, hint=hint)
    psutil_module()
    for part in parts:
        if part not in PARTS:
            raise ConfigError("FLX-4310", f'the stack has no part "{part}"', detail=f"It has {', '.join(PARTS)}.", hint=did_you_mean(part, PARTS))
    return tuple(part for part in PARTS if part in parts or not parts)


def _is_whole(state: State, part: str) -> bool:
    names = {process.name for process in state.processes if process.part == part}
    return names == ({"jobmanager", "taskmanager", "gateway"} if part == "flink" else {part})


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Start or stop a stack in one process at a time."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = (directory / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise ExternalError("FLX-4307", f'the folder "{directory}" of the stack cannot be written', detail=f"{error}.") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start(parts: tuple[str, ...], directory: Path, state: State, fetched: Fetched, start: Start, variables: Mapping[str, str], say: Say) -> None:
    """Start parts one after the other; what was started ends again if one of them fails."""
    clock = SystemClock()
    started: list[ServerProcess] = []
    pending: list[tuple[Server, ServerProcess, int]] = []
    try:
        for part in parts:
            if start.fresh:
                shutil.rmtree(directory / part, ignore_errors=True)
            for server in _prepare(part, directory, state, fetched, start, variables):
                began_ms = clock.monotonic_ms()
                process = spawn(server, directory, variables, die_with_parent=start.die_with_parent)
                started.append(process)
                state.processes.append(process)
                write_state(directory, state)  # At once: should we be killed, `down` finds it.
                pending.append((server, process, began_ms))
        for server, process, began_ms in pending:
            _await_ready(server, process, directory, clock, began_ms + start.ready_ms_max)
            say(f"{server.name} serves at port {server.listens[0]} after {(clock.monotonic_ms() - began_ms) / 1000:.1f} s")
    except BaseException:
        _end(state, started, directory)
        raise


def _prepare(part: str, directory: Path, state: State, fetched: Fetched, start: Start, variables: Mapping[str, str]) -> list[Server]:
    place = Place(directory / part, fetched.java, fetched.jars[part], state.ports)
    if part == "kafka":
        return kafka.prepare(place, variables)
    if part == "cassandra":
        return cassandra.prepare(place)
    assert fetched.flink_home is not None
    return flink.prepare(place, fetched.flink_home, metrics=start.metrics)


def _await_ready(server: Server, process: ServerProcess, directory: Path, clock: Clock, deadline_ms: int) -> None:
    """Wait until the process itself holds its ports and answers: another server at the same port is never taken for it."""
    while True:
        if not is_running(process):
            raise _did_not_start(server, directory, "It ended.")
        reason = f"It does not listen at port {' and '.join(map(str, server.listens))}."
        if set(server.listens) <= ports_of(process):
            reason = "It listens and does not answer as it should."
            try:
                if server.answers():
                    return
            except OSError as error:
                reason = f"It listens and does not answer: {error}."
        if clock.monotonic_ms() > deadline_ms:
            raise _did_not_start(server, directory, f"{reason} The wait is over.")
        clock.wait(Event(), STACK_POLL_MS)


def _did_not_start(server: Server, directory: Path, reason: str) -> ExternalError:
    log = directory / f"{server.name}.log"
    lines = "\n".join(f"  {line}" for line in log_lines(log, STACK_LOG_LINES_SHOWN))
    return ExternalError(
        "FLX-4302",
        f"{server.name} did not start",
        detail=f"{reason} The last lines of its log:\n{lines}" if lines else f"{reason} Its log is empty.",
        hint=f"The whole log is {log}. What was started with it is stopped again.",
    )


def log_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log; none if there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MIB))  # The last lines of a long log are in its last mebibyte.
        return file.read().decode("utf-8", "replace").splitlines()[-count:]


def _end(state: State, processes: Sequence[ServerProcess], directory: Path, grace_ms: int = STACK_STOP_MS_MAX) -> None:
    """End processes, the last started first, and strike them from the record."""
    ending = list(processes)
    if not ending:
        return
    end_all(ending[::-1], SystemClock(), grace_ms)
    state.processes = [process for process in state.processes if process not in ending]
    write_state(directory, state)
