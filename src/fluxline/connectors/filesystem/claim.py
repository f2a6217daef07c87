"""Who owns the files of a sink: a small file beside them names the sink and the run, and is locked while they are written.

    {"format": 1, "sink": "alerts", "run_id": "6f0c…"}

- `.NAME.fluxline.json` stands beside a single file, `_fluxline.json` in a directory; both are hidden from sources.
- It is on the disk before the first row is, so files with rows and without an owner are somebody else's, for ever.
- It is written in place, because the lock is on this very file. A crash may tear it; then its files are still empty.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fluxline.connectors.filesystem.errors import file_error
from fluxline.errors import FluxlineError, RecoveryError, ResourceBusy, relative_path
from fluxline.limits import OWNER_BYTES_MAX

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Owner:
    """What the file says: the sink's name in its pipeline, and the run whose rows stand beside it."""

    sink: str
    run_id: str
    format: int = FORMAT_VERSION


class Claim:
    """The owner's file, open and locked.

    Attributes:
        owner: what it said when it was opened; None when it is new or was torn.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        try:
            self._new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._lock()
            self.owner = decode_owner(os.pread(self._descriptor, OWNER_BYTES_MAX, 0), path)
        except OSError as error:
            self.close()
            raise file_error(error, path, "write") from error
        except FluxlineError:
            self.close()
            raise

    def take(self, owner: Owner) -> None:
        """Write the owner and make it durable."""
        assert self._descriptor is not None, "closed"
        content = msgspec.json.encode(owner) + b"\n"
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, content, 0)
            os.fsync(self._descriptor)
            sync_directory(self.path.parent)
        except OSError as error:
            raise file_error(error, self.path, "write") from error
        self.owner = owner
        self._new = False

    def close(self) -> None:
        """Let go; a file that was made only to be locked goes away."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if self._new:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._new = False
            raise ResourceBusy(
                "FLX-4208",
                f'another job writes the files of "{relative_path(str(self.path))}"',
                hint="Stop it, or give this sink another path.",
            ) from None


def decode_owner(content: bytes, path: Path) -> Owner | None:
    """What an owner's file says; None of an empty or torn one.

    Raises:
        RecoveryError: FLX-5001, it is of a newer version.
    """
    try:
        form = msgspec.json.decode(content, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    version = form.get("format")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RecoveryError(
            "FLX-5001",
            f'"{relative_path(str(path))}" has format {version}, and this version reads up to {FORMAT_VERSION}',
            hint="Run the newer version of Fluxline, or give the sink another path.",
        )
    try:
        return msgspec.convert(form, Owner)
    except msgspec.ValidationError:
        return None


def read_owner(path: Path) -> Owner | None:
    """What an owner's file says, without taking it.

    Raises:
        RecoveryError: FLX-5001, it is of a newer version.
    """
    try:
        with path.open("rb") as file:
            content = file.read(OWNER_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_error(error, path, "read") from error
    return decode_owner(content, path)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: a new file is there after a power failure only then."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and those above it, durably."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)
