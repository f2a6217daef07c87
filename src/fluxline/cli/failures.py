"""The way out of a command line that failed: what the user is told, and the exit code. Never a traceback."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import click

from fluxline.cli.screen import painted, printable, say, say_json
from fluxline.errors import DefinitionError, FluxlineError, InternalError, did_you_mean, relative_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.cli.arguments import Invocation
    from fluxline.errors import Caution

FAILED, REFUSED, USAGE, INTERRUPTED = 1, 2, 64, 130
_WIDTH = 118  # Of a message whose reader's screen is not known, as `FluxlineError.render` has it.


def leave(error: BaseException, invocation: Invocation) -> int:
    """Tell the user what went wrong; returns the exit code."""
    if isinstance(error, SystemExit):
        raise error
    try:
        return _told(error, invocation)
    except OSError:  # nobody reads what we write any more
        _close_output()
        return FAILED
    except Exception as second:  # telling must not fail with a traceback either
        show_errors([_mistake(second, invocation)], invocation, with_json=False)
        return FAILED


def _told(error: BaseException, invocation: Invocation) -> int:
    if isinstance(error, BrokenPipeError):
        _close_output()
        return FAILED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message(), stream=sys.stderr)
        return USAGE
    if isinstance(error, click.ClickException):
        show_errors([_usage(error)], invocation)
        return USAGE
    if isinstance(error, click.Abort | KeyboardInterrupt):
        say("interrupted", stream=sys.stderr)
        return INTERRUPTED
    problems = [each if isinstance(each, FluxlineError) else _mistake(each, invocation) for each in flattened(error)]
    show_errors(problems, invocation)
    return exit_code(problems)


def exit_code(problems: Sequence[FluxlineError]) -> int:
    """2 where all that is wrong is the definition, else 1."""
    return REFUSED if all(isinstance(problem, DefinitionError) for problem in problems) else FAILED


def flattened(error: BaseException) -> list[BaseException]:
    """The errors of a group and of the groups in it, or the one error."""
    if isinstance(error, BaseExceptionGroup):
        return [each for part in error.exceptions for each in flattened(part)]
    return [error]


def show_errors(problems: Sequence[FluxlineError], invocation: Invocation, *, with_json: bool = True) -> None:
    """Write errors to standard error, one after the other, and as JSON to standard output where that form was asked for."""
    width = min(_WIDTH, _screen_width())
    for number, problem in enumerate(problems):
        if number:
            say("\n", stream=sys.stderr)
        say(_painted(problem.render(width=width)), stream=sys.stderr)
    if len(problems) > 1:
        say(f"\n{len(problems)} problems", stream=sys.stderr)
    if with_json and invocation.output == "json":
        say_json({"errors": [problem.as_json() for problem in problems]})


def show_cautions(cautions: Sequence[Caution]) -> None:
    """Write warnings to standard error; what was asked for goes on."""
    for caution in cautions:
        say(f"{painted('warning', 'yellow', sys.stderr)}  {_painted(caution.render(width=min(_WIDTH, _screen_width()) - 9))}", stream=sys.stderr)


def _screen_width() -> int:
    if not sys.stderr.isatty():
        return _WIDTH
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:  # a terminal that does not say
        return _WIDTH


def _painted(text: str) -> str:
    """The message with its parts in colours; what it quotes cannot steer the terminal."""
    first, *rest = ["\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n")]
    code, space, fact = first.partition("  ")
    lines = [painted(code, "red", sys.stderr) + space + fact]
    for line in rest:
        label, colon, after = line.partition(": ")
        lines.append(painted(label + colon, "cyan", sys.stderr) + after if label in ("detail", "hint") and colon else line)
    return "\n".join(lines)


def _usage(error: click.ClickException) -> FluxlineError:
    """What click says, in our words and shape."""
    context = getattr(error, "ctx", None)
    path = cast("str", context.command_path) if context is not None else "fluxline"
    hint = f'See "{path} --help".'
    fact, detail = error.format_message().rstrip("."), ""
    if isinstance(error, click.NoSuchOption):
        own = [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")] if context else []
        known = [*own, *context.help_option_names] if context else []
        fact, nearest = f'"{path}" has no option "{error.option_name}"', did_you_mean(error.option_name, known)
        detail = f"It has {', '.join(known)}." if known else ""
        hint = f"{nearest} {hint}" if nearest else hint
    elif isinstance(error, click.MissingParameter):
        what = error.param.make_metavar(context) if error.param is not None and context is not None else "an argument"
        fact = f'"{path}" needs {what}'
    elif isinstance(error, click.BadParameter):
        name = error.param.opts[-1] if error.param is not None else "an option"
        fact, detail = f'"{name}" of "{path}" has a value that cannot be', error.message.replace("'", '"')
    else:
        fact, _, more = fact.partition('". ')
        fact = fact + '"' if more else fact
        hint = f"{more.strip()} {hint}" if more else hint
    return FluxlineError("FLX-1201", (fact[:1].lower() + fact[1:]).replace("'", '"'), detail=detail, hint=hint)


def _mistake(error: BaseException, invocation: Invocation) -> InternalError:
    """An error that nobody foresaw: the traceback goes to the log, the user gets its place."""
    from fluxline.cli.logs import write_traceback

    file = write_traceback(error, invocation)
    return InternalError(
        "FLX-9001",
        f"an internal mistake stopped the command: {type(error).__name__}",
        detail=f"The traceback is in {relative_path(str(file))}.",
        hint="Report it together with that part of the file; read it before, for it may name your files and columns.",
    )


def _close_output() -> None:
    """Point standard output and error to nowhere, so that the interpreter's last flush finds a reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream without a file behind it has nothing to flush
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
