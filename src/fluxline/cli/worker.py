"""`fluxline worker`: one more process that writes the sinks, and reads the sources, which Flink does not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, output_option, target_argument

if TYPE_CHECKING:
    from fluxline.control.deployment import DeploymentDirectory


@click.command("worker")
@target_argument
@click.option("--deployed", metavar="FOLDER", hidden=True, help="Take the plan from a deployment's folder.")
@click.option("--watch", metavar="N", type=click.IntRange(min=1), hidden=True, help="Start so many workers of a deployment, and watch them.")
@click.option(
    "--instance",
    metavar="NAME",
    default="",
    help="Name of this worker in its groups, the same over restarts; by default of machine, folder, number.",
)
@environment_options
@output_option
def worker(
    target: str | None,
    name: str | None,
    env: str | None,
    overrides: tuple[str, ...],
    deployed: str | None,
    watch: int | None,
    instance: str,
    output: str,
) -> int:
    """Move records between topics that a job on Flink reads or writes and systems that Flink does not know, until Ctrl-C.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder. "fluxline submit"
    starts workers; more of them, here or on other machines, share the sinks. A source is read by one worker at a time, on the machine
    of the submission; others stand by. What a system refuses, or a source holds and cannot be decoded, goes to a topic "....rejected".
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.signals import signals
    from fluxline.cli.targets import one_pipeline
    from fluxline.control.deployment import DeploymentDirectory
    from fluxline.control.worker import start_worker

    if watch is not None:
        assert deployed is not None, "a deployment is watched"
        return _watch(DeploymentDirectory(Path(deployed)), watch, env, overrides)
    if deployed is not None:
        plan, directory = DeploymentDirectory(Path(deployed)).read_plan(), Path.cwd()
    else:
        pipeline = one_pipeline(target, name)
        plan, directory = pipeline._plan(), pipeline._directory()
    with signals() as asked:
        running = start_worker(plan, directory, env=env, overrides=overrides, instance=instance, patient=deployed is not None)
        asked.running = True
        if output == "text":
            does = [*(f"reads {source}" for source in running.readings), *(f"writes {sink}" for sink in running.sinks)]
            say(f"{plan.name}: {', '.join(does)}")
        running.wait(lambda: asked.stop)
    if output == "json":
        sources = {source: {"moved": each.moved, "rejected": each.rejected} for source, each in running.readings.items()}
        say_json({"name": plan.name, "sources": sources, "sinks": {sink: asdict(counts) for sink, counts in running.counts.items()}})
        return 0
    for source, each in running.readings.items():
        say(f"  {source}: moved {each.moved:,} records" + (f", rejected {each.rejected:,}" if each.rejected else ""))
    for sink, counts in running.counts.items():
        say(f"  {sink}: read {counts.read:,} = written {counts.written:,} + rejected {counts.rejected:,}")
    return 0


def _watch(place: DeploymentDirectory, count: int, env: str | None, overrides: tuple[str, ...]) -> int:
    """Watch the workers of a deployment until a signal ends this process."""
    from fluxline.cli.signals import signals
    from fluxline.clock import SystemClock
    from fluxline.control.worker_processes import watch_workers

    command = [] if env is None else ["--env", env]
    for override in overrides:
        command += ["--set", override]
    with signals() as asked:
        asked.running = True
        watch_workers(place, Path.cwd(), count, command, SystemClock(), lambda: asked.stop)
    return 0
