"""Names that are not there: words of other libraries raise AttributeError with ours, decided ones are refused by name at the user's line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import fluxline
from fluxline import Pipeline, Schema, col, count, tumble
from fluxline.control.job import Job
from fluxline.errors import UnsupportedByEngine
from fluxline.pipeline.later import LATER
from fluxline.pipeline.near_misses import EXPR, PIPELINE, STREAM, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = {"id": "BIGINT", "name": "STRING", "at": "TIMESTAMP_LTZ(3)"}
shop: Any = Pipeline("shop")
orders: Any = shop.source("orders", schema=SCHEMA, event_time="at")
sink: Any = orders.sink("stored")
expr: Any = col("id")
lazily: Any = fluxline


@pytest.mark.parametrize(
    ("owner", "name", "ours"),
    [
        *[(orders, name, ours) for name, ours in STREAM.items()],
        *[(expr, name, ours) for name, ours in EXPR.items()],
        *[(expr.str, name, ours) for name, ours in TEXT.items()],
        *[(shop, name, ours) for name, ours in PIPELINE.items()],
    ],
)
def test_a_near_miss_names_our_word(owner: Any, name: str, ours: str) -> None:
    """`hasattr` works as for any other name that is not there."""
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert str(caught.value).endswith(f" has no {name}; write {ours}")
    assert not hasattr(owner, name)


@pytest.mark.parametrize(
    ("owner", "table"), [(Pipeline, PIPELINE), (fluxline.Stream, STREAM), (fluxline.Expr, EXPR), (type(col("x").str), TEXT)], ids=lambda value: ""
)
def test_no_near_miss_hides_a_word_of_ours(owner: type, table: dict[str, str]) -> None:
    """A method that comes takes its entry out of the table."""
    assert [name for name in table if name in dir(owner)] == []


@pytest.mark.parametrize("ours", sorted({*STREAM.values(), *EXPR.values(), *TEXT.values()}))
def test_the_word_that_is_named_is_ours(ours: str) -> None:
    """Or it is one that comes later."""
    word = re.split(r"[(,]", ours, maxsplit=1)[0].lstrip(".")
    if ours.startswith("functions."):
        assert hasattr(fluxline.functions, word.partition(".")[2])
    elif ours.startswith("."):
        owners = (orders, expr, expr.str) if not word.startswith("str.") else (expr.str,)
        name = word.removeprefix("str.").split()[0].split(".")[0].rstrip("\"'")
        known = [name in dir(type(owner)) for owner in owners]
        assert any(known) or f"Stream.{name}" in LATER or f"Expr.{name}" in LATER, name


@pytest.mark.parametrize(
    "owner", [orders, expr, expr.str, expr.dt, shop, sink, orders.group_by("id", ttl="1 day")], ids=lambda value: type(value).__name__
)
def test_a_word_that_nobody_knows(owner: Any) -> None:
    """An AttributeError as Python's own; private and double-underscored names too, so copying and inspecting work."""
    for name in ("frobnicate", "_frobnicate", "__frobnicate__"):
        with pytest.raises(AttributeError):
            getattr(owner, name)


