"""Run a plan in memory, in the calling thread: rows of every sink, from scripted rows of every source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxline.clock import VirtualClock
from fluxline.control.memory import Collected, NoOptions, collecting_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.testing.drive_embedded import ScriptedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from fluxline.batch import Batch
    from fluxline.engines.embedded.operator import Edge
    from fluxline.plan.nodes import Plan

NOW_MS = 1_717_761_600_000  # 2024-06-07T12:00Z
POLLS_MAX = 10_000

Row = dict[str, Any]


def rows_of(plan: Plan, given: Mapping[str, Sequence[pl.DataFrame]]) -> dict[str, list[Row]]:
    """What every sink has in the end, sorted.

    Args:
        plan: as an engine gets it.
        given: source -> the frames that it gives in turn, each one batch of one partition.
    """
    scripts = {scan.source: ScriptedSource(1) for scan in plan.scans()}
    for source, script in scripts.items():
        for frame in given[source]:
            script.push(0, frame)
        script.finish()
    collected = {sink.name: Collected(sink.schema.visible(), sink.row_key) for sink in plan.sinks}
    here = Path.cwd()
    ends = {name: Endpoint(name, script.connector(), NoOptions(), None, None, here) for name, script in scripts.items()}
    ends |= {name: Endpoint(name, collecting_connector(into), NoOptions(), None, None, here) for name, into in collected.items()}
    machine = Machine(plan, ends, VirtualClock(NOW_MS), MachineSettings("test", rejected_share_max=1.0))
    for name, feed in machine.graph.sinks.items():
        feed.deliver = _straight_to(machine, name)
    _run(machine)
    imbalances = machine.report({}, {}).imbalances()
    machine.close()
    assert not imbalances, "\n".join(imbalances)
    return {name: sorted(into.final().to_dicts(), key=repr) for name, into in collected.items()}


def _straight_to(machine: Machine, name: str) -> Callable[[Batch, Edge], None]:
    task = machine.sinks[name]

    def deliver(batch: Batch, edge: Edge) -> None:
        task.take(batch, edge)
        task.write(batch)

    return deliver


def _run(machine: Machine) -> None:
    """Poll every source in turn until all have ended."""
    running = dict(machine.sources)
    for _ in range(POLLS_MAX):
        for name, task in list(running.items()):
            event = task.poll()
            task.publish()
            if event is not None:
                machine.feed(name, event)
                if event.ended:
                    del running[name]
        if not running:
            return
    raise AssertionError("a source never ended")
