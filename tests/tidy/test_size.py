"""A file and a function fit in one head."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.tree import CODE_FOLDERS, functions, parse, python_files, report, shown, text_of

FILE_LINES_BELOW = 500
FUNCTION_LINES_BELOW = 70

# Older exceptions: "path" or "path:function" -> its lines. An entry may shrink or go; none may grow or come.
RATCHET: dict[str, int] = {}


def function_lines(tree: ast.Module) -> dict[str, int]:
    """Lines of every function, from `def` to its last line; of equal names the longest."""
    lines: dict[str, int] = {}
    for node in functions(tree):
        assert node.end_lineno is not None
        lines[node.name] = max(lines.get(node.name, 0), node.end_lineno - node.lineno + 1)
    return lines


def test_files_fit_in_one_head() -> None:
    """Docstrings included; the way out is a second file with a name of its own."""
    sizes = {shown(path): text_of(path).count("\n") for path in python_files(*CODE_FOLDERS)}
    too_large = {name: lines for name, lines in sizes.items() if lines > RATCHET.get(name, FILE_LINES_BELOW - 1)}
    wrong = [f"{name}: {lines} lines, below {FILE_LINES_BELOW} wanted" for name, lines in too_large.items()]
    assert sizes
    assert not wrong, report(wrong)


def test_functions_fit_on_one_screen() -> None:
    """Docstrings included; the way out is a function with a name that says what the part does."""
    wrong = []
    for path in python_files(*CODE_FOLDERS):
        for name, lines in function_lines(parse(path)).items():
            place = f"{shown(path)}:{name}"
            if lines > RATCHET.get(place, FUNCTION_LINES_BELOW - 1):
                wrong.append(f"{place}: {lines} lines, below {FUNCTION_LINES_BELOW} wanted")
    assert not wrong, report(wrong)


def test_the_ratchet_names_only_what_is_too_large() -> None:
    """An exception that is no longer needed is taken out."""
    sizes = {shown(path): text_of(path).count("\n") for path in python_files(*CODE_FOLDERS)}
    for path in python_files(*CODE_FOLDERS):
        sizes |= {f"{shown(path)}:{name}": lines for name, lines in function_lines(parse(path)).items()}
    for name, lines in RATCHET.items():
        bound = FUNCTION_LINES_BELOW if ":" in name else FILE_LINES_BELOW
        assert sizes.get(name, 0) == lines >= bound, f"{name} has {sizes.get(name, 0)} lines, the ratchet says {lines}"


@pytest.mark.parametrize("lines", [1, 2, 70, 71])
def test_lines_of_a_function_are_counted(lines: int) -> None:
    """The first line and the last one count, decorators do not."""
    body = "\n".join(["    pass"] * (lines - 1))
    source = f"@decorated\ndef long() -> None:\n{body}\n" if lines > 1 else "@decorated\ndef long() -> None: pass\n"
    assert function_lines(ast.parse(source)) == {"long": lines}
