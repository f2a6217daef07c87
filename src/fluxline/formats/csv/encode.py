"""Columns to CSV records: every value becomes text by a Polars expression, is quoted where it must be, and is joined."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.errors import ConfigError, did_you_mean
from fluxline.formats.base import Encoded
from fluxline.formats.csv.options import CSVOptions, check_columns
from fluxline.formats.temporal import as_form
from fluxline.formats.texts import flat_text, join_lines

if TYPE_CHECKING:
    from fluxline.batch import Batch
    from fluxline.formats.temporal import Form
    from fluxline.options import Options
    from fluxline.schema import Field, TableSchema


class CSVEncoder:
    """Encodes batches of one schema.

    Raises:
        UnsupportedByEngine: FLX-2130, a type is nested.
        ConfigError: FLX-1125, the option `columns` does not name exactly the columns.
    """

    def __init__(self, schema: TableSchema, options: Options) -> None:
        assert isinstance(options, CSVOptions), "the options are those of this format"
        schema = schema.visible()
        check_columns(schema, options.columns)
        self._options = options
        self._form: Form = as_form(options.timestamp_format)
        self._special = f"[{re.escape(options.field_delimiter)}{re.escape(options.quote_character)}\r\n]"
        self._fields = schema.fields
        if options.columns is not None:
            unknown = [name for name in options.columns if name not in schema]
            if unknown:
                raise ConfigError(
                    "FLX-1125",
                    f'option "columns" of the format "csv" names "{unknown[0]}", which is not written',
                    detail=f"The columns are {schema.describe()}.",
                    hint=did_you_mean(unknown[0], schema.names()),
                )
            self._fields = tuple(schema.field(name) for name in options.columns)

    def header(self) -> bytes:
        if not self._options.header:
            return b""
        names = pl.DataFrame({"name": [item.name for item in self._fields]}, schema={"name": pl.String})
        texts = names.select(self._quoted(pl.col("name"))).to_series().to_list()
        return (self._options.field_delimiter.join(texts) + "\n").encode()

    def encode(self, batch: Batch) -> Encoded:
        if not batch.rows:
            return Encoded(b"", np.zeros(1, dtype=np.int64))
        texts = pl.concat_str([self._field(item) for item in self._fields], separator=self._options.field_delimiter)
        return join_lines(batch.polars().select(texts + "\n").to_series())

    def _field(self, item: Field) -> pl.Expr:
        text = flat_text(pl.col(item.name), item.type, self._form)
        if item.type.text_like or item.type.binary or self._options.null_literal:
            text = self._quoted(text)
        return text.fill_null(self._options.null_literal)

    def _quoted(self, text: pl.Expr) -> pl.Expr:
        """The text, quoted where it holds a special character or would be read as NULL."""
        quote = self._options.quote_character
        inner = text.str.replace_all(quote, quote + quote, literal=True)
        special = text.str.contains(self._special) | (text == self._options.null_literal)
        return pl.when(special).then(pl.concat_str([pl.lit(quote), inner, pl.lit(quote)])).otherwise(text)
