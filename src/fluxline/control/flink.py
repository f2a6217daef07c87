"""A plan made ready for Flink: its ends, the relays of sinks and ingests of sources that Flink lacks, and the statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.config_project import missing_key
from fluxline.config_toml import write_key
from fluxline.control.ends import resolve_ends, topic_endpoint, topic_of
from fluxline.control.ingest import ingest_of, needs_ingest, planned_partitions
from fluxline.engines.flink.compile import Compiled, compile_plan
from fluxline.engines.worker.relay import Relay
from fluxline.errors import ConfigError, FluxlineError, UnsupportedByEngine
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.config import Environment
    from fluxline.control.deployment import Deployment
    from fluxline.control.ends import Ends
    from fluxline.engines.base import Endpoint
    from fluxline.engines.worker.ingest import Ingest
    from fluxline.plan.nodes import Plan, Sink


CHECKPOINTS = {
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "state.backend.type": "rocksdb",
}
"""How every job keeps what it remembers, unless the environment's own properties say otherwise: a restore needs it so."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan and where its ends are on a cluster.

    Attributes:
        plan: after the rules.
        ends: as the environment binds them; a relayed sink and an ingested source have their own system here.
        relays: the sinks that workers write.
        ingests: the sources that workers read.
        problems: everything that is in the way.
    """

    plan: Plan
    ends: Ends
    relays: tuple[Relay, ...]
    ingests: tuple[Ingest, ...]
    problems: list[FluxlineError]


@dataclass(frozen=True, slots=True)
class Prepared(Bound):
    """What is needed to run a plan on Flink, beside its ends.

    Attributes:
        compiled: the statements, or None where there are problems.
        partitions: by how many partitions of each source its rows are spread, part of what the job remembers; empty where brokers were not asked.
    """

    compiled: Compiled | None
    partitions: Mapping[str, int]


def bind(plan: Plan, environment: Environment, *, reveal: bool) -> Bound:
    """Bind the ends, and put a topic between Flink and each system that it lacks.

    Args:
        plan: as written.
        environment: where it is to run.
        reveal: open secrets; a check leaves them closed.
    """
    planned = apply_rules(plan)
    ends = resolve_ends(plan, environment, reveal=reveal)
    problems = list(ends.problems)
    relays: list[Relay] = []
    for sink in planned.sinks:
        target = ends.sinks.get(sink.name)
        if target is None or not _needs_relay(target):
            continue
        try:
            relays.append(_relay(planned, sink, target, environment, reveal=reveal))
        except FluxlineError as error:
            problems.append(error)
    ingests: list[Ingest] = []
    for scan in planned.scans():
        source = ends.sources.get(scan.source)
        if source is None or source.connector.source is None or not needs_ingest(source):
            continue
        try:
            ingests.append(ingest_of(planned, scan, source, environment, reveal=reveal))
        except FluxlineError as error:
            problems.append(error)
    if not problems:
        try:
            _refuse_shared_topics(ends, relays, ingests)
        except FluxlineError as error:
            problems.append(error)
    return Bound(planned, ends, tuple(relays), tuple(ingests), problems)


def prepare(
    plan: Plan, environment: Environment, *, reveal: bool, bounded: bool = False, fresh: bool = False, goes_on: Deployment | None = None
) -> Prepared:
    """Bind the ends and compile.

    Args:
        plan: as written.
        environment: where it is to run.
        reveal: open secrets, and ask brokers and sources for partitions; a check does neither.
        bounded: end where the input ends now.
        fresh: topics of ingested sources are made anew.
        goes_on: the deployment whose job goes on from what it remembers: with its numbers of partitions, and under its identity.
    """
    bound = bind(plan, environment, reveal=reveal)
    problems, compiled, partitions = list(bound.problems), None, dict[str, int]()
    if not problems:
        try:
            if reveal:  # Also where the numbers are known: a topic that is not there is told before a job is.
                partitions = {**_partitions(bound, bounded=bounded, fresh=fresh), **({} if goes_on is None else goes_on.partitions)}
            compiled = compile_plan(
                bound.plan,
                {**bound.ends.sources, **{ingest.scan.source: ingest.log for ingest in bound.ingests}},
                {**bound.ends.sinks, **{relay.sink.name: relay.log for relay in bound.relays}},
                bounded=bounded,
                partitions=partitions,
                parallelism=environment.flink.parallelism,
                transactions=identity_of(plan, environment) if goes_on is None else goes_on.identity,
            )
        except FluxlineError as error:
            problems.append(error)
    return Prepared(bound.plan, bound.ends, bound.relays, bound.ingests, problems, compiled, partitions)


def identity_of(plan: Plan, environment: Environment) -> str:
    """What is this pipeline's alone on a cluster that several projects use: names of transactions and groups begin with it."""
    return f"{environment.project}/{plan.name}/{environment.name}"  # No name of a pipeline or environment has a slash.


