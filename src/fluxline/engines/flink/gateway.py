"""The SQL Gateway: sessions that statements run in, over its REST interface.

    with Gateway("http://127.0.0.1:8083").open_session({"table.local-time-zone": "UTC"}) as session:
        result = session.execute("SELECT 1 AS one")

A session ends with the `with`; jobs that it submitted go on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluxline.clock import SystemClock
from fluxline.engines.flink.transport import FlinkRefusal, Transport
from fluxline.errors import ExternalError, FluxlineError, Place, RecoveryError, ResourceMissing, UnsupportedByEngine
from fluxline.limits import FLINK_POLL_MS, FLINK_RESULT_ROWS_MAX, FLINK_STATEMENT_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from fluxline.clock import Clock
    from fluxline.engines.flink.transport import JavaFailure

OLDEST = (2, 3)
"""The version of Flink that is needed; what is compiled was proven on it."""

API = "/v3"
STATEMENT = "Flink SQL"
"""The file that places in a statement name."""

_NO_FACTORY = re.compile(r"Could not find any factory for identifier '([^']*)'")
_NO_CLASSES = ("NoClassDefFoundError", "ClassNotFoundException")
_NO_DIRECTORY = re.compile(r"Failed to create (?:directory for shared state: (\S+)/[0-9a-f]{32}|checkpoint storage)")
_NO_STATE = re.compile(r"Cannot find checkpoint or savepoint file/directory '([^']*)'|Cannot find meta data file '_metadata' in directory '([^']*)'")
_OTHER_STATE = re.compile(r"Failed to rollback to checkpoint/savepoint (\S+)\. (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave.

    Attributes:
        columns: names.
        rows: as JSON has them, in the order of arrival.
        kinds: INSERT, UPDATE_BEFORE, UPDATE_AFTER or DELETE, one per row.
        job_id: of the job that it started, or None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    kinds: tuple[str, ...]
    job_id: str | None = None


class Gateway:
    """A SQL Gateway of a version that is proven.

    Args:
        address: such as `http://127.0.0.1:8083`.
        clock: time.

    Raises:
        ConnectionLost: FLX-4502.
        UnsupportedByEngine: FLX-4501, the version of Flink is too old.
    """

    def __init__(self, address: str, clock: Clock | None = None) -> None:
        self.transport = Transport(address, "SQL Gateway")
        self.clock = SystemClock() if clock is None else clock
        try:
            told = self.transport.ask("GET", "/info")
        except FlinkRefusal as refusal:
            raise self.transport.strange(refusal.status, refusal.failure.message) from None
        self.version = str(told.get("version", "")) if isinstance(told, dict) else ""
        check_version(self.version, self.transport.address)

    def open_session(self, properties: Mapping[str, str]) -> Session:
        """A session with these settings; Flink takes a key that it does not know without a word."""
        try:
            answer = self.transport.ask("POST", f"{API}/sessions", {"properties": dict(properties)})
        except FlinkRefusal as refusal:
            raise _refuse(refusal.failure) from None
        return Session(self.transport, str(answer["sessionHandle"]), self.clock)


class Session:
    """Tables, views and settings, until it is closed."""

    def __init__(self, transport: Transport, handle: str, clock: Clock) -> None:
        self.handle = handle
        self._transport = transport
        self._clock = clock
        self._path = f"{API}/sessions/{quote(handle)}"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except FluxlineError:
            if error is None:
                raise

    def close(self) -> None:
        """End the session; may be called twice."""
        try:
            self._transport.ask("DELETE", self._path)
        except FlinkRefusal as refusal:
            if "does not exist" not in refusal.failure.message:
                raise _refuse(refusal.failure) from None

    def properties(self) -> dict[str, str]:
        """All settings that hold in the session: its own over those of the gateway."""
        try:
            told = self._transport.ask("GET", self._path)
        except FlinkRefusal as refusal:
            raise _refuse(refusal.failure) from None
        return {str(key): str(value) for key, value in told["properties"].items()}

    def execute(self, statement: str, timeout_ms: int = FLINK_STATEMENT_MS_MAX) -> Result:
        """Run one statement and wait for it: of a query all rows, of an INSERT the id of its job, which then runs.

        Args:
            statement: without a semicolon.
            timeout_ms: longest wait; a statement that takes longer is cancelled.

        Raises:
            ConnectionLost: FLX-4502.
            ExternalError: FLX-4503 Flink refuses the statement, 4505 no slots, 4509 it takes too long, 4513 too many rows, 4532 no checkpoints.
            ResourceMissing: FLX-4504 the jar of a connector or format, 4508 the session.
            RecoveryError: FLX-5804, FLX-5805, what the job is to begin from is not there, or of another one.
        """
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        try:
            answer = self._transport.ask("POST", f"{self._path}/statements", {"statement": statement})
            operation = f"{self._path}/operations/{quote(str(answer['operationHandle']))}"
            try:
                self._await(operation, statement, deadline_ms)
                return self._fetch(operation, statement, deadline_ms)
            except ExternalError:
                self._cancel(operation)
                raise
        except FlinkRefusal as refusal:
            raise _refuse(refusal.failure, statement) from None

    def _await(self, operation: str, statement: str, deadline_ms: int) -> None:
        """Wait until it is decided; what went wrong, the result tells."""
        while self._transport.ask("GET", f"{operation}/status")["status"] in ("INITIALIZED", "PENDING", "RUNNING"):
            self._pause(statement, deadline_ms)

    def _fetch(self, operation: str, statement: str, deadline_ms: int) -> Result:
        """All pages."""
        path: str | None = f"{operation}/result/0?rowFormat=JSON"
        data: list[dict[str, Any]] = []
        columns: tuple[str, ...] = ()
        job_id: str | None = None
        while path is not None:
            page = self._transport.ask("GET", path)
            if page["resultType"] != "NOT_READY":
                columns = tuple(str(column["name"]) for column in page["results"]["columns"])
                job_id = page.get("jobID", job_id)
                data += page["results"]["data"]
                if len(data) > FLINK_RESULT_ROWS_MAX:
                    raise ExternalError("FLX-4513", f"a statement gives more than {FLINK_RESULT_ROWS_MAX} rows", hint="Write them to a sink.")
            if page["resultType"] == "EOS":
                break
            path = page.get("nextResultUri", path)
            if not page.get("results", {}).get("data"):
                self._pause(statement, deadline_ms)
        return Result(columns, tuple(tuple(row["fields"]) for row in data), tuple(str(row["kind"]) for row in data), job_id)

    def _pause(self, statement: str, deadline_ms: int) -> None:
        if self._clock.monotonic_ms() >= deadline_ms:
            first = statement.strip().partition("\n")[0]
            raise ExternalError("FLX-4509", f'Flink does not finish the statement "{first}" in time', hint="Look at the cluster's load and logs.")
        self._clock.wait(Event(), FLINK_POLL_MS)

    def _cancel(self, operation: str) -> None:
        try:
            self._transport.ask("DELETE", f"{operation}/close")
        except (FlinkRefusal, FluxlineError):
            return  # The first error counts.


def check_version(version: str, address: str) -> None:
    """Refuse a Flink that what we compile was not proven on.

    Raises:
        UnsupportedByEngine: FLX-4501.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is not None and (int(numbers.group(1)), int(numbers.group(2))) >= OLDEST:
        return
    needed = ".".join(str(number) for number in OLDEST)
    raise UnsupportedByEngine(
        "FLX-4501",
        f'Flink at "{address}" is version "{version}"',
        detail=f"Pipelines need Flink {needed} or newer.",
        hint=f"Upgrade the cluster to {needed}, or run the pipeline on the embedded engine.",
    )


