"""The DuckDB file of a store: its layout, its transactions, and the way back to an earlier stop.

    _fluxline.store    one row: format, time of creation, sequence of the last flush
    _fluxline.tables   a row a table: name, columns and key as JSON, the run that writes it and the sequence it began at
    _fluxline.points   the sequences that a table can go back to
    _base.<table>      the rows, each with the sequence of the flush that wrote it
    _undo.<table>      of a table with a key: replaced rows that a point may need, with the sequence that replaced them
    main.<table>       a view of the rows without the hidden column, for any DuckDB

- One flush is one transaction; the file has all of it or nothing. DuckDB writes its log through to the disk at each.
- A row is alive at point p when it was written at p or before and not replaced at p or before. So going back to p is:
  drop the rows written later, fetch those replaced later from `_undo`. A table that only grows needs no `_undo`.
  The points that it can go back to are those of the last STOPS_KEPT settled stops and of what came after them.
- No primary key and no index: with one, an upsert of random keys costs 65 times more at 10 M keys than at 100 k.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from fluxline.errors import ConfigError, ExternalError, RecoveryError
from fluxline.limits import MIB, STOPS_KEPT, STORE_LOG_BYTES_MAX, STORE_MEMORY_BYTES_MAX
from fluxline.store.delta import ArrowFrame, Delta, Entry
from fluxline.store.failure import storage_failure
from fluxline.store.table import CATALOG, Table, differences, quote, schema_from_json, schema_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.schema import TableSchema

FORMAT = 1
"""Version of the layout; a file with a higher one is refused."""


class TableFile:
    """An opened file. The caller holds the store's lock; one thread at a time writes, any number read by cursors."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.snapshots = Lock()
        """Held while a flush becomes visible and while a query chooses what it sees."""
        self.connection = _attach(path, read_only=read_only)
        try:
            self._require_format()
            self._writer = self.connection.cursor()
            self.sequence = self._number(f"SELECT sequence FROM {CATALOG}._fluxline.store")
            self._numbers = 0
            self.tables: dict[str, Table] = {}
            self._points: dict[str, list[int]] = {}
            self._deltas: dict[int, Delta] = {}
            self._befores: dict[int, ArrowFrame] = {}
            for name, columns, key in self._writer.execute(f"SELECT name, columns, key FROM {CATALOG}._fluxline.tables ORDER BY name").fetchall():
                self._know(name, schema_from_json(json.loads(columns)), None if key is None else tuple(json.loads(key)))
            for name, sequence in self._writer.execute(f"SELECT name, sequence FROM {CATALOG}._fluxline.points ORDER BY ALL").fetchall():
                self._points[name].append(sequence)
        except duckdb.Error as error:
            self.connection.close()
            raise storage_failure(error, path) from error
        except BaseException:
            self.connection.close()
            raise

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> TableFile:
        """Open the file for writing, made anew if it does not exist.

        Raises:
            ExternalError: FLX-4603 to FLX-4606, it is not a store that this version can write.
        """
        if not path.exists():
            _create(path, clock)
        return cls(path, read_only=False)

    def apply(self, changes: Sequence[tuple[Table, list[Entry]]], then: Callable[[], None]) -> None:
        """Bring staged rows into the file in one transaction.

        Args:
            changes: tables and their staged rows.
            then: called when the transaction is in, before any query chooses its snapshot.
        """
        sequence = self.sequence + 1

        def work() -> None:
            for table, entries in changes:
                self._deltas[table.number].show(entries)
                self._insert(table, sequence)
            # No UPDATE: as long as a query may see the row before it, DuckDB would refuse to fold the log.
            (state,) = self._writer.execute(f"DELETE FROM {CATALOG}._fluxline.store RETURNING format, created_at_ms").fetchall()
            self._writer.execute(f"INSERT INTO {CATALOG}._fluxline.store VALUES (?, ?, ?)", [*state, sequence])

        def published() -> None:
            self.sequence = sequence
            then()

        self._transact(work, published)
        for table, _entries in changes:  # the rows are in the file; memory need not hold them too
            self._deltas[table.number].show(())
            if table.key is not None:
                self._befores[table.number].frame = self._befores[table.number].frame.clear()

    def fold_log(self) -> bool:
        """Fold the log into the file if it has grown enough; queries go on meanwhile. Whether it did.

        DuckDB refuses while certain transactions run; then the next flush tries again.
        """
        log = _log(self.path)
        if not log.exists() or log.stat().st_size < STORE_LOG_BYTES_MAX:
            return False
        try:
            self._writer.execute(f"CHECKPOINT {CATALOG}")
        except duckdb.TransactionException:
            return False
        except duckdb.Error as error:
            raise storage_failure(error, self.path) from error
        return True

    def create(self, name: str, schema: TableSchema, key: tuple[str, ...] | None, then: Callable[[Table], None]) -> Table:
        """Make a table, empty; one of this name is dropped first.

        Args:
            name: its name.
            schema: its columns.
            key: its key.
            then: called when it is there, before any query chooses its snapshot.
        """
        table = self._know(name, schema, key)

        def work() -> None:
            execute = self._writer.execute
            execute(f"DROP VIEW IF EXISTS {CATALOG}.main.{quote(name)}")
            for relation in (table.base, table.undo):
                execute(f"DROP TABLE IF EXISTS {relation}")
            for record in ("tables", "points"):
                execute(f"DELETE FROM {CATALOG}._fluxline.{record} WHERE name = ?", [name])
            hidden = f"{quote(table.sequence)} BIGINT"
            execute(f"CREATE TABLE {table.base} ({table.create_columns()}, {hidden})")
            if key is not None:
                execute(f"CREATE TABLE {table.undo} ({table.create_columns()}, {hidden}, {quote(table.replaced)} BIGINT)")
            execute(f"CREATE VIEW {CATALOG}.main.{quote(name)} AS {table.stored_view()}")
            execute(
                f"INSERT INTO {CATALOG}._fluxline.tables VALUES (?, ?, ?, NULL, ?)",
                [name, json.dumps(schema_to_json(schema)), None if key is None else json.dumps(key), self.sequence],
            )

        self._transact(work, lambda: then(table))
        return table

    def require_same(self, name: str, schema: TableSchema, key: tuple[str, ...] | None) -> Table:
        """The stored table of this name, which must have this shape.

        Raises:
            ConfigError: FLX-4607, it has another; with every difference.
        """
        table = self.tables[name]
        found = differences(table, schema, key)
        if found:
            raise ConfigError(
                "FLX-4607",
                f'table "{name}" in the store "{self.path}" has another shape',
                detail=" ".join(found),
                hint="Run with --fresh to clear it and start over, or bind the sink to another table or store.",
            )
        return table

    def require_point(self, name: str, point: int) -> None:
        """See that a table can go back to a point.

        Raises:
            RecoveryError: FLX-5601, it cannot, with the reason.
        """
        if point in self._points.get(name, ()):
            return
        if name not in self.tables:
            why = f'The store "{self.path}" has no such table.'
        elif point > self.sequence:
            why = f'The stop is at flush {point}; the store "{self.path}" is at {self.sequence}: it is older than the stop.'
        else:
            why = f'The store "{self.path}" keeps what it needs to go back for the last {STOPS_KEPT} stops, and flush {point} is none of them.'
        raise RecoveryError(
            "FLX-5601",
            f'table "{name}" cannot go back to the stop that the run continues from',
            detail=why,
            hint="Put back the store that belongs to the stop, or run with --fresh to clear both and start over.",
        )

    def begin_run(self, table: Table, run_id: str, point: int | None) -> None:
        """Bring a table to where the run that now writes it stands.

        With a point the run continues there. Without one, a table that the same run wrote goes back to where the run
        began; a table of another run stays as it is, and the run begins behind it.

        Raises:
            RecoveryError: FLX-5601, the table cannot go back so far.
        """
        run, began = self._writer.execute(f"SELECT run_id, began FROM {CATALOG}._fluxline.tables WHERE name = ?", [table.name]).fetchall()[0]
        if point is None and run == run_id:
            point = began
        if point is not None:
            self.require_point(table.name, point)

        def work() -> None:
            execute = self._writer.execute
            if point is None:
                if table.key is not None:
                    execute(f"DELETE FROM {table.undo}")
                execute(f"DELETE FROM {CATALOG}._fluxline.points WHERE name = ?", [table.name])
                execute(f"INSERT INTO {CATALOG}._fluxline.points VALUES (?, ?)", [table.name, self.sequence])
                execute(f"UPDATE {CATALOG}._fluxline.tables SET run_id = ?, began = ? WHERE name = ?", [run_id, self.sequence, table.name])
            else:
                self._go_back(table, point)
                execute(f"UPDATE {CATALOG}._fluxline.tables SET run_id = ? WHERE name = ?", [run_id, table.name])

        self._transact(work)
        self._points[table.name] = [self.sequence] if point is None else [known for known in self._points[table.name] if known <= point]

    def mark(self, table: Table) -> int:
        """Make the present a point that the table can go back to; nothing may be staged for it. Its sequence."""
        point = self.sequence
        if point in self._points[table.name]:
            return point

        def work() -> None:
            self._writer.execute(f"INSERT INTO {CATALOG}._fluxline.points VALUES (?, ?)", [table.name, point])

        self._transact(work)
        self._points[table.name].append(point)
        return point

    def settle(self, table: Table, point: int) -> None:
        """The run will not go back before this point, but for the few stops that are kept; forget what only older ones need."""
        points = self._points[table.name]
        kept = [known for known in points if known <= point][-STOPS_KEPT:] + [known for known in points if known > point]
        if kept == points or not kept:
            return

        def work() -> None:
            self._writer.execute(f"DELETE FROM {CATALOG}._fluxline.points WHERE name = ? AND sequence < ?", [table.name, kept[0]])
            if table.key is not None:
                self._writer.execute(f"DELETE FROM {table.undo} WHERE {quote(table.replaced)} <= ?", [kept[0]])

        self._transact(work)
        self._points[table.name] = kept

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        with suppress(duckdb.Error):
            self._writer.close()
        with suppress(duckdb.Error):
            self.connection.close()

    def _insert(self, table: Table, sequence: int) -> None:
        """Bring the rows that the delta shows into a table, within the transaction."""
        execute = self._writer.execute
        if table.key is None:
            execute(f"INSERT INTO {table.base} SELECT {table.columns}, ? FROM {table.staged()}", [sequence])
            return
        delete = f"DELETE FROM {table.base} AS stored USING {table.staged()} AS staged WHERE {table.same_key('stored', 'staged')}"
        newest = max(self._points[table.name], default=-1)
        if self._covers(table, newest):
            # Deleting and returning is one pass; selecting the rows first doubled the time of a flush.
            gone = pl.DataFrame(self._writer.sql(f"{delete} RETURNING {self._returned(table)}"))
            needed = gone.filter(pl.col(table.sequence) <= newest)
            if needed.height:
                self._befores[table.number].frame = needed
                execute(f"INSERT INTO {table.undo} SELECT *, ? FROM temp.main.{quote(table.before)}", [sequence])
        else:
            execute(delete)
        execute(f"INSERT INTO {table.base} SELECT {table.columns}, ? FROM {table.staged()} WHERE NOT {quote(table.deleted)}", [sequence])

    def _covers(self, table: Table, point: int) -> bool:
        """Whether the table holds a row that the point may need; its statistics answer that without a scan."""
        return bool(self._writer.execute(f"SELECT 1 FROM {table.base} WHERE {quote(table.sequence)} <= ? LIMIT 1", [point]).fetchall())

    def _returned(self, table: Table) -> str:
        return ", ".join(f"stored.{quote(name)}" for name in (*table.schema.names(), table.sequence))

    def _go_back(self, table: Table, point: int) -> None:
        """Make the table what it was at a point, within the transaction."""
        execute, sequence, replaced = self._writer.execute, quote(table.sequence), quote(table.replaced)
        execute(f"DELETE FROM {table.base} WHERE {sequence} > ?", [point])
        if table.key is not None:
            alive = f"{sequence} <= ? AND {replaced} > ?"
            execute(f"INSERT INTO {table.base} SELECT {table.columns}, {sequence} FROM {table.undo} WHERE {alive}", [point, point])
            execute(f"DELETE FROM {table.undo} WHERE {replaced} > ?", [point])
        execute(f"DELETE FROM {CATALOG}._fluxline.points WHERE name = ? AND sequence > ?", [table.name, point])

    def _know(self, name: str, schema: TableSchema, key: tuple[str, ...] | None) -> Table:
        """Enter a table, and let the writing connection see its staged rows."""
        old = self.tables.get(name)
        if old is not None:
            del self._deltas[old.number]
            self._writer.unregister(old.delta)
            if self._befores.pop(old.number, None) is not None:
                self._writer.unregister(old.before)
        self._numbers += 1
        table = self.tables[name] = Table(name, schema, key, self._numbers)
        self._points[name] = []
        self._deltas[table.number] = Delta(table)
        self._writer.register(table.delta, self._deltas[table.number])
        if key is not None:
            before = pl.DataFrame(schema={**table.frame_schema, table.sequence: pl.Int64()})
            self._befores[table.number] = ArrowFrame(before)
            self._writer.register(table.before, self._befores[table.number])
        return table

    def _transact(self, work: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Do the work in one transaction; `then` runs when it is in and before a query can see it."""
        try:
            _make_private(_log(self.path))
            self._writer.execute("BEGIN TRANSACTION")
            try:
                work()
                with self.snapshots:
                    self._writer.execute("COMMIT")
                    then()
            except BaseException:
                with suppress(duckdb.Error):  # a COMMIT that failed has rolled back by itself
                    self._writer.execute("ROLLBACK")
                raise
        except (duckdb.Error, OSError) as error:
            raise storage_failure(error, self.path) from error

    def _number(self, sql: str) -> int:
        return int(self.connection.execute(sql).fetchall()[0][0])

    def _require_format(self) -> None:
        """Refuse a file that is no store of ours, or one of a later version."""
        known = self.connection.execute(
            f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{CATALOG}' AND schema_name = '_fluxline' AND table_name = 'store'"
        ).fetchall()
        if not known:
            raise ExternalError(
                "FLX-4603",
                f'"{self.path}" is not a table store of Fluxline',
                detail="It is a DuckDB database that something else made.",
                hint="Choose another path; a new store is made by itself.",
            )
        found = self._number(f"SELECT format FROM {CATALOG}._fluxline.store")
        if found > FORMAT:
            raise ExternalError(
                "FLX-4604",
                f'the table store "{self.path}" has format {found}, and this version of Fluxline reads up to {FORMAT}',
                hint="Use the version of Fluxline that wrote it, or a later one.",
            )


def _attach(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection in memory with the file attached, which can reach no other file from then on."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": f"{STORE_MEMORY_BYTES_MAX // MIB}MiB",
            "temp_directory": "",
            "wal_autocheckpoint": "1TB",  # `fold_log` does it where no query waits
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    try:
        connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS {CATALOG}{' (READ_ONLY)' if read_only else ''}")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # TIMESTAMP_LTZ is stored in UTC, and now() is compared with it
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise storage_failure(error, path) from error
    return connection


def _create(path: Path, clock: Clock) -> None:
    """Make an empty store aside and move it into place, so that a crash leaves none or a whole one, private from the start."""
    aside = path.with_name(path.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(mode=0o700)
        made = aside / path.name
        connection = _attach(made, read_only=False)
        try:
            for statement in _LAYOUT:
                connection.execute(statement)
            connection.execute(f"INSERT INTO {CATALOG}._fluxline.store VALUES (?, ?, 0)", [FORMAT, clock.now_ms()])
            connection.execute(f"CHECKPOINT {CATALOG}")
        finally:
            connection.close()
        made.chmod(0o600)
        made.replace(path)
        aside.rmdir()
        sync_directory(path.parent)
    except (duckdb.Error, OSError) as error:
        raise storage_failure(error, path) from error


_LAYOUT = (
    *(f"CREATE SCHEMA {CATALOG}.{name}" for name in ("_fluxline", "_base", "_undo")),
    f"CREATE TABLE {CATALOG}._fluxline.store (format INTEGER, created_at_ms BIGINT, sequence BIGINT)",
    f"CREATE TABLE {CATALOG}._fluxline.tables (name VARCHAR, columns VARCHAR, key VARCHAR, run_id VARCHAR, began BIGINT)",
    f"CREATE TABLE {CATALOG}._fluxline.points (name VARCHAR, sequence BIGINT)",
)


def _log(path: Path) -> Path:
    """DuckDB's log beside its file."""
    return path.with_name(path.name + ".wal")


def _make_private(log: Path) -> None:
    """Make DuckDB's log before DuckDB does, which would let everybody read it."""
    with suppress(FileExistsError):
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_directory(log.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
