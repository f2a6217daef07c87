"""Writing for people and for programs: colours where they are wanted, one JSON object where it is asked for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it, on a screen that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def is_colored(stream: TextIO) -> bool:
    """Whether it may have colours: NO_COLOR refuses them, whatever it says."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def painted(text: str, style: str, stream: TextIO) -> str:
    """The text in a style, where the stream has colours."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if is_colored(stream) else text


def say(lines: Iterable[str] | str, *, stream: TextIO | None = None) -> None:
    """Write lines, to standard output if not said otherwise."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    out = stream if stream is not None else sys.stdout
    if text:
        out.write(text + "\n")
        out.flush()


def say_json(data: object) -> None:
    """Write one JSON object to standard output."""
    import msgspec

    encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="number")
    say(msgspec.json.format(encoder.encode(data), indent=2).decode())


def columns(rows: Iterable[tuple[str, ...]], *, indent: str = "  ") -> list[str]:
    """Rows of texts as lines, each column as wide as its widest text; the last one is as long as it is."""
    listed = list(rows)
    widths = [max(len(row[index]) for row in listed) for index in range(len(listed[0]))] if listed else []
    lines = []
    for row in listed:
        cells = [text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return lines


def printable(text: str) -> str:
    """The text with control characters as escapes, so that data cannot steer a terminal or end its line."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
