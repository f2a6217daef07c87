"""`fluxline savepoint`: keep what a pipeline remembers, while it goes on."""

from __future__ import annotations

import click

from fluxline.cli.arguments import environment_options, output_option, project_option


@click.command("savepoint")
@click.argument("pipeline")
@project_option
@environment_options
@output_option
def savepoint(pipeline: str, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Make a savepoint of a pipeline that runs, and say where it is; the pipeline goes on.

    PIPELINE is the pipeline's name. "fluxline restore PIPELINE --from SAVEPOINT" goes back to it.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import project_start
    from fluxline.control.savepoint import savepoint_job

    done = savepoint_job(pipeline, project_start(project), env=env, overrides=overrides)
    if output == "json":
        say_json({"name": pipeline, "environment": done.deployment.environment, "savepoint": done.savepoint})
    else:
        say(done.savepoint)
    return 0
