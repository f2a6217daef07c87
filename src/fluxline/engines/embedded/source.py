"""One source of a running job: it polls its partitions in turn and makes batches, each of one partition.

A byte stream is cut into records by the format; what is left behind the last whole record comes again in front of the
next bytes. A saved position is where the first record begins that was not yet given on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import MAX_WATERMARK, Batch
from fluxline.connectors.base import Bytes, Rows
from fluxline.engines.embedded.decode import DecodeStep, Judged
from fluxline.engines.embedded.expressions import compile_predicate
from fluxline.engines.embedded.watermarks import PartitionWatermark, SourceWatermark
from fluxline.errors import DecodeError
from fluxline.limits import FILES_OPEN_MAX, PARTITION_POLL_MS, REJECT_CHECK_RECORDS, REJECT_RECORD_SHOWN_BYTES
from fluxline.schema import TableSchema
from fluxline.telemetry import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.connectors.base import PartitionReader, Source
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.formats.base import Decoder, Reject
    from fluxline.plan.nodes import Scan


@dataclass(slots=True)
class OpenPartition:
    """One partition that is being read."""

    name: str
    reader: PartitionReader
    decoder: Decoder | None
    watermark: PartitionWatermark
    position: int
    carry: bytes = b""


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """What one poll gives: rows, rejected rows, and the source's watermark behind them; `ended` when nothing more comes."""

    batch: Batch | None
    rejected: Batch | None
    watermark: int
    ended: bool = False

    def rows(self, source: str) -> dict[str, int]:
        """How many rows of which output of the source it carries."""
        found = {} if self.batch is None else {source: self.batch.rows}
        return found if self.rejected is None else found | {f"{source}/rejected": self.rejected.rows}


@dataclass(frozen=True, slots=True)
class Raw:
    """The records of one read as they came.

    Attributes:
        data: with all of them.
        bounds: where each begins.
        lines: whether they are lines of a stream; what a log gave has one line feed behind it, and ends as it was written.
    """

    data: bytes
    bounds: Int64s
    lines: bool

    def record(self, index: int) -> bytes:
        """One record, without what stood between it and the next."""
        found = bytes(self.data[self.bounds[index] : self.bounds[index + 1]]).removesuffix(b"\n")
        return found.removesuffix(b"\r") if self.lines else found


