"""The sink connector `store`: tables by the sinks' names, one store for all sinks of a path, exactly-once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluxline.clock import SystemClock
from fluxline.connectors.base import SinkContext
from fluxline.connectors.store import CONNECTOR, StoreSink
from fluxline.errors import ConfigError, NameNotFound, RecoveryError, ResourceBusy
from fluxline.options import read_options
from fluxline.schema import BIGINT, Field, TableSchema
from fluxline.store import shared
from fluxline.store.client import query
from tests.store.conftest import PEOPLE, batch

if TYPE_CHECKING:
    from fluxline.connectors.base import SinkWriter

ALL = "SELECT * FROM people ORDER BY ALL"
Open = Callable[..., "SinkWriter"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the options of `context` put the store."""
    return tmp_path / "stores" / "tables.duckdb"


def context(
    directory: Path,
    *,
    name: str = "people",
    key: tuple[str, ...] | None = ("id",),
    schema: TableSchema = PEOPLE,
    run_id: str = "run",
    receipt: Mapping[str, object] | None = None,
    fresh: bool = False,
) -> SinkContext:
    """What the engine opens the sink with."""
    options = read_options(CONNECTOR.options, {"path": "stores/tables.duckdb"}, of='connector "store"')
    return SinkContext(
        name, options, schema, key, updating=key is not None, directory=directory, clock=SystemClock(), run_id=run_id, receipt=receipt, fresh=fresh
    )


@pytest.fixture
def open_sink(tmp_path: Path) -> Iterator[Open]:
    """Opens sinks; what is still open at the end is closed."""
    opened: list[SinkWriter] = []

    def open_one(**given: object) -> SinkWriter:
        assert CONNECTOR.sink is not None
        opened.append(CONNECTOR.sink(context(tmp_path, **given)))  # type: ignore[arg-type]  # as `context` declares them
        return opened[-1]

    yield open_one
    for sink in opened:
        sink.close()


def crash(sink: SinkWriter) -> None:
    """End without a stop, rows flushed."""
    assert isinstance(sink, StoreSink)
    sink._store.flush()
    sink.close()


def test_what_the_connector_says_of_itself() -> None:
    """The planner decides by it."""
    assert (CONNECTOR.name, CONNECTOR.source, CONNECTOR.takes_format, CONNECTOR.upserts) == ("store", None, False, True)
    assert (CONNECTOR.appends_guarantee, CONNECTOR.upserts_guarantee) == ("exactly_once", "exactly_once")
    with pytest.raises(ConfigError, match='needs the option "path"'):
        read_options(CONNECTOR.options, {}, of='connector "store"')
    with pytest.raises(NameNotFound):
        read_options(CONNECTOR.options, {"path": "x", "pth": "y"}, of='connector "store"')


def test_rows_are_seen_at_once(open_sink: Open, path: Path) -> None:
    """By queries of other processes; every row is acknowledged, -U too."""
    sink = open_sink()
    written = sink.write(batch([(1, "ann"), (1, "ann"), (1, "amy"), (2, "bob")], kinds="+I -U +U +I"), None)
    assert (written.acknowledged, written.rejects) == (4, ())
    sink.flush()
    assert query(path, ALL).rows() == [(1, "amy"), (2, "bob")]


@pytest.mark.parametrize("key", [None, ("id",)], ids=["append", "upsert"])
def test_a_crash_behind_a_stop_is_taken_back(open_sink: Open, path: Path, key: tuple[str, ...] | None) -> None:
    """The replay writes the rows once more, and they are there once."""
    sink = open_sink(key=key)
    sink.write(batch([(1, "ann"), (2, "bob")]), None)
    receipt = sink.prepare(1)
    sink.commit(receipt)
    sink.commit(receipt)
    sink.write(batch([(2, "bea"), (3, "cat")]), None)
    wanted = query(path, ALL).rows()
    crash(sink)
    for _ in range(2):
        sink = open_sink(key=key, receipt=receipt)
        assert query(path, ALL).rows() == [(1, "ann"), (2, "bob")]
        sink.write(batch([(2, "bea"), (3, "cat")]), None)
        assert query(path, ALL).rows() == wanted
        crash(sink)


@pytest.mark.parametrize("key", [None, ("id",)], ids=["append", "upsert"])
def test_a_crash_before_the_first_stop_is_taken_back(open_sink: Open, path: Path, key: tuple[str, ...] | None) -> None:
    """The run begins again where it began: behind the rows of another run."""
    before = open_sink(key=key, run_id="other")
    before.write(batch([(1, "ann")]), None)
    before.commit(before.prepare(1))
    before.close()
    for _ in range(2):
        sink = open_sink(key=key)
        assert query(path, ALL).rows() == [(1, "ann")]
        sink.write(batch([(1, "amy"), (2, "bob")]), None)
        crash(sink)


