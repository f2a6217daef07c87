r"""Columns to JSON records, one per line: every value becomes text by a Polars expression, then the texts are joined.

- Text stays UTF-8; only `"`, `\` and control characters are escaped. So a newline is always the end of a record.
- FLOAT and DOUBLE are the shortest number that reads back as the same value. JSON has no word for NaN and the infinities;
  they are the texts "NaN", "Infinity" and "-Infinity", as Flink writes them.
- DECIMAL is a number in plain digits with the whole scale. BYTES are base64. NULL is null; a NULL key of a MAP is "null".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.errors import UnsupportedByEngine
from fluxline.formats.base import Encoded
from fluxline.formats.json.options import JSONOptions
from fluxline.formats.temporal import as_form
from fluxline.formats.texts import flat_text, join_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Batch
    from fluxline.formats.temporal import Form
    from fluxline.options import Options
    from fluxline.schema import Field, LogicalType, TableSchema

_ESCAPES = {'"': '\\"', "\\": "\\\\"} | {chr(code): json.dumps(chr(code))[1:-1] for code in range(0x20)}
_WORDS = ('"NaN"', '"Infinity"', '"-Infinity"')
_TO_ESCAPE = '["\\\\\x00-\x1f]'


def make_encoder(schema: TableSchema, options: Options) -> JSONEncoder:
    """An encoder of the visible fields.

    Raises:
        UnsupportedByEngine: FLX-2130, JSON cannot hold a type.
    """
    assert isinstance(options, JSONOptions), "the options are those of this format"
    return JSONEncoder(schema, options)


class JSONEncoder:
    """Encodes batches of one schema."""

    def __init__(self, schema: TableSchema, options: JSONOptions) -> None:
        fields = schema.visible().fields
        for item in fields:
            _check(item.type)
        self._form: Form = as_form(options.timestamp_format)
        self._fields = fields
        self._texts = [item.name for item in fields if item.type.text_like]

    def header(self) -> bytes:
        return b""

    def encode(self, batch: Batch) -> Encoded:
        if not batch.rows:
            return Encoded(b"", np.zeros(1, dtype=np.int64))
        frame = batch.polars()
        clean = self._clean_texts(frame)
        members = [(item, pl.col(item.name)) for item in self._fields]
        lines = frame.select(_object_text(members, self._form, clean, end="}\n").alias("line")).to_series()
        if len(lines) != batch.rows:  # Without fields there is no column to take the length from.
            lines = lines.new_from_index(0, batch.rows)
        return join_lines(lines)

    def _clean_texts(self, frame: pl.DataFrame) -> frozenset[str]:
        """The text columns in which nothing needs to be escaped; looking is ten times as fast as escaping."""
        if not self._texts:
            return frozenset()
        found = frame.select(pl.col(name).str.contains(_TO_ESCAPE).any() for name in self._texts).row(0)
        return frozenset(name for name, dirty in zip(self._texts, found, strict=True) if not dirty)


def json_text(value: pl.Expr, logical: LogicalType, form: Form, *, clean: bool = False) -> pl.Expr:
    """The expression that writes a column as JSON; `clean` says that its texts need no escaping."""
    return _value_text(value, logical, form, clean=clean).fill_null("null")


def _value_text(value: pl.Expr, logical: LogicalType, form: Form, *, clean: bool) -> pl.Expr:
    """The same with NULL for NULL."""
    root = logical.root
    if logical.numeric or root == "BOOLEAN":
        return flat_text(value, logical, form, words=_WORDS)
    if logical.text_like:
        return _quoted(value if clean else value.str.replace_many(_ESCAPES))
    if root == "ARRAY":
        items = value.list.eval(json_text(pl.element(), logical.children[0], form))
        return pl.concat_str([pl.lit("["), items.list.join(",", ignore_nulls=False), pl.lit("]")])
    if root == "MAP":
        key, item = logical.children
        key_text = _value_text(pl.element().struct.field("key"), key, form, clean=False).fill_null('"null"')
        entry = pl.concat_str([key_text, pl.lit(":"), json_text(pl.element().struct.field("value"), item, form)])
        return pl.concat_str([pl.lit("{"), value.list.eval(entry).list.join(",", ignore_nulls=False), pl.lit("}")])
    if root == "ROW":
        members = [(item, value.struct.field(item.name)) for item in logical.fields]
        return pl.when(value.is_not_null()).then(_object_text(members, form, frozenset(), end="}"))
    return _quoted(flat_text(value, logical, form))


def _object_text(members: Sequence[tuple[Field, pl.Expr]], form: Form, clean: frozenset[str], *, end: str) -> pl.Expr:
    """An object with these members; `clean` names those whose texts need no escaping."""
    pieces: list[pl.Expr] = []
    for index, (item, value) in enumerate(members):
        name = json.dumps(item.name, ensure_ascii=False)
        pieces += [pl.lit(f"{',' if index else '{'}{name}:"), json_text(value, item.type, form, clean=item.name in clean)]
    return pl.concat_str([*pieces, pl.lit(end if pieces else "{" + end)])


def _quoted(text: pl.Expr) -> pl.Expr:
    return pl.concat_str([pl.lit('"'), text, pl.lit('"')])


def _check(logical: LogicalType) -> None:
    """Refuse a type that JSON cannot hold."""
    if logical.root == "NULL" or (logical.root == "MAP" and not logical.children[0].text_like):
        detail = "A column needs a type of its own." if logical.root == "NULL" else "The keys of a JSON object are text."
        raise UnsupportedByEngine("FLX-2130", f'the format "json" does not hold {logical.text()}', detail=detail)
    for child in (*logical.children, *(item.type for item in logical.fields)):
        _check(child)
