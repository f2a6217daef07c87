"""The store of the process that owns the file: writers stage rows, queries see them at once, one thread brings them in.

    write -> staged (memory) -> flush, at most STORE_FLUSH_MS later -> file (one transaction, written through)

- A row that was written is visible to the next query. A row that was flushed survives a crash; `flush` and `mark` return
  when everything written before is in.
- Any number of threads write and ask at the same time. One flush runs at a time.
- The flush interval is real time even where the engine's clock is virtual: when staged rows move to the disk has no
  effect on what anybody sees.
"""

from __future__ import annotations

from threading import Event, Lock, RLock, Thread
from typing import TYPE_CHECKING

import duckdb

from fluxline.errors import ConfigError, ExternalError, FluxlineError, InternalError, ResourceBusy
from fluxline.limits import STORE_FLUSH_BYTES, STORE_FLUSH_MS, STORE_FLUSH_ROWS, STORE_STAGED_FLUSHES_MAX
from fluxline.store.delta import Staged, entry_of
from fluxline.store.failure import storage_failure
from fluxline.store.file import TableFile
from fluxline.store.lock import StoreLock
from fluxline.store.query import Answer, Queries
from fluxline.store.server import QueryServer
from fluxline.store.table import Table, require_storable

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from fluxline.batch import Batch
    from fluxline.clock import Clock
    from fluxline.schema import TableSchema
    from fluxline.store.delta import Entry


