"""The row ledger of a source on Flink: every record has one fate, also where the job is stopped or killed in the middle.

    read = passed + late + rejected         records of the topic = rows that are counted + late rows + rejected rows

Both sides come from outside of the job's metrics: offsets of the topic; counts that the job keeps in its state and writes;
the rows of its outputs. The fate of every record is judged once more by the plain loop of `judge`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from fluxline import Pipeline, coalesce, col, count, tumble
from fluxline.clock import SystemClock
from fluxline.connectors.kafka.group import lag
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.planner.rules import apply_rules
from fluxline.stack.lifecycle import Start, kill, restart
from tests.engines.flink.live import JOB_MS_MAX, Live, on_flink, topic_end
from tests.engines.flink.readings import Reading, make_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.plan.nodes import Plan
    from tests.engines.flink.live import OnFlink

pytestmark = pytest.mark.servers

PARTITIONS = 3
WINDOW_MS, DELAY_MS = 10_000, 3_000
FATES = ("rejected", "broken", "filtered", "late", "window")
Records = dict[int, list[dict[str, Any] | bytes]]


def the_plan() -> Plan:
    """Rows that cannot be decoded, that break a rule, that are filtered, that are late, and that windows count."""
    pipeline = Pipeline("ledger")
    readings = pipeline.source("readings", schema=Reading, event_time="at", watermark="3 seconds", lateness="partition")
    readings.rejected.drop("detail", "rejected_at").sink("rejected")
    named = readings.with_columns(name=coalesce(col("name"), "nobody"))
    named.group_by("name", ttl="forever").agg(rows=count(), ids=col("id").sum()).named("passed_rows").sink("passed", key=["name"])
    good = named.expect(small=col("value") < 90)
    good.rejected.select("record").sink("broken")
    sevens = good.filter(col("id") % 10 == 7)
    sevens.group_by("name", ttl="forever").agg(rows=count(), ids=col("id").sum()).named("filtered_rows").sink("filtered", key=["name"])
    totals = good.filter(col("id") % 10 != 7).window(tumble("10 seconds")).group_by("name").agg(rows=count(), ids=col("id").sum())
    totals.drop("window_end").sink("windows")
    totals.late.select("id").sink("late")
    return apply_rules(pipeline._plan())


def the_records() -> Records:
    """Those of the other live tests, every thirtieth followed by one that cannot be decoded."""
    found: Records = {}
    for partition, records in make_records(PARTITIONS).items():
        found[partition] = []
        for index, record in enumerate(records):
            found[partition] += [record, b'{"id": "x"}'] if index % 30 == 29 else [record]
    return found


def quarter(records: Records, number: int) -> Records:
    """A fourth of each partition."""
    return {partition: values[len(values) * number // 4 : len(values) * (number + 1) // 4] for partition, values in records.items()}


def good_rows(*parts: Records) -> int:
    return sum(isinstance(record, dict) for part in parts for records in part.values() for record in records)


@dataclass
class Judged:
    """Who has which fate: places of the rejected, ids of all others, and what windows count."""

    ids: dict[str, list[int]] = field(default_factory=lambda: {fate: [] for fate in FATES})
    places: list[tuple[str, int]] = field(default_factory=list)
    windows: dict[tuple[str, int], list[int]] = field(default_factory=dict)


def judge(records: Records) -> Judged:
    """The fate of each record, by the definition: late is whose window ends before what its partition has seen, less the delay."""
    found = Judged()
    for partition, values in records.items():
        seen_ms = 0
        for offset, record in enumerate(values):
            if isinstance(record, bytes):
                found.places.append((str(partition), offset))
                continue
            at_ms = int(datetime.fromisoformat(record["at"]).timestamp() * 1_000)
            seen_ms = max(seen_ms, at_ms)
            start_ms = at_ms - at_ms % WINDOW_MS
            if record["value"] is None or record["value"] >= 90:
                fate = "broken"
            elif record["id"] % 10 == 7:
                fate = "filtered"
            elif start_ms + WINDOW_MS - 1 <= seen_ms - DELAY_MS:
                fate = "late"
            else:
                fate = "window"
                found.windows.setdefault((record["name"] or "nobody", start_ms), []).append(record["id"])
            found.ids[fate].append(record["id"])
    return found


@dataclass
class Run:
    """One job over one topic, through its interruptions."""

    live: Live
    topic: str
    flink: OnFlink
    job_id: str = ""

    def submit(self, savepoint: str | None = None) -> None:
        self.job_id = self.flink.submit(savepoint)

    def stop(self, *, drain: bool) -> str:
        savepoint = self.live.cluster.stop(self.job_id, (self.live.stack.directory / "savepoints").as_uri(), drain=drain)
        assert self.live.cluster.wait(self.job_id, {"FINISHED"}, JOB_MS_MAX) is not None
        return savepoint

    def await_passed(self, rows: int) -> None:
        """Wait until the job has counted so many rows; no more may come."""
        clock = SystemClock()
        deadline_ms = clock.monotonic_ms() + JOB_MS_MAX
        while (found := self.passed()) != rows:
            assert found < rows, f"the job counts {found} rows of {rows}"
            assert clock.monotonic_ms() < deadline_ms, f"the job counts {found} rows of {rows} and goes on no more"
            clock.wait(Event(), 200)

    def await_committed(self) -> None:
        """Wait until the source's group, which people see, has all that was read."""
        options, clock = topic_end(self.live, "readings", self.topic).options, SystemClock()
        assert isinstance(options, KafkaOptions)
        (group,) = re.findall(r"'properties.group.id' = '(.*)'", self.flink.compiled.script())
        deadline_ms = clock.monotonic_ms() + JOB_MS_MAX
        while lag(options, self.topic, group):
            assert clock.monotonic_ms() < deadline_ms, f"the job does not commit its offsets to {group}"
            clock.wait(Event(), 200)

    def passed(self) -> int:
        (sink,) = (sink for sink in self.flink.plan.sinks if sink.name == "passed")
        return sum(rows for _name, rows, _ids in self.flink.rows_of(sink))

    def read(self) -> int:
        """Records of the topic, by its offsets."""
        consumer = Consumer({"bootstrap.servers": self.live.stack.kafka.bootstrap, "group.id": "tests"})
        ends = [consumer.get_watermark_offsets(TopicPartition(self.topic, number), timeout=30) for number in range(PARTITIONS)]
        consumer.close()
        return sum(high - low for low, high in ends)


