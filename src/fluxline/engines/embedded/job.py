"""A running job: one thread per source, one for the operators, one per sink, joined by bounded channels.

    source threads -> inbox -> operator thread -> one channel per sink -> sink threads

The end is always the same: sources stop, what is on its way is processed and written, sinks make it durable, and the
stop is saved. A failure or a cancel ends at once and saves nothing.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from fluxline.clock import measure_seconds
from fluxline.engines.embedded.channel import Cancelled, Channel
from fluxline.limits import POLL_WAIT_MS, REPORT_WAIT_SECONDS, SINK_FLUSH_MS, THREAD_START_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.batch import Batch
    from fluxline.engines.embedded.machine import Machine
    from fluxline.engines.embedded.operator import Edge
    from fluxline.engines.embedded.saved_state import StateDirectory
    from fluxline.engines.embedded.sink import SinkTask
    from fluxline.engines.embedded.source import SourceEvent
    from fluxline.telemetry import Report

_log = logging.getLogger("fluxline.engine")


class EmbeddedJob:
    """One run of a pipeline in this process."""

    def __init__(self, machine: Machine, state: StateDirectory | None, stop_number: int) -> None:
        self.machine = machine
        self._state = state
        self._stop_number = stop_number
        self._stopping = threading.Event()
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._failure: BaseException | None = None
        self._failure_told = False
        self._failure_lock = threading.Lock()
        self._inbox: Channel[tuple[str, SourceEvent]] = Channel(self._cancelled)
        self._sink_channels: dict[str, Channel[tuple[Batch, Edge]]] = {name: Channel(self._cancelled) for name in machine.sinks}
        self._sources_running = len(machine.sources)
        self._sinks_closing = threading.Event()
        self._arrived = False  # Everything has: from here on, what a channel still counts as inside is lost.
        self._report_wanted: list[threading.Event] = []
        self._report_lock = threading.Lock()
        self._ended: set[str] = set()
        self.started_at = measure_seconds()
        self.seconds = 0.0
        self._threads: list[threading.Thread] = []
        for name, feed in machine.graph.sinks.items():
            feed.deliver = self._deliver_to(name, machine.sinks[name])
        self._report = self._measure()

    def start(self) -> None:
        """Start the threads; an interrupt meanwhile ends them before it is passed on.

        The operator thread starts the others: no signal interrupts it, so whatever was started is ended.
        """
        operators = self._thread("fluxline-operators", self._run_operators)
        try:
            operators.start()
            self._threads.append(operators)
        except BaseException:
            self._cancelled.set()
            self._stopping.set()
            if self._finished.wait(THREAD_START_SECONDS):
                operators.join()
            else:
                self._end()  # the thread never began
            raise

    def wait(self, timeout_ms: int | None = None) -> bool:
        """Wait for the end; False when the time was over first.

        Raises:
            FluxlineError: the job failed.
        """
        if not self._finished.wait(None if timeout_ms is None else timeout_ms / 1000):
            return False
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            self._failure_told = True
            raise self._failure
        return True

    def stop(self) -> None:
        """End at a clean stop; returns when it is done."""
        self._stopping.set()
        self.wait()

    def request_stop(self) -> None:
        """Ask for a clean stop and return at once; safe in a signal handler."""
        self._stopping.set()

    def cancel(self) -> None:
        """End now; nothing is saved."""
        self._cancelled.set()
        self._stopping.set()
        self._finished.wait()
        for thread in self._threads:
            thread.join()

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._finished.is_set()

    @property
    def failure_told(self) -> bool:
        """Whether `wait` has raised its failure."""
        return self._failure_told

    @property
    def input_ended(self) -> bool:
        """Whether every source was read to its end."""
        return len(self._ended) == len(self.machine.sources)

    def report(self) -> Report:
        """The row ledger of one moment between two batches: of now, or an earlier one where a batch takes long."""
        if not self._finished.is_set():
            asked = threading.Event()
            with self._report_lock:
                self._report_wanted.append(asked)
            for _ in range(REPORT_WAIT_SECONDS * 10):
                if asked.wait(0.1) or self._finished.is_set():
                    break
        with self._report_lock:
            if self._finished.is_set():
                self._report = self._measure()
            return self._report

    # Threads.
    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Cancelled:
                pass
            except BaseException as error:  # every failure ends the job and is raised by wait()
                self._fail(error)

        return threading.Thread(target=run, name=name, daemon=True)

    def _spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = self._thread(name, work)
        thread.start()
        self._threads.append(thread)
        return thread

    def _fail(self, error: BaseException) -> None:
        with self._failure_lock:
            if self._failure is None:
                self._failure = error
        self._cancelled.set()
        self._stopping.set()

    def _run_source(self, name: str) -> None:
        task = self.machine.sources[name]
        try:
            while not self._stopping.is_set():
                event = task.poll()
                if event is None:
                    self.machine.clock.wait(self._stopping, POLL_WAIT_MS)
                    continue
                self._inbox.put(event.rows(name), (name, event), task.publish)
                if event.ended:
                    self._ended.add(name)
                    break
        finally:
            with self._inbox.lock:
                self._sources_running -= 1

    def _run_operators(self) -> None:
        try:
            for name in self.machine.sources:
                self._spawn(f"fluxline-source-{name}", lambda name=name: self._run_source(name))  # type: ignore[misc]  # binds the loop's value
            sinks = [self._spawn(f"fluxline-sink-{name}", lambda name=name: self._run_sink(name)) for name in self.machine.sinks]  # type: ignore[misc]  # likewise
            self._drain_inbox()
            self._sinks_closing.set()
            for thread in sinks:
                thread.join()
            if not self._cancelled.is_set():
                self._arrived = True
                self._complete()
        except Cancelled:
            pass
        except BaseException as error:  # noted before anything is closed, which another thread may stumble over
            self._fail(error)
        finally:
            self._end()

    def _end(self) -> None:
        """Close everything when no thread uses it any more."""
        self._stopping.set()
        self._cancelled.set()  # a thread that is left, after a failure, ends
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        try:
            self.machine.close()
        except BaseException as error:  # it has ended all the same, and whoever waits is told
            self._fail(error)
        if self._state is not None:
            self._state.release()
        self.seconds = measure_seconds() - self.started_at
        self._answer_reports()
        self._finished.set()

    def _drain_inbox(self) -> None:
        """Process events until every source thread has ended and nothing is left."""
        taken: list[tuple[str, SourceEvent]] = []
        while True:
            with self._inbox.lock:
                sources_running = self._sources_running
            if self._inbox.get(taken.append):
                name, event = taken.pop()
                self.machine.feed(name, event)
            elif sources_running == 0:
                return
            self._answer_reports()

    def _complete(self) -> None:
        """Make everything durable, save the stop, and let sinks make it final."""
        receipts = {name: task.prepare(self._stop_number) for name, task in self.machine.sinks.items()}
        if self._state is not None:
            self._state.save(self.machine.saved(self._stop_number, ended=self.input_ended, receipts=receipts))
        for name, task in self.machine.sinks.items():
            task.commit(receipts[name])
        if self._state is not None:
            self._state.finish()

    def _deliver_to(self, name: str, task: SinkTask) -> Callable[[Batch, Edge], None]:
        channel = self._sink_channels[name]
        return lambda batch, edge: channel.put({task.name: batch.rows}, (batch, edge))

    def _run_sink(self, name: str) -> None:
        task, channel = self.machine.sinks[name], self._sink_channels[name]
        flushed_at = self.machine.clock.monotonic_ms()
        taken: list[Batch] = []

        def take(item: tuple[Batch, Edge]) -> None:
            batch, edge = item
            task.take(batch, edge)
            taken.append(batch)

        while True:
            closing = self._sinks_closing.is_set()
            if channel.get(take):
                task.write(taken.pop())
                if self.machine.clock.monotonic_ms() - flushed_at < SINK_FLUSH_MS:
                    continue
            elif closing:
                return
            task.flush()
            flushed_at = self.machine.clock.monotonic_ms()

    # Reports.
    def _answer_reports(self) -> None:
        with self._report_lock:
            if not self._report_wanted:
                return
            self._report = self._measure()
            for asked in self._report_wanted:
                asked.set()
            self._report_wanted.clear()

    def _measure(self) -> Report:
        """The ledger, with every channel and sink held still meanwhile."""
        locks = [self._inbox.lock]
        for name, task in self.machine.sinks.items():
            locks += [self._sink_channels[name].lock, task.lock]
        for lock in locks:
            lock.acquire()
        try:
            if self._arrived:
                return self.machine.report({}, {})
            inside_sinks = {task.name: sum(self._sink_channels[name].inside.values()) for name, task in self.machine.sinks.items()}
            return self.machine.report(self._inbox.inside, inside_sinks)
        finally:
            for lock in reversed(locks):
                lock.release()
