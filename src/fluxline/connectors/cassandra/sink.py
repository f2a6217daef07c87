"""The sink `cassandra`: rows become rows of a table, replaced and deleted by their key.

Each row is written with a timestamp of its own: the next number of a sequence of the run, in microseconds, which begins at
the clock's now, never at or below what an earlier part of the run has used. So of two rows with one key the later one
wins, in whichever order nodes see them, and a row that is sent again changes nothing.

Delivery is at least once: after a crash, rows behind the last stop are written again, with later timestamps. Since a row
replaces the one with its key, the table is then as if each had been written once; what is left of a crash are rows which
the run does not write again, such as those of a source that has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from cassandra.query import UNSET_VALUE

from fluxline.batch import DELETE, UPDATE_BEFORE, Batch
from fluxline.connectors.base import SinkContext, Written
from fluxline.connectors.cassandra.cql import table_of
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.requests import Piece, Requests, Row
from fluxline.connectors.cassandra.rows import Arranged, arrange, bucketed, cut
from fluxline.connectors.cassandra.session import Session
from fluxline.connectors.cassandra.values import cell_bytes, encode_column, encode_integers, has_finer_digits
from fluxline.errors import RecoveryError
from fluxline.formats.base import Encoded, Reject
from fluxline.limits import CASSANDRA_KEY_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fluxline.batch import Int64s, Mask


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Rows as bytes, how they are cut, and where each stood in the batch."""

    rows: list[Row]
    pieces: list[Piece]


class CassandraSink:
    """Writes one sink into its table."""

    def __init__(self, context: SinkContext) -> None:
        assert isinstance(context.options, CassandraOptions), f"options of another connector: {context.options}"
        assert context.key, "a sink of Cassandra has a key"
        self._table = table_of(context.name, context.schema, context.key, context.options)
        self._updating = context.updating
        self._unset = context.options.nulls == "unset"
        used = 0 if context.receipt is None or context.fresh else self._used(context.receipt, context.name)
        self._sequence = max(context.clock.now_ms() * 1000, used + 1)
        self._session = Session(context.options, context.directory)
        try:
            self._session.ensure(self._table)
            self._insert = self._session.prepare(self._table.insert())
            self._delete = self._session.prepare(self._table.delete())
        except BaseException:
            self._session.close()
            raise
        self._requests = Requests(self._session, context.clock)

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Write the rows and wait until the nodes have them; what they refuse is rejected, the rest is written."""
        assert encoded is None, "Cassandra takes no format"
        first = self._sequence
        self._sequence += batch.rows
        return self.write_versions(batch, np.arange(first, self._sequence, dtype=np.int64))

    def write_versions(self, batch: Batch, versions: Int64s) -> Written:
        """The same with timestamps that others have chosen."""
        if self._table.bucket is not None:
            batch = batch.with_columns({**batch.columns, self._table.bucket.column: bucketed(batch, self._table.bucket)})
        rejects = dict(self._misfits(batch))
        left = np.ones(batch.rows, dtype=np.bool_) if batch.kinds is None else batch.kinds != UPDATE_BEFORE
        left[list(rejects)] = False
        while left.any():
            refused = self._write_last(batch, np.flatnonzero(left), versions, left)
            if not refused:
                break
            rejects.update(refused)
        if rejects:
            self._session.compare(self._table)  # A table that was dropped or altered refuses every row: that is no fault of theirs.
        found = tuple(Reject(index, "refused_by_sink", rejects[index]) for index in sorted(rejects))
        return Written(batch.rows - len(found), found)

    def flush(self) -> None:
        """Nothing to do: what was written is visible already."""

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Everything is on the nodes; the receipt holds the sequence, so that it never goes back."""
        return {"table": self._table.full_name, "sequence": self._sequence - 1}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Nothing to do: rows are final as soon as they are written."""

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def _used(self, receipt: Mapping[str, object], name: str) -> int:
        """The last number of the sequence that the stop covers."""
        used = receipt.get("sequence")
        if type(used) is not int or receipt.get("table") != self._table.full_name:
            raise RecoveryError(
                "FLX-5751",
                f'the receipt of sink "{name}" is not one of Cassandra table {self._table.full_name}',
                detail=f"It is {dict(receipt)!r}.",
                hint="The sink was bound to another system or table when the run stopped; bind it as it was, or run with --fresh.",
            )
        return used

    def _misfits(self, batch: Batch) -> Iterator[tuple[int, str]]:
        """The rows that no node needs to see, and why."""
        for item in self._table.columns:
            column = batch.columns[item.name]
            for index in np.flatnonzero(has_finer_digits(column, item.type)).tolist():
                yield index, f'column "{item.name}" has digits beyond milliseconds, which a timestamp of Cassandra does not hold'
            if item.name not in self._table.key:
                continue
            for index in np.flatnonzero(~column.is_valid()).tolist():
                yield index, f'column "{item.name}" is part of the key, and NULL'
            if item.type.text_like or item.type.binary:
                lengths = cell_bytes(column, np.empty(0, dtype=object), item.type) - 4
                for index in np.flatnonzero(lengths > CASSANDRA_KEY_BYTES_MAX).tolist():
                    yield index, f'column "{item.name}" is part of the key, and longer than {CASSANDRA_KEY_BYTES_MAX} bytes'

    def _write_last(self, batch: Batch, candidates: Int64s, versions: Int64s, left: Mask) -> dict[int, str]:
        """Write the last row of each key among the candidates.

        Args:
            batch: the rows as they came.
            candidates: the rows to choose from.
            versions: the timestamp of each row of the batch.
            left: is set to the rows that have to be tried next: those in whose place a refused one stood.

        Returns:
            The refused rows.
        """
        merge = self._unset and not self._updating
        arranged = arrange(batch.take(candidates), self._table.schema, self._table.key, self._table.partition, merge_nulls=merge)
        ready = self._ready(arranged, versions[candidates[arranged.rows]])
        refused = self._requests.send(ready.rows, ready.pieces)
        gone = arranged.rows[list(refused)]
        left[:] = False
        left[candidates[np.isin(arranged.replaced, gone)]] = True
        left[candidates[gone]] = False
        return {int(candidates[arranged.rows[index]]): text for index, text in refused.items()}

    def _ready(self, arranged: Arranged, sequence: Int64s) -> _Prepared:
        """The rows as bytes, cut into pieces."""
        batch = arranged.batch
        stamps = encode_integers(sequence)
        sizes = np.full(batch.rows, 64, dtype=np.int64)
        columns = []
        for item in self._table.columns:
            column = batch.columns[item.name]
            cells = encode_column(column, item.type)
            sizes += cell_bytes(column, cells, item.type)
            if self._unset and item.name not in self._table.key:
                missing = ~column.is_valid()
                if missing.any():
                    cells[missing if not self._updating or arranged.fresh is None else missing & arranged.fresh] = UNSET_VALUE
            columns.append(cells.tolist())
        rows = [Row(self._insert, values) for values in zip(*columns, stamps, strict=True)]
        if batch.kinds is not None:
            keys = list(zip(stamps, *columns[: len(self._table.key)], strict=True))
            for index in np.flatnonzero(batch.kinds == DELETE).tolist():
                rows[index] = Row(self._delete, keys[index])
        bounds = cut(arranged.partitions, sizes).tolist()
        return _Prepared(rows, [Piece(start, stop) for start, stop in pairwise(bounds)])
