"""`fluxline submit`: start a pipeline on the cluster of its environment, with its topics, tables and workers."""

from __future__ import annotations

import sys

import click

from fluxline.cli.arguments import environment_options, output_option, target_argument


@click.command("submit")
@target_argument
@click.option("--bounded", is_flag=True, help="End where the input ends now.")
@click.option("--fresh", is_flag=True, help="Start over instead of from the last savepoint.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that read and write what Flink does not.")
@click.option("--wait", is_flag=True, help="Return when the job has ended and everything is written.")
@environment_options
@output_option
def submit(
    *,
    target: str | None,
    name: str | None,
    env: str | None,
    overrides: tuple[str, ...],
    bounded: bool,
    fresh: bool,
    workers: int,
    wait: bool,
    output: str,
) -> int:
    """Start a pipeline on Flink: its topics, its tables, its workers and the job, as one. What fails half way is taken back.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder. A pipeline that was
    stopped with a savepoint goes on from it.
    """
    from fluxline.cli.failures import show_cautions
    from fluxline.cli.jobs import as_json, lines_of
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import one_pipeline
    from fluxline.control.jobs import job_status, wait_for_job
    from fluxline.control.submit import SubmitOptions
    from fluxline.control.submit import submit as start

    pipeline = one_pipeline(target, name)
    directory = pipeline._directory()
    options = SubmitOptions(
        bounded=bounded,
        fresh=fresh,
        workers=workers,
        overrides=overrides,
        told=lambda step: print(f"  {step}", file=sys.stderr),
        warned=show_cautions,
    )
    start(pipeline._plan(), directory, env=env, options=options)
    found = (wait_for_job if wait else job_status)(pipeline.name, directory, env=env, overrides=overrides)
    if output == "json":
        say_json({"pipelines": [as_json(found)]})
    else:
        say(lines_of(found))
    return 0
