"""Stops and crashes: a table goes back to the stop that the run continues from, whatever was written after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxline.errors import RecoveryError
from fluxline.limits import STOPS_KEPT
from tests.store.conftest import PEOPLE, batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.store.store import Store

ALL = "SELECT * FROM people ORDER BY ALL"
BOTH = pytest.mark.parametrize("key", [None, ("id",)], ids=["append", "upsert"])


@BOTH
def test_a_run_continues_from_its_stop(open_store: Callable[[], Store], key: tuple[str, ...] | None) -> None:
    """Rows behind the stop go, replaced and deleted ones come back; the replay then writes them once."""
    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="run")
    store.write(people, batch([(1, "ann"), (2, "bob"), (3, "cat")]))
    point = store.mark(people)
    store.settle(people, point)
    at_stop = store.query(ALL).rows()
    store.write(people, batch([(4, "dan"), (1, "amy")]))
    store.flush()
    if key is not None:
        store.write(people, batch([(2, "bob"), (4, "dan"), (1, "ada")], kinds="-D -D +U"))
    store.flush()
    assert store.query(ALL).rows() != at_stop
    store.close()

    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="run", point=point)
    assert store.query(ALL).rows() == at_stop
    store.write(people, batch([(4, "dan"), (1, "amy")]))
    wanted = [(1, "amy"), (2, "bob"), (3, "cat"), (4, "dan")] if key else [(1, "amy"), (1, "ann"), (2, "bob"), (3, "cat"), (4, "dan")]
    assert store.query(ALL).rows() == wanted


@BOTH
def test_a_run_that_never_stopped_begins_again(open_store: Callable[[], Store], key: tuple[str, ...] | None) -> None:
    """What it wrote goes; what another run had written before stays."""
    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="first")
    store.write(people, batch([(1, "ann")]))
    store.close()
    for name in ("amy", "ada"):
        store = open_store()
        people = store.open_table("people", PEOPLE, key, run_id="second")
        assert store.query(ALL).rows() == [(1, "ann")]
        store.write(people, batch([(1, name), (2, "bob")]))
        store.flush()
        store.close()
    store = open_store()
    store.open_table("people", PEOPLE, key, run_id="third")
    assert store.query(ALL).rows() == ([(1, "ada"), (2, "bob")] if key else [(1, "ada"), (1, "ann"), (2, "bob")])


@BOTH
def test_a_stop_that_was_not_completed_is_not_final(open_store: Callable[[], Store], key: tuple[str, ...] | None) -> None:
    """Prepared and not committed: the run may continue from either."""
    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="run")
    store.write(people, batch([(1, "ann")]))
    first = store.mark(people)
    store.settle(people, first)
    store.write(people, batch([(2, "bob")]))
    second = store.mark(people)
    store.write(people, batch([(1, "amy"), (2, "bea")]))
    store.close()
    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="run", point=second)
    assert store.query(ALL).rows() == [(1, "ann"), (2, "bob")]
    store.close()
    store = open_store()
    people = store.open_table("people", PEOPLE, key, run_id="run", point=first)
    assert store.query(ALL).rows() == [(1, "ann")]
    store.release(people)
    with pytest.raises(RecoveryError):  # its rows are gone since the table went back behind it
        store.open_table("people", PEOPLE, key, run_id="run", point=second)


def test_a_point_that_the_store_has_not_reached_is_refused(open_store: Callable[[], Store]) -> None:
    """The store was replaced by an older one, or by a new one; nothing is made of it."""
    store = open_store()
    with pytest.raises(RecoveryError, match="cannot go back") as caught:
        store.open_table("people", PEOPLE, None, run_id="run", point=5)
    assert caught.value.code == "FLX-5601"
    assert caught.value.detail.endswith("has no such table.")
    assert "--fresh" in caught.value.hint
    assert store.tables() == ()
    store.release(store.open_table("people", PEOPLE, None, run_id="run"))
    with pytest.raises(RecoveryError) as caught:
        store.open_table("people", PEOPLE, None, run_id="run", point=5)
    assert "is at flush 5" in caught.value.detail
    assert "is at 0" in caught.value.detail


def test_a_point_that_was_forgotten_is_refused(open_store: Callable[[], Store]) -> None:
    """A keyed table keeps replaced rows for the stops that are kept, and no longer."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    points = []
    for number in range(STOPS_KEPT + 1):
        store.write(people, batch([(1, f"name {number}")]))
        points.append(store.mark(people))
        store.settle(people, points[-1])
        store.settle(people, points[-1])
    assert store.query("SELECT count(*) FROM store._undo.people").item() == STOPS_KEPT - 1
    store.close()
    store = open_store()
    with pytest.raises(RecoveryError) as caught:
        store.open_table("people", PEOPLE, ("id",), run_id="run", point=points[0])
    assert f"the last {STOPS_KEPT} stops" in caught.value.detail
    for number in range(STOPS_KEPT, 0, -1):
        people = store.open_table("people", PEOPLE, ("id",), run_id="run", point=points[number])
        assert store.query(ALL).rows() == [(1, f"name {number}")]
        store.release(people)


def test_rows_that_no_point_needs_are_not_kept(open_store: Callable[[], Store]) -> None:
    """A key that is new since the last point, and the second and later changes of an old one."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.mark(people)
    for number in range(3):
        store.write(people, batch([(1, f"name {number}"), (2, f"name {number}")]))
        store.flush()
    assert store.query("SELECT id, name FROM store._undo.people").rows() == [(1, "ann")]


Step = tuple[Literal["write", "flush", "mark", "settle", "back"], list[tuple[int, str, str]], int]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "flush", "mark", "settle", "back"]),
        st.lists(st.tuples(st.integers(0, 5), st.text("ab", max_size=2), st.sampled_from(["+I", "+U", "-U", "-D"])), min_size=1, max_size=4),
        st.integers(0, 9),
    ),
    max_size=25,
)


def test_any_history_of_a_keyed_table(store: Store) -> None:
    """Compared with a dict and copies of it at each stop."""
    examples = iter(range(10_000))

    @settings(max_examples=80)
    @given(steps=STEPS)
    def check(steps: list[Step]) -> None:
        follow(store, f"table {next(examples)}", steps)

    check()


def follow(store: Store, name: str, steps: list[Step]) -> None:
    """One history in a table of its own."""
    table = store.open_table(name, PEOPLE, ("id",), run_id="run")
    wanted: dict[int, str] = {}
    stops: list[tuple[int, dict[int, str]]] = []
    for what, rows, choice in steps:
        if what == "write":
            store.write(table, batch([(key, text) for key, text, _kind in rows], kinds=" ".join(kind for _key, _text, kind in rows)))
            for key, text, kind in rows:
                if kind in ("+I", "+U"):
                    wanted[key] = text
                elif kind == "-D":
                    wanted.pop(key, None)
        elif what == "flush":
            store.flush()
        elif what == "mark":
            point = store.mark(table)
            stops = [*((known, then) for known, then in stops if known != point), (point, dict(wanted))]
        elif what == "settle" and stops:
            store.settle(table, stops[-1][0])
            stops = stops[-STOPS_KEPT:]
        elif what == "back" and stops:
            stops = stops[: choice % len(stops) + 1]
            wanted = dict(stops[-1][1])
            store.release(table)
            table = store.open_table(name, PEOPLE, ("id",), run_id="run", point=stops[-1][0])
        assert store.query(f'SELECT * FROM "{name}" ORDER BY id').rows() == sorted(wanted.items())
    store.release(table)
