"""Whether a disk under a server of the stack is full: by the room that is left, or by what the server said of it in its log."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from fluxline.limits import STACK_FULL_BYTES_MAX, STACK_FULL_LOG_LINES
from fluxline.stack.lifecycle import log_lines
from fluxline.stack.server import numbered

if TYPE_CHECKING:
    from pathlib import Path

_SAID = "No space left on device"


def is_full(directory: Path, part: str, name: str) -> bool:
    """Whether no room is left where a server keeps its data."""
    number = int(name.rpartition("-")[2]) if name[-1].isdigit() else 1
    node = directory / part if number == 1 else directory / part / f"node-{number}"
    places = {
        "kafka": [directory / part / numbered("data", number)],
        "flink": [directory / part / each for each in ("tmp", "checkpoints", "savepoints")],
        "cassandra": [node / "data"],
    }
    return any(shutil.disk_usage(place).free < STACK_FULL_BYTES_MAX for place in places[part] if place.exists())


def said_full(directory: Path, name: str) -> bool:
    """Whether the end of a server's log says so; each start begins the log anew."""
    return any(_SAID in line for line in log_lines(directory / f"{name}.log", STACK_FULL_LOG_LINES))
