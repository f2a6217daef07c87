"""Where the sources and sinks of a plan live in an environment: bindings to connectors and formats with checked options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxline.config import binding_for
from fluxline.config_references import reveal_options, seal_options
from fluxline.connectors import load_connector
from fluxline.engines.base import Endpoint
from fluxline.errors import ConfigError, FluxlineError
from fluxline.formats import load_format
from fluxline.options import read_options
from fluxline.planner.validate import validate_ends, validate_plan

if TYPE_CHECKING:
    from fluxline.config import Binding, Environment
    from fluxline.connectors.base import Connector
    from fluxline.errors import Place
    from fluxline.formats.base import Format
    from fluxline.options import Options
    from fluxline.plan.nodes import Plan, Scan, Sink

_GUARANTEES = ("at_most_once", "at_least_once", "exactly_once")


@dataclass(slots=True)
class Ends:
    """The resolved ends of a plan, and every problem on the way."""

    sources: dict[str, Endpoint] = field(default_factory=dict)
    sinks: dict[str, Endpoint] = field(default_factory=dict)
    problems: list[FluxlineError] = field(default_factory=list)

    def by_name(self) -> dict[str, Endpoint]:
        """All of them; no source has a sink's name."""
        return {**self.sources, **self.sinks}


def resolve_ends(plan: Plan, environment: Environment, *, reveal: bool) -> Ends:
    """Bind every source and sink.

    Args:
        plan: the plan.
        environment: where it is to run.
        reveal: open secrets; a check leaves them closed.
    """
    ends = Ends()
    for scan in plan.scans():
        _collect(ends, ends.sources, lambda scan=scan: _source_endpoint(environment, scan, reveal=reveal))
    for sink in plan.sinks:
        _collect(ends, ends.sinks, lambda sink=sink: _sink_endpoint(environment, sink, reveal=reveal))
    ends.problems += validate_plan(plan)
    ends.problems += validate_ends(plan, {name: endpoint.connector for name, endpoint in ends.by_name().items()})
    return ends


