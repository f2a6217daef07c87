"""The files of the repository as the tidy tests see them: paths, texts and syntax trees, each read once."""

from __future__ import annotations

import ast
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fluxline"
CODE_FOLDERS = ("src", "tests", "tools", "benchmarks")

_VISIBLE_DOT_FOLDERS = (".ci",)
_RESULTS = ("__pycache__", "build", "dist")

Documented: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def all_files() -> tuple[Path, ...]:
    """Every file that belongs to the repository: no environment, no cache, no result of a run or build."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in _RESULTS and (not name.startswith(".") or name in _VISIBLE_DOT_FOLDERS))
        found.extend(Path(folder, name) for name in sorted(names))
    return tuple(found)


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """The Python files below these folders of the repository."""
    roots = [ROOT / folder for folder in folders]
    return tuple(path for path in all_files() if path.suffix == ".py" and any(root in path.parents for root in roots))


@cache
def text_of(path: Path) -> str:
    """The text of a file; empty for one that is no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text_of(path), filename=str(path))


def shown(path: Path) -> str:
    """The path as messages name it: from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def report(findings: list[str]) -> str:
    """One finding a line, for the message of a failing test."""
    return "\n" + "\n".join(findings)
