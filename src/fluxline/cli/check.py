"""`fluxline check`: refuse what cannot run, all problems at once, in every environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, invocation, output_option, target_argument

if TYPE_CHECKING:
    from fluxline.errors import FluxlineError
    from fluxline.pipeline.pipeline import Pipeline


@click.command("check")
@target_argument
@environment_options
@output_option
def check(target: str | None, name: str | None, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Check pipelines against their environments; reads no data and asks no server.

    TARGET is a file, a folder with fluxline.toml, or MODULE[:NAME]; by default the project of the current folder. All its
    pipelines are checked, against every environment that this version can run, or against the one of --env.
    """
    from fluxline.cli.failures import exit_code, show_errors
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import pipelines_of

    checked: list[dict[str, object]] = []
    problems: dict[str, FluxlineError] = {}  # A mistake in the project file concerns every pipeline; it is told once.
    for pipeline in pipelines_of(target, name):
        found = _check(pipeline, env, overrides)
        if isinstance(found, dict):
            checked.append(found)
        else:
            problems.update({problem.render(): problem for problem in found})
    if output == "json":
        say_json({"pipelines": checked, "errors": [problem.as_json() for problem in problems.values()]})
    else:
        say([_line(entry) for entry in checked])
    if problems:
        show_errors(list(problems.values()), invocation(), with_json=False)
        return exit_code(list(problems.values()))
    return 0


def _check(pipeline: Pipeline, env: str | None, overrides: tuple[str, ...]) -> dict[str, object] | list[FluxlineError]:
    """What was checked, or what is wrong."""
    from fluxline import control
    from fluxline.cli.failures import flattened
    from fluxline.config import require_project
    from fluxline.errors import FluxlineError

    try:
        directory = pipeline._directory()
        names = control.check(pipeline._plan(), directory, env=env, overrides=overrides)
        runnable = require_project(directory).runnable if env is None else (env,)
    except (FluxlineError, ExceptionGroup) as error:
        problems = [each for each in flattened(error) if isinstance(each, FluxlineError)]
        if len(problems) < len(flattened(error)):
            raise
        return problems
    return {"name": pipeline.name, "environments": list(names), "not_checked": [each for each in runnable if each not in names]}


def _line(entry: dict[str, object]) -> str:
    names, others = entry["environments"], entry["not_checked"]
    assert isinstance(names, list)
    assert isinstance(others, list)
    line = f"{entry['name']}: can run in {', '.join(names)}" if names else f"{entry['name']}: the definition holds, and no environment can run it"
    return f"{line}; of another engine, and not checked: {', '.join(others)}" if others else line
