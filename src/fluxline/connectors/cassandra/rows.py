"""Which rows of a batch are written, in which order, and in which requests: worked out on whole columns.

- Of rows with one key only the last is written. Where NULL is left unset in a stream that only appends, a NULL leaves
  what is there; so it takes the value of the row before it, whether both come in one batch or in two.
- Rows of one partition stand together and are cut into pieces of bounded length; each piece is one request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import INSERT, Batch, Column, batch_from_polars
from fluxline.limits import CASSANDRA_BATCH_BYTES, CASSANDRA_BATCH_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Int64s, Mask
    from fluxline.connectors.cassandra.cql import Bucket
    from fluxline.schema import TableSchema

_ROW = "\x01row"  # A name that no column has.


@dataclass(frozen=True, slots=True)
class Arranged:
    """Rows in the order in which they are written.

    Attributes:
        batch: the rows, those of one partition together.
        rows: which row of the batch before each of them is.
        fresh: where nothing older can be in the table, so that NULL need not be written; None where NULL never need be.
        partitions: int64, equal for rows of one partition and for no others.
        replaced: per row of the batch before, the row that is written instead of it; itself where it is written.
    """

    batch: Batch
    rows: Int64s
    fresh: Mask | None
    partitions: Int64s
    replaced: Int64s


def arrange(batch: Batch, schema: TableSchema, key: Sequence[str], partition: Sequence[str], *, merge_nulls: bool) -> Arranged:
    """Keep the last row of each key, and bring the rows of each partition together.

    Args:
        batch: rows without NULL in their keys, in order; earlier halves of updates are gone.
        schema: its columns.
        key: the columns of the primary key.
        partition: those of the partition key.
        merge_nulls: whether a NULL leaves the value of the row before it.
    """
    frame = batch.polars()
    found = frame.lazy().with_row_index(_ROW).select(
        pl.col(_ROW).max().over(*key).cast(pl.Int64).alias("replaced"),
        pl.col(_ROW).min().over(*partition).cast(pl.Int64).alias("partition"),
        pl.len().over(*key).alias("count"),
    ).collect()  # fmt: skip
    replaced, partitions = found["replaced"].to_numpy(), found["partition"].to_numpy()
    lonely = found["count"].to_numpy() == 1
    if merge_nulls and not lonely.all():
        others = [name for name in schema.names() if name not in key]
        kinds = batch.kinds
        batch = batch_from_polars(frame.with_columns(pl.col(others).forward_fill().over(*key)) if others else frame, schema)
        assert kinds is None, "updates replace whole rows"
    kept = np.flatnonzero(replaced == np.arange(batch.rows))
    rows = kept[np.argsort(partitions[kept], kind="stable")]
    arranged = batch.take(rows)
    fresh = None if arranged.kinds is None else (arranged.kinds == INSERT) & lonely[rows]
    return Arranged(arranged, rows, fresh, partitions[rows], replaced)


def bucketed(batch: Batch, bucket: Bucket) -> Column:
    """The time bucket of each row; NULL where its timestamp is."""
    source = batch.columns[bucket.source]
    assert isinstance(source.values, np.ndarray), "a timestamp has a fixed width"
    milliseconds = source.values.astype("datetime64[ms]").view(np.int64)
    rounded = milliseconds - milliseconds % bucket.milliseconds  # Towards the past, also before 1970.
    return Column(rounded.view("datetime64[ms]"), source.valid)


def cut(partitions: Int64s, sizes: Int64s) -> Int64s:
    """Bounds of the requests: each holds rows of one partition, at most CASSANDRA_BATCH_ROWS and about CASSANDRA_BATCH_BYTES.

    Args:
        partitions: rows of one partition stand together.
        sizes: bytes of each row.
    """
    count = len(partitions)
    starts = np.flatnonzero(np.diff(partitions, prepend=-1) != 0)
    number = np.cumsum(np.isin(np.arange(count), starts)) - 1
    within = np.arange(count) - starts[number]
    total = np.cumsum(sizes) - sizes
    pieces = np.stack([number, within // CASSANDRA_BATCH_ROWS, (total - total[starts][number]) // CASSANDRA_BATCH_BYTES])
    bounds: Int64s = np.append(np.flatnonzero((np.diff(pieces, axis=1, prepend=-1) != 0).any(axis=0)), count)
    return bounds
