"""Nodes and windows on both engines: one pipeline with all that Flink runs, and one each for what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline import Pipeline, Schema, coalesce, col, count, tumble
from fluxline.engines.flink.compile import compile_plan
from fluxline.errors import UnsupportedByEngine
from fluxline.planner.rules import apply_rules
from tests.engines.flink.live import on_flink, run_embedded, topic_end
from tests.engines.flink.readings import Reading, make_records
from tests.equivalence.outcomes import REFUSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from fluxline import Stream
    from fluxline.plan.nodes import Plan
    from tests.engines.flink.live import Live

SHOWN_BY = {
    "node Scan": ("scanned",),
    "node Sink": ("scanned",),
    "node Filter": ("filtered",),
    "node Project": ("projected",),
    "node Union": ("united",),
    "node Expect": ("expected",),
    "node GroupAggregate": ("grouped",),
    "node WindowAggregate": ("tumbled",),
    "node Late": ("late", "late_moved"),
    "node Rejected": ("rejected",),
    "node Rejected of an expectation": ("broken", "broken_united", "broken_windows", "broken_late", "broken_rejected"),
    "window tumble": ("tumbled", "late"),
    "window tumble with offset": ("moved", "late_moved"),
}
"""The sinks whose rows show a construct; none is empty."""


def new_source(pipeline: Pipeline, name: str = "readings") -> Stream:
    """Records that come in any order."""
    return pipeline.source(name, schema=Reading, event_time="at", watermark="3 seconds", lateness="partition")


def without_own(rejected: Stream) -> Stream:
    """Rejected rows without those two columns that are each engine's own."""
    return rejected.drop("detail", "rejected_at")


def plan_of_all() -> Plan:
    """Every node that both engines run, each with a sink that shows it."""
    pipeline = Pipeline("steps")
    readings, others = new_source(pipeline), new_source(pipeline, "others")
    readings.sink("scanned")
    rejected = without_own(readings.rejected)
    rejected.sink("rejected")
    readings.filter(col("value") > 50).sink("filtered")
    readings.with_columns(rest=col("value") % 7 - 3, named=col("name").is_null()).sink("projected")
    united = readings.filter(col("id") < 40).union_all(others.filter(col("id") < 30))
    united.sink("united")
    expected = readings.expect(small=col("value") < 90, named=col("name").is_not_null(), early=col("id") < 1_100)
    expected.sink("expected")
    named = readings.with_columns(name=coalesce(col("name"), "nobody"))
    named.group_by("name", ttl="forever").agg(rows=count(), most=col("value").max()).sink("grouped", key=["name"])
    tumbled = readings.window(tumble("10 seconds")).group_by("name").agg(rows=count(), total=col("value").sum())
    tumbled.sink("tumbled")
    tumbled.late.sink("late")
    for name, broken in {
        "broken": expected,
        "broken_united": united.expect(small=col("value") < 50),
        "broken_windows": tumbled.expect(many=col("rows") > 30, more=col("total") > 1_000),
        "broken_late": tumbled.late.expect(small=col("value") < 30),
        "broken_rejected": rejected.expect(shaped=col("reason") != "malformed"),
    }.items():
        without_own(broken.rejected).sink(name)
    moved = readings.window(tumble("7 seconds", offset="2 seconds")).agg(rows=count(), most=col("value").max())
    moved.sink("moved")
    moved.late.sink("late_moved")
    return apply_rules(pipeline._plan())


BROKEN = [
    b"{",
    b"",
    b'{"id": "7", "name": "a", "value": 1, "at": "2026-01-01T00:00:01Z"}',
    b'{"id": 7, "name": "a", "value": 1.5, "at": "2026-01-01T00:00:01Z"}',
    b'{"name": "a", "value": 1, "at": "2026-01-01T00:00:01Z"}',
    b'{"id": 7, "name": "a", "value": 1, "at": null}',
    b'{"id": 7, "name": "\xff", "value": 1, "at": "2026-01-01T00:00:01Z"}',
    b'{"id": 7, "name": "a", "value": 1, "at": "9999-01-01T00:00:01Z"}',
]
"""Records that are rejected, each for another reason."""


class Kept(Schema):
    id: int


def keep(frame: pl.DataFrame) -> pl.DataFrame:
    """Python code."""
    return frame.select("id")


REFUSING: dict[str, Callable[[Stream], Any]] = {
    "node MapBatches": lambda rows: rows.map_batches(keep, schema=Kept).sink("out"),
    "node Expect on_failure count": lambda rows: rows.expect(small=col("value") < 90, on_failure="count").sink("out"),
    "node Expect on_failure fail": lambda rows: rows.expect(small=col("value") < 90, on_failure="fail").sink("out"),
}


def compare_steps(live: Live) -> list[Outcome]:
    """All nodes and windows."""
    sources = {}
    for name, partitions in (("readings", 3), ("others", 1)):
        sources[name] = live.make_topic(name, partitions)
        live.fill(sources[name], make_records(partitions))
    live.fill(sources["readings"], {0: BROKEN[:3], 1: BROKEN[3:]})
    plan = plan_of_all()
    expected, report = run_embedded(live, plan, sources)
    assert report.imbalances() == []
    found = on_flink(live, plan, sources, parallelism=2, partitions={"readings": 3, "others": 1}).run()
    outcomes = []
    for name, sinks in SHOWN_BY.items():
        assert all(len(expected[sink]) > 1 for sink in sinks), f"{name} is not shown"
        wrong = [sink for sink in sinks if expected[sink] != found[sink]]
        outcomes.append(Outcome(name, "different", f"other rows in {', '.join(wrong)}") if wrong else Outcome(name, "equal"))
    return outcomes + [_refused(live, name, build) for name, build in REFUSING.items()]


def _refused(live: Live, name: str, build: Callable[[Stream], Any]) -> Outcome:
    """A construct that the compiler refuses; the reason is ours to say."""
    pipeline = Pipeline("refused")
    build(new_source(pipeline))
    plan = apply_rules(pipeline._plan())
    try:
        compile_plan(plan, {"readings": topic_end(live, "readings", "readings")}, {"out": topic_end(live, "out", "out")})
    except UnsupportedByEngine:
        return Outcome(name, "refused", REFUSED[name])
    return Outcome(name, "different", "it is compiled, and nobody compared it")
