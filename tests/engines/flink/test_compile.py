"""What a plan becomes: whole scripts that were read with care and ran on a live Flink, and everything that is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from fluxline import Pipeline, Schema, coalesce, col, count, tumble
from fluxline.connectors import load_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.flink.compile import compile_plan
from fluxline.errors import UnsupportedByEngine
from fluxline.formats import load_format
from fluxline.options import Secret, read_options
from fluxline.plan.json import plan_from_json, plan_to_json
from fluxline.planner.rules import apply_rules
from fluxline.types import TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from fluxline import Stream
    from fluxline.engines.flink.compile import Compiled
    from fluxline.plan.nodes import Plan

GOLDEN = Path(__file__).parent / "golden"


class Reading(Schema):
    id: int
    name: str | None
    value: int | None
    at: datetime


def end(name: str, connector: str = "kafka", **given: Any) -> Endpoint:
    word = load_connector(connector)
    known: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap_servers": ["kafka:9092"]},
        "filesystem": {"path": f"/data/{name}/"},
        "store": {"path": "tables.duckdb"},
    }
    options = read_options(word.options, {**known.get(connector, {}), **given}, of=f'connector "{connector}"')
    chosen = load_format("json") if word.takes_format else None
    return Endpoint(name, word, options, chosen, None if chosen is None else chosen.options(), Path("/here"))


def plan_of(build: Callable[[Stream], object], **time: Any) -> Plan:
    """A pipeline of one source, as an engine gets it."""
    pipeline = Pipeline("readings")
    build(pipeline.source("readings", schema=Reading, event_time="at", **{"watermark": "3 seconds", "lateness": "partition", **time}))
    return apply_rules(pipeline._plan())


def compiled(build: Callable[[Stream], object], source: Endpoint | None = None, sink: str = "kafka", **more: Any) -> Compiled:
    """The same, compiled; every sink is of one connector."""
    plan = plan_of(build, **more.pop("time", {}))
    return compile_plan(plan, {"readings": source or end("readings")}, {each.name: end(each.name, sink) for each in plan.sinks}, **more)


def refused(build: Callable[[Stream], object], source: Endpoint | None = None, sink: str = "kafka", **more: Any) -> UnsupportedByEngine:
    with pytest.raises(UnsupportedByEngine) as raised:
        compiled(build, source, sink, **more)
    return raised.value


def all_of_it(readings: Stream) -> None:
    kept = readings.filter(col("id") % 10 != 7).with_columns(doubled=col("value") * 2)
    totals = (
        kept.window(tumble("10 seconds"))
        .group_by("name")
        .agg(rows=count(), values=col("value").count(), total=col("doubled").sum(), least=col("id").min())
    )
    totals.sink("totals")
    totals.late.sink("late")
    named = readings.with_columns(name=coalesce(col("name"), "nobody"))
    named.group_by("name", ttl="forever").agg(rows=count(), largest=col("value").max()).sink("by_name", key=["name"])


def test_the_whole_script() -> None:
    found = compiled(all_of_it, partitions={"readings": 3})
    assert found.script() == (GOLDEN / "readings.sql").read_text(encoding="utf-8")
    assert found.properties == {
        "pipeline.name": "readings",
        "table.local-time-zone": "UTC",
        "pipeline.object-reuse": "true",
        "pipeline.auto-watermark-interval": "200 ms",
        "pipeline.max-parallelism": "128",
    }
    assert len(found.texts()) == 8
    assert not any(text.endswith(";") and not text.endswith("END") for text in found.texts()[:-1])


def test_a_plan_without_windows_needs_no_partitions() -> None:
    found = compiled(lambda readings: readings.select("id").sink("out"), sink="blackhole", time={"max_future_skew": None})
    assert found.texts()[1:] == (
        """CREATE VIEW `readings/rows` AS
SELECT
  `id`
