"""Help of these tests: schemas, decoding in one call, and values in the plain form that cases are written in."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fluxline.formats import load_format
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Column
    from fluxline.formats.base import Decoded, Decoder
    from fluxline.schema import LogicalType


def schema_of(**types: str) -> TableSchema:
    """Fields of these names and types."""
    return TableSchema(tuple(Field(name, parse_type(text)) for name, text in types.items()))


def make_decoder(word: str, schema: TableSchema, *, declared: TableSchema | None = None, **options: Any) -> Decoder:
    """A decoder of a format of the dictionary."""
    loaded = load_format(word)
    return loaded.decoder(schema, declared or schema, read_options(loaded.options, options, of=f'format "{word}"'))


def decode(word: str, schema: TableSchema, data: bytes, *, declared: TableSchema | None = None, **options: Any) -> Decoded:
    """All records of a file."""
    decoder = make_decoder(word, schema, declared=declared, **options)
    return decoder.decode(data, decoder.split(data, final=True))


def decode_records(decoder: Decoder, records: Sequence[bytes]) -> Decoded:
    """Records whose bounds are known, a newline behind each."""
    bounds = np.zeros(len(records) + 1, dtype=np.int64)
    np.cumsum([len(record) + 1 for record in records], out=bounds[1:])
    return decoder.decode(b"".join(record + b"\n" for record in records), bounds)


def rejected(decoded: Decoded) -> list[tuple[int, str]]:
    """The index and reason of each reject."""
    return [(found.index, found.reason) for found in decoded.rejects]


def values_of(column: Column, logical: LogicalType) -> list[Any]:
    """The values in plain form: texts for decimals, times and bytes (hex), lists, and dicts for maps and rows."""
    if isinstance(column.values, pl.Series):
        found = column.values.to_physical().to_list() if logical.root == "TIME" else column.values.to_list()
        return [_plain(value, logical) for value in found]
    texts = np.datetime_as_string(column.values).tolist() if column.values.dtype.kind == "M" else column.values.tolist()
    return [text if known else None for text, known in zip(texts, column.is_valid().tolist(), strict=True)]


def _plain(value: Any, logical: LogicalType) -> Any:
    if value is None:
        return None
    match logical.root:
        case "DECIMAL":
            return str(value)
        case "BINARY" | "VARBINARY":
            return value.hex()
        case "TIME":
            seconds, fraction = divmod(value, 10**9)
            digits = f".{fraction:09}"[: logical.precision + 1] if logical.precision else ""
            return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{digits}"
        case "ARRAY":
            return [_plain(item, logical.children[0]) for item in value]
        case "MAP":
            return {item["key"]: _plain(item["value"], logical.children[1]) for item in value}
        case "ROW":
            return {item.name: _plain(value[item.name], item.type) for item in logical.fields}
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, date) else value
