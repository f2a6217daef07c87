"""What the workers of a deployment, and their watcher, say of themselves in files that others read at any time.

<directory>/<pipeline>/worker-1/state.json    a worker: that it lives, and what it waits for
<directory>/<pipeline>/watcher/lock           held by the watcher
<directory>/<pipeline>/watcher/state.json     the watcher: the processes that it has started, and how often they died
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fluxline.control.status import is_alive
from fluxline.engines.embedded.saved_state import external
from fluxline.engines.worker.drain import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxline.control.deployment import DeploymentDirectory


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says.

    Attributes:
        pid: its process.
        beat: one more each time that it says something.
        waiting: per sink, that the system does not take the rows at hand.
    """

    pid: int
    beat: int = 0
    waiting: Mapping[str, Waiting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """One worker's place in the eyes of the watcher.

    Attributes:
        number: 1 for the first; its log is worker-<number>.log.
        pid: the process; None where none runs.
        deaths: how often its process ended without being asked to.
        given_up: it died so often, and so soon, that no more is tried.
        died_at_ms: wall-clock time of the last death, or None.
        said: the end of what the process said that died last.
    """

    number: int
    pid: int | None = None
    deaths: int = 0
    given_up: bool = False
    died_at_ms: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class WatcherState:
    """What the watcher of a deployment says.

    Attributes:
        pid: its process.
        workers: their places.
        alive: whether the process lives.
    """

    pid: int
    workers: tuple[Watched, ...]
    alive: bool = False

    @property
    def tries(self) -> bool:
        """Whether workers run by its doing, or will."""
        return self.alive and not all(worker.given_up for worker in self.workers)


def write_worker_state(path: Path, state: WorkerState) -> None:
    """Say how a worker does, in its directory."""
    _write(path, {"pid": state.pid, "beat": state.beat, "waiting": {sink: asdict(each) for sink, each in state.waiting.items()}})


def read_worker_state(path: Path) -> WorkerState | None:
    """What the worker of a directory said last; None where it did not."""
    data = _read(path)
    try:
        return None if data is None else WorkerState(data["pid"], data["beat"], {sink: Waiting(**each) for sink, each in data["waiting"].items()})
    except (KeyError, TypeError, AttributeError):
        return None


def write_watcher_state(place: DeploymentDirectory, state: WatcherState) -> None:
    """Say how the watcher does."""
    _write(place.path / "watcher", {"pid": state.pid, "workers": [asdict(each) for each in state.workers]})


def read_watcher_state(place: DeploymentDirectory) -> WatcherState | None:
    """What the watcher said last, and whether it lives; None where there never was one."""
    path = place.path / "watcher"
    data = _read(path)
    try:
        found = None if data is None else WatcherState(data["pid"], tuple(Watched(**each) for each in data["workers"]))
    except (KeyError, TypeError):
        return None
    return None if found is None else replace(found, alive=is_alive(path, found.pid))


def waiting_workers(place: DeploymentDirectory) -> dict[str, Waiting]:
    """Per sink, that workers on this machine wait for its system; the one that waits longest."""
    found: dict[str, Waiting] = {}
    for worker in place.workers():
        state = read_worker_state(worker.path)
        if state is None or not is_alive(worker.path, state.pid):
            continue
        for sink, each in state.waiting.items():
            if sink not in found or each.since_ms < found[sink].since_ms:
                found[sink] = each
    return found


def _write(directory: Path, data: dict[str, object]) -> None:
    """Write as a whole; what a crash of the machine takes from it nobody misses."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = directory / "state.json.tmp"
        temporary.write_text(json.dumps(data))
        temporary.replace(directory / "state.json")
    except OSError as error:
        raise external(error, directory) from error


def _read(directory: Path) -> dict[str, Any] | None:
    try:
        data = json.loads((directory / "state.json").read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
