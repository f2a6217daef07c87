"""Rows on their way to the file: staged in memory, seen by every query, merged when somebody looks.

The last row of a key wins. A deleted key stays as a tombstone until the file has forgotten it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import DELETE, UPDATE_BEFORE, Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Batch, Mask
    from fluxline.store.table import Table


@dataclass(frozen=True, slots=True)
class Entry:
    """The rows of one write, in order; `deleted` marks those whose key is gone, None if there are none.

    The batch stays as it came: making a frame of each would cost more than all the rest of a write.
    """

    batch: Batch
    deleted: Mask | None = None


def entry_of(table: Table, batch: Batch) -> Entry | None:
    """What a batch changes in a table, or None if nothing.

    An `update_before` says nothing that the row behind it does not say: the key is the same.
    """
    assert batch.columns.keys() >= set(table.frame_schema), f'rows of table "{table.name}" have {list(batch.columns)}'
    kinds = batch.kinds
    if kinds is None or not kinds.any():
        return Entry(batch) if batch.rows else None
    assert table.key is not None, f'table "{table.name}" has no key and only grows'
    kept = kinds != UPDATE_BEFORE
    deleted = kinds == DELETE
    if not kept.all():
        batch, deleted = batch.take(kept), deleted[kept]
    return Entry(batch, deleted if deleted.any() else None) if batch.rows else None


def merge(table: Table, entries: Sequence[Entry]) -> pl.DataFrame:
    """The entries as one frame; with a key, one row a key, the last, and its `deleted` column."""
    if not entries:
        return table.empty()
    frame = pl.DataFrame([_concatenate(name, [entry.batch.columns[name] for entry in entries]) for name in table.frame_schema])
    assert frame.schema == table.frame_schema, f'rows of table "{table.name}" are {frame.schema}, not {table.frame_schema}'
    if table.key is None:
        return frame
    deleted = np.concatenate([np.zeros(entry.batch.rows, np.bool_) if entry.deleted is None else entry.deleted for entry in entries])
    return frame.with_columns(pl.Series(table.deleted, deleted)).unique(list(table.key), keep="last", maintain_order=True)


def _concatenate(name: str, columns: list[Column]) -> pl.Series:
    """Columns one behind the other as a series."""
    arrays = [column.values for column in columns if isinstance(column.values, np.ndarray)]
    if len(arrays) < len(columns):
        return pl.concat([column.series(name) for column in columns], rechunk=True)
    valid = None if all(column.valid is None for column in columns) else np.concatenate([column.is_valid() for column in columns])
    return Column(np.concatenate(arrays), valid).series(name)


class Staged:
    """The staged rows of one table: first those that a flush is bringing into the file, then those that wait.

    Not safe by itself: the store holds a lock around every call.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._moving: list[Entry] = []
        self._waiting: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Stage the rows of one write."""
        self._waiting.append(entry)

    def take(self) -> list[Entry]:
        """All rows, for a flush; they stay visible until `done`."""
        self._moving += self._waiting
        self._waiting = []
        return list(self._moving)

    def done(self) -> None:
        """The flush is in the file: a query that begins now finds those rows there."""
        self._moving = []

    def entries(self) -> list[Entry]:
        """All rows, for a query."""
        return self._moving + self._waiting


class ArrowFrame:
    """A frame that DuckDB reads through the Arrow interface; registered once, its rows exchanged as needed."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


class Delta:
    """The staged rows of one table as one connection sees them; merged only if its query asks for them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._entries: Sequence[Entry] = ()
        self._merged: pl.DataFrame | None = None

    def show(self, entries: Sequence[Entry]) -> None:
        """Let the next query see these rows."""
        self._entries = entries
        self._merged = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        if self._merged is None:
            self._merged = merge(self.table, self._entries)
        return self._merged.__arrow_c_stream__(requested_schema)
