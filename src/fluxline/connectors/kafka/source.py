"""The source `kafka`: partitions of a topic, fetched ahead by a thread of their own.

A position is the offset of the next record. Transactions and compaction leave gaps between offsets, so a partition has
ended when the consumer stands at or behind the end, not when so many records have come. Records of transactions that
were aborted or are open are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import Troubles, connect, library, make, partitions_of, refusal
from fluxline.connectors.kafka.direct_fetch import DirectFetcher, can_fetch, options_of
from fluxline.connectors.kafka.fetch import Fetched, Fetcher
from fluxline.connectors.kafka.library_fetch import LibraryFetcher
from fluxline.connectors.kafka.metadata import Metadata
from fluxline.connectors.kafka.options import KafkaOptions, timestamp_ms
from fluxline.connectors.kafka.topics import ensure_topic
from fluxline.errors import PositionExpired
from fluxline.limits import KAFKA_ANSWER_SECONDS, KAFKA_METADATA_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.connectors.base import Bytes, PartitionReader, SourceContext

OURS = {
    "group.id": "fluxline",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 1,
    "fetch.wait.max.ms": 100,  # A partition that is opened later waits for the answer to the fetch before it.
    "reconnect.backoff.max.ms": 1_000,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 32_768,
    "fetch.message.max.bytes": 4_194_304,
}


class KafkaReader:
    """Gives what was fetched of one partition."""

    def __init__(self, fetcher: Fetcher, fetched: Fetched) -> None:
        self._fetcher = fetcher
        self._fetched = fetched
        self._position = fetched.reached
        self._final = False

    def read(self) -> Bytes | None:
        """The next records; they were fetched before."""
        if self._final:
            return None
        fetched = self._fetched
        if fetched.blocks:
            block = fetched.blocks.popleft()
            assert block.positions is not None
            self._position = int(block.positions[-1]) + 1
            self._fetcher.drained(len(block.data))
            return block
        error = fetched.error or self._fetcher.error
        if error is not None:
            raise error
        if fetched.ended():
            assert fetched.end is not None
            self._final = True
            self._position = max(self._position, fetched.end)
            return self._fetcher.nothing(fetched, self._position)
        return None

    def position(self) -> int:
        """The offset of the next record."""
        return self._position

    def close(self) -> None:
        """Stop fetching this partition."""
        self._final = True
        self._fetcher.end(self._fetched)


class KafkaSource:
    """Reads a topic. A bounded source ends where the partitions end when they are opened."""

    rewindable = True

    def __init__(self, context: SourceContext) -> None:
        options = context.options
        assert isinstance(options, KafkaOptions)
        self.bounded = context.bounded
        self._options = options
        self._topic = options.topic or context.name
        self._troubles = Troubles()
        ours = {**OURS, **({"group.id": options.group_id} if options.group_id else {})}
        self._asker = make("Consumer", options, ours, self._troubles)
        self._fetcher = self._make_fetcher(make("Consumer", options, ours, self._troubles), Metadata(context.schema, logged=context.logged))
        self._first: list[int] | None = None
        self._known: list[int] = []
        self._closed = False

    def partitions(self) -> Sequence[str]:
        """Numbers of the partitions, as text."""
        if self._first is None:
            if self._options.declares_topic:
                ensure_topic(self._options, self._topic)
            topics = connect(self._asker, self._options, self._troubles)
            self._first = self._known = partitions_of(self._topic, topics)
        elif not self.bounded:
            try:
                topics = self._asker.list_topics(self._topic, timeout=KAFKA_METADATA_SECONDS).topics
            except library().KafkaException:
                topics = {}  # The brokers are away: the partitions stay those that are known.
            if self._topic in topics:
                self._known = sorted({*self._known, *topics[self._topic].partitions})
        return tuple(str(number) for number in self._known)

    def open(self, partition: str, position: int | None) -> PartitionReader:
        """Fetch a partition from an offset on."""
        kafka = library()
        number = int(partition)
        try:
            low, high = self._asker.get_watermark_offsets(kafka.TopicPartition(self._topic, number), timeout=KAFKA_ANSWER_SECONDS)
            start = self._begin(number, low, high) if position is None else position
        except kafka.KafkaException as error:
            raise refusal(error.args[0], self._topic, "read", self._troubles) from error
        if position is not None and not low <= position <= high:
            raise self._expired(number, f"It has offsets from {low} up to {high}, and reading was to go on at {position}.")
        fetched = Fetched(number, start, high if self.bounded else None)
        self._fetcher.begin(fetched)
        return KafkaReader(self._fetcher, fetched)

    def close(self) -> None:
        """Stop the thread and leave the brokers."""
        if not self._closed:
            self._closed = True
            self._fetcher.stop()
            self._asker.close()

    def _make_fetcher(self, consumer: Any, metadata: Metadata) -> Fetcher:
        given = (consumer, self._topic, metadata, self._troubles, self._expired)
        if can_fetch(self._options):
            return DirectFetcher(*given, options=options_of(self._options.raw()))
        return LibraryFetcher(*given)

    def _begin(self, number: int, low: int, high: int) -> int:
        """Where a fresh run begins; a partition that came later is read from its beginning."""
        options, kafka = self._options, library()
        if self._first is not None and number not in self._first:
            return int(low)
        if options.start == "latest":
            return int(high)
        if options.start == "offsets":
            start = options.start_offsets.get(str(number), low)
            if not low <= start <= high:
                raise self._expired(number, f"It has offsets from {low} up to {high}, and start_offsets names {start}.")
            return int(start)
        if options.start == "timestamp":
            asked = kafka.TopicPartition(self._topic, number, timestamp_ms(options.start_timestamp))
            (found,) = self._asker.offsets_for_times([asked], timeout=KAFKA_ANSWER_SECONDS)
            return int(found.offset if found.offset >= 0 else high)
        if options.start == "group":
            (found,) = self._asker.committed([kafka.TopicPartition(self._topic, number)], timeout=KAFKA_ANSWER_SECONDS)
            return int(found.offset if low <= found.offset <= high else low)
        return int(low)

    def _expired(self, number: int, detail: str) -> PositionExpired:
        return PositionExpired(
            "FLX-4404",
            f'partition {number} of topic "{self._topic}" no longer has the offset',
            detail=detail,
            hint="Its retention was shorter than the pause, or the topic was made anew; start over with --fresh.",
        )
