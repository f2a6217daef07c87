"""`fluxline explain`: the plan as it will run, its state, what its rows depend on, and the guarantee of every path."""

from __future__ import annotations

import click

from fluxline.cli.arguments import environment_options, output_option, target_argument


@click.command("explain")
@target_argument
@environment_options
@click.option("--engine", metavar="NAME", help="Engine to explain the plan for; this version has embedded.")
@output_option
def explain(target: str | None, name: str | None, env: str | None, overrides: tuple[str, ...], engine: str | None, output: str) -> int:
    """Show how pipelines will run: their steps, their state, and what each path guarantees.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder.
    """
    from fluxline import control
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import pipelines_of
    from fluxline.control.inspect import plan_json

    explained: list[dict[str, object]] = []
    for pipeline in pipelines_of(target, name):
        plan = pipeline._plan()
        text = control.explain(plan, pipeline._directory(), env=env, engine=engine, overrides=overrides)
        explained.append({"name": pipeline.name, "text": text, "plan": plan_json(plan)})
    if output == "json":
        say_json({"pipelines": explained})
    else:
        say("\n\n\n".join(str(entry["text"]) for entry in explained))
    return 0
