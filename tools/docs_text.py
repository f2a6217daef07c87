"""Pieces of Markdown that the generated pages are made of."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTE = "<!-- Generated from the code by `make docs`: edits here are lost. -->"
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")


def page(parts: Iterable[str]) -> str:
    """A page of its parts, a blank line between them."""
    title, *rest = (part.strip("\n") for part in parts if part.strip())
    return "\n\n".join([title, NOTE, *rest]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def code(value: object) -> str:
    """The text as code, whatever it holds; nothing for nothing."""
    text = str(value)
    if not text:
        return ""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def toml(value: object) -> str:
    """A value as the project file writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        inside = ", ".join(f"{key if re.fullmatch('[A-Za-z0-9_-]+', key) else toml(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return str(value)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = inspect.cleandoc(text).partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:]) (?=[A-Z`])", paragraph)[0]


def docstring(text: str) -> str:
    """A docstring as Markdown: its prose as it is, the entries of its sections as lists."""
    lines: list[str] = []
    section = ""
    for line in inspect.cleandoc(text).splitlines():
        found = _SECTION.match(line)
        if found:
            section = found.group(1)
            lines += [f"*{section}*", ""]
            continue
        if section and line and not line.startswith(" "):
            section = ""
        lines.append(_entry(line, section) if section else line)
    return "\n".join(lines).strip()


def _entry(line: str, section: str) -> str:
    """One line of a section: the start of an entry, or more of it."""
    indent = len(line) - len(line.lstrip())
    name, colon, rest = line.strip().partition(": ")
    if indent == 4 and section in ("Args", "Attributes", "Raises") and colon:
        return f"- `{name}`: {rest}"
    return f"  {line.strip()}" if indent > 4 else line.strip()
