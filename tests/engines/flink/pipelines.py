"""The pipelines whose jobs were recorded, and what was recorded."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluxline import Pipeline, Schema, coalesce, col, concat, count, tumble

if TYPE_CHECKING:
    from fluxline.plan.nodes import Plan
    from tests.engines.flink.answers import Answers

RECORDED = Path(__file__).parent / "recorded"


class Order(Schema):
    id: int
    name: str | None
    price: int
    pieces: int
    at: datetime


class Row(Schema):
    id: int
    text: str | None
    number: int
    at: datetime


class Short(Schema):
    id: int
    number: int
    at: datetime


class Line(Schema):
    id: int
    text: str


def shop() -> Plan:
    """Two sources, a step that three others read, late and rejected rows, a union: 9 vertices."""
    pipeline = Pipeline("shop")
    orders = pipeline.source("orders", schema=Order, event_time="at", watermark="3 seconds")
    returns = pipeline.source("returns", schema=Order, event_time="at", watermark="4 seconds")
    kept = orders.filter(col("id") % 10 != 7)
    priced = kept.with_columns(each=col("price") / col("pieces")).named("priced")
    priced.filter(col("each") > 10).with_columns(message=concat("dear ", col("name"))).sink("dear")
    totals = priced.window(tumble("10 seconds")).group_by("name").agg(rows=count(), total=col("each").sum())
    totals.sink("totals")
    totals.late.sink("late")
    named = orders.with_columns(name=coalesce(col("name"), "nobody"))
    named.group_by("name", ttl="forever").agg(rows=count(), largest=col("price").max()).sink("by_name", key=["name"])
    every = orders.union_all(returns)
    every.window(tumble("20 seconds")).group_by("name").agg(n=count()).sink("both")
    orders.rejected.sink("bad")
    return pipeline._plan()


def files() -> Plan:
    """Sources whose watermark and filter are not pushed down, and sinks without a committer."""
    pipeline = Pipeline("other")
    made = pipeline.source("made", schema=Line)
    made.filter(col("id") > 5).with_columns(x=col("id") * 3).sink("gone")
    filed = pipeline.source("filed", schema=Line)
    filed.group_by("text", ttl="forever").agg(n=count()).sink("shown", key=["text"])
    return pipeline._plan()


def by_zero() -> Plan:
    """One step divides, the next converts; both run in one operator of Flink."""
    pipeline = Pipeline("moddiv")
    rows = pipeline.source("rows", schema=Row, event_time="at", watermark="3 seconds")
    kept = rows.filter(col("id") >= 0).with_columns(twice=col("id") * 2)
    rest = kept.with_columns(rest=col("id") % col("number")).named("rest")
    typed = rest.with_columns(x=col("text").cast("INT")).named("typed")
    typed.window(tumble("10 seconds")).group_by("text").agg(n=count(), m=col("x").max(), r=col("rest").sum(), t=col("twice").sum()).sink("out")
    return pipeline._plan()


def pushed() -> Plan:
    """Flink computes the rest before the late test, in the chain of the source, and converts it behind."""
    pipeline = Pipeline("p")
    rows = pipeline.source("rowsp", schema=Short, event_time="at", watermark="3 seconds")
    rest = rows.with_columns(rest=col("id") % col("number")).named("rest")
    typed = rest.filter(col("id") >= 0).with_columns(text=col("rest").cast("STRING")).named("typed")
    counted = typed.window(tumble("10 seconds")).agg(rows=count(), last=col("text").max())
    counted.sink("counted")
    counted.late.sink("late")
    rows.select("id").sink("seen")
    return pipeline._plan()


def converting(name: str) -> Plan:
    """One step converts a text."""
    pipeline = Pipeline(name)
    rows = pipeline.source(f"{name}_in", schema=Row, event_time="at", watermark="3 seconds")
    kept = rows.filter(col("id") >= 0).with_columns(twice=col("id") * 2)
    casted = kept.with_columns(x=col("text").cast("INT")).named("casted")
    casted.window(tumble("10 seconds")).group_by("text").agg(n=count(), m=col("x").max()).sink(f"{name}_out")
    return pipeline._plan()


def recorded(name: str) -> Any:
    """What was recorded."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def give(answers: Answers, name: str) -> str:
    """Let a server give the answers that were recorded; the id of the job."""
    told = recorded(name)
    job_id = str(told["job"]["jid"])
    answers.give(f"GET /jobs/{job_id}", told["job"])
    answers.give(f"GET /jobs/{job_id}/exceptions", told["exceptions"])
    for vertex, metrics in told["metrics"].items():
        path = f"GET /jobs/{job_id}/vertices/{vertex}/subtasks/metrics"
        answers.give(path, [{"id": each} for each in metrics])
        own = [each for each in metrics if each.endswith(".currentOutputWatermark") and "__" not in each.rpartition(".")[0].removeprefix("Source__")]
        known = [each for each in ("busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "currentInputWatermark") if each in metrics]
        for wanted in (known, known + own):
            answers.give(f"{path}?agg=min,max&get={quote(','.join(wanted))}", [metrics[each] for each in wanted])
    return job_id


def line_of(place: Any) -> str:
    """The line of a place in a user's file."""
    return str(Path(place.file).read_text(encoding="utf-8").splitlines()[place.line - 1]).strip()
