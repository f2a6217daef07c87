"""The network between a pipeline and the brokers, which a drill can cut and heal.

Brokers tell clients of one of their listeners to come to the ports of this process, which carries bytes to and fro. Cut, it carries nothing and
closes nothing: both ends see a silence, as with a cable that is pulled, and not the end of a connection, which they would notice at once. What was
under way goes on when the link is healed, as what TCP sends again does. That needs no privilege and no program, other than namespaces or filters.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from fluxline.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BLOCK = 65_536


class Link:
    """Carries connections from each port to the one beside it.

    Args:
        ports: where clients come to, and where they are taken.
    """

    def __init__(self, ports: Sequence[tuple[int, int]]) -> None:
        self.ports = tuple(ports)
        self.carried = 0
        self._whole = threading.Event()
        self._whole.set()
        self._lock = threading.Lock()
        self._listeners = [socket.create_server((LOOPBACK, port)) for port, _target in self.ports]
        self._connected: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        for listener, (_port, target) in zip(self._listeners, self.ports, strict=True):
            self._start(self._accept, listener, target)

    @property
    def bootstrap(self) -> str:
        """What clients call `bootstrap.servers`."""
        return ",".join(f"{LOOPBACK}:{port}" for port, _target in self.ports)

    def cut(self) -> None:
        """Carry nothing more."""
        self._whole.clear()

    def heal(self) -> None:
        """Carry again."""
        self._whole.set()

    def close(self) -> None:
        """End all connections."""
        self._whole.set()
        with self._lock:
            ending = [*self._listeners, *self._connected]
        for each in ending:
            _end(each)
        while self._threads:
            self._threads.pop().join()
        for listener in self._listeners:
            listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _accept(self, listener: socket.socket, target: int) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return  # It is closed.
            with self._lock:
                self._connected.add(client)
            self._start(self._connect, client, target)

    def _connect(self, client: socket.socket, target: int) -> None:
        self._whole.wait()
        with client, suppress(OSError), socket.create_connection((LOOPBACK, target)) as server:  # Closed, as by a broker that is not there.
            with self._lock:
                self._connected.add(server)
            back = self._start(self._carry, server, client)
            self._carry(client, server)
            back.join()
            with self._lock:
                self._connected -= {client, server}

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK):
                self._whole.wait()
                with self._lock:
                    self.carried += len(block)
                target.sendall(block)
        for each in (source, target):
            _end(each)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # It has ended already.
        connection.shutdown(socket.SHUT_RDWR)
