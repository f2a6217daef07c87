"""Writing and reading one store: what is seen when, and by whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fluxline.clock import SystemClock
from fluxline.errors import ConfigError, InternalError, ResourceBusy
from fluxline.limits import STORE_FLUSH_MS
from fluxline.schema import BIGINT, Field, TableSchema
from fluxline.store.client import query
from fluxline.store.file import TableFile
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = "SELECT * FROM people ORDER BY ALL"


def stored(path: Path) -> list[tuple[object, ...]]:
    """The rows in the file of a store that is closed."""
    file = TableFile(path, read_only=True)
    try:
        return file.connection.execute("SELECT * FROM store.main.people ORDER BY ALL").fetchall()
    finally:
        file.close()


@pytest.mark.usefixtures("no_flush_by_itself")
def test_upserts_are_seen_at_once(store: Store) -> None:
    """Before and after the flush, and in between over flushed rows; the last row of a key wins."""
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    assert store.query(ALL).rows() == []
    store.write(people, batch([(1, "ann"), (2, "bob"), (1, "ann again")]))
    assert store.query(ALL).rows() == [(1, "ann again"), (2, "bob")]
    store.flush()
    assert store.query(ALL).rows() == [(1, "ann again"), (2, "bob")]
    store.write(people, batch([(2, "bea"), (3, "cat")]))
    store.write(people, batch([(3, "cid")]))
    assert store.query(ALL).rows() == [(1, "ann again"), (2, "bea"), (3, "cid")]
    store.flush()
    assert store.query(ALL).rows() == [(1, "ann again"), (2, "bea"), (3, "cid")]


@pytest.mark.usefixtures("no_flush_by_itself")
def test_row_kinds_insert_replace_and_delete(store: Store) -> None:
    """-U changes nothing, -D removes the key, and a row may come back; staged and flushed alike."""
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann"), (2, "bob"), (3, "cat")]))
    store.flush()
    store.write(people, batch([(1, "ann"), (1, "amy"), (2, "bob"), (9, "never there")], kinds="-U +U -D -D"))
    assert store.query(ALL).rows() == [(1, "amy"), (3, "cat")]
    store.write(people, batch([(3, "cat"), (3, "cleo"), (3, "cleo")], kinds="-D +I -D"))
    assert store.query(ALL).rows() == [(1, "amy")]
    store.write(people, batch([(2, "bob is back")], kinds="+I"))
    assert store.query(ALL).rows() == [(1, "amy"), (2, "bob is back")]
    store.flush()
    assert store.query(ALL).rows() == [(1, "amy"), (2, "bob is back")]
    store.write(people, batch([(2, "bob is back")], kinds="-U"))
    store.flush()
    assert store.query(ALL).rows() == [(1, "amy"), (2, "bob is back")]


@pytest.mark.usefixtures("no_flush_by_itself")
def test_without_a_key_rows_are_added(store: Store) -> None:
    """Equal rows too."""
    people = store.open_table("people", PEOPLE, None, run_id="run")
    store.write(people, batch([(1, "ann"), (1, "ann")]))
    store.flush()
    store.write(people, batch([(1, "ann"), (2, None)], kinds="+I +I"))
    assert store.query(ALL).rows() == [(1, "ann"), (1, "ann"), (1, "ann"), (2, None)]
    store.flush()
    assert store.query(ALL).rows() == [(1, "ann"), (1, "ann"), (1, "ann"), (2, None)]


@pytest.mark.usefixtures("no_flush_by_itself")
def test_a_key_of_two_columns_with_null(store: Store) -> None:
    """Both count, and NULL equals NULL."""
    schema = TableSchema(tuple(Field(name, BIGINT) for name in ("n", "a", "b")))
    pairs = store.open_table("pairs", schema, ("b", "a"), run_id="run")
    for flush in (False, True):
        store.write(pairs, batch([(1, 1, None), (2, None, 1), (3, 1, None), (4, None, None), (5, None, None)], schema=schema))
        if flush:
            store.flush()
        assert store.query("SELECT n FROM pairs ORDER BY n").rows() == [(2,), (3,), (5,)]


@pytest.mark.usefixtures("no_flush_by_itself")
def test_columns_of_a_batch_may_stand_in_another_order(store: Store) -> None:
    """Names decide."""
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([("ann", 1)], schema=TableSchema(PEOPLE.fields[::-1])))
    assert store.query(ALL).rows() == [(1, "ann")]


def test_staged_rows_reach_the_file_by_themselves(open_store: Callable[[], Store], path: Path) -> None:
    """Within the flush interval, without another write."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    never = threading.Event()
    count = "SELECT count(*) FROM store._base.people"
    for _ in range(100):
        if store.query(count).item() == 1:
            break
        never.wait(STORE_FLUSH_MS / 10_000)
    assert store.query(count).item() == 1
    assert store.query(ALL).rows() == [(1, "ann")]


def test_many_rows_are_flushed_before_the_interval_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """STORE_FLUSH_ROWS; and a writer far ahead of the file flushes itself."""
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_ROWS", 10)
    monkeypatch.setattr("fluxline.store.store.STORE_STAGED_FLUSHES_MAX", 1)
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(number, "x") for number in range(10)]))
    assert store.query("SELECT count(*) FROM store._base.people").item() == 10


def test_wide_rows_count_by_their_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of 2 KiB reaches a limit of 1 KiB."""
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_BYTES", 1024)
    monkeypatch.setattr("fluxline.store.store.STORE_STAGED_FLUSHES_MAX", 1)
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "x" * 2048)]))
    assert store.query("SELECT count(*) FROM store._base.people").item() == 1


@pytest.mark.usefixtures("no_flush_by_itself")
def test_closing_keeps_what_was_written(open_store: Callable[[], Store], path: Path) -> None:
    """Closing flushes; closing twice is closing once."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.close()
    store.close()
    assert stored(path) == [(1, "ann")]


