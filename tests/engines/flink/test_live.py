"""One pipeline on both engines over the same topic: equal rows, balanced ledgers, nothing that Flink drops on its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING

import pytest

from fluxline import Pipeline, Schema, coalesce, col, count, tumble
from fluxline.clock import SystemClock
from fluxline.planner.rules import apply_rules
from tests.engines.flink import logged
from tests.engines.flink.live import JOB_MS_MAX, Live, on_flink, run_embedded
from tests.engines.flink.readings import RECORDS, Reading, make_records

if TYPE_CHECKING:
    from fluxline.plan.nodes import Plan
    from tests.engines.flink.live import Live, Row

pytestmark = pytest.mark.servers
SHARE_MAX = 1.3  # Of the busiest subtask, measured by an even share.


def the_plan() -> Plan:
    """Source -> filter -> project -> tumble, its late rows, and a group over all."""
    pipeline = Pipeline("readings")
    readings = pipeline.source("readings", schema=Reading, event_time="at", watermark="3 seconds", lateness="partition")
    kept = readings.filter(col("id") % 10 != 7).with_columns(doubled=col("value") * 2)
    totals = (
        kept.window(tumble("10 seconds"))
        .group_by("name")
        .agg(rows=count(), values=col("value").count(), total=col("doubled").sum(), least=col("id").min())
    )
    totals.sink("totals")
    totals.late.sink("late")
    readings.with_columns(name=coalesce(col("name"), "nobody")).group_by("name", ttl="forever").agg(rows=count(), largest=col("value").max()).sink(
        "by_name", key=["name"]
    )
    return apply_rules(pipeline._plan())


@dataclass(frozen=True)
class Case:
    """A topic, and what the embedded engine makes of it."""

    topic: str
    partitions: int
    expected: dict[str, list[Row]]


def make_case(live: Live, partitions: int) -> Case:
    topic = live.make_topic("readings", partitions)
    live.fill(topic, make_records(partitions))
    expected, report = run_embedded(live, the_plan(), {"readings": topic})
    assert report.imbalances() == []
    assert report.read == RECORDS
    assert report.late == len(expected["late"]) > 20
    filtered = sum(ledger.filtered for ledger in report.operators.values())
    assert sum(rows for *_, rows, _values, _total, _least in expected["totals"]) + report.late + filtered == RECORDS
    return Case(topic, partitions, expected)


@pytest.fixture(scope="module", params=[2, 3])
def case(live: Live, request: pytest.FixtureRequest) -> Case:
    return make_case(live, request.param)


@pytest.mark.parametrize(("parallelism", "spread"), [(1, False), (2, False), (2, True)])
def test_rows_are_equal(live: Live, case: Case, parallelism: int, spread: bool) -> None:
    """NULLs are a group, a name that occurs once comes out, late rows are the same, whatever runs side by side."""
    names = [name for name, *_ in case.expected["totals"]]
    assert None in names
    assert names.count("once") == 1
    partitions = {"readings": case.partitions} if spread else None
    found = on_flink(live, the_plan(), {"readings": case.topic}, parallelism=parallelism, partitions=partitions).run()
    assert found == case.expected


@pytest.mark.parametrize("parallelism", [2, 4])
def test_partitions_are_spread_and_flink_drops_nothing(live: Live, parallelism: int) -> None:
    """A job that follows its topic, looked at while it runs, then stopped: windows that are open come out with the drain."""
    case = make_case(live, 8)
    flink = on_flink(live, the_plan(), {"readings": case.topic}, bounded=False, parallelism=parallelism, partitions={"readings": 8})
    job_id = flink.submit()
    try:
        shares = await_shares(live, job_id)
        assert len(shares) == parallelism
        assert max(shares) / (RECORDS / parallelism) <= SHARE_MAX
        assert live.late_dropped(job_id) == 0
        live.cluster.stop(job_id, (live.stack.directory / "savepoints").as_uri(), drain=True)
        assert live.cluster.wait(job_id, {"FINISHED"}, JOB_MS_MAX) is not None
    finally:
        live.cluster.cancel(job_id)
    assert flink.rows() == case.expected


def await_shares(live: Live, job_id: str) -> tuple[int, ...]:
    """The records that each subtask of the OVER vertex read, once all are there."""
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + JOB_MS_MAX
    while clock.monotonic_ms() < deadline_ms:
        for vertex in live.cluster.job(job_id).vertices:
            if "OverAggregate" in vertex.name:
                shares = live.cluster.read_per_subtask(job_id, vertex.id)
                if sum(shares) >= RECORDS:
                    return shares
        clock.wait(Event(), 200)
    pytest.fail("the job does not read all records")


def test_the_operator_s_watermark_decides(live: Live) -> None:
    """Over one partition plain Flink's late rows are those of the embedded engine, row by row; neither aggregates one."""
    pipeline = Pipeline("plain")
    readings = pipeline.source("readings", schema=Reading, event_time="at", watermark="3 seconds", lateness="operator")
    readings.window(tumble("10 seconds")).group_by("name").agg(rows=count(), least=col("id").min(), largest=col("id").max()).sink("totals")
    plan = apply_rules(pipeline._plan())
    topic = live.make_topic("readings")
    live.fill(topic, {0: [record for records in make_records(2).values() for record in records]})
    expected, report = run_embedded(live, plan, {"readings": topic})
    assert report.late > 20
    assert sum(row[3] for row in expected["totals"]) + report.late == RECORDS
    assert on_flink(live, plan, {"readings": topic}).run() == expected


class Untimed(Schema):
    id: int
    at: datetime | None


def test_rows_without_a_time(live: Live) -> None:
    """The embedded engine rejects them, Flink leaves them out; neither lets one move the watermark or stop the job."""
    pipeline = Pipeline("untimed")
    rows = pipeline.source("rows", schema=Untimed, event_time="at", watermark="1 second", lateness="partition")
    rows.window(tumble("10 seconds")).agg(rows=count(), least=col("id").min()).sink("counted")
    topic = live.make_topic("rows")
    times = ["2026-01-01T00:00:01Z", None, "2026-01-01T00:00:12Z", None, "2026-01-01T00:00:02Z"]
    live.fill(topic, {0: [{"id": index, "at": time} for index, time in enumerate(times)]})
    plan = apply_rules(pipeline._plan())
    expected, report = run_embedded(live, plan, {"rows": topic})
    assert [row[2:4] for row in expected["counted"]] == [(1, 0), (1, 2)]
    assert (report.rejected, report.late) == (2, 1)
    flink = on_flink(live, plan, {"rows": topic})
    assert any(text == 'A row of source "rows" without event time is left out uncounted.' for text in flink.compiled.warnings)
    assert flink.run() == expected


def test_rows_that_are_too_far_ahead_of_their_log(live: Live) -> None:
    """Both engines go by the time at which the topic took a record, and show rejected ones to their last byte."""
    topic = live.make_topic("rows", message_timestamp_after_max_ms=str(2**63 - 1), retention_ms="-1")
    logged.fill(live.stack.kafka.bootstrap, topic)
    plan = logged.plan()
    found, _report = run_embedded(live, plan, {"rows": topic})
    logged.check(found)
    logged.check(on_flink(live, plan, {"rows": topic}).run())
