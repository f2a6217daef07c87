"""The watcher of a deployment's workers: a process of its own, which starts them, replaces those that die, and ends them.

It outlives the command that submitted. A worker that dies is replaced after a wait that doubles with each quick death; after
WORKER_QUICK_DEATHS_MAX of them in a row no more is tried. One that says nothing for WORKER_HANG_MS_MAX is killed and replaced.
If the watcher itself dies, workers go on; nobody replaces them until the pipeline is submitted again.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from fluxline.control.worker_state import Watched, WatcherState, read_worker_state, write_watcher_state
from fluxline.engines.embedded.saved_state import StateDirectory
from fluxline.limits import (
    FLINK_POLL_MS,
    WORKER_END_MS_MAX,
    WORKER_HANG_MS_MAX,
    WORKER_QUICK_DEATHS_MAX,
    WORKER_QUICK_MS,
    WORKER_REPLACE_MS,
    WORKER_SAID_CHARS_MAX,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.clock import Clock
    from fluxline.control.deployment import DeploymentDirectory


@dataclass(slots=True)
class _Slot:
    """One worker that is to run."""

    number: int
    pid: int | None = None
    started_ms: int = 0
    again_ms: int = 0  # When the next one may be started.
    quick: int = 0  # Quick deaths in a row.
    deaths: int = 0
    given_up: bool = False
    died_at_ms: int | None = None
    said: str = ""
    beat: tuple[int, int] = field(default=(-1, 0))  # What it said last, and when that was first seen.

    def told(self) -> Watched:
        return Watched(self.number, self.pid, self.deaths, self.given_up, self.died_at_ms, self.said)


class Watcher:
    """Watches a fixed number of workers; used by one thread.

    Args:
        place: the deployment.
        count: how many workers run.
        spawn: starts one as a child of this process, with its output in a log; its process id.
        clock: time.
    """

    def __init__(self, place: DeploymentDirectory, count: int, spawn: Callable[[int], int], clock: Clock) -> None:
        self._place = place
        self._spawn = spawn
        self._clock = clock
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._told: tuple[Watched, ...] | None = None

    def run(self, stopping: Callable[[], bool]) -> None:
        """Keep the workers running until somebody asks to stop; then end them.

        Raises:
            ResourceBusy: FLX-4101, the deployment has a watcher.
            ExternalError: FLX-4102, FLX-4103, its directory cannot be written.
        """
        holder = StateDirectory(self._place.path / "watcher")
        holder.acquire(os.getpid())
        try:
            while not stopping():
                self.step()
                self._clock.wait(Event(), FLINK_POLL_MS)
        finally:
            self._end()
            holder.release()

    def step(self) -> None:
        """Look at each worker once."""
        for slot in self._slots:
            if slot.pid is not None:
                self._look(slot, slot.pid)
            if slot.pid is None and not slot.given_up and self._clock.monotonic_ms() >= slot.again_ms:
                slot.pid = self._spawn(slot.number)
                slot.started_ms = self._clock.monotonic_ms()
                slot.beat = (-1, slot.started_ms)
        self._tell()

    def _look(self, slot: _Slot, pid: int) -> None:
        """Note the death of a worker, and kill one that hangs."""
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            self._died(slot, os.waitstatus_to_exitcode(status))
            return
        now_ms = self._clock.monotonic_ms()
        beat = self._beat_of(pid)
        if beat != slot.beat[0]:
            slot.beat = (beat, now_ms)
        elif now_ms - slot.beat[1] >= WORKER_HANG_MS_MAX:
            os.kill(pid, signal.SIGKILL)  # The next look finds it dead; what it did not commit, the next one does again.

    def _beat_of(self, pid: int) -> int:
        """How often a worker said something; -1 where it has not yet."""
        states = (read_worker_state(worker.path) for worker in self._place.workers())
        return next((state.beat for state in states if state is not None and state.pid == pid), -1)

    def _died(self, slot: _Slot, code: int) -> None:
        now_ms = self._clock.monotonic_ms()
        slot.quick = slot.quick + 1 if now_ms - slot.started_ms < WORKER_QUICK_MS else 1
        first, longest = WORKER_REPLACE_MS
        slot.again_ms = now_ms + min(longest, first * 2 ** (slot.quick - 1))
        slot.given_up = slot.quick >= WORKER_QUICK_DEATHS_MAX
        slot.pid = None
        slot.deaths += 1
        slot.died_at_ms = self._clock.now_ms()
        log = self._place.path / f"worker-{slot.number}.log"
        said = log.read_text(errors="replace")[-WORKER_SAID_CHARS_MAX:].strip() if log.exists() else ""
        how = f"It ended with code {code}." if code >= 0 else f"It was ended by signal {signal.Signals(-code).name}."
        slot.said = f"{said}\n{how}".strip()

    def _tell(self) -> None:
        told = tuple(slot.told() for slot in self._slots)
        if told != self._told:
            write_watcher_state(self._place, WatcherState(os.getpid(), told))
            self._told = told

    def _end(self) -> None:
        """Ask all workers to end, and wait for them; those that do not are killed."""
        left = {slot.pid for slot in self._slots if slot.pid is not None}
        for pid in left:
            os.kill(pid, signal.SIGTERM)  # Nobody but this process waits for them, so the number is still theirs.
        deadline_ms = self._clock.monotonic_ms() + WORKER_END_MS_MAX
        while left:
            for pid in tuple(left):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    left.discard(pid)
                elif self._clock.monotonic_ms() >= deadline_ms:
                    os.kill(pid, signal.SIGKILL)
            if left:
                self._clock.wait(Event(), FLINK_POLL_MS)
        for slot in self._slots:
            slot.pid = None
        with suppress(Exception):  # The directory may have no room; the workers are ended all the same.
            self._tell()
