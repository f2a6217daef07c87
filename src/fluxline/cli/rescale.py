"""`fluxline rescale`: run a pipeline with another parallelism."""

from __future__ import annotations

import sys

import click

from fluxline.cli.arguments import environment_options, output_option, project_option


@click.command("rescale")
@click.argument("pipeline")
@click.option("--parallelism", type=click.IntRange(min=1), required=True, help="How many copies of an operator run from now on.")
@project_option
@environment_options
@output_option
def rescale(*, pipeline: str, parallelism: int, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Run a pipeline with another parallelism: its job is stopped with a savepoint and goes on from there; its workers go on meanwhile.

    PIPELINE is the pipeline's name. A restore keeps the parallelism; a submission after "fluxline stop" takes that of the project file.
    """
    from fluxline.cli.jobs import as_json, lines_of
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import project_pipeline
    from fluxline.control.jobs import job_status
    from fluxline.control.rescale import rescale_job

    found = project_pipeline(project, pipeline)
    directory = found._directory()
    rescale_job(found._plan(), directory, parallelism, env=env, overrides=overrides, told=lambda step: print(f"  {step}", file=sys.stderr))
    status = job_status(pipeline, directory, env=env, overrides=overrides)
    if output == "json":
        say_json({"pipelines": [as_json(status)]})
    else:
        say(lines_of(status))
    return 0
