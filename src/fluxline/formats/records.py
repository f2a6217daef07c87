"""Records side by side in one bytes object: finding their ends, and the checks that every decoder begins with.

A record ends with a newline; only the last one of some data may lack it. In valid UTF-8 a newline byte is never a part of
another character, so checking all bytes at once checks each record.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from polars.exceptions import ComputeError

from fluxline.formats.base import Reject
from fluxline.limits import RECORD_BYTES_MAX, REJECT_DETAIL_CHARS_MAX

if TYPE_CHECKING:
    from fluxline.batch import Int64s

Buffer: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"
NEWLINE, RETURN = 10, 13
_EXCERPT_CHARS = 60


class Records:
    """Bounds of the records of one byte stream, whose decoder says where records end."""

    def __init__(self) -> None:
        self._skipping = False  # Inside a record that was cut; what comes before its newline is no record.

    def resume(self, data: bytes) -> int | None:
        """Where in new data the first record begins, or None when all of it belongs to a record that was cut."""
        if not self._skipping:
            return 0
        newline = data.find(b"\n")
        if newline < 0:
            return None
        self._skipping = False
        return newline + 1

    def bounds(self, start: int, ends: Int64s, size: int, *, final: bool) -> Int64s:
        """The bounds from the ends of the complete records, of which the first begins at `start`."""
        tail = int(ends[-1]) if len(ends) else start
        parts = [np.array([start], dtype=np.int64), ends]
        if tail < size and (final or size - tail > RECORD_BYTES_MAX):
            self._skipping = not final
            parts.append(np.array([size], dtype=np.int64))
        return np.concatenate(parts)


class Lines(Records):
    """Splits a byte stream at its newlines."""

    def split(self, data: bytes, *, final: bool) -> Int64s:
        """The bounds of the complete lines, as `Decoder.split` promises them."""
        start = self.resume(data)
        if start is None:
            return np.array([len(data)], dtype=np.int64)
        return self.bounds(start, newline_ends(data, start), len(data), final=final)


def newline_ends(data: bytes, start: int) -> Int64s:
    """The positions behind the newlines in `data[start:]`."""
    return (np.flatnonzero(np.frombuffer(data, dtype=np.uint8, offset=start) == NEWLINE) + (start + 1)).astype(np.int64, copy=False)


def check_bounds(buffer: Buffer, bounds: Int64s) -> None:
    """Assert the contract of who made the bounds: every record but the last ends with a newline."""
    inner = bounds[1:-1]
    assert bool((buffer[inner - 1] == NEWLINE).all()), "a record other than the last has no line end"


def find_too_large(data: bytes, bounds: Int64s) -> dict[int, Reject]:
    """Rejects of the records that are longer than RECORD_BYTES_MAX, their line end not counted."""
    found: dict[int, Reject] = {}
    if int(bounds[-1]) - int(bounds[0]) <= RECORD_BYTES_MAX:
        return found
    for index in np.flatnonzero(np.diff(bounds) > RECORD_BYTES_MAX).tolist():
        size = len(content(data, bounds, index))
        if size > RECORD_BYTES_MAX:
            found[index] = reject(index, "too_large", f"The record is longer than {RECORD_BYTES_MAX} bytes.")
    return found


def find_not_utf8(data: bytes, bounds: Int64s) -> dict[int, Reject]:
    """Rejects of the records that are not valid UTF-8."""
    if data.isascii() or _is_utf8(data[bounds[0] : bounds[-1]]):
        return {}
    found: dict[int, Reject] = {}
    view, position, end = memoryview(data), int(bounds[0]), int(bounds[-1])
    while position < end:
        try:
            codecs.utf_8_decode(view[position:end], "strict", True)
            break
        except UnicodeDecodeError as error:
            index = int(np.searchsorted(bounds, position + error.start, side="right")) - 1
            byte = position + error.start - int(bounds[index])
            found[index] = reject(index, "not_utf8", f"The record is not valid UTF-8 at byte {byte}: {error.reason}.")
            position = int(bounds[index + 1])
    return found


def _is_utf8(data: bytes) -> bool:
    # Twenty times as fast as bytes.decode on text that is not all ASCII.
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except ComputeError:
        return False
    return True


def content(data: bytes, bounds: Int64s, index: int) -> bytes:
    """The bytes of one record without its newline."""
    return data[bounds[index] : bounds[index + 1]].removesuffix(b"\n")


def reject(index: int, reason: Any, detail: str) -> Reject:
    """A reject whose detail keeps the limit."""
    return Reject(index, reason, detail if len(detail) <= REJECT_DETAIL_CHARS_MAX else detail[: REJECT_DETAIL_CHARS_MAX - 3] + "...")


def excerpt(text: str) -> str:
    """A value as a detail shows it: short, with what does not print escaped."""
    shown = text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 3] + "..."
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in shown)


def survivors(count: int, rejected: dict[int, Reject]) -> Int64s:
    """The indexes of the records that are not rejected."""
    healthy = np.ones(count, dtype=np.bool_)
    healthy[list(rejected)] = False
    return np.flatnonzero(healthy).astype(np.int64, copy=False)
