"""The examples of the dictionary as SQL text, for the documentation, and the types that Python values stand for in them."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

from fluxline.schema import BIGINT, BOOLEAN, BYTES, DATE, DOUBLE, INT, INTEGER_BITS, NULL, STRING, LogicalType, decimal, timestamp

if TYPE_CHECKING:
    from fluxline.library.function import Function

UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


def type_of_value(value: object) -> LogicalType:
    """The type of a Python value as a constant: int is INT or BIGINT, float DOUBLE, a datetime without time zone TIMESTAMP(3)."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN.with_nullable(False)
    if isinstance(value, int):
        return (INT if value.bit_length() < INTEGER_BITS["INT"] else BIGINT).with_nullable(False)
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int), f"{value} is no DECIMAL"
        scale = max(0, -exponent)
        return decimal(max(len(value.as_tuple().digits) + max(0, exponent), scale, 1), scale).with_nullable(False)
    if isinstance(value, datetime):
        return timestamp(6 if value.microsecond % 1000 else 3, local=value.tzinfo is not None).with_nullable(False)
    plain: dict[type, LogicalType] = {float: DOUBLE, str: STRING, bytes: BYTES, date: DATE, time: LogicalType("TIME", precision=3)}
    return plain[type(value)].with_nullable(False)


def sql_text(function: Function) -> str:
    """The example of a function as Flink SQL writes it, such as `POSITION('e' IN 'stream')`."""
    assert function.flink is not None, f"{function.name} has no Flink spelling"
    arguments = [literal(value) for value in function.example[0]]
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in function.example[0])
    return spelled(function.flink_integers if whole and function.flink_integers else function.flink, arguments)


def spelled(template: str, arguments: list[str]) -> str:
    """A Flink spelling with its arguments filled in.

    Args:
        template: as in `Function.flink`.
        arguments: SQL texts.
    """
    if "{" not in template:
        return f"{template}({', '.join(arguments)})"
    without = re.sub(r"\[([^\]]*\{(\d+)\}[^\]]*)\]", lambda found: found[1] if int(found[2]) < len(arguments) else "", template)
    listed = re.sub(r"\{(\d+)\*\}", lambda found: ", ".join(arguments[int(found[1]) :]), without)
    keywords = re.sub(r"\{(\d+)!\}", lambda found: arguments[int(found[1])].strip("'"), listed)
    return re.sub(r"\{(\d+)\}", lambda found: arguments[int(found[1])], keywords)


def literal(value: object) -> str:
    """A Python value as Flink SQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float):
        return f"{value!r}E0" if "e" not in repr(value) else repr(value).upper()
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ', timespec='milliseconds')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, time):
        return f"TIME '{value.isoformat()}'"
    return str(value)
