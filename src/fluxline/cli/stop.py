"""`fluxline stop`: end a pipeline on its cluster, with its workers."""

from __future__ import annotations

import sys

import click

from fluxline.cli.arguments import environment_options, output_option, target_argument


@click.command("stop")
@target_argument
@click.option("--cancel", is_flag=True, help="End it now: no savepoint, and workers leave what is in their topics.")
@click.option("--drain", is_flag=True, help="Let open windows come out first; the next submission starts over.")
@environment_options
@output_option
def stop(*, target: str | None, name: str | None, env: str | None, overrides: tuple[str, ...], cancel: bool, drain: bool, output: str) -> int:
    """End a pipeline that was submitted: the job with a savepoint, then its workers, once they have written everything.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import one_pipeline
    from fluxline.control.jobs import stop_job

    if cancel and drain:
        raise click.UsageError('"--cancel" and "--drain" exclude each other', click.get_current_context())
    pipeline = one_pipeline(target, name)
    done = stop_job(
        pipeline.name,
        pipeline._directory(),
        env=env,
        overrides=overrides,
        cancel=cancel,
        drain=drain,
        told=lambda step: print(f"  {step}", file=sys.stderr),
    )
    if output == "json":
        say_json({"name": pipeline.name, "environment": done.deployment.environment, "savepoint": done.savepoint, "workers_ended": done.workers})
    else:
        after = "the next submission starts over" if done.deployment.savepoint is None else "the next submission goes on from its savepoint"
        say(f"{pipeline.name} in {done.deployment.environment}: stopped; {after}")
    return 0
