"""Fetches partitions of a topic ahead of their readers, in a thread that alone calls the consumer.

The client lets one call at a time into a consumer, and one that waits inside keeps every other out, so nobody but the
thread may call it: changes of what is fetched are left for it, and questions go to another client.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fluxline.connectors.base import Bytes
from fluxline.connectors.kafka.client import Troubles, library, refusal
from fluxline.limits import BLOCK_BYTES_MAX, KAFKA_BUFFER_BYTES_MAX, KAFKA_CONSUME_RECORDS, KAFKA_CONSUME_SECONDS, KAFKA_FILL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.connectors.kafka.metadata import Metadata
    from fluxline.errors import PositionExpired


PASSING = (
    "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION", "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "KAFKA_STORAGE_ERROR", "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE", "THROTTLING_QUOTA_EXCEEDED",
)  # fmt: skip
"""Errors after which the client asks again by itself; it marks none of them so where a partition is fetched."""


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


class Fetcher:
    """The thread, and the consumer that is its own."""

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
        return Bytes(b"", position, np.zeros(1, np.int64), none, final=True, metadata=self._metadata.columns(fetched.number, [], none))

    def stop(self) -> None:
        """End the thread and leave the brokers; may be called twice."""
        with self._news:
            if self._stopping:
                return
            self._stopping = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()
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

    def _assign(self, fetched: Fetched, *, begins: bool) -> None:
        kind = library().TopicPartition
        if fetched.number in self._assigned:
            self._consumer.incremental_unassign([kind(self._topic, fetched.number)])
            self._assigned.remove(fetched.number)
        if begins and not fetched.ended():
            self._consumer.incremental_assign([kind(self._topic, fetched.number, fetched.reached)])
            self._assigned.add(fetched.number)

    def _fetch(self) -> None:
        """Take what the client has, and hand it out; the client gives one object for each record."""
        messages = self._consumer.consume(1, KAFKA_CONSUME_SECONDS)
        if messages:
            messages += self._consumer.consume(KAFKA_CONSUME_RECORDS - 1, KAFKA_FILL_SECONDS)
        kind = library().Message
        special = [message for message, error in zip(messages, map(kind.error, messages), strict=True) if error is not None]
        if special:
            messages = [message for message in messages if message.error() is None]
        for number, of_one in by_partition(messages, list(map(kind.partition, messages))).items():
            kept = self._fetched[number].take(make_blocks(of_one, list(map(kind.value, of_one)), self._metadata))
            with self._news:
                self._buffered += kept
        for message in special:  # The end of a partition comes behind its records.
            self._take_special(message)

    def _take_special(self, message: Any) -> None:
        """Take what is no record. What passes by itself is only remembered; anything else ends the reading, for records could be missing."""
        codes = library().KafkaError
        error, fetched = message.error(), self._fetched.get(message.partition())
        if error.code() == codes._PARTITION_EOF:
            assert fetched is not None, "only what is assigned has an end"
            fetched.reached = max(fetched.reached, message.offset())
        elif error.code() in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE):
            assert fetched is not None, "only what is assigned has an offset"
            fetched.error = self._expired(fetched.number, f"The client says: {error.str()}.")
        elif error.code() in {getattr(codes, name) for name in PASSING}:
            self._troubles.take(error)
        else:
            raise library().KafkaException(error)


def by_partition(messages: list[Any], numbers: list[int]) -> dict[int, list[Any]]:
    """The messages of each partition, in their order; they come in long runs."""
    partitions = np.array(numbers, dtype=np.int64)
    starts = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(numbers)]
    found: dict[int, list[Any]] = {}
    for start, stop in pairwise(starts):
        if start < stop:
            found.setdefault(numbers[start], []).extend(messages[start:stop])
    return found


def make_blocks(messages: list[Any], values: list[bytes | None], metadata: Metadata) -> list[Bytes]:
    """The messages of one partition, and their values, as blocks of records; no value is an empty record."""
    records = [value or b"" for value in values]
    count = len(records)
    first, last = messages[0].offset(), messages[-1].offset()
    if last - first == count - 1:
        offsets = np.arange(first, last + 1, dtype=np.int64)
    else:
        offsets = np.array([message.offset() for message in messages], dtype=np.int64)
    bounds = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, records), np.int64, count) + 1, out=bounds[1:])
    columns, logged_ms = metadata.columns(messages[0].partition(), messages, offsets), metadata.logged_ms(messages)
    whole = Bytes(b"\n".join(records) + b"\n", first, bounds, offsets, metadata=columns, logged_ms=logged_ms)
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
