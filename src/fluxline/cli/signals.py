"""What the signals of a running command ask for: a clean stop, or the end now.

    SIGINT (Ctrl-C)     the first asks for a clean stop, the second ends now, the third kills the process
    SIGTERM, SIGHUP     ask for a clean stop

The handlers only note what was asked, so that they may come at any moment; the command looks at the notes. A signal that the
process was started to ignore (nohup, a background job of a shell script) stays ignored.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Asked:
    """What was asked for so far. Until `running` is set, Ctrl-C interrupts as usual: there is nothing to stop cleanly yet."""

    def __init__(self) -> None:
        self.running = False
        self._interrupts = 0
        self._terminated = False

    @property
    def stop(self) -> bool:
        """A clean stop, or more."""
        return self._interrupts > 0 or self._terminated

    @property
    def end(self) -> bool:
        """The end now."""
        return self._interrupts > 1

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Note a Ctrl-C."""
        if not self.running:
            raise KeyboardInterrupt
        self._interrupts += 1
        if self._interrupts > 1:
            signal.signal(number, signal.SIG_DFL)

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Note that somebody else asks for a clean stop."""
        self._terminated = True


@contextmanager
def signals() -> Iterator[Asked]:
    """Handle the signals of this process meanwhile; in another thread than the main one none are handled."""
    asked = Asked()
    before: dict[int, object] = {}
    for number, handler in ((signal.SIGINT, asked.interrupt), (signal.SIGTERM, asked.terminate), (signal.SIGHUP, asked.terminate)):
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        try:
            before[number] = signal.signal(number, handler)
        except ValueError:  # not the main thread
            break
    try:
        yield asked
    finally:
        for handled, earlier in before.items():
            signal.signal(handled, earlier)  # type: ignore[arg-type]  # what signal.signal gave