def savepoint_in_the_middle(run: Run, records: Records) -> None:
    """Stop while records come, and go on from there."""
    run.live.fill(run.topic, quarter(records, 1))
    savepoint = run.stop(drain=False)
    run.live.fill(run.topic, quarter(records, 2))
    run.submit(savepoint)


def kill_in_the_middle(run: Run, records: Records) -> None:
    """End the task manager without a word while records come, and start another one."""
    run.live.fill(run.topic, quarter(records, 1))
    directory = run.live.stack.directory
    kill("taskmanager", directory)
    run.live.fill(run.topic, quarter(records, 2))
    restart("taskmanager", directory, Start(die_with_parent=True), lambda _line: None)


@pytest.mark.parametrize("interrupt", [savepoint_in_the_middle, kill_in_the_middle])
def test_every_record_has_one_fate(live: Live, interrupt: Callable[[Run, Records], None]) -> None:
    records, topic = the_records(), live.make_topic("readings", PARTITIONS)
    job = on_flink(live, the_plan(), {"readings": topic}, bounded=False, parallelism=2, partitions={"readings": PARTITIONS}, exactly_once=True)
    run = Run(live, topic, job)
    live.fill(topic, quarter(records, 0))
    run.submit()
    try:
        run.await_passed(good_rows(quarter(records, 0)))
        interrupt(run, records)
        live.fill(topic, quarter(records, 3))
        run.await_passed(good_rows(records))
        assert live.late_dropped(run.job_id) == 0
        run.await_committed()
        run.stop(drain=True)
    finally:
        live.cluster.cancel(run.job_id)
    compare(run, judge(records))


def compare(run: Run, judged: Judged) -> None:
    """The outputs with the fates, then the equation by the outputs alone."""
    assert all(judged.ids[fate] for fate in FATES if fate != "rejected") and judged.places, "each fate is there"
    outputs = run.flink.rows()
    late = [number for (number,) in outputs["late"]]
    broken = [json.loads(record)["id"] for (record,) in outputs["broken"]]
    rejected = [(partition, position) for *_, partition, position, _time in outputs["rejected"]]
    windows = {(name, int(start.timestamp() * 1_000)): (rows, ids) for name, start, rows, ids in outputs["windows"]}
    assert len(windows) == len(outputs["windows"]), "a window comes out once"
    assert sorted(late) == sorted(judged.ids["late"])
    assert sorted(broken) == sorted(judged.ids["broken"])
    assert sorted(rejected) == sorted(judged.places)
    assert windows == {key: (len(ids), sum(ids)) for key, ids in judged.windows.items()}
    passed, filtered = totals(outputs["passed"]), totals(outputs["filtered"])
    assert filtered == (len(judged.ids["filtered"]), sum(judged.ids["filtered"]))
    counted = [(len(late), sum(late)), (len(broken), sum(broken)), filtered, *windows.values()]
    assert passed == (sum(rows for rows, _ in counted), sum(ids for _, ids in counted))
    assert run.read() == passed[0] + len(rejected)


def totals(rows: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
    """Rows and sum of ids over all names."""
    return sum(count for _, count, _ in rows), sum(ids for *_, ids in rows)
