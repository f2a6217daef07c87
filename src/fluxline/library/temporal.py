"""Functions of dates and times. TIMESTAMP_LTZ is read in UTC.

As in Flink, the fields of a time before 1970 are counted from the day boundary towards 1970: of 1960-02-29 13:34:56.987 the
DAYOFMONTH is 1 and the HOUR is -10. FLOOR TO second, minute, hour and day is true before 1970 too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fluxline.library.casts import days_towards_1970, truncated_quotient
from fluxline.library.function import ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import fitted, is_integer, is_text, need, need_count, propagated
from fluxline.library.parse import timestamp_of
from fluxline.library.patterns import date_pattern
from fluxline.schema import BIGINT, DATE, STRING, LogicalType, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
else:
    np, pl = LazyModule("numpy"), LazyModule("polars")

Types = tuple[LogicalType, ...]
MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND = 86_400_000, 3_600_000, 60_000, 1_000
LTZ_MS_MIN, LTZ_MS_MAX = -62_167_219_200_000, 253_402_300_799_999  # Years 0000 to 9999: beyond is NULL, as in Flink.
UNIT_MS = {"SECOND": MS_PER_SECOND, "MINUTE": MS_PER_MINUTE, "HOUR": MS_PER_HOUR, "DAY": MS_PER_DAY}
CALENDAR = {"WEEK": "1w", "MONTH": "1mo", "QUARTER": "1q", "YEAR": "1y"}
EXAMPLE_TIME = datetime(2024, 6, 7, 12, 34, 56, 789_000)  # noqa: DTZ001  # a TIMESTAMP has no time zone
SUNDAY_FIRST = 4  # 1970-01-01 was a Thursday: day 0 of a week that began four days before.


def _infer_field(name: str, roots: tuple[str, ...]) -> Callable[..., Signature]:
    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, 1)
        need(name, 0, types[0], f"one of {', '.join(roots)}", lambda kind: kind.root in roots)
        kind = fitted(types[0], DATE if roots[0] == "DATE" else timestamp(3, local=False)) if types[0].root == "NULL" else types[0]
        return propagated((kind,), BIGINT, constants)

    return infer


def _day_field(name: str, doc: str, example: int, of_expression: Callable[[pl.Expr], pl.Expr], of_days: Callable[[Any], Any]) -> Function:
    """A field of the day: of a DATE, or of the day that a timestamp lies in."""

    def polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
        if use.arguments[0].root == "DATE":
            return lambda value: of_expression(value).cast(pl.Int64)
        return lambda value: of_expression(days_towards_1970(value).cast(pl.Int32).cast(pl.Date)).cast(pl.Int64)

    def numpy(use: Signature) -> Callable[[Any], Any]:
        if use.arguments[0].root == "DATE":
            return of_days
        return lambda value: of_days(truncated_quotient(_milliseconds(value), MS_PER_DAY).view("datetime64[D]"))

    return Function(
        name=name,
        doc=doc,
        takes="DATE, TIMESTAMP or TIMESTAMP_LTZ",
        example=((EXAMPLE_TIME,), example),
        infer=_infer_field(name, ("DATE", "TIMESTAMP", "TIMESTAMP_LTZ")),
        polars=polars,
        numpy=numpy,
        flink=name,
        python=f'col("x").dt.{"day" if name == "DAYOFMONTH" else name.lower()}()'
        if name in ("YEAR", "QUARTER", "MONTH", "DAYOFMONTH")
        else f'functions.{name.lower()}(col("x"))',
    )


def _milliseconds(value: Any) -> Any:
    return value.astype("datetime64[ms]").view(np.int64)


def _months(days: Any) -> Any:
    return days.astype("datetime64[M]").view(np.int64)


def _iso_week(days: Any) -> Any:
    # The week that has the year's first Thursday is the first: number the Thursday of each day's week.
    thursday = days.view(np.int64) - (days.view(np.int64) + 3) % 7 + 3
    year_start = thursday.view("datetime64[D]").astype("datetime64[Y]").astype("datetime64[D]").view(np.int64)
    return (thursday - year_start) // 7 + 1


def _time_field(name: str, doc: str, example: int, larger: int, unit: int) -> Function:
    """A field of the time of day: how many units since the last larger one."""

    def of_milliseconds(value: Any) -> Any:
        ticks = _milliseconds(value)
        return truncated_quotient(ticks - truncated_quotient(ticks, larger) * larger, unit)

    def polars(use: Signature) -> Callable[[pl.Expr], pl.Expr]:
        if use.arguments[0].root == "TIME":
            return lambda value: getattr(value.dt, name.lower())().cast(pl.Int64)

        def of_expression(value: pl.Expr) -> pl.Expr:
            ticks = value.dt.epoch("ms")
            return (ticks - ticks.truncdiv(larger) * larger).truncdiv(unit)

        return of_expression

    return Function(
        name=name,
        doc=doc,
        takes="TIME, TIMESTAMP or TIMESTAMP_LTZ",
        example=((EXAMPLE_TIME,), example),
        infer=_infer_field(name, ("TIMESTAMP", "TIMESTAMP_LTZ", "TIME")),
        polars=polars,
        numpy=lambda use: None if use.arguments[0].root == "TIME" else of_milliseconds,
        flink=name,
        python=f'col("x").dt.{name.lower()}()',
    )


# FLOOR(x TO unit): a week begins on Sunday.
def _infer_floor_to(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("FLOOR TO", types, 2)
    need("FLOOR TO", 0, types[0], "a DATE, TIMESTAMP or TIMESTAMP_LTZ", lambda kind: kind.root in ("DATE", "TIMESTAMP", "TIMESTAMP_LTZ"))
    need("FLOOR TO", 1, types[1], "text", is_text)
    kind = fitted(types[0], timestamp(3, local=False)) if types[0].root == "NULL" else types[0]
    use = propagated((kind, fitted(types[1], STRING)), kind, constants)
    if constants:
        _unit_of(use)
    return use


def _unit_of(use: Signature) -> str:
    unit = str(use.constant(1, "the unit of FLOOR TO")).upper()
    known = [*CALENDAR] if use.result.root == "DATE" else [*UNIT_MS, *CALENDAR]
    if unit not in known:
        raise ArgumentMismatch(f"FLOOR of {use.result.text()} goes to {', '.join(known)}, not to {unit}.")
    return unit


def _floor_to_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    unit = _unit_of(use)
    from fluxline.batch import polars_type

    kind = polars_type(use.result)
    if unit in UNIT_MS:

        def fixed(value: pl.Expr, _unit: pl.Expr) -> pl.Expr:
            ticks = value.to_physical()
            per = UNIT_MS[unit] * {"ms": 1, "us": 1_000, "ns": 1_000_000}[kind.time_unit]  # type: ignore[attr-defined]  # a Datetime
            return (ticks - ticks % per).cast(kind)

        return fixed
    to_day = (lambda value: value) if use.result.root == "DATE" else lambda value: days_towards_1970(value).cast(pl.Int32).cast(pl.Date)
    if unit == "WEEK":

        def sunday(value: pl.Expr, _unit: pl.Expr) -> pl.Expr:
            days = (value if use.result.root == "DATE" else value.dt.date()).to_physical()
            return (days - (days + SUNDAY_FIRST) % 7).cast(pl.Date).cast(kind)

        return sunday
    return lambda value, _unit: to_day(value).dt.truncate(CALENDAR[unit]).cast(kind)


def _floor_to_numpy(use: Signature) -> Callable[[Any, Any], Any] | None:
    unit = _unit_of(use)
    if unit not in UNIT_MS:
        return None

    def fixed(value: Any, _unit: Any) -> Any:
        per = UNIT_MS[unit] * {"ms": 1, "us": 1_000, "ns": 1_000_000}[np.datetime_data(value.dtype)[0]]
        ticks = value.view(np.int64)
        return (ticks - ticks % per).view(value.dtype)

    return fixed


# TO_TIMESTAMP_LTZ: of a number of seconds (0), milliseconds (3, the default), microseconds (6) or nanoseconds (9).
def _infer_to_ltz(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("TO_TIMESTAMP_LTZ", types, 1, 2)
    need("TO_TIMESTAMP_LTZ", 0, types[0], "a whole number", is_integer)
    arguments = (fitted(types[0], BIGINT), *types[1:])
    precision = 3
    if len(types) == 2:
        need("TO_TIMESTAMP_LTZ", 1, types[1], "a whole number", is_integer)
        precision = _ltz_precision(Signature(arguments, BIGINT, constants))
    return Signature(arguments, timestamp(max(precision, 3), local=True), constants)


def _ltz_precision(use: Signature) -> int:
    if len(use.arguments) == 1:
        return 3
    precision = int(use.constant(1, "the precision of TO_TIMESTAMP_LTZ"))
    if precision not in (0, 3, 6, 9):
        raise ArgumentMismatch("TO_TIMESTAMP_LTZ counts seconds (0), milliseconds (3), microseconds (6) or nanoseconds (9).")
    return precision


def _to_ltz_range(precision: int) -> tuple[int, int, int]:
    """The least and greatest number that give a time, and what a number is multiplied with."""
    per_ms = {0: 1, 3: 1, 6: 1_000, 9: 1_000_000}[precision]
    if precision == 0:
        return LTZ_MS_MIN // 1_000, LTZ_MS_MAX // 1_000, 1_000
    low, high = LTZ_MS_MIN * per_ms, (LTZ_MS_MAX + 1) * per_ms - 1
    return max(low, -(2**63)), min(high, 2**63 - 1), 1


def _to_ltz_polars(use: Signature) -> Callable[..., pl.Expr]:
    from fluxline.batch import polars_type

    low, high, factor = _to_ltz_range(_ltz_precision(use))
    kind = polars_type(use.result)
    return lambda value, *_rest: pl.when(value.is_between(low, high)).then(value * factor).cast(kind)


def _to_ltz_numpy(use: Signature) -> Callable[..., tuple[Any, Any]]:
    from fluxline.batch import numpy_type

    low, high, factor = _to_ltz_range(_ltz_precision(use))
    kind = numpy_type(use.result)

    def run(value: tuple[Any, Any], *_rest: Any) -> tuple[Any, Any]:
        numbers, valid = value
        times = (numbers * factor if factor > 1 else numbers).view(kind)
        if len(numbers) == 0 or (numbers.min() >= low and numbers.max() <= high):
            return times, valid
        inside = (numbers >= low) & (numbers <= high)
        return times, inside if valid is None else valid & inside

    return run


def _infer_to_timestamp(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("TO_TIMESTAMP", types, 1)
    need("TO_TIMESTAMP", 0, types[0], "text", is_text)
    return Signature((fitted(types[0], STRING),), timestamp(3, local=False), constants)


# DATE_FORMAT, with a pattern as Java's.
def _infer_date_format(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    need_count("DATE_FORMAT", types, 2)
    need("DATE_FORMAT", 0, types[0], "a TIMESTAMP or TIMESTAMP_LTZ", lambda kind: kind.timestamp)
    need("DATE_FORMAT", 1, types[1], "text", is_text)
    kind = fitted(types[0], timestamp(3, local=False)) if types[0].root == "NULL" else types[0]
    use = propagated((kind, fitted(types[1], STRING)), STRING, constants)
    if constants:
        date_pattern(use.constant(1, "the format of DATE_FORMAT"))
    return use


def _date_format_polars(use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    pieces = date_pattern(use.constant(1, "the format of DATE_FORMAT"))

    def piece(value: pl.Expr, part: str | int) -> pl.Expr:
        if isinstance(part, str):
            return value.dt.to_string(part)
        return value.dt.to_string("%9f").str.slice(0, part)

    if not pieces:
        return lambda value, _format: pl.when(value.is_not_null()).then(pl.lit(""))
    if len(pieces) == 1:
        return lambda value, _format: piece(value, pieces[0])
    return lambda value, _format: pl.concat_str(*(piece(value, part) for part in pieces))


FUNCTIONS: tuple[Function, ...] = (
    _day_field("YEAR", "The year.", 2024, lambda day: day.dt.year(), lambda days: days.astype("datetime64[Y]").view("int64") + 1970),
    _day_field("QUARTER", "The quarter of the year, 1 to 4.", 2, lambda day: day.dt.quarter(), lambda days: _months(days) % 12 // 3 + 1),
    _day_field("MONTH", "The month, 1 to 12.", 6, lambda day: day.dt.month(), lambda days: _months(days) % 12 + 1),
    _day_field("WEEK", "The week of the year as ISO 8601 counts, 1 to 53.", 23, lambda day: day.dt.week(), _iso_week),
    _day_field(
        "DAYOFYEAR", "The day of the year, 1 to 366.", 159, lambda day: day.dt.ordinal_day(),
        lambda days: days.view("int64") - days.astype("datetime64[Y]").astype("datetime64[D]").view("int64") + 1,
    ),
    _day_field(
        "DAYOFMONTH", "The day of the month, 1 to 31.", 7, lambda day: day.dt.day(),
        lambda days: days.view("int64") - days.astype("datetime64[M]").astype("datetime64[D]").view("int64") + 1,
    ),
    _day_field(
        "DAYOFWEEK", "The day of the week, 1 (Sunday) to 7.", 6, lambda day: day.dt.weekday() % 7 + 1,
        lambda days: (days.view("int64") + SUNDAY_FIRST) % 7 + 1,
    ),
    _time_field("HOUR", "The hour, 0 to 23.", 12, MS_PER_DAY, MS_PER_HOUR),
    _time_field("MINUTE", "The minute, 0 to 59.", 34, MS_PER_HOUR, MS_PER_MINUTE),
    _time_field("SECOND", "The second, 0 to 59.", 56, MS_PER_MINUTE, MS_PER_SECOND),
    Function(
        name="FLOOR TO",
        doc="The time rounded down to SECOND, MINUTE, HOUR, DAY, WEEK (from Sunday), MONTH, QUARTER or YEAR.",
        takes="DATE, TIMESTAMP or TIMESTAMP_LTZ, unit",
        example=((EXAMPLE_TIME, "HOUR"), EXAMPLE_TIME.replace(minute=0, second=0, microsecond=0)),
        constant=(1,),
        infer=_infer_floor_to,
        polars=_floor_to_polars,
        numpy=_floor_to_numpy,
        flink="FLOOR({0} TO {1!})",
        python='functions.floor_to(col("x"), "HOUR")',
    ),
    Function(
        name="TO_TIMESTAMP_LTZ",
        doc="The time that a number since 1970 stands for: seconds (0), milliseconds (3, the default), microseconds (6), nanoseconds (9).",
        takes="BIGINT [, INT]",
        example=((1_717_761_600_000, 3), EXAMPLE_TIME.replace(hour=12, minute=0, second=0, microsecond=0)),
        constant=(1,),
        infer=_infer_to_ltz,
        polars=_to_ltz_polars,
        numpy=_to_ltz_numpy,
        nulls="own",
        flink="TO_TIMESTAMP_LTZ",
        python='functions.to_timestamp_ltz(col("ms"), 3)',
    ),
    Function(
        name="TO_TIMESTAMP",
        doc="The TIMESTAMP that a text such as `2024-06-07 12:00:00.123` stands for; NULL where it is none.",
        takes="STRING",
        example=(("2024-06-07 12:34:56.789",), EXAMPLE_TIME),
        infer=_infer_to_timestamp,
        polars=lambda use: lambda text: timestamp_of(text, use.result),
        flink="TO_TIMESTAMP",
        python='functions.to_timestamp(col("x"))',
    ),
    Function(
        name="DATE_FORMAT",
        doc="The time as text, by a format of Java such as `yyyy-MM-dd HH:mm:ss`.",
        takes="TIMESTAMP or TIMESTAMP_LTZ, STRING",
        example=((EXAMPLE_TIME, "dd.MM.yyyy HH'h'"), "07.06.2024 12h"),
        constant=(1,),
        infer=_infer_date_format,
        polars=_date_format_polars,
        flink="DATE_FORMAT",
        python='functions.date_format(col("x"), "yyyy-MM-dd")',
    ),
)  # fmt: skip
