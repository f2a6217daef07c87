"""Appends records to partitions that the caller chooses, well ahead of what the brokers have acknowledged.

`put` hands records over and returns; `settle` waits until the brokers have everything. The order within a partition is that
of `put`, also where the client sends again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import Troubles, connect, make, partitions_of, refusal
from fluxline.connectors.kafka.sink import OURS
from fluxline.limits import INGEST_RECORD_BYTES, INGEST_UNSETTLED_BYTES_MAX, KAFKA_DELIVERY_POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.connectors.kafka.options import KafkaOptions


class Appender:
    """Writes to one topic; used by one thread.

    Attributes:
        partitions: how many the topic has.

    Raises:
        ExternalError: FLX-4401 to FLX-4405, the brokers do not answer or refuse, or there is no such topic.
    """

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        self._topic = topic
        self._troubles = Troubles()
        self._producer = make("Producer", options, {**OURS, "message.max.bytes": INGEST_RECORD_BYTES}, self._troubles)
        self._lost: Any = None
        self._unsettled_bytes = 0
        self.partitions = len(partitions_of(topic, connect(self._producer, options, self._troubles)))

    def put(self, partition: int, values: Sequence[bytes | None]) -> None:
        """Take records for a partition; waits where the brokers are too far behind.

        Raises:
            ExternalError: FLX-4401 to FLX-4405, they did not take an earlier one.
        """
        self._unsettled_bytes += sum(map(len, filter(None, values)))
        if self._unsettled_bytes > INGEST_UNSETTLED_BYTES_MAX:
            self.settle()
        messages: list[dict[str, Any]] = [{"value": value} for value in values]
        if self._producer.produce_batch(self._topic, messages, partition=partition, on_delivery=self._done) < len(messages):
            refused = next(message["_error"] for message in messages if "_error" in message)
            raise refusal(refused, self._topic, "write", self._troubles)
        self._producer.poll(0)
        self._check()

    def settle(self) -> None:
        """Wait until the brokers have acknowledged everything.

        Raises:
            ExternalError: FLX-4401 to FLX-4405, they do not take it; nothing says which records they have.
        """
        while self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS):
            self._check()
        self._check()
        self._unsettled_bytes = 0

    def close(self) -> None:
        """Drop what was not delivered; may be called twice."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS)
            self._producer = None

    def _done(self, error: Any, _message: Any) -> None:
        """Take a report; there are reports of failures alone."""
        if self._lost is None:
            self._lost = error

    def _check(self) -> None:
        if self._lost is not None:
            raise refusal(self._lost, self._topic, "write", self._troubles)
