"""The format `json`: one JSON object per record.

    {"sensor_id": 7, "temperature": 21.5, "at": "2026-01-31T10:00:00Z"}

- `options.py` what can be set; `decode.py` blocks of records to columns; `columns.py` and `nested.py` what each type
  accepts; `explain.py` why a record is rejected; `depth.py` records that nest deeply; `encode.py` columns to records.
- Decoding is strict. `tests/contracts/json_strict.ndjson` is the table of cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fluxline.formats.base import FlinkFormat, Format
from fluxline.formats.json.decode import make_decoder
from fluxline.formats.json.encode import make_encoder
from fluxline.formats.json.options import JSONOptions

if TYPE_CHECKING:
    from fluxline.options import Options


def flink_format(options: Options, role: Literal["source", "sink"]) -> FlinkFormat:
    """The same in Flink's spelling. Flink's own json is not strict, so records are decoded by a format that goes with this package."""
    assert isinstance(options, JSONOptions)
    if role == "sink":
        plain = {"json.timestamp-format.standard": options.timestamp_format, "json.encode.decimal-as-plain-number": "true"}
        return FlinkFormat("json", plain)
    strict = {"fluxline-json.timestamp-format.standard": options.timestamp_format}
    return FlinkFormat("fluxline-json", strict, not_null="fluxline-json.not-null", shows_rejects=True)


FORMAT = Format(
    name="json",
    doc="One JSON object per record; in files, one record per line.",
    options=JSONOptions,
    decoder=make_decoder,
    encoder=make_encoder,
    flink=flink_format,
)
