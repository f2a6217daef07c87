"""One worker's turn at a source: it reads it while no other does, stands by otherwise, and takes over when the other has gone."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from fluxline.engines.worker.intake import Intake
from fluxline.limits import INGEST_STANDBY_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.clock import Clock
    from fluxline.control.positions import IngestDirectory
    from fluxline.engines.worker.ingest import Ingest


class Reading:
    """Used by one thread.

    Attributes:
        moved: records that this worker put into the topic.
        rejected: records that it put into the topic of rejected ones.
    """

    def __init__(self, ingest: Ingest, place: IngestDirectory, clock: Clock, *, bounded: bool) -> None:
        self.moved = 0
        self.rejected = 0
        self._ingest = ingest
        self._place = place
        self._clock = clock
        self._bounded = bounded
        self._intake: Intake | None = None

    def take(self) -> bool:
        """Open the source and its topic, if the source is free and to be read; whether it was.

        Raises:
            FluxlineError: as `Intake`; the source is free again then.
        """
        if self._place.paused() or not self._place.acquire():
            return False
        try:
            self._intake = Intake(self._ingest, self._place, self._clock, bounded=self._bounded)
        except BaseException:
            self._place.release()
            raise
        return True

    def run(self, stopping: Callable[[], bool]) -> None:
        """Read whenever the source is free, until it ends or somebody asks to stop.

        Raises:
            FluxlineError: as `Intake.run`.
        """
        while not stopping():
            if self._intake is not None or self.take():
                assert self._intake is not None
                before, rejected = self._intake.kept.moved, self._intake.kept.rejected
                try:
                    self._intake.run(lambda: stopping() or self._place.paused())
                    ended = self._intake.kept.ended
                finally:
                    self.moved += self._intake.kept.moved - before
                    self.rejected += self._intake.kept.rejected - rejected
                    self.close()
                if ended:
                    return
            self._clock.wait(Event(), INGEST_STANDBY_MS)

    def close(self) -> None:
        """Let go of the source; may be called twice."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None
        self._place.release()
