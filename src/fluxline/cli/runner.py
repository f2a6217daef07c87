"""Running jobs for the command `run`: they start together, are watched until all have ended, and stop together.

Where one fails, the others are stopped cleanly, and the failure is told at the end.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from fluxline.cli.failures import FAILED, INTERRUPTED
from fluxline.cli.ledger import report_json, report_lines
from fluxline.cli.live import Rates, counts_of, job_lines, live_block
from fluxline.cli.logs import log_file_of, logging_to
from fluxline.cli.screen import is_terminal, say, say_json
from fluxline.cli.signals import signals
from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.config_version import own_version
from fluxline.control.run import RunOptions, start
from fluxline.control.status import records_read_before
from fluxline.limits import LIVE_REDRAW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.cli.arguments import Form, Invocation
    from fluxline.cli.live import Block, Line
    from fluxline.cli.signals import Asked
    from fluxline.clock import Clock
    from fluxline.control.job import Job
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.telemetry import Report

_log = logging.getLogger("fluxline.cli")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line chose for all pipelines."""

    env: str | None
    overrides: tuple[str, ...]
    bounded: bool
    fresh: bool
    keep_going: bool
    output: Form


@dataclass(slots=True)
class Running:
    """One job that is watched."""

    pipeline: str
    environment: str
    job: Job
    read_before: int
    rates: Rates = field(default_factory=Rates)
    failure: BaseException | None = None

    def wait(self, timeout_ms: int) -> None:
        """Wait for its end; a failure is kept."""
        try:
            self.job.wait(timeout=timedelta(milliseconds=timeout_ms))
        except BaseException as error:  # a failure of the job, of whatever kind
            if self.job.finished:
                self.failure = error
            elif not isinstance(error, TimeoutError):
                raise

    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        if self.job.finished and self.failure is None:
            self.wait(0)
        return self.job.finished


def run_together(batches: Sequence[Sequence[Pipeline]], choice: Choice, invocation: Invocation, *, as_list: bool) -> int:
    """Run one batch of pipelines after the other, those of a batch at once; returns the exit code.

    Args:
        batches: the pipelines.
        choice: for all of them.
        invocation: gets to know the log file.
        as_list: whether JSON output is a list of reports; else it is the one report.

    Raises:
        FluxlineError: a pipeline cannot start, or its job failed.
        BaseExceptionGroup: of several such.
    """
    reports: list[Report] = []
    with signals() as asked:
        try:
            for batch in batches:
                reports += _run_batch(batch, choice, invocation, asked)
                if asked.stop:
                    break
        except KeyboardInterrupt:
            say("ended; the next run goes on from the last clean stop", stream=sys.stderr)
            return INTERRUPTED
    if choice.output == "json":
        shown = [report_json(report) for report in reports]
        say_json({"pipelines": shown} if as_list else shown[0])
    return FAILED if any(report.imbalances() for report in reports) else 0


def _run_batch(batch: Sequence[Pipeline], choice: Choice, invocation: Invocation, asked: Asked) -> list[Report]:
    """Start the jobs of one batch, watch them to their end, and tell how each ended."""
    live = choice.output == "text" and is_terminal(sys.stderr)
    environment = resolve_environment(require_project(batch[0]._directory()), choice.env, overrides=choice.overrides)
    refuse_unsupported(environment)
    invocation.log_file, invocation.start = log_file_of(environment), environment.project_directory
    with logging_to(invocation.log_file, warnings=not live):
        _log.info("fluxline %s runs %s in environment %s", own_version(), ", ".join(each.name for each in batch), environment.name)
        try:
            with ExitStack() as stack:
                if choice.output == "json":
                    stack.enter_context(redirect_stdout(sys.stderr))  # standard output is for the one JSON object alone
                block = stack.enter_context(live_block()) if live else None
                asked.running = False
                watched = _start_all(batch, choice, environment.name, stack)
                asked.running = True
                _watch(watched, asked, block)
        except BaseException as error:
            _log.error("the run failed: %s", str(error) or type(error).__name__)  # an unforeseen one gets its traceback where it is told
            raise
        return _tell(watched, choice, asked)


