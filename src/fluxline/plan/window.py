"""Windows as the plan states them. What each kind means is in the dictionary `windows/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fluxline.errors import DefinitionError
from fluxline.options import format_duration

WindowKind = Literal["tumble", "hop", "cumulate", "session"]
WINDOW_START, WINDOW_END, WINDOW_TIME = "window_start", "window_end", "window_time"


@dataclass(frozen=True, slots=True)
class Window:
    """How rows are put into windows of time; all lengths in milliseconds, 0 where the kind has no such length.

    Attributes:
        kind: as SQL calls it.
        size_ms: length of a window (of `cumulate`: of the longest).
        slide_ms: distance between the starts of `hop` windows.
        step_ms: by how much `cumulate` windows grow.
        gap_ms: silence that ends a `session`.
        offset_ms: by how much all starts are moved from 1970-01-01T00:00.
        time: whose time decides.
    """

    kind: WindowKind
    size_ms: int = 0
    slide_ms: int = 0
    step_ms: int = 0
    gap_ms: int = 0
    offset_ms: int = 0
    time: Literal["event", "processing"] = "event"

    def __post_init__(self) -> None:
        length = self.gap_ms if self.kind == "session" else self.size_ms
        if length <= 0:
            raise DefinitionError("FLX-2120", f"a {self.kind} window needs a length above zero")
        if abs(self.offset_ms) >= max(length, 1):
            raise DefinitionError(
                "FLX-2121",
                f"the offset {format_duration(abs(self.offset_ms))} is not shorter than the window",
                detail=f"The window is {format_duration(length)} long; an offset moves its start within that length.",
            )

    def __str__(self) -> str:
        parts = [format_duration(value) for value in (self.size_ms, self.slide_ms, self.step_ms, self.gap_ms) if value]
        offset = f", offset {format_duration(self.offset_ms)}" if self.offset_ms else ""
        time = ", processing time" if self.time == "processing" else ""
        return f"{self.kind}({', '.join(parts)}{offset}{time})"
