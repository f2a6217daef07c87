"""Bounded ways between threads, which count the rows inside them. A full one stops its writer: that is back pressure."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from fluxline.limits import CHANNEL_BATCHES_MAX, CHANNEL_WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")


class Cancelled(Exception):
    """The job was ended; nobody reads the channel any more."""


class Channel(Generic[Item]):
    """A queue of items, each of which carries rows of some outputs."""

    def __init__(self, cancelled: threading.Event) -> None:
        self.lock = threading.Lock()
        self.inside: dict[str, int] = {}
        self._queue: queue.Queue[tuple[dict[str, int], Item]] = queue.Queue(maxsize=CHANNEL_BATCHES_MAX)
        self._cancelled = cancelled

    def put(self, rows: dict[str, int], item: Item, published: Callable[[], None] = lambda: None) -> None:
        """Add an item; waits while the channel is full.

        Args:
            rows: output -> how many of its rows the item carries.
            item: what passes.
            published: called in the moment in which the rows begin to count as inside.

        Raises:
            Cancelled: the job was ended.
        """
        with self.lock:
            published()
            for output, count in rows.items():
                self.inside[output] = self.inside.get(output, 0) + count
        while True:
            if self._cancelled.is_set():
                raise Cancelled
            try:
                self._queue.put((rows, item), timeout=CHANNEL_WAIT_MS / 1000)
            except queue.Full:
                continue
            return

    def get(self, taken: Callable[[Item], None]) -> bool:
        """Take the next item; False when none came within CHANNEL_WAIT_MS.

        Args:
            taken: called with the item in the moment in which its rows no longer count as inside.

        Raises:
            Cancelled: the job was ended.
        """
        if self._cancelled.is_set():
            raise Cancelled
        try:
            rows, item = self._queue.get(timeout=CHANNEL_WAIT_MS / 1000)
        except queue.Empty:
            return False
        with self.lock:
            for output, count in rows.items():
                self.inside[output] -= count
            taken(item)
        return True
