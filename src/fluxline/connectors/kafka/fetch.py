"""Fetches partitions of a topic ahead of their readers, in a thread of its own.

How is left to `library_fetch.py` and `direct_fetch.py`. Changes of what is fetched are left for the thread, so that it alone has to do
with brokers.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from fluxline.connectors.base import Bytes
from fluxline.connectors.kafka.client import Troubles, library, refusal
from fluxline.connectors.kafka.record_batches import Decoded
from fluxline.limits import BLOCK_BYTES_MAX, KAFKA_BUFFER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.connectors.kafka.metadata import Logged, Metadata
    from fluxline.errors import PositionExpired


class Fetched:
    """What came of one partition and was not yet read.

    Attributes:
        number: the partition.
        reached: the offset behind all that came, records and gaps.
        end: nothing at or behind this offset is taken; None where reading does not end.
        blocks: the records.
        error: why nothing more comes.
    """

    def __init__(self, number: int, reached: int, end: int | None) -> None:
        self.number = number
        self.reached = reached
        self.end = end
        self.blocks: deque[Bytes] = deque()
        self.error: Exception | None = None

    def ended(self) -> bool:
        """Whether everything up to the end came and was read; the order of the questions matters, for the thread appends first."""
        return self.end is not None and self.reached >= self.end and not self.blocks

    def take(self, blocks: list[Bytes]) -> int:
        """Keep what lies between the offset reached and the end; the number of bytes kept."""
        kept = 0
        for block in blocks:
            assert block.positions is not None
            offsets = block.positions
            first = int(np.searchsorted(offsets, self.reached))
            stop = len(offsets) if self.end is None else int(np.searchsorted(offsets, self.end))
            if first < stop:
                self.blocks.append(part_of(block, first, stop))
                kept += len(self.blocks[-1].data)
            self.reached = max(self.reached, int(offsets[-1]) + 1)
        return kept


class Fetcher(ABC):
    """The thread, and a consumer of librdkafka that is its own."""

    def __init__(self, consumer: Any, topic: str, metadata: Metadata, troubles: Troubles, expired: Callable[[int, str], PositionExpired]) -> None:
        self.error: BaseException | None = None
        self._metadata = metadata
        self._consumer = consumer
        self._topic = topic
        self._troubles = troubles
        self._expired = expired
        self._fetched: dict[int, Fetched] = {}
        self._changes: deque[tuple[Fetched, bool]] = deque()
        self._assigned: set[int] = set()
        self._buffered = 0
        self._news = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def begin(self, fetched: Fetched) -> None:
        """Fetch a partition, in place of what was fetched of it before."""
        with self._news:
            assert not self._stopping, "a source that was closed opens no partition"
            self._changes.append((fetched, True))
            self._news.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"kafka {self._topic}", daemon=True)
            self._thread.start()

    def end(self, fetched: Fetched) -> None:
        """Fetch a partition no longer."""
        with self._news:
            self._changes.append((fetched, False))
            self._news.notify()

    def drained(self, size: int) -> None:
        """A reader gave so many bytes on."""
        with self._news:
            self._buffered -= size
            self._news.notify()

    def nothing(self, fetched: Fetched, position: int) -> Bytes:
        """What says that a partition has ended."""
        none = np.zeros(0, np.int64)
        return Bytes(b"", position, np.zeros(1, np.int64), none, final=True, metadata=self._metadata.columns(fetched.number, Decoded([])))

    def stop(self) -> None:
        """End the thread and leave the brokers; may be called twice."""
        with self._news:
            if self._stopping:
                return
            self._stopping = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()
        self._leave()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while self._change():
                self._fetch()
        except library().KafkaException as error:
            self.error = refusal(error.args[0], self._topic, "read", self._troubles)
        except BaseException as error:  # A reader raises it; the thread has nobody to tell.
            self.error = error

    def _change(self) -> bool:
        """Wait until there is something to fetch and room for it; False when all is over."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stopping or self._changes or (self._assigned and self._buffered < KAFKA_BUFFER_BYTES_MAX))
                if self._stopping:
                    return False
                if not self._changes:
                    return True
                fetched, begins = self._changes.popleft()
                before = self._fetched.get(fetched.number)
                if not begins and before is not fetched:
                    continue  # Another reader has the partition by now.
                if before is not None:
                    del self._fetched[fetched.number]
                    self._buffered -= sum(len(block.data) for block in before.blocks)
                    before.blocks.clear()
                if begins:
                    self._fetched[fetched.number] = fetched
            self._assign(fetched, begins=begins)

    def _leave(self) -> None:  # noqa: B027 - not every way of fetching has connections of its own.
        """Close what was opened beside the consumer, after the thread has ended."""

    @abstractmethod
    def _assign(self, fetched: Fetched, *, begins: bool) -> None:
        """Begin to fetch a partition, from the offset reached, or end; the thread calls it, and keeps `_assigned`."""

    @abstractmethod
    def _fetch(self) -> None:
        """Take what the brokers have of the assigned partitions, after a short wait, and hand it out."""

    def _take(self, fetched: Fetched, records: Logged) -> None:
        """Hand records of one partition out."""
        kept = fetched.take(make_blocks(fetched.number, records, self._metadata))
        with self._news:
            self._buffered += kept


def make_blocks(partition: int, records: Logged, metadata: Metadata) -> list[Bytes]:
    """The records of one partition as blocks; no value is an empty record."""
    values, offsets = records.values(), records.offsets
    count = len(values)
    bounds = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, count) + 1, out=bounds[1:])
    columns, logged_ms = metadata.columns(partition, records), metadata.logged_ms(records)
    whole = Bytes(b"\n".join([*values, b""]), int(offsets[0]), bounds, offsets, metadata=columns, logged_ms=logged_ms)
    blocks, start = [], 0
    while start < count:
        stop = max(start + 1, int(np.searchsorted(bounds, bounds[start] + BLOCK_BYTES_MAX, side="right")) - 1)
        blocks.append(part_of(whole, start, stop))
        start = stop
    return blocks


def part_of(block: Bytes, first: int, stop: int) -> Bytes:
    """Some of a block's records."""
    assert block.bounds is not None
    assert block.positions is not None
    if stop - first == len(block.positions):
        return block
    bounds = block.bounds[first : stop + 1]
    metadata = None if block.metadata is None else {name: column.slice(first, stop) for name, column in block.metadata.items()}
    logged_ms = None if block.logged_ms is None else block.logged_ms[first:stop]
    data, positions = block.data[bounds[0] : bounds[-1]], block.positions[first:stop]
    return Bytes(data, int(positions[0]), bounds - bounds[0], positions, metadata=metadata, logged_ms=logged_ms)
