"""Fetches from the brokers themselves, with batches decoded as columns: several times faster than through librdkafka.

Whoever leads a partition is asked for it, and asked again before what came is decoded, so that it reads while we do. A client of librdkafka
tells who leads; it is asked after every error that may pass.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import PASSING, library, partitions_of
from fluxline.connectors.kafka.fetch import Fetched, Fetcher
from fluxline.connectors.kafka.record_batches import BatchesCorrupt, Decoded, RecordBatch, committed, read_batches
from fluxline.connectors.kafka.wire import Connection, FetchOptions, Part, WireError
from fluxline.errors import ExternalError
from fluxline.limits import (
    KAFKA_BUFFER_BYTES_MAX,
    KAFKA_CONSUME_SECONDS,
    KAFKA_FETCH_BYTES,
    KAFKA_FILL_BYTES,
    KAFKA_FILL_SECONDS,
    KAFKA_METADATA_SECONDS,
    KAFKA_REMOVED_ROUNDS,
    KAFKA_RETRY_SECONDS,
    KAFKA_SILENCE_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.kafka.options import KafkaOptions

HONOURED = (
    "client.id", "fetch.max.bytes", "fetch.message.max.bytes", "fetch.min.bytes", "fetch.wait.max.ms", "isolation.level", "max.partition.fetch.bytes",
)  # fmt: skip
"""Properties of a fetch that are obeyed here."""
NO_FETCH = (
    "batch.num.messages", "batch.size", "compression.level", "compression.type", "delivery.timeout.ms",
    "fetch.queue.backoff.ms", "linger.ms", "message.max.bytes", "message.send.max.retries", "message.timeout.ms", "queue.buffering.max.ms",
    "queued.max.messages.kbytes", "queued.min.messages", "request.timeout.ms", "retries", "sticky.partitioning.linger.ms",
    "transaction.timeout.ms", "transactional.id",
)  # fmt: skip
"""Properties that have no part in a fetch, or in how fast librdkafka makes its own."""


def can_fetch(options: KafkaOptions) -> bool:
    """Whether brokers may be asked without librdkafka: they let everybody in, and no property says what is not obeyed here."""
    return options.security_protocol == "PLAINTEXT" and all(name in HONOURED or name in NO_FETCH for name in options.raw())


def options_of(properties: Mapping[str, object]) -> FetchOptions:
    """What a fetch asks for, from librdkafka's properties of checked types."""

    def number(name: str, default: int) -> int:
        return int(str(properties.get(name, default)))

    partition_bytes = number("max.partition.fetch.bytes", number("fetch.message.max.bytes", KAFKA_FETCH_BYTES))
    return FetchOptions(
        wait_ms=number("fetch.wait.max.ms", 100),
        bytes_min=number("fetch.min.bytes", 1),
        bytes_max=number("fetch.max.bytes", KAFKA_BUFFER_BYTES_MAX // 2),
        partition_bytes_max=partition_bytes,
        client=str(properties.get("client.id", "fluxline")),
        committed=properties.get("isolation.level", "read_committed") != "read_uncommitted",
    )


class _Leader:
    """A broker, and the question that it was asked: of which partitions, and for how long it has said nothing."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.asked: dict[int, Fetched] = {}
        self.silent_seconds = 0.0


class DirectFetcher(Fetcher):
    """Asks leaders, and decodes what they answer."""

    def __init__(self, *of_all: Any, options: FetchOptions) -> None:
        super().__init__(*of_all)
        self._options = options
        self._next: dict[int, int] = {}  # Per assigned partition, the offset to ask for; who waited longest comes first.
        self._leads: dict[int, tuple[str, int]] = {}
        self._leaders: dict[tuple[str, int], _Leader] = {}
        self._selector = selectors.DefaultSelector()
        self._missed = 0

    def _assign(self, fetched: Fetched, *, begins: bool) -> None:
        self._next.pop(fetched.number, None)
        self._assigned.discard(fetched.number)
        if begins and not fetched.ended():
            self._next[fetched.number] = fetched.reached
            self._assigned.add(fetched.number)

    def _leave(self) -> None:
        for where in tuple(self._leaders):
            self._drop(where)
        self._selector.close()

    def _fetch(self) -> None:
        if not self._find_leaders():
            self._pause(KAFKA_RETRY_SECONDS)
            return
        self._ask()
        if not self._leaders:
            self._pause(KAFKA_RETRY_SECONDS)
        ready = {key.data for key, _events in self._selector.select(KAFKA_CONSUME_SECONDS)}
        for where, leader in tuple(self._leaders.items()):
            if where in ready:
                self._take_answer(where, leader)
            elif leader.asked:
                leader.silent_seconds += KAFKA_CONSUME_SECONDS
                if leader.silent_seconds > KAFKA_SILENCE_SECONDS + self._options.wait_ms / 1000:
                    self._lose(where, f"{where[0]}:{where[1]}: it does not answer")

    def _pause(self, seconds: float) -> None:
        """Wait, unless something changes."""
        with self._news:
            self._news.wait_for(lambda: self._stopping or self._changes, seconds)

    def _find_leaders(self) -> bool:
        """Whether it is known who leads each assigned partition.

        Raises:
            KafkaException: the topic, or a partition of it, has been gone for long enough.
        """
        if all(number in self._leads for number in self._next):
            return True
        try:
            known = self._consumer.list_topics(self._topic, timeout=KAFKA_METADATA_SECONDS)
        except library().KafkaException as error:
            self._troubles.take(error.args[0])
            return False
        partitions = known.topics[self._topic].partitions if self._topic in known.topics else {}
        for number in self._next:
            broker = known.brokers.get(partitions[number].leader) if number in partitions else None
            if number not in self._leads and broker is not None:
                self._leads[number] = (broker.host, broker.port)
        self._missed = 0 if all(number in partitions for number in self._next) else self._missed + 1
        if self._missed > KAFKA_REMOVED_ROUNDS:
            partitions_of(self._topic, known.topics)
            raise library().KafkaException(library().KafkaError(library().KafkaError._UNKNOWN_PARTITION))
        return any(number in self._leads for number in self._next)

    def _ask(self) -> None:
        """Ask every leader that owes no answer."""
        questions: dict[tuple[str, int], dict[int, int]] = {}
        for number, offset in self._next.items():
            if number in self._leads:
                questions.setdefault(self._leads[number], {})[number] = offset
        for where, offsets in questions.items():
            leader = self._leaders.get(where)
            if leader is not None and leader.asked:
                continue
            try:
                leader = leader or self._meet(where)
                leader.connection.fetch(self._topic, offsets, self._options)
            except WireError as error:
                self._lose(where, str(error))
                continue
            leader.asked = {number: self._fetched[number] for number in offsets}
            leader.silent_seconds = 0.0

    def _meet(self, where: tuple[str, int]) -> _Leader:
        leader = self._leaders[where] = _Leader(Connection(*where, self._options.client))
        self._selector.register(leader.connection.socket, selectors.EVENT_READ, where)
        return leader

    def _drop(self, where: tuple[str, int]) -> None:
        leader = self._leaders.pop(where, None)
        if leader is not None:
            self._selector.unregister(leader.connection.socket)
            leader.connection.close()

    def _lose(self, where: tuple[str, int], said: str) -> None:
        """Go on without a broker until it is known who leads its partitions."""
        self._drop(where)
        codes = library().KafkaError
        self._troubles.take(codes(codes._TRANSPORT, said))
        self._leads = {number: leader for number, leader in self._leads.items() if leader != where}
        self._pause(KAFKA_RETRY_SECONDS)

    def _take_answer(self, where: tuple[str, int], leader: _Leader) -> None:
        try:
            parts = leader.connection.fetched()
        except WireError as error:
            self._lose(where, str(error))
            return
        asked, leader.asked = leader.asked, {}
        parts = [part for part in parts if part.number in asked and self._fetched.get(part.number) is asked[part.number]]
        try:
            found = [(self._fetched[part.number], self._go_on(part), part.aborted) for part in parts if not self._refused(part)]
            size = sum(len(part.batches) for part in parts)
            if len(found) < len(parts):
                self._pause(KAFKA_RETRY_SECONDS)
            elif 0 < size < KAFKA_FILL_BYTES:
                self._pause(KAFKA_FILL_SECONDS)
            if self._buffered + size < KAFKA_BUFFER_BYTES_MAX:
                self._ask()
            for fetched, batches, aborted in found:
                self._decode(fetched, batches, aborted if self._options.committed else [])
        except BatchesCorrupt as error:
            hint = 'Let librdkafka read the topic: properties_librdkafka = { "check.crcs" = true }.'
            detail = f"Of what a broker sent, {error}."
            raise ExternalError("FLX-4405", f'the attempt to read topic "{self._topic}" failed', detail=detail, hint=hint) from error

    def _go_on(self, part: Part) -> list[RecordBatch]:
        """The batches of a partition, which goes on behind them."""
        batches = read_batches(part.batches)
        if batches:
            offset, end = batches[-1].next, self._fetched[part.number].end
            del self._next[part.number]
            if end is None or offset < end:
                self._next[part.number] = offset  # It stands at the end now: others have their turn.
            else:
                self._assigned.discard(part.number)
        return batches

    def _decode(self, fetched: Fetched, batches: list[RecordBatch], aborted: list[tuple[int, int]]) -> None:
        with_records = committed(batches, aborted)
        if with_records:
            self._take(fetched, Decoded(with_records))
        if batches:  # Also over what was left out; the records were appended before.
            fetched.reached = max(fetched.reached, batches[-1].next)

    def _refused(self, part: Part) -> bool:
        """Whether a partition was answered with an error. What passes by itself is only remembered; another one ends the reading."""
        if part.error == 0:
            return False
        codes = library().KafkaError
        error = codes(part.error)
        if part.error == codes.OFFSET_OUT_OF_RANGE:
            self._fetched[part.number].error = self._expired(part.number, f"The broker says: {error.str()}.")
            self._next.pop(part.number)
            self._assigned.discard(part.number)
        elif part.error in {codes.UNKNOWN_TOPIC_OR_PART, *(getattr(codes, name) for name in PASSING)}:
            self._troubles.take(error)
            self._leads.pop(part.number, None)
        else:
            raise library().KafkaException(error)
        return True
