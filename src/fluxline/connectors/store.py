"""The connector `store`: a sink whose tables are the embedded table store's, queried by SQL while rows arrive.

Delivery is exactly-once over stops and crashes, with and without a key: a receipt names the flush that a stop covers, and
a run that continues from it finds the table as it was then; what a crashed run wrote after it is taken back, a
replaced or deleted row included. Between the crash and the restart a query sees the rows of the crashed run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Connector, QueryContext, SinkContext, Written
from fluxline.errors import ConfigError, FluxlineError, RecoveryError
from fluxline.options import Options, option
from fluxline.store import shared
from fluxline.store.client import answer, query
from fluxline.store.table import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxline.batch import Batch
    from fluxline.formats.base import Encoded
    from fluxline.store.query import Answer


class StoreOptions(Options):
    """Where the tables are."""

    path: str = option("File of the table store; all sinks with this path are tables in it.", example=".fluxline/dev/tables.duckdb")


class StoreSink:
    """Writes one sink into the table of its name."""

    def __init__(self, context: SinkContext) -> None:
        point = None if context.receipt is None or context.fresh else _point(context.receipt, context.name)
        self._store = shared.acquire(store_path(context), clock=context.clock)
        self._closed = False
        try:
            self._table = self._store.open_table(context.name, context.schema, context.key, run_id=context.run_id, point=point, fresh=context.fresh)
        except BaseException:
            self._closed = True
            shared.release(self._store)
            raise

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Stage the rows; the next query sees them."""
        assert encoded is None, "the table store takes no format"
        self._store.write(self._table, batch)
        return Written(batch.rows)

    def flush(self) -> None:
        """Nothing to do: what was written is visible already."""

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Bring all rows into the file; the receipt names the flush that the table can go back to."""
        return {"table": self._table.name, "flush": self._store.mark(self._table)}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Forget what only stops before the kept ones need."""
        self._store.settle(self._table, _point(receipt, self._table.name))

    def close(self) -> None:
        """Let go of the table, and of the store if this was its last sink."""
        if not self._closed:
            self._closed = True
            self._store.release(self._table)
            shared.release(self._store)


def store_path(context: SinkContext) -> Path:
    """The store's file."""
    assert isinstance(context.options, StoreOptions), f"options of another connector: {context.options}"
    return context.directory / context.options.path


def _point(receipt: Mapping[str, object], table: str) -> int:
    flush = receipt.get("flush")
    if type(flush) is not int or receipt.get("table") != table:
        raise RecoveryError(
            "FLX-5602",
            f'the receipt of sink "{table}" is not one of the table store',
            detail=f"It is {dict(receipt)!r}.",
            hint="The sink was bound to another system when the run stopped; bind it as it was, or run with --fresh.",
        )
    return flush


def _clears(context: SinkContext) -> tuple[str, ...]:
    """The table of this sink, if there is one."""
    path = store_path(context)
    if not path.exists():
        return ()
    what = f'table "{context.name}" of {context.options.path}'  # type: ignore[attr-defined]  # store_path has looked
    try:
        known = query(path, "SHOW TABLES", clock=context.clock).get_column("name").to_list()
        if context.name not in known:
            return ()
        rows = query(path, f"SELECT count(*) FROM {quote(context.name)}", clock=context.clock).item()
    except FluxlineError:  # the run itself will say what is wrong with the store
        return (what,)
    return (f"{what}: {rows:,} rows",)


def _answered(context: QueryContext, text: str) -> Answer:
    """The rows of one statement of SQL over the tables of the store."""
    assert isinstance(context.options, StoreOptions), f"options of another connector: {context.options}"
    path = context.options.path
    if "{name}" in path:
        raise ConfigError(
            "FLX-1204",
            f'connection "{context.connection}" keeps each table in a store of its own',
            detail=f'Its path is "{path}", and a query is asked of one store.',
            hint="Take {name} out of the path.",
            place=context.place("path"),
        )
    return answer(context.directory / path, text, limit=context.limit)


CONNECTOR = Connector(
    name="store",
    doc="Tables of the embedded store, queried by SQL while rows arrive.",
    options=StoreOptions,
    source=None,
    sink=StoreSink,
    takes_format=False,
    upserts=True,
    appends_guarantee="exactly_once",
    upserts_guarantee="exactly_once",
    clears=_clears,
    query=_answered,
)
