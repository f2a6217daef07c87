"""How words of the dictionaries look in text: a list of them, and one word with its options."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from fluxline.cli.screen import columns, painted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fluxline.control.inspect import ShownOption

_WIDTH = 100


def list_lines(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """One line for each word."""
    return columns(rows, indent="")


def option_lines(options: Sequence[ShownOption]) -> list[str]:
    """The options of a word, each with its type, default and example."""
    if not options:
        return ["options: none"]
    lines = ["options:"]
    for option in options:
        need = "required" if option.required else f"default {option.default}" if option.default else "not set by default"
        lines.append(f"  {painted(option.name, 'bold', sys.stdout)}  {option.type}, {need}")
        lines += textwrap.wrap(option.description, _WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        if option.example:
            lines.append(f"    example: {option.name} = {option.example}")
        if option.flink:
            lines.append(f"    Flink: {option.flink}")
    return lines
