"""Pipelines, streams and sinks as objects: frozen, hashable, named, and declared once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from fluxline import Pipeline, col, count, tumble
from fluxline.errors import DefinitionError, FluxlineError
from fluxline.pipeline.origin import here

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = {"id": "BIGINT", "name": "STRING", "at": "TIMESTAMP_LTZ(3)"}


def refused(code: str, call: Callable[[], object]) -> FluxlineError:
    """What is told instead."""
    with pytest.raises(DefinitionError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def make() -> tuple[Pipeline, Any]:
    """A pipeline and its source."""
    shop = Pipeline("shop", description="What it is for.")
    return shop, shop.source("orders", schema=SCHEMA, event_time="at")


def test_a_stream_is_frozen_and_hashable() -> None:
    """Equal when it is the same step of the same pipeline, wherever it was written."""
    shop, orders = make()
    one = orders.filter(col("id") > 1)
    other = orders.filter(col("id") > 1)
    assert one == other
    assert one is not other
    assert len({one, other, orders}) == 2
    assert one != orders.filter(col("id") > 2)
    assert orders.window(tumble("1 hour")) != orders
    assert orders.window(tumble("1 hour")) == orders.window(tumble("60 minutes"))
    _, same = make()
    assert orders != same
    assert orders != "orders"
    for name in ("_node", "schema", "anything"):
        with pytest.raises(AttributeError):
            setattr(orders, name, None)
    assert shop.source("orders", schema=SCHEMA, event_time="at") == orders


def test_a_verb_leaves_its_stream_alone() -> None:
    """A definition branches."""
    _, orders = make()
    before = dict(orders.schema)
    assert "x" in orders.with_columns(x=1).schema
    assert "id" not in orders.drop("id").schema
    assert dict(orders.schema) == before


def test_a_stream_shows_what_it_is() -> None:
    """Without reading anything."""
    _, orders = make()
    assert repr(orders) == "Stream(orders: id BIGINT, name STRING, at TIMESTAMP_LTZ(3); append-only, event time at)"
    assert repr(orders.window(tumble("1 hour"))).endswith("event time at, windowed by tumble(1 hour))")
    totals = orders.group_by("id", ttl="7 days").agg(rows=count())
    assert repr(totals) == "Stream(orders/aggregate/id: id BIGINT, rows BIGINT; updating, keyed by id)"
    assert repr(orders.agg(rows=count())) == "Stream(orders/aggregate: rows BIGINT; updating, keyed by nothing)"


def test_a_pipeline_shows_what_it_is() -> None:
    """How many ends it has."""
    shop, orders = make()
    orders.sink("a")
    assert repr(shop) == "Pipeline(shop: 1 sources, 1 sinks)"
    assert (shop.name, shop.description) == ("shop", "What it is for.")


def test_the_same_sink_twice_is_one() -> None:
    """Another plan, or another key, under its name is refused."""
    shop, orders = make()
    orders.sink("stored")
    orders.sink("stored")
    assert len(shop._plan().sinks) == 1
    assert refused("FLX-2146", lambda: orders.sink("stored", key="id")).detail.startswith("The first is at ")
    refused("FLX-2146", lambda: orders.drop("name").sink("stored"))


def test_the_same_source_twice_is_one() -> None:
    """Another schema or time is refused."""
    shop, orders = make()
    refused("FLX-2143", lambda: shop.source("orders", schema=SCHEMA))
    refused("FLX-2143", lambda: shop.source("orders", schema=SCHEMA, event_time="at", watermark="1 second"))
    refused("FLX-2143", lambda: shop.source("orders", schema={**SCHEMA, "x": "INT"}, event_time="at"))
    assert shop.source("orders", schema=SCHEMA, event_time="at", watermark="0 ms", idle_after="60 seconds") == orders


def test_a_name_is_one_stream_s() -> None:
    """The same stream may say it again."""
    _, orders = make()
    orders.filter(col("id") > 1).named("large")
    orders.filter(col("id") > 1).named("large")
    refused("FLX-2148", lambda: orders.filter(col("id") > 2).named("large"))


@pytest.mark.parametrize("name", ["", " ", "a b", "1a", "-a", ".a", "a/b", "ä", "a" * 250, 5, None])
def test_a_name_that_cannot_be(name: Any) -> None:
    """Names become topics, tables and folders."""
    shop, orders = make()
    for call in (
        lambda: Pipeline(name),
        lambda: shop.source(name, schema=SCHEMA),
        lambda: orders.sink(name),
        lambda: orders.filter(col("id") > 1).named(name),
    ):
        assert refused("FLX-2149", call).place is not None


@pytest.mark.parametrize("name", ["a", "_a", "A1", "a.b-c_d", "a" * 249])
def test_a_name_that_can_be(name: str) -> None:
    """Letters, digits, underscores, dots and hyphens."""
    assert Pipeline(name).name == name


def test_a_pipeline_without_a_sink_is_not_planned() -> None:
    """At the place of the pipeline itself."""
    shop, _ = make()
    error = refused("FLX-2145", shop.explain)
    assert error.place is not None
    assert error.place.file == __file__


def test_without_a_project_file_nothing_runs() -> None:
    """And the message says what needs none."""
    shop, orders = make()
    orders.sink("stored")
    for call in (shop.check, shop.run, shop.start):
        assert "collect(inputs=...)" in refused("FLX-1001", call).hint


def test_explain_of_a_stream_is_its_plan() -> None:
    """Without sinks."""
    _, orders = make()
    first, second = orders.filter(col("id") > 1).explain().splitlines()
    assert first.startswith("orders/filter: where (id > 1)   [")
    assert second.strip().startswith("orders: read id, name, at; event time at, watermark 0 ms behind, lateness by partition   [")


class Shell:
    """What IPython's module has, as far as it is asked."""

    def __init__(self, *, running: bool) -> None:
        self._running = running

    def get_ipython(self) -> object | None:
        """The shell, in a notebook."""
        return self if self._running else None


