"""The topics of one run that is driven on Flink: made, filled, read back, and taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.clock import new_identity
from fluxline.connectors.kafka.client import Troubles, library, make, refusal
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.topics import remove_topics
from fluxline.errors import ConnectionLost, FluxlineError
from fluxline.limits import DRIVE_NAME_LETTERS_MAX, DRIVE_TOPIC_SECONDS, KAFKA_ANSWER_SECONDS, KAFKA_CONSUME_RECORDS
from fluxline.options import read_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.clock import Clock

ANY_TIME = str(2**63 - 1)
SETTINGS = {
    # Records carry the time of the test's clock, which may be years from now: no broker may mind, or take them for old.
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": ANY_TIME,
    "message.timestamp.after.max.ms": ANY_TIME,
    "retention.ms": "-1",
}

Record = tuple["bytes | None", "bytes | None"]
"""Key and value."""


class RunTopics:
    """The topics of one run and their clients.

    Args:
        bootstrap: address of the brokers.
        partitions: of the topic of each source and sink, by its name.
        clock: time.

    All methods raise `ExternalError` FLX-4401 to FLX-4407, the brokers do not answer or refuse.
    """

    def __init__(self, bootstrap: str, partitions: Mapping[str, int], clock: Clock) -> None:
        self.identity = f"drive-{new_identity()[:12]}"
        self._bootstrap = bootstrap
        self._clock = clock
        self._troubles = Troubles()
        self._partitions = dict(partitions)
        self._made = False
        self._sent: dict[tuple[str, int], int] = {}
        self._read: dict[str, list[Record]] = {}
        plain = self._client_options("")
        self._admin = make("AdminClient", plain, {}, self._troubles)
        ordered = {"enable.idempotence": True, "linger.ms": 0, "queue.buffering.max.messages": 0}
        self._producer = make("Producer", plain, ordered, self._troubles)
        ours = {"group.id": self.identity, "enable.auto.commit": False, "isolation.level": "read_committed", "fetch.wait.max.ms": 50}
        self._consumer = make("Consumer", plain, ours, self._troubles)

    def options(self, end: str) -> KafkaOptions:
        """The options of the connector `kafka` for a source or sink."""
        return self._client_options(self.topic(end))

    def topic(self, end: str) -> str:
        """The topic of a source or sink."""
        readable = end[:DRIVE_NAME_LETTERS_MAX].replace(" ", "-")
        return f"{self.identity}-{list(self._partitions).index(end)}-{readable}"

    def make(self) -> None:
        """Make all topics."""
        self._made = True
        kafka = library()
        wanted = [kafka.admin.NewTopic(self.topic(end), number, 1, config=SETTINGS) for end, number in self._partitions.items()]
        for topic, answer in self._admin.create_topics(wanted, operation_timeout=DRIVE_TOPIC_SECONDS).items():
            try:
                answer.result()
            except kafka.KafkaException as error:
                raise refusal(error.args[0], topic, "make", self._troubles) from error

    def send(self, source: str, partition: int, values: Sequence[bytes], at_ms: int, headers: Mapping[str, bytes] | None = None) -> int:
        """Append records to a partition, all logged at one time; the offset of the first."""
        topic, failed = self.topic(source), []
        for value in values:
            self._producer.produce(
                topic,
                value,
                partition=partition,
                timestamp=at_ms,
                headers=dict(headers or {}),
                on_delivery=lambda error, _message: failed.append(error) if error is not None else None,
            )
        left = self._producer.flush(DRIVE_TOPIC_SECONDS)
        if failed:
            raise refusal(failed[0], topic, "write", self._troubles)
        if left:
            raise ConnectionLost("FLX-4401", f'the brokers do not take the records of topic "{topic}"', detail=self._troubles.text())
        first = self._sent.get((source, partition), 0)
        self._sent[source, partition] = first + len(values)
        return first

    def ends(self) -> dict[tuple[str, int], int]:
        """Of each partition that has records, by source and number: the offset of the last one."""
        return {place: count - 1 for place, count in self._sent.items() if count}

    def records(self, sink: str) -> list[Record]:
        """All records of a sink's topic so far, in their order; nothing but the job writes it, and it has one partition."""
        kafka = library()
        topic, found = self.topic(sink), self._read.setdefault(sink, [])
        place = kafka.TopicPartition(topic, 0, len(found))
        try:
            _, end = self._consumer.get_watermark_offsets(place, timeout=KAFKA_ANSWER_SECONDS)
            if len(found) < end:
                self._consumer.assign([place])
            deadline_ms = self._clock.monotonic_ms() + DRIVE_TOPIC_SECONDS * 1000
            while len(found) < end:
                for message in self._consumer.consume(min(end - len(found), KAFKA_CONSUME_RECORDS), 0.1):
                    if message.error() is not None:
                        raise refusal(message.error(), topic, "read", self._troubles)
                    found.append((message.key(), message.value()))
                if self._clock.monotonic_ms() >= deadline_ms:
                    raise ConnectionLost("FLX-4401", f'the brokers do not give the records of topic "{topic}"', detail=self._troubles.text())
        except kafka.KafkaException as error:
            raise refusal(error.args[0], topic, "read", self._troubles) from error
        return found

    def close(self) -> None:
        """Take the topics away; may be called twice."""
        if self._consumer is None:
            return
        self._consumer.close()
        self._consumer = None
        if self._made:
            try:
                remove_topics(self._client_options(""), [self.topic(end) for end in self._partitions])
            except FluxlineError:
                return  # The servers may be gone before the test is over; with them the topics are.

    def _client_options(self, topic: str) -> KafkaOptions:
        found = read_options(KafkaOptions, {"bootstrap_servers": [self._bootstrap], "topic": topic}, of='connector "kafka"')
        assert isinstance(found, KafkaOptions)
        return found
