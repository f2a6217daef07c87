"""Start and stop a stack: the order, what makes a server believed, and what is undone when a start fails."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock, new_identity
from fluxline.errors import ConfigError, ExternalError, ResourceMissing, UnsupportedByEngine, did_you_mean
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
_SERVERS = {"kafka": kafka.ports, "flink": flink.ports, "cassandra": cassandra.ports}
_NODES = {"kafka": "brokers", "flink": "task managers", "cassandra": "nodes"}
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
        nodes: per part how many brokers, task managers or nodes; a part that is not named keeps its number, which is 1 at first.
    """

    standard_ports: bool = False
    metrics: bool = False
    fresh: bool = False
    die_with_parent: bool = False
    ready_ms_max: int = STACK_READY_MS_MAX
    nodes: Mapping[str, int] = field(default_factory=dict)


def up(parts: Sequence[str], directory: Path, start: Start, say: Say, *, variables: Mapping[str, str] | None = None) -> State:
    """Start those servers of the parts that do not run yet.

    Args:
        parts: any of `PARTS`; none means all.
        directory: the folder of the stack; made if it is not there.
        start: how.
        say: takes lines that tell what happens.
        variables: the environment's variables; by default those of the process.

    Raises:
        UnsupportedByEngine: FLX-4300, this is no Linux.
        ConfigError: FLX-4310 a part is not known, FLX-4312 its data are those of another number of nodes.
        FluxlineError: what `ensure` and `draw_ports` raise; FLX-4302 a server does not start, FLX-4303 the disk has no room.
    """
    chosen = _checked(parts)
    variables = dict(os.environ if variables is None else variables)
    directory = directory.absolute()
    with _held(directory):
        state = read_state(directory)
        state.processes = [process for process in state.processes if is_running(process)]
        missing = _missing(chosen, directory, state, start)
        if not missing:
            say(f"{', '.join(chosen)} {'runs' if len(chosen) == 1 else 'run'} already")
            return state
        fetched = ensure(tuple(missing), cache_directory(variables), variables, say)
        if shutil.disk_usage(directory).free < STACK_FREE_BYTES_MIN:
            raise no_room(directory, f"Less than {STACK_FREE_BYTES_MIN // MIB} MiB are free.")
        _draw(missing, state, start)
        given = {name: value for name, value in variables.items() if name not in _HIDDEN}
        _start(missing, directory, state, fetched, start, given, say)
    return state


def _missing(parts: Sequence[str], directory: Path, state: State, start: Start) -> dict[str, list[str]]:
    """Per part that is not whole, the names of the servers that do not run; the numbers of nodes are noted.

    Raises:
        ConfigError: FLX-4312.
    """
    running = {process.name for process in state.processes}
    found = {}
    for part in parts:
        asked, before = start.nodes.get(part), state.nodes.get(part, 1)
        count = before if asked is None else asked
        started = any(process.part == part for process in state.processes)
        kept = (directory / part).exists() and not (start.fresh and not started)
        if count != before and kept and (count < before or part == "cassandra") and part != "flink":
            raise _other_number(part, before, count)
        state.nodes[part] = count
        servers = [name for name in _SERVERS[part](count) if name not in running]
        if servers:
            found[part] = servers
    return found


def servers_of(state: State, part: str) -> tuple[str, ...]:
    """The names of the servers that a part has."""
    return tuple(_SERVERS[part](state.nodes.get(part, 1)))


def _other_number(part: str, before: int, count: int) -> ConfigError:
    added = "A node that is added to tables that are there would answer for rows that it does not have."
    why = "What is on a node would be gone with it." if count < before else added
    return ConfigError(
        "FLX-4312",
        f"{part} was started with {before} {_NODES[part]} and cannot go on with {count}",
        detail=why,
        hint="Stop the stack and start it with --fresh, or start another one with --name.",
    )


def _draw(missing: Mapping[str, list[str]], state: State, start: Start) -> None:
    """Ports for the servers that are to be started; those of a part of which something runs stay as they are."""
    fixed: dict[str, int] = {}
    names: list[str] = []
    for part, servers in missing.items():
        whole = _SERVERS[part](state.nodes[part])
        untouched = len(servers) == len(whole)
        names += [name for server in servers for name in whole[server] if untouched or name not in state.ports]
        fixed |= {name: port for name, port in _STANDARD[part].items() if start.standard_ports and name in names}
    state.ports |= draw_ports(tuple(names), new_identity(), fixed, state.ports)


