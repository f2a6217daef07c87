"""A pipeline on a cluster, as users hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.control.jobs import job_status, stop_job, wait_for_job
from fluxline.options import parse_duration

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from fluxline.control.jobs import JobStatus, Stopped


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """One submission of a pipeline. It goes on when this process ends.

    Attributes:
        pipeline: the pipeline's name.
        directory: where the search for its project file starts.
        env: the environment that was asked for.
    """

    pipeline: str
    directory: Path
    env: str | None

    def status(self) -> JobStatus:
        """How it stands now: the job, its workers, and what they have still to write.

        Raises:
            ConnectionLost: FLX-4502 or FLX-4401, a system does not answer.
        """
        return job_status(self.pipeline, self.directory, env=self.env)

    def wait(self, *, timeout: str | timedelta | None = None) -> JobStatus:
        """Wait until the job has ended by itself and everything is written.

        Args:
            timeout: longest time to wait; the job goes on when it is over.

        Raises:
            ExternalError: FLX-4505 or FLX-4506, the job failed; FLX-4525, the cluster knows it no more.
            TimeoutError: it had not ended in time.
        """
        limit_ms = None if timeout is None else parse_duration(timeout, name="timeout")
        found = wait_for_job(self.pipeline, self.directory, env=self.env, timeout_ms=limit_ms)
        if not found.settled:
            raise TimeoutError("the job had not ended in time; it goes on")
        return found

    def stop(self, *, drain: bool = False) -> Stopped:
        """End it with a savepoint, from which the next submission goes on, and its workers when they have written everything.

        Args:
            drain: let open windows come out first; the next submission starts over.

        Raises:
            ExternalError: FLX-4510, no savepoint was made, and the job goes on; FLX-4523, workers have not written everything.
        """
        return stop_job(self.pipeline, self.directory, env=self.env, drain=drain)

    def cancel(self) -> None:
        """End it now: no savepoint, and workers leave what is in their topics."""
        stop_job(self.pipeline, self.directory, env=self.env, cancel=True)
