"""Help texts as they are read, and the table of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from fluxline.cli.main import COMMANDS, fluxline
from tests.cli.conftest import golden

if TYPE_CHECKING:
    from tests.cli.conftest import Command

HELP = [[], ["new"], ["check"], ["explain"], ["run"], ["query"], ["status"], ["env"], ["env", "show"], ["connectors"], ["functions", "show"]]


@pytest.mark.parametrize("words", HELP, ids=lambda words: "_".join(words) or "fluxline")
def test_help_is_as_written(words: list[str], command: Command) -> None:
    """With -h and with --help."""
    outcome = command(*words, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == golden(f"help_{'_'.join(words) or 'fluxline'}.txt")
    assert command(*words, "-h") == outcome


@pytest.mark.parametrize("name", COMMANDS)
def test_a_listed_command_is_there(name: str) -> None:
    """Under its own name, and with a help text that begins like a sentence."""
    with click.Context(fluxline) as context:
        found = fluxline.get_command(context, name)
    assert found is not None
    assert (found.name, (found.help or "")[:1].isupper()) == (name, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_machine_readable_form(name: str) -> None:
    """`-o json`, by itself or in each of its commands."""
    with click.Context(fluxline) as context:
        found = fluxline.get_command(context, name)
    parts = list(found.commands.values()) if isinstance(found, click.Group) else [found]
    assert all(any("-o" in parameter.opts for parameter in part.params) for part in parts if part is not None)


def test_version(command: Command) -> None:
    """The version of the package."""
    outcome = command("--version")
    assert (outcome.code, outcome.out) == (0, "fluxline 0.1.0\n")


def test_no_command_is_no_use(command: Command) -> None:
    """Help goes where errors go, so that a script notices."""
    outcome = command()
    assert (outcome.code, outcome.out) == (64, "")
    assert "Usage: fluxline" in outcome.err
