"""The local stack of a project: start, stop, look, as the command line asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.config_project import find_project_file
from fluxline.errors import ConfigError, RecoveryError, ResourceMissing, did_you_mean
from fluxline.stack.disk import is_full, said_full
from fluxline.stack.environment import environment_text
from fluxline.stack.lifecycle import PARTS, Start, down, kill, log_lines, restart, servers_of, up
from fluxline.stack.processes import is_running, memory_bytes, ports_of
from fluxline.stack.state import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.config import Environment

__all__ = [
    "PARTS", "LogOf", "ServerStatus", "Start", "environment", "full_disks", "kill_servers", "logs", "restart_servers", "stack_directory",
    "start_stack", "status", "stop_stack",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What one process of a stack does now.

    Attributes:
        state: `serves`: it listens at its port; `starts`: it runs and does not listen yet; `ended`: it was started and runs no more.
        trouble: `disk full`: it ended for want of room, or has none left now; empty otherwise.
    """

    name: str
    part: str
    state: str
    pid: int
    host: str
    port: int
    memory_bytes: int
    log: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class LogOf:
    """The last lines of one server's log."""

    server: str
    path: Path
    lines: list[str]


def stack_directory(start: Path, name: str) -> Path:
    """Where the stack of this name lives: in the project of a file or folder, else in that folder itself."""
    file = find_project_file(start)  # not read: a stack is ended although the file is broken
    here = Path(start).resolve()
    folder = file.parent if file is not None else here if here.is_dir() else here.parent
    return folder / ".fluxline" / "stack" / name


def start_stack(parts: Sequence[str], directory: Path, start: Start, say: Callable[[str], None]) -> list[ServerStatus]:
    """Start parts of a stack; how all of it stands then."""
    up(parts, directory, start, say)
    return status(directory)


def stop_stack(directory: Path) -> list[str]:
    """End a stack; the names of the servers that ran."""
    return down(directory)


def kill_servers(name: str, directory: Path) -> list[str]:
    """End a server, or all of a part, as a crash would; the names of those that ran."""
    return kill(name, directory)


def restart_servers(name: str, directory: Path, say: Callable[[str], None]) -> list[ServerStatus]:
    """Start a server, or all of a part, again; how all of the stack stands then."""
    restart(name, directory, Start(), say)
    return status(directory)


def status(directory: Path) -> list[ServerStatus]:
    """How each server stands; none where no stack was started."""
    state = read_state(directory)
    found = []
    for process in state.processes:
        runs = is_running(process)
        word = ("serves" if process.port in ports_of(process) else "starts") if runs else "ended"
        log = str(directory / f"{process.name}.log")
        full = is_full(directory, process.part, process.name) if runs else said_full(directory, process.name)
        where = (process.pid, process.host, process.port)
        found.append(ServerStatus(process.name, process.part, word, *where, memory_bytes(process), log, "disk full" if full else ""))
    return found


def full_disks(environment: Environment) -> str:
    """What the servers of a stack of this machine say of full disks, if the environment's brokers or cluster are one; empty otherwise.

    Flink tells of a checkpoint that it could not write, and not why; a broker without room is gone, and tells nothing.
    """
    options = [connection.table.values.get("bootstrap_servers") for connection in environment.connections.values()]
    addresses = [address for each in options if isinstance(each, list) for address in each]
    addresses += [address for address in (environment.flink.rest, environment.flink.gateway) if address is not None]
    ports = {int(port) for address in addresses if (port := str(address).rstrip("/").rpartition(":")[2]).isdigit()}
    found = []
    for record in sorted((environment.project_directory / ".fluxline" / "stack").glob("*/state.json")):
        try:
            state = read_state(record.parent)
        except RecoveryError:  # Of a newer version, or of no stack: who looks at it is told.
            continue
        if ports.isdisjoint(state.ports.values()):
            continue
        full = [process.name for process in state.processes if is_full(record.parent, process.part, process.name)]
        full += [process.name for process in state.processes if process.name not in full and said_full(record.parent, process.name)]
        if full:
            found.append(f'A disk is full: look at {", ".join(full)} of the stack "{record.parent.name}" ({record.parent}).')
    return " ".join(found)


def environment(directory: Path, name: str, keyspace: str) -> str:
    """The environment that a running stack stands for, as the project file has it.

    Raises:
        ResourceMissing: FLX-4311, nothing of it runs.
    """
    serving = {each.name for each in status(directory) if each.state == "serves"}
    state = read_state(directory)
    parts = tuple(part for part in PARTS if serving.issuperset(servers_of(state, part)))
    if not parts:
        raise ResourceMissing("FLX-4311", f'no part of the stack "{directory.name}" runs', hint='Start it with "fluxline stack up".')
    return environment_text(name, state, parts, keyspace)


def logs(directory: Path, part: str, count: int) -> list[LogOf]:
    """The last lines of a part, or of one of its servers.

    Raises:
        ConfigError: FLX-4310, there is no such part.
        ResourceMissing: FLX-4311, it was never started.
    """
    state = read_state(directory)
    servers = {each: servers_of(state, each) for each in PARTS}
    known = list(dict.fromkeys([*PARTS, *(name for names in servers.values() for name in names)]))
    if part not in known:
        raise ConfigError("FLX-4310", f'the stack has no part "{part}"', detail=f"It has {', '.join(known)}.", hint=did_you_mean(part, known))
    paths = [(server, directory / f"{server}.log") for server in servers.get(part, (part,))]
    found = [LogOf(server, path, log_lines(path, count)) for server, path in paths if path.exists()]
    if not found:
        raise ResourceMissing(
            "FLX-4311", f'"{part}" of the stack "{directory.name}" was never started', hint=f'Start it with "fluxline stack up {part}".'
        )
    return found