def test_in_a_notebook_a_cell_that_runs_again_replaces(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And says so, on standard error; sources and names are replaced too."""
    monkeypatch.setitem(sys.modules, "IPython", Shell(running=True))
    shop, orders = make()
    orders.sink("stored")
    assert capsys.readouterr().err == ""
    orders.sink("stored")
    assert capsys.readouterr().err == ""
    warm = orders.filter(col("id") > 1)
    warm.sink("stored")
    assert capsys.readouterr() == ("", 'sink "stored" replaces the earlier one of that name\n')
    (sink,) = shop._plan().sinks
    assert sink.input == warm._node
    again = shop.source("orders", schema={"id": "INT"})
    assert dict(again.schema) == {"id": "INT"}
    warm.named("warm")
    orders.filter(col("id") > 2).named("warm")


def test_an_imported_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some libraries import it everywhere."""
    monkeypatch.setitem(sys.modules, "IPython", Shell(running=False))
    _, orders = make()
    orders.sink("stored")
    refused("FLX-2146", lambda: orders.drop("name").sink("stored"))


def test_the_project_file_is_looked_for_beside_the_pipeline_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where the process happens to be; in a notebook there."""
    monkeypatch.chdir(tmp_path)
    shop, _ = make()
    assert str(shop._directory() / "test_pipeline.py") == __file__
    monkeypatch.setitem(sys.modules, "IPython", Shell(running=True))
    assert shop._directory() == tmp_path


def test_a_place_is_the_user_s() -> None:
    """The first frame outside of the package, to the column; of a method its name."""
    place = here()
    assert place is not None
    assert (place.file, place.column, place.snippet().splitlines()[0].strip().endswith("place = here()")) == (__file__, 13, True)
    _, orders = make()
    stream = orders.filter(
        col("id") > 1,
    ).with_columns(x=1)
    assert stream._node.place.snippet().splitlines()[1].rstrip().endswith("^" * len("with_columns"))
