"""A job as users hold it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxline.options import parse_duration

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType

    from fluxline.engines.embedded.job import EmbeddedJob
    from fluxline.telemetry import Report

_LOOK_MS = 200  # A wait comes back so often, so that an interrupt is noticed.


class Job:
    """One submitted run of a pipeline. A context manager: leaving it stops at a clean stop, and raises a failure nobody was told."""

    def __init__(self, job: EmbeddedJob | None, report: Report | None, notes: list[str]) -> None:
        self._job = job
        self._report = report
        self._notes = notes

    @property
    def report(self) -> Report:
        """The row ledger: of this moment while it runs, final when it has ended."""
        if self._report is not None:
            return self._report
        assert self._job is not None
        if not self._job.finished:
            return replace(self._job.report(), notes=tuple(self._notes))
        from fluxline.control.run import finished_report

        self._report = finished_report(self._job, self._notes)
        return self._report

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._job is None or self._job.finished

    def wait(self, *, timeout: str | timedelta | None = None) -> Report:
        """Wait for the end of the input.

        Args:
            timeout: longest time to wait; the job goes on when it is over.

        Raises:
            FluxlineError: the job failed.
            TimeoutError: it had not ended in time.
        """
        if self._job is not None and not self._job.wait(None if timeout is None else parse_duration(timeout, name="timeout")):
            raise TimeoutError("the job had not ended in time; it goes on")
        return self.report

    def stop(self, *, savepoint: Path | str | None = None) -> Report:
        """End at a clean stop: what was read is written, positions and state are saved.

        Args:
            savepoint: comes later.
        """
        if savepoint is not None:
            from fluxline.errors import UnsupportedByEngine

            raise UnsupportedByEngine(
                "FLX-2190",
                "Job.stop(savepoint=...) is not part of this version",
                detail="A stop saves positions and state in the environment's directory.",
            )
        if self._job is not None:
            self._job.stop()
        return self.report

    def cancel(self) -> None:
        """End now; nothing is saved."""
        if self._job is not None:
            self._job.cancel()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._job is None:
            return
        if kind is not None:
            self._job.cancel()
        elif not (self._job.finished and self._job.failure_told):
            self._job.stop()

    def _request_stop(self) -> None:
        """Ask for a clean stop; returns at once."""
        if self._job is not None:
            self._job.request_stop()

    def _wait_interruptibly(self) -> None:
        """Wait for the end; the first interrupt asks for a clean stop, the second ends now."""
        if self._job is None:
            return
        interrupts = 0
        while True:
            try:
                if self._job.wait(_LOOK_MS):
                    return
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > 1:
                    self._job.cancel()
                    raise
                self._job.request_stop()
