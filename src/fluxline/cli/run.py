"""`fluxline run`: start pipelines in this process, show how they go, and account for every row at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, invocation, output_option, target_argument

if TYPE_CHECKING:
    from fluxline.pipeline.pipeline import Pipeline


@click.command("run")
@target_argument
@click.option("--all", "every", is_flag=True, help="Run all pipelines of the target: at once, or one after the other with --bounded.")
@click.option("--bounded", is_flag=True, help="End where the input ends now, also where a source would follow it.")
@click.option("--fresh", is_flag=True, help="Start over: what earlier runs left, in sinks and saved state, is cleared, and named.")
@click.option("--keep-going", is_flag=True, help="Go on however many records are rejected.")
@environment_options
@output_option
def run(
    *,
    target: str | None,
    name: str | None,
    env: str | None,
    overrides: tuple[str, ...],
    every: bool,
    bounded: bool,
    fresh: bool,
    keep_going: bool,
    output: str,
) -> int:
    """Run a pipeline in this process until its input ends or Ctrl-C asks for a clean stop.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder. The next run
    goes on where this one stopped. At the end the row ledger says what became of every row; exit code 1 if it does not balance.
    """
    from fluxline.cli.runner import Choice, run_together
    from fluxline.cli.targets import one_pipeline, pipelines_of

    if every and name is not None:
        raise click.UsageError('"--all" and "--pipeline" exclude each other', click.get_current_context())
    pipelines: list[Pipeline] = pipelines_of(target) if every else [one_pipeline(target, name)]
    choice = Choice(env, overrides, bounded=bounded, fresh=fresh, keep_going=keep_going, output="json" if output == "json" else "text")
    batches = [[pipeline] for pipeline in pipelines] if bounded else [pipelines]
    return run_together(batches, choice, invocation(), as_list=every)
