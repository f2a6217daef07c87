"""The sink `kafka`: rows appended to a topic, each acknowledged by all replicas in sync before `write` returns.

Delivery is at least once: rows behind the last stop are written again after a crash. A row with a key goes to the
partition that its key chooses; the key is the key columns in the sink's own format. Of an updating stream the topic
gets what each key has now, and a record without a value for a key that is gone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fluxline.batch import DELETE, UPDATE_BEFORE
from fluxline.connectors.base import Written
from fluxline.connectors.kafka.client import Troubles, connect, library, make, partitions_of, refusal
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.topics import ensure_topic
from fluxline.formats.base import Reject
from fluxline.limits import KAFKA_DELIVERY_POLL_SECONDS, KAFKA_SEND_BYTES_MAX, KAFKA_SEND_RECORDS, REJECT_DETAIL_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.batch import Batch
    from fluxline.connectors.base import SinkContext
    from fluxline.formats.base import Encoded

OURS = {
    "acks": "all",
    "enable.idempotence": True,
    "delivery.report.only.error": True,
    "linger.ms": 5,
    "compression.type": "lz4",
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 0,  # `write` waits for its batch, so one batch is what the client ever holds.
    "queue.buffering.max.kbytes": 2_097_151,
    "reconnect.backoff.max.ms": 1_000,
}


INVALID = (
    "It has no key in a topic that is compacted, or the clock of this machine is further from theirs than message.timestamp.before.max.ms and "
    "message.timestamp.after.max.ms of the topic allow."
)


class KafkaSink:
    """Writes one sink into one topic."""

    def __init__(self, context: SinkContext) -> None:
        options = context.options
        assert isinstance(options, KafkaOptions)
        self._topic = options.topic or context.name
        self._key = context.key or ()
        self._encode_key = None
        if context.key is not None:
            assert context.make_key_encoder is not None, "a sink with a key and a format can encode its key"
            self._encode_key = context.make_key_encoder().encode
        self._troubles = Troubles()
        self._producer = make("Producer", options, {**OURS, "partitioner": options.partitioner}, self._troubles)
        if options.declares_topic:
            ensure_topic(options, self._topic, written=True)
        partitions_of(self._topic, connect(self._producer, options, self._troubles))
        self._failed: list[Any] = []

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Send the rows and wait for what the brokers say of each."""
        assert encoded is not None, "a topic takes bytes"
        values = pieces(encoded)
        keys = None if self._encode_key is None else pieces(self._encode_key(batch.with_columns({name: batch.columns[name] for name in self._key})))
        rows: Sequence[int] = range(batch.rows)
        if batch.kinds is not None:
            assert keys is not None, "an updating stream is written by key"
            for index in np.flatnonzero(batch.kinds == DELETE).tolist():
                values[index] = None
            rows = np.flatnonzero(batch.kinds != UPDATE_BEFORE).tolist()
            values, keys = [values[index] for index in rows], [keys[index] for index in rows]
        refused = self._send(values, keys)
        self._drain()
        refused += places_of(self._failed, values, keys)
        self._failed = []
        rejects = [Reject(rows[place], "refused_by_sink", _said(error)[:REJECT_DETAIL_CHARS_MAX]) for place, error in refused]
        return Written(batch.rows - len(rejects), tuple(sorted(rejects, key=lambda reject: reject.index)))

    def flush(self) -> None:
        """Nothing to do: what was written is acknowledged."""

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Nothing to do: what was written is acknowledged."""
        return {"topic": self._topic}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """What the brokers acknowledged is final."""

    def close(self) -> None:
        """Drop what a failed write left."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS)
            self._producer = None

    def _send(self, values: list[bytes | None], keys: list[bytes | None] | None) -> list[tuple[int, Any]]:
        """Hand the records to the client, some thousand in one call; places of those that it refuses at once, and why."""
        refused: list[tuple[int, Any]] = []
        waiting_bytes = 0
        for start in range(0, len(values), KAFKA_SEND_RECORDS):
            part = values[start : start + KAFKA_SEND_RECORDS]
            if keys is None:
                messages: list[dict[str, Any]] = [{"value": value} for value in part]
            else:
                messages = [{"value": value, "key": key} for value, key in zip(part, keys[start : start + KAFKA_SEND_RECORDS], strict=True)]
            waiting_bytes += sum(map(len, filter(None, part)))
            if waiting_bytes > KAFKA_SEND_BYTES_MAX:
                self._drain()
                waiting_bytes = 0
            if self._producer.produce_batch(self._topic, messages, on_delivery=self._report) < len(messages):
                refused += [(start + place, message["_error"]) for place, message in enumerate(messages) if "_error" in message]
                for _place, error in refused:
                    self._check(error)
        return refused

    def _drain(self) -> None:
        """Wait until the brokers have answered for everything; what still waits for company is sent at once."""
        while self._producer.flush(KAFKA_DELIVERY_POLL_SECONDS):
            self._raise_fatal()
        self._raise_fatal()

    def _report(self, error: Any, message: Any) -> None:
        """Take a report; there are reports of failures alone."""
        self._failed.append((error, message.key(), message.value()))

    def _raise_fatal(self) -> None:
        """Raise the first report that fails the job: no need to wait for the others."""
        for error, _key, _value in self._failed:
            self._check(error)

    def _check(self, error: Any) -> None:
        """Raise an error that is not of its record alone."""
        codes = library().KafkaError
        if error.code() not in (codes.MSG_SIZE_TOO_LARGE, codes.INVALID_RECORD):
            raise refusal(error, self._topic, "write", self._troubles)


def _said(error: Any) -> str:
    """What the brokers say of a record; that it is not valid they say in one word for several reasons."""
    told = f"The brokers say: {error.str()}."
    if error.code() != library().KafkaError.INVALID_RECORD:
        return told
    return f"{told} {INVALID}"


def places_of(failed: list[Any], values: list[bytes | None], keys: list[bytes | None] | None) -> list[tuple[int, Any]]:
    """The places of the records that reports are of: a report has key and value, and of equal records each will do."""
    if not failed:
        return []
    places: dict[tuple[bytes | None, bytes | None], list[int]] = {}
    for place in reversed(range(len(values))):
        places.setdefault((None if keys is None else keys[place], values[place]), []).append(place)
    return [(places[key, value].pop(), error) for error, key, value in failed]


def pieces(encoded: Encoded) -> list[bytes | None]:
    """The records without their line ends."""
    data, bounds = encoded.data, encoded.bounds
    count = len(bounds) - 1
    found: list[bytes | None] = list(data.split(b"\n"))
    if len(found) == count + 1 and bool((np.diff(bounds) > 0).all()) and bool((np.frombuffer(data, np.uint8)[bounds[1:] - 1] == ord("\n")).all()):
        found.pop()  # Each record has a line end, and there are no others: the pieces are the records.
        return found
    places = bounds.tolist()
    return [data[first:last].removesuffix(b"\n") for first, last in pairwise(places)]
