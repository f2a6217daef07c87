"""The format `raw`: the whole record is the value of the only column.

The newline at the end of a record is no part of it; a carriage return is, unless `crlf` is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from fluxline.batch import Column
from fluxline.errors import ConfigError, UnsupportedByEngine
from fluxline.formats import values
from fluxline.formats.base import Decoded, Encoded, FlinkFormat, Format
from fluxline.formats.pieces import cut_bytes, cut_texts
from fluxline.formats.records import NEWLINE, RETURN, Lines, excerpt, find_not_utf8, find_too_large, reject, survivors
from fluxline.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Batch, Int64s
    from fluxline.schema import Field, TableSchema


class RawOptions(Options):
    """What can be set."""

    crlf: bool = option("Take a carriage return in front of the newline as a part of the line end.", default=False)


class RawDecoder:
    """Decodes the records of one partition."""

    def __init__(self, schema: TableSchema, declared: TableSchema, options: Options) -> None:
        assert isinstance(options, RawOptions), "the options are those of this format"
        self._field = _only_field(declared)
        self._wanted = tuple(item for item in schema.fields)
        self._crlf = options.crlf
        self._lines = Lines()

    def split(self, data: bytes, *, final: bool) -> Int64s:
        return self._lines.split(data, final=final)

    def snapshot(self) -> Mapping[str, object]:
        return {}

    def restore(self, snapshot: Mapping[str, object]) -> None:
        assert not snapshot, "this decoder has nothing to remember"

    def decode(self, data: bytes, bounds: Int64s) -> Decoded:
        count = len(bounds) - 1
        rejects = find_too_large(data, bounds)
        logical = self._field.type
        if logical.text_like:
            rejects.update((index, found) for index, found in find_not_utf8(data, bounds).items() if index not in rejects)
        records = survivors(count, rejects)
        starts, ends = bounds[:-1][records], self._ends(data, bounds)[records]
        series = (cut_texts if logical.text_like else cut_bytes)(data, [(starts, ends)])[0]
        codes = values.check_lengths(series, logical)
        if codes is not None:
            bad = np.flatnonzero(codes)
            for index, value in zip(records[bad].tolist(), series.gather(pl.Series(bad)).to_list(), strict=True):
                shown = f'the text "{excerpt(value)}"' if isinstance(value, str) else f"{len(value)} bytes"
                detail = values.misfit_sentence(values.OUT_OF_RANGE, logical, self._field.name, shown, "")
                rejects[index] = reject(index, "out_of_range", detail)
            fine = codes == values.FINE
            series, records = series.filter(pl.Series(fine)), records[fine]
        columns = {item.name: Column(series) for item in self._wanted}
        return Decoded(columns, len(records), records if rejects else None, tuple(rejects[index] for index in sorted(rejects)))

    def _ends(self, data: bytes, bounds: Int64s) -> Int64s:
        """Where each record ends without its line end."""
        buffer = np.frombuffer(data, dtype=np.uint8)
        starts = bounds[:-1]
        ends: Int64s = bounds[1:]
        ends = ends - ((ends > starts) & (buffer[ends - 1] == NEWLINE))
        if self._crlf:
            ended = ends < bounds[1:]
            ends = ends - (ended & (ends > starts) & (buffer[ends - 1] == RETURN))
        return ends


class RawEncoder:
    """Encodes batches of one schema."""

    def __init__(self, schema: TableSchema, options: Options) -> None:
        assert isinstance(options, RawOptions), "the options are those of this format"
        self._field = _only_field(schema.visible())
        self._end = b"\r\n" if options.crlf else b"\n"

    def header(self) -> bytes:
        return b""

    def encode(self, batch: Batch) -> Encoded:
        """One record per row; NULL is an empty record."""
        series = batch.columns[self._field.name].series()
        pieces = series.cast(pl.Binary).fill_null(b"")
        bounds = np.zeros(batch.rows + 1, dtype=np.int64)
        np.cumsum(pieces.bin.size().to_numpy().astype(np.int64) + len(self._end), out=bounds[1:])
        return Encoded(b"".join([self._end.join(pieces.to_list()), self._end]) if batch.rows else b"", bounds)


def _only_field(schema: TableSchema) -> Field:
    """The one field of the schema.

    Raises:
        ConfigError: FLX-1124, there is another number of them.
        UnsupportedByEngine: FLX-2130, it is neither text nor bytes.
    """
    if len(schema.fields) != 1:
        raise ConfigError(
            "FLX-1124",
            f'the format "raw" takes one column, not {len(schema.fields)}',
            detail=f"The columns are {schema.describe()}." if schema.fields else "",
            hint="Declare one column of type STRING or BYTES that holds the whole record.",
        )
    item = schema.fields[0]
    if not (item.type.text_like or item.type.binary):
        raise UnsupportedByEngine(
            "FLX-2130",
            f'the format "raw" does not hold {item.type.text()}',
            detail=f'Column "{item.name}" has this type; the format gives the bytes of a record as they are.',
            hint="Declare the column as STRING or BYTES and convert it in the pipeline.",
        )
    return item


def flink_format(options: Options, _role: Literal["source", "sink"]) -> FlinkFormat:
    """The same in Flink's spelling.

    Raises:
        UnsupportedByEngine: FLX-2651, Flink keeps a carriage return.
    """
    assert isinstance(options, RawOptions)
    if options.crlf:
        raise UnsupportedByEngine("FLX-2651", 'Flink cannot follow option "crlf" of the format "raw"', hint="Write line ends as newlines only.")
    return FlinkFormat("raw", {})


FORMAT = Format(
    name="raw",
    doc="The whole record is the value of the only column, STRING or BYTES.",
    options=RawOptions,
    decoder=RawDecoder,
    encoder=RawEncoder,
    flink=flink_format,
)
