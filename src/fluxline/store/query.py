"""Queries over the tables of a store: one SELECT, read-only, bounded, each on a snapshot that its rows agree with.

A query sees the file as of one flush and exactly the staged rows that this flush does not have. It runs on a connection
of its own, which can reach no other file, setting or extension; a few of them run at the same time, more wait.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import polars as pl

from fluxline.errors import DefinitionError, FluxlineError, NameNotFound, SQLSyntaxError, Throttled, did_you_mean
from fluxline.limits import (
    MIB,
    STORE_LOCK_POLL_MS,
    STORE_MEMORY_BYTES_MAX,
    STORE_QUERIES_MAX,
    STORE_QUERY_MS_MAX,
    STORE_RESULT_BYTES_MAX,
    STORE_RESULT_ROWS_MAX,
)
from fluxline.store.delta import Delta
from fluxline.store.failure import storage_failure
from fluxline.store.table import CATALOG, Table, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.store.delta import Entry
    from fluxline.store.file import TableFile


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and whether there were more than its limit."""

    frame: pl.DataFrame
    truncated: bool = False


_NOW = "\x01now"  # a name that no table may have
_Stop = Literal["overdue", "abandoned", "memory"]
_STOPPED = {
    "overdue": f"It ran longer than {STORE_QUERY_MS_MAX // 1000} seconds.",
    "abandoned": "Nobody waited for its answer any more, or the store was closed.",
    "memory": "The job needed the memory that it took.",
}


