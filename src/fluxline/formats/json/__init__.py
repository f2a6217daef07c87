"""The format `json`: one JSON object per record.

    {"sensor_id": 7, "temperature": 21.5, "at": "2026-01-31T10:00:00Z"}

- `options.py` what can be set; `decode.py` blocks of records to columns; `columns.py` and `nested.py` what each type
  accepts; `explain.py` why a record is rejected; `depth.py` records that nest deeply; `encode.py` columns to records.
- Decoding is strict. `tests/contracts/json_strict.ndjson` is the table of cases.
"""

from __future__ import annotations

from fluxline.formats.base import Format
from fluxline.formats.json.decode import make_decoder
from fluxline.formats.json.encode import make_encoder
from fluxline.formats.json.options import JSONOptions

FORMAT = Format(
    name="json",
    doc="One JSON object per record; in files, one record per line.",
    options=JSONOptions,
    decoder=make_decoder,
    encoder=make_encoder,
)
