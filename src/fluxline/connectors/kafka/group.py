"""Members of a consumer group: they share a topic's partitions, and what one has committed the next goes on from.

Each record has a version: a number of microseconds at which the group first read its partition, plus the record's offset.
It is the same whenever the record is read again, and grows along the partition; so a store that keeps the highest version
of a row ends with the last record of the row's key, however often records were read. The first number is kept beside the
committed offset, in the text that Kafka keeps there, and nothing is read before the group has it: a member that was stopped
and wakes up writes the versions that its successor has written, whatever their clocks say. Being a time, the number also
lies above what others have written before.

A member with a name keeps its partitions while it is away for less than the session's time-out: a restart moves nothing.
Partitions move one by one, so that a member that comes or goes does not stop the others.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from fluxline.connectors.kafka.client import Troubles, connect, library, make, partitions_of, refusal
from fluxline.errors import ConnectionLost, ResourceBusy
from fluxline.limits import (
    KAFKA_ANSWER_SECONDS,
    KAFKA_CONNECT_ATTEMPTS,
    KAFKA_FILL_SECONDS,
    KAFKA_GROUP_PARTITIONS_MS,
    KAFKA_GROUP_POLL_MS_MAX,
    KAFKA_GROUP_RECORDS,
    KAFKA_GROUP_SESSION_MS,
    KAFKA_GROUP_WAIT_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.connectors.kafka.options import KafkaOptions

NOBODY = "fluxline"  # The group of a client that asks for nobody's offsets.
_MARK = "fluxline "  # In front of the number in the text beside an offset.

MEMBER = {
    "topic.metadata.refresh.interval.ms": KAFKA_GROUP_PARTITIONS_MS,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 1,
    "queued.max.messages.kbytes": 32_768,
    "fetch.message.max.bytes": 4_194_304,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": KAFKA_GROUP_SESSION_MS,
    "max.poll.interval.ms": KAFKA_GROUP_POLL_MS_MAX,
}


@dataclass(frozen=True, slots=True)
class Records:
    """Records in the order of their partitions.

    Attributes:
        keys: of each record, or None.
        values: of each record; None says that the key has gone.
        versions: int64 of shape (n,).
        places: partition and offset of each record, int64 of shape (n, 2).
    """

    keys: list[bytes | None]
    values: list[bytes | None]
    versions: Int64s
    places: Int64s


class GroupReader:
    """One member of a group, used by one thread. What `read` gave must be done with before `read` is called again.

    Args:
        options: the brokers.
        topic: what is read.
        group: the group's name.
        clock: time.
        instance: the member's name in the group, the same over restarts; without one, each start is a new member.

    Raises:
        ExternalError: FLX-4401 to FLX-4405, the brokers do not answer or refuse, or there is no such topic.
    """

    def __init__(self, options: KafkaOptions, topic: str, group: str, clock: Clock, instance: str = "") -> None:
        self._topic = topic
        self._group = group
        self._instance = instance
        self._clock = clock
        self._troubles = Troubles()
        name = {"group.instance.id": instance} if instance else {}
        self._consumer = make("Consumer", options, {**MEMBER, **name, "group.id": group}, self._troubles)
        self._first: dict[int, int] = {}  # Per partition that is read, the number that versions begin at.
        self._next: dict[int, int] = {}  # Per partition with something to commit, the offset to go on at.
        self._unmarked: dict[int, tuple[int, int]] = {}  # Per partition without a number in the group: its first offset, and the number.
        self._held = False
        self.error: Exception | None = None
        try:
            partitions_of(topic, connect(self._consumer, options, self._troubles))
        except BaseException:
            self._consumer.close()
            raise
        self._consumer.subscribe([topic], on_assign=self._take, on_revoke=self._give_back, on_lost=self._lose)

    def read(self) -> Records | None:
        """What has come, at most KAFKA_GROUP_RECORDS; None after a short wait for nothing.

        Raises:
            ExternalError: as above.
            ResourceBusy: FLX-4410, another member has this one's name.
        """
        self._let_go()
        if self._unmarked:
            self._mark()
        messages = self._poll(fill=True)
        healthy = [message for message in messages if message.error() is None and message.partition() in self._first]
        if not healthy:
            return None
        places = np.array([(message.partition(), message.offset()) for message in healthy], dtype=np.int64)
        first = np.array([self._first[partition] for partition in places[:, 0].tolist()], dtype=np.int64)
        for partition in np.unique(places[:, 0]).tolist():
            self._next[partition] = int(places[places[:, 0] == partition, 1].max()) + 1
        return Records([message.key() for message in healthy], [message.value() for message in healthy], first + places[:, 1], places)

    def stay(self) -> None:
        """Stay in the group without reading, for a short wait: for as long as what `read` gave is not done with.

        Raises:
            ExternalError: as `read`.
        """
        if not self._held:
            self._held = True
            self._consumer.pause(self._consumer.assignment())
        messages = [message for message in self._poll(fill=False) if message.error() is None]
        assert not messages, "partitions that are paused give nothing"

    def commit(self) -> None:
        """Keep that everything which `read` gave is done with. Where brokers do not answer, the next call does it.

        Raises:
            ExternalError: the brokers refuse; that the group has moved on to other members is no such case.
            ResourceBusy: FLX-4410, another member has this one's name.
        """
        if not self._next:
            return
        failure = self._commit({number: (offset, self._first[number]) for number, offset in self._next.items()})
        if failure is None or not self._passing(failure):
            self._next = {}

    def close(self) -> None:
        """End the membership; one with a name is kept for it until the session is over. May be called twice."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _poll(self, *, fill: bool) -> list[Any]:
        """Hear from the group, and take what has come."""
        try:
            messages = self._consumer.consume(1, KAFKA_GROUP_WAIT_SECONDS)  # asked for more, it would wait for all of them
            if messages and fill:
                messages += self._consumer.consume(KAFKA_GROUP_RECORDS - 1, KAFKA_FILL_SECONDS)
        except library().KafkaException as error:
            raise self._refused(error.args[0], "read") from error
        if self.error is not None:
            raise self.error
        for message in messages:
            if message.error() is not None and not message.error().retriable() and self._matters(message.error()):
                raise self._refused(message.error(), "read")
        return list(messages)

    def _let_go(self) -> None:
        """Read again what `stay` has held."""
        if self._held:
            self._held = False
            self._consumer.resume([part for part in self._consumer.assignment() if part.partition not in self._unmarked])

    def _mark(self) -> None:
        """Let the group keep the numbers of new partitions, then read them; a group that is moving is asked again by the next read."""
        wanted = dict(self._unmarked)
        if self._commit(wanted) is not None:
            return
        for number, (_offset, first) in wanted.items():
            self._first[number] = first
            del self._unmarked[number]
        self._consumer.resume([library().TopicPartition(self._topic, number) for number in wanted])

    def _commit(self, offsets: Mapping[int, tuple[int, int]]) -> Any | None:
        """Commit an offset and a number for each partition; the failure that may pass, or None.

        Raises:
            ExternalError: it does not pass.
        """
        kafka = library()
        marks = [kafka.TopicPartition(self._topic, number, offset, f"{_MARK}{first}") for number, (offset, first) in offsets.items()]
        try:
            answered = self._consumer.commit(offsets=marks, asynchronous=False)
        except kafka.KafkaException as error:
            failure = error.args[0]
        else:
            failure = next((item.error for item in answered if item.error is not None), None)
        passed_on = (kafka.KafkaError.ILLEGAL_GENERATION, kafka.KafkaError.UNKNOWN_MEMBER_ID, kafka.KafkaError.REBALANCE_IN_PROGRESS)
        if failure is not None and failure.code() not in passed_on and not self._passing(failure):
            raise self._refused(failure, "commit offsets of")
        return failure

    def _passing(self, failure: Any) -> bool:
        """Whether brokers did not answer, or had no coordinator for the moment."""
        codes = library().KafkaError
        return failure.code() in (codes._WAIT_COORD, codes.REQUEST_TIMED_OUT, *_no_coordinator()) or isinstance(
            refusal(failure, self._topic, "commit offsets of", self._troubles), ConnectionLost
        )

    def _refused(self, failure: Any, doing: str) -> Exception:
        codes = library().KafkaError
        fenced = (codes.FENCED_INSTANCE_ID, codes._FENCED)
        if failure.code() in fenced or (failure.code() == codes._FATAL and "FENCED_INSTANCE_ID" in failure.str()):
            return ResourceBusy(
                "FLX-4410",
                f'another worker has taken the name "{self._instance}" in group "{self._group}"',
                detail=f"The brokers say: {failure.str()}. The later one of two goes on; this one has committed nothing since.",
                hint="Let it be, or give each worker a name of its own: fluxline worker --instance NAME.",
            )
        return refusal(failure, self._topic, doing, self._troubles)

    def _matters(self, error: Any) -> bool:
        codes = library().KafkaError
        return error.fatal() or error.code() in (codes.TOPIC_AUTHORIZATION_FAILED, codes.GROUP_AUTHORIZATION_FAILED, codes.UNKNOWN_TOPIC_OR_PART)

    def _take(self, consumer: Any, partitions: list[Any]) -> None:
        """The group gave us partitions: begin behind what was committed. librdkafka calls this within `consume`."""
        kafka = library()
        try:
            known = _committed(consumer, partitions) if partitions else []
            for item in known:
                low, high = _offsets(consumer, item)
                mark = item.metadata or ""
                if mark.startswith(_MARK) and low <= item.offset <= high:
                    self._first[item.partition] = int(mark.removeprefix(_MARK))
                else:  # Never read, or another topic of this name: all of it is written again, as newer.
                    before = int(mark.removeprefix(_MARK)) + item.offset + 1 if mark.startswith(_MARK) else 0
                    item.offset = low
                    self._unmarked[item.partition] = (low, max(self._clock.now_ms() * 1000, before))
        except kafka.KafkaException as error:
            self.error = refusal(error.args[0], self._topic, "read", self._troubles)
            return
        consumer.incremental_assign(known)
        waiting = [item for item in known if self._held or item.partition in self._unmarked]
        consumer.pause(waiting)
        consumer.resume([item for item in known if item not in waiting])  # A pause outlasts the loss of a partition.

    def _give_back(self, _consumer: Any, partitions: list[Any]) -> None:
        self._forget(partitions)

    def _lose(self, _consumer: Any, partitions: list[Any]) -> None:
        self._forget(partitions)

    def _forget(self, partitions: list[Any]) -> None:
        for item in partitions:
            self._first.pop(item.partition, None)
            self._next.pop(item.partition, None)
            self._unmarked.pop(item.partition, None)


