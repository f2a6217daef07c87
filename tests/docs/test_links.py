"""Every link leads somewhere, every file that the architecture names is there, and the index has every page."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, anchors, links, pages
from tests.tidy.tree import PACKAGE, ROOT, parse, report, shown, text_of

if TYPE_CHECKING:
    from pathlib import Path


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    wrong = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            wrong.append(f"{shown(page)}: {target}: there is no such file")
        elif anchor and anchor not in anchors(file):
            wrong.append(f"{shown(page)}: {target}: there is no such heading")
    return wrong


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Files and headings."""
    assert not (wrong := broken_links(page)), report(wrong)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The check finds a missing file and a missing heading, and passes what is there."""
    page = ROOT / "docs" / "README.md"
    assert links(page)
    other = tmp_path / "page.md"
    other.write_text("# Two words\n\n[a](nothing.md) [b](#two-words) [c](#three) `[d](code.md)`\n", encoding="utf-8")
    assert [target for target in links(other) if target != "#two-words"] == ["nothing.md", "#three"]
    assert anchors(other) == {"two-words"}


def test_files_that_are_named_exist() -> None:
    """Paths of the source tree, in all pages."""
    wrong = []
    named = 0
    for page in pages():
        if page.name == "CHANGELOG.md" or page == ROOT / "CONTRIBUTING.md":
            continue  # history, and examples of files to add
        for path in re.findall(r"`((?:src|tests|tools|examples|benchmarks|docs)/[A-Za-z0-9_./-]+)`", text_of(page)):
            named += 1
            if not (ROOT / path).exists():
                wrong.append(f"{shown(page)}: {path} is not there")
    assert named > 30
    assert not wrong, report(wrong)


def test_the_walks_have_ten_files_each() -> None:
    """The architecture follows a record and a definition through ten files, numbered, each once."""
    text = text_of(ROOT / "ARCHITECTURE.md")
    for title in ("The walk of a record", "The walk of a definition"):
        section = text.split(f"## {title}\n")[1].split("\n## ")[0]
        steps = re.findall(r"^\| (\d+) \| `([^`]+)` \|", section, re.MULTILINE)
        assert [number for number, _ in steps] == [str(number) for number in range(1, 11)]
        assert len({path for _, path in steps}) == 10
        assert all((ROOT / path).is_file() for _, path in steps)


def imported_rooms(room: Path) -> set[str]:
    """The other rooms that a room imports."""
    found = set()
    for path in room.rglob("*.py"):
        for node in ast.walk(parse(path)):
            modules = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [item.name for item in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            found |= {f"{module.split('.')[1]}/" for module in modules if module.startswith("fluxline.")}
    return {name for name in found if (PACKAGE / name).is_dir()} - {f"{room.name}/"}


def test_the_rooms_import_as_drawn() -> None:
    """Each arrow of the architecture is an import, and each import an arrow."""
    drawn = dict(re.findall(r"^(\w+/) +-> *(.*)$", text_of(ROOT / "ARCHITECTURE.md"), re.MULTILINE))
    assert set(drawn) == {f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert drawn.pop("testing/") == "everything"
    assert {room: set(arrows.split()) for room, arrows in drawn.items()} == {room: imported_rooms(PACKAGE / room) for room in drawn}


def test_the_index_has_every_page() -> None:
    """A page that no list names is not found."""
    index = DOCS / "README.md"
    linked = {(index.parent / target).resolve() for target in links(index)}
    assert [shown(page) for page in sorted(DOCS.rglob("*.md")) if page != index and page not in linked] == []


def test_pages_speak_of_the_project_alone() -> None:
    """No mention of tickets, and of nobody's workplace."""
    words = re.compile(r"(?i)\bissue #?\d|(?<![\w&`])#\d+\b|\bjira\b|\bticket\b")
    wrong = [f"{shown(page)}: {found.group()}" for page in pages() if (found := words.search(text_of(page)))]
    assert not wrong, report(wrong)
