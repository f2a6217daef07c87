"""What is written down of a stack: its processes, by id and time of creation, and its ports.

<project>/.fluxline/stack/<name>/
    state.json   this record    lock   held while the stack is started or stopped
    <server>.log, <server>/     what each server says, and its data
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fluxline.errors import RecoveryError
from fluxline.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 2
_MAIN_PORTS = {"kafka": "kafka", "jobmanager": "flink", "taskmanager": "flink_task_data", "gateway": "flink_gateway", "cassandra": "cassandra"}
"""The port of each server by its name, which a record of version 1 does not tell."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """One process of a stack.

    Attributes:
        name: such as `jobmanager`.
        part: what it belongs to, such as `flink`.
        pid: the process.
        created_at: when it was created, as the system says it: an id is given again, this pair is not.
        host: the address at which it listens.
        port: the one that its users know.
    """

    name: str
    part: str
    pid: int
    created_at: float
    host: str = LOOPBACK
    port: int = 0


@dataclass(slots=True)
class State:
    """The record of one stack; ports stay when it is stopped, so that it comes back at the same place.

    Attributes:
        ports: by name.
        processes: what was started and not ended by us.
        nodes: per part how many brokers, task managers, nodes it has.
    """

    ports: dict[str, int] = field(default_factory=dict)
    processes: list[ServerProcess] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)


def read_state(directory: Path) -> State:
    """The record of a stack, an empty one if there is none.

    Raises:
        RecoveryError: FLX-4308, it cannot be read.
    """
    path = directory / "state.json"
    hint = "End the processes that it names by hand, then delete the file."
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read["version"] > VERSION:
            detail = f"It has version {read['version']}, and this Fluxline reads {VERSION}."
            raise RecoveryError("FLX-4308", f'the record "{path}" is of a newer Fluxline', detail=detail, hint=hint)
        ports = {str(name): int(port) for name, port in read["ports"].items()}
        nodes = {str(part): int(count) for part, count in read.get("nodes", {}).items()}
        return State(ports, [_process(entry, ports) for entry in read["processes"]], nodes)
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecoveryError("FLX-4308", f'the record "{path}" of the stack cannot be read', detail=f"{error!r}.", hint=hint) from error


def _process(entry: dict[str, Any], ports: dict[str, int]) -> ServerProcess:
    name = str(entry["name"])
    port = int(entry["port"] if "port" in entry else ports[_MAIN_PORTS[name]])
    return ServerProcess(name, str(entry["part"]), int(entry["pid"]), float(entry["created_at"]), str(entry.get("host", LOOPBACK)), port)


def write_state(directory: Path, state: State) -> None:
    """Replace the record at once: a reader sees the old one or the new one."""
    record = {"version": VERSION, "ports": state.ports, "processes": [asdict(process) for process in state.processes], "nodes": state.nodes}
    part = directory / "state.json.part"
    part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    part.replace(directory / "state.json")
