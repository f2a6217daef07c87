"""What every verb does to rows: small inputs, results worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from fluxline import Pipeline, Schema, Sink, Stream, coalesce, col, concat, count, functions, lit, tumble, when
from fluxline.errors import FunctionFailed

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2024, 6, 7, 12, tzinfo=UTC)


class Reading(Schema):
    sensor: int
    place: str | None
    value: float | None
    at: datetime


def minutes(number: float) -> datetime:
    """An instant so many minutes after noon."""
    return AT + timedelta(minutes=number)


ROWS: list[dict[str, Any]] = [
    {"sensor": 1, "place": "kitchen", "value": 20.0, "at": minutes(1)},
    {"sensor": 2, "place": None, "value": 30.5, "at": minutes(2)},
    {"sensor": 1, "place": "hall", "value": None, "at": minutes(61)},
]
sensors = Pipeline("sensors")
readings = sensors.source("readings", schema=Reading, event_time="at", watermark="10 minutes")


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame in the types of the source."""
    return pl.DataFrame(rows, schema={"sensor": pl.Int64, "place": pl.String, "value": pl.Float64, "at": pl.Datetime("ms", "UTC")})


def rows_of(stream: Stream, **options: Any) -> list[dict[str, Any]]:
    """The rows that a stream gives for the three readings."""
    return stream.collect(inputs={readings: frame(ROWS)}, **options).to_dicts()


def test_a_source_gives_its_rows() -> None:
    """Instants with their zone."""
    assert rows_of(readings) == ROWS


def test_filter_keeps_what_is_true() -> None:
    """NULL is not; several conditions all hold."""
    assert [row["sensor"] for row in rows_of(readings.filter(col("value") > 10))] == [1, 2]
    assert [row["sensor"] for row in rows_of(readings.filter(col("value") > 10, col("place").is_not_null()))] == [1]
    assert [row["at"] for row in rows_of(readings.filter(~(col("value") > 25)))] == [minutes(1)]


def test_select_keeps_exactly_these() -> None:
    """Names, expressions with names, and computed ones, in their order."""
    stream = readings.select("sensor", col("place").alias("room"), col("value"), double=col("value") * 2, seven=7)
    assert dict(stream.schema) == {"sensor": "BIGINT NOT NULL", "room": "STRING", "value": "DOUBLE", "double": "DOUBLE", "seven": "INT NOT NULL"}
    assert rows_of(stream)[0] == {"sensor": 1, "room": "kitchen", "value": 20.0, "double": 40.0, "seven": 7}


def test_with_columns_replaces_in_place_and_adds_behind() -> None:
    """All are computed from the columns before."""
    stream = readings.with_columns(value=col("value") + 1, before=col("value")).drop("at", "place")
    assert list(stream.schema) == ["sensor", "value", "before"]
    assert rows_of(stream)[0] == {"sensor": 1, "value": 21.0, "before": 20.0}


def test_rename_keeps_the_order() -> None:
    """And may swap two names."""
    stream = readings.rename({"sensor": "value", "value": "sensor"}).drop("place", "at")
    assert rows_of(stream)[0] == {"value": 1, "sensor": 20.0}


def test_case_coalesce_and_concat() -> None:
    """As SQL: the first branch that is TRUE; NULL in CONCAT is NULL."""
    stream = readings.select(
        level=when(col("value") > 25).then("warm").when(col("value") > 10).then("mild").otherwise(None),
        known=coalesce(col("place"), "nowhere"),
        text=concat("sensor ", col("sensor"), " in ", col("place")),
        constant=lit("c"),
    )
    assert rows_of(stream) == [
        {"level": "mild", "known": "kitchen", "text": "sensor 1 in kitchen", "constant": "c"},
        {"level": "warm", "known": "nowhere", "text": None, "constant": "c"},
        {"level": None, "known": "hall", "text": "sensor 1 in hall", "constant": "c"},
    ]


