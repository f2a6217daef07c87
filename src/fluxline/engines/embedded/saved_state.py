"""What a clean stop leaves, and what says that a run had none.

    <directory>/<pipeline>/lock            held by the process that runs the pipeline
    <directory>/<pipeline>/running.json    there while it runs; left behind by a crash
    <directory>/<pipeline>/stop-000007/    manifest.json, and one Arrow file per frame of an operator's state
    <directory>/<pipeline>/refused/        the rows that the system of a sink refused, one file for each sink

A stop is written beside under another name, made durable, and takes its place by a rename: it is whole or not there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from fluxline.engines.embedded.operator import Snapshot
from fluxline.engines.embedded.source import PartitionState
from fluxline.errors import DiskFull, ExternalError, RecoveryError, ResourceBusy
from fluxline.limits import STOPS_KEPT
from fluxline.telemetry import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STATE_FORMAT_VERSION = 1
REFUSED = "refused"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True, slots=True)
class SavedStop:
    """Everything that the next run goes on from.

    Attributes:
        number: 1 for the first stop, then upwards.
        run_id: identity of the state over all runs that continue it.
        plan_digest: of the plan that wrote it.
        saved_at_ms: wall-clock time.
        ended: the input was read to its end and every window closed.
        sources: source -> (watermark, partitions).
        snapshots: operator -> state.
        ledgers: operator -> its ledger.
        edges: (writer, port, reader) -> rows.
        receipts: sink -> what its writer gave.
    """

    number: int
    run_id: str
    plan_digest: str
    saved_at_ms: int
    ended: bool
    sources: Mapping[str, tuple[int, dict[str, PartitionState]]]
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    edges: Mapping[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    receipts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class StateDirectory:
    """The directory of one pipeline in one environment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def acquire(self, pid: int) -> None:
        """Hold the directory for this process.

        Raises:
            ResourceBusy: FLX-4101, another process runs the pipeline.
        """
        handle, holder = take_lock(self.path)
        if handle is None:
            raise ResourceBusy(
                "FLX-4101",
                f'pipeline "{self.path.name}" runs already, in process {holder}',
                detail=f"It holds {self.path}.",
                hint="Stop that process, or run in another environment: --env NAME.",
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(pid).encode(), 0)
        self._lock = handle

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def running(self) -> dict[str, Any] | None:
        """What a run wrote when it began, if it did not end by a clean stop or an end of ours."""
        try:
            data = json.loads((self.path / "running.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def begin(self, facts: Mapping[str, object]) -> None:
        """Note that a run has begun."""
        try:
            write_durably(self.path / "running.json", json.dumps({"format": STATE_FORMAT_VERSION, **facts}).encode())
        except OSError as error:
            raise external(error, self.path) from error

    def finish(self) -> None:
        """Note that the run has ended cleanly."""
        (self.path / "running.json").unlink(missing_ok=True)

    def last_stop(self) -> SavedStop | None:
        """The newest clean stop.

        Raises:
            RecoveryError: FLX-5003 it is of a newer version, FLX-5004 it cannot be read.
        """
        numbers = self._numbers()
        return self._read(numbers[-1]) if numbers else None

    def save(self, stop: SavedStop) -> None:
        """Write a stop; it is there as a whole when this returns, and old ones are gone."""
        final = self.path / f"stop-{stop.number:06}"
        building = self.path / f"stop-{stop.number:06}.tmp"
        try:
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(mode=0o700)
            manifest = _manifest(stop, building)
            write_durably(building / "manifest.json", json.dumps(manifest, indent=1).encode())
            building.rename(final)
            _sync_directory(self.path)
        except OSError as error:
            raise external(error, self.path) from error
        for number in self._numbers()[:-STOPS_KEPT]:
            shutil.rmtree(self.path / f"stop-{number:06}", ignore_errors=True)

    def clear(self) -> list[str]:
        """Forget all stops and refused rows; returns what was removed."""
        removed = []
        for number in self._numbers():
            shutil.rmtree(self.path / f"stop-{number:06}")
            removed.append(f"stop-{number:06}")
        if (self.path / REFUSED).is_dir():
            shutil.rmtree(self.path / REFUSED)
            removed.append(REFUSED)
        self.finish()
        return removed

    def _numbers(self) -> list[int]:
        found = [entry.name for entry in self.path.glob("stop-*") if entry.is_dir()]
        return sorted(int(name[5:]) for name in found if name[5:].isdigit())

    def _read(self, number: int) -> SavedStop:
        directory = self.path / f"stop-{number:06}"
        try:
            data = json.loads((directory / "manifest.json").read_text())
            version = data["format"]
            if version > STATE_FORMAT_VERSION:
                raise RecoveryError(
                    "FLX-5003",
                    f"the saved state has format {version}, this version reads up to {STATE_FORMAT_VERSION}",
                    detail=f"It is in {directory}.",
                    hint="Use the Fluxline version that wrote it, or start over: --fresh.",
                )
            return _stop_from(data, directory)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
            raise RecoveryError(
                "FLX-5004",
                f"the saved state in {directory} cannot be read",
                detail=f"{type(error).__name__}: {error}.",
                hint="Restore the directory from a copy, or start over: --fresh.",
            ) from error


def take_lock(directory: Path) -> tuple[int | None, str]:
    """Lock a directory, which is made if it is missing, until the handle is closed; None and who holds it where somebody else does.

    Raises:
        ExternalError: the directory cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise external(error, directory) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        return None, holder
    return handle, ""


def external(error: OSError, path: Path) -> ExternalError:
    """An error of the operating system as one of ours."""
    said = _RUST_ERROR.search(str(error))  # Polars hands on the system's number in the text alone
    if (int(said[1]) if said else error.errno) in _NO_ROOM:
        return DiskFull("FLX-4102", f"no room is left on the disk of {path}", hint="Free some space and run again; the last clean stop is intact.")
    return ExternalError("FLX-4103", f"{path} cannot be used: {error.strerror or error}")


def _manifest(stop: SavedStop, directory: Path) -> dict[str, object]:
    """The stop as JSON data; frames are written beside it."""
    operators: dict[str, object] = {}
    for index, (name, snapshot) in enumerate(sorted(stop.snapshots.items())):
        files = {}
        for position, (key, frame) in enumerate(sorted(snapshot.frames.items())):
            file = f"operator-{index:03}-{position:05}.arrow"
            with (directory / file).open("wb") as out:
                frame.write_ipc(out, compression="zstd")
                out.flush()
                os.fsync(out.fileno())
            files[key] = file
        operators[name] = {"values": snapshot.values, "frames": files}
    return {
        "format": STATE_FORMAT_VERSION,
        "number": stop.number,
        "run_id": stop.run_id,
        "plan_digest": stop.plan_digest,
        "saved_at_ms": stop.saved_at_ms,
        "ended": stop.ended,
        "sources": {
            name: {
                "watermark": watermark,
                "partitions": {part: [state.position, state.watermark, state.finished, state.decoder] for part, state in states.items()},
            }
            for name, (watermark, states) in stop.sources.items()
        },
        "operators": operators,
        "ledgers": {name: {key: getattr(ledger, key) for key in ledger.__slots__} for name, ledger in stop.ledgers.items()},
        "edges": [[*names, *rows] for names, rows in stop.edges.items()],
        "receipts": {name: dict(receipt) for name, receipt in stop.receipts.items()},
    }


def _stop_from(data: dict[str, Any], directory: Path) -> SavedStop:
    snapshots = {}
    for name, entry in data["operators"].items():
        frames = {key: pl.read_ipc((directory / os.path.basename(file)).read_bytes()) for key, file in entry["frames"].items()}  # noqa: PTH119
        snapshots[name] = Snapshot(entry["values"], frames)
    return SavedStop(
        number=data["number"],
        run_id=data["run_id"],
        plan_digest=data["plan_digest"],
        saved_at_ms=data["saved_at_ms"],
        ended=data["ended"],
        sources={
            name: (entry["watermark"], {part: PartitionState(*values) for part, values in entry["partitions"].items()})
            for name, entry in data["sources"].items()
        },
        snapshots=snapshots,
        ledgers={name: Ledger(**values) for name, values in data["ledgers"].items()},
        edges={(writer, port, reader): (written, read) for writer, port, reader, written, read in data["edges"]},
        receipts=data["receipts"],
    )


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, also after a crash of the machine."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
