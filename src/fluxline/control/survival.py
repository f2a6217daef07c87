"""What of a pipeline would not outlive the loss of one node: warnings, before it is submitted.

They are told where somebody means to outlive one: where a system has several nodes, or is asked for several replicas. A single server
of each, as a developer has them, is lost as a whole, and needs no warning.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from fluxline.config import binding_for, require_project, resolve_environment
from fluxline.connectors.base import Survival
from fluxline.control.ends import resolve_ends
from fluxline.control.flink import Bound, bind, prepare, session_properties
from fluxline.engines.flink.rest import Cluster
from fluxline.errors import Caution, FluxlineError
from fluxline.limits import ASKED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.ends import Ends
    from fluxline.engines.base import Endpoint
    from fluxline.engines.flink.compile import Compiled
    from fluxline.plan.nodes import Plan

_NO_RESTART = ("none", "off", "disable")


def survival(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> tuple[Caution, ...]:
    """What would not outlive the loss of a node of the environment's systems; they are asked, and nothing is changed.

    Args:
        plan: the plan as written.
        directory: where the search for the project file starts.
        env: the environment; if not given, FLUXLINE_ENV or the file's default decides.
        overrides: `key=value` settings for this call.

    Raises:
        FluxlineError: the environment cannot be resolved.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    if environment.engine != "flink":
        return cautions_of(plan, resolve_ends(plan, environment, reveal=True), environment)
    bound = bind(plan, environment, reveal=True)
    return cautions_of(bound.plan, bound, environment, prepare(plan, environment, reveal=False).compiled)


def cautions_of(plan: Plan, bound: Bound | Ends, environment: Environment, compiled: Compiled | None = None) -> tuple[Caution, ...]:
    """The same of a plan whose ends are resolved; what a system does not tell is not warned of: who needs it is told by its own steps."""
    questions: list[Callable[[], Survival]] = [partial(_of_end, *each, environment) for each in _ends(plan, bound)]
    if compiled is not None and environment.flink.rest is not None:
        questions.append(partial(_of_cluster, Cluster(environment.flink.rest), session_properties(environment, compiled), environment))
    answered = []
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        for asked in [pool.submit(question) for question in questions]:
            try:
                answered.append(asked.result())
            except FluxlineError:
                continue
    if max((each.nodes for each in answered), default=1) == 1:
        return ()
    # What is of all topics of a cluster is told once.
    return tuple({(caution.code, caution.fact): caution for each in answered for _, caution in each.cautions}.values())


def _ends(plan: Plan, bound: Bound | Ends) -> Iterator[tuple[Endpoint, bool, bool]]:
    """Each end, whether it is a table's, whether it is written; with the topics between Flink and what it does not know."""
    ends = bound.ends if isinstance(bound, Bound) else bound
    keyed = {sink.name: sink.row_key is not None for sink in plan.sinks}
    for endpoint in ends.sources.values():
        yield endpoint, False, False
    for endpoint in ends.sinks.values():
        yield endpoint, keyed[endpoint.name], True
    if isinstance(bound, Bound):
        for log in (*(relay.log for relay in bound.relays), *(ingest.log for ingest in bound.ingests)):
            yield log, False, True


def _of_end(endpoint: Endpoint, keyed: bool, written: bool, environment: Environment) -> Survival:  # noqa: FBT001  # as `_ends` gives them
    if endpoint.connector.survival is None:
        return Survival(1)
    found = endpoint.connector.survival(endpoint.name, endpoint.options, endpoint.directory, written)
    binding = binding_for(environment, endpoint.name, keyed=keyed)
    for option, caution in found.cautions:
        caution.place = binding.place(option)
    return found


def _of_cluster(cluster: Cluster, ours: Mapping[str, str], environment: Environment) -> Survival:
    """What of a job's settings would not outlive it: those of its session, else the cluster's own."""
    settings, nodes = {**cluster.configuration(), **ours}, cluster.overview().task_managers
    found = []
    if nodes == 1:
        detail = "When it is lost the job waits until another one is there; with two, and slots enough, it goes on at once."
        found.append(Caution("FLX-6201", "the Flink cluster has one task manager", detail=detail, hint="Start a second one."))
    checkpoints = any(digit in settings.get("execution.checkpointing.interval", "") for digit in "123456789")  # Whatever its unit; 0 is off.
    if not checkpoints:
        detail = "A job that fails begins again where it was submitted from: rows come out twice, and state since then is made anew."
        hint = 'Set checkpoint_interval = "10 seconds" in the flink table of the environment.'
        found.append(Caution("FLX-6203", "the job makes no checkpoints", detail=detail, hint=hint))
    restarts = settings.get("restart-strategy.type", settings.get("restart-strategy", "" if checkpoints else "none"))
    if restarts.lower() in _NO_RESTART:
        detail = "A job without a restart strategy ends with the first task that fails, also where a task manager is lost."
        hint = 'Set properties = { "restart-strategy.type" = "exponential-delay" } in the flink table of the environment.'
        found.append(Caution("FLX-6202", "the job is not started again when it fails", detail=detail, hint=hint))
    for caution in found:
        caution.place = environment.settings.place("flink")
    return Survival(nodes, tuple(("flink", caution) for caution in found))
