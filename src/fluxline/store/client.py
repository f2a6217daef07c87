"""How any process asks a store: the process that writes it if one is alive, else the file itself."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fluxline.clock import SystemClock
from fluxline.errors import AccessDenied, ResourceBusy, ResourceMissing
from fluxline.limits import (
    STORE_ADDRESS_BYTES_MAX,
    STORE_LOCK_POLL_MS,
    STORE_LOCK_WAIT_MS,
    STORE_QUERY_MS_MAX,
    STORE_REQUEST_BYTES_MAX,
    STORE_REQUEST_MS_MAX,
    STORE_RESULT_BYTES_MAX,
)
from fluxline.store.file import TableFile
from fluxline.store.lock import StoreLock
from fluxline.store.query import Answer, Queries
from fluxline.store.server import address_path
from fluxline.store.wire import VERSION, error_from_json, receive_bytes, receive_json, require_same_user, require_version, send_json, unclear

if TYPE_CHECKING:
    from fluxline.clock import Clock


def query(path: Path | str, sql: str, *, limit: int | None = None, clock: Clock | None = None) -> pl.DataFrame:
    """The rows of one query over the store at a path.

    Args:
        path: the store's file.
        sql: one statement that only reads.
        limit: the first so many rows; None for all, which is an error above STORE_RESULT_ROWS_MAX.
        clock: time; the machine's own if not given.

    Raises:
        ResourceMissing: FLX-4615, there is no store.
        ResourceBusy: FLX-4601, its owner does not answer.
        DefinitionError: FLX-2610 to FLX-2620, the query cannot be run.
    """
    return answer(path, sql, limit=limit, clock=clock).frame


def answer(path: Path | str, sql: str, *, limit: int | None = None, clock: Clock | None = None) -> Answer:
    """As `query`, and whether there were more rows than the limit."""
    path, clock = Path(path).resolve(), clock or SystemClock()
    if not path.exists():
        raise ResourceMissing(
            "FLX-4615",
            f'no table store at "{path}"',
            hint="Run the pipeline first, with fluxline run: it makes the store that its environment names.",
        )
    until = clock.monotonic_ms() + STORE_LOCK_WAIT_MS
    while True:
        asked = _ask_owner(path, sql, limit)
        if asked is not None:
            return asked
        try:
            # One try: an owner that is just starting takes the lock first and listens a moment later.
            lock = StoreLock.take(path, writes=False, clock=clock, wait_ms=0)
        except ResourceBusy:
            if clock.monotonic_ms() >= until:
                raise
            clock.wait(threading.Event(), STORE_LOCK_POLL_MS)
            continue
        try:
            return _read_file(path, sql, limit, clock)
        finally:
            lock.release()


def _read_file(path: Path, sql: str, limit: int | None, clock: Clock) -> Answer:
    """Open the file, which nobody writes, and run the query here."""
    file = TableFile(path, read_only=True)
    try:
        queries = Queries(file, None, clock)
        try:
            return queries.run(sql, limit=limit, ticket=queries.ticket())
        finally:
            queries.close()
    finally:
        file.close()


def _ask_owner(path: Path, sql: str, limit: int | None) -> Answer | None:
    """The owner's answer, or None if there is none: no address, or one that a dead process left."""
    address = _address(path)
    if address is None:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(STORE_REQUEST_MS_MAX / 1000)
        try:
            peer.connect(address)
        except (OSError, ValueError):  # ValueError: too long for an address
            return None
        require_same_user(peer)
        with suppress(BrokenPipeError, ConnectionResetError):  # sent away early; the reason can still be read
            send_json(peer, {"version": VERSION, "sql": sql, "limit": limit})
        peer.settimeout((STORE_QUERY_MS_MAX * 2 + STORE_REQUEST_MS_MAX) / 1000)  # it may wait for its turn as long as it may run
        header = receive_json(peer, STORE_REQUEST_BYTES_MAX)
        require_version(header, who="owner")
        if "error" in header:
            raise error_from_json(header["error"])
        length = header.get("bytes")
        if type(length) is not int or not 0 <= length <= 2 * STORE_RESULT_BYTES_MAX:
            raise unclear("Its answer has no length that can be.")
        data = receive_bytes(peer, length)
        try:
            frame = pl.read_ipc_stream(io.BytesIO(data))
        except pl.exceptions.PolarsError:
            raise unclear("Its answer is no table.") from None
        return Answer(frame, truncated=header.get("truncated") is True)


def _address(path: Path) -> str | None:
    """Where the owner listens, if the address was written by this user and leads to a socket of this user.

    Raises:
        AccessDenied: FLX-4612, it is another user's.
    """
    try:
        file = os.open(address_path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        raise AccessDenied("FLX-4612", f'the table store "{path}" belongs to another user', hint="Ask as the user that runs the pipeline.") from None
    except OSError:
        return None
    try:
        _require_own(os.fstat(file), path)
        text = os.read(file, STORE_ADDRESS_BYTES_MAX)
    finally:
        os.close(file)
    try:
        address = json.loads(text)["socket"]
        status = os.lstat(address)
    except (ValueError, KeyError, TypeError, OSError):
        return None
    if not stat.S_ISSOCK(status.st_mode):
        return None
    _require_own(status, path)
    return str(address)


def _require_own(status: os.stat_result, path: Path) -> None:
    if status.st_uid != os.geteuid():
        raise AccessDenied(
            "FLX-4612",
            f'the table store "{path}" is served by user {status.st_uid}, and this is user {os.geteuid()}',
            hint="Ask as the user that runs the pipeline.",
        )
