"""`fluxline jobs`: how the submitted pipelines stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, output_option, project_option

if TYPE_CHECKING:
    from fluxline.control.jobs import JobStatus


@click.command("jobs")
@project_option
@environment_options
@output_option
def jobs(project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Show the pipelines that were submitted to the environment's cluster: each with its job, its workers and what they have still to write."""
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import project_start
    from fluxline.control.jobs import jobs as look

    found = look(project_start(project), env=env, overrides=overrides)
    if output == "json":
        say_json({"pipelines": [as_json(each) for each in found]})
    elif not found:
        say("no pipeline was submitted")
    else:
        say([line for each in found for line in lines_of(each)])
    return 0


def lines_of(found: JobStatus) -> list[str]:
    """How one pipeline stands, for people."""
    deployment = found.deployment
    since = f"{datetime.fromtimestamp(deployment.submitted_at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    state = "stopped" if deployment.state == "stopped" else found.state.lower()
    lines = [f"{deployment.pipeline} in {deployment.environment}: {state}, submitted {since}"]
    lines.append(f"  job {deployment.job_id} at {deployment.rest}")
    if found.cause:
        lines.append(f"  failed last with {found.cause}")
    if found.late_dropped:
        lines.append(f"  ALARM: Flink's own operators dropped late rows ({found.late_dropped}), which no output has")
    for relay in deployment.relays:
        lag = found.lags[relay.sink]
        lines.append(f"  {relay.sink}: topic {relay.topic} -> {relay.connector}, {f'{lag:,} records to write' if lag else 'all written'}")
    if deployment.relays:
        count = len(found.workers)
        lines.append(
            f"  {count} {'worker' if count == 1 else 'workers'} on this machine" + (f": {', '.join(map(str, found.workers))}" if count else "")
        )
    if deployment.savepoint is not None:
        lines.append(f"  the next submission goes on from {deployment.savepoint}")
    return lines


def as_json(found: JobStatus) -> dict[str, object]:
    """The same as JSON."""
    deployment = found.deployment
    return {
        "name": deployment.pipeline,
        "environment": deployment.environment,
        "state": "STOPPED" if deployment.state == "stopped" else found.state,
        "job_id": deployment.job_id,
        "rest": deployment.rest,
        "submitted_at_ms": deployment.submitted_at_ms,
        "bounded": deployment.bounded,
        "cause": found.cause,
        "late_dropped": found.late_dropped,
        "relays": [
            {"sink": relay.sink, "topic": relay.topic, "connector": relay.connector, "lag": found.lags[relay.sink]} for relay in deployment.relays
        ],
        "workers": list(found.workers),
        "savepoint": deployment.savepoint,
    }
