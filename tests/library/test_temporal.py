"""Functions of dates and times, against what Apache Flink 2.3 gave for the same calls, quirks before 1970 included."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from fluxline.library.function import ArgumentMismatch
from tests.library.expressions import Operand, call, table


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


TIMES = table(
    ts=("TIMESTAMP(3)", [at("2024-06-07 12:34:56.789"), at("1960-02-29 23:59:59.999"), at("2023-01-01"), at("2020-12-31"), None]),
    old=("TIMESTAMP(3)", [at("1960-02-29 13:34:56.987"), at("1969-12-31"), at("1960-02-29"), at("1970-01-01"), None]),
    t6=("TIMESTAMP(6)", [at("2024-06-07 12:00:00.123456"), at("1969-12-31 23:59:59.999999"), at("2021-01-03"), None, None]),
    tl=("TIMESTAMP_LTZ(3)", [at("2024-06-07 12:00:00"), at("1960-02-29 13:34:56.987"), at("2026-12-31"), at("2021-01-01"), None]),
    dt=("DATE", [date(2024, 6, 7), date(1960, 2, 29), date(2023, 1, 1), date(2020, 12, 31), None]),
    tm=("TIME(3)", [time(12, 1, 2, 100_000), time(23, 59, 59, 999_000), time(0), None, None]),
    b=("BIGINT", [2, 0, 1717761600123, -1, None]),
)
EVENT, OLD, T6, TL, DT, TM, B = (TIMES.col(name) for name in ("ts", "old", "t6", "tl", "dt", "tm", "b"))

MILLIS = [at("1970-01-01 00:00:00.002"), at("1970-01-01"), at("2024-06-07 12:00:00.123"), at("1969-12-31 23:59:59.999"), None]
MICROS = [at("1970-01-01 00:00:00.000002"), at("1970-01-01"), at("1970-01-20 21:09:21.600123"), at("1969-12-31 23:59:59.999999"), None]
PRINTED = ["2024-06-07 12:34:56.789", "1960-02-29 23:59:59.999", "2023-01-01 00:00:00.000", "2020-12-31 00:00:00.000", None]
LETTERS = [
    "24 6 7 12 PM Fri Fri Friday 159 789000",
    "60 2 29 11 PM Mon Mon Monday 60 999000",
    "23 1 1 12 AM Sun Sun Sunday 1 000000",
    "20 12 31 12 AM Thu Thu Thursday 366 000000",
    None,
]

CASES: list[tuple[str, tuple[Operand, ...], list[Any]]] = [
    ("YEAR", (DT,), [2024, 1960, 2023, 2020, None]),
    ("YEAR", (EVENT,), [2024, 1960, 2023, 2020, None]),
    ("YEAR", (T6,), [2024, 1970, 2021, None, None]),
    ("MONTH", (EVENT,), [6, 3, 1, 12, None]),
    ("QUARTER", (EVENT,), [2, 1, 1, 4, None]),
    ("WEEK", (EVENT,), [23, 9, 52, 53, None]),
    ("WEEK", (DT,), [23, 9, 52, 53, None]),
    ("WEEK", (TL,), [23, 9, 53, 53, None]),
    ("DAYOFYEAR", (EVENT,), [159, 61, 1, 366, None]),
    ("DAYOFMONTH", (EVENT,), [7, 1, 1, 31, None]),
    ("DAYOFWEEK", (EVENT,), [6, 3, 1, 5, None]),
    ("DAYOFWEEK", (DT,), [6, 2, 1, 5, None]),
    ("HOUR", (EVENT,), [12, 0, 0, 0, None]),
    ("MINUTE", (EVENT,), [34, 0, 0, 0, None]),
    ("SECOND", (EVENT,), [56, 0, 0, 0, None]),
    ("HOUR", (OLD,), [-10, 0, 0, 0, None]),
    ("MINUTE", (OLD,), [-25, 0, 0, 0, None]),
    ("SECOND", (OLD,), [-3, 0, 0, 0, None]),
    ("DAYOFMONTH", (OLD,), [1, 31, 29, 1, None]),
    ("MONTH", (OLD,), [3, 12, 2, 1, None]),
    ("DAYOFYEAR", (OLD,), [61, 365, 60, 1, None]),
    ("WEEK", (OLD,), [9, 1, 9, 1, None]),
    ("DAYOFWEEK", (OLD,), [3, 4, 2, 5, None]),
    ("HOUR", (TL,), [12, -10, 0, 0, None]),
    ("HOUR", (TM,), [12, 23, 0, None, None]),
    ("MINUTE", (TM,), [1, 59, 0, None, None]),
    ("SECOND", (TM,), [2, 59, 0, None, None]),
    ("FLOOR TO", (EVENT, "HOUR"), [at("2024-06-07 12:00"), at("1960-02-29 23:00"), at("2023-01-01"), at("2020-12-31"), None]),
    ("FLOOR TO", (EVENT, "DAY"), [at("2024-06-07"), at("1960-02-29"), at("2023-01-01"), at("2020-12-31"), None]),
    ("FLOOR TO", (EVENT, "MONTH"), [at("2024-06-01"), at("1960-03-01"), at("2023-01-01"), at("2020-12-01"), None]),
    ("FLOOR TO", (EVENT, "WEEK"), [at("2024-06-02"), at("1960-02-28"), at("2023-01-01"), at("2020-12-27"), None]),
    ("FLOOR TO", (EVENT, "QUARTER"), [at("2024-04-01"), at("1960-01-01"), at("2023-01-01"), at("2020-10-01"), None]),
    ("FLOOR TO", (EVENT, "YEAR"), [at("2024-01-01"), at("1960-01-01"), at("2023-01-01"), at("2020-01-01"), None]),
    ("FLOOR TO", (EVENT, "MINUTE"), [at("2024-06-07 12:34"), at("1960-02-29 23:59"), at("2023-01-01"), at("2020-12-31"), None]),
    ("FLOOR TO", (EVENT, "second"), [at("2024-06-07 12:34:56"), at("1960-02-29 23:59:59"), at("2023-01-01"), at("2020-12-31"), None]),
    ("FLOOR TO", (T6, "SECOND"), [at("2024-06-07 12:00"), at("1969-12-31 23:59:59"), at("2021-01-03"), None, None]),
    ("FLOOR TO", (DT, "MONTH"), [date(2024, 6, 1), date(1960, 2, 1), date(2023, 1, 1), date(2020, 12, 1), None]),
    ("FLOOR TO", (DT, "WEEK"), [date(2024, 6, 2), date(1960, 2, 28), date(2023, 1, 1), date(2020, 12, 27), None]),
    ("FLOOR TO", (DT, "YEAR"), [date(2024, 1, 1), date(1960, 1, 1), date(2023, 1, 1), date(2020, 1, 1), None]),
    ("TO_TIMESTAMP_LTZ", (B, 3), MILLIS),
    ("TO_TIMESTAMP_LTZ", (B,), MILLIS),
    ("TO_TIMESTAMP_LTZ", (B, 0), [at("1970-01-01 00:00:02"), at("1970-01-01"), None, at("1969-12-31 23:59:59"), None]),
    ("TO_TIMESTAMP_LTZ", (B, 6), MICROS),
    ("DATE_FORMAT", (EVENT, "yyyy-MM-dd HH:mm:ss.SSS"), PRINTED),
    ("DATE_FORMAT", (EVENT, "yy M d h a E EEE EEEE D SSSSSS"),
     LETTERS),
    ("DATE_FORMAT", (TL, "yyyy-MM-dd HH"), ["2024-06-07 12", "1960-02-29 13", "2026-12-31 00", "2021-01-01 00", None]),
    ("DATE_FORMAT", (T6, "SSSSSS SSS SS"), ["123456 123 12", "999999 999 99", "000000 000 00", None, None]),
    ("DATE_FORMAT", (EVENT, "'at' HH'h' '%' ''"), ["at 12h % '", "at 23h % '", "at 00h % '", "at 00h % '", None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "results"), CASES)
def test_a_function_of_time_gives_what_flink_gives(name: str, arguments: tuple[Operand, ...], results: list[Any]) -> None:
    expression = call(name, *arguments)
    assert TIMES.evaluate(expression) == (results, [False] * 5)
    assert TIMES.evaluate_in_polars(expression) == (results, [False] * 5)


def test_numbers_outside_the_years_0000_to_9999_are_no_time() -> None:
    made = table(
        seconds=("BIGINT", [253402300799, 253402300800, -62135596800, -62167219201, 9223372036854775807, None]),
        millis=("BIGINT", [253402300799999, 253402300800000, -62135596800000, -62167219200001, -9223372036854775808, None]),
    )
    for evaluate in (made.evaluate, made.evaluate_in_polars):
        assert evaluate(call("TO_TIMESTAMP_LTZ", made.col("seconds"), 0))[0] == [at("9999-12-31 23:59:59"), None, at("0001-01-01"), None, None, None]
        assert evaluate(call("TO_TIMESTAMP_LTZ", made.col("millis"), 3))[0] == [
            at("9999-12-31 23:59:59.999"),
            None,
            at("0001-01-01"),
            None,
            None,
            None,
        ]


def test_text_that_is_no_time_is_null() -> None:
    made = table(s=("STRING", ["2024-06-07 12:00:00", "2024-6-7 1:2:3", "2024-06-07 24:00:00", "2023-02-29", "2024-06-07T12:00:00", "x", None]))
    wanted = [at("2024-06-07 12:00"), at("2024-06-07 01:02:03"), at("2024-06-08"), at("2023-02-28"), None, None, None]
    assert made.evaluate(call("TO_TIMESTAMP", made.col("s"))) == (wanted, [False] * 7)


def test_fields_of_every_hour_around_1970_agree_in_both_forms() -> None:
    start = at("1968-12-30")
    made = table(ts=("TIMESTAMP(3)", [start + timedelta(hours=7 * index, milliseconds=index) for index in range(3000)]))
    for name in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAYOFYEAR", "DAYOFMONTH", "DAYOFWEEK", "HOUR", "MINUTE", "SECOND"):
        expression = call(name, made.col("ts"))
        assert made.evaluate(expression) == made.evaluate_in_polars(expression)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("YEAR", (TM,)), ("HOUR", (DT,)), ("FLOOR TO", (DT, "HOUR")), ("FLOOR TO", (EVENT, "CENTURY")), ("FLOOR TO", (EVENT, EVENT)),
     ("TO_TIMESTAMP_LTZ", (B, 1)),
     ("TO_TIMESTAMP_LTZ", ("x",)), ("DATE_FORMAT", (EVENT, "w")), ("DATE_FORMAT", (EVENT, "'x")), ("DATE_FORMAT", (DT, "yyyy")), ("=", (EVENT, TL)),
     ("=", (DT, EVENT))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(name: str, arguments: tuple[Operand, ...]) -> None:
    with pytest.raises(ArgumentMismatch) as caught:
        call(name, *arguments)
    assert str(caught.value).endswith(".")


def test_text_meets_a_time_as_a_time() -> None:
    assert TIMES.evaluate(call("=", DT, "2024-06-07"))[0] == [True, False, False, False, None]
    assert TIMES.evaluate(call("<", EVENT, "2023-06-07 12:00:00"))[0] == [False, True, True, True, None]