def _start_all(batch: Sequence[Pipeline], choice: Choice, environment: str, stack: ExitStack) -> list[Running]:
    """Start every job; where one cannot start, those before it are stopped cleanly."""
    watched: list[Running] = []
    try:
        for pipeline in batch:
            running = _start(pipeline, choice, environment)
            watched.append(running)
            stack.enter_context(running.job)
    except Exception as error:
        failures = [error]
        for running in watched:
            running.job._request_stop()
        for running in watched:
            try:
                running.job.wait()
            except Exception as other:
                failures.append(other)
        if len(failures) == 1:
            raise
        raise ExceptionGroup("several pipelines failed", failures) from None
    return watched


def _start(pipeline: Pipeline, choice: Choice, environment: str) -> Running:
    def told(note: str) -> None:
        _log.info("%s: %s", pipeline.name, note)
        if choice.output == "text":
            say(f"{pipeline.name}: {note}", stream=sys.stderr)

    told(f"starting in environment {environment}")
    plan, directory = pipeline._plan(), pipeline._directory()
    before = 0 if choice.fresh else records_read_before(plan, directory, env=choice.env, overrides=choice.overrides)
    options = RunOptions(bounded=choice.bounded, fresh=choice.fresh, keep_going=choice.keep_going, overrides=choice.overrides, told=told)
    return Running(pipeline.name, environment, start(plan, directory, env=choice.env, options=options), before)


def _watch(watched: Sequence[Running], asked: Asked, block: Block | None) -> None:
    """Wait until all jobs have ended; each that failed has its failure."""
    clock = SystemClock()
    started_ms = clock.monotonic_ms()
    stopping = False
    while True:
        pending = [running for running in watched if not running.ended()]
        if not pending:
            return
        if asked.end:
            say("ending now, without a clean stop; a third Ctrl-C does not wait for the steps that run", stream=sys.stderr)
            for running in pending:
                running.job.cancel()
            raise KeyboardInterrupt
        if not stopping and (asked.stop or any(running.failure is not None for running in watched)):
            stopping = True
            for running in pending:
                running.job._request_stop()
            if block is None:
                say("stopping: what was read is still written; Ctrl-C again ends now", stream=sys.stderr)
        if block is not None:
            block.draw([line for running in pending for line in _lines(running, clock, started_ms, stopping=stopping)])
        pending[0].wait(LIVE_REDRAW_MS)


def _lines(running: Running, clock: Clock, started_ms: int, *, stopping: bool) -> list[Line]:
    now_ms = clock.monotonic_ms()
    report = running.job.report
    hint = "stopping; Ctrl-C again ends now" if stopping else "Ctrl-C stops cleanly"
    minutes, seconds = divmod((now_ms - started_ms) // 1000, 60)
    title = f"{running.pipeline} in {running.environment}  {minutes}:{seconds:02}  {hint}"
    return job_lines(report, running.rates.look(now_ms, counts_of(report)), title=title, now_ms=clock.now_ms())


def _tell(watched: Sequence[Running], choice: Choice, asked: Asked) -> list[Report]:
    """Tell how the jobs ended.

    Raises:
        FluxlineError: the failure of the one that failed.
        BaseExceptionGroup: of several.
    """
    reports = [running.job.report for running in watched if running.failure is None]
    for running in watched:
        if running.failure is None:
            _tell_end(running, choice, stopped=asked.stop)
    failures = [running.failure for running in watched if running.failure is not None]
    for failure in failures:
        _log.error("%s", failure)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise BaseExceptionGroup("several pipelines failed", failures)
    return reports


def _tell_end(running: Running, choice: Choice, *, stopped: bool) -> None:
    report = running.job.report
    lines = report_lines(report, read_before=running.read_before)
    for line in lines[1:]:  # the first is its title
        _log.info("%s: %s", running.pipeline, line.strip())
    if choice.output == "json":
        return
    if report.seconds:
        say(f"{running.pipeline}: {'stopped cleanly' if stopped else 'the input has ended'}", stream=sys.stderr)
    say(lines)
