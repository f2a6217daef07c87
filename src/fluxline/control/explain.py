"""Explain a plan: its steps after the rules, its state, what it depends on, and what each path guarantees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.config import find_project, require_project, resolve_environment
from fluxline.control.ends import guarantee_of, raise_problems, resolve_ends
from fluxline.control.flink import prepare, session_properties
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import UnsupportedByEngine, did_you_mean
from fluxline.plan import nodes
from fluxline.planner.explain import explain_determinism, explain_plan, explain_state
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.ends import Ends
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan


def explain(plan: Plan, directory: Path, *, env: str | None = None, engine: str | None = None, overrides: Sequence[str] = ()) -> str:
    """The plan as it will run, as text.

    Args:
        plan: the plan as written.
        directory: where the search for the project file starts.
        env: the environment whose bindings are shown; the default one, if there is a project file.
        engine: "embedded" or "flink"; the environment's, if not given.
        overrides: `key=value` settings for this call.

    Raises:
        UnsupportedByEngine: FLX-2190, another engine; FLX-2650 to FLX-2673, Flink cannot run the plan.
        ConfigError: FLX-1001, for Flink there must be a project file.
    """
    if engine not in (None, "embedded", "flink"):
        raise UnsupportedByEngine("FLX-2190", f'there is no engine "{engine}"', hint=did_you_mean(str(engine), ("embedded", "flink")))
    planned = apply_rules(plan)
    parts = [explain_plan(planned)]
    parts.append(_section("state", explain_state(planned) or ["none"]))
    depends = explain_determinism(planned)
    if depends:
        parts.append(_section("beside the input, the rows depend on", depends))
    project = require_project(directory) if engine == "flink" else find_project(directory)
    if project is not None:
        environment = resolve_environment(project, env, overrides=overrides)
        if (engine or environment.engine) == "flink":
            return "\n\n".join([*parts, *_flink_sections(plan, environment)])
        ends = resolve_ends(plan, environment, reveal=False)
        parts.append(_section(f"environment {environment.name}", _places(ends)))
        parts.append(_section("guarantees", explain_guarantees(planned, ends)))
        if ends.problems:
            parts.append(_section("problems", [error.fact for error in ends.problems]))
    return "\n\n".join(parts)


def _flink_sections(plan: Plan, environment: Environment) -> list[str]:
    """What Flink gets.

    Raises:
        UnsupportedByEngine: it cannot run the plan.
    """
    prepared = prepare(plan, environment, reveal=False)
    raise_problems(prepared.problems, f'pipeline "{plan.name}" cannot run on Flink')
    assert prepared.compiled is not None
    parts = [_section(f"environment {environment.name}", _places(prepared.ends))]
    relays = [
        f"{each.scan.source}: {each.source.connector.name} -> workers -> topic {each.topic} -> Flink"
        + ("" if each.untouched else f"; what cannot be decoded goes to topic {each.topic}{REJECTED}")
        for each in prepared.ingests
    ]
    relays += [f"{relay.sink.name}: Flink -> topic {relay.topic} -> workers -> {relay.target.connector.name}" for relay in prepared.relays]
    if relays:
        parts.append(_section("through workers", relays))
    settings = session_properties(environment, prepared.compiled)
    parts.append(_section("settings of Flink", [f"{key} = {value}" for key, value in sorted(settings.items())]))
    if prepared.compiled.warnings:
        parts.append(_section("other than on the embedded engine", prepared.compiled.warnings))
    return [*parts, f"Flink SQL:\n\n{prepared.compiled.script()}"]


def explain_guarantees(plan: Plan, ends: Ends) -> list[str]:
    """Per path from sources to a sink, what a clean stop and a crash leave."""
    lines = []
    for sink in plan.sinks:
        scans = sorted({node.source for node in nodes.upstream(sink) if isinstance(node, nodes.Scan)})
        sources = [ends.sources.get(name) for name in scans]
        endpoint = ends.sinks.get(sink.name)
        path = f"{', '.join(scans)} -> {sink.name}"
        if endpoint is None or None in sources:
            lines.append(f"{path}: not bound")
            continue
        lines.append(f"{path}: {_after_stop(sources)}; {after_crash(sink, endpoint, sources)}")
    return lines


def after_crash(sink: nodes.Sink, endpoint: Endpoint, sources: Sequence[Endpoint | None]) -> str:
    """What a crash means for one sink."""
    if not all(source is not None and source.connector.source_rewinds for source in sources):
        return "after a crash rows since the last clean stop may be missing, since a source cannot be read again"
    guarantee = guarantee_of(endpoint.connector, sink)
    again = "after a crash the input since the last clean stop is read again"
    if guarantee == "exactly_once":
        return f"{again} and rows are there once"
    return f"{again} and rows may be there twice"


def _after_stop(sources: Sequence[Endpoint | None]) -> str:
    if all(source is not None and source.connector.source_rewinds for source in sources):
        return "after a clean stop every row is there once"
    return "after a clean stop the next run goes on with what comes then"


def _places(ends: Ends) -> list[str]:
    lines = []
    for word, found in (("source", ends.sources), ("sink", ends.sinks)):
        for name, endpoint in found.items():
            path = getattr(endpoint.options, "path", None)
            where = f" {path}" if path is not None else ""
            form = f", {endpoint.format.name}" if endpoint.format is not None else ""
            lines.append(f"{word} {name}: {endpoint.connector.name}{where}{form}")
    return lines


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
