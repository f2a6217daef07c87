"""ARRAY, MAP and ROW: the members of all rows are read as one flat column, then put together again."""

from __future__ import annotations

import re
from itertools import chain, compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from fluxline.batch import Column, polars_type
from fluxline.errors import UnsupportedByEngine
from fluxline.formats.json.columns import Finding, Reader, finding, flat_reader, found_missing, pulled
from fluxline.formats.temporal import not_none
from fluxline.formats.values import FINE, WRONG_TYPE, Built, Codes, worst
from fluxline.limits import TYPE_DEPTH_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fluxline.batch import Int64s, Mask
    from fluxline.formats.temporal import Form
    from fluxline.schema import Field, LogicalType


_ESCAPED = re.compile(r'["\\\x00-\x1f]')


def make_reader(logical: LogicalType, form: Form, depth: int = 0) -> Reader:
    """The reader of any type.

    Raises:
        UnsupportedByEngine: FLX-2130, JSON cannot hold the type.
    """
    if depth > TYPE_DEPTH_MAX:
        raise _unsupported(logical, f"It is nested more than {TYPE_DEPTH_MAX} deep.")
    if logical.root == "ARRAY":
        return ArrayReader(logical, make_reader(logical.children[0], form, depth + 1))
    if logical.root == "MAP":
        key, value = (make_reader(child, form, depth + 1) for child in logical.children)
        if not logical.children[0].text_like:
            raise _unsupported(logical, "The keys of a JSON object are text.")
        return MapReader(logical, key, value)
    if logical.root == "ROW":
        return RowReader(logical, tuple(make_reader(item.type, form, depth + 1) for item in logical.fields))
    if logical.root == "NULL":
        raise _unsupported(logical, "A column needs a type of its own.")
    return flat_reader(logical, form)


def _unsupported(logical: LogicalType, detail: str) -> UnsupportedByEngine:
    return UnsupportedByEngine("FLX-2130", f'the format "json" does not hold {logical.text()}', detail=detail)


def make_struct(name: str, fields: Sequence[Field], readers: Sequence[Reader]) -> type[msgspec.Struct]:
    """The class that msgspec decodes an object with these fields to; field i is the attribute `f<i>`.

    Raises:
        UnsupportedByEngine: FLX-2131, msgspec cannot look for a name that JSON writes with escapes.
    """
    for item in fields:
        if _ESCAPED.search(item.name):
            raise UnsupportedByEngine(
                "FLX-2131",
                f'the format "json" does not read a field named {item.name!r}',
                detail="A name with a quote, a backslash or a control character is written with escapes in JSON, and is not looked for.",
            )
    members = [
        (f"f{index}", reader.native, msgspec.field(name=item.name, default=reader.missing))
        for index, (item, reader) in enumerate(zip(fields, readers, strict=True))
    ]
    return msgspec.defstruct(name, members, gc=False, kw_only=True)


def build_fields(readers: Sequence[Reader], rows: Sequence[Any]) -> tuple[list[Column], Codes | None]:
    """The columns of structs, and for each row its first code."""
    columns, codes = [], None
    for index, reader in enumerate(readers):
        built = reader.build(rows, attrgetter(f"f{index}"))
        columns.append(built.column)
        codes = worst(codes, built.codes)
    return columns, codes


def judge_fields(fields: Sequence[Field], readers: Sequence[Reader], members: dict[str, Any], path: str) -> Finding | None:
    """What is wrong with the first field of an object that is not of its type."""
    for item, reader in zip(fields, readers, strict=True):
        inner = f"{path}.{item.name}" if path else item.name
        if item.name not in members:
            if not item.type.nullable:
                return found_missing(item.type, inner, "not there")
        elif (found := reader.judge(members[item.name], inner)) is not None:
            return found
    return None


class NestedReader:
    """What the readers of nested types have in common."""

    def __init__(self, logical: LogicalType, native: Any) -> None:
        self.logical = logical
        self.native = native | None if logical.nullable else native
        self.missing = None if logical.nullable else msgspec.NODEFAULT

    def judge(self, value: object, path: str) -> Finding | None:
        if value is None:
            return None if self.logical.nullable else found_missing(self.logical, path, "null")
        if not isinstance(value, list if self.logical.root == "ARRAY" else dict):
            return finding(WRONG_TYPE, self.logical, path, value)
        return self.judge_members(value, path)

    def judge_members(self, value: Any, path: str) -> Finding | None:
        """What is wrong with a member of a value of the right kind."""
        raise NotImplementedError


