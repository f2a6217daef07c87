"""Where in the user's own text a call stands: the first frame outside this package, to the column."""

from __future__ import annotations

import linecache
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.errors import Place

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = str(Path(__file__).resolve().parent.parent)


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
        found = _find_verb(code.co_filename, verb, line, end_line, end_column)
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


def _find_verb(file: str, verb: str, first: int, last: int, end_column: int) -> Place | None:
    """The last `.verb` of the call's text, which ends at `end_column` of its last line."""
    for line in range(last, first - 1, -1):
        text = linecache.getline(file, line)
        if line == last:
            text = text[: _characters(file, line, end_column)]
        at = text.rfind(f".{verb}(")
        if at >= 0:
            return Place(file, line, at + 2, at + 2 + len(verb))
    return None


def _characters(file: str, line: int, utf8_bytes: int) -> int:
    """How many characters of a line so many bytes are: code objects count bytes."""
    text = linecache.getline(file, line)
    return len(text.encode()[:utf8_bytes].decode(errors="ignore")) if text else utf8_bytes
