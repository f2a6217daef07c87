"""Windows of one size, side by side; each row is in exactly one: `[start, start + size)`.

start = time - ((time - offset) mod size), with a remainder that is never negative (Flink's TUMBLE)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxline.batch import Int64s
    from fluxline.plan.window import Window


def assign(times_ms: Int64s, window: Window) -> Int64s:
    """The start of the window of each time, in ms."""
    starts: Int64s = times_ms - (times_ms - window.offset_ms) % window.size_ms
    return starts


def end(starts_ms: Int64s, window: Window) -> Int64s:
    """The exclusive end of the windows that start there."""
    ends: Int64s = starts_ms + window.size_ms
    return ends
