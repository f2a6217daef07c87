"""`fluxline functions`: the functions, operators and aggregates of expressions, with an example of each."""

from __future__ import annotations

from dataclasses import asdict

import click

from fluxline.cli.arguments import output_option


@click.group("functions", invoke_without_command=True)
@output_option
@click.pass_context
def functions(context: click.Context, output: str) -> int:
    """Show the functions that expressions may use; "show NAME" has an example of one."""
    if context.invoked_subcommand is not None:
        return 0
    from fluxline.cli.dictionaries import list_lines
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.functions()
    if output == "json":
        say_json({"functions": [asdict(each) for each in found]})
        return 0
    say(list_lines((each.name, "aggregate" if each.kind == "aggregate" else "", each.python) for each in found))
    return 0


@functions.command("show", short_help="Show one function with an example.")
@click.argument("name")
@output_option
def show(name: str, output: str) -> int:
    """Show one function, in any case; quote operators and names of several words, such as "IS NULL"."""
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.function(name)
    if output == "json":
        say_json(asdict(found))
        return 0
    lines = [f"{found.name}: {found.doc}", f"takes: {found.takes}", f"in Python: {found.python}"]
    if found.flink:
        lines.append(f"in Flink SQL: {found.flink}")
    if found.example:
        lines.append(f"example: {found.example}")
    say(lines)
    return 0