FROM `readings`
WHERE (`at` IS NOT NULL)""",
        "CREATE TABLE `out` (\n  `id` BIGINT\n) WITH (\n  'connector' = 'blackhole'\n)",
        "EXECUTE STATEMENT SET BEGIN\nINSERT INTO `out`\nSELECT\n  `id`\nFROM (\n  SELECT\n    `id`\n  FROM `readings/rows`\n);\nEND",
    )
    assert "$partition" not in found.script()


def test_what_a_submission_chooses() -> None:
    def one(readings: Stream) -> None:
        readings.sink("out")

    script = compiled(one, bounded=True, parallelism=4, partitions={"readings": 3}, transactions="run-1").script()
    assert "'scan.bounded.mode' = 'latest-offset'" in script
    assert "'scan.parallelism' = '3'" in script
    assert "transactional-id" not in script, "the sink was not asked for it"
    assert "'properties.group.id' = 'fluxline-run-1-readings'" in script
    plan, once = plan_of(one), replace(end("out"), guarantee="exactly_once")
    script = compile_plan(plan, {"readings": end("readings")}, {"out": once}, transactions="run-1").script()
    assert "'sink.delivery-guarantee' = 'exactly-once'" in script
    assert "'sink.transactional-id-prefix' = 'run-1-out'" in script
    assert "'properties.transaction.timeout.ms' = '600000'" in script
    assert compiled(one, parallelism=4).properties["parallelism.default"] == "4"
    for plain in (compiled(one), compiled(one, parallelism=3, partitions={"readings": 3}), compiled(one, partitions={"readings": 3})):
        assert "scan.parallelism" not in plain.script()
        assert "bounded" not in plain.script()


def test_a_delay_of_nothing_is_a_millisecond() -> None:
    found = compiled(lambda readings: readings.window(tumble("1 minute")).agg(rows=count()).sink("out"), time={"watermark": "0 seconds"}).script()
    assert "THEN `at` - INTERVAL '0.001' SECOND ELSE" in found
    assert "EXTRACT(MILLISECOND FROM `$seen`)) - 1)" in found


def test_people_see_no_secret() -> None:
    source = end("readings", security_protocol="SASL_SSL", sasl_mechanism="PLAIN", username="ann", password=Secret("open sesame"))
    found = compiled(lambda readings: readings.sink("out"), source)
    assert "sesame" not in found.script()
    assert "'properties.sasl.jaas.config' = '***'" in found.script()
    assert 'password="open sesame"' in found.texts()[0]


def test_a_view_never_has_the_name_of_a_table() -> None:
    """A step may be named as a sink is."""
    found = compiled(lambda readings: readings.select("id").named("out").sink("out")).script()
    assert "CREATE VIEW `out/rows` AS" in found
    assert "CREATE TABLE `out` (" in found


def test_warnings() -> None:
    found = compiled(lambda readings: readings.sink("out")).warnings
    assert found[:3] == (
        'A record of source "readings" that cannot be decoded fails the job: no sink takes rejected ones.',
        'A row of source "readings" without event time is left out uncounted.',
        'Rows of source "readings" that are too far ahead of the clock are left out uncounted.',
    )

    def both(readings: Stream) -> None:
        readings.sink("out")
        readings.rejected.sink("rejected")

    assert not any('"readings"' in text for text in compiled(both).warnings)


def test_rejected_records_come_from_the_table_itself() -> None:
    """With the reason of the format, or of the time; and the view has what is left."""

    def both(readings: Stream) -> None:
        readings.select("id").sink("out")
        readings.rejected.sink("rejected")

    table, view, *_others, work = compiled(both).texts()
    for line in (
        "`$reason` STRING METADATA FROM 'value.reject' VIRTUAL",
        "`$record` BYTES METADATA FROM 'value.raw' VIRTUAL",
        "`$position` BIGINT METADATA FROM 'offset' VIRTUAL",
        "`$logged` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL",
        "'format' = 'fluxline-json'",
        "'fluxline-json.not-null' = 'id'",
    ):
        assert line in table
    assert "`name`" not in table, "what nobody reads is not judged"
    condition = "(`$reason` IS NULL)\n  AND (`at` IS NOT NULL)\n  AND (`at` <= `$logged` + INTERVAL '1' DAY)"
    assert f"WHERE {condition}" in view
    assert "WHEN `at` IS NULL THEN 'no_event_time'" in work + "".join(_others)


def test_rows_that_break_a_rule() -> None:
    """The first broken rule names the row, NULL breaks one, and the partition travels where somebody asks for it and no further."""

    def build(readings: Stream) -> None:
        kept = readings.filter(col("id") > 3).expect(positive=col("value") > 0, named=col("name").is_not_null())
        kept.sink("out")
        kept.rejected.sink("broken")

    function, table, view, *_others, work = compiled(build, time={"max_future_skew": None}).texts()
    assert function == "CREATE TEMPORARY FUNCTION `fluxline_row_text` AS 'fluxline.formats.json.RowText'"
    assert "`$partition` INT METADATA FROM 'partition' VIRTUAL" in table
    assert "CAST(`$partition` AS STRING) AS `$from`\nFROM `readings`" in view
    broken = work.partition("INSERT INTO `broken`")[2]
    first = "CASE WHEN (`value` > CAST(0 AS BIGINT)) IS NOT TRUE THEN 'positive' WHEN (`name` IS NOT NULL) IS NOT TRUE THEN 'named'"
    for line in (
        f"{first} ELSE CAST(NULL AS STRING) END AS `rule`",
        "fluxline_row_text('id', `id`, 'name', `name`, 'value', `value`, 'at', `at`) AS `record`",
        "`$from` AS `partition`",
        "CAST(NULL AS BIGINT) AS `position`",
        "CAST(`at` AS TIMESTAMP_LTZ(3)) AS `event_time`",
        "WHERE (((`value` > CAST(0 AS BIGINT)) IS NOT TRUE) OR ((`name` IS NOT NULL) IS NOT TRUE))",
    ):
        assert line in broken
    assert not any("left out uncounted: no sink takes" in text for text in compiled(build).warnings)
    unread = compiled(lambda readings: readings.expect(positive=col("value") > 0).sink("out"))
    assert "$from" not in unread.script()
    assert any('break a rule of "readings/expect/positive" are left out uncounted' in text for text in unread.warnings)


def test_behind_an_aggregate_no_row_has_a_partition() -> None:
    """A union of both has it where it is known."""

    def build(readings: Stream) -> None:
        totals = readings.window(tumble("1 minute")).group_by("id").agg(rows=count())
        totals.expect(few=col("rows") < 9).rejected.sink("windows")
        both = readings.select("id").union_all(totals.select("id"))
        both.expect(known=col("id") > 0).rejected.sink("both")

    script = compiled(build).script()
    assert "CAST(NULL AS STRING) AS `partition`" in script.partition("INSERT INTO `windows`")[2].partition("INSERT INTO")[0]
    united = script.partition("CREATE VIEW `readings+readings/aggregate/id/tumble(1 minute)/union`")[2].partition(";")[0]
    assert [line.strip() for line in united.split("\n") if "$from" in line] == ["`$from`", "`$from`", "CAST(NULL AS STRING) AS `$from`"]


def test_heartbeats_move_time_and_go_no_further() -> None:
    """Only where they are asked for. The view has their time in its maximum; nobody behind it, nor the rejected output, sees one."""

    def both(readings: Stream) -> None:
        readings.window(tumble("1 minute")).agg(rows=count()).sink("out")
        readings.rejected.sink("rejected")

    table, view, *others = compiled(both, heartbeats=True).texts()
    assert "`$headers` MAP<STRING, BYTES> METADATA FROM 'headers' VIRTUAL" in table
    assert "`$heartbeat` AS TO_TIMESTAMP_LTZ(CAST(CAST(`$headers`['fluxline-heartbeat'] AS STRING) AS BIGINT), 3)" in table
    assert "WATERMARK FOR `at` AS CASE WHEN `$heartbeat` IS NOT NULL THEN `$heartbeat` WHEN (" in table
    reached = "CASE WHEN `$heartbeat` IS NOT NULL THEN `$heartbeat` + INTERVAL '3' SECOND ELSE CAST(`at` AS TIMESTAMP_LTZ(3)) END"
    assert f"MAX({reached}) OVER (" in view
    assert "WHERE ((`$heartbeat` IS NOT NULL) OR (" in view
    assert view.endswith(")\nWHERE (`$heartbeat` IS NULL)")
    rejected = next(text for text in others if "'no_event_time'" in text)
    assert "WHERE (`$heartbeat` IS NULL)\n" in rejected
    assert "heartbeat" not in compiled(both).script()


def test_whole_numbers_are_divided_down() -> None:
    script = compiled(lambda readings: readings.select(d=col("value") // 3).sink("out")).script()
    assert "FLOOR" not in script
    assert "CASE WHEN MOD(`value`, CAST(3 AS BIGINT)) <> 0" in script


class TestRefusals:
    """Each by its name."""

    def test_steps(self) -> None:
        error = refused(lambda readings: readings.filter(100 // col("value") > 1).named("halves").rejected.sink("out"))
        assert (error.code, error.fact) == ("FLX-2650", 'Flink cannot show the rejected rows of "halves"')
        error = refused(lambda readings: readings.rejected.sink("out"), end("readings", "filesystem"))
        assert (error.code, error.fact) == ("FLX-2652", 'Flink does not show the rejected records of source "readings"')
        error = refused(lambda readings: readings.expect(positive=col("value") > 0, on_failure="fail").sink("out"))
        assert (error.code, 'on_failure "fail"' in error.fact) == ("FLX-2650", True)

    def test_rejected_rows_of_an_expectation(self) -> None:
        error = refused(lambda readings: readings.expect(positive=col("value") > 0).rejected.sink("out"), end("readings", "filesystem"))
        assert (error.code, error.fact) == ("FLX-2652", 'Flink has other names for the partitions of source "readings"')
        error = refused(lambda readings: readings.expect(positive=9 // col("value") > 0, on_failure="count").rejected.sink("out"))
        assert (error.code, 'on_failure "count"' in error.fact) == ("FLX-2650", True)

    def test_rows_whose_text_would_differ(self) -> None:
        class Alarm(Schema):
            id: int
            rings: list[Annotated[time, TIME(6)]]

        pipeline = Pipeline("alarms")
        pipeline.source("alarms", schema=Alarm).expect(known=col("id") > 0).rejected.sink("out")
        with pytest.raises(UnsupportedByEngine, match='Flink cannot show the rejected rows of "alarms/expect/known"') as raised:
            compile_plan(apply_rules(pipeline._plan()), {"alarms": end("alarms")}, {"out": end("out")})
        assert raised.value.detail.startswith('Column "rings" is ARRAY<TIME(6) NOT NULL>, and Flink keeps milliseconds')

    def test_python_functions(self) -> None:
        def keep(frame: pl.DataFrame) -> pl.DataFrame:
            return frame

        class Out(Schema):
            id: int

        error = refused(lambda readings: readings.map_batches(keep, schema=Out).sink("out"))
        assert (error.code, error.detail) == ("FLX-2650", "Python functions do not run on Flink in this version.")

    def test_late_rows_that_flink_drops_unseen(self) -> None:
        def build(readings: Stream) -> None:
            totals = readings.window(tumble("1 minute")).agg(rows=count())
            totals.sink("out")
            totals.late.sink("late")

        by_partition = json.dumps(plan_to_json(plan_of(build)))
        assert by_partition.count('"partition"') == 1
        by_operator = plan_from_json(json.loads(by_partition.replace('"partition"', '"operator"')))
        with pytest.raises(UnsupportedByEngine, match="cannot show the late rows") as raised:
            compile_plan(by_operator, {"readings": end("readings")}, {each.name: end(each.name) for each in by_operator.sinks})
        assert raised.value.code == "FLX-2650"

    def test_a_key_that_may_be_null(self) -> None:
        error = refused(lambda readings: readings.group_by("name", ttl="forever").agg(rows=count()).sink("out", key=["name"]))
        assert error.code == "FLX-2655"
        assert 'Column "name" may be NULL' in error.detail

    def test_different_times_to_live(self) -> None:
        def build(readings: Stream) -> None:
            readings.group_by("id", ttl="1 day").agg(rows=count()).sink("a", key=["id"])
            readings.group_by("id", ttl="2 days").agg(most=col("value").max()).named("most").sink("b", key=["id"])

        assert refused(build, sink="blackhole").fact == "the group aggregates keep keys for different times"

    def test_ends(self) -> None:
        error = refused(lambda readings: readings.sink("out"), sink="store")
        assert (error.code, error.fact) == ("FLX-2652", 'Flink has no sink "store" (of "out")')
        error = refused(lambda readings: readings.sink("out"), end("readings", "filesystem", path="*.ndjson"))
        assert error.code == "FLX-2651"
        source = end("readings")
        assert source.format is not None
        error = refused(lambda readings: readings.sink("out"), replace(source, format=replace(source.format, name="odd", flink=None)))
        assert error.fact == 'Flink has no format "odd" (of "readings")'

    def test_a_source_whose_partitions_nobody_knows(self) -> None:
        source = end("readings")
        assert source.connector.flink is not None
        unknown = replace(source, connector=replace(source.connector, flink=replace(source.connector.flink, partition=None)))
        error = refused(lambda readings: readings.window(tumble("1 minute")).agg(rows=count()).sink("out"), unknown)
        assert (error.code, "does not tell the partitions" in error.fact) == ("FLX-2652", True)

    def test_several_at_once(self) -> None:
        def build(readings: Stream) -> None:
            readings.expect(positive=col("value") > 0, on_failure="count").sink("a")
            readings.group_by("name", ttl="forever").agg(rows=count()).sink("b", key=["name"])

        error = refused(build)
        assert (error.code, error.fact) == ("FLX-2654", "Flink cannot run this plan: 2 problems")
        assert [line[:8] for line in error.detail.split("\n")] == ["FLX-2650", "FLX-2655"]