def lag(options: KafkaOptions, topic: str, group: str) -> int:
    """Records of a topic that a group has not committed yet.

    Raises:
        ExternalError: FLX-4401 to FLX-4405.
    """
    return sum(max(0, high - reached) for reached, high in positions(options, topic, group).values())


def positions(options: KafkaOptions, topic: str, group: str) -> Mapping[int, tuple[int, int]]:
    """Per partition of a topic, the offset that a group goes on at, and the end.

    Raises:
        ExternalError: FLX-4401 to FLX-4405.
    """
    with _asking(options, topic, group, "look at") as (consumer, topics):
        found = {}
        for item in _committed(consumer, _partitions(topic, topics)):
            low, high = _offsets(consumer, item)
            found[item.partition] = (item.offset if item.offset >= 0 else low, high)
        return found


def begin_group(options: KafkaOptions, topic: str, group: str) -> Mapping[int, int]:
    """Let a group that has no members go on at the topic's beginning; the first offset of each partition.

    Raises:
        ExternalError: FLX-4401 to FLX-4405.
    """
    doing = "commit offsets of"
    with _asking(options, topic, group, doing) as (consumer, topics):
        parts = _partitions(topic, topics)
        first = {part.partition: int(_offsets(consumer, part)[0]) for part in parts}
        _committed(consumer, parts)  # Waits until the coordinator is ready.
        kafka = library()
        marks = [kafka.TopicPartition(topic, number, offset) for number, offset in first.items()]
        failure = next((item.error for item in consumer.commit(offsets=marks, asynchronous=False) if item.error is not None), None)
        if failure is not None:
            raise kafka.KafkaException(failure)
        return first


