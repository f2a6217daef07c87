"""Run a plan in this process: bind its ends, find what the last run left, start a job, and wait for it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock, new_identity
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.ends import guarantee_of, raise_problems, resolve_ends
from fluxline.control.job import Job
from fluxline.control.new_input import refuse_new_input
from fluxline.engines.embedded.job import EmbeddedJob
from fluxline.engines.embedded.machine import Machine, MachineSettings, sink_context
from fluxline.engines.embedded.saved_state import StateDirectory
from fluxline.plan.json import plan_digest
from fluxline.plan.names import name_operators
from fluxline.planner.rules import apply_rules
from fluxline.telemetry import EdgeCount, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.ends import Ends
    from fluxline.engines.embedded.saved_state import SavedStop
    from fluxline.plan import nodes
    from fluxline.plan.nodes import Plan


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run may choose beside its environment.

    Attributes:
        bounded: end where the input ends now.
        fresh: start over: what an earlier run left is cleared.
        keep_going: go on however many records are rejected.
        overrides: `key=value` settings.
        told: called with each note for the user, as it is known.
    """

    bounded: bool = False
    fresh: bool = False
    keep_going: bool = False
    overrides: Sequence[str] = ()
    told: Callable[[str], None] = field(default=lambda _note: None)


def run(plan: Plan, directory: Path, *, env: str | None = None, bounded: bool = False, options: RunOptions | None = None) -> Report:
    """Run until the input ends or a signal comes; returns the report.

    Raises:
        FluxlineError: the plan cannot run, or the job failed.
        ExceptionGroup: of all problems of the definition.
    """
    chosen = options or RunOptions(bounded=bounded)
    with start(plan, directory, env=env, options=chosen) as job, stopping_by_signal(job):
        job._wait_interruptibly()
    return job.report


def start(plan: Plan, directory: Path, *, env: str | None = None, options: RunOptions | None = None) -> Job:
    """Start a job in the background."""
    chosen = options or RunOptions()
    environment = resolve_environment(require_project(directory), env, overrides=chosen.overrides)
    refuse_unsupported(environment)
    ends = resolve_ends(plan, environment, reveal=True)
    raise_problems(ends.problems, f'pipeline "{plan.name}" cannot run')
    planned = apply_rules(plan)
    state = StateDirectory(environment.embedded.directory / plan.name)
    state.acquire(os.getpid())
    try:
        return _start(planned, environment, ends, state, chosen)
    except BaseException:
        state.release()
        raise


def _start(plan: Plan, environment: Environment, ends: Ends, state: StateDirectory, options: RunOptions) -> Job:
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        options.told(text)

    last = None if options.fresh else state.last_stop()
    if last is not None and last.ended and state.running() is None:
        refuse_new_input(plan, ends, last)
        note(f"The last run read its input to the end, {_when(last.saved_at_ms)}; nothing is left to do. --fresh starts over.")
        state.release()
        return Job(None, report_of(last, plan, tuple(notes)), notes)
    settings = MachineSettings(
        run_id=_run_identity(last, None if options.fresh else state.running()),
        bounded=options.bounded,
        fresh=options.fresh,
        rejected_share_max=1.0 if options.keep_going else environment.embedded.rejected_share_max,
        directory=state.path,
    )
    clock = SystemClock()
    if options.fresh:
        for text in _cleared(plan, ends, state, settings, clock):
            note(text)
    else:
        for text in _where_from(plan, ends, state, last):
            note(text)
    machine = Machine(plan, ends.by_name(), clock, settings, last)
    try:
        state.begin({"pid": os.getpid(), "started_at_ms": clock.now_ms(), "plan_digest": machine.digest, "run_id": settings.run_id})
    except BaseException:
        machine.close()
        raise
    job = EmbeddedJob(machine, state, 1 if last is None else last.number + 1)
    job.start()
    try:
        return Job(job, None, notes)
    except BaseException:  # an interrupt: nobody holds the job yet who could end it
        job.cancel()
        raise


def _run_identity(last: SavedStop | None, crashed: dict[str, object] | None) -> str:
    """The identity that goes on: of the stop, or of a run that had none and began from the beginning."""
    if last is not None:
        return last.run_id
    known = None if crashed is None else crashed.get("run_id")
    return known if isinstance(known, str) else new_identity()


def _cleared(plan: Plan, ends: Ends, state: StateDirectory, settings: MachineSettings, clock: SystemClock) -> list[str]:
    """Clear what an earlier run left, and name it."""
    lines = []
    for sink in plan.sinks:
        endpoint = ends.sinks[sink.name]
        lines += [f"--fresh clears {line}" for line in endpoint.connector.clears(sink_context(sink, endpoint, clock, settings, None))]
    removed = state.clear()
    if removed:
        lines.append(f"--fresh clears the saved positions and state of {state.path.name} ({', '.join(removed)})")
    return lines


def _where_from(plan: Plan, ends: Ends, state: StateDirectory, last: SavedStop | None) -> list[str]:
    """What the user should know of the last run."""
    crashed = state.running()
    start_text = "from the beginning of its input" if last is None else f"from the clean stop of {_when(last.saved_at_ms)}"
    if crashed is None:
        return [] if last is None else [f"Going on {start_text}."]
    repeating = [sink.name for sink in plan.sinks if guarantee_of(ends.sinks[sink.name].connector, sink) != "exactly_once"]
    may = f" These sinks may repeat rows: {', '.join(repeating)}." if repeating else " No sink repeats rows."
    return [f"The last run (process {crashed.get('pid')}) did not end with a clean stop; going on {start_text}.{may}"]


def report_of(stop: SavedStop, plan: Plan, notes: tuple[str, ...]) -> Report:
    """The report that a saved stop holds."""
    names = name_operators(plan)
    return Report(
        pipeline=plan.name,
        operators=dict(stop.ledgers),
        edges=tuple(EdgeCount(*key, written, read) for key, (written, read) in stop.edges.items()),
        sources=tuple(names[scan] for scan in plan.scans() if names[scan] in stop.ledgers),
        sinks={sink.name: names[sink] for sink in plan.sinks if names[sink] in stop.ledgers},
        paths={sink.name: tuple(names[node] for node in _path(sink) if node in names) for sink in plan.sinks},
        notes=notes,
    )


def _path(sink: nodes.Sink) -> list[nodes.Node]:
    from fluxline.engines.embedded.machine import path_to

    return path_to(sink)


def finished_report(job: EmbeddedJob, notes: Sequence[str]) -> Report:
    """The report of a job that has ended, with its time and memory."""
    return replace(job.report(), seconds=job.seconds, peak_memory_bytes=peak_memory_bytes(), notes=tuple(notes))


def peak_memory_bytes() -> int:
    """The largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def definition_changed(plan: Plan, state: StateDirectory) -> bool | None:
    """Whether the definition is another than the one that runs; None when nothing runs."""
    running = state.running()
    return None if running is None else running.get("plan_digest") != plan_digest(apply_rules(plan))


@contextmanager
def stopping_by_signal(job: Job) -> Iterator[None]:
    """Let SIGTERM ask for a clean stop, where this thread may handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _signal, _frame: job._request_stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
