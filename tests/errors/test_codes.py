"""Codes and classes of errors: each code has one meaning and is raised, each class is what the tree in `errors.py` draws."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from dataclasses import dataclass

import pytest

from fluxline import errors
from fluxline.error_codes import CODES
from tests.tidy.tree import PACKAGE, parse, python_files, report, shown, text_of

CODES_FILE = PACKAGE / "error_codes.py"
RANGES = "1234569"
_CODE = re.compile(r"FLX-\d+")


def codes_mentioned() -> dict[str, str]:
    """Code -> one file of the package that mentions it, in code or docs."""
    return {code: shown(path) for path in python_files("src") if path != CODES_FILE for code in _CODE.findall(text_of(path))}


def codes_raised() -> set[str]:
    """The codes that are written as a text of their own, as an error takes them."""
    return {
        node.value
        for path in python_files("src")
        if path != CODES_FILE
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value)
    }


def test_every_code_in_the_package_has_a_meaning() -> None:
    """In `error_codes.py`."""
    unknown = [f"{code} in {file} is not in CODES" for code, file in sorted(codes_mentioned().items()) if code not in CODES]
    assert codes_mentioned()
    assert not unknown, report(unknown)


def test_every_code_is_raised() -> None:
    """A meaning without an error is taken out."""
    assert sorted(CODES.keys() - codes_raised()) == []


def test_codes_stand_once_and_in_order() -> None:
    """A dictionary would keep the last of two equal keys and say nothing."""
    written = re.findall(r'^    "(FLX-\d+)":', text_of(CODES_FILE), re.MULTILINE)
    assert [code for code, count in Counter(written).items() if count > 1] == []
    assert written == sorted(CODES)


def test_no_two_codes_mean_the_same() -> None:
    """One meaning, one code."""
    assert [meaning for meaning, count in Counter(text.lower() for text in CODES.values()).items() if count > 1] == []


@pytest.mark.parametrize("code", CODES)
def test_a_code_and_its_meaning_are_well_formed(code: str) -> None:
    """Four digits of a known range, and one sentence."""
    assert re.fullmatch(rf"FLX-[{RANGES}]\d\d\d", code)
    assert re.fullmatch(r"[A-Z\"].*[^.]\.", CODES[code]), CODES[code]
    assert ". " not in CODES[code].rstrip(".")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One class as the tree draws it."""

    parent: str
    fault: str
    retry: bool


def drawn_tree() -> dict[str, Drawn]:
    """The tree in the docstring of `errors.py`: columns are names, meaning, fault and whether to try again."""
    tree: dict[str, Drawn] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:│  )*)[├└]─ (.*)$", line)
        if match is None:
            if line.strip() == "FluxlineError":
                above = ["FluxlineError"]
            continue
        depth = len(match.group(1)) // 3 + 1
        cells = re.split(r"\s{2,}", match.group(2).strip())
        names = cells[0].split(" · ")
        parent = above[depth - 1]
        words = cells[1:]
        fault = next((word for word in words if word in ("user", "data", "external", "operator", "us")), None)
        inherited = tree[parent].fault if parent in tree else "us"
        for name in names:
            tree[name] = Drawn(parent, fault or inherited, "retry with back-off" in words)
        above = [*above[:depth], names[-1]]
    return tree


def defined_tree() -> dict[str, Drawn]:
    """The classes as they are."""
    classes = [
        item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, errors.FluxlineError) and item is not errors.FluxlineError
    ]
    return {item.__name__: Drawn(item.__bases__[0].__name__, item.fault, item.retry) for item in classes}


def test_the_drawn_tree_is_the_tree() -> None:
    """Parents, faults and whether to try again."""
    assert len(drawn_tree()) > 10
    assert drawn_tree() == defined_tree()


def test_every_error_class_has_a_docstring_of_its_own() -> None:
    """An inherited one says nothing of the difference."""
    assert [name for name in defined_tree() if not vars(getattr(errors, name)).get("__doc__")] == []


def test_errors_are_defined_in_one_file() -> None:
    """The whole tree is seen at once."""
    bases = {"FluxlineError", *defined_tree()}
    elsewhere = [
        f"{shown(path)}: {node.name}"
        for path in python_files("src")
        if path != PACKAGE / "errors.py"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id in bases for base in node.bases)
    ]
    assert not elsewhere, report(elsewhere)
