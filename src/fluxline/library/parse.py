"""Text as values, as CAST from STRING reads them: NULL where the text is none of the type; the caller decides what NULL means.

Where Flink reads rubbish as a value (`no` as 0.00, `12:30:45.x` as a time), the text is refused here.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Literal

from fluxline.library.decimals import as_type, bounded
from fluxline.library.function import LazyModule
from fluxline.schema import DECIMAL_PRECISION_MAX, INTEGER_BITS

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from fluxline.schema import LogicalType
else:
    pl = LazyModule("polars")

TRUE_WORDS, FALSE_WORDS = ("t", "true", "y", "yes", "1"), ("f", "false", "n", "no", "0")
BLANKS = "".join(chr(code) for code in range(33))  # What Java's trim takes off.
DECIMAL_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
JAVA_NUMBER = r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?$"
JAVA_WORD = r"^[+-]?(?:NaN|Infinity)$"
HEX_NUMBER = r"^[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+[fFdD]?$"
DATE_TEXT = r"^([0-9]+)(?:-([0-9]+)(?:-([0-9]+))?)?$"
TIME_TEXT = r"^([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*))?)?)?$"
TIMESTAMP_TEXT = r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?: ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{0,9}))?)?$"
NANOSECOND_DAYS = 106_750  # 64 bits of nanoseconds reach from 1677 to 2262.
NANOS_PER = {"ms": 1_000_000, "us": 1_000, "ns": 1}


def parsed(kind: LogicalType) -> Callable[[pl.Expr], pl.Expr] | None:
    """How text becomes a value of this type, or None where it cannot."""
    if kind.integer:
        bits = INTEGER_BITS[kind.root]
        return _quick({8: pl.Int8(), 16: pl.Int16(), 32: pl.Int32(), 64: pl.Int64()}[bits], lambda text: _integer(text, bits))
    forms: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "BOOLEAN": _boolean,
        "FLOAT": lambda text: _float(text).cast(pl.Float32),
        "DOUBLE": _float,
        "DECIMAL": lambda text: _decimal(text, kind.precision or 0, kind.scale or 0),
        "DATE": _date,
        "TIME": lambda text: _time(text, kind.precision or 0),
        "TIMESTAMP": lambda text: timestamp_of(text, kind),
        "TIMESTAMP_LTZ": lambda text: timestamp_of(text, kind),
    }
    return forms.get(kind.root)


def _boolean(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(TRUE_WORDS)).then(pl.lit(True)).when(word.is_in(FALSE_WORDS)).then(pl.lit(False))


def _quick(kind: pl.DataType, careful: Callable[[pl.Expr], pl.Expr]) -> Callable[[pl.Expr], pl.Expr]:
    """Reads plain numbers at once; only a batch in which some text is none takes the careful way."""

    def run(column: pl.Series) -> pl.Series:
        found = column.cast(kind, strict=False)
        plain = found.null_count() == column.null_count() and (kind.is_integer() or bool(found.is_finite().all()))
        return found if plain else pl.select(careful(pl.lit(column))).to_series()

    return lambda text: text.map_batches(run, return_dtype=kind, is_elementwise=True)


def _integer(text: pl.Expr, bits: int) -> pl.Expr:
    # A fraction is read and cut off; a bare point is 0, as in Flink.
    number = text.str.strip_chars(" ").str.extract(r"^([+-]?[0-9]+)(?:\.[0-9]*)?$", 1)
    point = text.str.strip_chars(" ").str.contains(r"^[+-]?\.[0-9]*$")
    kind = {8: pl.Int8, 16: pl.Int16, 32: pl.Int32, 64: pl.Int64}[bits]
    return pl.when(point).then(pl.lit(0, dtype=kind)).otherwise(number.cast(kind, strict=False))


def _float(text: pl.Expr) -> pl.Expr:
    return _quick(pl.Float64(), _double)(text)


def _double(text: pl.Expr) -> pl.Expr:
    trimmed = text.str.strip_chars(BLANKS)
    number = trimmed.str.extract(JAVA_NUMBER, 1).cast(pl.Float64, strict=False)
    named = trimmed.str.replace("NaN", "nan").str.replace("Infinity", "inf")
    word = pl.when(trimmed.str.contains(JAVA_WORD)).then(named).cast(pl.Float64, strict=False)
    hexadecimal = pl.when(trimmed.str.contains(HEX_NUMBER)).then(trimmed).map_batches(_hexadecimal, return_dtype=pl.Float64, is_elementwise=True)
    return pl.coalesce(number, word, hexadecimal)


def _hexadecimal(column: pl.Series) -> pl.Series:
    if column.null_count() == len(column):
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    values = [None if text is None else float.fromhex(text.rstrip("fFdD") if "p" in text.lower() else text) for text in column.to_list()]
    return pl.Series(column.name, values, dtype=pl.Float64)


def _decimal(text: pl.Expr, precision: int, scale: int) -> pl.Expr:
    trimmed = text.str.strip_chars(BLANKS)
    number = pl.when(trimmed.str.contains(DECIMAL_NUMBER)).then(trimmed)
    return number.map_batches(
        lambda column: decimal_of_text(column, precision, scale), return_dtype=pl.Decimal(precision, scale), is_elementwise=True
    )


def decimal_of_text(column: pl.Series, precision: int, scale: int) -> pl.Series:
    """Numbers written with or without exponent as DECIMAL, half up; NULL where they do not fit."""
    simple = column.str.contains(r"^[+-]?[0-9]*\.?[0-9]*$") & (column.str.len_bytes() <= DECIMAL_PRECISION_MAX)
    if simple.fill_null(True).all():
        return _plain_decimal(column, precision, scale)
    rows = (~simple.fill_null(True)).arg_true()
    quick = _plain_decimal(pl.select(pl.when(pl.lit(simple)).then(pl.lit(column))).to_series(), precision, scale)
    slow = [exact_decimal(text, precision, scale) for text in column.gather(rows).to_list()]
    return quick.scatter(rows, pl.Series(slow, dtype=quick.dtype))


def _plain_decimal(column: pl.Series, precision: int, scale: int) -> pl.Series:
    frame = column.to_frame("text").select(
        pl.col("text").str.replace(".", "", literal=True).cast(pl.Int128, strict=False).alias("whole"),
        pl.when(pl.col("text").str.contains(".", literal=True))
        .then(pl.col("text").str.extract(r"\.([0-9]*)$", 1).str.len_bytes())
        .otherwise(0)
        .cast(pl.Int32)
        .fill_null(0)
        .alias("places"),
    )
    powers = pl.lit(pl.Series([10**exponent for exponent in range(DECIMAL_PRECISION_MAX + 1)], dtype=pl.Int128))
    whole, places = pl.col("whole"), pl.col("places")
    limit = powers.gather((places + (precision - scale)).clip(0, DECIMAL_PRECISION_MAX))
    up, down = powers.gather((scale - places).clip(0)), powers.gather((places - scale).clip(0))
    half_up = (whole + whole.sign() * down.truncdiv(pl.lit(2, dtype=pl.Int128))).truncdiv(down)
    fits = whole.abs() < limit
    rounded = pl.when(places > scale).then(half_up).otherwise(pl.when(fits).then(whole) * up)
    return frame.select(as_type(bounded(pl.when(fits).then(rounded), precision), precision, scale)).to_series()


def exact_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    """One number, of any length and with any exponent, as DECIMAL; None where it does not fit."""
    value = Decimal(text)
    if value and value.adjusted() >= precision - scale:
        return None
    exact = Context(prec=2 * DECIMAL_PRECISION_MAX + len(text), rounding=ROUND_HALF_UP)
    rounded = exact.quantize(value, Decimal(1).scaleb(-scale))
    return rounded if abs(rounded) < Decimal(10) ** (precision - scale) else None


def _date(text: pl.Expr) -> pl.Expr:
    day = pl.when(text.str.contains(r"^[^ ]+ ")).then(text.str.extract(r"^([^ ]+) ", 1)).otherwise(text).str.strip_chars(BLANKS)
    year, month, date = (day.str.extract(DATE_TEXT, group).cast(pl.Int32, strict=False) for group in (1, 2, 3))
    has_month, has_date = day.str.contains("^[0-9]+-"), day.str.contains("^[0-9]+-[0-9]+-")
    month = pl.when(has_month).then(month).otherwise(pl.lit(1, dtype=pl.Int32))
    date = pl.when(has_date).then(date).otherwise(pl.lit(1, dtype=pl.Int32))
    return _real_date(year, month, date, last=_month_days(year, month), least_year=0)


def _month_days(year: pl.Expr, month: pl.Expr) -> pl.Expr:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return pl.when(month == 2).then(28 + leap.cast(pl.Int32)).otherwise(30 + (month + month // 8) % 2)


def _real_date(year: pl.Expr, month: pl.Expr, day: pl.Expr, *, last: pl.Expr, least_year: int) -> pl.Expr:
    real = year.is_between(least_year, 9999) & month.is_between(1, 12) & (day >= 1) & (day <= last)
    return pl.when(real).then(_days(year, month, day)).cast(pl.Date)


def _days(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Days since 1970-01-01, in whole numbers: years begin in March, so that the leap day is the last."""
    shifted = year - (month <= 2).cast(pl.Int32)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _time(text: pl.Expr, precision: int) -> pl.Expr:
    trimmed = text.str.strip_chars(BLANKS)
    whole = trimmed.str.contains(TIME_TEXT)
    hour, minute, second = (trimmed.str.extract(TIME_TEXT, group).cast(pl.Int64, strict=False).fill_null(0) for group in (1, 2, 3))
    real = whole & (hour <= 23) & (minute <= 59) & (second <= 59)
    nanos = ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + _fraction(trimmed.str.extract(TIME_TEXT, 4), min(precision, 3))
    return pl.when(real).then(nanos).cast(pl.Time)


