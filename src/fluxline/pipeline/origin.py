"""Where in the user's own text a call stands: the first frame outside this package, to the column."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.errors import Place

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep


def here(verb: str = "") -> Place | None:
    """The place of the call that led into this package.

    Args:
        verb: the method that was called; of a chain over several lines the place is then that method's line.
    """
    frame = user_frame()
    if frame is None:
        return None
    code, instruction = frame.f_code, frame.f_lasti // 2
    line, end_line, column, end_column = next(islice(code.co_positions(), instruction, None), (None, None, None, None))
    if line is None or column is None or end_line is None or end_column is None:
        return Place(code.co_filename, frame.f_lineno)
    if verb:
        found = _find_verb(code.co_filename, verb, (line, column), (end_line, end_column))
        if found is not None:
            return found
    start = _characters(code.co_filename, line, column)
    end = _characters(code.co_filename, end_line, end_column) if end_line == line else None
    if end is None:
        end = len(linecache.getline(code.co_filename, line).rstrip())
    return Place(code.co_filename, line, start + 1, end + 1)


def user_frame() -> FrameType | None:
    """The innermost frame whose code is not ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _ours(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _ours(file: str) -> bool:
    return file.startswith(_PACKAGE)


def _find_verb(file: str, verb: str, start: tuple[int, int], end: tuple[int, int]) -> Place | None:
    """Where the name of the called method stands: in the text of the call, from a line and byte to another."""
    lines = [linecache.getline(file, line).encode() for line in range(start[0], end[0] + 1)]
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][start[1] :]
    try:
        call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (SyntaxError, ValueError):  # the file has changed, or is not Python
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != verb:
        return None
    assert call.func.end_lineno is not None and call.func.end_col_offset is not None
    line = start[0] + call.func.end_lineno - 1
    skipped = start[1] - 1 if call.func.end_lineno == 1 else 0  # the bracket in front stands for one byte
    behind = _characters(file, line, call.func.end_col_offset + skipped) + 1
    return Place(file, line, behind - len(verb), behind)


def _characters(file: str, line: int, utf8_bytes: int) -> int:
    """How many characters of a line so many bytes are: code objects count bytes."""
    text = linecache.getline(file, line)
    return len(text.encode()[:utf8_bytes].decode(errors="ignore")) if text else utf8_bytes