def test_the_file_is_an_ordinary_database(open_store: Callable[[], Store], path: Path) -> None:
    """Its views show the tables without hidden columns under any name of the catalog."""
    import duckdb  # as another program would

    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.close()
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT * FROM people").fetchall() == [(1, "ann")]


@pytest.mark.parametrize("name", ["it's.duckdb", 'a "b" ü', "a&b=c#d%20e", "read_only", "a;b", "*.duckdb", "{a}"])
def test_a_path_is_only_a_path(tmp_path: Path, name: str) -> None:
    """Whatever it holds, and through a link to it."""
    path = tmp_path / name
    store = Store.open(path, clock=SystemClock())
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    (tmp_path / "link").symlink_to(path)
    assert query(tmp_path / "link", ALL).rows() == [(1, "ann")]
    store.close()
    assert query(tmp_path / "link", ALL).rows() == [(1, "ann")]
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([name, f"{name}.lock", "link"])


def test_a_path_with_a_question_mark_is_refused(tmp_path: Path) -> None:
    """DuckDB would put its log elsewhere; nothing is made."""
    with pytest.raises(ConfigError, match="a table store cannot be at") as caught:
        Store.open(tmp_path / "a?b" / "tables.duckdb", clock=SystemClock())
    assert caught.value.code == "FLX-4616"
    assert list(tmp_path.iterdir()) == []


def test_a_table_has_one_writer(store: Store) -> None:
    """Until it is released."""
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    with pytest.raises(ResourceBusy, match='table "people"') as caught:
        store.open_table("people", PEOPLE, ("id",), run_id="other")
    assert caught.value.code == "FLX-4609"
    store.release(people)
    store.release(people)
    store.open_table("people", PEOPLE, ("id",), run_id="other")


def test_fresh_drops_rows_and_shape(store: Store) -> None:
    """Flushed and staged ones."""
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.flush()
    store.write(people, batch([(2, "bob")]))
    store.release(people)
    schema = TableSchema((Field("name", BIGINT),))
    anew = store.open_table("people", schema, None, run_id="next", fresh=True)
    assert store.query(ALL).rows() == []
    store.write(anew, batch([(5,)], schema=schema))
    assert store.query(ALL).rows() == [(5,)]
    store.flush()
    assert store.query(ALL).rows() == [(5,)]


def test_threads_write_and_ask_at_the_same_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query sees a prefix of what each writer wrote, and never goes back."""
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_MS", 5)
    monkeypatch.setattr("fluxline.store.file.STORE_LOG_BYTES_MAX", 1)
    schema = TableSchema((Field("id", BIGINT), Field("round", BIGINT)))
    rounds, keys = 40, 50
    names = [f"t{number}" for number in range(2)]
    tables = [store.open_table(name, schema, ("id",), run_id="run") for name in names]
    log = store.open_table("log", schema, None, run_id="run")
    failures: list[BaseException] = []

    def write(number: int) -> None:
        for turn in range(rounds):
            store.write(tables[number], batch([(key, turn) for key in range(keys)], schema=schema))
            if number == 0:
                store.write(log, batch([(turn, turn)], schema=schema))

    def ask() -> None:
        last = dict.fromkeys(names, -1)
        seen = 0
        try:
            while min(last.values()) < rounds - 1 or seen < rounds:
                for name in names:
                    found = store.query(f"SELECT count(*), min(round), max(round) FROM {name}").row(0)
                    assert found in [(0, None, None), *((keys, turn, turn) for turn in range(max(0, last[name]), rounds))]
                    last[name] = found[1] if found[1] is not None else -1
                turns = store.query("SELECT round FROM log ORDER BY round").get_column("round").to_list()
                assert turns == list(range(len(turns)))
                assert len(turns) >= seen
                seen = len(turns)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)] + [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_the_log_is_folded_while_queries_hold_old_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long query must not let the log grow without end."""
    monkeypatch.setattr("fluxline.store.file.STORE_LOG_BYTES_MAX", 1)
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.flush()
    file = store._file
    holder = file.connection.cursor()
    holder.execute("BEGIN TRANSACTION READ ONLY")
    assert holder.execute("SELECT name FROM store._base.people").fetchall() == [("ann",)]
    for number in range(3):
        store.write(people, batch([(1, f"name {number}")]))
        store.flush()
    log = store.path.with_name(store.path.name + ".wal")
    assert not log.exists(), log.stat().st_size
    assert holder.execute("SELECT name FROM store._base.people").fetchall() == [("ann",)]
    holder.execute("ROLLBACK")
    assert store.query(ALL).rows() == [(1, "name 2")]


def test_a_failed_flush_is_told_to_the_next_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The background flush fails; what was staged stays visible; closing does not hide the first error."""

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError("of a test")

    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    monkeypatch.setattr(store._file, "apply", fail)
    monkeypatch.setattr("fluxline.store.store.STORE_FLUSH_MS", 1)
    store.write(people, batch([(1, "ann")]))
    store._thread.join(10)
    with pytest.raises(InternalError, match="a flush of the store") as caught:
        store.write(people, batch([(2, "bob")]))
    assert caught.value.code == "FLX-9602"
    assert "ZeroDivisionError: of a test" in caught.value.detail
    with pytest.raises(InternalError):
        store.flush()
    assert store.query(ALL).rows() == [(1, "ann")]
    store.close()
