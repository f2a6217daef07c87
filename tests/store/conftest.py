"""Stores of a test, and batches written as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fluxline.batch import KIND_NAMES, Batch, batch_from_polars, polars_type
from fluxline.clock import SystemClock
from fluxline.schema import BIGINT, STRING, Field, TableSchema
from fluxline.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PEOPLE = TableSchema((Field("id", BIGINT), Field("name", STRING)))


def batch(rows: Sequence[Sequence[Any]], *, schema: TableSchema = PEOPLE, kinds: str | None = None) -> Batch:
    """Rows as a batch; `kinds` as in `"+I -U +U -D"`, one for each row."""
    columns = {item.name: [row[index] for row in rows] for index, item in enumerate(schema)}
    frame = pl.DataFrame([pl.Series(item.name, columns[item.name], dtype=polars_type(item.type), strict=True) for item in schema])
    made = batch_from_polars(frame, schema)
    if kinds is None:
        return made
    numbers = np.array([KIND_NAMES.index(kind) for kind in kinds.split()], dtype=np.int8)
    return Batch(made.columns, made.rows, kinds=numbers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's store is."""
    return tmp_path / "tables.duckdb"


@pytest.fixture
def open_store(path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the test's store; what is still open at the end is closed."""
    opened: list[Store] = []

    def open_one() -> Store:
        store = Store.open(path, clock=SystemClock())
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """The test's store, open."""
    return open_store()


@pytest.fixture
def no_flush_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Staged rows stay staged until the test flushes."""
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_MS", 600_000)
