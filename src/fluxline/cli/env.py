"""`fluxline env`: the environments of the project, and every value that holds in one, with the line that it comes from."""

from __future__ import annotations

import click

from fluxline.cli.arguments import environment_options, output_option, project_option


@click.group("env")
def env() -> None:
    """Show the environments of the project."""


@env.command("list")
@project_option
@output_option
def list_environments(project: str, output: str) -> int:
    """List the environments."""
    from fluxline.cli.screen import columns, say, say_json
    from fluxline.cli.targets import project_start
    from fluxline.config import require_project

    found = require_project(project_start(project))
    entries = [
        {
            "name": name,
            "engine": found.tables[name].values.get("engine"),
            "abstract": name in found.abstract,
            "default": name == found.default_environment,
        }
        for name in found.environments
    ]
    if output == "json":
        say_json({"project": found.name, "file": str(found.path), "environments": entries})
        return 0
    rows = []
    for entry in entries:
        marks = [word for word, holds in (("default", entry["default"]), ("abstract", entry["abstract"])) if holds]
        rows.append((str(entry["name"]), str(entry["engine"] or ""), ", ".join(marks)))
    say(columns(rows, indent="") or [f"{found.path.name} has no environment"])
    return 0


@env.command("show", short_help="Show all values of an environment, and where each comes from.")
@click.argument("name", required=False)
@project_option
@environment_options
@output_option
def show(name: str | None, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Show all values that hold in an environment, and where each comes from; secrets stay references.

    NAME is the environment; by default that of --env, of FLUXLINE_ENV, or the project's default.
    """
    from dataclasses import asdict

    from fluxline.cli.screen import columns, say, say_json
    from fluxline.cli.targets import project_start
    from fluxline.config import render_environment, require_project, resolve_environment, unsupported

    if name is not None and env is not None and name != env:
        raise click.UsageError(f'the environment is "{name}" and, by "--env", "{env}"', click.get_current_context())
    environment = resolve_environment(require_project(project_start(project)), name or env, overrides=overrides)
    shown = render_environment(environment)
    missing = [error.fact for error in unsupported(environment)]
    if output == "json":
        values = [{key: value for key, value in asdict(each).items() if key != "place"} for each in shown]
        say_json({"name": environment.name, "values": values, "unsupported": missing})
        return 0
    say([f"environment {environment.name}", *columns((each.key, each.value, f"# {each.origin}") for each in shown)])
    say([f"cannot run: {fact}" for fact in missing])
    return 0
