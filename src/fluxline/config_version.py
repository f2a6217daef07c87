"""Whether this version of Fluxline may run a project: the `requires` key, such as `>=0.3,<0.4`.

Versions are dotted numbers and nothing else: what stands behind them (`rc1`, `.dev3`) does not count, and 0.3 equals 0.3.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fluxline.errors import ConfigError

if TYPE_CHECKING:
    from fluxline.errors import Place

_CONDITION = re.compile(r"\s*(>=|<=|==|!=|~=(?=\s*\d+\.)|>|<)\s*(\d+(?:\.\d+)*)\s*")
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
OPERATORS = (">=", ">", "<=", "<", "==", "!=", "~=")


def own_version() -> str:
    """The version of the Fluxline that runs."""
    from importlib.metadata import version  # here, because it is slow to import and few calls need it

    return version("fluxline")


def refuse_other_version(requires: str, version: str, place: Place | None) -> None:
    """Refuse a project that asks for another version.

    Raises:
        ConfigError: FLX-1005 the condition cannot be read; FLX-1010 it does not hold.
    """
    found = _NUMBERS.match(version)
    assert found is not None, f"no version: {version}"
    ours = _numbers(found.group())
    for text in requires.split(","):
        condition = _CONDITION.fullmatch(text)
        if condition is None:
            detail = f"A condition is one of {' '.join(OPERATORS)} and dotted numbers; several are joined by commas."
            raise ConfigError("FLX-1005", f'"requires" of [project] cannot be "{requires}"', detail=detail, hint='Write ">=0.3,<0.4".', place=place)
        if not _holds(ours, condition.group(1), condition.group(2)):
            raise ConfigError(
                "FLX-1010",
                f"the project requires Fluxline {requires}, and this is {version}",
                detail=f'The condition "{text.strip()}" does not hold.',
                hint="Install a version that fits, or change requires.",
                place=place,
            )


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers without zeros at the end, so that 0.3 and 0.3.0 are equal."""
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _holds(ours: tuple[int, ...], operator: str, text: str) -> bool:
    theirs = _numbers(text)
    if operator == "~=":  # ~=0.3.1 means >=0.3.1 and 0.3.*
        fixed = tuple(int(part) for part in text.split("."))[:-1]
        return ours >= theirs and (ours + (0,) * len(fixed))[: len(fixed)] == fixed
    return {
        ">=": ours >= theirs, ">": ours > theirs, "<=": ours <= theirs, "<": ours < theirs, "==": ours == theirs, "!=": ours != theirs,
    }[operator]  # fmt: skip
