"""Rows as records of the topics of a run that is driven on Flink, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.batch import DELETE, INSERT, Batch, batch_from_polars
from fluxline.connectors.kafka.sink import pieces
from fluxline.control.memory import Collected
from fluxline.errors import UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.schema import STRING, Field, LogicalType, TableSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def encode(frame: pl.DataFrame, schema: TableSchema) -> list[bytes]:
    """Rows as records in JSON, none if there are no rows.

    Raises:
        UnsupportedByEngine: FLX-2130, JSON does not hold a type; FLX-2680, a value would not come back as it is.
    """
    if not frame.height:
        return []
    json = load_format("json")
    encoded = json.encoder(schema, json.options()).encode(batch_from_polars(frame, schema))
    records = [record or b"" for record in pieces(encoded)]
    # NULL where none may be is for the job to reject.
    nullable = TableSchema(tuple(replace(item, type=item.type.with_nullable(True)) for item in schema))
    back = _decode(nullable, records)
    if back is None or not back.equals(frame):
        raise UnsupportedByEngine(
            "FLX-2680",
            "a pushed row cannot be told in JSON, which Flink reads",
            detail="One of its values would not come back as it is, such as a NaN.",
            hint="Push another value, or test it on the embedded engine.",
        )
    return records


def add_rows(into: Collected, records: Sequence[bytes | None]) -> None:
    """Add the rows that records hold."""
    frame = _decoded(into.schema, records)
    into.add(batch_from_polars(frame, into.schema))


def add_changes(into: Collected, records: Sequence[bytes | None]) -> None:
    """Add the rows that records say were given and taken back: {"before": row, "after": row, "op": "c" or "d"}."""
    row = LogicalType("ROW", fields=into.schema.fields)
    frame = _decoded(TableSchema((Field("before", row), Field("after", row), Field("op", STRING))), records)
    taken = frame["op"] == "d"
    rows = frame.select(pl.when(taken).then("before").otherwise("after").alias("row")).unnest("row")
    kinds = np.where(taken.to_numpy(), DELETE, INSERT).astype(np.int8)
    batch = batch_from_polars(rows, into.schema)
    into.add(Batch(batch.columns, batch.rows, kinds=kinds))


def without_bytes(rejected: Collected, logs: Mapping[int, Mapping[int, tuple[int, int]]]) -> Collected:
    """Rejected rows as if rows had been pushed and no records: no bytes, their number in the partition, the test's clock.

    Args:
        rejected: as Flink tells them.
        logs: partition -> offset -> the row's number in the partition, and the time in ms when it was pushed.
    """
    frame = rejected.final()
    pushed = [logs[int(partition)][offset] for partition, offset in frame.select("partition", "position").iter_rows()]
    changed = frame.with_columns(
        pl.lit(None, pl.Binary).alias("record"),
        pl.Series("position", [number for number, _ in pushed], dtype=pl.Int64),
        pl.Series("rejected_at", [at_ms for _, at_ms in pushed], dtype=pl.Int64).cast(pl.Datetime("ms")),
    )
    found = Collected(rejected.schema, rejected.key)
    found.add(batch_from_polars(changed, rejected.schema))
    return found


def _decoded(schema: TableSchema, records: Sequence[bytes | None]) -> pl.DataFrame:
    """What Flink wrote, read by our own decoder, which is strict."""
    frame = _decode(schema, [record or b"" for record in records])
    assert frame is not None, "Flink writes what we read"
    return frame


def _decode(schema: TableSchema, records: Sequence[bytes]) -> pl.DataFrame | None:
    """The rows of records; None where one is none."""
    json = load_format("json")
    bounds = np.zeros(len(records) + 1, dtype=np.int64)
    np.cumsum([len(record) + 1 for record in records], out=bounds[1:])
    decoded = json.decoder(schema, schema, json.options()).decode(b"".join(record + b"\n" for record in records), bounds)
    return None if decoded.rejects else Batch(decoded.columns, decoded.rows).polars().select(schema.names())