def partition_count(options: KafkaOptions, topic: str) -> int:
    """How many partitions a topic has.

    Raises:
        ExternalError: FLX-4401 to FLX-4405.
    """
    with _asking(options, topic, NOBODY, "look at") as (_consumer, topics):
        return len(partitions_of(topic, topics))


def ends(options: KafkaOptions, topic: str) -> Mapping[int, int] | None:
    """Per partition of a topic, the offset behind its last record; None where there is no such topic.

    Raises:
        ExternalError: FLX-4401, FLX-4402, FLX-4405.
    """
    with _asking(options, topic, NOBODY, "look at") as (consumer, topics):
        if topic not in topics:
            return None
        return {part.partition: _offsets(consumer, part)[1] for part in _partitions(topic, topics)}


@contextmanager
def _asking(options: KafkaOptions, topic: str, group: str, doing: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """A client that only asks and commits, and the topics that the brokers know; what it is refused is raised as an error of ours."""
    troubles = Troubles()
    consumer = make("Consumer", options, {"group.id": group, "enable.auto.commit": False}, troubles)
    try:
        yield consumer, connect(consumer, options, troubles)
    except library().KafkaException as error:
        raise refusal(error.args[0], topic, doing, troubles) from error
    finally:
        consumer.close()


def _partitions(topic: str, topics: Mapping[str, Any]) -> list[Any]:
    return [library().TopicPartition(topic, number) for number in partitions_of(topic, topics)]


def _offsets(consumer: Any, part: Any) -> tuple[int, int]:
    """The first offset of a partition and the one behind its last record."""
    low, high = consumer.get_watermark_offsets(library().TopicPartition(part.topic, part.partition), timeout=KAFKA_ANSWER_SECONDS)
    return low, high


def _committed(consumer: Any, partitions: list[Any]) -> list[Any]:
    """What the group has committed; a coordinator that is about to be ready is asked again."""
    kafka = library()
    passing = _no_coordinator()
    for _attempt in range(KAFKA_CONNECT_ATTEMPTS):
        try:
            return list(consumer.committed(partitions, timeout=KAFKA_ANSWER_SECONDS))
        except kafka.KafkaException as error:
            if error.args[0].code() not in passing:
                raise
        Event().wait(KAFKA_GROUP_WAIT_SECONDS * 5)
    return list(consumer.committed(partitions, timeout=KAFKA_ANSWER_SECONDS))


def _no_coordinator() -> tuple[int, ...]:
    """The answers of brokers while a group has no coordinator that is ready."""
    codes = library().KafkaError
    return codes.NOT_COORDINATOR, codes.COORDINATOR_NOT_AVAILABLE, codes.COORDINATOR_LOAD_IN_PROGRESS
