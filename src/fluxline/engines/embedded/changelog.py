"""What keeps a changelog whole: an `update_before` stands directly in front of the `update_after` of its key, in one batch.

Sinks rely on it: a keyed one need not look at the first of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch

if TYPE_CHECKING:
    from fluxline.batch import Mask


def kept_rows(batch: Batch, keep: Mask) -> Batch:
    """The rows that the mask keeps; of an update that loses a half, the other half is a delete or an insert."""
    if batch.kinds is None or batch.rows == 0:
        return batch.take(keep)
    pairs = (batch.kinds[:-1] == UPDATE_BEFORE) & (batch.kinds[1:] == UPDATE_AFTER)
    left = np.append(pairs & ~keep[1:], False)  # only the row before the update is kept: it is gone now
    came = np.append(False, pairs & ~keep[:-1])  # only the row behind it is kept: it is new
    kinds = np.where(left, DELETE, np.where(came, INSERT, batch.kinds)).astype(np.int8)
    return Batch(batch.columns, batch.rows, batch.partition, batch.watermark_before, kinds).take(keep)


def without_updates(batch: Batch) -> Batch:
    """The same changes as deletes and inserts, for a reader whose key has columns that an update may change."""
    if batch.kinds is None:
        return batch
    kinds = np.where(batch.kinds == UPDATE_BEFORE, DELETE, np.where(batch.kinds == UPDATE_AFTER, INSERT, batch.kinds)).astype(np.int8)
    return Batch(batch.columns, batch.rows, batch.partition, batch.watermark_before, kinds)


def batch_end(batch: Batch, start: int, rows_max: int) -> int:
    """Where a part of at most `rows_max` rows (two or more) from `start` ends, so that no update is torn apart."""
    stop = min(start + rows_max, batch.rows)
    if stop < batch.rows and batch.kinds is not None and batch.kinds[stop - 1] == UPDATE_BEFORE:
        return stop - 1
    return stop