def _partitions(bound: Bound, *, bounded: bool, fresh: bool) -> dict[str, int]:
    """Per source of a topic, how many partitions it has now, or will have when it is made.

    Raises:
        ExternalError: FLX-4401 to FLX-4405, the brokers do not answer, or a topic is not there.
    """
    from fluxline.connectors.kafka.group import partition_count
    from fluxline.connectors.kafka.options import KafkaOptions

    found = {}
    for name, endpoint in bound.ends.sources.items():
        if isinstance(endpoint.options, KafkaOptions):
            found[name] = partition_count(endpoint.options, topic_of(endpoint))
    for ingest in bound.ingests:
        found[ingest.scan.source] = planned_partitions(ingest, SystemClock(), bounded=bounded, fresh=fresh)
    return found


def missing_addresses(environment: Environment) -> list[ConfigError]:
    """Of the addresses of a cluster, each that the environment does not say."""
    found = []
    for key in ("gateway", "rest"):
        if getattr(environment.flink, key) is None:
            title = write_key(("environments", environment.name, "flink"))
            hint = f'Write {key} = "http://host:port" there; "fluxline stack env" shows those of a local stack.'
            found.append(missing_key(title, key, hint, environment.settings.place("flink") or environment.settings.here))
    return found


def _refuse_shared_topics(ends: Ends, relays: list[Relay], ingests: list[Ingest]) -> None:
    """Two ends in one topic would mix their rows.

    Raises:
        ConfigError: FLX-1025.
    """
    ours = [(endpoint.name, topic_of(endpoint)) for endpoint in ends.by_name().values() if endpoint.connector.name == "kafka"]
    seen: dict[str, str] = {}
    between = [*((relay.sink.name, relay.topic) for relay in relays), *((ingest.scan.source, ingest.topic) for ingest in ingests)]
    for name, topic in [*ours, *between]:
        if topic in seen:
            hint = 'Let the connection say topic = "{name}", or something with {name} in it.'
            raise ConfigError("FLX-1025", f'"{seen[topic]}" and "{name}" have the same topic', detail=f"It is {topic}.", hint=hint)
        seen[topic] = name


def _needs_relay(target: Endpoint) -> bool:
    form = target.connector.flink
    return form is None or "sink" not in form.roles


def _relay(plan: Plan, sink: Sink, target: Endpoint, environment: Environment, *, reveal: bool) -> Relay:
    """The topic in front of a sink.

    Raises:
        UnsupportedByEngine: FLX-2670, several workers cannot write the system at once; FLX-2671, the environment has no Kafka.
        FluxlineError: the connection of the environment's topics is not right.
    """
    if not target.connector.versioned:
        raise UnsupportedByEngine(
            "FLX-2670",
            f'Flink does not write connector "{target.connector.name}", and workers cannot do it for it',
            detail=f'Sink "{sink.name}" is bound to it. Workers write systems where the newest version of a row wins, whoever writes it.',
            hint='Bind the sink to "cassandra" or "kafka" in this environment, or run the pipeline on the embedded engine.',
            place=sink.place,
        )
    name = f"{plan.name}.{sink.name}"
    log = topic_endpoint(environment, name, place=sink.place, reveal=reveal)
    if log is None:
        raise UnsupportedByEngine(
            "FLX-2671",
            f'sink "{sink.name}" needs a topic in front of it',
            detail=f'Flink does not write connector "{target.connector.name}": it writes a topic, and workers take the rows from there.',
            hint=f'Let "topics" of environment "{environment.name}" name a connection with connector = "kafka".',
            place=sink.place,
        )
    topic = topic_of(log)
    return Relay(sink, replace(log, name=name), target, topic, f"fluxline.{topic}")


def session_properties(environment: Environment, compiled: Compiled) -> dict[str, str]:
    """All settings of the session: the plan's, the environment's declared ones, then its raw ones."""
    options = environment.flink
    found = {**compiled.properties, **CHECKPOINTS}
    if options.checkpoint_interval_ms is not None:
        found["execution.checkpointing.interval"] = f"{options.checkpoint_interval_ms} ms"
    if options.savepoint_directory is not None:
        found["execution.checkpointing.savepoint-dir"] = options.savepoint_directory
    return {**found, **options.properties}
