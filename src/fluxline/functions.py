"""All other functions of Flink SQL, under their SQL name in lower case; what has its home in a method is not here.

functions.abs(col("x")), functions.to_timestamp_ltz(col("ms"), 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.pipeline.expr import apply

if TYPE_CHECKING:
    from fluxline.pipeline.expr import Expr, Value


def abs(number: Value) -> Expr:  # Flink's own name
    """ABS: The number without its sign."""
    return apply("ABS", number)


def ceil(number: Value) -> Expr:
    """CEIL: The least whole number that is not less."""
    return apply("CEIL", number)


def concat_ws(separator: Value, *parts: Value) -> Expr:
    """CONCAT_WS: The texts behind the first argument with it between them; NULLs among them are left out."""
    return apply("CONCAT_WS", separator, *parts)


def date_format(time: Value, pattern: Value) -> Expr:
    """DATE_FORMAT: The time as text, by a format of Java such as `yyyy-MM-dd HH:mm:ss`."""
    return apply("DATE_FORMAT", time, pattern)


def dayofweek(date: Value) -> Expr:
    """DAYOFWEEK: The day of the week, 1 (Sunday) to 7."""
    return apply("DAYOFWEEK", date)


def dayofyear(date: Value) -> Expr:
    """DAYOFYEAR: The day of the year, 1 to 366."""
    return apply("DAYOFYEAR", date)


def divide(dividend: Value, divisor: Value) -> Expr:
    """/: The quotient of two numbers as SQL means it: of whole numbers without its fraction."""
    return apply("/", dividend, divisor)


def endswith(text: Value, end: Value) -> Expr:
    """ENDSWITH: Whether a text ends with another."""
    return apply("ENDSWITH", text, end)


def exp(number: Value) -> Expr:
    """EXP: e raised to a power."""
    return apply("EXP", number)


def floor(number: Value) -> Expr:
    """FLOOR: The greatest whole number that is not greater."""
    return apply("FLOOR", number)


def floor_to(time: Value, unit: Value) -> Expr:
    """FLOOR TO: The time rounded down to SECOND, MINUTE, HOUR, DAY, WEEK (from Sunday), MONTH, QUARTER or YEAR."""
    return apply("FLOOR TO", time, unit)


def greatest(*values: Value) -> Expr:
    """GREATEST: The greatest of the values; NULL if one is NULL."""
    return apply("GREATEST", *values)


def ifnull(value: Value, replacement: Value) -> Expr:
    """IFNULL: The first value, or the second where the first is NULL."""
    return apply("IFNULL", value, replacement)


def is_distinct_from(left: Value, right: Value) -> Expr:
    """IS DISTINCT FROM: Whether two values differ, where NULL equals NULL and nothing else."""
    return apply("IS DISTINCT FROM", left, right)


def is_not_distinct_from(left: Value, right: Value) -> Expr:
    """IS NOT DISTINCT FROM: Whether two values are equal, where NULL equals NULL and nothing else."""
    return apply("IS NOT DISTINCT FROM", left, right)


def is_not_false(condition: Value) -> Expr:
    """IS NOT FALSE: Whether a condition is TRUE or NULL; never NULL."""
    return apply("IS NOT FALSE", condition)


def is_not_true(condition: Value) -> Expr:
    """IS NOT TRUE: Whether a condition is FALSE or NULL; never NULL."""
    return apply("IS NOT TRUE", condition)


def least(*values: Value) -> Expr:
    """LEAST: The least of the values; NULL if one is NULL."""
    return apply("LEAST", *values)


def left(text: Value, length: Value) -> Expr:
    """LEFT: The first characters of a text."""
    return apply("LEFT", text, length)


def ln(number: Value) -> Expr:
    """LN: The natural logarithm; NaN of a number below zero."""
    return apply("LN", number)


def log10(number: Value) -> Expr:
    """LOG10: The logarithm to base 10; NaN of a number below zero."""
    return apply("LOG10", number)


def lpad(text: Value, length: Value, pad: Value) -> Expr:
    """LPAD: The text with a padding in front, or cut, so that it has a length."""
    return apply("LPAD", text, length, pad)


def ltrim(text: Value) -> Expr:
    """LTRIM: The text without spaces at its start."""
    return apply("LTRIM", text)


def mod(dividend: Value, divisor: Value) -> Expr:
    """MOD: The rest of a division, with the sign of the dividend and the type of the divisor."""
    return apply("MOD", dividend, divisor)


def nullif(value: Value, other: Value) -> Expr:
    """NULLIF: NULL where two values are equal, else the first."""
    return apply("NULLIF", value, other)


def position(part: Value, text: Value) -> Expr:
    """POSITION: Where a text stands in another for the first time, from 1; 0 where it does not."""
    return apply("POSITION", part, text)


def power(base: Value, exponent: Value) -> Expr:
    """POWER: A number raised to a power."""
    return apply("POWER", base, exponent)


def regexp_extract(text: Value, pattern: Value, group: Value = 0) -> Expr:
    """REGEXP_EXTRACT: What a group of a regular expression matched first (0, the default: the whole); NULL where nothing did."""
    return apply("REGEXP_EXTRACT", text, pattern, group)


def regexp_replace(text: Value, pattern: Value, replacement: Value) -> Expr:
    """REGEXP_REPLACE: The text with every match of a regular expression replaced by a text."""
    return apply("REGEXP_REPLACE", text, pattern, replacement)


def reverse(text: Value) -> Expr:
    """REVERSE: The characters from the last to the first."""
    return apply("REVERSE", text)


def right(text: Value, length: Value) -> Expr:
    """RIGHT: The last characters of a text."""
    return apply("RIGHT", text, length)


def round(number: Value, digits: Value = 0) -> Expr:  # Flink's own name
    """ROUND: The number rounded half up to so many digits behind the point; a negative number of digits rounds to tens, hundreds, ..."""
    return apply("ROUND", number, digits)


def rpad(text: Value, length: Value, pad: Value) -> Expr:
    """RPAD: The text with a padding behind, or cut, so that it has a length."""
    return apply("RPAD", text, length, pad)


def rtrim(text: Value) -> Expr:
    """RTRIM: The text without spaces at its end."""
    return apply("RTRIM", text)


def sign(number: Value) -> Expr:
    """SIGN: -1, 0 or 1, in the type of the number."""
    return apply("SIGN", number)


def split_index(text: Value, separator: Value, index: Value) -> Expr:
    """SPLIT_INDEX: One part of a text that a separator divides, counted from 0; NULL where there is none."""
    return apply("SPLIT_INDEX", text, separator, index)


def sqrt(number: Value) -> Expr:
    """SQRT: The square root; NaN of a number below zero."""
    return apply("SQRT", number)


def startswith(text: Value, start: Value) -> Expr:
    """STARTSWITH: Whether a text begins with another."""
    return apply("STARTSWITH", text, start)


def to_timestamp(text: Value) -> Expr:
    """TO_TIMESTAMP: The TIMESTAMP that a text such as `2024-06-07 12:00:00.123` stands for; NULL where it is none."""
    return apply("TO_TIMESTAMP", text)


def to_timestamp_ltz(epoch: Value, precision: Value = 3) -> Expr:
    """TO_TIMESTAMP_LTZ: The time that a number since 1970 stands for: seconds (0), ms (3, the default), us (6), ns (9)."""
    return apply("TO_TIMESTAMP_LTZ", epoch, precision)


def week(date: Value) -> Expr:
    """WEEK: The week of the year as ISO 8601 counts, 1 to 53."""
    return apply("WEEK", date)


__all__ = [
    "abs", "ceil", "concat_ws", "date_format", "dayofweek", "dayofyear", "divide", "endswith", "exp", "floor", "floor_to", "greatest",
    "ifnull", "is_distinct_from", "is_not_distinct_from", "is_not_false", "is_not_true", "least", "left", "ln", "log10", "lpad", "ltrim",
    "mod", "nullif", "position", "power", "regexp_extract", "regexp_replace", "reverse", "right", "round", "rpad", "rtrim", "sign",
    "split_index", "sqrt", "startswith", "to_timestamp", "to_timestamp_ltz", "week",
]  # fmt: skip
