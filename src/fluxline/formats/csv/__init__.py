"""The format `csv`: one row per record, its fields apart by commas, as RFC 4180 has it.

    sensor_id,temperature,note
    7,21.5,"warm, in the ""green"" zone"

- `options.py` what can be set; `layout.py` where records and fields begin and end; `decode.py` records to columns;
  `columns.py` what each type accepts; `encode.py` columns to records.
- Decoding is strict: a number, date or Boolean has JSON's spelling, a quote stands at the ends of a field or is doubled,
  a record has as many fields as the file has columns.
- A field that is not quoted and equals `null_literal` (by default: is empty) is NULL; a quoted one never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fluxline.errors import UnsupportedByEngine
from fluxline.formats.base import FlinkFormat, Format
from fluxline.formats.csv.decode import CSVDecoder
from fluxline.formats.csv.encode import CSVEncoder
from fluxline.formats.csv.options import CSVOptions

if TYPE_CHECKING:
    from fluxline.options import Options


def flink_format(options: Options, _role: Literal["source", "sink"]) -> FlinkFormat:
    """The same in Flink's spelling.

    Raises:
        UnsupportedByEngine: FLX-2651, Flink cannot follow an option.
    """
    assert isinstance(options, CSVOptions)
    refused = {"header": options.header, "columns": options.columns is not None, "timestamp_format": options.timestamp_format != "SQL"}
    for name, is_set in refused.items():
        if is_set:
            raise UnsupportedByEngine(
                "FLX-2651",
                f'Flink cannot follow option "{name}" of the format "csv"',
                detail="Flink finds the fields by the order of the schema, takes no header, and reads timestamps with a space between date and time.",
                hint='Write files without a header in the order of the schema, and set timestamp_format = "SQL".',
            )
    found = {"field-delimiter": options.field_delimiter, "quote-character": options.quote_character, "null-literal": options.null_literal}
    return FlinkFormat("csv", {f"csv.{name}": value for name, value in found.items()})


FORMAT = Format(
    name="csv",
    doc="Fields apart by commas, quoted where needed, as RFC 4180 has it.",
    options=CSVOptions,
    decoder=CSVDecoder,
    encoder=CSVEncoder,
    flink=flink_format,
)
