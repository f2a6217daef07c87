"""Fetches through librdkafka, which knows every way to be let in and gives one object for each record.

It lets one call at a time into a consumer, and one that waits inside keeps every other out, so nobody but the thread may call it;
questions go to another client.
"""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from fluxline.connectors.kafka.client import PASSING, library
from fluxline.connectors.kafka.fetch import Fetched, Fetcher
from fluxline.limits import KAFKA_CONSUME_RECORDS, KAFKA_CONSUME_SECONDS, KAFKA_FILL_SECONDS

if TYPE_CHECKING:
    from fluxline.batch import Int64s


class LibraryFetcher(Fetcher):
    """Takes what librdkafka fetched."""

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
            self._take(self._fetched[number], Messages(of_one))
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


class Messages:
    """Some of librdkafka's messages, all of one partition."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages

    @property
    def offsets(self) -> Int64s:
        """Of each record, int64 of shape (n,)."""
        first, last = self._messages[0].offset(), self._messages[-1].offset()
        if last - first == len(self._messages) - 1:
            return np.arange(first, last + 1, dtype=np.int64)
        return np.array([message.offset() for message in self._messages], dtype=np.int64)

    def values(self) -> list[bytes]:
        """Of each record; empty where it has none."""
        return [value or b"" for value in map(library().Message.value, self._messages)]

    def keys(self) -> list[bytes | None]:
        """Of each record."""
        return [message.key() for message in self._messages]

    def headers(self) -> list[list[tuple[str, bytes | None]]]:
        """Of each record, in their order."""
        return [message.headers() or [] for message in self._messages]

    def logged_ms(self) -> Int64s:
        """When each was written, or logged, in ms."""
        return np.fromiter(map(itemgetter(1), map(library().Message.timestamp, self._messages)), np.int64, len(self._messages))
