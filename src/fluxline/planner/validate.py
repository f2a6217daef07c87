"""What a whole plan must satisfy before an engine sees it; every problem is found, not only the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError, FluxlineError, did_you_mean
from fluxline.plan.names import name_operators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.base import Connector
    from fluxline.plan import nodes


def validate_plan(plan: nodes.Plan) -> list[FluxlineError]:
    """The problems of the plan itself."""
    problems: list[FluxlineError] = []
    try:
        name_operators(plan)
    except DefinitionError as error:
        problems.append(error)
    for scan in plan.scans():
        for sink in plan.sinks:
            if scan.source == sink.name:
                problems.append(
                    DefinitionError(
                        "FLX-2147", f'"{sink.name}" is a source and a sink of one pipeline', hint="Give the sink another name.", place=sink.place
                    )
                )
    return problems


def validate_ends(plan: nodes.Plan, connectors: Mapping[str, Connector]) -> list[FluxlineError]:
    """The problems of sources and sinks with the systems that an environment binds them to.

    Args:
        plan: the plan.
        connectors: source or sink name -> connector, of those that were resolved.
    """
    problems: list[FluxlineError] = []
    for scan in plan.scans():
        connector = connectors.get(scan.source)
        if connector is not None and connector.source is None:
            problems.append(
                DefinitionError(
                    "FLX-2150", f'source "{scan.source}" is bound to connector "{connector.name}", which cannot be read', place=scan.place
                )
            )
        if connector is not None:
            problems += _metadata_problems(scan, connector)
    for sink in plan.sinks:
        connector = connectors.get(sink.name)
        if connector is not None:
            problems += _sink_problems(sink, connector)
    return problems


def _metadata_problems(scan: nodes.Scan, connector: Connector) -> list[FluxlineError]:
    """Columns that the connector does not know of a record, or not with their type."""
    problems: list[FluxlineError] = []
    asked = [(item, item.metadata) for item in scan.declared if item.metadata is not None]
    for item, name in asked:
        what = f'column "{item.name}" of source "{scan.source}"'
        types = connector.metadata.get(name, ())
        if not types:
            known = ", ".join(f'"{each}"' for each in connector.metadata)
            problems.append(
                DefinitionError(
                    "FLX-2155",
                    f'{what} is metadata "{name}", which connector "{connector.name}" does not know',
                    detail=f"It knows {known or 'none'}.",
                    hint=did_you_mean(name, connector.metadata) or "Read it from the record, or leave it out.",
                    place=scan.place,
                )
            )
        elif not any(item.type in (each, each.with_nullable(True)) for each in types):
            detail = f'Metadata "{name}" is {" or ".join(str(each) for each in types)}.'
            problems.append(DefinitionError("FLX-2155", f"{what} is {item.type}", detail=detail, place=scan.place))
    if asked and not scan.declared.of_records().fields:
        detail = "All that it declares is metadata."
        problems.append(DefinitionError("FLX-2155", f'source "{scan.source}" declares no column of its records', detail=detail, place=scan.place))
    return problems


def _sink_problems(sink: nodes.Sink, connector: Connector) -> list[FluxlineError]:
    what = f'sink "{sink.name}" is bound to connector "{connector.name}"'
    if connector.sink is None:
        return [DefinitionError("FLX-2150", f"{what}, which cannot be written", place=sink.place)]
    problems: list[FluxlineError] = []
    if sink.updating and not connector.upserts:
        problems.append(
            DefinitionError(
                "FLX-2151",
                f"{what}, which cannot take updates",
                detail="Later rows of the stream replace earlier ones.",
                hint="Bind the sink to a table store, or aggregate per window: windows emit once.",
                place=sink.place,
            )
        )
    if connector.needs_key and sink.row_key is None:
        problems.append(DefinitionError("FLX-2152", f"{what}, which needs a key", hint='Write .sink("...", key=[...]).', place=sink.place))
    return problems