def kill(name: str, directory: Path) -> list[str]:
    """End servers at once, as a crash would (SIGKILL); they stay in the record as ended.

    Args:
        name: a server such as `kafka-2`, or a part; `kafka` is all brokers, `kafka-1` the first.
        directory: the folder of the stack.

    Returns:
        The names of those that ran.

    Raises:
        ResourceMissing: FLX-4311, no such server runs.
    """
    directory = directory.absolute()
    with _held(directory):
        state = read_state(directory)
        meant = [process for process in state.processes if _is_meant(name, process.name, process.part) and is_running(process)]
        if not meant:
            runs = ", ".join(process.name for process in state.processes if is_running(process))
            hint = f"These run: {runs}." if runs else 'Start it with "fluxline stack up".'
            raise ResourceMissing("FLX-4311", f'no server "{name}" of the stack runs', hint=hint)
        end_all(meant, SystemClock(), STACK_STOP_MS_MAX, number=signal.SIGKILL)  # Until the system has taken them away.
    return [process.name for process in meant]


def _is_meant(name: str, server: str, part: str) -> bool:
    """Whether a name means a server: its own, that of its part, or `kafka-1` for a first one whose own name is that of the part."""
    return name in (server, part, f"{server}-1")


def restart(name: str, directory: Path, start: Start, say: Say, *, variables: Mapping[str, str] | None = None) -> State:
    """Start servers again, at the same ports and with the data that they had; what still runs of them ends before.

    Args:
        name: a server such as `kafka-2`, or a part; `kafka` is all brokers, `kafka-1` the first.
        directory: the folder of the stack.
        start: how; numbers of nodes stay as they are.
        say: takes lines that tell what happens.
        variables: as of `up`.

    Raises:
        ResourceMissing: FLX-4311, the stack never had such a server.
        FluxlineError: as `up`.
    """
    directory = directory.absolute()
    state = read_state(directory)
    part = next((part for part, count in state.nodes.items() if any(_is_meant(name, server, part) for server in _SERVERS[part](count))), None)
    if part is None:
        known = [server for each, count in state.nodes.items() for server in _SERVERS[each](count)]
        hint = did_you_mean(name, known) or f"It has {', '.join(known) or 'none'}."
        raise ResourceMissing("FLX-4311", f'the stack has no server "{name}"', hint=hint)
    with _held(directory):
        state = read_state(directory)
        _end(state, [process for process in state.processes if _is_meant(name, process.name, process.part)], directory)
    return up((part,), directory, replace(start, nodes={}, fresh=False), say, variables=variables)


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


def _start(
    missing: Mapping[str, list[str]], directory: Path, state: State, fetched: Fetched, start: Start, variables: Mapping[str, str], say: Say
) -> None:
    """Start servers one after the other; what was started ends again if one of them fails."""
    clock = SystemClock()
    started: list[ServerProcess] = []
    pending: list[tuple[Server, ServerProcess, int]] = []

    def await_pending() -> None:
        for server, process, began_ms in pending:
            _await_ready(server, process, directory, clock, began_ms + start.ready_ms_max)
            say(f"{server.name} serves at port {server.listens[0]} after {(clock.monotonic_ms() - began_ms) / 1000:.1f} s")
        pending.clear()

    try:
        for part, names in missing.items():
            if start.fresh and not any(process.part == part for process in state.processes):
                shutil.rmtree(directory / part, ignore_errors=True)
            for server in _prepare(part, directory, state, fetched, start, variables):
                if server.name not in names:
                    continue
                if server.follows:
                    await_pending()
                began_ms = clock.monotonic_ms()
                process = spawn(server, directory, variables, die_with_parent=start.die_with_parent)
                started.append(process)
                state.processes.append(process)
                write_state(directory, state)  # At once: should we be killed, `down` finds it.
                pending.append((server, process, began_ms))
        await_pending()
    except BaseException:
        _end(state, started, directory)
        raise


def _prepare(part: str, directory: Path, state: State, fetched: Fetched, start: Start, variables: Mapping[str, str]) -> list[Server]:
    place, count = Place(directory / part, fetched.java, fetched.jars[part], state.ports), state.nodes[part]
    if part == "kafka":
        return kafka.prepare(place, count, variables)
    if part == "cassandra":
        return cassandra.prepare(place, count)
    assert fetched.flink_home is not None
    return flink.prepare(place, count, fetched.flink_home, metrics=start.metrics)


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