class Ticket:
    """One query that may be stopped by another thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.monotonic_ms() + STORE_QUERY_MS_MAX
        self._lock = Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.stopped: _Stop | None = None

    def runs_on(self, cursor: duckdb.DuckDBPyConnection | None) -> None:
        """The connection that runs the query now, or None when it has ended."""
        with self._lock:
            self._cursor = cursor

    def stop(self, why: _Stop) -> None:
        """Stop the query, now or when it begins; `enforce` sees to it."""
        self.stopped = self.stopped or why

    def enforce(self) -> None:
        """Interrupt a query that is to stop or overdue; called again and again, for it may be just about to run."""
        if self._clock.monotonic_ms() >= self._until:
            self.stop("overdue")
        if self.stopped:
            with self._lock:
                if self._cursor is not None:
                    self._cursor.interrupt()


class Queries:
    """Answers queries over one file and, in the process that writes it, over the staged rows.

    Args:
        file: the opened file.
        staged: what is staged for each table now, by number; None where nothing can be.
        clock: time.
    """

    def __init__(self, file: TableFile, staged: Callable[[], Mapping[int, Sequence[Entry]]] | None, clock: Clock) -> None:
        self._file = file
        self._staged = staged
        self._clock = clock
        self._connection = file.connection.cursor()
        self._slots = Semaphore(STORE_QUERIES_MAX)
        self._running: set[Ticket] = set()
        self._readers: list[_Reader] = []
        self._tables: dict[str, Table] = {}
        # A query that reads this fixes its snapshot of the views, as one of the file fixes that of the rows.
        self._connection.execute(f"CREATE TABLE memory.main.{quote(_NOW)} AS SELECT 1 AS now")
        for table in file.tables.values():
            self.show(table)

    def show(self, table: Table) -> None:
        """Let queries know a table, new or made anew; where queries run already, the file's `snapshots` are held."""
        select = table.live_view() if self._staged is not None else f"SELECT {table.columns} FROM {table.base}"
        # The view reads the staged rows by a name that every reader has of its own; to define it, this connection needs one too.
        self._connection.register(table.delta, Delta(table))
        self._connection.execute(f"CREATE OR REPLACE VIEW memory.main.{quote(table.name)} AS {select}")
        self._connection.unregister(table.delta)
        self._tables = {**self._tables, table.name: table}

    def ticket(self) -> Ticket:
        """The right to run one query, whose time begins now."""
        return Ticket(self._clock)

    def run(self, sql: str, *, limit: int | None, ticket: Ticket) -> Answer:
        """Run one query.

        Args:
            sql: one statement: SELECT, WITH, VALUES, FROM, DESCRIBE, SHOW or SUMMARIZE.
            limit: the most rows to return; None for all, up to STORE_RESULT_ROWS_MAX, and an error if there are more.
            ticket: lets others stop it.

        Raises:
            DefinitionError: FLX-2610 to FLX-2620, it is no such query, or it fails.
            ExternalError: FLX-4606, the file cannot be read.
            Throttled: FLX-4610, too many queries run.
        """
        if limit is not None and not 0 <= limit <= STORE_RESULT_ROWS_MAX:
            raise DefinitionError("FLX-2617", f"a limit of {limit} rows cannot be", detail=f"It is 0 to {STORE_RESULT_ROWS_MAX:,}.")
        if not self._slots.acquire(timeout=STORE_QUERY_MS_MAX / 1000):
            raise Throttled("FLX-4610", f"{STORE_QUERIES_MAX} queries are running already", hint="Try again later.")
        self._running.add(ticket)
        try:
            return self._run(sql, limit, ticket)
        finally:
            self._running.discard(ticket)
            self._slots.release()

    def enforce(self) -> None:
        """Interrupt the queries that are to stop or overdue."""
        for ticket in self._running.copy():
            ticket.enforce()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the queries that run, and let none begin: what they hold is needed."""
        for ticket in self._running.copy():
            ticket.stop("memory")
        taken = 0
        try:
            for _ in range(STORE_QUERIES_MAX):
                while not self._slots.acquire(timeout=STORE_LOCK_POLL_MS / 1000):
                    self.enforce()
                taken += 1
            yield
        finally:
            for _ in range(taken):
                self._slots.release()

    def close(self) -> None:
        """Let go of all connections."""
        while self._readers:
            self._readers.pop().cursor.close()
        self._connection.close()

    def _run(self, sql: str, limit: int | None, ticket: Ticket) -> Answer:
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = _Reader(self._file)
        try:
            statement = _only_statement(reader.cursor, sql)
            self._begin(reader)
            ticket.runs_on(reader.cursor)
            try:
                answer = _fetch(reader.cursor, statement, limit)
            finally:
                ticket.runs_on(None)
            reader.end()
        except BaseException as error:
            with suppress(duckdb.Error):
                reader.cursor.close()  # its transaction ends with it; what else it holds is not known
            if not isinstance(error, duckdb.Error):
                raise
            raise _failure(error, self._tables, ticket, self._file.path) from None
        self._readers.append(reader)
        return answer

    def _begin(self, reader: _Reader) -> None:
        """Choose what a query sees: tables, rows of the file and staged rows of one moment."""
        if self._staged is None:
            reader.cursor.execute("BEGIN TRANSACTION READ ONLY")
            return
        with self._file.snapshots:
            reader.begin(self._tables.values())
            entries = self._staged()
        reader.show(entries)


class _Reader:
    """A connection that runs one query after another."""

    def __init__(self, file: TableFile) -> None:
        self.cursor = file.connection.cursor()
        self._deltas: dict[int, Delta] = {}

    def begin(self, tables: Iterable[Table]) -> None:
        """Begin the transaction of the next query, with its snapshot of the file and of the views."""
        for table in tables:
            if table.number not in self._deltas:
                self._deltas[table.number] = Delta(table)
                self.cursor.register(table.delta, self._deltas[table.number])
        self.cursor.execute("BEGIN TRANSACTION READ ONLY")
        self.cursor.execute(f"SELECT 1 FROM {CATALOG}._fluxline.store, memory.main.{quote(_NOW)}").fetchall()

    def show(self, entries: Mapping[int, Sequence[Entry]]) -> None:
        """Let the query see these staged rows, by the numbers of their tables."""
        for number, delta in self._deltas.items():
            delta.show(entries.get(number, ()))

    def end(self) -> None:
        """Let go of the snapshot."""
        self.cursor.execute("ROLLBACK")
        self.show({})


_LISTING = re.compile(r"\s*SHOW\s+(ALL\s+)?TABLES\s*;?\s*", re.IGNORECASE)
_NESTED = ("array", "list", "map", "struct")
# What Polars takes from Arrow as it is; a column of another type, or with one inside, comes as text.
_PLAIN = {
    "bigint", "blob", "boolean", "date", "decimal", "double", "enum", "float", "hugeint", "integer", "json", "null", '"null"', "smallint", "time",
    "time_ns", "timestamp", "timestamp with time zone", "timestamp_ms", "timestamp_ns", "timestamp_s", "tinyint", "ubigint", "uinteger",
    "usmallint", "utinyint", "uuid", "varchar",
}  # fmt: skip
_MISSING_TABLE = re.compile(r"Table with name (.+?) does not exist!", re.DOTALL)


def _only_statement(cursor: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one statement of a text, which must be one that only reads.

    Raises:
        DefinitionError: FLX-2611 it is not one statement; FLX-2612 it is of another kind.
    """
    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise DefinitionError(
            "FLX-2611",
            f"one statement is needed, and the query has {len(statements)}",
            detail="A query of the table store is a single SELECT, WITH, VALUES, DESCRIBE or SHOW.",
            hint="Send them one by one." if statements else "Write a SELECT.",
        )
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise DefinitionError(
            "FLX-2612",
            f"queries only read, and this is {kind}",
            detail="A query of the table store is a single SELECT, WITH, VALUES, DESCRIBE or SHOW; tables are written by pipelines.",
            hint="PIVOT needs its values written out: PIVOT ... ON column IN (...)." if kind == "MULTI" else "",
        )
    if _LISTING.fullmatch(sql):
        return "SELECT view_name AS name FROM duckdb_views() WHERE database_name = 'memory' AND NOT internal ORDER BY name"
    return sql


