"""Queries only read, only their store, and only so much; what is wrong with one is said in full sentences."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from fluxline.clock import VirtualClock
from fluxline.errors import DefinitionError, FluxlineError, NameNotFound, SQLSyntaxError, Throttled
from fluxline.limits import STORE_QUERIES_MAX, STORE_QUERY_MS_MAX, STORE_RESULT_ROWS_MAX
from fluxline.schema import BIGINT, Field, TableSchema, parse_type
from fluxline.store.client import query
from fluxline.store.failure import storage_failure
from fluxline.store.file import TableFile
from fluxline.store.query import Queries, _Reader
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch

if TYPE_CHECKING:
    from pathlib import Path


ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = 1"


@pytest.fixture
def people(store: Store) -> Store:
    """A store with one table of two rows, one of them flushed."""
    table = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(table, batch([(1, "ann")]))
    store.flush()
    store.write(table, batch([(2, "bob")]))
    return store


ALLOWED = [
    ("SELECT name FROM people ORDER BY id", [("ann",), ("bob",)]),
    ("FROM people ORDER BY id;", [(1, "ann"), (2, "bob")]),
    ("SELECT count(*) FROM main.people -- with a comment", [(2,)]),
    ("WITH one AS (SELECT 1 AS n) SELECT n + 1 FROM one", [(2,)]),
    ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    ("SHOW TABLES", [("people",)]),
    ("show all tables;", [("people",)]),
    ("PIVOT people ON name IN ('ann', 'bob') USING count(*)", [(1, 1, 0), (2, 0, 1)]),
]


@pytest.mark.parametrize(("sql", "rows"), ALLOWED)
def test_statements_that_read(people: Store, sql: str, rows: list[tuple[object, ...]]) -> None:
    """Each sees staged and flushed rows."""
    assert people.query(sql).rows() == rows


@pytest.mark.parametrize("sql", ["DESCRIBE people", "SHOW people", "DESCRIBE SELECT * FROM people"])
def test_statements_that_describe(people: Store, sql: str) -> None:
    """Columns and types, without the hidden one."""
    assert people.query(sql).select("column_name", "column_type").rows() == [("id", "BIGINT"), ("name", "VARCHAR")]


REFUSED = [
    ("", "FLX-2611", "the query has 0"),
    ("-- nothing", "FLX-2611", "the query has 0"),
    ("SELECT 1; SELECT 2", "FLX-2611", "the query has 2"),
    ("SELECT 1; DROP TABLE store._base.people", "FLX-2611", "the query has 2"),
    ("INSERT INTO store._base.people VALUES (3, 'x', 1)", "FLX-2612", "this is INSERT"),
    ("WITH a AS (SELECT 1) DELETE FROM store._base.people", "FLX-2612", "this is DELETE"),
    ("UPDATE store._base.people SET name = 'x'", "FLX-2612", "this is UPDATE"),
    ("DROP VIEW people", "FLX-2612", "this is DROP"),
    ("CREATE TABLE t AS SELECT 1", "FLX-2612", "this is CREATE"),
    ("COPY people TO '{outside}'", "FLX-2612", "this is COPY"),
    ("COPY (SELECT 1) TO '{outside}'", "FLX-2612", "this is COPY"),
    ("EXPORT DATABASE '{outside}'", "FLX-2612", "this is EXPORT"),
    ("ATTACH '{outside}'", "FLX-2612", "this is ATTACH"),
    ("INSTALL httpfs", "FLX-2612", "this is LOAD"),
    ("LOAD httpfs", "FLX-2612", "this is LOAD"),
    ("PRAGMA database_list", "FLX-2612", "this is PRAGMA"),
    ("SET threads = 8", "FLX-2612", "this is SET"),
    ("SET enable_external_access = true", "FLX-2612", "this is SET"),
    ("USE store", "FLX-2612", "this is SET"),
    ("CHECKPOINT store", "FLX-2612", "this is CALL"),
    ("BEGIN", "FLX-2612", "this is TRANSACTION"),
    ("EXPLAIN SELECT 1", "FLX-2612", "this is EXPLAIN"),
    ("PIVOT people ON name", "FLX-2612", "this is MULTI"),
    ("SELECT * FROM read_csv('/etc/passwd')", "FLX-2619", "reads the tables of its store"),
    ("SELECT * FROM read_text('/etc/passwd')", "FLX-2619", "reads the tables of its store"),
    ("SELECT * FROM glob('/*')", "FLX-2619", "reads the tables of its store"),
    ("SELECT * FROM read_parquet('https://example.org/x')", "FLX-2619", "reads the tables of its store"),
    ("SELECT * FROM '/etc/passwd'", "FLX-2613", 'no table "/etc/passwd"'),
    ("SELECT * FROM query('DROP VIEW people')", "FLX-2610", "is no SQL"),
    ("SELEC 1", "FLX-2610", "is no SQL"),
    ("SELECT nam FROM people", "FLX-2614", "cannot be run"),
    ("SELECT CAST(name AS INT) FROM people", "FLX-2614", "cannot be run"),
    ("SELECT nothing(1)", "FLX-2614", "cannot be run"),
]


@pytest.mark.parametrize(("sql", "code", "fact"), REFUSED)
def test_everything_else_is_refused(people: Store, tmp_path: Path, sql: str, code: str, fact: str) -> None:
    """And changes nothing, also for the queries behind it."""
    outside = tmp_path / "outside"
    with pytest.raises(DefinitionError) as caught:
        people.query(sql.replace("{outside}", str(outside)))
    assert caught.value.code == code, caught.value
    assert fact in caught.value.fact
    assert caught.value.detail
    assert "LINE 1" not in str(caught.value)
    assert not outside.exists()
    assert people.query("SELECT * FROM people ORDER BY id").rows() == [(1, "ann"), (2, "bob")]
    assert people.query("SELECT current_setting('enable_external_access')").item() is False


def test_a_transaction_of_a_query_cannot_write(people: Store) -> None:
    """Even a statement that came past the check would be stopped."""
    reader = _Reader(people._file)
    reader.begin(people.tables())
    with pytest.raises(Exception, match="read-only"):
        reader.cursor.execute("DELETE FROM store._base.people")


def test_no_python_object_is_a_table(people: Store) -> None:
    """DuckDB would find variables of the frames around it by name."""
    with pytest.raises(NameNotFound):
        people.query("SELECT * FROM frame")


def test_an_unknown_table_shows_the_known_ones(people: Store) -> None:
    """And the nearest."""
    people.open_table("orders", PEOPLE, None, run_id="run")
    with pytest.raises(NameNotFound) as caught:
        people.query("SELECT * FROM peple")
    assert caught.value.fact == 'no table "peple" in the store'
    assert caught.value.detail == 'It has "orders", "people".'
    assert caught.value.hint == 'Did you mean "people"?'


def test_a_store_without_tables_says_so(store: Store) -> None:
    """Instead of an empty list."""
    with pytest.raises(NameNotFound) as caught:
        store.query("SELECT * FROM people")
    assert caught.value.detail == "It has no tables yet."
    assert store.query("SHOW TABLES").rows() == []


def test_a_syntax_error_keeps_what_was_said(people: Store) -> None:
    """Without the place, which the reader sees himself."""
    with pytest.raises(SQLSyntaxError) as caught:
        people.query("SELECT name FROM people WHERE")
    assert caught.value.detail == 'syntax error at or near "WHERE".'


def test_a_limit_cuts_and_says_so(people: Store) -> None:
    """The order of the query is kept."""
    answer = people.answer("SELECT id FROM people ORDER BY id DESC", limit=1)
    assert (answer.frame.rows(), answer.truncated) == ([(2,)], True)
    answer = people.answer("SELECT id FROM people ORDER BY id DESC", limit=2)
    assert (answer.frame.rows(), answer.truncated) == ([(2,), (1,)], False)
    answer = people.answer("SELECT id FROM people", limit=0)
    assert (answer.frame.columns, answer.frame.height, answer.truncated) == (["id"], 0, True)


@pytest.mark.parametrize("limit", [-1, STORE_RESULT_ROWS_MAX + 1])
def test_a_limit_that_cannot_be(people: Store, limit: int) -> None:
    """Below nothing, above what an answer holds."""
    with pytest.raises(DefinitionError) as caught:
        people.query("SELECT 1", limit=limit)
    assert caught.value.code == "FLX-2617"


def test_an_answer_too_long_is_no_answer(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut rows without a word would be taken for all."""
    monkeypatch.setattr("fluxline.store.query.STORE_RESULT_ROWS_MAX", 1_000)
    assert people.query("SELECT * FROM range(1000)").height == 1_000
    with pytest.raises(DefinitionError, match="more than 1,000 rows") as caught:
        people.query("SELECT * FROM range(1001)")
    assert caught.value.code == "FLX-2615"


