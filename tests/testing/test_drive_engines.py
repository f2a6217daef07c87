"""A driven test gives the same rows on both engines; what is expected here was derived by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from fluxline import Pipeline, coalesce, col, count, functions, tumble
from fluxline.errors import DefinitionError
from fluxline.testing import utc

if TYPE_CHECKING:
    from fluxline import Sink, Stream
    from fluxline.testing import Drive

NOW = "2026-05-04T12:30Z"


def at(clock: str) -> datetime:
    return utc(f"2026-05-04T{clock}Z")


ORDER = {"id": "BIGINT NOT NULL", "name": "STRING", "amount": "DECIMAL(10, 2)", "at": "TIMESTAMP_LTZ(3)"}


@dataclass
class Shop:
    """A pipeline with a window and its late rows, a group that is updated, and rejected rows."""

    orders: Stream
    totals: Stream
    sink: Sink
    by_name: Sink
    names: Stream
    pipeline: Pipeline

    def order(self, number: int, clock: str | None, name: str | None = "ann", amount: str | None = "1.50") -> dict[str, Any]:
        value = None if amount is None else Decimal(amount)
        return {"id": number, "name": name, "amount": value, "at": None if clock is None else at(clock)}


def make_shop(**time: Any) -> Shop:
    pipeline = Pipeline("shop")
    orders = pipeline.source("orders", schema=ORDER, event_time="at", watermark="3 seconds", **time)
    totals = orders.window(tumble("10 seconds")).group_by("name").agg(rows=count(), amount=col("amount").sum())
    sink = totals.sink("totals")
    named = orders.filter(col("name").is_not_null())
    by_name = (
        named.with_columns(name=coalesce(col("name"), "")).group_by("name", ttl="forever").agg(last=col("id").max()).sink("by_name", key=["name"])
    )
    names = orders.group_by("name", ttl="forever").agg(rows=count(), amount=col("amount").sum()).named("names")
    return Shop(orders, totals, sink, by_name, names, pipeline)


def closed(run: Any, shop: Shop) -> list[tuple[str, str | None, int, Decimal | None]]:
    """The windows that have come out: the second they start at, name, rows, amount."""
    return [(f"{row['window_start']:%M:%S}", row["name"], row["rows"], row["amount"]) for row in run.rows(shop.sink)]


def test_windows_close_by_the_slowest_partition(drive: Drive) -> None:
    """Watermarks to the millisecond, a late row by its own partition, a restart, the end."""
    shop = make_shop()
    run = drive(shop.pipeline, partitions=2, now=NOW)
    assert run.rows(shop.sink) == []
    run.push(shop.orders, [shop.order(1, "12:00:01"), shop.order(2, "12:00:04", None, None)], partition=0)
    run.push(shop.orders, shop.order(3, "12:00:15"), partition=1)  # The watermark of partition 1 is 12, of partition 0 it is 1.
    run.advance_watermark("2026-05-04T12:00:09.998Z")
    assert closed(run, shop) == []
    run.advance_watermark("2026-05-04T12:00:09.999Z")
    first = [("00:00", None, 1, None), ("00:00", "ann", 1, Decimal("1.50"))]
    assert closed(run, shop) == first
    run.push(shop.orders, shop.order(4, "12:00:09"), partition=0)
    run.push(shop.orders, shop.order(5, "12:00:10", amount="0.01"), partition=0)
    assert [row["id"] for row in run.rows(shop.totals.late)] == [4]
    run.restart()
    run.push(shop.orders, shop.order(6, "12:00:19", amount=None), partition=1)
    assert closed(run, shop) == first
    run.finish()
    assert closed(run, shop) == [*first, ("00:10", "ann", 3, Decimal("1.51"))]
    with pytest.raises(DefinitionError, match="behind the end of the input"):
        run.push(shop.orders, shop.order(7, "12:01:00"))
    assert (run.report.read, run.report.late, run.report.rejected) == (6, 1, 0)
    assert run.report.written["totals"] == 3
    assert run.rows(shop.by_name) == [{"name": "ann", "last": 6}]
    assert [(row["window_start"].second, row["row_kind"]) for row in run.changelog(shop.sink)] == [(0, "+I"), (0, "+I"), (10, "+I")]


def test_updates_and_what_is_looked_at_late(drive: Drive) -> None:
    """A keyed sink, a stream whose key may be NULL, and one without a key, which nobody looked at before rows were there."""
    shop = make_shop()
    run = drive(shop.pipeline, now=NOW)
    run.push(shop.orders, [shop.order(1, "12:00:01"), shop.order(2, "12:00:02", None, None)])
    ann, nobody = {"name": "ann", "rows": 1, "amount": Decimal("1.50")}, {"name": None, "rows": 1, "amount": None}
    assert run.rows(shop.names) == [nobody, ann]
    assert run.rows(shop.by_name) == [{"name": "ann", "last": 1}]
    run.push(shop.orders, [shop.order(3, "12:00:01", "ann", "0.25"), shop.order(4, "12:00:02", "bob", None)])
    assert run.rows(shop.by_name) == [{"name": "ann", "last": 3}, {"name": "bob", "last": 4}]
    assert run.rows(shop.names.select(col("rows"))) == [{"rows": 1}, {"rows": 1}, {"rows": 2}]
    assert run.rows(shop.names) == [nobody, {"name": "ann", "rows": 2, "amount": Decimal("1.75")}, {"name": "bob", "rows": 1, "amount": None}]


def test_rejected_rows(drive: Drive) -> None:
    """NULL where none may be, no event time, a time too far ahead of the test's clock: counted, and moving no watermark."""
    shop = make_shop(max_future_skew="1 hour")
    run = drive(shop.pipeline, now=NOW)
    run.push(shop.orders, [shop.order(1, "12:00:01"), {**shop.order(2, "12:00:02"), "id": None}])
    run.advance_watermark("2026-05-04T11:00Z")
    run.push(shop.orders, [shop.order(3, None), shop.order(4, "13:30:00.001"), shop.order(5, "13:30:00")])
    run.advance_clock("1 second")
    run.push(shop.orders, [shop.order(6, "13:30:01"), shop.order(7, "13:30:01.001")])
    rejected = [
        {name: row[name] for name in ("reason", "partition", "position", "event_time", "rejected_at", "record")}
        for row in sorted(run.rows(shop.orders.rejected), key=lambda row: row["position"])
    ]
    later = at("12:30:01")
    assert rejected == [
        {"reason": "missing", "partition": "0", "position": 1, "event_time": None, "rejected_at": at("12:30:00"), "record": None},
        {"reason": "no_event_time", "partition": "0", "position": 2, "event_time": None, "rejected_at": at("12:30:00"), "record": None},
        {"reason": "too_far_ahead", "partition": "0", "position": 3, "event_time": at("13:30:00.001"), "rejected_at": at("12:30:00"), "record": None},
        {"reason": "too_far_ahead", "partition": "0", "position": 6, "event_time": at("13:30:01.001"), "rejected_at": later, "record": None},
    ]
    assert closed(run, shop) == [("00:00", "ann", 1, Decimal("1.50"))]
    assert (run.report.read, run.report.rejected) == (7, 4)
    reasons = run.report.operators["orders"].reasons
    assert reasons == {"missing": 1, "no_event_time": 1, "too_far_ahead": 2}