class Store:
    """An opened store; made by `Store.open`."""

    def __init__(self, path: Path, lock: StoreLock, file: TableFile, clock: Clock) -> None:
        self.path = path
        self._lock = lock
        self._file = file
        self._changing = RLock()
        """Held while the file changes: a flush, a new table, a point."""
        self._staging = Lock()
        """Held for the moment in which staged rows are added, taken or listed."""
        self._staged = {table.number: Staged(table) for table in file.tables.values()}
        self._rows = 0
        self._bytes = 0
        self._written: set[str] = set()
        self._due = Event()
        self._urgent = Event()
        self._closed = False
        self._failure: FluxlineError | None = None
        self._queries = Queries(file, self._entries, clock)
        self._server = QueryServer(path, self._queries)
        self._thread = Thread(target=self._flush_in_time, name="store-flush", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> Store:
        """Open a store for writing, made anew if there is none.

        Args:
            path: its file; missing directories are made, for this user alone.
            clock: time.

        Raises:
            ConfigError: FLX-4616, its path cannot be.
            ResourceBusy: FLX-4601, another process holds it.
            ExternalError: FLX-4603 to FLX-4606 and FLX-4614, it cannot be opened.
        """
        path = path.resolve()  # by whatever name it is asked for, its lock and address stand in one place
        if "?" in str(path):
            raise ConfigError(
                "FLX-4616",
                f'a table store cannot be at "{path}"',
                detail="DuckDB takes what follows a question mark in a path for something else.",
                hint="Choose a path without question marks.",
            )
        try:
            _make_directories(path.parent)
        except OSError as error:
            raise storage_failure(error, path) from error
        lock = StoreLock.take(path, writes=True, clock=clock)
        try:
            file = TableFile.open(path, clock=clock)
            try:
                return cls(path, lock, file, clock)
            except BaseException:
                file.close()
                raise
        except BaseException:
            lock.release()
            raise

    def open_table(
        self, name: str, schema: TableSchema, key: tuple[str, ...] | None, *, run_id: str, point: int | None = None, fresh: bool = False
    ) -> Table:
        """Take a table for writing, made if it does not exist; `release` lets go of it.

        Args:
            name: its name.
            schema: its columns; hidden ones are left out.
            key: the columns that identify a row, so that writes replace and delete; None for a table that only grows.
            run_id: whose rows they are. A table that this run wrote before goes back to where it began; one of another
                run keeps its rows.
            point: what `mark` returned at the stop that the run continues from; the table goes back to it.
            fresh: drop what is there and begin with an empty table.

        Raises:
            ConfigError: FLX-4607, it has another shape; FLX-4608, another name differs only in case.
            ResourceBusy: FLX-4609, it is taken.
            RecoveryError: FLX-5601, it cannot go back so far.
        """
        schema = schema.visible()
        require_storable(name, schema, key)
        with self._changing:
            self.flush()  # what an earlier writer of the table left; going back must not leave it staged
            if name in self._written:
                raise ResourceBusy(
                    "FLX-4609",
                    f'table "{name}" in the store "{self.path}" is written by another sink',
                    detail="A table has one writer at a time.",
                    hint="Give one of the two sinks another name.",
                )
            known = self._file.tables.get(name)
            if known is None:
                self._require_distinct(name)
            if point is not None and not fresh:
                self._file.require_point(name, point)
            made = known is None or fresh
            table = self._file.create(name, schema, key, self._created) if made else self._file.require_same(name, schema, key)
            self._file.begin_run(table, run_id, None if fresh else point)
            self._written.add(name)
            return table

    def write(self, table: Table, batch: Batch) -> None:
        """Stage a batch: with a key its rows replace and delete, without one they are added.

        Raises:
            FluxlineError: what stopped an earlier flush, such as a full disk.
        """
        assert not self._closed, f'the store "{self.path}" is closed'
        self._require_sound()
        entry = entry_of(table, batch)
        if entry is None:
            return
        with self._staging:
            self._staged[table.number].add(entry)
            self._rows += batch.rows
            self._bytes += batch.nbytes()
            flushes = max(self._rows / STORE_FLUSH_ROWS, self._bytes / STORE_FLUSH_BYTES)
        self._due.set()
        if flushes >= 1:
            self._urgent.set()
        if flushes >= STORE_STAGED_FLUSHES_MAX:
            self.flush()

    def flush(self) -> None:
        """Bring all staged rows into the file; returns when they are durable.

        Raises:
            FluxlineError: the file cannot take them; the store stays open for queries and takes no more rows.
        """
        with self._changing:
            self._require_sound()
            with self._staging:
                changes = [(staged.table, staged.take()) for staged in self._staged.values()]
                self._rows = self._bytes = 0
            changes = [(table, entries) for table, entries in changes if entries]
            if not changes:
                return
            try:
                self._apply(changes)
                self._file.fold_log()
            except FluxlineError as error:
                self._failure = error
                raise
            except Exception as error:
                self._failure = InternalError("FLX-9602", f'a flush of the store "{self.path}" failed', detail=f"{type(error).__name__}: {error}")
                raise self._failure from error

    def mark(self, table: Table) -> int:
        """Flush, and return the point to which the table can be brought back: durable, and final once settled."""
        with self._changing:
            self.flush()
            return self._file.mark(table)

    def settle(self, table: Table, point: int) -> None:
        """The stop that holds this point is complete: what only earlier ones need may be forgotten. Twice equals once."""
        with self._changing:
            self._require_sound()
            self._file.settle(table, point)

    def release(self, table: Table) -> None:
        """Let go of a table; may be called twice."""
        with self._changing:
            self._written.discard(table.name)

    def query(self, sql: str, *, limit: int | None = None) -> pl.DataFrame:
        """The rows of one SELECT over the tables, staged rows included; see `Queries.run`."""
        return self.answer(sql, limit=limit).frame

    def answer(self, sql: str, *, limit: int | None = None) -> Answer:
        """As `query`, and whether there were more rows than the limit."""
        return self._queries.run(sql, limit=limit, ticket=self._queries.ticket())

    def tables(self) -> tuple[Table, ...]:
        """All tables, by name."""
        return tuple(self._file.tables[name] for name in sorted(self._file.tables))

    def close(self) -> None:
        """Flush what can be flushed and let go of the file; may be called twice.

        A flush that fails here is not told: who needs the rows to be safe has called `flush` or `mark`.
        """
        if self._closed:
            return
        self._closed = True
        self._due.set()
        self._urgent.set()
        self._thread.join()
        try:
            if self._failure is None:
                self.flush()
        except FluxlineError:
            pass
        finally:
            self._server.close()
            self._queries.close()
            self._file.close()
            self._lock.release()

    def _created(self, table: Table) -> None:
        """Take a table that was made, or made anew, among those that are written and queried."""
        with self._staging:
            self._staged = {number: staged for number, staged in self._staged.items() if staged.table.name != table.name}
            self._staged[table.number] = Staged(table)
        self._queries.show(table)

    def _apply(self, changes: list[tuple[Table, list[Entry]]]) -> None:
        """Bring the rows in; where queries have taken the memory, they have to give way."""
        try:
            self._file.apply(changes, self._done)
        except ExternalError as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise
            with self._queries.stopped():
                self._file.apply(changes, self._done)

    def _flush_in_time(self) -> None:
        """Flush a while after the first staged row, or as soon as there are many."""
        while not self._closed and self._failure is None:
            self._due.wait()
            self._urgent.wait(STORE_FLUSH_MS / 1000)
            self._due.clear()
            self._urgent.clear()
            try:
                self.flush()
            except Exception:  # kept in `_failure`; the next write raises it
                return

    def _done(self) -> None:
        with self._staging:
            for staged in self._staged.values():
                staged.done()

    def _entries(self) -> dict[int, list[Entry]]:
        with self._staging:
            return {number: staged.entries() for number, staged in self._staged.items()}

    def _require_sound(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _require_distinct(self, name: str) -> None:
        for other in self._file.tables:
            if other.lower() == name.lower():
                raise ConfigError(
                    "FLX-4608",
                    f'tables "{other}" and "{name}" of the store "{self.path}" differ only in the case of their letters',
                    detail="The table store's SQL takes them for one name.",
                    hint="Rename the sink, or give it another store.",
                )


def _make_directories(directory: Path) -> None:
    """Make missing directories, each for this user alone."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
