"""One worker of a relay: from its topic into the system, at least once, and in effect once where versions decide.

    read -> decode -> write with versions -> what cannot go on, into the rejected topic -> commit offsets

Nothing is committed before it is written, so a crash writes some rows again: with the versions that they had, which changes
nothing. More workers of the same group share the partitions.
"""

from __future__ import annotations

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
from fluxline.formats.base import Decoder, Reject
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


class Drain:
    """Moves the records of one relay; used by one thread."""

    def __init__(self, relay: Relay, clock: Clock) -> None:
        options = relay.log.options
        assert isinstance(options, KafkaOptions), "the log of a relay is Kafka"
        assert relay.log.format is not None
        assert relay.log.format_options is not None
        assert relay.sink.row_key is not None, "a system with versions has a key"
        self.counts = Counts()
        self._relay = relay
        self._schema = relay.sink.schema.visible()
        self._key_schema = TableSchema(tuple(item for item in self._schema.fields if item.name in relay.sink.row_key))
        self._rows = relay.log.format.decoder(self._schema, self._schema, relay.log.format_options)
        self._keys = relay.log.format.decoder(self._key_schema, self._key_schema, relay.log.format_options)
        self._closing: list[Callable[[], None]] = []
        try:
            writer = relay.open_target(clock)
            self._closing.append(writer.close)
            assert isinstance(writer, VersionedWriter), f"{relay.target.connector.name} takes no versions"
            self._writer = writer
            self._rejected = RejectedTopic(options, relay.topic + REJECTED)
            self._closing.append(self._rejected.close)
            self._reader = GroupReader(options, relay.topic, relay.group, clock)
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
            self.step()

    def step(self) -> int:
        """Move what is there; returns how many records that were."""
        records = self._reader.read()
        if records is None:
            return 0
        rejects = self._write(records)
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

    def _write(self, records: Records) -> dict[int, Reject]:
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
            written = self._writer.write_versions(rows, records.versions[origins])
            rejects |= {int(origins[reject.index]): reject for reject in written.rejects}
            self._writer.flush()
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
