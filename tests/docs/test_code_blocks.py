"""The code on the pages runs: blocks of Python marked `run`, files that a page shows, and the command lines on them.

    ```python run             executed, with what stood above it on the page
    ```toml file=cafe.toml    written to the folder in which the page runs
    ```console run            `$ command`, then what it prints; `…` stands for any text of a line, a line `…` for any lines
    ```python textbook        executed beside real servers, by tests/stack/test_textbook.py
    <!-- file: cafe.py from guides/first-pipeline.md -->    a file that another page shows
    <!-- folder: examples/sensors -->                       a folder of the repository, as it is without what runs leave

Each page runs in an empty folder of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, blocks, import_text, pages
from tests.tidy.tree import ROOT, shown, text_of

_FOLDER = re.compile(r"<!-- folder: (\S+) -->")
_LEFT_BY_RUNS = ("out", ".fluxline", "__pycache__")
_ALSO = re.compile(r"<!-- file: (\S+) from (\S+) -->")
COMMAND_SECONDS_MAX = 120
LANGUAGES = {"python", "toml", "json", "console", "text", "sql", "pyi"}


def runnable(page: Path) -> bool:
    """Whether a page has something to run."""
    return page != ROOT / "CONTRIBUTING.md" and any("run" in block.words or block.file for block in blocks(page))


@pytest.mark.parametrize("page", [page for page in pages() if runnable(page)], ids=shown)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first block to its last."""
    monkeypatch.chdir(tmp_path)
    for name, source in _ALSO.findall(text_of(page)):
        text = next(block.text for block in blocks(DOCS / source) if block.file == name)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for folder in _FOLDER.findall(text_of(page)):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(*_LEFT_BY_RUNS))
    python: list[Block] = []
    for block in blocks(page):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif "run" in block.words and block.language == "python":
            python.append(block)
        elif "run" in block.words:
            assert block.language == "console", f"{block}: {block.language} does not run"
            run_commands(block, tmp_path)
    if python:
        run_python(page, python, tmp_path)


def run_python(page: Path, found: list[Block], directory: Path) -> None:
    """Run the blocks as one file, each at the line at which it stands on the page."""
    text = ""
    for block in found:
        text += "\n" * (block.line - 1 - text.count("\n")) + block.text
    name = "fluxline_page_" + re.sub(r"\W", "_", page.stem)
    try:
        import_text(text, directory / f"{name}.py", name)
    finally:
        sys.modules.pop(name, None)


def run_commands(block: Block, directory: Path) -> None:
    """Run each command of a block, and compare what it prints with what stands below it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(directory), "NO_COLOR": "1", "FLUXLINE_ENV": ""}
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        done = subprocess.run(
            shlex.split(command),
            cwd=directory,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        printed = done.stdout
        assert done.returncode == 0, f"{block}: {command}\n{printed}"
        assert matches(wanted, printed), f"{block}: {command} prints\n{printed}\nand the page shows\n{wanted}"


def matches(wanted: str, printed: str) -> bool:
    """Whether a text is what the page shows."""
    pattern = ""
    for line in wanted.rstrip("\n").split("\n"):
        pattern += r"(?:[^\n]*\n)*?" if line == "…" else ".*".join(re.escape(part.rstrip()) for part in line.split("…")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


@pytest.mark.parametrize(
    ("wanted", "printed", "equal"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("took … s\n", "took 1.5 s\n", True),
        ("took … s\n", "took 1.5 minutes\n", False),
        ("x (y)\n", "x (y)   \n", True),
    ],
)
def test_output_is_compared(wanted: str, printed: str, *, equal: bool) -> None:
    """Line by line, with gaps where the page has them."""
    assert matches(wanted, printed) == equal


def test_every_fence_says_its_language() -> None:
    """And only known words stand behind it, so that no block is left out by a slip."""
    wrong = [str(block) for page in pages() for block in blocks(page) if block.language not in LANGUAGES]
    wrong += [
        f"{block}: {word}"
        for page in pages()
        for block in blocks(page)
        for word in block.words
        if word not in ("run", "textbook") and not word.startswith("file=")
    ]
    assert wrong == []


def test_python_that_is_not_run_is_python() -> None:
    """Fragments, too, have the syntax of Python."""
    import ast

    found = [block for page in pages() for block in blocks(page) if block.language == "python"]
    assert len(found) > 10
    for block in found:
        ast.parse(block.text, filename=str(block))


def test_the_pipeline_of_the_readme_is_the_example() -> None:
    """Statement by statement; the example has two more outputs."""
    import ast

    (shown_there,) = (block.text for block in blocks(ROOT / "README.md") if block.file == "sensors.py")
    example = ast.parse((ROOT / "examples" / "sensors" / "sensors.py").read_text(encoding="utf-8"))
    assert [ast.dump(node) for node in ast.parse(shown_there).body] == [ast.dump(node) for node in example.body[1:-2]]


def test_the_error_of_the_tutorial(tmp_path: Path) -> None:
    """The message that it shows is the one that a user gets for that slip."""
    page = DOCS / "guides" / "first-pipeline.md"
    for block in blocks(page):
        if block.file in ("cafe.py", "fluxline.toml"):
            (tmp_path / block.file).write_text(block.text.replace('col("amount") > 40', 'col("ammount") > 40'), encoding="utf-8")
    (wanted,) = (block.text for block in blocks(page) if block.language == "text" and block.text.startswith("FLX-"))
    command = [str(Path(sys.executable).parent / "fluxline"), "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False)
    assert done.returncode == 2
    assert done.stderr == wanted


def test_the_pages_that_must_run_do() -> None:
    """The tutorial, the guides of tests, notebooks and rules, and the page of the ledger."""
    names = {shown(page) for page in pages() if runnable(page)}
    assert names >= {
        f"docs/{name}.md" for name in ("guides/first-pipeline", "guides/testing", "guides/notebooks", "guides/quality", "concepts/ledger")
    }
