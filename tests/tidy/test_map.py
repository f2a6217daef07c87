"""The map `src/fluxline/README.md` and the folder agree: every room has one line, every line has a room."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.tidy.tree import PACKAGE, python_files, report, shown, text_of

if TYPE_CHECKING:
    from pathlib import Path

MAP = PACKAGE / "README.md"
_LINE = re.compile(r"^\| `([A-Za-z0-9_./]+)` \|.*\|\s*$")


def mapped_names(text: str) -> list[str]:
    """The names in the first column of the map's table, in order; a folder ends with a slash."""
    return [match.group(1) for line in text.splitlines() if (match := _LINE.match(line))]


def rooms(package: Path) -> list[str]:
    """What stands directly in the package: folders with code in them, and files."""
    folders = {path.relative_to(package).parts[0] + "/" for path in package.rglob("*.py") if len(path.relative_to(package).parts) > 1}
    return sorted(folders | {path.name for path in package.glob("*.py")})


def test_every_room_has_one_line() -> None:
    """A reader finds each room once."""
    lines = Counter(mapped_names(text_of(MAP)))
    wrong = [f"{name}: {lines[name]} lines in {shown(MAP)}, wanted 1" for name in rooms(PACKAGE) if lines[name] != 1]
    assert not wrong, report(wrong)


def test_every_line_has_a_room() -> None:
    """Nothing is on the map that is not there."""
    names = mapped_names(text_of(MAP))
    assert names, f"{shown(MAP)} has no table of rooms"
    wrong = []
    for name in names:
        path = PACKAGE / name
        if not (path.is_dir() if name.endswith("/") else path.is_file()):
            wrong.append(f"{name}: on the map {shown(MAP)}, not in the folder")
    wrong += [f"{name}: {count} lines" for name, count in Counter(names).items() if count > 1]
    assert not wrong, report(wrong)


def test_a_room_has_files() -> None:
    """A room appears when its second file does; until then it is one file."""
    lone = []
    for room in rooms(PACKAGE):
        inside = [path for path in python_files("src") if PACKAGE / room in path.parents]
        if room.endswith("/") and len(inside) < 2:
            lone.append(f"{room} has only {', '.join(path.name for path in inside)}: make it one file")
    assert not lone, report(lone)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("| `plan/` | what a pipeline is | kernel |", ["plan/"]),
        ("| `engines/base.py` | the contract | plan |", ["engines/base.py"]),
        ("| room | one line | may import |", []),
        ("| **kernel** | | |", []),
        ("see `plan/` below", []),
    ],
)
def test_lines_are_read_from_the_table_alone(line: str, names: list[str]) -> None:
    """The reader of the map tells rows of rooms from headings and prose."""
    assert mapped_names(line) == names
