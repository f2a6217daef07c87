"""One worker of a relay: from its topic into the system, at least once, and in effect once where versions decide.

    read -> decode -> write with versions -> what cannot go on, into the rejected topic -> commit offsets

Nothing is committed before it is written, so a crash writes some rows again: with the versions that they had, which changes
nothing. More workers of the same group share the partitions.

A system that is slow or down is waited for: the rows at hand are all that is held, nothing more is read, the worker stays in
its group, and the rows are handed over again until the system takes them.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import DELETE, UPDATE_AFTER, Batch, column_from_series, empty_batch, polars_type
from fluxline.connectors.base import VersionedWriter
from fluxline.connectors.kafka.group import GroupReader
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.rejected import RejectedTopic
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import ConnectionLost
from fluxline.formats.base import Decoder, Reject
from fluxline.limits import WORKER_FINISH_MS_MAX, WORKER_STORE_MS, WORKER_STORE_RETRY_MS
from fluxline.schema import TableSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.batch import Int64s
    from fluxline.clock import Clock
    from fluxline.connectors.kafka.group import Records
    from fluxline.engines.worker.relay import Relay


@dataclass(slots=True)
class Counts:
    """What became of the records: `read` is the sum of the others."""

    read: int = 0
    written: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """That a system does not take the rows at hand.

    Attributes:
        since_ms: wall-clock time at which it got them.
        detail: what was said last of why; empty where nothing was said yet.
    """

    since_ms: int
    detail: str = ""


class _Attempt(threading.Thread):
    """Hands rows to a system once; what it said about them, or why it failed."""

    def __init__(self, write: Callable[[], dict[int, Reject]]) -> None:
        super().__init__(name="worker write", daemon=True)  # One that hangs in a system must not hold the process.
        self._write = write
        self.rejects: dict[int, Reject] = {}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.rejects = self._write()
        except BaseException as error:
            self.failure = error


class Drain:
    """Moves the records of one relay; used by one thread.

    Args:
        relay: from where to where.
        clock: time.
        instance: the worker's name in the group, the same over restarts; see `GroupReader`.
        patient: wait for a system that does not answer at the start, as for one that does not later.

    Attributes:
        counts: what became of the records.
        waiting: that the system does not take the rows at hand; None while it does. Another thread may look.
    """

    def __init__(self, relay: Relay, clock: Clock, instance: str = "", *, patient: bool = False) -> None:
        options = relay.log.options
        assert isinstance(options, KafkaOptions), "the log of a relay is Kafka"
        assert relay.log.format is not None
        assert relay.log.format_options is not None
        assert relay.sink.row_key is not None, "a system with versions has a key"
        self.counts = Counts()
        self.waiting: Waiting | None = None
        self._relay = relay
        self._clock = clock
        self._schema = relay.sink.schema.visible()
        self._key_schema = TableSchema(tuple(item for item in self._schema.fields if item.name in relay.sink.row_key))
        self._rows = relay.log.format.decoder(self._schema, self._schema, relay.log.format_options)
        self._keys = relay.log.format.decoder(self._key_schema, self._key_schema, relay.log.format_options)
        self._closing: list[Callable[[], None]] = []
        self._writer: VersionedWriter | None = None
        try:
            with suppress(*((ConnectionLost,) if patient else ())):
                self._writer = self._open()
            self._rejected = RejectedTopic(options, relay.topic + REJECTED)
            self._closing.append(self._rejected.close)
            self._reader = GroupReader(options, relay.topic, relay.group, clock, instance)
            self._closing.append(self._reader.close)
        except BaseException:
            self.close()
            raise

    def run(self, stopping: Callable[[], bool]) -> None:
        """Move records until somebody asks to stop.

        Raises:
            FluxlineError: a system does not answer or refuses; what was not committed comes again.
        """
        while not stopping():
            self.step(stopping)

    def step(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Move what is there; returns how many records that were."""
        records = self._reader.read()
        if records is None:
            self._reader.commit()  # What brokers did not answer to before.
            return 0
        rejects = self._handed_over(records, stopping)
        if rejects is None:
            return 0
        for index, reject in rejects.items():
            self._rejected.put(records.keys[index], records.values[index], reject, records.places[index].tolist())
        self._rejected.flush()
        self._reader.commit()
        count = len(records.values)
        self.counts.read += count
        self.counts.rejected += len(rejects)
        self.counts.written += count - len(rejects)
        return count

    def close(self) -> None:
        """Leave the group and the systems; may be called twice."""
        while self._closing:
            self._closing.pop()()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _open(self) -> VersionedWriter:
        writer = self._relay.open_target(self._clock)
        assert isinstance(writer, VersionedWriter), f"{self._relay.target.connector.name} takes no versions"
        return writer

    def _handed_over(self, records: Records, stopping: Callable[[], bool]) -> dict[int, Reject] | None:
        """Hand rows to the system until it takes them; None where somebody asked to stop before it did: then they come again.

        The system may take what it had of a former try after all, at any later time: the versions decide.
        """
        since_ms, wait_ms = self._clock.now_ms(), WORKER_STORE_RETRY_MS[0]
        try:
            while True:
                attempt = _Attempt(lambda: self._attempted(records))
                attempt.start()
                attempt.join(WORKER_STORE_MS / 1000)
                if not self._ended(attempt, since_ms, stopping):
                    return None
                if attempt.failure is None:
                    return attempt.rejects
                if not isinstance(attempt.failure, ConnectionLost):
                    raise attempt.failure
                said = f"{attempt.failure.code}  {attempt.failure.fact}. {attempt.failure.detail}".rstrip()
                self.waiting = Waiting(since_ms, said)
                again_ms = self._clock.monotonic_ms() + wait_ms
                wait_ms = min(2 * wait_ms, WORKER_STORE_RETRY_MS[1])
                while self._clock.monotonic_ms() < again_ms:
                    if stopping():
                        return None
                    self._reader.stay()
        finally:
            self.waiting = None

    def _ended(self, attempt: _Attempt, since_ms: int, stopping: Callable[[], bool]) -> bool:
        """Stay in the group until an attempt has ended; False where somebody asked to stop, and it does not end in time."""
        deadline_ms: int | None = None
        while attempt.is_alive():
            self.waiting = self.waiting or Waiting(since_ms)
            self._reader.stay()
            now_ms = self._clock.monotonic_ms()
            if deadline_ms is None and stopping():
                deadline_ms = now_ms + WORKER_FINISH_MS_MAX
            if deadline_ms is not None and now_ms >= deadline_ms:
                return False
        return True

    def _attempted(self, records: Records) -> dict[int, Reject]:
        """Write once, with a writer of its own where the one before failed: a connection may have died for good."""
        if self._writer is None:
            self._writer = self._open()
        try:
            return self._write(self._writer, records)
        except ConnectionLost:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
            raise

    def _write(self, writer: VersionedWriter, records: Records) -> dict[int, Reject]:
        """Write what can be written; the others, by their index among the records."""
        present = [index for index, value in enumerate(records.values) if value is not None]
        gone = [index for index, value in enumerate(records.values) if value is None]
        rows, origins, rejects = _decoded(self._rows, self._schema, [records.values[index] for index in present], present)
        if gone and not self._relay.sink.updating:
            rejects |= {index: Reject(index, "malformed", "The record has no value.") for index in gone}
        elif gone:
            keys, of_keys, refused = _decoded(self._keys, self._key_schema, [records.keys[index] for index in gone], gone)
            rejects |= refused
            rows, origins = self._together(rows, origins, keys, of_keys)
        elif self._relay.sink.updating:
            rows = _with_kinds(rows, np.full(rows.rows, UPDATE_AFTER, dtype=np.int8))
        if rows.rows:
            written = writer.write_versions(rows, records.versions[origins])
            rejects |= {int(origins[reject.index]): reject for reject in written.rejects}
            writer.flush()
        return rejects

    def _together(self, rows: Batch, of_rows: Int64s, keys: Batch, of_keys: Int64s) -> tuple[Batch, Int64s]:
        """Rows that replace and keys that have gone as one batch, in the order of their records."""
        missing = [pl.lit(None, dtype=polars_type(item.type)).alias(item.name) for item in self._schema.fields if item.name not in keys.columns]
        deletes = keys.polars().with_columns(missing).select(self._schema.names())
        both = pl.concat([rows.polars(), deletes])
        origins = np.concatenate([of_rows, of_keys])
        order = np.argsort(origins, kind="stable")
        kinds = np.concatenate([np.full(rows.rows, UPDATE_AFTER, dtype=np.int8), np.full(keys.rows, DELETE, dtype=np.int8)])
        columns = {item.name: column_from_series(both[item.name].gather(order), item.type) for item in self._schema.fields}
        return _with_kinds(Batch(columns, both.height), kinds[order]), origins[order]


def _with_kinds(batch: Batch, kinds: np.ndarray[tuple[int], np.dtype[np.int8]]) -> Batch:
    return Batch(batch.columns, batch.rows, kinds=kinds)


def _decoded(decoder: Decoder, schema: TableSchema, texts: Sequence[bytes | None], places: Sequence[int]) -> tuple[Batch, Int64s, dict[int, Reject]]:
    """The rows of some records, the index of each row's record, and what could not be decoded."""
    if not texts:
        return empty_batch(schema), np.zeros(0, np.int64), {}
    values = [text or b"" for text in texts]
    bounds = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)) + 1, out=bounds[1:])
    decoded = decoder.decode(b"\n".join(values) + b"\n", bounds)
    records = np.arange(len(values)) if decoded.records is None else decoded.records
    where = np.asarray(places, dtype=np.int64)
    return Batch(decoded.columns, decoded.rows), where[records], {places[reject.index]: reject for reject in decoded.rejects}
