"""Records that a worker cannot hand on go to a topic of their own: key and value as they were, the reason in the headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import Troubles, library, make, refusal
from fluxline.limits import KAFKA_DELIVERY_POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.connectors.kafka.options import KafkaOptions
    from fluxline.formats.base import Reject

PRODUCER = {"enable.idempotence": True, "linger.ms": 5}


class RejectedTopic:
    """Writes to one topic; used by one thread."""

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        self._topic = topic
        self._troubles = Troubles()
        self._producer = make("Producer", options, PRODUCER, self._troubles)
        self._lost: Any = None

    def put(self, key: bytes | None, value: bytes | None, reject: Reject, place: Sequence[int | str]) -> None:
        """Take a record.

        Args:
            key: its key.
            value: its value.
            reject: why it comes here.
            place: partition and offset, or position, that it had.
        """
        partition, offset = place
        headers = {"reason": reject.reason, "detail": reject.detail, "partition": str(partition), "offset": str(offset)}
        while True:
            try:
                self._producer.produce(self._topic, value, key, headers=list(headers.items()), on_delivery=self._done)
            except BufferError:
                self._producer.poll(KAFKA_DELIVERY_POLL_SECONDS)
                continue
            return

    def flush(self) -> None:
        """Wait until the brokers have everything.

        Raises:
            ExternalError: FLX-4401 to FLX-4405, they do not take it.
        """
        while len(self._producer):
            self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS)
        if self._lost is not None:
            raise refusal(self._lost, self._topic, "write", self._troubles)

    def close(self) -> None:
        """Drop what was not delivered; may be called twice."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS)
            self._producer = None

    def _done(self, error: Any, _message: Any) -> None:
        if error is not None and error.code() != library().KafkaError._PURGE_QUEUE:
            self._lost = error
