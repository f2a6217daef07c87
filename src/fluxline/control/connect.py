"""Check a plan against one environment for real: each source and sink is asked, no row is read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.connectors.base import SinkContext, SourceContext
from fluxline.control.ends import raise_problems, resolve_ends
from fluxline.errors import FluxlineError
from fluxline.planner.validate import validate_ends

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan, Scan, Sink

_RUN = "check"  # A run identity that no run has.


@dataclass(frozen=True, slots=True)
class Connected:
    """One source or sink that was asked.

    Attributes:
        facts: what was found, one line each; none where its connector has nothing to ask.
    """

    name: str
    role: Literal["source", "sink"]
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
    refuse_unsupported(environment)
    ends = resolve_ends(plan, environment, reveal=True)
    problems, found = list(ends.problems), []
    scans = {scan.source: scan for scan in plan.scans()}
    sinks = {sink.name: sink for sink in plan.sinks}
    for name, endpoint in ends.by_name().items():
        if validate_ends(plan, {name: endpoint.connector}):
            continue  # It could not be opened at all; that is among the problems.
        try:
            found.append(_source(endpoint, scans[name]) if name in ends.sources else _sink(endpoint, sinks[name]))
        except (FluxlineError, ExceptionGroup) as error:
            problems += _flat(error)
    once = {str(problem): problem for problem in problems}  # A server that does not answer is one problem, however many tables it has.
    raise_problems(list(once.values()), f'pipeline "{plan.name}" cannot run in environment "{environment.name}"')
    return environment.name, tuple(found)


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


def _sink(endpoint: Endpoint, sink: Sink) -> Connected:
    connector = endpoint.connector
    if connector.probe is None:
        return Connected(endpoint.name, "sink", connector.name, ())
    schema = sink.schema.visible()
    encoder = None
    if endpoint.format is not None:
        assert endpoint.format_options is not None
        encoder = endpoint.format.encoder(schema, endpoint.format_options)
    context = SinkContext(
        name=sink.name, options=endpoint.options, schema=schema, key=sink.row_key, updating=sink.updating, directory=endpoint.directory,
        clock=SystemClock(), run_id=_RUN, encoder=encoder,
    )  # fmt: skip
    return Connected(endpoint.name, "sink", connector.name, tuple(connector.probe(context)))


def _flat(error: FluxlineError | ExceptionGroup[Exception]) -> list[FluxlineError]:
    """The problems of a probe; a group with anything else in it is our mistake and goes on."""
    if isinstance(error, FluxlineError):
        return [error]
    ours, others = error.split(FluxlineError)
    if others is not None:
        raise others
    assert ours is not None
    return [each for part in ours.exceptions for each in _flat(part)]