def _fetch(cursor: duckdb.DuckDBPyConnection, sql: str, limit: int | None) -> Answer:
    """The rows of one statement, at most as many as the limit says."""
    rows_max = STORE_RESULT_ROWS_MAX if limit is None else limit
    relation = cursor.sql(sql)
    plain = [_comes_as_it_is(kind) for kind in relation.types]
    if not all(plain):
        shown = [
            f"#{index} AS {quote(name)}" if as_it_is else f"CAST(#{index} AS VARCHAR) AS {quote(name)}"
            for index, (name, as_it_is) in enumerate(zip(relation.columns, plain, strict=True), 1)
        ]
        relation = relation.project(", ".join(shown))
    frame = pl.DataFrame(relation.limit(rows_max + 1))
    del relation
    truncated = frame.height > rows_max
    if truncated and limit is None:
        raise DefinitionError(
            "FLX-2615",
            f"the answer has more than {rows_max:,} rows",
            hint="Ask for fewer: aggregate, filter, or set a limit.",
        )
    frame = frame.head(rows_max)
    if frame.estimated_size() > STORE_RESULT_BYTES_MAX:
        raise DefinitionError(
            "FLX-2616",
            f"the answer is larger than {STORE_RESULT_BYTES_MAX // MIB} MiB",
            hint="Ask for fewer rows or columns: aggregate, filter, or set a limit.",
        )
    return Answer(frame, truncated)


def _comes_as_it_is(kind: Any) -> bool:
    """Whether Polars has a type for a DuckDB type."""
    if kind.id not in _NESTED:
        return kind.id in _PLAIN
    return all(_comes_as_it_is(child) for name, child in kind.children if name != "size" or kind.id != "array")


def _failure(error: duckdb.Error, tables: Mapping[str, Table], ticket: Ticket, path: Path) -> FluxlineError:
    """What DuckDB says of a query, as one of our errors."""
    text = str(error).split("\n\nLINE")[0].strip()
    kind, _, said = text.partition(": ")
    detail = " ".join((said if kind.endswith("Error") else text).split())
    if isinstance(error, duckdb.InterruptException):
        return DefinitionError("FLX-2618", "the query was stopped", detail=_STOPPED.get(ticket.stopped or "", ""), hint="Ask for less at a time.")
    if isinstance(error, duckdb.ParserException):
        return SQLSyntaxError("FLX-2610", "the query is no SQL", detail=f"{detail}.", hint="")
    missing = _MISSING_TABLE.search(text)
    if isinstance(error, duckdb.CatalogException) and missing is not None:
        name = missing.group(1)
        listed = ", ".join(f'"{table}"' for table in sorted(tables))
        return NameNotFound(
            "FLX-2613",
            f'no table "{name}" in the store',
            detail=f"It has {listed}." if listed else "It has no tables yet.",
            hint=did_you_mean(name, tables),
        )
    if isinstance(error, duckdb.PermissionException):
        return DefinitionError("FLX-2619", "a query reads the tables of its store and nothing else", detail=f"{detail}.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return DefinitionError(
            "FLX-2620",
            f"the query needs more than {STORE_MEMORY_BYTES_MAX // MIB} MiB of memory",
            hint="Ask for less at a time: aggregate or filter first.",
        )
    if isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException):
        return storage_failure(error, path)
    return DefinitionError("FLX-2614", "the query cannot be run", detail=detail if detail.endswith((".", "!", "?")) else f"{detail}.")
