"""Time, handed in: the engine, sources and tests ask a `Clock`, never the operating system."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """What the engine may know of time."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since 1970-01-01T00:00Z."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds that never go backward; only differences have a meaning."""
        ...

    def wait(self, wake: threading.Event, timeout_ms: int) -> bool:
        """Wait until `wake` is set or the time is over; True when it was set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wait(self, wake: threading.Event, timeout_ms: int) -> bool:
        return wake.wait(timeout_ms / 1000)


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    def wait(self, wake: threading.Event, timeout_ms: int) -> bool:
        """Time passes at once: the wait moves the clock."""
        if wake.is_set():
            return True
        self._now_ms += timeout_ms
        return False

    def advance(self, by_ms: int) -> None:
        """Move the clock forward."""
        assert by_ms >= 0, f"a clock cannot go back by {-by_ms} ms"
        self._now_ms += by_ms


def new_identity() -> str:
    """An identity that nothing else has, as 32 letters."""
    return uuid.uuid4().hex


def measure_seconds() -> float:
    """A reading for measuring our own work; only differences have a meaning."""
    return time.perf_counter()
