"""`fluxline check`: refuse what cannot run, all problems at once, in every environment."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, invocation, output_option, target_argument

if TYPE_CHECKING:
    from fluxline.errors import Caution, FluxlineError
    from fluxline.pipeline.pipeline import Pipeline


@click.command("check")
@target_argument
@click.option("--connect", "connects", is_flag=True, help="Ask the systems of one environment for real; sends and changes nothing.")
@environment_options
@output_option
def check(target: str | None, name: str | None, env: str | None, overrides: tuple[str, ...], output: str, *, connects: bool) -> int:
    """Check pipelines against their environments; reads no data and, without --connect, asks no server.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder. All its
    pipelines are checked, against every environment that this version can run, or against the one of --env.

    With --connect it is one environment, the default one without --env: addresses, logins, whether files, topics and tables
    are there, and whether they are as declared: partitions of topics, columns and keys of tables. With engine = "flink" also the
    gateway and the cluster, their version and free slots. Where a system has several nodes, or is asked for several replicas, it also
    warns of settings that would not outlive the loss of one.
    """
    from fluxline import control
    from fluxline.cli.failures import exit_code, show_cautions, show_errors
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import pipelines_of

    checked: list[dict[str, object]] = []
    cautions: dict[str, Caution] = {}
    problems: dict[str, FluxlineError] = {}  # A mistake in the project file concerns every pipeline; it is told once.
    for pipeline in pipelines_of(target, name):
        found = _check(pipeline, env, overrides, connects=connects)
        if isinstance(found, dict):
            checked.append(found)
            if connects:
                told = control.survival(pipeline._plan(), pipeline._directory(), env=env, overrides=overrides)
                found["warnings"] = [caution.as_json() for caution in told]
                cautions.update({caution.render(): caution for caution in told})
        else:
            problems.update({problem.render(): problem for problem in found})
    if output == "json":
        say_json({"pipelines": checked, "errors": [problem.as_json() for problem in problems.values()]})
    else:
        say([line for entry in checked for line in _lines(entry)])
    show_cautions(list(cautions.values()))
    if problems:
        show_errors(list(problems.values()), invocation(), with_json=False)
        return exit_code(list(problems.values()))
    return 0


def _check(pipeline: Pipeline, env: str | None, overrides: tuple[str, ...], *, connects: bool) -> dict[str, object] | list[FluxlineError]:
    """What was checked, or what is wrong."""
    from fluxline import control
    from fluxline.cli.failures import flattened
    from fluxline.config import require_project
    from fluxline.errors import FluxlineError

    try:
        directory = pipeline._directory()
        if connects:
            asked, found = control.connect(pipeline._plan(), directory, env=env, overrides=overrides)
            return {"name": pipeline.name, "environments": [asked], "not_checked": [], "connected": [asdict(each) for each in found]}
        names = control.check(pipeline._plan(), directory, env=env, overrides=overrides)
        runnable = require_project(directory).runnable if env is None else (env,)
    except (FluxlineError, ExceptionGroup) as error:
        problems = [each for each in flattened(error) if isinstance(each, FluxlineError)]
        if len(problems) < len(flattened(error)):
            raise
        return problems
    return {"name": pipeline.name, "environments": list(names), "not_checked": [each for each in runnable if each not in names]}


def _lines(entry: dict[str, object]) -> list[str]:
    names, others, connected = entry["environments"], entry["not_checked"], entry.get("connected", [])
    assert isinstance(names, list)
    assert isinstance(others, list)
    assert isinstance(connected, list)
    line = f"{entry['name']}: can run in {', '.join(names)}" if names else f"{entry['name']}: the definition holds, and no environment can run it"
    if others:
        line += f"; of another engine, and not checked: {', '.join(others)}"
    asked = [f"  {each['role']} {each['name']} at {each['connector']}: {'; '.join(each['facts']) or 'not asked'}" for each in connected]
    return [line, *asked]
