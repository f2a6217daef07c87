"""`fluxline connectors`, `formats` and `functions`: every word is listed and can be shown, in both forms."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from fluxline.connectors import CONNECTORS
from fluxline.control import inspect
from fluxline.dictionary import Entry
from fluxline.formats import FORMATS
from fluxline.library import AGGREGATES, FUNCTIONS
from fluxline.options import Options, Secret, option

if TYPE_CHECKING:
    from tests.cli.conftest import Command

WORDS = [("connectors", name) for name in CONNECTORS] + [("formats", name) for name in FORMATS]

STORE = """\
store: Tables of the embedded store, queried by SQL while rows arrive.
use: sink
delivery of rows without key: exactly_once
delivery of rows with a key: exactly_once
options:
  path  text, required
    File of the table store; all sinks with this path are tables in it.
    example: path = ".fluxline/dev/tables.duckdb"
"""

UPPER = """\
UPPER: The text in upper case.
takes: STRING
in Python: col("x").str.upper()
in Flink SQL: UPPER
example: UPPER('café') is 'CAFÉ'
"""


@pytest.mark.parametrize("kind", ["connectors", "formats"])
def test_the_list_has_every_word(kind: str, command: Command) -> None:
    """Sorted, with what it is."""
    known = sorted(CONNECTORS if kind == "connectors" else FORMATS)
    outcome = command(kind)
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split()[0] for line in outcome.out.splitlines()] == known
    data = command(kind, "-o", "json").data[kind]
    assert [entry["name"] for entry in data] == known
    assert all(entry["doc"] and not entry["problem"] for entry in data)


@pytest.mark.parametrize(("kind", "name"), WORDS)
def test_every_word_can_be_shown(kind: str, name: str, command: Command) -> None:
    """All its options, each with its description."""
    outcome = command(kind, "show", name)
    assert (outcome.code, outcome.err) == (0, "")
    data = command(kind, "show", name, "-o", "json").data
    assert command(kind, "-o", "json", "show", name).data == data
    assert outcome.out.startswith(f"{name}: {data['doc']}\n")
    assert all(each["description"] for each in data["options"])
    assert [line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ") and line[2] != " "] == [
        each["name"] for each in data["options"]
    ]


def test_a_connector_as_it_is_read(command: Command) -> None:
    """What it guarantees, and its options."""
    assert command("connectors", "show", "store").out == STORE


def test_the_functions(command: Command) -> None:
    """All of the dictionary, aggregates behind them."""
    names = [*FUNCTIONS, *AGGREGATES]
    assert len(command("functions").out.splitlines()) == len(names)
    data = command("functions", "-o", "json").data["functions"]
    assert [entry["name"] for entry in data] == names
    assert all(entry["doc"] and entry["python"] for entry in data)
    assert {entry["name"] for entry in data if entry["kind"] == "aggregate"} == set(AGGREGATES)


@pytest.mark.parametrize("name", ["UPPER", "upper"])
def test_a_function_as_it_is_read(name: str, command: Command) -> None:
    """In any case."""
    assert command("functions", "show", name).out == UPPER


def test_an_aggregate_and_an_operator(command: Command) -> None:
    """1 + 2 + 4 is 7; an operator is found by its sign."""
    assert command("functions", "show", "sum").out.endswith("example: SUM over 1, 2, 4, NULL is 7\n")
    assert command("functions", "show", "is null", "-o", "json").data["example"] == "NULL IS NULL is TRUE"
    assert command("functions", "show", "--", "-").code == 0


@pytest.mark.parametrize(
    ("arguments", "first", "hint"),
    [
        (["connectors", "show", "filesytem"], 'FLX-1120  no connector "filesytem"', 'Did you mean "filesystem"?'),
        (["connectors", "show", "mqtt"], 'FLX-2190  connector "mqtt" is not part of this version', "This version has"),
        (["formats", "show", "jsn"], 'FLX-1120  no format "jsn"', 'Did you mean "json"?'),
        (["functions", "show", "uper"], 'FLX-2106  no function "uper"', 'Did you mean "UPPER"?'),
    ],
)
def test_a_word_that_does_not_exist(arguments: list[str], first: str, hint: str, command: Command) -> None:
    """With the nearest one."""
    outcome = command(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(first)
    assert f"hint: {hint}" in outcome.err


def test_a_word_that_cannot_be_loaded_says_why(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are listed all the same."""
    monkeypatch.setitem(CONNECTORS, "mist", Entry("no_such_package.mist:CONNECTOR", extra="mist"))
    monkeypatch.setitem(FORMATS, "mist", Entry("no_such_package.mist:FORMAT", extra="mist"))
    assert 'mist                         connector "mist" needs an extra\n' in command("connectors").out
    assert 'mist  format "mist" needs an extra\n' in command("formats").out


class Login(Options):
    """Options with a secret."""

    password: Secret | None = option("What proves it.", default=None, example="${env:PASSWORD}")
    other: Secret = option("Another proof.", default=Secret("canary"))


def test_a_secret_shows_only_as_a_reference() -> None:
    """Neither its default nor anything else."""
    shown = [asdict(each) for each in inspect._options(Login)]
    assert [(each["type"], each["default"], each["example"]) for each in shown] == [("secret", "", '"${env:PASSWORD}"'), ("secret", '"***"', "")]
