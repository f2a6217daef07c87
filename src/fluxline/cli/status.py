"""`fluxline status`: which pipelines run, since when, and how they ended the last time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, output_option, target_argument

if TYPE_CHECKING:
    from fluxline.control.status import Status


@click.command("status")
@target_argument
@environment_options
@output_option
def status(target: str | None, name: str | None, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Say which pipelines run, since when, how they ended the last time, and whether their definition changed.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import pipelines_of
    from fluxline.control.status import status as look

    found = [look(pipeline._plan(), pipeline._directory(), env=env, overrides=overrides) for pipeline in pipelines_of(target, name)]
    if output == "json":
        say_json({"pipelines": [_as_json(each) for each in found]})
    else:
        say([line for each in found for line in _lines(each)])
    return 0


def _lines(found: Status) -> list[str]:
    from fluxline.cli.ledger import path_lines

    lines = [f"{found.pipeline} in {found.environment}: {_state(found)}"]
    if found.definition_changed:
        lines.append("  the definition has changed since then; a new start takes it up")
    if found.stopped_at_ms is not None and found.state != "stopped":
        lines.append(f"  last clean stop: {_when(found.stopped_at_ms)}")
    if found.definition_changed_since_stop and not found.definition_changed:
        lines.append("  the definition has changed since the last clean stop")
    if found.report is not None:
        lines.append("  the row ledger up to the last clean stop:")
        lines += [f"    {line}" for line in path_lines(found.report)]
        lines += [f"    NOT balanced: {line}" for line in found.report.imbalances()]
    return lines


def _state(found: Status) -> str:
    since = "" if found.started_at_ms is None else f" since {_when(found.started_at_ms)}"
    if found.state == "running":
        return f"running in process {found.pid}{since}"
    if found.state == "crashed":
        return f"not running; process {found.pid}, which ran it{since}, did not end with a clean stop"
    if found.state == "stopped" and found.stopped_at_ms is not None:
        how = "read its input to the end" if found.input_ended else "stopped cleanly"
        return f"not running; {how}, {_when(found.stopped_at_ms)}"
    return "has not run"


def _as_json(found: Status) -> dict[str, object]:
    from fluxline.cli.ledger import report_json

    return {
        "name": found.pipeline,
        "environment": found.environment,
        "directory": str(found.directory),
        "state": found.state,
        "pid": found.pid,
        "started_at_ms": found.started_at_ms,
        "definition_changed": found.definition_changed,
        "stopped_at_ms": found.stopped_at_ms,
        "input_ended": found.input_ended,
        "definition_changed_since_stop": found.definition_changed_since_stop,
        "report": None if found.report is None else report_json(found.report),
    }


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