def test_an_answer_too_large_is_no_answer(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows may be wide."""
    monkeypatch.setattr("fluxline.store.query.STORE_RESULT_BYTES_MAX", 1_000)
    with pytest.raises(DefinitionError) as caught:
        people.query("SELECT repeat('x', 1001)")
    assert caught.value.code == "FLX-2616"


AS_TEXT = {
    "INTERVAL 90 MINUTE": "01:30:00",
    "[INTERVAL 1 DAY]": "[1 day]",
    "MAP {'a': INTERVAL 1 DAY}": "{a=1 day}",
    "'101'::BIT": "101",
    "'10:00:00+02'::TIMETZ": "10:00:00+02",
    "1::UHUGEINT": "1",
    "UNION_VALUE(k := 1)": "1",
}


def test_types_that_have_no_column_form_come_as_text(people: Store) -> None:
    """Intervals above all; the columns beside them stay as they are."""
    columns = ", ".join(f'{sql} AS "the {number}"' for number, sql in enumerate(AS_TEXT))
    frame = people.query(f"SELECT 1 AS one, {columns}, 2.5 AS two")
    assert frame.columns == ["one", *(f"the {number}" for number in range(len(AS_TEXT))), "two"]
    assert frame.row(0) == (1, *AS_TEXT.values(), Decimal("2.5"))


AS_THEY_ARE = [
    ("SUM(1)", Decimal(1)),
    ("NULL", None),
    ("{'INTERVAL': 1}", {"INTERVAL": 1}),
    ("[1, 2]::INT[2]", [1, 2]),
    ("MAP {'a': 1}", {"a": 1}),
    ("'a'::ENUM ('a', 'b')", "a"),
    ("'{}'::JSON", "{}"),
    ("TIMESTAMP_S '2026-01-01 00:00:00'", datetime.fromisoformat("2026-01-01T00:00:00")),
    ("TIMESTAMPTZ '2026-01-01 00:00:00+00'", datetime.fromisoformat("2026-01-01T00:00:00+00:00")),
    ("1::UTINYINT", 1),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
]


@pytest.mark.parametrize(("sql", "value"), AS_THEY_ARE)
def test_types_that_only_queries_make(people: Store, sql: str, value: object) -> None:
    """They come as what they are, through the socket too."""
    here, asked = people.query(f"SELECT {sql} AS x"), query(people.path, f"SELECT {sql} AS x")
    found = here.item()
    assert (list(found) if isinstance(found, pl.Series) else found) == value
    assert asked.equals(here)
    assert asked.schema == here.schema


def test_time_is_utc_wherever_the_machine_stands(path: Path) -> None:
    """A TIMESTAMP_LTZ holds UTC, and is compared with now() as that."""
    script = f"""
import sys
from pathlib import Path
from fluxline.clock import SystemClock
from fluxline.store.store import Store
store = Store.open(Path({str(path)!r}), clock=SystemClock())
print(store.query("SELECT CAST(TIMESTAMPTZ '2026-01-01 00:00:00+00' AS TIMESTAMP) = TIMESTAMP '2026-01-01 00:00:00'").item())
store.close()
"""
    done = subprocess.run([sys.executable, "-c", script], env={"TZ": "Asia/Tokyo"}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True"


def test_no_other_arrow_library_is_needed(path: Path) -> None:
    """The store stages, flushes and answers where it cannot be imported."""
    script = f"""
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from fluxline.clock import SystemClock
from fluxline.store.client import query
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch
store = Store.open(Path({str(path)!r}), clock=SystemClock())
table = store.open_table("people", PEOPLE, ("id",), run_id="run")
store.write(table, batch([(1, "ann")]))
store.mark(table)
store.write(table, batch([(1, "amy")]))
print(query(store.path, "SELECT name FROM people").item())
store.close()
print(query(store.path, "SELECT name FROM people").item())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["amy", "amy"], done.stderr


def test_an_overdue_query_is_stopped(path: Path) -> None:
    """By the clock that is handed in; the next query runs."""
    clock = VirtualClock(0)
    Store.open(path, clock=clock).close()
    file = TableFile(path, read_only=True)
    queries = Queries(file, None, clock)
    ticket = queries.ticket()
    stopped = threading.Event()

    def enforce() -> None:
        clock.advance(STORE_QUERY_MS_MAX)
        while not stopped.wait(0.01):
            queries.enforce()

    thread = threading.Timer(0.2, enforce)
    thread.start()
    with pytest.raises(DefinitionError, match="was stopped") as caught:
        queries.run(ENDLESS, limit=None, ticket=ticket)
    stopped.set()
    thread.join()
    assert caught.value.code == "FLX-2618"
    assert caught.value.detail == "It ran longer than 60 seconds."
    assert queries.run("SELECT 1", limit=None, ticket=queries.ticket()).frame.item() == 1
    queries.close()
    file.close()


def test_more_queries_wait_for_their_turn(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are sent away when it does not come."""
    monkeypatch.setattr("fluxline.store.query.STORE_QUERY_MS_MAX", 50)
    queries = people._queries
    for _ in range(STORE_QUERIES_MAX):
        assert queries._slots.acquire(timeout=1)
    with pytest.raises(Throttled) as caught:
        people.query("SELECT 1")
    assert caught.value.code == "FLX-4610"
    assert caught.value.retry
    for _ in range(STORE_QUERIES_MAX):
        queries._slots.release()
    assert people.query("SELECT 1").item() == 1


def test_a_query_may_not_take_all_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and the store works on."""
    monkeypatch.setattr("fluxline.store.file.STORE_MEMORY_BYTES_MAX", 32 * 1024 * 1024)
    monkeypatch.setattr("fluxline.store.query.STORE_MEMORY_BYTES_MAX", 32 * 1024 * 1024)
    store = Store.open(path, clock=VirtualClock(0))
    with pytest.raises(DefinitionError, match="more than 32 MiB of memory") as caught:
        store.query("SELECT count(DISTINCT range || 'some text to remember') FROM range(5000000)")
    assert caught.value.code == "FLX-2620"
    table = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(table, batch([(1, "ann")]))
    store.flush()
    assert store.query("SELECT name FROM people").item() == "ann"
    store.close()


def test_a_flush_that_lacks_memory_stops_the_queries(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is tried once more; the query is told why."""
    apply, calls = people._file.apply, []

    def apply_when_alone(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            error = duckdb.OutOfMemoryException("Out of Memory Error: of a test")
            raise storage_failure(error, people.path) from error
        apply(*arguments)  # type: ignore[arg-type]  # what it was called with

    told: list[FluxlineError] = []

    def ask() -> None:
        try:
            people.query(ENDLESS)
        except FluxlineError as error:
            told.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    while not people._queries._running:
        threading.Event().wait(0.01)
    monkeypatch.setattr(people._file, "apply", apply_when_alone)
    people.flush()
    asker.join(30)
    assert [error.detail for error in told] == ["The job needed the memory that it took."]
    assert people.query("SELECT count(*) FROM store._base.people").item() == 2


def test_a_table_made_anew_under_a_query(people: Store) -> None:
    """A query sees the table that was there when it began, rows and columns, to its end."""
    reader = _Reader(people._file)
    people._queries._begin(reader)
    people.release(people.tables()[0])
    anew = TableSchema((Field("n", BIGINT),))
    table = people.open_table("people", anew, None, run_id="next", fresh=True)
    people.write(table, batch([(7,)], schema=anew))
    assert reader.cursor.execute("SELECT name FROM people ORDER BY id").fetchall() == [("ann",), ("bob",)]
    assert people.query("SELECT * FROM people").rows() == [(7,)]
    reader.end()
    people._queries._begin(reader)
    assert reader.cursor.execute("SELECT * FROM people").fetchall() == [(7,)]


def test_many_threads_ask_at_once(people: Store) -> None:
    """More than may run together; each gets its own answer."""
    found: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            found.append(people.query(f"SELECT {number} FROM people LIMIT 1").item() - number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(STORE_QUERIES_MAX * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [0] * (20 * len(threads))


def test_a_snapshot_agrees_with_itself(store: Store) -> None:
    """A flush between two looks of one query at one table shows it nothing new."""
    schema = TableSchema((Field("id", BIGINT), Field("at", parse_type("TIMESTAMP(3)"))))
    table = store.open_table("t", schema, None, run_id="run")
    store.write(table, batch([(1, None)], schema=schema))
    reader = _Reader(store._file)
    reader.begin(store.tables())
    reader.show(store._entries())
    assert reader.cursor.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
    store.flush()
    store.write(table, batch([(2, None)], schema=schema))
    assert reader.cursor.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
    reader.end()
    assert store.query("SELECT count(*) FROM t").item() == 2
