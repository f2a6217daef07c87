"""Check a plan against one environment for real: each source and sink, and the cluster, is asked; no row is read or written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.connectors.base import SinkContext, SourceContext
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.ends import raise_problems, resolve_ends
from fluxline.control.flink import bind, missing_addresses, prepare
from fluxline.engines.flink.gateway import Gateway, check_version
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.errors import FluxlineError
from fluxline.limits import ASKED_AT_ONCE
from fluxline.planner.validate import validate_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan, Scan, Sink

_RUN = "check"  # A run identity that no run has.


@dataclass(frozen=True, slots=True)
class Connected:
    """One source, sink, relay's topic or server of a cluster that was asked.

    Attributes:
        name: of the end; of a server its address.
        facts: what was found, one line each; none where its connector has nothing to ask.
    """

    name: str
    role: Literal["source", "sink", "relay", "gateway", "cluster"]
    connector: str
    facts: tuple[str, ...]


def connect(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> tuple[str, tuple[Connected, ...]]:
    """The environment that was asked, and what each end of the plan answered.

    Args:
        plan: the plan as written.
        directory: where the search for the project file starts.
        env: the environment; if not given, FLUXLINE_ENV or the file's default decides.
        overrides: `key=value` settings for this call.

    Raises:
        FluxlineError: the one problem that there is.
        ExceptionGroup: of all problems.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    refuse_unsupported(environment, None)
    questions, problems = (_of_cluster if environment.engine == "flink" else _of_process)(plan, environment)
    found = []
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:  # Who does not answer is waited for once, however many of its topics are asked for.
        for asked in [pool.submit(question) for question in questions]:
            try:
                found.append(asked.result())
            except (FluxlineError, ExceptionGroup) as error:
                problems += _flat(error)
    once = {str(problem): problem for problem in problems}  # A server that does not answer is one problem, however many tables it has.
    raise_problems(list(once.values()), f'pipeline "{plan.name}" cannot run in environment "{environment.name}"')
    return environment.name, tuple(found)


def _of_process(plan: Plan, environment: Environment) -> tuple[list[Callable[[], Connected]], list[FluxlineError]]:
    """What is asked where a process of ours runs the plan, and what is wrong already."""
    ends = resolve_ends(plan, environment, reveal=True)
    sinks = {sink.name: sink for sink in plan.sinks}
    questions: list[Callable[[], Connected]] = []
    for name, endpoint in ends.by_name().items():
        if validate_ends(plan, {name: endpoint.connector}):
            continue  # It could not be opened at all; that is among the problems.
        questions.append(partial(_source, endpoint, _scan(plan, name)) if name in ends.sources else partial(_sink, endpoint, sinks[name]))
    return questions, list(ends.problems)


def _of_cluster(plan: Plan, environment: Environment) -> tuple[list[Callable[[], Connected]], list[FluxlineError]]:
    """What is asked where Flink runs the plan: gateway and cluster, topics, and what workers write; and what is wrong already."""
    bound = bind(plan, environment, reveal=True)
    problems: list[FluxlineError] = [*missing_addresses(environment), *bound.problems]
    if not bound.problems:
        problems += prepare(plan, environment, reveal=False).problems
    questions: list[Callable[[], Connected]] = []
    if environment.flink.gateway is not None:
        questions.append(partial(_gateway, environment.flink.gateway))
    if environment.flink.rest is not None:
        questions.append(partial(_cluster, environment.flink.rest, environment, plan))
    relays = {relay.sink.name: relay for relay in bound.relays}
    for name, endpoint in bound.ends.sources.items():
        questions.append(partial(_source, endpoint, _scan(bound.plan, name)) if endpoint.connector.probe else partial(_unasked, endpoint, "source"))
    for sink in bound.plan.sinks:
        if (end := bound.ends.sinks.get(sink.name)) is None or validate_ends(plan, {sink.name: end.connector}):
            continue
        if sink.name in relays:
            questions.append(partial(_sink, _made(relays[sink.name].log), sink, "relay"))
        questions.append(partial(_sink, _made(end), sink))
    return questions, problems


def _made(endpoint: Endpoint) -> Endpoint:
    """A topic that a job writes: a submission makes it where it is missing."""
    from fluxline.connectors.kafka.options import KafkaOptions

    options = endpoint.options
    return replace(endpoint, options=replace(options, create_topics=True)) if isinstance(options, KafkaOptions) else endpoint


def _scan(plan: Plan, name: str) -> Scan:
    return next(scan for scan in plan.scans() if scan.source == name)


def _unasked(endpoint: Endpoint, role: Literal["source"]) -> Connected:
    return Connected(endpoint.name, role, endpoint.connector.name, ())


def _gateway(address: str) -> Connected:
    return Connected(address, "gateway", "flink", (f"version {Gateway(address).version}",))


def _cluster(address: str, environment: Environment, plan: Plan) -> Connected:
    """Version and slots; a pipeline that runs already has those that it needs.

    Raises:
        ExternalError: FLX-4501, FLX-4502, FLX-4505.
    """
    cluster = Cluster(address)
    found = cluster.overview()
    check_version(found.version, address)
    needed = environment.flink.parallelism or 1
    facts = [f"version {found.version}", f"{found.free_slots} of {found.slots} slots are free", f"the job needs {needed}"]
    before = DeploymentDirectory(environment.embedded.directory / plan.name).read()
    job = cluster.find(before.job_id) if before is not None and before.job_id and before.rest == address else None
    if job is not None and job.state not in ENDED:
        facts.append(f"it runs already, as job {job.id}")
    else:
        cluster.require_slots(needed)
    return Connected(address, "cluster", "flink", tuple(facts))


def _source(endpoint: Endpoint, scan: Scan) -> Connected:
    connector = endpoint.connector
    assert connector.source is not None, "the planner refuses a source that cannot be read"
    context = SourceContext(scan.source, endpoint.options, scan.decoded, endpoint.directory, SystemClock(), bounded=True)
    if connector.probe is not None:
        return Connected(endpoint.name, "source", connector.name, tuple(connector.probe(context)))
    source = connector.source(context)
    try:
        count = len(source.partitions())
    finally:
        source.close()
    return Connected(endpoint.name, "source", connector.name, (f"{count} partition{'' if count == 1 else 's'}",))


def _sink(endpoint: Endpoint, sink: Sink, role: Literal["sink", "relay"] = "sink") -> Connected:
    connector = endpoint.connector
    if connector.probe is None:
        return Connected(endpoint.name, role, connector.name, ())
    schema = sink.schema.visible()
    encoder = None
    if endpoint.format is not None:
        assert endpoint.format_options is not None
        encoder = endpoint.format.encoder(schema, endpoint.format_options)
    context = SinkContext(
        name=endpoint.name, options=endpoint.options, schema=schema, key=sink.row_key, updating=sink.updating, directory=endpoint.directory,
        clock=SystemClock(), run_id=_RUN, encoder=encoder,
    )  # fmt: skip
    return Connected(endpoint.name, role, connector.name, tuple(connector.probe(context)))


def _flat(error: FluxlineError | ExceptionGroup[Exception]) -> list[FluxlineError]:
    """The problems of a probe; a group with anything else in it is our mistake and goes on."""
    if isinstance(error, FluxlineError):
        return [error]
    ours, others = error.split(FluxlineError)
    if others is not None:
        raise others
    assert ours is not None
    return [each for part in ours.exceptions for each in _flat(part)]
