"""A pipeline that uses every operator and output, run twice: step by step in the calling thread, and by a job with its threads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fluxline import Pipeline, Stream, col, count, tumble
from fluxline.clock import SystemClock
from fluxline.control.memory import Collected, NoOptions, collecting_connector, frame_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.job import EmbeddedJob
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.planner.rules import apply_rules
from fluxline.testing import Drive, utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.plan.nodes import Plan
    from fluxline.telemetry import Report
    from fluxline.testing import Driven

SCHEMA = {"id": "INT", "name": "STRING NOT NULL", "amount": "STRING", "at": "TIMESTAMP_LTZ(3) NOT NULL"}
NOON = "2026-01-01T12:00:"
JOB_WAIT_MS = 20_000


def without_nine(frame: pl.DataFrame) -> pl.DataFrame:
    """A user's function that raises for some rows."""
    if (frame["id"] == 9).any():
        raise ValueError("nine")
    return frame


def everything() -> tuple[Pipeline, Stream, Stream]:
    """The pipeline and its two sources."""
    pipeline = Pipeline("everything")
    orders = pipeline.source("orders", schema=SCHEMA, event_time="at", watermark="5 seconds", max_future_skew=None)
    others = pipeline.source("others", schema=SCHEMA, event_time="at", watermark="5 seconds", max_future_skew=None)
    kept = orders.filter(col("id") > 0).named("kept")
    parsed = kept.with_columns(value=col("amount").cast("INT")).named("parsed")
    checked = parsed.expect(small=col("value") < 100).named("checked")
    mapped = checked.map_batches(without_nine, schema={"id": "INT", "value": "INT"}).named("mapped")
    both = checked.drop("value", "amount").union_all(others.filter(col("id") > 0).drop("amount")).named("both")
    counts = both.window(tumble("10 seconds")).group_by("name").agg(n=count()).named("counts")
    totals = checked.group_by("name", ttl="forever").agg(n=count(), total=col("value").sum()).named("totals")
    for name, stream in {"mapped_rows": mapped, "both_rows": both, "count_rows": counts, "total_rows": totals}.items():
        stream.sink(name)
    counts.late.sink("late_rows")
    for stream in (orders, parsed, checked, mapped):
        stream.rejected.sink(f"rejected_{stream._node.label or 'orders'}")
    return pipeline, orders, others


def row(number: int, name: str | None, amount: str, second: str) -> dict[str, Any]:
    """One row of a source."""
    return {"id": number, "name": name, "amount": amount, "at": utc(f"{NOON}{second}")}


# Of both sources: a row without a name is rejected there; -1 is filtered; "x" is no number; 500 breaks the rule; the function
# raises for 9; the third row with second 02 is late.
FIRST = [
    row(1, "ann", "1", "01"), row(2, "bob", "2", "02"), row(-1, "ann", "3", "03"), row(3, None, "4", "04"), row(4, "ann", "x", "05"),
    row(5, "bob", "y", "06"), row(6, "ann", "500", "07"), row(7, "cat", "600", "08"), row(8, "ann", "5", "09"), row(9, "cat", "6", "09"),
    row(10, "cat", "7", "11"), row(11, None, "8", "11"),
]  # fmt: skip
SECOND = [row(12, "ann", "8", "31"), row(13, "bob", "9", "02"), row(9, "ann", "9", "32"), row(14, "cat", "9", "03"), row(-2, "cat", "1", "41")]
PUSHED = 2 * (len(FIRST) + len(SECOND))


def run_driven(plant: Callable[[Driven], None] | None = None) -> Report:
    """Step by step, with a restart in the middle; `plant(driven)` may change the running parts before and behind it."""
    pipeline, orders, others = everything()
    driven: Driven = Drive()(pipeline, now="2026-01-01T13:00Z")
    if plant is not None:
        plant(driven)
    for rows in (FIRST, SECOND):
        driven.push(others, rows)
        driven.push(orders, rows)
        if rows is FIRST:
            driven.restart()
            if plant is not None:
                plant(driven)
    driven.finish()
    assert plant is not None or driven.report.read == PUSHED
    return driven.report


def plan_of_everything() -> Plan:
    """As an engine gets it."""
    return apply_rules(everything()[0]._plan())


def run_threads() -> Report:
    """By a job: one thread per source, one for the operators, one per sink."""
    plan = plan_of_everything()
    here = Path.cwd()
    frame = pl.DataFrame(FIRST + SECOND, schema_overrides={"id": pl.Int32, "at": pl.Datetime("ms", "UTC")})
    ends = {scan.source: Endpoint(scan.source, frame_connector(frame), NoOptions(), None, None, here) for scan in plan.scans()}
    collected = {sink.name: Collected(sink.schema.visible(), sink.row_key) for sink in plan.sinks}
    ends |= {name: Endpoint(name, collecting_connector(into), NoOptions(), None, None, here) for name, into in collected.items()}
    job = EmbeddedJob(Machine(plan, ends, SystemClock(), MachineSettings("ledger", rejected_share_max=1.0)), None, 1)
    job.start()
    assert job.wait(JOB_WAIT_MS), "the job did not end"
    return job.report()
