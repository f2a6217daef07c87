"""What several commands take: where the pipelines are, which environment, and the form of the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

Form = Literal["text", "json"]


@dataclass(slots=True)
class Invocation:
    """What the way out of a command line has to know.

    Attributes:
        output: the form of the output, as far as it is known.
        log_file: where the log of the command is, once it has one.
        start: where the search for the project begins, once it is known.
        env: the environment that was asked for.
    """

    output: Form = "text"
    log_file: Path | None = None
    start: Path | None = None
    env: str | None = None


def invocation() -> Invocation:
    """That of the running command line."""
    found = click.get_current_context().find_root().obj
    assert isinstance(found, Invocation)
    return found


def _remember_output(context: click.Context, parameter: click.Parameter, value: Form) -> Form:
    """The form that was asked for; one that was given to the group holds for its command."""
    root = context.find_root().obj
    if not isinstance(root, Invocation):
        return value
    if context.get_parameter_source(str(parameter.name)) is not click.core.ParameterSource.DEFAULT:
        root.output = value
    return root.output


def _remember_environment(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    root = context.find_root().obj
    if isinstance(root, Invocation):
        root.env = value
    return value


def output_option(command: Decorated) -> Decorated:
    """Add `-o text|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        is_eager=True,  # so that a refusal of the others already has the form
        callback=_remember_output,
        help="Form of the output; json is one object on standard output.",
    )(command)


def environment_options(command: Decorated) -> Decorated:
    """Add `--env NAME` and `--set KEY=VALUE`."""
    command = click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Override one key of the environment, such as embedded.rejected_share_max=0.1; may be repeated.",
    )(command)
    return click.option(
        "--env", metavar="NAME", callback=_remember_environment, help="Environment of fluxline.toml; else FLUXLINE_ENV, else its default."
    )(command)


def target_argument(command: Decorated) -> Decorated:
    """Add the argument TARGET and the option that chooses one of its pipelines."""
    command = click.option("--pipeline", "name", metavar="NAME", help="The one pipeline of this name, where the target has several.")(command)
    return click.argument("target", required=False)(command)


def project_option(command: Decorated) -> Decorated:
    """Add `--project PATH`."""
    return click.option("--project", metavar="PATH", default=".", help="A file or folder of the project; by default the current folder.")(command)
