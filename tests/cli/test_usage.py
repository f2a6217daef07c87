"""A command line that is not understood: exit code 64, and a message like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command

CASES = {
    "unknown command": (
        ["rnu"],
        'FLX-1201  no command "rnu"\nhint: Did you mean "run"? See "fluxline --help".\n',
    ),
    "unknown command without a near one": (["xyzzy"], 'FLX-1201  no command "xyzzy"\nhint: See "fluxline --help".\n'),
    "unknown option": (
        ["status", "--pipline", "x"],
        'FLX-1201  "fluxline status" has no option "--pipline"\n'
        "detail: It has --pipeline, --env, --set, -o, --output, -h, --help.\n"
        'hint: Did you mean "--pipeline"? See "fluxline status --help".\n',
    ),
    "unknown value": (
        ["check", "-o", "xml"],
        'FLX-1201  "--output" of "fluxline check" has a value that cannot be\n'
        'detail: "xml" is not one of "text", "json".\nhint: See "fluxline check --help".\n',
    ),
    "missing argument": (["query"], 'FLX-1201  "fluxline query" needs QUERY\nhint: See "fluxline query --help".\n'),
    "argument too many": (
        ["new", "demo", "shop"],
        'FLX-1201  got unexpected extra argument (shop)\nhint: See "fluxline new --help".\n',
    ),
    "two that exclude each other": (
        ["run", "--all", "--pipeline", "x"],
        'FLX-1201  "--all" and "--pipeline" exclude each other\nhint: See "fluxline run --help".\n',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_is_as_written(case: str, command: Command) -> None:
    """On standard error, and nothing on standard output."""
    arguments, message = CASES[case]
    outcome = command(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (64, "", message)


def test_a_value_that_cannot_be_is_told_in_the_form_that_was_asked_for(command: Command) -> None:
    """Standard output is one JSON object, wherever the form stands; standard error has the text all the same."""
    outcome = command("query", "SELECT 1", "--limit", "x", "-o", "json")
    assert outcome.code == 64
    assert [error["code"] for error in outcome.data["errors"]] == ["FLX-1201"]
    assert outcome.err.startswith("FLX-1201")
