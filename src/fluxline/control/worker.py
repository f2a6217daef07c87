"""A worker of a pipeline on Flink: it writes the sinks and reads the sources that Flink does not, until it is asked to stop."""

from __future__ import annotations

import os
import socket
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.ends import raise_problems
from fluxline.control.flink import bind
from fluxline.control.reading import Reading
from fluxline.control.worker_state import WorkerState, write_worker_state
from fluxline.engines.worker.drain import Drain
from fluxline.errors import DefinitionError
from fluxline.limits import WORKER_BEAT_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.control.flink import Bound
    from fluxline.engines.worker.drain import Counts, Waiting
    from fluxline.plan.nodes import Plan


@dataclass(slots=True)
class Worker:
    """A running worker. A context manager: leaving it stops it.

    Attributes:
        sinks: what it writes.
        counts: per sink, what became of the records.
        readings: per source, what it moved into the topic; nothing while another worker reads it.
    """

    sinks: tuple[str, ...]
    counts: Mapping[str, Counts]
    readings: Mapping[str, Reading]
    _drains: list[Drain]
    _clock: Clock
    _say: Callable[[WorkerState], None]
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _failed: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)
    _done: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to move records; one thread per sink and source."""
        self._say(WorkerState(os.getpid()))
        moves = {
            **dict(zip(self.sinks, (drain.run for drain in self._drains), strict=True)),
            **{name: each.run for name, each in self.readings.items()},
        }
        for name, move in moves.items():
            thread = threading.Thread(target=self._move, args=(move,), name=f"worker {name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, stop: Callable[[], bool]) -> None:
        """Wait until the end is asked for, or something fails; what is at hand is finished then.

        Raises:
            FluxlineError: why it failed; what was not committed or kept comes again.
        """
        try:
            state, said_ms = WorkerState(os.getpid()), self._clock.monotonic_ms()
            while not stop() and not self._failed.wait(0.2):  # in pieces, so that signals are heard
                if self._clock.monotonic_ms() - said_ms >= WORKER_BEAT_MS:
                    state, said_ms = WorkerState(state.pid, state.beat + 1, self._waiting()), self._clock.monotonic_ms()
                    self._say(state)
        finally:
            self.close()
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """End the threads and leave the systems; may be called twice."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        while self._drains:
            self._drains.pop().close()
        done, self._done = self._done, lambda: None
        done()

    def _waiting(self) -> dict[str, Waiting]:
        waits = {sink: drain.waiting for sink, drain in zip(self.sinks, self._drains, strict=True)}
        return {sink: waiting for sink, waiting in waits.items() if waiting is not None}

    def _move(self, move: Callable[[Callable[[], bool]], None]) -> None:
        try:
            move(self._stopping.is_set)
        except BaseException as error:
            self._failures.append(error)
            self._failed.set()


def start_worker(
    plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = (), instance: str = "", patient: bool = False
) -> Worker:
    """Start one worker in this process; more of them share the sinks, and take turns at the sources.

    Args:
        plan: as written.
        directory: where the search for the project file starts.
        env: the environment.
        overrides: `key=value` settings for this call.
        instance: its name in the groups, the same over restarts; if empty, one of machine, folder and number.
        patient: wait for the system of a sink that does not answer, instead of failing.

    Raises:
        FluxlineError: the plan cannot run there, or a system does not answer.
        DefinitionError: FLX-2672, there is nothing for workers to do; FLX-2674, there is nothing for them to do here.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    refuse_unsupported(environment, "flink")
    bound = bind(plan, environment, reveal=True)  # no statements: Flink has them
    raise_problems(bound.problems, f'pipeline "{plan.name}" cannot run')
    if not bound.relays and not bound.ingests:
        raise DefinitionError(
            "FLX-2672",
            f'pipeline "{plan.name}" has nothing for workers to do in environment "{environment.name}"',
            detail="Flink reads all its sources and writes all its sinks itself.",
        )
    deployed = DeploymentDirectory(environment.embedded.directory / plan.name)
    clock = SystemClock()
    readings = _readings(bound, deployed, clock)
    if not bound.relays and not readings:
        raise DefinitionError(
            "FLX-2674",
            f'workers read the sources of "{plan.name}" where it was submitted',
            detail=f"How far they are is kept beside that submission, and {deployed.path} has none.",
            hint="Start the worker there, or submit the pipeline here.",
        )
    place = deployed.claim_worker(os.getpid())
    name = instance or _instance(place.path)
    drains: list[Drain] = []

    def done() -> None:
        for each in readings.values():
            each.close()
        place.finish()
        place.release()

    try:
        for relay in bound.relays:
            drains.append(Drain(relay, clock, name, patient=patient))
        for each in readings.values():
            each.take()
        place.begin({"pid": os.getpid(), "started_at_ms": clock.now_ms()})
    except BaseException:
        for drain in drains:
            drain.close()
        done()
        raise

    def say(state: WorkerState) -> None:
        write_worker_state(place.path, state)

    sinks = tuple(relay.sink.name for relay in bound.relays)
    worker = Worker(sinks, {sink: drain.counts for sink, drain in zip(sinks, drains, strict=True)}, readings, drains, clock, say)
    worker._done = done
    worker.start()
    return worker


def _instance(place: Path) -> str:
    """A worker's name in its groups: no two that run have the same, and one that takes a dead one's place has its name."""
    return f"{socket.gethostname()}-{zlib.crc32(str(place.parent.absolute()).encode()):08x}-{place.name}"


def _readings(bound: Bound, deployed: DeploymentDirectory, clock: Clock) -> dict[str, Reading]:
    """The sources to read here: those of the submission whose record is on this machine."""
    record = deployed.read()
    known = {} if record is None else {each.source: each.topic for each in record.ingests}
    ours = [ingest for ingest in bound.ingests if known.get(ingest.scan.source) == ingest.topic]
    bounded = record is not None and record.bounded
    return {ingest.scan.source: Reading(ingest, deployed.ingest(ingest.scan.source), clock, bounded=bounded) for ingest in ours}