class ArrayReader(NestedReader):
    """ARRAY<type>."""

    def __init__(self, logical: LogicalType, item: Reader) -> None:
        super().__init__(logical, list.__class_getitem__(item.native))
        self.item = item

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        lists, valid = present(list(pulled(rows, get)), ())
        lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
        built = self.item.build(list(chain.from_iterable(lists)), None)
        series = regroup(built.column.series(), lengths, valid, polars_type(self.logical))
        return Built(Column(series), raised(built.codes, lengths))

    def judge_members(self, value: Any, path: str) -> Finding | None:
        found = (self.item.judge(item, f"{path}[{index}]") for index, item in enumerate(value))
        return next(filter(None, found), None)


class MapReader(NestedReader):
    """MAP<text, type>; the last of equal keys wins."""

    def __init__(self, logical: LogicalType, key: Reader, value: Reader) -> None:
        super().__init__(logical, dict.__class_getitem__((str, value.native)))
        self.key, self.value = key, value

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        maps, valid = present(list(pulled(rows, get)), {})
        lengths = np.fromiter(map(len, maps), dtype=np.int64, count=len(maps))
        keys = self.key.build(list(chain.from_iterable(maps)), None)
        items = self.value.build(list(chain.from_iterable(map(dict.values, maps))), None)
        entries = pl.DataFrame([keys.column.series("key"), items.column.series("value")]).to_struct()
        series = regroup(entries, lengths, valid, polars_type(self.logical))
        return Built(Column(series), raised(worst(keys.codes, items.codes), lengths))

    def judge_members(self, value: Any, path: str) -> Finding | None:
        for key, item in value.items():
            inner = f'{path}["{key}"]'
            found = self.key.judge(key, inner) or self.value.judge(item, inner)
            if found is not None:
                return found
        return None


class RowReader(NestedReader):
    """ROW<name type, ...>; members that the type does not have are ignored."""

    def __init__(self, logical: LogicalType, readers: tuple[Reader, ...]) -> None:
        super().__init__(logical, make_struct("Row", logical.fields, readers))
        self.readers = readers

    def build(self, rows: Sequence[Any], get: Callable[[Any], Any] | None) -> Built:
        structs = list(pulled(rows, get))
        valid = not_none(structs)
        whole = bool(valid.all())
        columns, codes = build_fields(self.readers, structs if whole else list(compress(structs, valid.tolist())))
        series = pl.DataFrame([column.series(item.name) for item, column in zip(self.logical.fields, columns, strict=True)]).to_struct()
        if whole:
            return Built(Column(series), codes)
        places = pl.Series(np.cumsum(valid) - 1).set(pl.Series(~valid), None)
        spread = None
        if codes is not None:
            spread = np.zeros(len(structs), dtype=np.uint8)
            spread[valid] = codes
        return Built(Column(series.gather(places) if len(series) else pl.Series([None] * len(structs), dtype=series.dtype)), spread)

    def judge_members(self, value: Any, path: str) -> Finding | None:
        return judge_fields(self.logical.fields, self.readers, value, path)


def present(found: list[Any], empty: Iterable[Any]) -> tuple[list[Any], Mask | None]:
    """The values with `empty` for each None, and which were not None (None when all are)."""
    valid = not_none(found)
    if valid.all():
        return found, None
    return [empty if value is None else value for value in found], valid


def regroup(items: pl.Series, lengths: Int64s, valid: Mask | None, dtype: pl.DataType) -> pl.Series:
    """Lists of these lengths from their items in order; NULL where not valid."""
    rows = len(lengths)
    lists = pl.Series([[]], dtype=dtype).new_from_index(0, rows)
    filled = np.flatnonzero(lengths)
    if len(filled):
        owners = pl.Series("row", np.repeat(np.arange(rows, dtype=np.int64), lengths)).set_sorted()
        grouped = pl.DataFrame([owners, items.alias("item")]).group_by("row", maintain_order=True).agg("item").get_column("item")
        if len(filled) == rows:
            lists = grouped
        else:
            places = np.full(rows, len(filled), dtype=np.int64)
            places[filled] = np.arange(len(filled), dtype=np.int64)
            lists = grouped.append(pl.Series([[]], dtype=dtype)).gather(pl.Series(places))
    if valid is None:
        return lists
    return pl.select(pl.when(pl.Series(valid)).then(lists)).to_series()


def raised(codes: Codes | None, lengths: Int64s) -> Codes | None:
    """For each list the first code of its items that is not FINE."""
    if codes is None:
        return None
    bad = np.flatnonzero(codes != FINE)
    owners = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)[bad]
    first, where = np.unique(owners, return_index=True)
    found = np.zeros(len(lengths), dtype=np.uint8)
    found[first] = codes[bad[where]]
    return found
