"""Ends in memory: what `collect` reads from and writes to instead of the systems of an environment."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import INSERT, KIND_NAMES, Batch, batch_from_polars, polars_type
from fluxline.connectors.base import Connector, Rows, SinkContext, SourceContext, Written
from fluxline.errors import TypeMismatch
from fluxline.limits import BATCH_ROWS_MAX
from fluxline.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.formats.base import Encoded
    from fluxline.schema import TableSchema

ROW_KIND = "row_kind"


class NoOptions(Options):
    """Options of an end that has none."""


class FrameSource:
    """Reads one frame, as one partition, in its order."""

    bounded = True
    rewindable = True

    def __init__(self, frame: pl.DataFrame, schema: TableSchema, name: str) -> None:
        self._frame = fitted(frame, schema, name)
        self._schema = schema

    def partitions(self) -> Sequence[str]:
        return ("frame",)

    def open(self, partition: str, position: int | None) -> FrameReader:
        return FrameReader(self._frame, self._schema, position or 0)

    def close(self) -> None:
        pass


class FrameReader:
    """Gives a frame in batches."""

    def __init__(self, frame: pl.DataFrame, schema: TableSchema, position: int) -> None:
        self._frame = frame
        self._schema = schema
        self._position = position

    def read(self) -> Rows:
        start = self._position
        part = self._frame.slice(start, BATCH_ROWS_MAX)
        self._position += part.height
        return Rows(batch_from_polars(part, self._schema), start, self._position >= self._frame.height)

    def position(self) -> int:
        return self._position

    def close(self) -> None:
        pass


def fitted(frame: pl.DataFrame, schema: TableSchema, name: str) -> pl.DataFrame:
    """The frame's columns in the types of the schema; a nullable column that the frame lacks is NULL.

    Raises:
        TypeMismatch: FLX-2170, a column is missing or does not convert.
    """
    columns = []
    for item in schema:
        wanted = polars_type(item.type)
        if item.name not in frame.columns:
            if not item.type.nullable:
                raise TypeMismatch(
                    "FLX-2170", f'the frame for "{name}" has no column "{item.name}"', detail=f"It has {', '.join(frame.columns) or 'none'}."
                )
            columns.append(pl.Series(item.name, [None] * frame.height, dtype=wanted))
            continue
        series = frame.get_column(item.name)
        if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        try:
            columns.append(series if series.dtype == wanted else series.cast(wanted))
        except pl.exceptions.PolarsError as error:
            raise TypeMismatch(
                "FLX-2170", f'column "{item.name}" of the frame for "{name}" is {series.dtype}, not {item.type.text()}', detail=f"{error}."
            ) from error
    return pl.DataFrame(columns)


def frame_connector(frame: pl.DataFrame) -> Connector:
    """A connector whose source reads the frame."""

    def open_source(context: SourceContext) -> FrameSource:
        return FrameSource(frame, context.schema, context.name)

    return Connector("frame", "A frame in memory.", NoOptions, open_source, None, takes_format=False, source_bounded=lambda _options: True)


@dataclass
class Collected:
    """The rows that a collecting sink was given."""

    schema: TableSchema
    key: tuple[str, ...] | None
    rows_max: int | None = None
    enough: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._parts: list[tuple[pl.DataFrame, pl.Series]] = []
        self._rows = 0
        self._lock = threading.Lock()

    def add(self, batch: Batch) -> None:
        """Take rows with their kinds."""
        kinds = (
            pl.Series(ROW_KIND, batch.kinds)
            if batch.kinds is not None
            else pl.Series(ROW_KIND, [INSERT], dtype=pl.Int8).new_from_index(0, batch.rows)
        )
        with self._lock:
            self._parts.append((batch.polars(), kinds))
            self._rows += batch.rows
        if self.rows_max is not None and self._rows >= self.rows_max:
            self.enough()

    def changelog(self) -> pl.DataFrame:
        """Every row in its order of arrival, its kind in front."""
        with self._lock:
            parts = list(self._parts)
        kinds = pl.concat([kind for _, kind in parts]) if parts else pl.Series(ROW_KIND, [], dtype=pl.Int8)
        named = kinds.replace_strict(list(range(len(KIND_NAMES))), list(KIND_NAMES), return_dtype=pl.String).alias(ROW_KIND)
        return pl.DataFrame([named, *self._rows_frame(parts).get_columns()])

    def final(self) -> pl.DataFrame:
        """The rows that are left when every update is applied; of an append-only stream all rows."""
        changes = self.changelog()
        rows = changes.drop(ROW_KIND)
        if (changes[ROW_KIND] == KIND_NAMES[INSERT]).all() and self.key is None:
            return rows
        if self.key is None:
            return _left_over(changes)
        key = list(self.key)
        if not key:
            last = changes.tail(1).filter(pl.col(ROW_KIND) != "-D")
            return last.drop(ROW_KIND)
        latest = changes.filter(pl.col(ROW_KIND) != "-U").unique(key, keep="last", maintain_order=True)
        return latest.filter(pl.col(ROW_KIND) != "-D").drop(ROW_KIND)

    def _rows_frame(self, parts: list[tuple[pl.DataFrame, pl.Series]]) -> pl.DataFrame:
        if parts:
            return pl.concat([frame for frame, _ in parts])
        return pl.DataFrame({item.name: pl.Series([], dtype=polars_type(item.type)) for item in self.schema})


def _left_over(changes: pl.DataFrame) -> pl.DataFrame:
    """What no row took back, where no key says which row replaces which: each row as often as it was given more than taken."""
    given = pl.when(pl.col(ROW_KIND).is_in(["+I", "+U"])).then(1).otherwise(-1)
    columns = [name for name in changes.columns if name != ROW_KIND]
    counted = changes.with_columns(given.alias(ROW_KIND)).group_by(columns, maintain_order=True).agg(pl.col(ROW_KIND).sum())
    times = counted[ROW_KIND].to_numpy()
    assert (times >= 0).all(), "a row is taken back that was not given"
    return counted.drop(ROW_KIND)[np.repeat(np.arange(len(times)), times).tolist()]


class CollectingWriter:
    """Hands rows to a `Collected`."""

    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        self._collected.add(batch)
        return Written(batch.rows)

    def flush(self) -> None:
        pass

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        return {}

    def commit(self, receipt: Mapping[str, object]) -> None:
        pass

    def close(self) -> None:
        pass


def collecting_connector(collected: Collected) -> Connector:
    """A connector whose sink collects."""

    def open_sink(_context: SinkContext) -> CollectingWriter:
        return CollectingWriter(collected)

    return Connector("collect", "Rows in memory.", NoOptions, None, open_sink, takes_format=False, upserts=True)


def end_of_path(path: Path) -> tuple[str, dict[str, object], str]:
    """For a file that is given instead of a source: connector, options, format by the file's suffix."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".zst")]
    chosen = {".csv": "csv", ".txt": "raw"}.get(suffixes[-1] if suffixes else "", "json")
    return "filesystem", {"path": str(path.resolve())}, chosen
