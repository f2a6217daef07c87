"""Windows as values of the Python API: `tumble("1 hour")`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from fluxline.errors import DefinitionError, FluxlineError
from fluxline.options import parse_duration
from fluxline.pipeline.later import refuse
from fluxline.pipeline.origin import here
from fluxline.plan import window as plan

if TYPE_CHECKING:
    from fluxline.errors import Place


Duration: TypeAlias = str | timedelta
"""A length of time: one whole number and one unit, as in `"5 seconds"`, or a timedelta."""


class Window:
    """A window for `Stream.window`; made by `tumble`."""

    __slots__ = ("planned",)

    def __init__(self, planned: plan.Window) -> None:
        self.planned = planned

    def __repr__(self) -> str:
        return str(self.planned)


def tumble(size: str | timedelta, *, offset: str | timedelta | None = None, time: Literal["event", "processing"] = "event") -> Window:
    """Windows of one size, side by side: each row is in exactly one.

    Args:
        size: length of a window.
        offset: by how much the starts are moved from 1970-01-01T00:00 UTC; "-2 seconds" moves them back.
        time: "event": the stream's time attribute decides.

    Raises:
        DefinitionError: a length is no duration, or the offset is not shorter than the window.
    """
    place = here()
    if time not in ("event", "processing"):
        raise DefinitionError("FLX-2122", f'time is "event" or "processing", not {time!r}', place=place)
    if time == "processing":
        raise refuse('tumble(time="processing")', place)
    try:
        offset_ms = 0 if offset is None else _signed_ms(offset, place)
        return Window(plan.Window("tumble", size_ms=parse_duration(size, name="size", place=place), offset_ms=offset_ms, time=time))
    except FluxlineError as error:
        error.place = error.place or place
        raise


def _signed_ms(offset: str | timedelta, place: Place | None) -> int:
    """An offset in milliseconds; of all lengths of time only this one may be negative."""
    if isinstance(offset, str) and offset.startswith("-"):
        return -parse_duration(offset[1:].lstrip(), name="offset", place=place)
    if isinstance(offset, timedelta) and offset < timedelta(0):
        return -parse_duration(-offset, name="offset", place=place)
    return parse_duration(offset, name="offset", place=place)
