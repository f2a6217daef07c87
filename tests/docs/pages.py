"""Markdown pages as the tests of the docs see them: fenced blocks, tables, links and headings."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tidy.tree import ROOT, all_files, shown, text_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(`{3,})(\w*)(.*)$")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        page: the file that it stands in.
        line: of its first line of text.
        language: the first word behind the fence.
        words: the others, such as `run` or `file=cafe.py`.
        text: what is inside.
    """

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that it shows, if it says one."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    def __str__(self) -> str:
        return f"{shown(self.page)}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown page of the repository."""
    return [path for path in all_files() if path.suffix == ".md"]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, opened, start, inside = [], None, 0, list[str]()
    for number, line in enumerate(text_of(page).splitlines(), 1):
        match = _FENCE.match(line)
        if opened is None and match:
            opened, start, inside = match, number + 1, []
        elif opened is not None and match and match.group(1) == opened.group(1) and not match.group(2):
            text = "\n".join(inside) + "\n" if inside else ""
            found.append(Block(page, start, opened.group(2), tuple(opened.group(3).split()), text))
            opened = None
        else:
            inside.append(line)
    assert opened is None, f"{shown(page)}: a fence is not closed"
    return found


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    lines, fence = [], ""
    for line in text_of(page).splitlines():
        match = _FENCE.match(line)
        if match and (not fence or match.group(1) == fence):
            fence = "" if fence else match.group(1)
        elif not fence:
            lines.append(line)
    return "\n".join(lines)


def links(page: Path) -> list[str]:
    """The targets of all links of a page."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """What a link may point at inside of a page: its headings as the usual renderers name them, and marks of its own."""
    titles = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    named = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {*named, *re.findall(r'<a id="([^"]+)">', text_of(page))}


def cells(line: str) -> list[str]:
    """The cells of a table's line."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def marked_tables(page: Path, mark: str) -> list[tuple[dict[str, str], list[dict[str, str]]]]:
    """The tables behind a comment `<!-- mark: name="value" ... -->`: its settings, and the rows by column."""
    found = []
    lines = text_of(page).splitlines()
    for index, line in enumerate(lines):
        match = re.fullmatch(rf"<!-- {mark}(?::(.*))? -->", line)
        if match is None:
            continue
        settings = dict(re.findall(r'(\w+)="?([^"]*?)"?(?= \w+=|\s*$)', (match.group(1) or "").strip()))
        table = []
        for row in lines[index + 1 :]:
            if not row.startswith("|"):
                break
            table.append(cells(row))
        header, _rule, *rows = table
        found.append((settings, [dict(zip(header, row, strict=True)) for row in rows]))
    return found


def code_of(cell: str) -> str:
    """The text inside of a cell's back quotes."""
    match = re.fullmatch(r"(`+) ?(.*?) ?\1", cell)
    assert match is not None, f"no code: {cell}"
    return match.group(2) if match.group(1) != "`" else cell[1:-1]


def import_text(text: str, file: Path, name: str) -> ModuleType:
    """Import a text as a module of this name, from a file that is written for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
