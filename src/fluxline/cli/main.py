"""The command `fluxline`: the table of its commands, each loaded when it is called, and the one way out of all of them.

0 done    1 failed    2 the definition is refused    64 the command line is not understood    130 interrupted
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fluxline.cli.arguments import Invocation

if TYPE_CHECKING:
    from collections.abc import Sequence


COMMANDS: dict[str, str] = {
    "new": "Make a project folder with a small pipeline that runs.",
    "check": "Check pipelines against their environments; reads no data.",
    "explain": "Show how pipelines will run, and what they guarantee.",
    "run": "Run a pipeline in this process, and show where every row went.",
    "query": "Ask where the tables live, by SQL or CQL.",
    "submit": "Start a pipeline on Flink, with its topics, tables and workers.",
    "jobs": "Show the pipelines that were submitted, and how they stand.",
    "savepoint": "Keep what a submitted pipeline remembers, while it goes on.",
    "restore": "Bring a submitted pipeline back whose job has gone.",
    "rescale": "Run a submitted pipeline with another parallelism.",
    "stop": "End a pipeline that was submitted.",
    "worker": "Write the sinks of a submitted pipeline that Flink does not.",
    "status": "Say which pipelines run, and how they ended the last time.",
    "env": "Show the environments of the project.",
    "stack": "Run Apache Kafka, Flink and Cassandra on this machine.",
    "connectors": "Show the systems that can be read and written.",
    "formats": "Show how bytes become rows and back.",
    "functions": "Show the functions that expressions may use.",
}
"""What `--help` says of each command without loading it; the command is the function of its name in the file of its name."""


class Commands(click.Group):
    """The group of all commands: it lists them from the table and imports only the one that is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"fluxline.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; an unknown one is refused with the nearest name."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not context.resilient_parsing:
            from fluxline.errors import did_you_mean

            raise click.UsageError(f'no command "{args[0]}". {did_you_mean(args[0], COMMANDS)}'.strip(), context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run one command line and leave with its exit code; nothing that goes wrong shows as a traceback."""
        invocation = Invocation()
        try:
            code = super().main(*args, **{"prog_name": "fluxline", **kwargs, "standalone_mode": False, "obj": invocation})
        except BaseException as error:  # each kind has its message and exit code
            from fluxline.cli.failures import leave

            code = leave(error, invocation)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=Commands,
    name="fluxline",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 the definition is refused, 64 the command line is not understood, 130 interrupted.",
)
@click.version_option(package_name="fluxline", message="fluxline %(version)s")
def fluxline() -> None:
    """Build and run real-time data pipelines.

    Start with "fluxline new NAME"; every command explains itself with --help.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line of this process, or the given one; leaves with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter shows its number
    fluxline.main(None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
