"""Blocks of JSON records to columns, strictly.

1. A look at the block says which records cannot be decoded (too large, not UTF-8, too deep, not `{...}`).
2. msgspec decodes the block in one call to structs that have the needed fields only. It reads values, not lines: an
   object may span two lines and two objects may share one. Every record begins with `{` and ends with `}` and a newline,
   and in JSON no `}` is followed by `{` but between two values, so each record holds one object or more; as many objects
   as records then means one each.
3. Where that fails, the block is decoded in small chunks, and the chunks that fail record by record. So one misfit in a
   thousand costs little, and only the misfits are looked at one by one.
4. Columns are made of the structs, and what msgspec does not check is checked a column at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from fluxline.formats.base import Decoded, Reject
from fluxline.formats.json.columns import Finding
from fluxline.formats.json.depth import is_too_deep
from fluxline.formats.json.explain import SPACES, Explainer
from fluxline.formats.json.nested import build_fields, make_reader, make_struct
from fluxline.formats.json.options import JSONOptions
from fluxline.formats.records import (
    Buffer,
    Lines,
    check_bounds,
    content,
    find_not_utf8,
    find_too_large,
    reject,
    survivors,
)  # fmt: skip
from fluxline.formats.temporal import as_form
from fluxline.formats.values import FINE, REASONS
from fluxline.limits import RECORD_DEPTH_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Int64s, Mask
    from fluxline.options import Options
    from fluxline.schema import TableSchema

_CHUNK_RECORDS = 32  # One misfit in 1,000 then costs 3 % of the records a call of their own.
_SPACES_LOOKED_AT = 8  # More white space than that at an end of a record is looked at record by record.
_IS_SPACE = np.isin(np.arange(256), np.frombuffer(SPACES, dtype=np.uint8))
_OPEN, _CLOSE = ord("{"), ord("}")


def make_decoder(schema: TableSchema, _declared: TableSchema, options: Options) -> JSONDecoder:
    """A decoder of the fields of `schema`.

    Raises:
        UnsupportedByEngine: FLX-2130, JSON cannot hold a type.
    """
    assert isinstance(options, JSONOptions), "the options are those of this format"
    return JSONDecoder(schema, options)


class JSONDecoder:
    """Decodes the records of one partition."""

    def __init__(self, schema: TableSchema, options: JSONOptions) -> None:
        self._fields = schema.fields
        self._readers = [make_reader(item.type, as_form(options.timestamp_format)) for item in schema.fields]
        struct = make_struct("Record", schema.fields, self._readers)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct)
        self._explainer = Explainer(schema.fields, self._readers, self._decoder)
        self._lines = Lines()

    def split(self, data: bytes, *, final: bool) -> Int64s:
        return self._lines.split(data, final=final)

    def snapshot(self) -> Mapping[str, object]:
        return {}

    def restore(self, snapshot: Mapping[str, object]) -> None:
        assert not snapshot, "this decoder has nothing to remember"

    def decode(self, data: bytes, bounds: Int64s) -> Decoded:
        count = len(bounds) - 1
        if count == 0:
            columns, _codes = build_fields(self._readers, [])
            return self._decoded(columns, 0, None, {})
        buffer = np.frombuffer(data, dtype=np.uint8)
        check_bounds(buffer, bounds)
        rejects = find_too_large(data, bounds)
        rejects.update((index, found) for index, found in find_not_utf8(data, bounds).items() if index not in rejects)
        suspects = self._suspects(data, bounds, buffer, rejects)
        structs = self._structs(data, bounds, suspects, rejects)
        columns, codes = build_fields(self._readers, structs)
        records = survivors(count, rejects) if rejects or codes is not None else None
        if codes is not None:
            assert records is not None
            fine = self._reject_coded(data, bounds, codes, records, rejects)
            columns, records = [column.take(fine) for column in columns], records[fine]
        return self._decoded(columns, count - len(rejects), records, rejects)

    def _suspects(self, data: bytes, bounds: Int64s, buffer: Buffer, rejects: dict[int, Reject]) -> Mask | None:
        """The records that must be looked at one by one, or None when there are none."""
        suspects = _not_like_objects(buffer, bounds)
        deep: list[int] = []
        sizes = bounds[1:] - bounds[:-1]
        if sizes.max() > RECORD_DEPTH_MAX:
            deep = [index for index in np.flatnonzero(sizes > RECORD_DEPTH_MAX).tolist() if is_too_deep(content(data, bounds, index))]
        if rejects or deep:
            suspects = np.zeros(len(sizes), dtype=np.bool_) if suspects is None else suspects
            suspects[[*rejects, *deep]] = True
        return suspects

    def _decoded(self, columns: list[Any], rows: int, records: Int64s | None, rejects: dict[int, Reject]) -> Decoded:
        named = {item.name: column for item, column in zip(self._fields, columns, strict=True)}
        return Decoded(named, rows, records, tuple(rejects[index] for index in sorted(rejects)))

    def _structs(self, data: bytes, bounds: Int64s, suspects: Mask | None, rejects: dict[int, Reject]) -> list[Any]:
        """The structs of the records that have one, in order; the others are added to `rejects`."""
        count = len(bounds) - 1
        if suspects is None and (whole := self._decode_all(data, bounds, 0, count)) is not None:
            return whole
        structs: list[Any] = []
        for start in range(0, count, _CHUNK_RECORDS):
            stop = min(start + _CHUNK_RECORDS, count)
            if (suspects is None or not suspects[start:stop].any()) and (chunk := self._decode_all(data, bounds, start, stop)) is not None:
                structs += chunk
                continue
            edges = bounds[start : stop + 1].tolist()
            for index, begin, end in zip(range(start, stop), edges, edges[1:], strict=False):
                if index not in rejects:
                    self._decode_one(data[begin:end], index, structs, rejects)
        return structs

    def _decode_all(self, data: bytes, bounds: Int64s, start: int, stop: int) -> list[Any] | None:
        """The structs of these records, or None when one of them does not decode."""
        try:
            structs = self._decoder.decode_lines(memoryview(data)[bounds[start] : bounds[stop]])
        except (msgspec.DecodeError, RecursionError):
            return None
        return structs if len(structs) == stop - start else None

    def _decode_one(self, record: bytes, index: int, structs: list[Any], rejects: dict[int, Reject]) -> None:
        try:
            if not is_too_deep(record):  # A parser whose own limit lies higher would take it.
                structs.append(self._decoder.decode(record))
                return
        except (msgspec.DecodeError, RecursionError):
            pass
        found = self._explainer.explain(record)
        if isinstance(found, Finding):
            rejects[index] = reject(index, found.reason, found.detail)
        else:
            structs.append(found)

    def _reject_coded(self, data: bytes, bounds: Int64s, codes: Any, records: Int64s, rejects: dict[int, Reject]) -> Mask:
        """Add the rows with a code to `rejects`; the mask of the others."""
        fine: Mask = codes == FINE
        for row in np.flatnonzero(~fine).tolist():
            index = int(records[row])
            found = self._explainer.explain(content(data, bounds, index))
            if not isinstance(found, Finding):
                found = Finding(REASONS[codes[row]], "A field does not fit its type.")
            rejects[index] = reject(index, found.reason, found.detail)
        return fine


def _not_like_objects(buffer: Buffer, bounds: Int64s) -> Mask | None:
    """Which records do not begin with `{` or do not end with `}`, white space aside; None when all do."""
    first, last = bounds[:-1], np.maximum(bounds[1:] - 2, bounds[:-1])
    found = _braced(buffer, first, last)
    if found.all():
        return None
    last = bounds[1:] - 1
    for _ in range(_SPACES_LOOKED_AT):
        last = last - (_IS_SPACE[buffer[last]] & (last > first))
    for _ in range(_SPACES_LOOKED_AT):
        first = first + (_IS_SPACE[buffer[first]] & (first < last))
    found = _braced(buffer, first, last)
    return None if found.all() else ~found


def _braced(buffer: Buffer, first: Int64s, last: Int64s) -> Mask:
    found: Mask = (buffer[first] == _OPEN) & (buffer[last] == _CLOSE) & (first < last)
    return found
