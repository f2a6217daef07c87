"""Columns as the bytes that Cassandra's native protocol takes, column by column.

The driver would turn each value by itself, through Python objects; a column of a fixed width is turned at once here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from fluxline.batch import Column, column_from_series

if TYPE_CHECKING:
    from fluxline.batch import Mask
    from fluxline.schema import LogicalType

Cells: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"
"""One value a row: bytes, or None for NULL."""

_BIG_ENDIAN = {
    "BOOLEAN": "u1", "TINYINT": ">i1", "SMALLINT": ">i2", "INT": ">i4", "BIGINT": ">i8", "FLOAT": ">f4", "DOUBLE": ">f8",
}  # fmt: skip
_PER_MILLISECOND = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_DATE_EPOCH = 2**31  # The date type counts days from there, without a sign.


def encode_column(column: Column, logical: LogicalType) -> Cells:
    """The values of a column as bytes; NULL is None.

    A timestamp with finer digits than milliseconds must not be among them, see `has_finer_digits`.
    """
    cells = np.empty(len(column), dtype=object)
    if len(column):
        cells[:] = _encoded(column, logical)
        cells[~column.is_valid()] = None
    return cells


def encode_integers(values: np.ndarray[Any, np.dtype[np.int64]]) -> list[bytes]:
    """Whole numbers as bigint."""
    return _fixed(values, ">i8")


def has_finer_digits(column: Column, logical: LogicalType) -> Mask:
    """Which rows hold a timestamp with more digits than Cassandra keeps."""
    if not logical.timestamp or not isinstance(column.values, np.ndarray):
        return np.zeros(len(column), dtype=np.bool_)
    unit = np.datetime_data(column.values.dtype)[0]
    finer: Mask = (column.values.view(np.int64) % _PER_MILLISECOND[unit] != 0) & column.is_valid()
    return finer


def _encoded(column: Column, logical: LogicalType) -> list[bytes]:
    root, values = logical.root, column.values
    if isinstance(values, np.ndarray):
        if root in _BIG_ENDIAN:
            return _fixed(values, _BIG_ENDIAN[root])
        if root == "DATE":
            return _fixed(values.view(np.int64) + _DATE_EPOCH, ">u4")
        assert logical.timestamp, f"no bytes for {logical}"
        return _fixed(values.astype("datetime64[ms]").view(np.int64), ">i8")
    if logical.text_like:
        return values.cast(pl.Binary).to_list()
    if logical.binary:
        return values.to_list()
    if root == "TIME":
        return _fixed(values.to_physical().fill_null(0).to_numpy(), ">i8")
    if root == "DECIMAL":
        scale = struct.pack(">i", logical.scale)
        return [scale + _varint(number) for number in values.to_physical().fill_null(0).to_list()]
    assert root in ("ARRAY", "MAP"), f"no bytes for {logical}"
    return _collections(values, logical)


def _fixed(values: np.ndarray[Any, Any], form: str) -> list[bytes]:
    """Values of one width: the array's memory, cut in pieces."""
    turned = np.ascontiguousarray(values.astype(form))
    pieces: list[bytes] = turned.view(f"V{turned.dtype.itemsize}").tolist()
    return pieces


def _varint(number: int) -> bytes:
    """The shortest two's complement, as Java's BigInteger writes it: keys are compared by their bytes."""
    bits = (number if number >= 0 else ~number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)


def _collections(values: pl.Series, logical: LogicalType) -> list[bytes]:
    """Lists and maps: the number of elements, then each with its length in front; -1 for NULL."""
    counts = values.list.len().fill_null(0).to_numpy()
    elements = values.filter(pl.Series(counts > 0)).explode()
    parts = [elements] if logical.root == "ARRAY" else [elements.struct.field("key"), elements.struct.field("value")]
    turned = []
    for part, child in zip(parts, logical.children, strict=True):
        cells = encode_column(column_from_series(part, child), child)
        turned.append([b"\xff\xff\xff\xff" if cell is None else struct.pack(">i", len(cell)) + cell for cell in cells])
    joined = turned[0] if len(turned) == 1 else [key + value for key, value in zip(*turned, strict=True)]
    stops = np.cumsum(counts, dtype=np.int64).tolist()
    return [struct.pack(">i", count) + b"".join(joined[stop - count : stop]) for count, stop in zip(counts.tolist(), stops, strict=True)]


def cell_bytes(column: Column, cells: Cells, logical: LogicalType) -> np.ndarray[Any, np.dtype[np.int64]]:
    """About how many bytes each value takes in a request, its length included."""
    if isinstance(column.values, pl.Series) and (logical.text_like or logical.binary):
        lengths = column.values.str.len_bytes() if logical.text_like else column.values.bin.size()
        return lengths.fill_null(0).to_numpy().astype(np.int64) + 4
    if logical.root in ("ARRAY", "MAP"):
        return np.fromiter((4 if cell is None else len(cell) + 4 for cell in cells), dtype=np.int64, count=len(cells))
    return np.full(len(cells), 12, dtype=np.int64)
