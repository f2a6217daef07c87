"""`fluxline connectors`: the systems that can be read and written, and the options of each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import output_option

if TYPE_CHECKING:
    from fluxline.control.inspect import ShownConnector


@click.group("connectors", invoke_without_command=True)
@output_option
@click.pass_context
def connectors(context: click.Context, output: str) -> int:
    """Show the systems that can be read and written; "show NAME" has the options of one."""
    if context.invoked_subcommand is not None:
        return 0
    from fluxline.cli.dictionaries import list_lines
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.connectors()
    if output == "json":
        say_json({"connectors": [asdict(each) for each in found]})
    else:
        say(list_lines((each.name, _use(each), each.problem or each.doc) for each in found))
    return 0


@connectors.command("show", short_help="Show one connector with its options.")
@click.argument("name")
@output_option
def show(name: str, output: str) -> int:
    """Show one connector: what it does, what it guarantees, and its options."""
    from fluxline.cli.dictionaries import option_lines
    from fluxline.cli.screen import say, say_json
    from fluxline.control import inspect

    found = inspect.connector(name)
    if output == "json":
        say_json(asdict(found))
        return 0
    lines = [f"{found.name}: {found.doc}", f"use: {_use(found)}{', with a format' if found.takes_format else ''}"]
    if found.reads:
        lines.append(f"a source can be read again from a saved position: {'yes' if found.rewinds else 'no'}")
    if found.appends_guarantee:
        lines.append(f"delivery of rows without key: {found.appends_guarantee}")
    if found.upserts_guarantee:
        lines.append(f"delivery of rows with a key: {found.upserts_guarantee}")
    if found.needs_key:
        lines.append("a sink needs a key")
    say([*lines, *option_lines(found.options)])
    return 0


def _use(found: ShownConnector) -> str:
    return " and ".join(word for word, does in (("source", found.reads), ("sink", found.writes)) if does)