@pytest.mark.parametrize("committed", [False, True])
def test_a_crash_between_prepare_and_commit(open_sink: Open, path: Path, committed: bool) -> None:
    """The stop holds if the engine kept its receipt, and does not if it did not."""
    sink = open_sink()
    sink.write(batch([(1, "ann")]), None)
    first = sink.prepare(1)
    sink.commit(first)
    sink.write(batch([(1, "amy"), (2, "bob")]), None)
    second = sink.prepare(2)
    crash(sink)
    sink = open_sink(receipt=second if committed else first)
    if committed:
        sink.commit(second)
    assert query(path, ALL).rows() == ([(1, "amy"), (2, "bob")] if committed else [(1, "ann")])


def test_a_receipt_is_plain_json(open_sink: Open) -> None:
    """The engine writes it down and reads it back."""
    import json

    sink = open_sink()
    receipt = sink.prepare(1)
    assert json.loads(json.dumps(receipt)) == receipt


@pytest.mark.parametrize("receipt", [{}, {"table": "people"}, {"table": "people", "flush": "3"}, {"table": "orders", "flush": 0}, {"offset": 12}])
def test_a_receipt_of_something_else_is_refused(open_sink: Open, receipt: dict[str, object]) -> None:
    """The binding was changed since the stop."""
    with pytest.raises(RecoveryError) as caught:
        open_sink(receipt=receipt)
    assert caught.value.code == "FLX-5602"


def test_a_store_that_is_gone_is_not_taken_for_an_empty_one(open_sink: Open, path: Path) -> None:
    """A run that continues would go on with rows missing."""
    sink = open_sink()
    sink.write(batch([(1, "ann")]), None)
    receipt = sink.prepare(1)
    sink.close()
    path.unlink()
    with pytest.raises(RecoveryError) as caught:
        open_sink(receipt=receipt)
    assert caught.value.code == "FLX-5601"
    open_sink(receipt=receipt, fresh=True)
    assert query(path, ALL).rows() == []


def test_sinks_of_one_path_share_a_store(open_sink: Open, path: Path) -> None:
    """The last to leave closes it."""
    people, pets = open_sink(), open_sink(name="pets", key=None)
    people.write(batch([(1, "ann")]), None)
    pets.write(batch([(1, "rex")]), None)
    assert query(path, "SELECT people.name, pets.name FROM people JOIN pets USING (id)").rows() == [("ann", "rex")]
    people.close()
    people.close()
    pets.write(batch([(2, "tom")]), None)
    assert query(path, "SELECT count(*) FROM pets").item() == 2
    assert len(shared._open) == 1
    pets.close()
    assert shared._open == {}
    assert not path.with_name("tables.duckdb.server").exists()
    assert query(path, "SELECT count(*) FROM pets").item() == 2


def test_one_path_by_another_name_is_the_same_store(tmp_path: Path, open_sink: Open) -> None:
    """A link to the directory, and steps up and down."""
    sink = open_sink()
    (tmp_path / "link").symlink_to(tmp_path / "stores")
    store = shared.acquire(tmp_path / "link" / ".." / "stores" / "tables.duckdb", clock=SystemClock())
    assert isinstance(sink, StoreSink)
    assert store is sink._store
    shared.release(store)


def test_two_sinks_cannot_write_one_table(open_sink: Open, path: Path) -> None:
    """The refused one leaves the other alone."""
    sink = open_sink()
    with pytest.raises(ResourceBusy):
        open_sink(run_id="another pipeline")
    sink.write(batch([(1, "ann")]), None)
    assert query(path, ALL).height == 1
    sink.close()
    assert shared._open == {}


def test_another_shape_is_refused_and_fresh_clears_it(open_sink: Open, tmp_path: Path, path: Path) -> None:
    """The refused sink leaves no store open."""
    sink = open_sink()
    sink.write(batch([(1, "ann"), (2, "bob")]), None)
    sink.close()
    schema = TableSchema((Field("id", BIGINT),))
    with pytest.raises(ConfigError) as caught:
        open_sink(schema=schema)
    assert caught.value.code == "FLX-4607"
    assert shared._open == {}
    assert CONNECTOR.clears(context(tmp_path)) == ('table "people" of stores/tables.duckdb: 2 rows',)
    open_sink(schema=schema, fresh=True, run_id="next")
    assert query(path, ALL).columns == ["id"]


def test_what_fresh_clears(open_sink: Open, tmp_path: Path, path: Path) -> None:
    """Nothing without a store or without the table; also while the store is open."""
    assert CONNECTOR.clears(context(tmp_path)) == ()
    assert not path.exists()
    sink = open_sink(name='odd "name"')
    sink.write(batch([(number, "x") for number in range(1234)]), None)
    assert CONNECTOR.clears(context(tmp_path)) == ()
    assert CONNECTOR.clears(context(tmp_path, name='odd "name"')) == ('table "odd "name"" of stores/tables.duckdb: 1,234 rows',)
    sink.close()
    path.write_bytes(b"no store")
    assert CONNECTOR.clears(context(tmp_path)) == ('table "people" of stores/tables.duckdb',)
