"""Contexts and batches for tests of the connector `cassandra`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import Batch, batch_from_polars, polars_type
from fluxline.clock import SystemClock
from fluxline.connectors.base import SinkContext
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.clock import Clock


def moment(*parts: int) -> dt.datetime:
    """A time without a zone, as frames hold it."""
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  # no zone among the parts


def schema_of(**types: str) -> TableSchema:
    """Columns and the SQL text of their types."""
    return TableSchema(tuple(Field(name, parse_type(text)) for name, text in types.items()))


def options_of(**given: object) -> CassandraOptions:
    """Options of a node on this machine."""
    return read_options(CassandraOptions, {"contact_points": ["127.0.0.1"], "keyspace": "k", **given}, of='connector "cassandra"')


def context_of(
    name: str, schema: TableSchema, key: Sequence[str], options: Mapping[str, object], *, updating: bool = False, clock: Clock | None = None
) -> SinkContext:
    """A context for a fresh run."""
    return SinkContext(name, options_of(**options), schema, tuple(key), updating, Path.cwd(), clock or SystemClock(), "run-1")


def batch_of(schema: TableSchema, rows: Sequence[Sequence[object]], kinds: Sequence[int] | None = None) -> Batch:
    """Rows as a batch, with their kinds if the stream is updating."""
    frame = pl.DataFrame(list(rows), schema={item.name: polars_type(item.type) for item in schema}, orient="row")
    batch = batch_from_polars(frame, schema)
    return batch if kinds is None else Batch(batch.columns, batch.rows, kinds=np.array(kinds, dtype=np.int8))
