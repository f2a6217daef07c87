"""Rows as an aligned table: numbers to the right, NULL to be seen, nothing that could steer a terminal."""

from __future__ import annotations

import base64
import json
import sys
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from fluxline.cli.screen import painted, printable
from fluxline.limits import TABLE_CELL_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

NULL = "NULL"


def table_lines(frame: pl.DataFrame) -> tuple[list[str], bool]:
    """The lines of a table, and whether a value was shortened."""
    names = [printable(name) for name in frame.columns]
    texts: list[list[str]] = []
    shortened = False
    for column in frame.get_columns():
        cells = [cell_text(value) for value in column.to_list()]
        shortened = shortened or any(len(cell) > TABLE_CELL_CHARS_MAX for cell in cells)
        texts.append([cell if len(cell) <= TABLE_CELL_CHARS_MAX else cell[: TABLE_CELL_CHARS_MAX - 1] + "…" for cell in cells])
    right = [dtype.is_numeric() for dtype in frame.dtypes]
    widths = [max([_width(name), *map(_width, cells)]) for name, cells in zip(names, texts, strict=True)]
    header = _line(names, widths, right)
    lines = [painted(header, "bold", sys.stdout), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, right) for row in zip(*texts, strict=True)]
    return lines, shortened


def cell_text(value: object) -> str:
    """One value as text on one line."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        shown = value.isoformat(sep=" ")
        return shown.replace("+00:00", "Z") if value.tzinfo is not None else shown
    if isinstance(value, bytes):
        return printable(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, list | dict):
        return printable(json.dumps(value, default=cell_text, ensure_ascii=False))
    return printable(str(value))


def json_rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """The rows as JSON can hold them: times in ISO form, bytes in base64, NaN and infinities as text."""
    return [{name: _json_value(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def _json_value(value: object) -> object:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124  # only NaN differs from itself
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    return value


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, to_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(cell))
        parts.append(space + cell if to_right else cell + space)
    return "  ".join(parts).rstrip()


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
