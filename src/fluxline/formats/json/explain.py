"""Why one record is rejected, or the row that it holds after all.

Asked only for a record that the block decoder stumbled over. A record is first judged as JSON, then field by field, in
the order of the schema. Some records are healthy although the parser refuses them: those with a duplicate key whose first
value is wrong (the last one counts), and those that nest deeply where nobody looks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from fluxline.formats.json.columns import Finding, Reader
from fluxline.formats.json.depth import cut_deep, is_too_deep
from fluxline.formats.json.nested import judge_fields
from fluxline.limits import RECORD_DEPTH_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.schema import Field

SPACES = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Explainer:
    """Explains the records of one schema."""

    def __init__(self, fields: Sequence[Field], readers: Sequence[Reader], decoder: msgspec.json.Decoder[Any]) -> None:
        self._fields = fields
        self._readers = readers
        self._decoder = decoder

    def explain(self, record: bytes) -> Finding | Any:
        """Why the record is rejected, or its struct. The record is valid UTF-8 and not too large."""
        record = record.strip(SPACES)
        if is_too_deep(record):
            return Finding("too_deep", f"The record nests more than {RECORD_DEPTH_MAX} levels deep.")
        found = _not_an_object(record)
        if found is not None:
            return found
        try:
            record = cut_deep(record)
            msgspec.json.decode(record, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            return _malformed(str(error))
        members = parse(record)
        found = judge_fields(self._fields, self._readers, members, "")
        if found is not None:
            return found
        try:
            return self._decoder.decode(msgspec.json.encode(members))
        except msgspec.DecodeError as error:
            return _malformed(str(error))


def parse(record: bytes) -> Any:
    """A valid JSON text as Python values, the last of equal keys winning; numbers stay text, as `msgspec.Raw`."""
    return json.loads(record.decode(), parse_int=_number, parse_float=_number)


def _number(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _not_an_object(record: bytes) -> Finding | None:
    """What stands in the place of an object, if something else does."""
    if record.startswith(b"{"):
        return None
    if not record:
        return Finding("malformed", "The record is empty.")
    if record.startswith(_BYTE_ORDER_MARK):
        return Finding("malformed", "The record begins with a byte order mark.")
    try:
        value = msgspec.json.decode(record)
    except (msgspec.DecodeError, RecursionError):
        return _malformed("It does not begin with {")
    kind = {list: "an array", str: "a text", bool: "a Boolean", int: "a number", float: "a number"}.get(type(value), "null")
    return Finding("malformed", f"The record is {kind}, not an object.")


def _malformed(message: str) -> Finding:
    message = message.removeprefix("JSON is malformed: ")
    if message.startswith("trailing characters"):
        message = "trailing characters"  # The place that msgspec gives is one too far.
    return Finding("malformed", f"The record is no JSON object: {message[:1].lower()}{message[1:].removesuffix('.')}.")
