"""The cluster's own REST interface: what it has free, how a job goes, and how a job ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluxline.clock import SystemClock
from fluxline.engines.flink.transport import FlinkRefusal, JavaFailure, Transport, read_failure
from fluxline.errors import ExternalError, ResourceMissing
from fluxline.limits import FLINK_POLL_MS, FLINK_START_MS_MAX, FLINK_STOP_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from fluxline.clock import Clock

ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
"""The states that a job does not leave."""

LATE_DROPPED = "numLateRecordsDropped"
NO_WATERMARK = -(2**63)
LAST_WATERMARK = 2**63 - 1
"""What a watermark is once the input has ended; metrics tell it as a floating-point number, which is a little more."""

_BUSY, _BACK_PRESSURED, _WATERMARK, _OWN_WATERMARK = (
    "busyTimeMsPerSecond",
    "backPressuredTimeMsPerSecond",
    "currentInputWatermark",
    ".currentOutputWatermark",
)
_NO_SAVEPOINTS = "execution.checkpointing.savepoint-dir"
_FILE_TROUBLES = (
    "IOException",
    "FileNotFoundException",
    "AccessDeniedException",
    "NoSuchFileException",
    "FileSystemException",
    "AccessControlException",
)
_SINK_PARTS = ("__Writer.", "__Committer.")


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
        read: records that came in from other vertices, or from a source, so far; None while not all subtasks have told.
        written: records that went out to other vertices, or to sinks, so far; None likewise.
        text: its steps one by one, as Flink describes them.
        inputs: the vertices whose records it reads.
    """

    id: str
    name: str
    parallelism: int
    state: str
    read: int | None
    written: int | None
    text: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """How a vertex keeps up; None is what Flink does not tell, or not yet.

    Attributes:
        busy_ms: of each second, by its busiest subtask.
        back_pressured_ms: of each second in which it waits for those behind it, by the subtask that waits most.
        watermark_ms: the least of its subtasks; `LAST_WATERMARK` once the input has ended.
    """

    busy_ms: int | None
    back_pressured_ms: int | None
    watermark_ms: int | None


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """What failed last in a job.

    Attributes:
        task: the name of the vertex, with the subtask behind it; empty where it was no task.
        at_ms: when, in the cluster's wall-clock time.
        stack: what Java says, all of it.
    """

    task: str
    at_ms: int
    stack: str

    @property
    def cause(self) -> JavaFailure:
        """The innermost cause."""
        return read_failure(self.stack)


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

    def configuration(self) -> dict[str, str]:
        """The settings of the job manager, secrets hidden by it."""
        return {str(each["key"]): str(each["value"]) for each in self._ask("GET", "/jobmanager/config")}

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
        planned = {str(node["id"]): node for node in told.get("plan", {}).get("nodes", [])}
        return Job(job_id, str(told["name"]), str(told["state"]), tuple(_vertex(each, planned) for each in told["vertices"]))

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

    def wait_until_all_run(
        self, job_id: str, timeout_ms: int = FLINK_START_MS_MAX, *, failed: Callable[[Job], ExternalError | None] | None = None
    ) -> None:
        """Wait until every step of a job that was submitted just now runs, or has finished.

        Args:
            job_id: the job.
            timeout_ms: the longest wait.
            failed: says why a job fails, if it does; without it the cause is told as Flink tells it.

        Raises:
            ExternalError: FLX-4505, FLX-4506 the job failed, FLX-4521 it does not start in time.
        """
        deadline_ms = self.clock.monotonic_ms() + timeout_ms
        while self.clock.monotonic_ms() < deadline_ms:
            job = self.job(job_id)
            if job.state in ("RUNNING", "FINISHED") and all(vertex.state in ("RUNNING", "FINISHED") for vertex in job.vertices):
                return
            failure = self._failed(job) if failed is None else failed(job)
            if failure is not None:
                raise failure
            if job.state in ENDED:
                raise ExternalError("FLX-4506", f'the job "{job.name}" ended as {job.state} on Flink')
            self.clock.wait(Event(), FLINK_POLL_MS)
        raise ExternalError("FLX-4521", "the job does not start in time", detail=f"It is {job_id}.", hint="Look at the cluster's slots and logs.")

    def _failed(self, job: Job) -> ExternalError | None:
        return None if self.last_failure(job.id) is None else self.failure(job)

    def checkpoint(self, job_id: str, timeout_ms: int) -> bool:
        """Make a checkpoint now; whether one was made. None is while a step does not run, as at the start and at the end of a job.

        Raises:
            ExternalError: FLX-4531, it is not finished in time.
        """
        path = f"/jobs/{quote(job_id)}/checkpoints"
        request = str(self._ask("POST", path, job_id, {"checkpointType": "CONFIGURED"})["request-id"])
        deadline_ms = self.clock.monotonic_ms() + timeout_ms
        while True:
            told = self._ask("GET", f"{path}/{request}", job_id)
            if told["status"]["id"] == "COMPLETED":
                return told["operation"].get("failureCause") is None
            if self.clock.monotonic_ms() >= deadline_ms:
                raise ExternalError("FLX-4531", "Flink does not finish a checkpoint in time", detail=f"It is one of job {job_id}.")
            self.clock.wait(Event(), FLINK_POLL_MS)

    def last_failure(self, job_id: str) -> TaskFailure | None:
        """What failed last in the job, or None."""
        told = self._ask("GET", f"/jobs/{quote(job_id)}/exceptions", job_id)
        entries = told.get("exceptionHistory", {}).get("entries", [])
        if not entries:
            return None
        last = entries[0]  # The newest; that of a job which gives up has no task of its own, but those that failed with it.
        tasks = [each["taskName"] for each in (last, *last.get("concurrentExceptions", [])) if each.get("taskName")]
        return TaskFailure(str(tasks[0]) if tasks else "", int(last.get("timestamp") or 0), str(last["stacktrace"]))

    def failure(self, job: Job) -> ExternalError:
        """The error to raise for a job that ended otherwise than it should."""
        failed = self.last_failure(job.id)
        cause = None if failed is None else failed.cause
        if cause is not None and cause.kind == "NoResourceAvailableException":
            hint = "Start a task manager, stop a job, or lower the parallelism."
            return ExternalError("FLX-4505", "Flink has too few free slots", detail=cause.message, hint=hint)
        detail = "" if cause is None else f"{cause.kind}: {cause.message}" if cause.kind else cause.message
        what = f"ended as {job.state}" if job.state in ENDED else "fails"
        return ExternalError("FLX-4506", f'the job "{job.name}" {what} on Flink', detail=detail)

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

    def load(self, job_id: str, vertex: Vertex) -> Load:
        """How busy a vertex is, and its watermark."""
        path = f"/jobs/{quote(job_id)}/vertices/{quote(vertex.id)}/subtasks/metrics"
        names = [str(each["id"]) for each in self._ask("GET", path, job_id)]
        own = [] if vertex.inputs else [name for name in names if name.endswith(_OWN_WATERMARK) and not any(part in name for part in _SINK_PARTS)]
        wanted = [name for name in (_BUSY, _BACK_PRESSURED, _WATERMARK) if name in names] + own
        if not wanted:
            return Load(None, None, None)
        # Only what the listing has: asked for one that is not there, Flink tells none at all.
        told = {str(each["id"]): each for each in self._ask("GET", f"{path}?agg=min,max&get={quote(','.join(wanted))}", job_id)}
        busy, back_pressured = (_whole(told[name]["max"]) if name in told else None for name in (_BUSY, _BACK_PRESSURED))
        # A source has no input: its watermark is the furthest that its chain has made of the records.
        marks = [_watermark(told[name]["min"]) for name in (own or (_WATERMARK,)) if name in told]
        return Load(busy, back_pressured, max((mark for mark in marks if mark is not None), default=None))

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
        return self._savepoint("stop", job_id, {"targetDirectory": directory, "drain": drain, "formatType": "CANONICAL"}, timeout_ms)

    def savepoint(self, job_id: str, directory: str | None, timeout_ms: int = FLINK_STOP_MS_MAX) -> str:
        """Make a savepoint of a job that goes on, and return its path; the directory is that of `stop`.

        Raises:
            ExternalError: FLX-4510, none was made.
        """
        return self._savepoint("savepoints", job_id, {"target-directory": directory, "cancel-job": False, "formatType": "CANONICAL"}, timeout_ms)

    def _savepoint(self, verb: str, job_id: str, body: Mapping[str, object], timeout_ms: int) -> str:
        directory = body.get("targetDirectory") or body.get("target-directory")
        try:
            request = str(self.transport.ask("POST", f"/jobs/{quote(job_id)}/{verb}", body)["request-id"])
        except FlinkRefusal as refusal:
            if _NO_SAVEPOINTS not in refusal.failure.message:
                raise _refuse(refusal, job_id) from None
            hint = 'Write savepoint_directory = "..." in the environment: one that all processes of the cluster share.'
            raise ExternalError("FLX-4510", "Flink does not know where to keep a savepoint", detail=refusal.failure.message, hint=hint) from None
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
            hint = "The job manager and all task managers must share the directory, and may write it." if failure.kind in _FILE_TROUBLES else ""
            where = "" if directory is None else f' below "{directory}"'
            raise ExternalError("FLX-4510", f"Flink made no savepoint{where}", detail=failure.message, hint=hint)
        return str(told["operation"]["location"])

    def latest_checkpoint(self, job_id: str) -> str | None:
        """The newest completed checkpoint of a job that is known, also of one that has failed; None before the first, and where it is in memory."""
        completed = self._ask("GET", f"/jobs/{quote(job_id)}/checkpoints", job_id)["latest"]["completed"]
        path = None if completed is None else completed.get("external_path")
        return str(path) if path is not None and ":" in path else None

    def slots_of(self, job_id: str) -> int:
        """How many slots a job holds; those of a job that its job manager lost are held until the task managers have noticed."""
        known = self._ask("GET", "/taskmanagers")["taskmanagers"]
        slots = [slot for each in known for slot in self._ask("GET", f"/taskmanagers/{quote(str(each['id']))}").get("allocatedSlots", [])]
        return sum(slot["jobId"] == job_id for slot in slots)

    def hosts(self) -> frozenset[str]:
        """The machines of the task managers, as they call themselves."""
        return frozenset(_host(str(each["path"])) for each in self._ask("GET", "/taskmanagers")["taskmanagers"])

    def _ask(self, method: str, path: str, job_id: str = "", body: Mapping[str, object] | None = None) -> Any:
        try:
            return self.transport.ask(method, path, body)
        except FlinkRefusal as refusal:
            raise _refuse(refusal, job_id) from None