@dataclass(slots=True)
class PartitionState:
    """What is saved of a partition."""

    position: int
    watermark: int
    finished: bool = False
    decoder: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How one source is run: who makes its decoders, whether rejected rows are wanted, and when it is given up.

    Attributes:
        make_decoder: () -> a decoder for one partition, or None where the connector gives columns.
        wants_rejected: whether somebody reads the rejected output.
        rejected_share_max: share of the first records that may be rejected.
    """

    make_decoder: Callable[[], Decoder | None]
    wants_rejected: bool
    rejected_share_max: float


class SourceTask:
    """Reads one source, decodes it, and follows its time. Used by one thread."""

    def __init__(self, name: str, scan: Scan, source: Source, rejects: RejectWriter, clock: Clock, options: SourceOptions) -> None:
        self.name = name
        self.ledger = Ledger()
        self.published = self.ledger
        self.watermark = SourceWatermark()
        self._scan = scan
        self._source = source
        self._rejects = rejects
        self._clock = clock
        self._options = options
        self._decode = DecodeStep(scan, clock)
        self._predicate = None if scan.predicate is None else compile_predicate(scan.predicate, self._predicate_schema())
        self._output = [item.name for item in scan.schema]
        self._open: dict[str, OpenPartition] = {}
        self._waiting: list[str] = []
        self._seen: set[str] = set()
        self._saved: dict[str, PartitionState] = {}
        self._turn = 0
        self._listed_at_ms: int | None = None
        self._judged = False
        self._first_reasons: Counter[str] = Counter()  # of the first records, by which the source is judged
        self.first_reject: tuple[Reject, bytes] | None = None

    def restore(self, partitions: Mapping[str, PartitionState], watermark: int) -> None:
        """Go on from saved positions."""
        self._saved = dict(partitions)
        self.watermark.watermark = watermark

    def restore_ledger(self, ledger: Ledger) -> None:
        """Go on counting; a source whose first records are behind it is not judged again."""
        self.ledger = ledger
        self._judged = ledger.read >= REJECT_CHECK_RECORDS
        self._first_reasons = Counter(ledger.reasons)
        self.publish()

    def state(self) -> dict[str, PartitionState]:
        """Positions and watermarks, as they are behind everything that was given on."""
        partitions = list(self._open.items())  # a report asks while the source's thread opens and finishes partitions
        saved = dict(self._saved)
        for name, partition in partitions:
            remembered = {} if partition.decoder is None else dict(partition.decoder.snapshot())
            saved[name] = PartitionState(partition.position, partition.watermark.watermark, False, remembered)
        return saved

    def poll(self) -> SourceEvent | None:
        """Read one partition's next rows; None when nothing is ready."""
        self._open_more()
        names = list(self._open)
        for offset in range(len(names)):
            partition = self._open[names[(self._turn + offset) % len(names)]]
            event = self._poll_partition(partition)
            if event is not None:
                self._turn = (self._turn + offset + 1) % len(names)
                return event
        return self._nothing_ready()

    def raise_watermark(self, to_ms: int) -> SourceEvent:
        """Say of every open partition that no row at or before this time is expected; an idle one is heard by that."""
        for partition in self._open.values():
            partition.watermark.heard()
            partition.watermark.watermark = max(partition.watermark.watermark, to_ms)
        return SourceEvent(None, None, self._combined())

    def publish(self) -> None:
        """Let other threads see the ledger as it is now."""
        self.published = self.ledger.copy()

    def close(self) -> None:
        """Let go of all partitions and the source."""
        for partition in self._open.values():
            partition.reader.close()
        self._source.close()

    def _predicate_schema(self) -> TableSchema:
        """What a pushed filter may read: the scan's columns, and decoded ones that nobody reads later."""
        fields = list(self._decode.schema.fields)
        fields += [item for item in self._scan.schema if all(item.name != other.name for other in fields)]
        return TableSchema(tuple(fields))

    def _open_more(self) -> None:
        """Learn of new partitions and open waiting ones, in order, as far as the limit allows."""
        now_ms = self._clock.monotonic_ms()
        if self._listed_at_ms is None or (not self._source.bounded and now_ms - self._listed_at_ms >= PARTITION_POLL_MS):
            self._listed_at_ms = now_ms
            for name in self._source.partitions():
                if name not in self._seen:
                    self._seen.add(name)
                    if not (name in self._saved and self._saved[name].finished):
                        self._waiting.append(name)
        while self._waiting and (len(self._open) < FILES_OPEN_MAX or not self._source.bounded):  # one that never ends would keep others out
            name = self._waiting.pop(0)
            saved = self._saved.get(name)
            reader = self._source.open(name, None if saved is None else saved.position)
            time = PartitionWatermark() if saved is None else PartitionWatermark(saved.watermark)
            decoder = self._options.make_decoder()
            if decoder is not None and saved is not None and saved.position > 0:
                decoder.restore(saved.decoder)
            self._open[name] = OpenPartition(name, reader, decoder, time, reader.position())

    def _poll_partition(self, partition: OpenPartition) -> SourceEvent | None:
        read = partition.reader.read()
        if read is None:
            if self._scan.strategy is not None:
                partition.watermark.silent(self._clock.monotonic_ms(), self._scan.strategy)
            return None
        partition.watermark.heard()
        event = self._take_rows(partition, read) if isinstance(read, Rows) else self._take_bytes(partition, read)
        if read.final:
            self._finish(partition)
            return SourceEvent(event.batch, event.rejected, self._combined())
        return event

    def _finish(self, partition: OpenPartition) -> None:
        partition.reader.close()
        self._saved[partition.name] = PartitionState(partition.position, partition.watermark.watermark, finished=True)
        del self._open[partition.name]

    def _nothing_ready(self) -> SourceEvent | None:
        if self._source.bounded and not self._open and not self._waiting:
            self._check_share(ended=True)
            return SourceEvent(None, None, MAX_WATERMARK, ended=True)
        before = self.watermark.watermark
        after = self._combined()  # a partition may have gone idle
        return SourceEvent(None, None, after) if after > before else None

    def _combined(self) -> int:
        return self.watermark.combine([partition.watermark for partition in self._open.values()])

    def _take_rows(self, partition: OpenPartition, read: Rows) -> SourceEvent:
        count = read.batch.rows
        judged = self._decode.of_rows(read.batch, partition.name)
        partition.position = read.start + count
        return self._give(partition, judged, count, None, np.arange(read.start, read.start + count + 1, dtype=np.int64))

    def _take_bytes(self, partition: OpenPartition, read: Bytes) -> SourceEvent:
        assert partition.decoder is not None, "a connector that gives bytes has a format"
        if read.bounds is not None:
            assert read.positions is not None, "records with bounds have positions"
            judged = self._decode.decode(partition.decoder, read, read.bounds, partition.name)
            partition.position = int(read.positions[-1]) + 1 if len(read.positions) else partition.position
            return self._give(partition, judged, len(read.bounds) - 1, Raw(read.data, read.bounds, lines=False), read.positions)
        start = read.start - len(partition.carry)
        data = partition.carry + read.data if partition.carry else read.data
        bounds = partition.decoder.split(data, final=read.final)
        consumed = int(bounds[-1])
        partition.carry = data[consumed:]
        partition.position = start + consumed
        judged = self._decode.decode(partition.decoder, Bytes(data, start), bounds, partition.name)
        return self._give(partition, judged, len(bounds) - 1, Raw(data, bounds, lines=True), start + bounds[:-1])

    def _give(self, partition: OpenPartition, judged: Judged, records: int, raw: Raw | None, positions: Int64s) -> SourceEvent:
        """Count the records, follow their time, and make the event."""
        still_first = REJECT_CHECK_RECORDS - self.ledger.read
        self.ledger.read += records
        for reject in judged.rejects:
            self.ledger.reject(reject.reason)
            if reject.index < still_first:
                self._first_reasons[reject.reason] += 1
        rejected = self._rejected_rows(partition, judged, raw, positions)
        self._check_share(ended=False)
        batch = judged.batch
        if judged.times_ms is not None and batch.rows:
            assert self._scan.strategy is not None
            before = partition.watermark.take(judged.times_ms, self._scan.strategy)
            if self._scan.strategy.lateness == "operator":
                before = self.watermark.before(before, [other.watermark for other in self._open.values() if other is not partition])
            batch = Batch(batch.columns, batch.rows, batch.partition, before)
        batch = self._filtered(batch)
        self.ledger.used += batch.rows
        self.ledger.written += batch.rows
        batch = batch.with_columns({name: batch.columns[name] for name in self._output})
        return SourceEvent(batch if batch.rows else None, rejected, self._combined())

    def _filtered(self, batch: Batch) -> Batch:
        if self._predicate is None or batch.rows == 0:
            return batch
        keep, failed, _detail = self._predicate.evaluate(batch)
        assert failed is None or not bool(failed.any()), "a predicate that can fail is not pushed into a source"
        self.ledger.filtered += int(np.count_nonzero(~keep))
        return batch.take(keep)

    def _rejected_rows(self, partition: OpenPartition, judged: Judged, raw: Raw | None, positions: Int64s) -> Batch | None:
        if not judged.rejects:
            return None
        records: list[bytes | None] = [None] * len(judged.rejects)
        if raw is not None:
            records = [raw.record(reject.index) for reject in judged.rejects]
        if self.first_reject is None:
            self.first_reject = (judged.rejects[0], records[0] or b"")
        if not self._options.wants_rejected:
            return None
        self.ledger.written_rejected += len(judged.rejects)
        return self._rejects.build(
            self.name,
            reasons=[reject.reason for reject in judged.rejects],
            details=[reject.detail for reject in judged.rejects],
            records=records,
            partition=partition.name,
            positions=[int(positions[reject.index]) for reject in judged.rejects],
            event_times=[judged.reject_times_ms.get(reject.index) for reject in judged.rejects],
        )

    def _check_share(self, *, ended: bool) -> None:
        """Give a source up whose first records are mostly rejected: its schema or format is not what was declared."""
        if self._judged or (self.ledger.read < REJECT_CHECK_RECORDS and not ended):
            return
        self._judged = True
        read, rejected = min(self.ledger.read, REJECT_CHECK_RECORDS), self._first_reasons.total()
        if rejected <= read * self._options.rejected_share_max:
            return
        top = self._first_reasons.most_common(1)[0]
        raise DecodeError(
            "FLX-3001",
            f'source "{self._scan.source}" rejected {rejected} of its first {read} records',
            detail=f"The most frequent reason is {top[0]} ({top[1]}). {self._example()}",
            hint=_acceptance(top[0]) + " To go on all the same: --keep-going, or embedded = { rejected_share_max = 1.0 } in the environment.",
            place=self._scan.place,
        )

    def _example(self) -> str:
        """The first rejected record, for people."""
        if self.first_reject is None:
            return "They were rejected before the last stop."
        reject, record = self.first_reject
        tagged = any(item.tags for item in self._scan.declared)
        shown = "A column is tagged, so no record is shown." if tagged else f"The record: {record[:REJECT_RECORD_SHOWN_BYTES]!r}."
        return f"{reject.detail} {shown}"


def _acceptance(reason: str) -> str:
    """Which option or declaration would accept such records."""
    return {
        "malformed": 'Check the format of the binding: format = "json" | "csv" | "raw".',
        "wrong_type": "Declare the column with the type that the records have.",
        "missing": "Declare the column as nullable: T | None.",
        "out_of_range": "Declare the column with a wider type.",
        "no_event_time": "Choose another event_time, or declare none.",
        "too_far_ahead": "Raise max_future_skew on the source, or set it to None.",
    }.get(reason, "Compare the records with the schema.")