REFUSED: dict[str, Callable[[], object]] = {
    "hop": lambda: lazily.hop(size="1 hour", slide="5 minutes"),
    "cumulate": lambda: lazily.cumulate(size="1 hour", step="5 minutes"),
    "session": lambda: lazily.session("30 minutes", per="id"),
    'tumble(time="processing")': lambda: tumble("1 hour", time="processing"),
    "event": lambda: lazily.event("failed", col("id") > 1),
    "udf": lambda: lazily.udf(len),
    "Lookup": lambda: lazily.Lookup("customers"),
    "charts": lambda: lazily.charts.line(x="at", y="id"),
    "metrics": lambda: lazily.metrics.source_records_total,
    "ml": lambda: lazily.ml.onnx("model.onnx", returns=float),
    "Pipeline.lookup": lambda: shop.lookup("customers", schema=SCHEMA, key="id"),
    "Pipeline.sql": lambda: shop.sql("SELECT 1"),
    "Pipeline.from_sql": lambda: shop.from_sql("shop.sql"),
    "Pipeline.alert": lambda: shop.alert("late", when=col("id") > 1, notify="me"),
    "Stream.explode": lambda: orders.explode("name"),
    "Stream.top_k": lambda: orders.top_k(3, by="id"),
    "Stream.bottom_k": lambda: orders.bottom_k(3, by="id"),
    "Stream.deduplicate": lambda: orders.deduplicate(per="id", keep="last"),
    "Stream.join": lambda: orders.join(orders, on="id"),
    "Stream.join_interval": lambda: orders.join_interval(orders, on="id", between=("0 s", "1 h")),
    "Stream.join_asof": lambda: orders.join_asof(orders, on="id"),
    "Stream.join_lookup": lambda: orders.join_lookup(None, on="id"),
    "Stream.match": lambda: orders.match(None, per="id", within="1 minute"),
    "Stream.alert": lambda: orders.alert("x", when=col("id") > 1, notify="me"),
    "Sink.chart": lambda: sink.chart("x", None),
    "Expr.over": lambda: expr.over("name"),
    "Expr.first": lambda: expr.first,
    "Expr.last": lambda: expr.last,
    "Expr.count_distinct": lambda: expr.count_distinct,
    "Expr.stddev_pop": lambda: expr.stddev_pop,
    "Expr.stddev_samp": lambda: expr.stddev_samp,
    "Expr.var_pop": lambda: expr.var_pop,
    "Expr.var_samp": lambda: expr.var_samp,
    "Expr.collect": lambda: expr.collect,
    "Expr.listagg": lambda: expr.listagg,
    "Expr.list": lambda: expr.list,
    "Expr.map": lambda: expr.map,
    "Expr.row": lambda: expr.row,
    "Expr.json": lambda: expr.json,
    "Schema.from_file": lambda: Schema.from_file("order.avsc"),
    "source(key=...)": lambda: shop.source("other", schema=SCHEMA, key="id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_comes_later_is_refused_at_the_user_s_line(name: str) -> None:
    """With what is there instead, or what it comes with."""
    with pytest.raises(UnsupportedByEngine) as caught:
        REFUSED[name]()
    error = caught.value
    assert (error.code, error.fact, error.detail) == ("FLX-2190", f"{name} is not part of this version", LATER[name])
    assert error.place is not None
    assert error.place.file == __file__
    assert f"{name!r}: lambda" in error.place.snippet().replace('"' + name + '"', repr(name))


def test_a_savepoint_is_refused() -> None:
    """By a job, which has no line of its own in the definition."""
    with pytest.raises(UnsupportedByEngine) as caught:
        Job(None, None, []).stop(savepoint="here")
    assert caught.value.fact == "Job.stop(savepoint=...) is not part of this version"


def test_every_name_that_comes_later_is_tried() -> None:
    """A name enters the table with its refusal, and leaves it when it is built."""
    assert REFUSED.keys() | {"Job.stop(savepoint=...)"} == LATER.keys()


def test_a_word_that_is_built_is_no_longer_refused() -> None:
    """The table names nothing that is there."""
    for name in LATER:
        owner, _, word = name.partition(".")
        found = {"Pipeline": Pipeline, "Stream": fluxline.Stream, "Sink": fluxline.Sink, "Expr": fluxline.Expr}.get(owner)
        if found is not None and word:
            assert word not in dir(found), name
        elif not word and name.isidentifier():
            assert name not in fluxline.__all__


def test_a_name_that_comes_later_may_be_imported_and_looked_at() -> None:
    """A file that imports it fails where it uses it, not before."""
    from fluxline import hop, udf  # type: ignore[attr-defined]  # not for type checkers yet

    assert callable(hop)
    assert udf is not None
    assert not hasattr(udf, "__wrapped__")


@pytest.mark.parametrize("verb", ["window", "agg", "expect", "map_batches", "union_all"])
def test_verbs_that_need_append_only_rows_refuse_at_the_call(verb: str) -> None:
    """A windowed aggregate emits once, so the way out is in the hint."""
    totals = orders.group_by("name", ttl="1 day").agg(rows=count())
    calls: dict[str, Callable[[], object]] = {
        "window": lambda: totals.window(tumble("1 hour")),
        "agg": lambda: totals.group_by("rows", ttl="1 day").agg(names=count()),
        "expect": lambda: totals.expect(some=col("rows") > 0),
        "map_batches": lambda: totals.map_batches(len, schema=SCHEMA),
        "union_all": lambda: totals.union_all(totals),
    }
    with pytest.raises(UnsupportedByEngine) as caught:
        calls[verb]()
    assert caught.value.code == "FLX-2190"
    assert "updating stream" in caught.value.fact


def test_collect_refuses_before_it_reads() -> None:
    """Inputs are for sources of this pipeline, frames or paths; bounds are bounds."""
    import polars as pl

    other: Any = Pipeline("other").source("orders", schema=SCHEMA, event_time="at")
    frame = pl.DataFrame({"id": [1]})
    for inputs in ({"orders": frame}, {orders.filter(col("id") > 1): frame}, {other: frame}):
        with pytest.raises(fluxline.errors.DefinitionError) as caught:
            orders.collect(inputs=inputs)
        assert caught.value.code == "FLX-2171"
    for options in ({"inputs": {orders: {"id": [1]}}}, {"rows_max": 0}, {"rows_max": "ten"}):
        with pytest.raises(fluxline.errors.DefinitionError) as caught:
            orders.collect(**options)
        assert caught.value.code == "FLX-2122"
