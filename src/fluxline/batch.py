"""Columns in memory: what formats produce, operators transform and sinks write.

A column of a fixed-width type is a numpy array with an optional mask of valid rows; text, bytes, decimals, times of day
and nested values are a Polars series, which is Arrow memory. `Batch.polars()` shows all of it as one frame.

| logical type | column |
| --- | --- |
| BOOLEAN, TINYINT .. BIGINT, FLOAT, DOUBLE | numpy bool, int8 .. int64, float32, float64 |
| DATE | numpy datetime64[D] |
| TIMESTAMP(p), TIMESTAMP_LTZ(p) | numpy datetime64[ms], [us] or [ns] for p <= 3, 6, 9; LTZ in UTC |
| CHAR, VARCHAR, STRING | Polars String |
| BINARY, VARBINARY, BYTES | Polars Binary |
| DECIMAL(p, s) | Polars Decimal(p, s) |
| TIME(p) | Polars Time |
| ARRAY, MAP, ROW | Polars List, List of Struct(key, value), Struct |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.schema import LogicalType, TableSchema

Values: TypeAlias = "np.ndarray[Any, np.dtype[Any]] | pl.Series"
Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Int64s: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

# Row kinds, as their changelog letters are numbered everywhere.
INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE = 0, 1, 2, 3
KIND_NAMES = ("+I", "-U", "+U", "-D")

MIN_WATERMARK = -(2**63)  # No watermark yet.
MAX_WATERMARK = 2**63 - 1  # The input has ended.


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `values`, and `valid` (False where NULL); `valid` None means that no row is NULL.

    A Polars series carries its own NULLs, so its `valid` is always None.
    """

    values: Values
    valid: Mask | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Mask | Int64s) -> Column:
        """The rows that a mask keeps, or the rows at these indexes."""
        if isinstance(self.values, pl.Series):
            kept = self.values.filter(pl.Series(rows)) if rows.dtype == np.bool_ else self.values.gather(pl.Series(rows))
            return Column(kept)
        return Column(self.values[rows], None if self.valid is None else self.valid[rows])

    def slice(self, start: int, stop: int) -> Column:
        """The rows from `start` up to, not including, `stop`; a view where the memory allows."""
        return Column(self.values[start:stop], None if self.valid is None else self.valid[start:stop])

    def is_valid(self) -> Mask:
        """A mask of the rows that are not NULL."""
        if isinstance(self.values, pl.Series):
            return self.values.is_not_null().to_numpy()
        return np.ones(len(self.values), dtype=np.bool_) if self.valid is None else self.valid

    def series(self, name: str = "") -> pl.Series:
        """The column as a Polars series."""
        if isinstance(self.values, pl.Series):
            return self.values.alias(name)
        series = pl.Series(name, self.values)
        if self.valid is None or bool(self.valid.all()):
            return series
        return pl.select(pl.when(pl.Series(self.valid)).then(series).alias(name)).to_series()

    def nbytes(self) -> int:
        """Bytes of memory, estimated."""
        if isinstance(self.values, pl.Series):
            return int(self.values.estimated_size())
        return int(self.values.nbytes) + (0 if self.valid is None else int(self.valid.nbytes))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one partition on their way through a job.

    Attributes:
        columns: named columns of equal length, in schema order.
        rows: number of rows.
        partition: name of the source partition; empty behind an operator that mixes partitions.
        watermark_before: per row, the watermark of its partition before it (ms), or None where nothing needs it.
        kinds: per row, its row kind, or None when every row is an insert.
    """

    columns: Mapping[str, Column]
    rows: int
    partition: str = ""
    watermark_before: Int64s | None = None
    kinds: np.ndarray[Any, np.dtype[np.int8]] | None = None
    _frame: list[pl.DataFrame] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            assert len(column) == self.rows, f'column "{name}" has {len(column)} rows, the batch {self.rows}'

    def take(self, rows: Mask | Int64s) -> Batch:
        """The rows that a mask keeps, or the rows at these indexes, with all that stands beside them."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        count = int(np.count_nonzero(rows)) if rows.dtype == np.bool_ else len(rows)
        return Batch(
            columns,
            count,
            self.partition,
            None if self.watermark_before is None else self.watermark_before[rows],
            None if self.kinds is None else self.kinds[rows],
        )

    def slice(self, start: int, stop: int) -> Batch:
        """The rows from `start` up to, not including, `stop`."""
        columns = {name: column.slice(start, stop) for name, column in self.columns.items()}
        stop = min(stop, self.rows)
        return Batch(
            columns,
            max(0, stop - start),
            self.partition,
            None if self.watermark_before is None else self.watermark_before[start:stop],
            None if self.kinds is None else self.kinds[start:stop],
        )

    def with_columns(self, columns: Mapping[str, Column]) -> Batch:
        """The same rows with exactly these columns."""
        return Batch(columns, self.rows, self.partition, self.watermark_before, self.kinds)

    def polars(self) -> pl.DataFrame:
        """The columns as one Polars frame; built at most once."""
        if not self._frame:
            self._frame.append(pl.DataFrame([column.series(name) for name, column in self.columns.items()]))
        return self._frame[0]

    def nbytes(self) -> int:
        """Bytes of memory, estimated."""
        return sum(column.nbytes() for column in self.columns.values())


