"""Blocks of CSV records to columns, strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from fluxline.errors import did_you_mean
from fluxline.formats.base import Decoded, Reject
from fluxline.formats.csv.columns import Fields, build, cut_fields, null_column
from fluxline.formats.csv.layout import Dialect, lay_out, record_ends, text_of_field
from fluxline.formats.csv.options import CSVOptions, check_columns
from fluxline.formats.records import Records, excerpt, find_not_utf8, find_too_large, reject
from fluxline.formats.temporal import as_form, form_of
from fluxline.formats.values import FINE, MISSING, REASONS, Codes, misfit_sentence, missing_sentence, worst
from fluxline.limits import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Column, Int64s
    from fluxline.formats.temporal import Form
    from fluxline.options import Options
    from fluxline.schema import Field, TableSchema

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class CSVDecoder:
    """Decodes the records of one partition.

    Raises:
        UnsupportedByEngine: FLX-2130, a type is nested.
        ConfigError: FLX-1125, the option `columns` does not name a field.
    """

    def __init__(self, schema: TableSchema, declared: TableSchema, options: Options) -> None:
        assert isinstance(options, CSVOptions), "the options are those of this format"
        check_columns(schema, options.columns)
        self._fields = schema.fields
        self._options = options
        self._form: Form = as_form(options.timestamp_format)
        self._dialect = Dialect(ord(options.field_delimiter), ord(options.quote_character))
        self._records = Records()
        self._names: tuple[str, ...] | None = None if options.header else tuple(options.columns or declared.names())
        self._fault = ""  # What is wrong with the file's header, if something is.

    def snapshot(self) -> Mapping[str, object]:
        if not self._options.header or self._names is None:
            return {}
        return {"columns": list(self._names), "fault": self._fault}

    def restore(self, snapshot: Mapping[str, object]) -> None:
        if snapshot:
            self._names = tuple(cast("list[str]", snapshot["columns"]))
            self._fault = str(snapshot["fault"])

    def split(self, data: bytes, *, final: bool) -> Int64s:
        start = self._records.resume(data)
        if start is None:
            return np.array([len(data)], dtype=np.int64)
        ends = record_ends(data, start, self._dialect)
        if self._names is not None:
            return self._records.bounds(start, ends, len(data), final=final)
        # The header is cut off like a record, and is none.
        bounds = self._records.bounds(start, ends, len(data), final=final)
        if len(bounds) > 1:
            self._read_header(data[bounds[0] : bounds[1]])
            bounds = bounds[1:]
        return bounds

    def _read_header(self, record: bytes) -> None:
        self._names, self._fault = (), ""
        record = record.removeprefix(_BYTE_ORDER_MARK)
        whole = np.array([0, len(record)], dtype=np.int64)
        columns = int(lay_out(record, whole, 1, self._dialect).fields[0])
        found = lay_out(record, whole, columns, self._dialect)
        if len(record) > RECORD_BYTES_MAX:
            self._fault = f"The file's header is longer than {RECORD_BYTES_MAX} bytes."
        elif len(found.misquoted):
            self._fault = "In the file's header a quote stands in the middle of a name, or one is missing."
        elif find_not_utf8(record, whole):
            self._fault = "The file's header is not valid UTF-8."
        else:
            places = zip(found.starts[:, 0].tolist(), found.ends[:, 0].tolist(), strict=True)
            self._names = tuple(text_of_field(record, start, end, self._dialect)[0].decode() for start, end in places)
            twice = [item.name for item in self._fields if self._names.count(item.name) > 1]
            if twice:
                self._fault = f'The file\'s header names the column "{twice[0]}" twice.'

    def decode(self, data: bytes, bounds: Int64s) -> Decoded:
        count = len(bounds) - 1
        if count == 0:
            return self._decoded([null_column(0, item.type).column for item in self._fields], None, {}, 0)
        rejects = find_too_large(data, bounds)
        rejects.update((index, found) for index, found in find_not_utf8(data, bounds).items() if index not in rejects)
        if self._fault:
            rejects.update((index, reject(index, "malformed", self._fault)) for index in range(count) if index not in rejects)
        names = self._names or ()
        layout = lay_out(data, bounds, max(len(names), 1), self._dialect)
        healthy = np.ones(count, dtype=np.bool_)
        healthy[list(rejects)] = False
        kept = healthy[layout.records]
        healthy[layout.records] = False
        for index in np.flatnonzero(healthy).tolist():  # Not among those with the right fields.
            rejects[index] = reject(index, "malformed", self._malformed(index, layout.misquoted, int(layout.fields[index]), len(names)))
        records = layout.records[kept]
        columns, codes, cut = self._columns(data, layout.starts[:, kept], layout.ends[:, kept], len(records))
        if codes is not None:
            fine = codes == FINE
            for row in np.flatnonzero(~fine).tolist():
                index = int(records[row])
                rejects[index] = self._explain(index, row, cut)
            columns, records = [column.take(fine) for column in columns], records[fine]
        return self._decoded(columns, records, rejects, count)

    def _decoded(self, columns: list[Column], records: Int64s | None, rejects: dict[int, Reject], count: int) -> Decoded:
        named = {item.name: column for item, column in zip(self._fields, columns, strict=True)}
        rows = count - len(rejects)
        return Decoded(named, rows, records if rejects else None, tuple(rejects[index] for index in sorted(rejects)))

    def _columns(
        self, data: bytes, starts: Int64s, ends: Int64s, rows: int
    ) -> tuple[list[Column], Codes | None, list[tuple[Field, Fields | None, Codes | None]]]:
        """The columns, for each row its first code, and of each field what it was built from."""
        there = {item.name: self._names.index(item.name) for item in self._fields if item.name in self._names} if self._names else {}
        places = [(starts[place], ends[place]) for place in there.values()]
        types = [item.type for item in self._fields if item.name in there]
        fields = dict(zip(there, cut_fields(data, places, types, self._dialect, self._options.null_literal), strict=True))
        columns, cut, first = [], [], None
        for item in self._fields:
            found = fields.get(item.name)
            built = null_column(rows, item.type) if found is None else build(found, item.type, self._form)
            columns.append(built.column)
            cut.append((item, found, built.codes))
            first = worst(first, built.codes)
        return columns, first, cut

    def _malformed(self, index: int, misquoted: Int64s, fields: int, columns: int) -> str:
        if index in misquoted:
            return "A quote stands in the middle of a field, or one is missing."
        return f"The record has {fields} field{'' if fields == 1 else 's'}, and the file {columns} column{'' if columns == 1 else 's'}."

    def _explain(self, index: int, row: int, cut: list[tuple[Field, Fields | None, Codes | None]]) -> Reject:
        """The reject of a row with a code, by its first field that has one."""
        item, fields, codes = next(entry for entry in cut if entry[2] is not None and entry[2][row] != FINE)
        assert codes is not None, "the entry was chosen by its code"
        code = int(codes[row])
        if code == MISSING:
            detail = missing_sentence(item.type, item.name, "null" if fields is not None else "not in the file's header")
            if fields is None:
                detail = f"{detail} {did_you_mean(item.name, self._names or ())}".rstrip()
        else:
            assert fields is not None, "a field that is not there is missing"
            is_time = item.type.timestamp or item.type.root in ("DATE", "TIME")
            form = form_of(item.type, self._form) if is_time else ""
            detail = misfit_sentence(code, item.type, item.name, f'the text "{excerpt(fields.text(row, self._dialect))}"', form)
        return reject(index, REASONS[code], detail)