def _refuse(failure: JavaFailure, statement: str = "") -> ExternalError | RecoveryError:
    """The error to raise for what Flink says."""
    factory = _NO_FACTORY.search(failure.message)
    if factory is not None:
        hint = "Put its jar into the folder lib of every process of the cluster and of the SQL Gateway, and restart them."
        return ResourceMissing("FLX-4504", f'Flink has no connector or format "{factory.group(1)}"', detail=_in_one_line(failure.message), hint=hint)
    if failure.kind in _NO_CLASSES:
        hint = "A jar is missing in the folder lib of the cluster or of the SQL Gateway, or is of another version."
        return ResourceMissing("FLX-4504", f'Flink has no class "{failure.message}"', hint=hint)
    if re.match(r"Session '.*' does not exist", failure.message):
        return ResourceMissing("FLX-4508", "the session of the SQL Gateway is gone", detail=failure.message, hint="Submit the pipeline again.")
    if (state := _refused_state(failure.message)) is not None:
        return state
    if failure.kind == "NoResourceAvailableException":
        return ExternalError("FLX-4505", "Flink has too few free slots", detail=failure.message, hint="Start a task manager, or stop a job.")
    place, detail = None, ""
    lines = statement.split("\n")
    if failure.line is not None and failure.line <= len(lines):
        place = Place(STATEMENT, failure.line, failure.column or 1, failure.end_column, shown=False)
        detail = f"In line {failure.line}: {lines[failure.line - 1].strip()}"
    elif statement:
        detail = f"The statement begins: {lines[0].strip()}"
    # A parser lists all that it would have taken; nobody reads on behind the first line.
    said = failure.message.partition("\n")[0].rstrip(". ")
    return ExternalError("FLX-4503", f"Flink refuses: {said}", detail=detail, place=place)


def _refused_state(said: str) -> ExternalError | RecoveryError | None:
    """The error to raise where a job cannot keep checkpoints, or cannot begin from what it is given; None where it is something else."""
    if (directory := _NO_DIRECTORY.search(said)) is not None:
        return ExternalError(
            "FLX-4532",
            f'Flink cannot write checkpoints below "{directory.group(1)}"' if directory.group(1) else "Flink cannot write checkpoints",
            detail=_in_one_line(said),
            hint="Let execution.checkpointing.dir name a directory that the job manager and all task managers share and may write.",
        )
    if (missing := _NO_STATE.search(said)) is not None:
        path = missing.group(1) or missing.group(2)
        return missing_state(path, _in_one_line(said))
    if (other := _OTHER_STATE.match(said)) is not None:
        detail = f"It is of another pipeline, or the job has other steps than then. Flink says: {other.group(2).partition('. If you want')[0]}."
        fact = f'the job has no place for what "{other.group(1)}" remembers'
        return RecoveryError("FLX-5805", fact, detail=detail, hint="Give a savepoint of its own, or start over: fluxline submit --fresh.")
    return None


def missing_state(path: str, detail: str) -> RecoveryError:
    """The error to raise for a savepoint or checkpoint that is not there."""
    return RecoveryError(
        "FLX-5804", f'there is no savepoint or checkpoint at "{path}"', detail=detail, hint="Give the directory that has the file _metadata."
    )


def _in_one_line(text: str) -> str:
    """A list of names, one per line, as one line."""
    return ", ".join(line for line in text.split("\n") if line).replace(":,", ":").replace("., ", ". ") + "."