def _fraction(text: pl.Expr, kept: int) -> pl.Expr:
    """Digits of a second in nanoseconds, those behind the kept ones cut off."""
    if kept == 0:
        return pl.lit(0, dtype=pl.Int64)
    digits = text.fill_null("").str.slice(0, kept).str.pad_end(kept, "0")
    return digits.cast(pl.Int64, strict=False) * pl.lit(10 ** (9 - kept), dtype=pl.Int64)


def timestamp_of(text: pl.Expr, kind: LogicalType) -> pl.Expr:
    """`2024-06-07 12:00:00.123`, or a date alone. A day behind the month's end is its last, `24:00:00` the next day's start."""
    year, month, day, hour, minute, second = (text.str.extract(TIMESTAMP_TEXT, group).cast(pl.Int32, strict=False) for group in range(1, 7))
    last = _month_days(year, month)
    days = _real_date(year, month, pl.min_horizontal(day, last), last=last, least_year=1).cast(pl.Int64)
    hour, minute, second = (part.fill_null(0).cast(pl.Int64) for part in (hour, minute, second))
    seconds = (hour * 60 + minute) * 60 + second
    nanos = _fraction(text.str.extract(TIMESTAMP_TEXT, 7), 9)
    within = (day <= 31) & (minute <= 59) & (second <= 59) & ((hour <= 23) | ((seconds == 86_400) & (nanos == 0)))
    unit: Literal["ms", "us", "ns"] = "ms" if (kind.precision or 0) <= 3 else "us" if (kind.precision or 0) <= 6 else "ns"
    step = 10 ** (9 - (kind.precision or 0))  # The declared digits; the others are cut off.
    per = NANOS_PER[unit]
    ticks = (days * 86_400 + seconds) * (1_000_000_000 // per) + (nanos - nanos % step) // per
    if unit == "ns":
        within = within & (days.abs() < NANOSECOND_DAYS)
    return pl.when(within).then(ticks).cast(pl.Datetime(unit))
