"""`fluxline formats`: how bytes become rows and back, and the options of each format."""

from __future__ import annotations

from dataclasses import asdict

import click

from fluxline.cli.arguments import output_option


@click.group("formats", invoke_without_command=True)
@output_option
@click.pass_context
def formats(context: click.Context, output: str) -> int:
    """Show how bytes become rows and back; "show NAME" has the options of one format."""
    if context.invoked_subcommand is not None:
        return 0
    from fluxline.cli.dictionaries import list_lines
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.formats()
    if output == "json":
        say_json({"formats": [asdict(each) for each in found]})
    else:
        say(list_lines((each.name, each.problem or each.doc) for each in found))
    return 0


@formats.command("show")
@click.argument("name")
@output_option
def show(name: str, output: str) -> int:
    """Show one format with its options."""
    from fluxline.cli.dictionaries import option_lines
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.format_named(name)
    if output == "json":
        say_json(asdict(found))
    else:
        say([f"{found.name}: {found.doc}", *option_lines(found.options)])
    return 0