def _vertex(told: Mapping[str, Any], planned: Mapping[str, Mapping[str, Any]]) -> Vertex:
    metrics, node = told["metrics"], planned.get(str(told["id"]), {})
    read, written = (int(metrics[name]) if metrics.get(f"{name}-complete", True) else None for name in ("read-records", "write-records"))
    inputs = tuple(str(each["id"]) for each in node.get("inputs", []))
    text = str(node.get("description", ""))
    return Vertex(str(told["id"]), str(told["name"]), int(told["parallelism"]), str(told["status"]), read, written, text, inputs)


def _host(path: str) -> str:
    """The machine in an address such as `pekko.tcp://flink@10.0.0.7:6122/user/rpc/taskmanager_0`."""
    return path.partition("@")[2].rpartition(":")[0]


def _whole(value: object) -> int | None:
    """A metric that is a number; Flink tells NaN where it has none."""
    number = float(str(value))
    return round(number) if math.isfinite(number) else None


def _watermark(value: object) -> int | None:
    """A watermark in milliseconds; None before the first."""
    number = _whole(value)
    return None if number is None or number <= NO_WATERMARK else min(number, LAST_WATERMARK)


def _refuse(refusal: FlinkRefusal, job_id: str) -> ExternalError:
    if job_id and refusal.status == 404:
        return ResourceMissing("FLX-4507", f'Flink knows no job "{job_id}"', detail=refusal.failure.message)
    return ExternalError("FLX-4514", "Flink refuses a question about a job", detail=refusal.failure.message)