def raise_problems(problems: list[FluxlineError], what: str) -> None:
    """Raise what was found: one error as it is, several as a group."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ExceptionGroup(what, problems)


def _collect(ends: Ends, into: dict[str, Endpoint], resolve: object) -> None:
    assert callable(resolve)
    try:
        endpoint = resolve()
    except FluxlineError as error:
        ends.problems.append(error)
    else:
        into[endpoint.name] = endpoint


def _source_endpoint(environment: Environment, scan: Scan, *, reveal: bool) -> Endpoint:
    endpoint = _endpoint(environment, scan.source, keyed=False, place=scan.place, reveal=reveal)
    endpoint.connector.check_schema(endpoint.options, scan.declared)
    return endpoint


def _sink_endpoint(environment: Environment, sink: Sink, *, reveal: bool) -> Endpoint:
    endpoint = _endpoint(environment, sink.name, keyed=sink.row_key is not None, place=sink.place, reveal=reveal, sink=sink)
    endpoint.connector.check_sink(endpoint.options, sink.name, sink.schema.visible(), sink.row_key)
    return endpoint


def _endpoint(environment: Environment, name: str, *, keyed: bool, place: Place | None, reveal: bool, sink: Sink | None = None) -> Endpoint:
    binding = binding_for(environment, name, keyed=keyed, place=place)
    connector = load_connector(binding.connector, binding.place("connector"))
    options = read_options(
        connector.options, _opened(binding.options, environment, binding, reveal=reveal), of=f'connector "{connector.name}"', place=binding.place
    )
    chosen, format_options = None, None
    if connector.takes_format:
        chosen, format_options = _format(binding, environment, reveal=reveal)
    elif binding.format is not None:
        raise ConfigError(
            "FLX-1108",
            f'connector "{connector.name}" takes no format',
            detail=f'"{name}" is bound to it with format "{binding.format}"; it takes columns as they are.',
            hint="Leave format away.",
            place=binding.place("format"),
        )
    if sink is not None:
        _check_guarantee(binding, connector, sink, environment)
    if binding.ingest:
        _check_ingest(binding, connector, sink, environment)
    return Endpoint(name, connector, options, chosen, format_options, environment.project_directory, binding.delivery_guarantee, binding.ingest)


def source_endpoint(environment: Environment, name: str) -> Endpoint:
    """A source by its name alone, with its secrets open.

    Raises:
        FluxlineError: its binding is not right.
    """
    return _endpoint(environment, name, keyed=False, place=None, reveal=True)


def topic_endpoint(environment: Environment, name: str, *, place: Place | None, reveal: bool) -> Endpoint | None:
    """A topic as the environment names those of its sinks, with records in JSON; None where its topics do not live in Kafka.

    Raises:
        FluxlineError: the connection is not right.
    """
    if environment.topics is None or environment.connections[environment.topics].connector != "kafka":
        return None
    binding = binding_for(environment, name, keyed=False, place=place)
    connector, json = load_connector(binding.connector, binding.place("connector")), load_format("json")
    options = read_options(
        connector.options, _opened(binding.options, environment, binding, reveal=reveal), of=f'connector "{connector.name}"', place=binding.place
    )
    return Endpoint(name, connector, options, json, json.options(), environment.project_directory)


def topic_of(endpoint: Endpoint) -> str:
    """The topic of an end in Kafka."""
    from fluxline.connectors.kafka.options import KafkaOptions

    assert isinstance(endpoint.options, KafkaOptions)
    return endpoint.options.topic or endpoint.name


def _format(binding: Binding, environment: Environment, *, reveal: bool) -> tuple[Format, Options]:
    if binding.format is None:
        raise ConfigError(
            "FLX-1109",
            f'"{binding.name}" needs a format',
            detail=f'Connector "{binding.connector}" moves bytes; a format says how they become columns.',
            hint='Write format = "json" (or "csv", "raw") in the connection or the binding.',
            place=binding.place("format"),
        )
    chosen = load_format(binding.format, binding.place("format"))
    raw = _opened(binding.format_options, environment, binding, reveal=reveal)
    return chosen, read_options(chosen.options, raw, of=f'format "{chosen.name}"', place=binding.format_place)


def _opened(raw: object, environment: Environment, binding: Binding, *, reveal: bool) -> dict[str, object]:
    assert isinstance(raw, dict)
    if reveal:
        return reveal_options(raw, directory=environment.project_directory, place=binding.place)
    return seal_options(raw, place=binding.place)


def _check_ingest(binding: Binding, connector: Connector, sink: Sink | None, environment: Environment) -> None:
    """Refuse to bring records into a topic where that has no meaning.

    Raises:
        ConfigError: FLX-1026.
    """
    if sink is not None:
        detail = "It is a sink; workers bring the records of a source into a topic."
    elif environment.engine != "flink":
        detail = f'The engine of environment "{environment.name}" is "{environment.engine}", which reads the source itself.'
    elif connector.name == "kafka":
        detail = "It lives in a topic already, which Flink reads."
    else:
        return
    raise ConfigError("FLX-1026", f'"{binding.name}" cannot be ingested', detail=detail, hint="Take ingest away.", place=binding.place("ingest"))


def _check_guarantee(binding: Binding, connector: Connector, sink: Sink, environment: Environment) -> None:
    wanted = binding.delivery_guarantee
    if wanted is None:
        return
    offered = guarantee_of(connector, sink)
    if environment.engine == "flink" and connector.flink is not None and connector.flink.exactly_once and not sink.updating:
        offered = "exactly_once"
    if _GUARANTEES.index(wanted) > _GUARANTEES.index(offered):
        raise ConfigError(
            "FLX-1110",
            f'sink "{sink.name}" asks for {wanted}, and connector "{connector.name}" gives {offered}',
            hint="Ask for less, or bind the sink to another connector.",
            place=binding.place("delivery_guarantee"),
        )


def guarantee_of(connector: Connector, sink: Sink) -> str:
    """What a sink's connector delivers over stops and crashes of the process."""
    return connector.upserts_guarantee if sink.row_key is not None and connector.upserts else connector.appends_guarantee
