"""Options of the format `csv`."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from fluxline.errors import ConfigError, UnsupportedByEngine, did_you_mean
from fluxline.formats.temporal import FORMS
from fluxline.options import Options, option
from fluxline.schema import quote_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.schema import TableSchema

_IN_VALUES = frozenset(string.ascii_letters + string.digits + "+-.:/= \r\n")  # Numbers, times and base64 are made of them.


class CSVOptions(Options):
    """What can be set."""

    field_delimiter: str = option("The character between two fields.", default=",", example="\t", flink="csv.field-delimiter")
    quote_character: str = option("The character around a field that holds special characters.", default='"', flink="csv.quote-character")
    null_literal: str = option("The text that stands for NULL where it is not quoted.", default="", example="\\N", flink="csv.null-literal")
    header: bool = option("The first record of a file names its columns, in any order.", default=False)
    columns: list[str] | None = option(
        "The names of a file's columns in their order; by default the schema's. Names that the schema does not have are ignored when reading.",
        default=None,
        example=["sensor_id", "temperature"],
    )
    timestamp_format: str = option(
        'How timestamps are written: "ISO-8601" with a T between date and time, "SQL" with a space.', default="ISO-8601", choices=FORMS
    )

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Check single characters, and options that contradict each other."""
        for name in ("field_delimiter", "quote_character"):
            character = getattr(self, name)
            if len(character) != 1 or not character.isascii() or character in _IN_VALUES:
                raise refuse(name, "It is one ASCII character, and none that numbers and times are made of.")
        if self.field_delimiter == self.quote_character:
            raise refuse("quote_character", "It is the same as field_delimiter.")
        if set(self.null_literal) & {self.field_delimiter, self.quote_character, "\n", "\r"}:
            raise refuse("null_literal", "It holds a character that ends or quotes a field.")
        if self.columns is None:
            return
        if self.header:
            raise refuse("columns", "With header = true the file itself names its columns.")
        if not all(isinstance(name, str) for name in self.columns) or len(set(self.columns)) < len(self.columns) or not self.columns:
            raise refuse("columns", "It is a list of distinct names.")


def check_columns(schema: TableSchema, columns: list[str] | None) -> None:
    """Check that the format holds the types, and that the option `columns` names the fields.

    Raises:
        UnsupportedByEngine: FLX-2130, a type is nested.
        ConfigError: FLX-1125, `columns` does not name a field.
    """
    for item in schema.fields:
        if item.type.root in ("ARRAY", "MAP", "ROW", "NULL"):
            raise UnsupportedByEngine(
                "FLX-2130",
                f'the format "csv" does not hold {item.type.text()}',
                detail=f'Column "{item.name}" has this type; a field of CSV is one flat value.',
                hint='Use the format "json".',
            )
        if columns is not None and item.name not in columns:
            raise ConfigError(
                "FLX-1125",
                f'option "columns" of the format "csv" does not name {quote_name(item.name)}',
                detail=f"It names {', '.join(columns)}.",
                hint=did_you_mean(item.name, columns),
            )
