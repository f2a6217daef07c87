"""A type checker accepts the documented examples, and reports what is wrong at its line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = sorted((HERE / "examples").glob("*.py"))
WRONG = sorted((HERE / "examples_wrong").glob("*.py"))

_ERROR = re.compile(r"^(?P<path>.+?):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")
_EXPECT = re.compile(r"# expect: (?P<codes>[a-z,-]+)$")


@cache
def reported() -> tuple[str, ...]:
    """What mypy says of all examples, as a user runs it: strict, and with nothing of this repository's configuration."""
    options = ["--strict", "--config-file=", "--explicit-package-bases", "--no-error-summary", "--no-pretty", "--cache-dir=.cache/mypy-examples"]
    paths = [path.relative_to(ROOT).as_posix() for path in (*EXAMPLES, *WRONG)]
    done = subprocess.run([sys.executable, "-m", "mypy", *options, *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # 1: it ran and found errors, which the wrong examples hold.
    return tuple(line for line in done.stdout.splitlines() if ": note: " not in line)


def test_there_are_examples() -> None:
    """An empty folder would prove nothing."""
    assert len(EXAMPLES) >= 3
    assert len(WRONG) >= 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_type_check(path: Path) -> None:
    """Under `mypy --strict`, without a word."""
    assert [line for line in reported() if line.startswith(path.relative_to(ROOT).as_posix())] == []


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_mistakes_are_reported_at_their_line(path: Path) -> None:
    """Each marked line with its codes, and no other line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = Counter(
        (number, code) for number, line in enumerate(lines, 1) if (match := _EXPECT.search(line)) for code in match["codes"].split(",")
    )
    name = path.relative_to(ROOT).as_posix()
    found = Counter((int(match["line"]), match["code"]) for line in reported() if (match := _ERROR.match(line)) and match["path"] == name)
    assert expected
    assert found == expected


def test_errors_are_in_the_wrong_examples_alone() -> None:
    """Nothing is said of the package itself, and nothing that has no line."""
    names = {path.relative_to(ROOT).as_posix() for path in WRONG}
    assert [line for line in reported() if not (match := _ERROR.match(line)) or match["path"] not in names] == []
