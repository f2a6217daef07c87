"""Every module says its purpose, and every public class, function and method its contract."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.tree import CODE_FOLDERS, Documented, parse, python_files, report, shown, text_of

_PLACEHOLDERS = ("todo", "fixme", "tbd", "xxx")


def undocumented(tree: ast.Module, contracts: frozenset[str] = frozenset()) -> list[str]:
    """The public names of a file without a docstring.

    A method needs none where a method of that name is documented in a class that may be its contract.

    Args:
        tree: the file's syntax tree.
        contracts: names of methods that are documented somewhere in the package.
    """
    found = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not _documented(node) and not _overload(node):
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                and not method.name.startswith("_")
                and not _documented(method)
                and not _overload(method)
                and method.name not in contracts
            ]
    return found


def documented_methods(tree: ast.Module) -> set[str]:
    """The methods that have a docstring, by name."""
    return {
        method.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and _documented(method)
    }


def _documented(node: Documented) -> bool:
    """Whether it has a docstring that says something."""
    text = ast.get_docstring(node) or ""
    return bool(text.strip()) and text.strip().lower().rstrip(".:") not in _PLACEHOLDERS


def _overload(node: ast.AST) -> bool:
    """Whether it only states one more signature of a function, or sets what a documented property reads."""
    decorators = getattr(node, "decorator_list", [])
    return any(
        (isinstance(item, ast.Name) and item.id == "overload") or (isinstance(item, ast.Attribute) and item.attr in ("overload", "setter"))
        for item in decorators
    )


def test_every_module_says_its_purpose() -> None:
    """In its first sentence; an empty file has nothing to say."""
    paths = python_files(*CODE_FOLDERS, "examples")
    wrong = [f"{shown(path)}: no docstring that says its purpose" for path in paths if text_of(path).strip() and not _documented(parse(path))]
    assert paths
    assert not wrong, report(wrong)


def test_everything_public_says_its_contract() -> None:
    """When it is called, what it owes, what is not promised."""
    paths = python_files("src", "tools", "benchmarks")
    contracts = frozenset(name for path in paths for name in documented_methods(parse(path)))
    wrong = [f"{shown(path)}: {name} has no docstring" for path in paths for name in undocumented(parse(path), contracts)]
    assert not wrong, report(wrong)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def run(): pass", ["run"]),
        ('def run():\n    """TODO"""', ["run"]),
        ('def run():\n    """Run it."""', []),
        ("def _run(): pass", []),
        ("class Job:\n    def stop(self): pass", ["Job", "Job.stop"]),
        ('class Job:\n    """A run."""\n    def _stop(self): pass\n    def __len__(self): return 0', []),
        ('class Job:\n    """A run."""\n    def read(self): pass', []),
        ("from typing import overload\n@overload\ndef run(x: int) -> int: ...", []),
    ],
)
def test_what_lacks_a_docstring_is_found(source: str, found: list[str]) -> None:
    """`read` is documented by its contract here; the others are not."""
    assert undocumented(ast.parse(source), frozenset({"read"})) == found