def test_division_is_python_s() -> None:
    """`/` divides truly, `//` and `%` floor; `functions.divide` is SQL's."""
    number = -7 * col("sensor")
    stream = readings.select(true=number / 2, floor=number // 2, rest=number % 2, sql=functions.divide(number, 2))
    assert rows_of(stream)[0] == {"true": -3.5, "floor": -4, "rest": 1, "sql": -3}


def test_text_and_time_have_their_functions() -> None:
    """In their namespaces."""
    text, time = col("place").str, col("at").dt
    stream = readings.select(
        upper=text.upper(), length=text.char_length(), part=text.substring(2, 3), tail=text.substring(3), like=text.like("%tch%"),
        swapped=text.replace("i", "1"), hour=time.hour(), minute=time.minute(), quarter=time.quarter(),
    )  # fmt: skip
    assert rows_of(stream)[0] == {
        "upper": "KITCHEN", "length": 7, "part": "itc", "tail": "tchen", "like": True, "swapped": "k1tchen", "hour": 12, "minute": 1, "quarter": 2,
    }  # fmt: skip


def test_conversions() -> None:
    """CAST and TRY_CAST, from a Python type, a Flink text or a type of `fluxline.types`."""
    stream = readings.select(text=col("sensor").cast(str), number=col("place").try_cast("INT"), small=col("sensor").cast("SMALLINT"))
    assert dict(stream.schema) == {"text": "STRING NOT NULL", "number": "INT", "small": "SMALLINT NOT NULL"}
    assert rows_of(stream)[0] == {"text": "1", "number": None, "small": 1}


def test_a_window_emits_each_group_once() -> None:
    """Aggregates leave NULL out; a group without values has NULL, and counts 0."""
    hourly = readings.window(tumble("1 hour")).group_by("sensor").agg(mean=col("value").avg(), rows=count(), values=col("value").count())
    start = datetime.fromisoformat
    assert sorted(rows_of(hourly), key=lambda row: (row["window_start"], row["sensor"])) == [
        {"sensor": 1, "window_start": start("2024-06-07T12:00"), "window_end": start("2024-06-07T13:00"), "mean": 20.0, "rows": 1, "values": 1},
        {"sensor": 2, "window_start": start("2024-06-07T12:00"), "window_end": start("2024-06-07T13:00"), "mean": 30.5, "rows": 1, "values": 1},
        {"sensor": 1, "window_start": start("2024-06-07T13:00"), "window_end": start("2024-06-07T14:00"), "mean": None, "rows": 1, "values": 0},
    ]
    assert not hourly.updating
    assert hourly.key is None


def test_a_window_without_keys_and_with_an_offset() -> None:
    """Windows start half an hour before the hour: the third reading is in another one than the first two."""
    stream = readings.window(tumble("1 hour", offset="30 minutes")).agg(rows=count(), warm=count().filter(col("value") > 25), high=col("value").max())
    assert [(row["window_start"].minute, row["rows"], row["warm"], row["high"]) for row in rows_of(stream)] == [(30, 2, 1, 30.5), (30, 1, 0, None)]


def test_a_window_over_results_of_windows() -> None:
    """Hours become a day."""
    hourly = readings.window(tumble("1 hour")).group_by("sensor").agg(rows=count())
    daily = hourly.unwindow().window(tumble("1 day")).agg(rows=col("rows").sum())
    assert [row["rows"] for row in rows_of(daily)] == [3]


def test_results_that_left_their_windows_are_grouped_as_a_whole() -> None:
    """The two hours of sensor 1 become one row; a filter or a name in between changes nothing."""
    hourly = readings.window(tumble("1 hour")).group_by("sensor").agg(rows=count())
    totals = hourly.unwindow().filter(col("rows") > 0).named("left").group_by("sensor", ttl="forever").agg(rows=col("rows").sum())
    assert {row["sensor"]: row["rows"] for row in rows_of(totals)} == {1: 2, 2: 1}


def test_a_group_without_a_window_is_updating() -> None:
    """Final rows, or every change."""
    totals = readings.group_by("sensor", ttl="forever").agg(rows=count())
    assert (totals.updating, totals.key) == (True, ("sensor",))
    assert sorted(rows_of(totals), key=lambda row: row["sensor"]) == [{"sensor": 1, "rows": 2}, {"sensor": 2, "rows": 1}]
    changes = rows_of(totals, changelog=True)
    assert {row["row_kind"] for row in changes} <= {"+I", "-U", "+U"}
    assert [row["row_kind"] for row in changes].count("+I") == 2


def test_a_computed_key() -> None:
    """It has a name."""
    stream = readings.window(tumble("1 day")).group_by((col("sensor") % 2).alias("odd")).agg(rows=count())
    assert sorted((row["odd"], row["rows"]) for row in rows_of(stream)) == [(0, 1), (1, 2)]


def test_agg_of_the_whole_stream() -> None:
    """One row, updated."""
    assert rows_of(readings.agg(rows=count(), high=col("value").max())) == [{"rows": 3, "high": 30.5}]


def test_union_all_matches_by_name() -> None:
    """Types meet in their common one; the order of the first stream holds."""
    one = readings.select("sensor", x=lit(1))
    other = readings.filter(col("sensor") == 2).select(x=lit(2.5), sensor=col("sensor"))
    both = one.union_all(other)
    assert dict(both.schema) == {"sensor": "BIGINT NOT NULL", "x": "DOUBLE NOT NULL"}
    assert sorted((row["sensor"], row["x"]) for row in rows_of(both)) == [(1, 1.0), (1, 1.0), (2, 1.0), (2, 2.5)]


def test_expect_rejects_what_breaks_a_rule() -> None:
    """NULL breaks it; the first rule that is broken is named."""
    checked = readings.expect(known=col("place").is_not_null(), positive=col("value") > 0)
    assert [row["place"] for row in rows_of(checked)] == ["kitchen"]
    rejected = rows_of(checked.rejected)
    assert [(row["reason"], row["rule"]) for row in rejected] == [("rule", "known"), ("rule", "positive")]
    assert [row["event_time"] for row in rejected] == [minutes(2), minutes(61)]
    assert rejected[0]["record"].startswith(b'{"sensor":2,')


def test_expect_counts_or_stops() -> None:
    """As it is told."""
    assert len(rows_of(readings.expect(positive=col("value") > 0, on_failure="count"))) == 3
    with pytest.raises(FunctionFailed) as caught:
        rows_of(readings.expect(positive=col("value") > 0, on_failure="fail"))
    assert caught.value.code == "FLX-3010"
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


def test_map_batches_gets_and_gives_frames() -> None:
    """Of the declared columns."""

    def doubled(rows: pl.DataFrame) -> pl.DataFrame:
        assert rows.columns == ["sensor", "place", "value", "at"]
        return rows.select("sensor", value=pl.col("value") * 2).filter(pl.col("value").is_not_null())

    stream = readings.map_batches(doubled, schema={"sensor": "BIGINT NOT NULL", "value": "DOUBLE"})
    assert rows_of(stream) == [{"sensor": 1, "value": 40.0}, {"sensor": 2, "value": 61.0}]


def test_map_batches_rejects_the_rows_that_it_raises_for() -> None:
    """And no others of their batch."""

    def picky(rows: pl.DataFrame) -> pl.DataFrame:
        if rows["place"].has_nulls():
            raise ValueError("no place")
        return rows.select("sensor")

    stream = readings.map_batches(picky, schema={"sensor": "BIGINT"})
    assert rows_of(stream) == [{"sensor": 1}, {"sensor": 1}]
    assert [(row["reason"], row["detail"]) for row in rows_of(stream.rejected)] == [("function", "ValueError: no place")]
    with pytest.raises(FunctionFailed):
        rows_of(readings.map_batches(picky, schema={"sensor": "BIGINT"}, on_error="fail"))


def test_rejected_rows_of_a_conversion() -> None:
    """One row fails, two pass."""
    stream = readings.with_columns(number=when(col("sensor") == 2).then("x").otherwise("7").cast(int)).select("sensor", "number")
    assert rows_of(stream) == [{"sensor": 1, "number": 7}, {"sensor": 1, "number": 7}]
    converted = readings.with_columns(number=when(col("sensor") == 2).then("x").otherwise("7").cast(int))
    assert [row["reason"] for row in rows_of(converted.rejected)] == ["function"]


def test_late_rows_have_the_columns_of_the_window_s_input() -> None:
    """A reading of 12:01 after one of 13:30: the watermark is 13:20, its window is closed."""
    hourly = readings.window(tumble("1 hour")).agg(rows=count())
    late: dict[str, Any] = {"sensor": 9, "place": "attic", "value": 1.0, "at": minutes(1)}
    first: dict[str, Any] = {"sensor": 1, "place": None, "value": None, "at": minutes(90)}
    given = frame([first, late])
    assert hourly.late.collect(inputs={readings: given}).to_dicts() == [late]
    assert [row["rows"] for row in hourly.collect(inputs={readings: given}).to_dicts()] == [1]


def test_named_changes_nothing_but_the_name() -> None:
    """And shows in messages."""
    stream = readings.filter(col("sensor") == 1).named("ones")
    assert rows_of(stream) == [ROWS[0], ROWS[2]]
    assert repr(stream).startswith("Stream(ones: sensor BIGINT,")


def test_pipe_calls_a_function_with_the_stream() -> None:
    """To keep a chain."""

    def only(stream: Stream, sensor: int, *, above: float) -> Stream:
        return stream.filter(col("sensor") == sensor, col("value") > above)

    assert rows_of(readings.pipe(only, 1, above=10)) == [ROWS[0]]


def test_a_sink_ends_a_chain() -> None:
    """Its key is a column, several, or an updating stream's own."""
    pipeline = Pipeline("p")
    source = pipeline.source("s", schema=Reading, event_time="at")
    assert source.sink("rows").key is None
    assert source.sink("one", key="sensor").key == ("sensor",)
    assert source.sink("two", key=["sensor", col("at")]).key == ("sensor", "at")
    totals = source.group_by("sensor", ttl="7 days").agg(rows=count())
    assert totals.sink("own").key == ("sensor",)
    assert totals.sink("more", key=["rows", "sensor"]).key == ("rows", "sensor")
    kept = source.select("sensor").sink("promised", schema={"sensor": "BIGINT"})
    assert isinstance(kept, Sink)
    assert (kept.name, repr(kept)) == ("promised", "Sink(promised: sensor BIGINT)")


def test_collect_reads_files(tmp_path: Path) -> None:
    """By their suffix."""
    (tmp_path / "rows.ndjson").write_text('{"sensor": 1, "at": "2024-06-07T12:00:00Z"}\n{"sensor": "x"}\n', encoding="utf-8")
    (tmp_path / "rows.csv").write_text("sensor,place,value,at\n1,kitchen,2.5,2024-06-07T12:00:00Z\n", encoding="utf-8")
    for file, value in (("rows.ndjson", None), ("rows.csv", 2.5)):
        found = readings.collect(inputs={readings: tmp_path / file}).to_dicts()
        assert [(row["sensor"], row["value"], row["at"]) for row in found] == [(1, value, AT)]
    rejected = readings.rejected.collect(inputs={readings: str(tmp_path / "rows.ndjson")})
    assert rejected["reason"].to_list() == ["wrong_type"]


def test_collect_stops_at_its_bound() -> None:
    """Of rows."""
    assert rows_of(readings, rows_max=2) == ROWS[:2]


def test_collect_of_nothing_has_the_columns() -> None:
    """In their types."""
    empty = readings.filter(col("sensor") > 99).collect(inputs={readings: frame(ROWS)})
    assert (empty.height, empty.columns) == (0, ["sensor", "place", "value", "at"])
    assert empty.schema["at"] == pl.Datetime("ms", "UTC")


def test_an_event_time_under_another_name_and_a_computed_one() -> None:
    """Both are columns behind the declared ones."""
    pipeline = Pipeline("p")
    renamed = pipeline.source("renamed", schema={"id": "INT", "t": "TIMESTAMP_LTZ(3)"}, event_time=col("t").alias("at"))
    given = pl.DataFrame({"id": [1, 2], "t": [AT, None]}, schema={"id": pl.Int32, "t": pl.Datetime("ms", "UTC")})
    assert renamed.collect(inputs={renamed: given}).to_dicts() == [{"id": 1, "t": AT, "at": AT}]
    assert renamed.rejected.collect(inputs={renamed: given})["reason"].to_list() == ["no_event_time"]
    computed = pipeline.source("computed", schema={"ms": "BIGINT"}, event_time=functions.to_timestamp_ltz(col("ms"), 3).alias("at"))
    hourly = computed.select("at").window(tumble("1 hour")).agg(rows=count())
    found = hourly.collect(inputs={computed: pl.DataFrame({"ms": [0, 3_599_999, 3_600_000]})})
    assert found["rows"].to_list() == [2, 1]


def test_a_decimal_sum_that_does_not_fit() -> None:
    """Key 1 has too many digits in the middle only, key 2 at the end: per window and as a group."""
    schema = {"key": "BIGINT NOT NULL", "amount": "DECIMAL(38, 0)", "at": "TIMESTAMP_LTZ(3) NOT NULL"}
    payments = Pipeline("payments").source("payments", schema=schema, event_time="at")
    most, at = Decimal("9" * 38), datetime(2024, 6, 7, 12, tzinfo=UTC)
    amounts = [(1, most), (1, most), (2, most), (2, Decimal(1)), (1, Decimal("-" + "9" * 38)), (2, None)]
    frame = pl.DataFrame(
        {"key": [key for key, _ in amounts], "amount": pl.Series([amount for _, amount in amounts], dtype=pl.Decimal(38, 0)), "at": [at] * 6}
    )
    for grouped in (payments.window(tumble("1 hour")).group_by("key"), payments.group_by("key", ttl="forever")):
        found = grouped.agg(total=col("amount").sum()).collect(inputs={payments: frame})
        assert {row["key"]: row["total"] for row in found.to_dicts()} == {1: most, 2: None}
