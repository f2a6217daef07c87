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

from fluxline.formats.base import Format
from fluxline.formats.csv.decode import CSVDecoder
from fluxline.formats.csv.encode import CSVEncoder
from fluxline.formats.csv.options import CSVOptions

FORMAT = Format(
    name="csv",
    doc="Fields apart by commas, quoted where needed, as RFC 4180 has it.",
    options=CSVOptions,
    decoder=CSVDecoder,
    encoder=CSVEncoder,
)