def column_from_series(series: pl.Series, logical: LogicalType) -> Column:
    """A Polars series as a column of this logical type: numpy where the type is of fixed width.

    Args:
        series: values whose Polars type is `polars_type(logical)`.
        logical: the logical type.
    """
    dtype = numpy_type(logical)
    if dtype is None:
        return Column(series)
    if not series.has_nulls():
        return Column(np.asarray(series.to_numpy(), dtype=dtype))
    valid = series.is_not_null().to_numpy()
    if series.dtype.is_temporal():
        filled = series.to_physical().fill_null(0).to_numpy().astype(np.int64).view(dtype)
    else:
        filled = np.asarray(series.fill_null(False if series.dtype == pl.Boolean else 0).to_numpy(), dtype=dtype)
    return Column(filled, valid)


def batch_from_polars(frame: pl.DataFrame, schema: TableSchema, *, partition: str = "") -> Batch:
    """A Polars frame, whose columns have the schema's Polars types, as a batch."""
    columns = {item.name: column_from_series(frame.get_column(item.name), item.type) for item in schema.fields}
    return Batch(columns, frame.height, partition)


def empty_batch(schema: TableSchema) -> Batch:
    """A batch of this schema without rows."""
    frame = pl.DataFrame({item.name: pl.Series([], dtype=polars_type(item.type)) for item in schema.fields})
    return batch_from_polars(frame, schema)


_NUMPY = {
    "BOOLEAN": "bool", "TINYINT": "int8", "SMALLINT": "int16", "INT": "int32", "BIGINT": "int64",
    "FLOAT": "float32", "DOUBLE": "float64", "DATE": "datetime64[D]",
}  # fmt: skip


def numpy_type(logical: LogicalType) -> np.dtype[Any] | None:
    """The numpy type of a logical type's column, or None where the column is a Polars series."""
    if logical.root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return np.dtype(f"datetime64[{time_unit(logical)}]")
    name = _NUMPY.get(logical.root)
    return None if name is None else np.dtype(name)


def time_unit(logical: LogicalType) -> str:
    """The unit that holds a timestamp of this precision: ms, us or ns."""
    precision = logical.precision if logical.precision is not None else 6
    return "ms" if precision <= 3 else "us" if precision <= 6 else "ns"


def polars_type(logical: LogicalType) -> pl.DataType:
    """The Polars type of a logical type's column."""
    root = logical.root
    simple: dict[str, pl.DataType] = {
        "BOOLEAN": pl.Boolean(), "TINYINT": pl.Int8(), "SMALLINT": pl.Int16(), "INT": pl.Int32(), "BIGINT": pl.Int64(),
        "FLOAT": pl.Float32(), "DOUBLE": pl.Float64(), "DATE": pl.Date(), "TIME": pl.Time(), "NULL": pl.Null(),
        "CHAR": pl.String(), "VARCHAR": pl.String(), "BINARY": pl.Binary(), "VARBINARY": pl.Binary(),
    }  # fmt: skip
    if root in simple:
        return simple[root]
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return pl.Datetime(time_unit(logical))  # type: ignore[arg-type]  # one of the three units
    if root == "DECIMAL":
        assert logical.precision is not None, "a DECIMAL has a precision"
        assert logical.scale is not None, "a DECIMAL has a scale"
        return pl.Decimal(logical.precision, logical.scale)
    if root == "ARRAY":
        return pl.List(polars_type(logical.children[0]))
    if root == "MAP":
        key, value = logical.children
        return pl.List(pl.Struct([pl.Field("key", polars_type(key)), pl.Field("value", polars_type(value))]))
    assert root == "ROW", f"no column form for {logical}"
    return pl.Struct([pl.Field(item.name, polars_type(item.type)) for item in logical.fields])


def concat_batches(batches: Sequence[Batch], schema: TableSchema) -> Batch:
    """All rows of batches of one schema in one batch; partition and watermarks are let go."""
    frames = [batch.polars() for batch in batches]
    return batch_from_polars(pl.concat(frames) if frames else empty_batch(schema).polars(), schema)
