"""The cluster's own REST interface: what it has free, how a job goes, and how a job ends."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluxline.clock import SystemClock
from fluxline.engines.flink.transport import FlinkRefusal, JavaFailure, Transport, read_failure
from fluxline.errors import ExternalError, ResourceMissing
from fluxline.limits import FLINK_POLL_MS, FLINK_STOP_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fluxline.clock import Clock

ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
"""The states that a job does not leave."""

LATE_DROPPED = "numLateRecordsDropped"
NO_WATERMARK = -(2**63)


@dataclass(frozen=True, slots=True)
class Overview:
    """The cluster."""

    version: str
    task_managers: int
    slots: int
    free_slots: int


@dataclass(frozen=True, slots=True)
class Vertex:
    """One vertex of a job: steps that run in one thread, several times side by side.

    Attributes:
        id: as Flink knows it.
        name: the names of its steps.
        parallelism: how often it runs side by side.
        state: such as RUNNING.
        read: records that came in from other vertices, so far.
        written: records that went out to other vertices, so far.
    """

    id: str
    name: str
    parallelism: int
    state: str
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is now.

    Attributes:
        id: as Flink knows it.
        name: of the pipeline.
        state: such as RUNNING; one of `ENDED` stays.
        vertices: in the order of the data.
    """

    id: str
    name: str
    state: str
    vertices: tuple[Vertex, ...]


