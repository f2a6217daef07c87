"""Run a part of a plan now and return its rows: no state, no sinks, inputs from frames, files or an environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fluxline.clock import SystemClock, new_identity
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.connectors import load_connector
from fluxline.control.ends import raise_problems, resolve_ends
from fluxline.control.memory import Collected, NoOptions, collecting_connector, end_of_path, frame_connector
from fluxline.engines.base import Endpoint
from fluxline.engines.embedded.job import EmbeddedJob
from fluxline.engines.embedded.machine import Machine, MachineSettings
from fluxline.errors import DefinitionError
from fluxline.formats import load_format
from fluxline.options import read_options
from fluxline.plan import nodes
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.errors import Place

COLLECTED = "collected rows"
_LOOK_MS = 100


def collect(
    node: nodes.Node,
    directory: Path,
    *,
    pipeline: str,
    inputs: Mapping[str, pl.DataFrame | Path | str],
    env: str | None = None,
    rows_max: int | None = None,
    within_ms: int | None = None,
    changelog: bool = False,
    place: Place | None = None,
) -> pl.DataFrame:
    """The rows of a node.

    Args:
        node: whose rows.
        directory: where the search for the project file starts.
        pipeline: the pipeline's name.
        inputs: source name -> a frame, or the path of a file.
        env: the environment that binds the other sources.
        rows_max: stop after so many rows.
        within_ms: stop after this long.
        changelog: every row with its kind, instead of the final rows.
        place: the user's line.

    Raises:
        DefinitionError: FLX-2137, a source does not end and nothing bounds the collection.
    """
    plan = apply_rules(nodes.Plan(pipeline, (nodes.Sink(node, COLLECTED, node.key),)))
    endpoints = _endpoints(plan, directory, inputs, env)
    _require_bound(plan, endpoints, rows_max, within_ms, place)
    collected = Collected(node.schema.visible(), node.key, rows_max)
    endpoints[COLLECTED] = Endpoint(COLLECTED, collecting_connector(collected), NoOptions(), None, None, directory)
    job = EmbeddedJob(Machine(plan, endpoints, SystemClock(), MachineSettings(new_identity())), None, 1)
    collected.enough = job.request_stop
    _run(job, within_ms)
    rows = collected.changelog() if changelog else collected.final()
    return _with_zones(rows if rows_max is None else rows.head(rows_max), node)


def _run(job: EmbeddedJob, within_ms: int | None) -> None:
    """Start, and wait for the end; an interrupt ends the job before it is passed on."""
    job.start()
    waited_ms = 0
    try:
        while not job.wait(_LOOK_MS):
            waited_ms += _LOOK_MS
            if within_ms is not None and waited_ms >= within_ms:
                job.stop()
    except BaseException:
        job.cancel()
        raise


def _endpoints(plan: nodes.Plan, directory: Path, inputs: Mapping[str, pl.DataFrame | Path | str], env: str | None) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for name, given in inputs.items():
        if isinstance(given, pl.DataFrame):
            found[name] = Endpoint(name, frame_connector(given), NoOptions(), None, None, directory)
            continue
        word, raw, form = end_of_path(Path(given))
        connector, chosen = load_connector(word), load_format(form)
        options = read_options(connector.options, raw, of=f'connector "{word}"')
        found[name] = Endpoint(name, connector, options, chosen, chosen.options(), directory)
    missing = tuple(scan for scan in plan.scans() if scan.source not in found)
    if missing:
        environment = resolve_environment(require_project(directory), env)
        refuse_unsupported(environment)
        rest = nodes.Plan(plan.name, tuple(nodes.Sink(scan, f"_{scan.source}") for scan in missing))
        ends = resolve_ends(rest, environment, reveal=True)
        raise_problems([problem for problem in ends.problems if not _of_helper_sink(problem.fact)], "the sources cannot be read")
        found |= ends.sources
    return found


def _of_helper_sink(fact: str) -> bool:
    return fact.startswith(('"_', 'sink "_'))


def _require_bound(plan: nodes.Plan, endpoints: Mapping[str, Endpoint], rows_max: int | None, within_ms: int | None, place: Place | None) -> None:
    if rows_max is not None or within_ms is not None:
        return
    for scan in plan.scans():
        endpoint = endpoints[scan.source]
        if not endpoint.connector.source_bounded(endpoint.options):
            raise DefinitionError(
                "FLX-2137",
                f'source "{scan.source}" does not end, so its rows cannot all be collected',
                hint='Bound the collection: collect(rows_max=100), or collect(within="5 seconds"), or give the source by inputs={...}.',
                place=place,
            )


def _with_zones(rows: pl.DataFrame, node: nodes.Node) -> pl.DataFrame:
    """Instants carry their zone in what a user sees."""
    zoned = [item.name for item in node.schema.visible() if item.type.root == "TIMESTAMP_LTZ"]
    return rows.with_columns(pl.col(name).dt.replace_time_zone("UTC") for name in zoned)
