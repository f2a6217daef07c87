"""`fluxline new`: the project that it makes runs, and it never writes over anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import finish, spawn

if TYPE_CHECKING:
    from tests.cli.conftest import Command

FILES = ["fluxline.toml", "pipelines/shop_floor.py", "data/readings.ndjson", "tests/test_shop_floor.py", "README.md", "pyproject.toml", ".gitignore"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_says_what_it_made(command: Command) -> None:
    """The folder keeps its hyphen; what Python imports has an underscore."""
    outcome = command("new", "shop-floor")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "made shop-floor/\n"
        + "".join(f"  {file}\n" for file in FILES)
        + 'next:\n  cd shop-floor\n  fluxline run --bounded\n  fluxline query "select * from hourly_averages"\n  pytest\n'
    )
    made = sorted(str(path.relative_to("shop-floor")) for path in Path("shop-floor").rglob("*") if path.is_file())
    assert made == sorted(FILES)
    assert "$" not in "".join(path.read_text() for path in Path("shop-floor").rglob("*") if path.is_file())


def test_json(command: Command) -> None:
    """The folder as an absolute path."""
    assert command("new", "shop_floor", "-o", "json").data == {"folder": str(Path("shop_floor").resolve()), "files": FILES}


def test_an_empty_folder_is_taken(command: Command) -> None:
    """Somebody may have made it before."""
    Path("demo").mkdir()
    assert command("new", "demo").code == 0


@pytest.mark.parametrize("hold", ["a file", "a folder that is not empty"])
def test_what_is_there_stays(hold: str, command: Command) -> None:
    """Nothing is written over."""
    if hold == "a file":
        Path("demo").write_text("mine")
    else:
        Path("demo").mkdir()
        Path("demo/notes.txt").write_text("mine")
    outcome = command("new", "demo")
    assert outcome.code == 2
    assert outcome.err == 'FLX-1202  "demo" is there already, and not empty\nhint: Choose another name, or empty the folder.\n'
    assert [path.read_text() for path in Path().rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize("name", ["2fast", "a b", "../demo", "a/b", "-", "é", "class", "json", "polars", "fluxline", "JSON", ""])
def test_a_name_that_could_hide_something_or_leave_the_folder_is_refused(name: str, command: Command) -> None:
    """A file json.py beside a pipeline would be imported in place of Python's own."""
    outcome = command("new", "--", name)
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f'FLX-1203  "{name}" cannot be the name of a project')
    assert list(Path().iterdir()) == []


def test_a_folder_that_cannot_be_made(command: Command) -> None:
    """A dangling link stands in the way."""
    Path("demo").symlink_to("nowhere/at/all")
    outcome = command("new", "demo")
    assert (outcome.code, outcome.err[:8]) == (1, "FLX-4103")


@pytest.mark.slow
def test_the_project_works_from_end_to_end(tmp_path: Path) -> None:
    """As its README says: new, check, run, query, and its own tests, each as a process of its own."""
    folder = tmp_path / "demo"
    assert finish(spawn(["new", "demo"], tmp_path)).code == 0
    assert finish(spawn(["check"], folder)).out == "demo: can run in dev\n"
    assert finish(spawn(["run", "--bounded"], folder)).code == 0
    answer = finish(spawn(["query", "select * from hourly_averages", "-o", "json"], folder))
    assert [(row["sensor_id"], row["mean"]) for row in answer.data["rows"] if "T08:" in row["window_start"]] == [(1, 21.5), (2, 24.75)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "FLUXLINE"))}
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "2 passed" in tests.stdout, tests.stdout + tests.stderr
