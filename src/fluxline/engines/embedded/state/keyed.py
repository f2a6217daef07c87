"""State per key: every key has a slot, every partial result is one column indexed by slot.

A column of numbers is a numpy array with a mask of the slots that hold a value; other types are object arrays. Slots
of keys that were not written for the TTL are freed and used again.
"""

from __future__ import annotations

from decimal import Context, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fluxline.limits import STATE_SLOTS_MIN
from fluxline.schema import DECIMAL_PRECISION_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fluxline.batch import Int64s

_EXACT = Context(prec=DECIMAL_PRECISION_MAX + 1)  # The sum of two decimals of full precision.


class KeyedState:
    """Slots by key, and columns of partial results by slot.

    Args:
        keys: names of the key columns.
        merges: partial column -> how two of its values are merged: "sum", "min" or "max".
        ttl_ms: how long an unwritten key is remembered; None: for ever.
    """

    def __init__(self, keys: Sequence[str], merges: Mapping[str, str], ttl_ms: int | None) -> None:
        self.keys = list(keys)
        self._merges = dict(merges)
        self._ttl_ms = ttl_ms
        self._slots: dict[Any, int] = {}
        self._free: list[int] = []
        self._capacity = 0
        self._columns: dict[str, np.ndarray[Any, Any]] = {}
        self._valid: dict[str, np.ndarray[Any, np.dtype[np.bool_]]] = {}
        self._written_at: Int64s = np.zeros(0, dtype=np.int64)
        self._expired_up_to = -(2**63)

    def __len__(self) -> int:
        return len(self._slots)

    def expire(self, now_ms: int) -> None:
        """Forget the keys whose last write is more than the TTL ago."""
        if self._ttl_ms is None or not self._slots or now_ms - self._expired_up_to < max(1, self._ttl_ms // 8):
            return
        self._expired_up_to = now_ms
        for key in [key for key, slot in self._slots.items() if now_ms - int(self._written_at[slot]) > self._ttl_ms]:
            self._release(key)

    def update(self, partial: pl.DataFrame, now_ms: int) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Merge one partial row per key into the state.

        Returns:
            The merged partials before and after, row for row as `partial`, and which of the keys are new.
        """
        keys = partial.select(self.keys).rows() if self.keys else [()]
        slots, new = self._find(keys, now_ms)
        before, after = {}, {}
        for name, merge in self._merges.items():
            incoming = partial.get_column(name)
            self._ensure(name, incoming.dtype)
            old_values, old_valid = self._columns[name][slots], self._valid[name][slots] & ~new
            values, valid = _numpy(incoming)
            merged = _merge(merge, old_values, values, old_valid, valid)
            self._columns[name][slots] = merged
            self._valid[name][slots] = old_valid | valid
            before[name] = _series(name, old_values, old_valid, incoming.dtype)
            after[name] = _series(name, merged, old_valid | valid, incoming.dtype)
        self._written_at[slots] = now_ms
        key_columns = [partial.get_column(name) for name in self.keys]
        return pl.DataFrame([*key_columns, *before.values()]), pl.DataFrame([*key_columns, *after.values()]), new

    def frame(self, kinds: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """The whole state, one row a key, with the time of its last write in `__written_at`."""
        slots = np.fromiter(self._slots.values(), dtype=np.int64, count=len(self._slots))
        rows = list(self._slots)
        columns = [pl.Series(name, [row[index] for row in rows], dtype=kinds[name]) for index, name in enumerate(self.keys)]
        for name in self._merges:
            if name in self._columns:
                columns.append(_series(name, self._columns[name][slots], self._valid[name][slots], kinds[name]))
        columns.append(pl.Series("__written_at", self._written_at[slots]))
        return pl.DataFrame(columns)

    def load(self, frame: pl.DataFrame) -> None:
        """Take over a state that `frame` gave."""
        if frame.height == 0:
            return
        written_at = frame.get_column("__written_at").to_numpy()
        self.update(frame, 0)
        slots = [self._slots[key] for key in (frame.select(self.keys).rows() if self.keys else [()])]
        self._written_at[slots] = written_at

    def _find(self, keys: Sequence[Any], now_ms: int) -> tuple[Int64s, np.ndarray[Any, np.dtype[np.bool_]]]:
        """The slot of every key; keys are distinct. A key that expired counts as new."""
        slots = np.empty(len(keys), dtype=np.int64)
        new = np.zeros(len(keys), dtype=np.bool_)
        known = self._slots
        for index, key in enumerate(keys):  # distinct keys of a batch, not its records
            slot = known.get(key)
            if slot is None:
                slot = self._take_slot()
                known[key] = slot
                new[index] = True
            slots[index] = slot
        if self._ttl_ms is not None:
            new |= now_ms - self._written_at[slots] > self._ttl_ms
        return slots, new

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._slots)
        if slot >= self._capacity:
            self._grow(max(STATE_SLOTS_MIN, self._capacity * 2))
        return slot

    def _release(self, key: Any) -> None:
        slot = self._slots.pop(key)
        for valid in self._valid.values():
            valid[slot] = False
        self._free.append(slot)

    def _ensure(self, name: str, kind: pl.DataType) -> None:
        if name not in self._columns:
            dtype = np.dtype(object) if _as_objects(kind) else pl.Series([], dtype=kind).to_numpy().dtype
            self._columns[name] = np.zeros(self._capacity, dtype=dtype)
            self._valid[name] = np.zeros(self._capacity, dtype=np.bool_)

    def _grow(self, capacity: int) -> None:
        self._capacity = capacity
        for name, column in self._columns.items():
            self._columns[name] = _extended(column, capacity)
            self._valid[name] = _extended(self._valid[name], capacity)
        self._written_at = _extended(self._written_at, capacity)


def _extended(array: np.ndarray[Any, Any], capacity: int) -> np.ndarray[Any, Any]:
    grown = np.zeros(capacity, dtype=array.dtype)
    grown[: len(array)] = array
    return grown


def _as_objects(kind: pl.DataType) -> bool:
    return not (kind.is_integer() or kind.is_float() or kind == pl.Boolean)


def _numpy(series: pl.Series) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Values, with anything where NULL, and the mask of those that are not."""
    valid = series.is_not_null().to_numpy()
    if _as_objects(series.dtype):
        values = np.empty(len(series), dtype=object)
        values[:] = series.to_list()
        return values, valid
    return series.fill_null(False if series.dtype == pl.Boolean else 0).to_numpy(), valid


def _series(name: str, values: np.ndarray[Any, Any], valid: np.ndarray[Any, np.dtype[np.bool_]], kind: pl.DataType) -> pl.Series:
    if _as_objects(kind):
        items: Iterable[Any] = (value if ok else None for value, ok in zip(values.tolist(), valid.tolist(), strict=True))
        return pl.Series(name, list(items), dtype=kind)
    series = pl.Series(name, values).cast(kind)
    if bool(valid.all()):
        return series
    return pl.select(pl.when(pl.Series(valid)).then(series).alias(name)).to_series()


def _merge(
    how: str,
    old: np.ndarray[Any, Any],
    new: np.ndarray[Any, Any],
    old_valid: np.ndarray[Any, np.dtype[np.bool_]],
    new_valid: np.ndarray[Any, np.dtype[np.bool_]],
) -> np.ndarray[Any, Any]:
    """Old and new values merged where both are there; else the one that is."""
    merged = np.where(old_valid, old, new)
    both = old_valid & new_valid
    if bool(both.any()):
        left, right = old[both], new[both]
        if how == "sum":
            with localcontext(_EXACT):
                merged[both] = left + right
        elif left.dtype == object:
            pick = min if how == "min" else max
            merged[both] = [pick(first, second) for first, second in zip(left, right, strict=True)]
        else:
            merged[both] = np.minimum(left, right) if how == "min" else np.maximum(left, right)
    return merged
