"""The worker of an ingest: from the source into its topic, at least once, each partition in its order.

    read -> split -> (decode -> encode) -> append -> wait for the brokers -> keep positions

Nothing is kept before the brokers have acknowledged it, so a crash puts the records of about the last second in again. The n-th
partition of the source that is seen goes to partition n of the topic, modulo their number, for ever; of those that share one, a
source that ends is read one after the other, so that records stand as in one partition after the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from fluxline.batch import Batch
from fluxline.connectors.base import Rows
from fluxline.connectors.kafka.append import Appender
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.rejected import RejectedTopic
from fluxline.connectors.kafka.sink import pieces
from fluxline.engines.worker.ingest import Kept, Place
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import RecoveryError
from fluxline.formats.base import Encoded
from fluxline.formats.records import content, find_too_large
from fluxline.limits import INGEST_KEEP_MS, INGEST_REJECTED_BYTES_MAX, PARTITION_POLL_MS, POLL_WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.connectors.base import Bytes, PartitionReader
    from fluxline.engines.worker.ingest import Ingest, Positions
    from fluxline.formats.base import Decoder, Reject


@dataclass(slots=True)
class _Open:
    """One partition of the source that is being read."""

    name: str
    place: Place
    reader: PartitionReader
    decoder: Decoder | None
    carry: bytes = b""


class Intake:
    """Moves the records of one source; used by one thread.

    Attributes:
        kept: how far the source is; behind what was acknowledged by up to INGEST_KEEP_MS.

    Raises:
        FluxlineError: the source or the brokers do not answer or refuse.
        RecoveryError: FLX-5802, the records would be of another shape; FLX-5803, the topic has fewer partitions than it had.
    """

    def __init__(self, ingest: Ingest, positions: Positions, clock: Clock, *, bounded: bool) -> None:
        options = ingest.log.options
        assert isinstance(options, KafkaOptions), "the log of an ingest is Kafka"
        assert ingest.log.format is not None
        assert ingest.log.format_options is not None
        self.kept = positions.load() or Kept(ingest.shape)
        self.kept.refuse_other_shape(ingest)
        self._ingest = ingest
        self._positions = positions
        self._clock = clock
        self._encoder = None if ingest.untouched else ingest.log.format.encoder(ingest.scan.decoded, ingest.log.format_options)
        self._open: dict[str, _Open] = {}
        self._waiting: dict[int, deque[str]] = {}
        self._seen: set[str] = set()
        self._turn = 0
        self._listed_at_ms: int | None = None
        self._kept_at_ms = clock.monotonic_ms()
        self._changed = False
        self._closing: list[Callable[[], None]] = []
        try:
            self._source = ingest.open_source(clock, bounded=bounded)
            self._closing.append(self._source.close)
            self._appender = Appender(options, ingest.topic)
            self._closing.append(self._appender.close)
            self._rejected = RejectedTopic(options, ingest.topic + REJECTED)
            self._closing.append(self._rejected.close)
            self._fit_topic()
            self._list()
        except BaseException:
            self.close()
            raise

    def run(self, stopping: Callable[[], bool]) -> None:
        """Move records until the source ends or somebody asks to stop.

        Raises:
            FluxlineError: a system does not answer or refuses; what was not kept comes again.
        """
        while not self.kept.ended and not stopping():
            if not self.step():
                self._clock.wait(Event(), POLL_WAIT_MS)
        self.keep()

    def step(self) -> bool:
        """Read one partition's next records and hand them over; whether anything was there."""
        self._list()
        self._open_more()
        names = list(self._open)
        for offset in range(len(names)):
            part = self._open[names[(self._turn + offset) % len(names)]]
            read = part.reader.read()
            if read is None:
                continue
            self._turn = (self._turn + offset + 1) % len(names)
            self._take_rows(part, read) if isinstance(read, Rows) else self._take_bytes(part, read)
            if read.final:
                self._finish(part)
            self._keep_in_time()
            return True
        if self._source.bounded and not self._open and not any(self._waiting.values()):
            self.kept.ended = self._changed = True
            self.keep()
        self._keep_in_time()
        return False

    def keep(self) -> None:
        """Wait until the brokers have everything, and keep how far the source is."""
        self._appender.settle()
        self._rejected.flush()
        if self._changed:
            self._positions.save(self.kept)
        self._changed = False
        self._kept_at_ms = self._clock.monotonic_ms()

    def close(self) -> None:
        """Let go of the systems; may be called twice."""
        for part in self._open.values():
            part.reader.close()
        self._open = {}
        while self._closing:
            self._closing.pop()()

    def _keep_in_time(self) -> None:
        if self._changed and self._clock.monotonic_ms() - self._kept_at_ms >= INGEST_KEEP_MS:
            self.keep()

    def _fit_topic(self) -> None:
        """Count by partition of the topic."""
        count = self._appender.partitions
        highest = max((place.number for place in self.kept.places.values()), default=-1)
        if highest >= count:
            raise RecoveryError(
                "FLX-5803",
                f'topic "{self._ingest.topic}" is not the one that source "{self._ingest.scan.source}" was read into',
                detail=f"It has {count} partitions; records went to partition {highest}.",
                hint="Start over with --fresh, which makes the topic anew.",
            )
        self.kept.appended += [0] * (count - len(self.kept.appended))

    def _list(self) -> None:
        """Learn of new partitions, and give each its place."""
        now_ms = self._clock.monotonic_ms()
        if self._listed_at_ms is not None and (self._source.bounded or now_ms - self._listed_at_ms < PARTITION_POLL_MS):
            return
        self._listed_at_ms = now_ms
        for name in self._source.partitions():
            if name in self._seen:
                continue
            self._seen.add(name)
            place = self.kept.places.setdefault(name, Place(len(self.kept.places) % self._appender.partitions))
            if not place.finished:
                self._waiting.setdefault(place.number, deque()).append(name)

    def _open_more(self) -> None:
        """Open what waits; of a source that ends, one for each partition of the topic at a time."""
        taken = {part.place.number for part in self._open.values()} if self._source.bounded else set()
        for number, names in self._waiting.items():
            while names and number not in taken:
                name = names.popleft()
                place = self.kept.places[name]
                decoder = self._make_decoder()
                if decoder is not None and place.position:
                    decoder.restore(place.decoder)
                reader = self._source.open(name, place.position)
                place.position = reader.position()
                self._open[name] = _Open(name, place, reader, decoder)
                if self._source.bounded:
                    taken.add(number)

    def _make_decoder(self) -> Decoder | None:
        source, scan = self._ingest.source, self._ingest.scan
        if source.format is None:
            return None
        assert source.format_options is not None
        return source.format.decoder(scan.decoded.of_records(), scan.declared.of_records(), source.format_options)

    def _finish(self, part: _Open) -> None:
        part.reader.close()
        part.place.finished = True
        self._changed = True
        del self._open[part.name]

    def _take_rows(self, part: _Open, read: Rows) -> None:
        count = read.batch.rows
        if count:
            assert self._encoder is not None, "rows are encoded"
            self._hand_over(part, pieces(self._encoder.encode(read.batch)))
        self._moved_to(part, read.start + count)

    def _take_bytes(self, part: _Open, read: Bytes) -> None:
        assert part.decoder is not None, "a connector that gives bytes has a format"
        if read.bounds is not None:
            assert read.positions is not None, "records with bounds have positions"
            self._take_records(part, read.data, read.bounds, read.positions)
            if len(read.positions):
                self._moved_to(part, int(read.positions[-1]) + 1)
            return
        start = read.start - len(part.carry)
        data = part.carry + read.data if part.carry else read.data
        bounds = part.decoder.split(data, final=read.final)
        part.carry = data[int(bounds[-1]) :]
        self._take_records(part, data, bounds, start + bounds[:-1])
        self._moved_to(part, start + int(bounds[-1]))

    def _take_records(self, part: _Open, data: bytes, bounds: Int64s, positions: Int64s) -> None:
        if len(bounds) < 2:
            return
        values, rejects = self._untouched(data, bounds) if self._encoder is None else self._encoded_anew(part, data, bounds)
        self._hand_over(part, values)
        for reject in rejects:
            record = content(data, bounds, reject.index).removesuffix(b"\r")[:INGEST_REJECTED_BYTES_MAX]
            self._rejected.put(None, record, reject, (part.name, int(positions[reject.index])))
        self.kept.rejected += len(rejects)

    def _untouched(self, data: bytes, bounds: Int64s) -> tuple[list[bytes | None], list[Reject]]:
        """The records without their line ends; what is too large for any engine has no place in a topic either."""
        first = int(bounds[0])
        values = pieces(Encoded(data[first : int(bounds[-1])], bounds - first))
        if b"\r" in data:
            values = [value.rstrip(b"\r") for value in values if value is not None]
        large = find_too_large(data, bounds)
        if large:
            values = [value for index, value in enumerate(values) if index not in large]
        return values, list(large.values())

    def _encoded_anew(self, part: _Open, data: bytes, bounds: Int64s) -> tuple[list[bytes | None], list[Reject]]:
        assert part.decoder is not None
        assert self._encoder is not None
        decoded = part.decoder.decode(data, bounds)
        values = pieces(self._encoder.encode(Batch(decoded.columns, decoded.rows))) if decoded.rows else []
        return values, list(decoded.rejects)

    def _hand_over(self, part: _Open, values: list[bytes | None]) -> None:
        if values:
            self._appender.put(part.place.number, values)
            self.kept.appended[part.place.number] += len(values)

    def _moved_to(self, part: _Open, position: int) -> None:
        part.place.position = position
        if part.decoder is not None and not part.place.decoder:
            part.place.decoder = dict(part.decoder.snapshot())
        self._changed = True
