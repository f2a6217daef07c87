"""What Kafka knows of a record beside its value: columns of a source that are declared with `Metadata("...")`, and when it was logged.

The names are Flink's: `offset`, `partition`, `timestamp`, `key`, `headers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from fluxline.batch import Column
from fluxline.schema import BIGINT, INT, parse_type, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Int64s
    from fluxline.schema import Field, LogicalType, TableSchema

_HEADERS = pl.List(pl.Struct({"key": pl.String, "value": pl.Binary}))
METADATA: dict[str, tuple[LogicalType, ...]] = {
    "offset": (BIGINT.with_nullable(False),),
    "partition": (BIGINT.with_nullable(False), INT.with_nullable(False)),
    "timestamp": (timestamp(3, local=True).with_nullable(False),),
    "key": (parse_type("BYTES"),),
    "headers": (parse_type("MAP<STRING NOT NULL, BYTES> NOT NULL"), parse_type("MAP<STRING, BYTES> NOT NULL")),
}
"""The types that a column may have; a key and the value of a header may be missing, so their type takes NULL."""


class Logged(Protocol):
    """Records of one partition, at least one, as whoever fetched them has them; each method has one entry per record."""

    @property
    def offsets(self) -> Int64s:
        """int64 of shape (n,), growing."""
        ...

    def values(self) -> list[bytes]:
        """Empty where a record has none."""
        ...

    def keys(self) -> list[bytes | None] | pl.Series:
        """What was written beside the values."""
        ...

    def headers(self) -> list[list[tuple[str, bytes | None]]]:
        """The same, by name, in their order."""
        ...

    def logged_ms(self) -> Int64s:
        """When it was written, or logged, in ms."""
        ...


class Metadata:
    """Makes the columns that a schema asks for, and the times of logging where they are asked for."""

    def __init__(self, schema: TableSchema, *, logged: bool = False) -> None:
        self._fields = [item for item in schema if item.metadata is not None]
        self._logged = logged

    def columns(self, partition: int, records: Logged) -> Mapping[str, Column] | None:
        """The columns of the records of one partition, by name of the field; None where none is asked for."""
        return {item.name: _column(item, partition, records) for item in self._fields} or None

    def logged_ms(self, records: Logged) -> Int64s | None:
        """When each record was logged, in ms, negative where nobody knows; None where it is not asked for."""
        return records.logged_ms() if self._logged else None


def _column(item: Field, partition: int, records: Logged) -> Column:
    if item.metadata == "offset":
        return Column(records.offsets)
    if item.metadata == "partition":
        kind = np.int32 if item.type.root == "INT" else np.int64
        return Column(np.full(len(records.offsets), partition, dtype=kind))
    if item.metadata == "timestamp":
        return Column(records.logged_ms().astype("datetime64[ms]"))
    if item.metadata == "key":
        return Column(pl.Series(records.keys(), dtype=pl.Binary))
    assert item.metadata == "headers", f"the planner refuses metadata {item.metadata}"
    pairs = [[{"key": key, "value": value} for key, value in headers] for headers in records.headers()]
    return Column(pl.Series(pairs, dtype=_HEADERS))