class Cluster:
    """A Flink cluster.

    Args:
        address: of the job manager, such as `http://127.0.0.1:8081`.
        clock: time.

    All methods raise `ConnectionLost` FLX-4502 if nobody answers, and those with a job ResourceMissing FLX-4507 if it is not known.
    """

    def __init__(self, address: str, clock: Clock | None = None) -> None:
        self.transport = Transport(address, "Flink cluster")
        self.clock = SystemClock() if clock is None else clock

    def overview(self) -> Overview:
        """Version, task managers and slots."""
        told = self._ask("GET", "/overview")
        return Overview(str(told["flink-version"]), int(told["taskmanagers"]), int(told["slots-total"]), int(told["slots-available"]))

    def require_slots(self, needed: int) -> None:
        """Refuse a job that would wait for slots.

        Raises:
            ExternalError: FLX-4505.
        """
        found = self.overview()
        if found.free_slots < needed:
            detail = f"The job needs {needed}; of {found.slots} in {found.task_managers} task managers {found.free_slots} are free."
            hint = "Start a task manager, stop a job, or lower the parallelism."
            raise ExternalError("FLX-4505", "Flink has too few free slots", detail=detail, hint=hint)

    def job(self, job_id: str) -> Job:
        """State and vertices of a job."""
        told = self._ask("GET", f"/jobs/{quote(job_id)}", job_id)
        return Job(job_id, str(told["name"]), str(told["state"]), tuple(_vertex(each) for each in told["vertices"]))

    def find(self, job_id: str) -> Job | None:
        """State and vertices of a job; None where the cluster does not know it, or knows it no more."""
        try:
            return self.job(job_id)
        except ResourceMissing:
            return None

    def wait(self, job_id: str, states: Collection[str], timeout_ms: int) -> Job | None:
        """Wait for one of the states; None when the time was over first.

        Raises:
            ExternalError: FLX-4506, the job ended in another one, with the cause.
        """
        deadline_ms = self.clock.monotonic_ms() + timeout_ms
        while True:
            job = self.job(job_id)
            if job.state in states:
                return job
            if job.state in ENDED:
                raise self.failure(job)
            if self.clock.monotonic_ms() >= deadline_ms:
                return None
            self.clock.wait(Event(), FLINK_POLL_MS)

    def cause(self, job_id: str) -> JavaFailure | None:
        """Why the job failed last, or None."""
        told = self._ask("GET", f"/jobs/{quote(job_id)}/exceptions", job_id)
        entries = told.get("exceptionHistory", {}).get("entries", [])
        return read_failure(str(entries[0]["stacktrace"])) if entries else None

    def failure(self, job: Job) -> ExternalError:
        """The error to raise for a job that ended otherwise than it should."""
        cause = self.cause(job.id)
        if cause is not None and cause.kind == "NoResourceAvailableException":
            hint = "Start a task manager, stop a job, or lower the parallelism."
            return ExternalError("FLX-4505", "Flink has too few free slots", detail=cause.message, hint=hint)
        detail = "" if cause is None else f"{cause.kind}: {cause.message}" if cause.kind else cause.message
        return ExternalError("FLX-4506", f'the job "{job.name}" ended as {job.state} on Flink', detail=detail)

    def late_dropped(self, job_id: str) -> int | None:
        """What Flink's own operators dropped as late, so far; None while no operator tells. It is no count of rows."""
        found: list[int] = []
        for vertex in self.job(job_id).vertices:
            path = f"/jobs/{quote(job_id)}/vertices/{vertex.id}/subtasks/metrics"
            names = [str(each["id"]) for each in self._ask("GET", path, job_id) if str(each["id"]).endswith(LATE_DROPPED)]
            if names:
                told = self._ask("GET", f"{path}?agg=sum&get={quote(','.join(names))}", job_id)
                found += [int(float(each["sum"])) for each in told]
        return sum(found) if found else None

    def metrics(self, job_id: str, vertex_id: str, names: Collection[str]) -> Mapping[str, float]:
        """Metrics of a vertex, each summed over its subtasks; those that nobody tells are left out."""
        path = f"/jobs/{quote(job_id)}/vertices/{quote(vertex_id)}/subtasks/metrics?agg=sum&get={quote(','.join(names))}"
        return {str(each["id"]): float(each["sum"]) for each in self._ask("GET", path, job_id)}

    def read_per_subtask(self, job_id: str, vertex_id: str) -> tuple[int, ...]:
        """Records that came in from other vertices, one number per subtask."""
        told = self._ask("GET", f"/jobs/{quote(job_id)}/vertices/{quote(vertex_id)}", job_id)
        ordered = sorted(told["subtasks"], key=lambda each: int(each["subtask"]))
        return tuple(int(each["metrics"]["read-records"]) for each in ordered)

    def watermarks(self, job_id: str, vertex_id: str) -> tuple[int | None, ...]:
        """The watermark of each subtask in milliseconds, None before its first."""
        told = self._ask("GET", f"/jobs/{quote(job_id)}/vertices/{quote(vertex_id)}/watermarks", job_id)
        values = [int(each["value"]) for each in sorted(told, key=lambda each: int(str(each["id"]).partition(".")[0]))]
        return tuple(None if value == NO_WATERMARK else value for value in values)

    def cancel(self, job_id: str) -> None:
        """End the job now; nothing is saved. A job that ended already stays as it is."""
        try:
            self.transport.ask("PATCH", f"/jobs/{quote(job_id)}?mode=cancel")
        except FlinkRefusal as refusal:
            if refusal.status != 409:  # It has ended.
                raise _refuse(refusal, job_id) from None

    def stop(self, job_id: str, directory: str | None, timeout_ms: int = FLINK_STOP_MS_MAX, *, drain: bool = False) -> str:
        """End the job with a savepoint below the directory, which all processes of the cluster reach, and return the savepoint's path.

        Without a directory it is the cluster's own, which its configuration names.

        With `drain` windows that are still open come out first; the job cannot go on from such a savepoint as if nothing had been.

        Raises:
            ExternalError: FLX-4510, no savepoint was made; the job goes on.
        """
        body = {"targetDirectory": directory, "drain": drain, "formatType": "CANONICAL"}
        request = str(self._ask("POST", f"/jobs/{quote(job_id)}/stop", job_id, body)["request-id"])
        deadline_ms = self.clock.monotonic_ms() + timeout_ms
        while True:
            told = self._ask("GET", f"/jobs/{quote(job_id)}/savepoints/{request}", job_id)
            if told["status"]["id"] == "COMPLETED":
                break
            if self.clock.monotonic_ms() >= deadline_ms:
                raise ExternalError(
                    "FLX-4510",
                    "Flink does not finish the savepoint in time",
                    detail=f"It goes on below {directory or 'the directory of the cluster'}.",
                )
            self.clock.wait(Event(), FLINK_POLL_MS)
        cause = told["operation"].get("failure-cause")
        if cause is not None:
            failure = read_failure(str(cause.get("stack-trace") or cause.get("class") or ""))
            raise ExternalError("FLX-4510", "Flink made no savepoint", detail=failure.message)
        return str(told["operation"]["location"])

    def _ask(self, method: str, path: str, job_id: str = "", body: Mapping[str, object] | None = None) -> Any:
        try:
            return self.transport.ask(method, path, body)
        except FlinkRefusal as refusal:
            raise _refuse(refusal, job_id) from None


def _vertex(told: Mapping[str, Any]) -> Vertex:
    metrics = told["metrics"]
    counted = int(metrics["read-records"]), int(metrics["write-records"])
    return Vertex(str(told["id"]), str(told["name"]), int(told["parallelism"]), str(told["status"]), *counted)


def _refuse(refusal: FlinkRefusal, job_id: str) -> ExternalError:
    if job_id and refusal.status == 404:
        return ResourceMissing("FLX-4507", f'Flink knows no job "{job_id}"', detail=refusal.failure.message)
    return ExternalError("FLX-4514", "Flink refuses a question about a job", detail=refusal.failure.message)
