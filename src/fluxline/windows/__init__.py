"""The dictionary of windows: what each kind means. A kind assigns rows to windows and says when one is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fluxline.errors import UnsupportedByEngine
from fluxline.windows import tumble

if TYPE_CHECKING:
    from fluxline.batch import Int64s
    from fluxline.plan.window import Window


class WindowKind(Protocol):
    """What a module of this package gives."""

    def assign(self, times_ms: Int64s, window: Window) -> Int64s:
        """The start of the one window of each time, in ms, shape as `times_ms`."""
        ...

    def end(self, starts_ms: Int64s, window: Window) -> Int64s:
        """The exclusive end of the windows that start there."""
        ...


WINDOWS: dict[str, WindowKind] = {"tumble": tumble}
"""Every kind that an engine runs, by its SQL name."""


def find_window(window: Window) -> WindowKind:
    """The meaning of a window's kind.

    Raises:
        UnsupportedByEngine: FLX-2190, the kind comes later.
    """
    kind = WINDOWS.get(window.kind)
    if kind is None:
        raise UnsupportedByEngine("FLX-2190", f"{window.kind} windows are not part of this version", detail=f"It has {', '.join(WINDOWS)}.")
    return kind
