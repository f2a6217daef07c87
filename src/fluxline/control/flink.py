"""A plan made ready for Flink: its ends, the relays of sinks that Flink lacks, and the statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.control.ends import resolve_ends, topic_endpoint
from fluxline.engines.flink.compile import Compiled, compile_plan
from fluxline.engines.worker.relay import Relay
from fluxline.errors import ConfigError, FluxlineError, UnsupportedByEngine
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from fluxline.config import Environment
    from fluxline.control.ends import Ends
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan, Sink


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan and where its ends are on a cluster.

    Attributes:
        plan: after the rules.
        ends: as the environment binds them; a relayed sink has its own system here.
        relays: the sinks that workers write.
        problems: everything that is in the way.
    """

    plan: Plan
    ends: Ends
    relays: tuple[Relay, ...]
    problems: list[FluxlineError]


@dataclass(frozen=True, slots=True)
class Prepared(Bound):
    """What is needed to run a plan on Flink: beside its ends the statements, or None where there are problems."""

    compiled: Compiled | None


def bind(plan: Plan, environment: Environment, *, reveal: bool) -> Bound:
    """Bind the ends, and put a topic in front of each system that Flink lacks.

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
    if not problems:
        try:
            _refuse_shared_topics(ends, relays)
        except FluxlineError as error:
            problems.append(error)
    return Bound(planned, ends, tuple(relays), problems)


def prepare(plan: Plan, environment: Environment, *, reveal: bool, bounded: bool = False) -> Prepared:
    """Bind the ends and compile.

    Args:
        plan: as written.
        environment: where it is to run.
        reveal: open secrets, and ask brokers for partitions; a check does neither.
        bounded: end where the input ends now.
    """
    bound = bind(plan, environment, reveal=reveal)
    problems, compiled = list(bound.problems), None
    if not problems:
        try:
            compiled = compile_plan(
                bound.plan,
                bound.ends.sources,
                {**bound.ends.sinks, **{relay.sink.name: relay.log for relay in bound.relays}},
                bounded=bounded,
                partitions=_partitions(bound.ends) if reveal else None,
                parallelism=environment.flink.parallelism,
                transactions=f"{plan.name}-{environment.name}",
            )
        except FluxlineError as error:
            problems.append(error)
    return Prepared(bound.plan, bound.ends, bound.relays, problems, compiled)


def _partitions(ends: Ends) -> dict[str, int]:
    """Per source of a topic, how many partitions it has now.

    Raises:
        ExternalError: FLX-4401 to FLX-4405, the brokers do not answer, or a topic is not there.
    """
    from fluxline.connectors.kafka.group import partition_count
    from fluxline.connectors.kafka.options import KafkaOptions

    found = {}
    for name, endpoint in ends.sources.items():
        if isinstance(endpoint.options, KafkaOptions):
            found[name] = partition_count(endpoint.options, topic_of(endpoint))
    return found


def topic_of(endpoint: Endpoint) -> str:
    """The topic of an end in Kafka."""
    from fluxline.connectors.kafka.options import KafkaOptions

    assert isinstance(endpoint.options, KafkaOptions)
    return endpoint.options.topic or endpoint.name


def _refuse_shared_topics(ends: Ends, relays: list[Relay]) -> None:
    """Two ends in one topic would mix their rows.

    Raises:
        ConfigError: FLX-1025.
    """
    ours = [(endpoint.name, topic_of(endpoint)) for endpoint in ends.by_name().values() if endpoint.connector.name == "kafka"]
    seen: dict[str, str] = {}
    for name, topic in [*ours, *((relay.sink.name, relay.topic) for relay in relays)]:
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
    found = dict(compiled.properties)
    if options.checkpoint_interval_ms is not None:
        found["execution.checkpointing.interval"] = f"{options.checkpoint_interval_ms} ms"
    if options.savepoint_directory is not None:
        found["execution.checkpointing.savepoint-dir"] = options.savepoint_directory
    return {**found, **options.properties}