TYPES: dict[str, tuple[Any, Any]] = {
    "BOOLEAN": (True, False),
    "TINYINT": (-128, 127),
    "SMALLINT": (-32768, 32767),
    "INT": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "FLOAT": (0.5, -3.4028234663852886e38),
    "DOUBLE": (0.1, 1.7976931348623157e308),
    "DECIMAL(38, 18)": (Decimal("0.000000000000000001"), Decimal("-99999999999999999999.999999999999999999")),
    "STRING": ('a "quoted"\nline \\ é 日本', ""),
    "CHAR(3)": ("abc", "xyz"),
    "BYTES": (b"\x00\xff", b""),
    "DATE": (date(1969, 12, 31), date(9999, 12, 31)),
    "TIME(3)": (time(0, 0, 0, 1000), time(23, 59, 59, 999000)),
    "TIMESTAMP(6)": (utc("1969-12-31T23:59:59.999999").replace(tzinfo=None), utc("9999-12-31").replace(tzinfo=None)),
    "TIMESTAMP_LTZ(3)": (datetime(1969, 12, 31, 23, 59, 59, 999000, UTC), datetime(2400, 2, 29, tzinfo=UTC)),
    "ARRAY<BIGINT>": ([1, None, -3], []),
    "MAP<STRING, DOUBLE>": ([{"key": "a", "value": 0.5}, {"key": "b", "value": None}], []),
    "ROW<x BIGINT, y ARRAY<STRING>>": ({"x": 1, "y": ["b", None]}, {"x": None, "y": None}),
}


def test_every_type(drive: Drive) -> None:
    """Values and NULLs come out as they were pushed; times of both kinds and one that is computed move the watermark."""
    pipeline = Pipeline("types")
    columns = {f"c{number}": kind for number, kind in enumerate(TYPES)}
    source = pipeline.source(
        "rows",
        schema={"id": "BIGINT NOT NULL", **columns, "ms": "BIGINT NOT NULL"},
        event_time=functions.to_timestamp_ltz(col("ms"), 3).alias("at"),
        watermark="1 second",
    )
    passed = source.select("id", *columns).sink("passed")
    counted = source.window(tumble("1 minute")).agg(rows=count()).sink("counted")
    plain = pipeline.source("plain", schema={"at": "TIMESTAMP(3) NOT NULL"}, event_time="at", watermark="1 second")
    minutes = plain.window(tumble("1 minute")).agg(rows=count()).sink("minutes")
    run = drive(pipeline, now=NOW)
    start_ms = round(at("12:00:00").timestamp() * 1000)
    rows = [
        {"id": 1, **{name: values[0] for name, values in zip(columns, TYPES.values(), strict=True)}},
        {"id": 2, **{name: values[1] for name, values in zip(columns, TYPES.values(), strict=True)}},
        {"id": 3, **dict.fromkeys(columns)},
    ]
    run.push(source, [{**row, "ms": start_ms + 1000 * index} for index, row in enumerate(rows)])
    noon = at("12:00:00").replace(tzinfo=None)
    run.push(plain, [{"at": noon}, {"at": noon + timedelta(seconds=59.999)}])
    assert run.rows(passed) == rows
    assert run.rows(counted) == run.rows(minutes) == []
    run.advance_watermark("2026-05-04T12:00:59.999Z")
    one = {"window_start": noon, "window_end": noon + timedelta(minutes=1)}
    assert run.rows(counted) == [{**one, "rows": 3}]
    assert run.rows(minutes) == [{**one, "rows": 2}]
