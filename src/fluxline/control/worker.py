"""A worker of a pipeline on Flink: it writes the sinks that Flink does not, until it is asked to stop."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.ends import raise_problems
from fluxline.control.flink import bind
from fluxline.engines.worker.drain import Drain
from fluxline.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.engines.worker.drain import Counts
    from fluxline.engines.worker.relay import Relay
    from fluxline.plan.nodes import Plan


@dataclass(slots=True)
class Worker:
    """A running worker. A context manager: leaving it stops it.

    Attributes:
        sinks: what it writes.
        counts: per sink, what became of the records.
    """

    sinks: tuple[str, ...]
    counts: Mapping[str, Counts]
    _drains: list[Drain]
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)
    _done: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to move records; one thread per sink."""
        for sink, drain in zip(self.sinks, self._drains, strict=True):
            thread = threading.Thread(target=self._move, args=(drain,), name=f"worker {sink}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, stop: Callable[[], bool]) -> None:
        """Wait until the end is asked for, or something fails; what is at hand is finished then.

        Raises:
            FluxlineError: why it failed; what was not committed comes again.
        """
        try:
            while not stop() and not self._ended.wait(0.2):  # in pieces, so that signals are heard
                pass
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

    def _move(self, drain: Drain) -> None:
        try:
            drain.run(self._stopping.is_set)
        except BaseException as error:
            self._failures.append(error)
        self._ended.set()


def start_worker(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> Worker:
    """Start one worker in this process; more of them share the work.

    Args:
        plan: as written.
        directory: where the search for the project file starts.
        env: the environment.
        overrides: `key=value` settings for this call.

    Raises:
        FluxlineError: the plan cannot run there, or a system does not answer.
        DefinitionError: FLX-2672, there is nothing for workers to do.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    refuse_unsupported(environment, "flink")
    bound = bind(plan, environment, reveal=True)  # no statements: Flink has them
    raise_problems(bound.problems, f'pipeline "{plan.name}" cannot run')
    if not bound.relays:
        raise DefinitionError(
            "FLX-2672",
            f'pipeline "{plan.name}" has nothing for workers to do in environment "{environment.name}"',
            detail="Flink writes all its sinks itself.",
        )
    place = DeploymentDirectory(environment.embedded.directory / plan.name).claim_worker(os.getpid())
    clock = SystemClock()
    drains: list[Drain] = []
    try:
        for relay in bound.relays:
            drains.append(Drain(relay, clock))
        place.begin({"pid": os.getpid(), "started_at_ms": clock.now_ms()})
    except BaseException:
        for drain in drains:
            drain.close()
        place.release()
        raise

    def done() -> None:
        place.finish()
        place.release()

    worker = Worker(_names(bound.relays), {relay.sink.name: drain.counts for relay, drain in zip(bound.relays, drains, strict=True)}, drains)
    worker._done = done
    worker.start()
    return worker


def _names(relays: Sequence[Relay]) -> tuple[str, ...]:
    return tuple(relay.sink.name for relay in relays)
