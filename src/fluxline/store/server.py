"""Answers the queries of other processes: the process that writes a store owns its file, and the others ask it.

It listens on a Unix socket of mode 0600 in a directory that only its user can write to, and says in `<path>.server`
where. Each client has a thread for its one question; none can hold up another: their number, the time for a question,
for a query and for taking the answer are bounded, and a query whose client is gone is stopped.
"""

from __future__ import annotations

import io
import json
import os
import select
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from fluxline.errors import ExternalError, FluxlineError, InternalError, Throttled
from fluxline.limits import (
    STORE_CONNECTIONS_MAX,
    STORE_LOCK_POLL_MS,
    STORE_REQUEST_BYTES_MAX,
    STORE_REQUEST_MS_MAX,
    STORE_RESULT_MS_MAX,
    STORE_SOCKET_PATH_BYTES_MAX,
)
from fluxline.store.wire import VERSION, receive_json, require_same_user, require_version, send_json, unclear

if TYPE_CHECKING:
    from fluxline.store.query import Answer, Queries, Ticket

_WATCH_MS = 500
"""How often running queries are looked at."""
_GONE = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)


def address_path(store: Path) -> Path:
    """The file beside a store that says where its owner listens."""
    return store.with_name(store.name + ".server")


class QueryServer:
    """Listens until it is closed.

    Args:
        store: path of the store.
        queries: what runs the queries.
    """

    def __init__(self, store: Path, queries: Queries) -> None:
        self._store = store
        self._queries = queries
        self._lock = Lock()
        self._clients: dict[socket.socket, tuple[Thread, Ticket]] = {}
        self._closing = False
        self._wake, self._waker = socket.socketpair()
        self._private: str | None = None
        self._path: Path | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path = self._listen()
            self._announce(self._path)
        except OSError as error:
            self._let_go()
            raise ExternalError(
                "FLX-4614",
                f'the table store "{store}" cannot listen for queries',
                detail=f"{error.strerror or error}.",
                hint="Look at the rights of its directory.",
            ) from error
        self._thread = Thread(target=self._serve, name="store-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, stop running queries, and take the address away; may be called twice."""
        if self._closing:
            return
        self._closing = True
        self._waker.send(b".")
        self._thread.join()
        with self._lock:
            clients = dict(self._clients)
        for peer, (_thread, ticket) in clients.items():
            ticket.stop("abandoned")
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread, _ticket in clients.values():
            while thread.is_alive():  # once more for each: its query may have begun only now
                self._queries.enforce()
                thread.join(STORE_LOCK_POLL_MS / 1000)
        self._let_go()

    def _listen(self) -> Path:
        path = self._store.with_name(self._store.name + ".socket").absolute()
        if len(os.fsencode(path)) > STORE_SOCKET_PATH_BYTES_MAX or not _only_ours(path.parent):
            self._private = tempfile.mkdtemp(prefix="fluxline-")
            path = Path(self._private) / "store.socket"
        path.unlink(missing_ok=True)  # of a process that died; the store's lock says that none lives
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(STORE_CONNECTIONS_MAX)  # before this nobody can connect
        self._listener.setblocking(False)
        return path

    def _announce(self, path: Path) -> None:
        """Write the address aside and move it into place: a reader finds all of it or none."""
        address = address_path(self._store)
        aside = address.with_name(address.name + ".new")
        aside.unlink(missing_ok=True)
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as text:
            json.dump({"version": VERSION, "pid": os.getpid(), "socket": str(path)}, text)
        aside.replace(address)

    def _let_go(self) -> None:
        self._listener.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            address_path(self._store).unlink(missing_ok=True)
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
        self._wake.close()
        self._waker.close()

    def _serve(self) -> None:
        """Accept clients, and watch those whose queries run."""
        while not self._closing:
            with self._lock:
                tickets = {peer.fileno(): ticket for peer, (_thread, ticket) in self._clients.items()}
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            poll.register(self._listener, select.POLLIN)
            for file, ticket in tickets.items():
                if not ticket.stopped:  # one that is gone would wake us until its thread has noticed
                    poll.register(file, _GONE)
            ready = {file for file, _events in poll.poll(_WATCH_MS)}
            for file, ticket in tickets.items():
                if file in ready:
                    ticket.stop("abandoned")
            self._queries.enforce()
            if self._listener.fileno() in ready:
                try:
                    self._accept(self._listener.accept()[0])
                except OSError:  # no file handles left: looking again at once would only burn a core
                    only_wake = select.poll()
                    only_wake.register(self._wake, select.POLLIN)
                    only_wake.poll(_WATCH_MS)

    def _accept(self, peer: socket.socket) -> None:
        """Give the client its thread, or send it away."""
        try:
            require_same_user(peer)
            with self._lock:
                if len(self._clients) >= STORE_CONNECTIONS_MAX:
                    raise Throttled("FLX-4610", f"{STORE_CONNECTIONS_MAX} clients ask the table store already", hint="Try again later.")
                ticket = self._queries.ticket()
                thread = Thread(target=self._attend, args=(peer, ticket), name="store-client", daemon=True)
                self._clients[peer] = (thread, ticket)
                thread.start()
        except FluxlineError as error:
            peer.settimeout(0)  # what does not fit the socket's buffer at once is not worth waiting for
            _send_error(peer, error)
            peer.close()

    def _attend(self, peer: socket.socket, ticket: Ticket) -> None:
        """Answer one client."""
        try:
            peer.settimeout(STORE_REQUEST_MS_MAX / 1000)
            answer = self._answer(receive_json(peer, STORE_REQUEST_BYTES_MAX), ticket)
            data = io.BytesIO()
            answer.frame.write_ipc_stream(data)
            peer.settimeout(STORE_RESULT_MS_MAX / 1000)
            send_json(peer, {"version": VERSION, "rows": answer.frame.height, "bytes": data.tell(), "truncated": answer.truncated})
            peer.sendall(data.getbuffer())
        except FluxlineError as error:
            _send_error(peer, error)
        except OSError:
            pass  # the client is gone or slow, and there is nobody to tell
        except Exception as error:  # a client must hear of our mistakes too, and the server goes on
            _send_error(peer, InternalError("FLX-9601", "the query failed by a mistake of Fluxline", detail=f"{type(error).__name__}: {error}"))
        finally:
            with self._lock:
                del self._clients[peer]
            peer.close()

    def _answer(self, question: dict[str, Any], ticket: Ticket) -> Answer:
        require_version(question, who="client")
        sql, limit = question.get("sql"), question.get("limit")
        if not isinstance(sql, str) or not (limit is None or type(limit) is int):
            raise unclear("The question has no SQL, or a limit that is no number.")
        return self._queries.run(sql, limit=limit, ticket=ticket)


def _send_error(peer: socket.socket, error: FluxlineError) -> None:
    with suppress(OSError):
        send_json(peer, {"version": VERSION, "error": error.as_json()})


def _only_ours(directory: Path) -> bool:
    """Whether nobody else can put names into a directory."""
    status = directory.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
