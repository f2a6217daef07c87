"""Who holds a store: a lock file beside it, held by one process that writes or by any number that read.

The system lets go of the lock when its process dies, so nothing is ever left locked; the file stays and holds the
writer's process id for messages.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from fluxline.errors import ExternalError, ResourceBusy
from fluxline.limits import STORE_LOCK_POLL_MS, STORE_LOCK_WAIT_MS
from fluxline.store.failure import storage_failure

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.clock import Clock

_PID_CHARS = 20


class StoreLock:
    """The lock of one store, taken."""

    def __init__(self, file: int, *, writes: bool) -> None:
        self._file: int | None = file
        self._writes = writes

    @classmethod
    def take(cls, path: Path, *, writes: bool, clock: Clock, wait_ms: int = STORE_LOCK_WAIT_MS) -> StoreLock:
        """Take the lock, waiting a little for those that are about to let go.

        Raises:
            ResourceBusy: FLX-4601, another process holds it.
            ExternalError: FLX-4602, the system has no such lock; FLX-4606, its file cannot be made.
        """
        if sys.platform == "win32":
            raise ExternalError(
                "FLX-4602",
                "the table store does not run on Windows",
                hint="Run in the Windows Subsystem for Linux, or bind to another system.",
            )
        try:
            file = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise storage_failure(error, path) from error
        never = threading.Event()
        until = clock.monotonic_ms() + wait_ms
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if writes else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.monotonic_ms() >= until:
                    holder = _holder(file)
                    os.close(file)
                    raise _busy(path, holder, writes=writes) from None
                clock.wait(never, STORE_LOCK_POLL_MS)
        if writes:
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return cls(file, writes=writes)

    def release(self) -> None:
        """Let go of the lock; may be called twice."""
        if self._file is None:
            return
        if self._writes:
            with suppress(OSError):  # a full disk must not keep the lock
                os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = None


def _holder(file: int) -> int | None:
    """The process that writes, if it is alive; None when only readers hold the lock."""
    text = os.pread(file, _PID_CHARS, 0).strip()
    if not text.isdigit():
        return None
    pid = int(text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return pid


def _busy(path: Path, holder: int | None, *, writes: bool) -> ResourceBusy:
    if holder is None:
        return ResourceBusy(
            "FLX-4601",
            f'the table store "{path}" is being read by another process',
            detail=f"A store is opened for writing when nobody reads its file; waited {STORE_LOCK_WAIT_MS} ms.",
            hint="Try again when the query has ended.",
        )
    own = holder == os.getpid()
    who = "this process" if own else f"process {holder}"
    hint = (
        "Close the other store first; sinks of one process share one."
        if own
        else f"Stop process {holder} first, or give this run another store: another environment, or another path of the connection."
    )
    detail = "One process at a time writes a store; others ask it." if writes else "It does not answer now: it is starting, stopping or stuck."
    return ResourceBusy("FLX-4601", f'the table store "{path}" is held by {who}', detail=detail, hint=hint if writes else "Try again in a moment.")
