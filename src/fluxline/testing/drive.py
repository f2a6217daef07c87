"""Run a pipeline step by step, on a clock that the test moves: in memory, or on a live Kafka and Flink.

def test_the_hour_closes(drive: Drive) -> None:
    run = drive(sensors, partitions=2, now="2024-06-07T13:30Z")
    run.push(readings, Reading(...), partition=0)
    run.advance_clock("31 seconds")
    assert run.rows(averages) == [...]
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError
from fluxline.testing.drive_embedded import EmbeddedDriven
from fluxline.testing.driven import instant_ms

if TYPE_CHECKING:
    from datetime import datetime

    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.stack.running import Stack
    from fluxline.testing.driven import Driven


class Drive:
    """The type of the fixture: calling it starts a driven run.

    Args:
        stack: a Kafka and a Flink to run pipelines on; in memory if not given.
    """

    def __init__(self, stack: Stack | None = None) -> None:
        self._stack = stack
        self._runs: list[Driven] = []

    def __call__(self, pipeline: Pipeline, *, partitions: int = 1, now: str | datetime | None = None) -> Driven:
        """Start a run.

        Args:
            pipeline: what to run; its sinks are kept in memory, or on Flink in topics of the run.
            partitions: how many partitions every source has.
            now: the clock's time at the start; the real time if not given.
        """
        if partitions < 1:
            raise DefinitionError("FLX-2122", f"partitions is at least 1, not {partitions}")
        run = self._driven(pipeline, partitions, instant_ms(now))
        self._runs.append(run)
        return run

    def check_ledgers(self) -> None:
        """Assert that the row ledger of every run balances."""
        for run in self._runs:
            run._check_ledger()

    def close(self) -> None:
        """Leave nothing of the runs behind: jobs and topics, where they had some."""
        with ExitStack() as left:  # Each is closed, also behind one that cannot be.
            for run in self._runs:
                left.callback(run._close)
        self._runs = []

    def _driven(self, pipeline: Pipeline, partitions: int, now_ms: int) -> Driven:
        if self._stack is None:
            return EmbeddedDriven(pipeline, partitions, now_ms)
        from fluxline.testing.drive_flink import FlinkDriven

        return FlinkDriven(pipeline, partitions, now_ms, self._stack)
