"""`fluxline restore`: bring a pipeline back whose job has gone."""

from __future__ import annotations

import sys

import click

from fluxline.cli.arguments import environment_options, output_option, project_option


@click.command("restore")
@click.argument("pipeline")
@click.option("--from", "begins", metavar="PATH", help="A savepoint or checkpoint to go on from, instead of the newest complete one.")
@project_option
@environment_options
@output_option
def restore(*, pipeline: str, begins: str | None, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Bring a pipeline back whose job failed, or was lost with its job manager: from its newest complete checkpoint, as it was submitted.

    PIPELINE is the pipeline's name. Of one that was stopped it is the savepoint of the stop. Workers that still run go on.
    """
    from fluxline.cli.jobs import as_json, lines_of
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import project_pipeline
    from fluxline.control.jobs import job_status
    from fluxline.control.restore import restore_job

    found = project_pipeline(project, pipeline)
    directory = found._directory()
    restore_job(found._plan(), directory, env=env, begins=begins, overrides=overrides, told=lambda step: print(f"  {step}", file=sys.stderr))
    status = job_status(pipeline, directory, env=env, overrides=overrides)
    if output == "json":
        say_json({"pipelines": [as_json(status)]})
    else:
        say(lines_of(status))
    return 0
