"""Values of a golden text: `-` is NULL, a time without a date is on 2026-01-01, all times are UTC, text needs quotes only where it must.

Two values are equal when their texts are: DOUBLE has 12 digits there, DECIMAL all of its scale.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxline.schema import LogicalType

DAY = date(2026, 1, 1)
_CELL = re.compile(r'"(?:[^"\\]|\\.)*"|\S+(?: \S+)*')


def cells(line: str) -> list[str]:
    """The cells of a line: two or more spaces stand between them, and `#` begins a comment."""
    found: list[str] = []
    rest = line.strip()
    while rest and not rest.startswith("#"):
        match = _CELL.match(rest)
        assert match is not None, f"no cell begins at {rest!r}"
        found.append(match.group())
        rest = rest[match.end() :].lstrip()
    return found


def parse_value(cell: str, kind: LogicalType) -> Any:
    """The value that a cell stands for, as a row of the type would hold it."""
    if cell == "-":
        return None
    if kind.root == "BOOLEAN":
        return {"true": True, "false": False}[cell]
    if kind.integer:
        return int(cell)
    if kind.root in ("FLOAT", "DOUBLE"):
        return float(cell)
    if kind.root == "DECIMAL":
        return Decimal(cell)
    if kind.timestamp:
        return parse_instant(cell)
    if kind.root == "DATE":
        return date.fromisoformat(cell)
    if kind.root == "TIME":
        return time.fromisoformat(cell)
    text = str(json.loads(cell)) if cell.startswith('"') else cell
    return text.encode() if kind.binary else text


def parse_instant(text: str) -> datetime:
    """`12:00:01.500`, or an ISO-8601 date and time; in UTC."""
    if "-" not in text[1:]:
        return datetime.combine(DAY, time.fromisoformat(text), UTC)
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def text_of_value(value: Any) -> str:
    """The one text of a value."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, ".12g")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return _text_of_instant(value)
    if isinstance(value, bytes):
        return _quoted(value.decode())
    return _quoted(value) if isinstance(value, str) else str(value)


def _text_of_instant(value: datetime) -> str:
    plain = value.replace(tzinfo=None)
    digits = "seconds" if plain.microsecond == 0 else "milliseconds" if plain.microsecond % 1000 == 0 else "microseconds"
    shown = plain.isoformat(timespec=digits)
    return shown.partition("T")[2] if plain.date() == DAY else shown


def _quoted(text: str) -> str:
    """The text, in quotes where it would not be read as itself."""
    plain = _CELL.fullmatch(text) is not None and text != "-" and not text.startswith(("#", '"'))
    return text if plain else json.dumps(text, ensure_ascii=False)
