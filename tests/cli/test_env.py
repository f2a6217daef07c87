"""`fluxline env`: every value with the line that it comes from, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

FILE = """\
[project]
name = "shop"
default_environment = "dev"

[environments.base]
abstract = true
engine = "embedded"
topics = "files"
connections.files = { connector = "filesystem", path = "data/{name}.ndjson", format = "json" }

[environments.dev]
extends = "base"
receivers.operators = { connector = "webhook", url = "${env:URL}", token = "plain" }

[environments.staging]
engine = "flink"
"""

SHOWN = """\
environment dev
  engine                         "embedded"            # fluxline.toml:7:1
  topics                         "files"               # fluxline.toml:8:1
  embedded.directory             ".fluxline/dev"       # default
  embedded.rejected_share_max    0.5                   # default
  connections.files.connector    "filesystem"          # fluxline.toml:9:23
  connections.files.path         "data/{name}.ndjson"  # fluxline.toml:9:49
  connections.files.format       "json"                # fluxline.toml:9:78
  receivers.operators.connector  "webhook"             # fluxline.toml:13:25
  receivers.operators.url        "${env:URL}"          # fluxline.toml:13:48
  receivers.operators.token      "***"                 # fluxline.toml:13:68
cannot run: this version sends no alerts to receiver "operators"
"""


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, {"fluxline.toml": FILE})
    monkeypatch.chdir(tmp_path)


def test_the_list(command: Command) -> None:
    """With the engine of each, inherited or not."""
    assert command("env", "list").out == "base     embedded  abstract\ndev      embedded  default\nstaging  flink\n"
    data = command("env", "list", "-o", "json").data
    assert data["project"] == "shop"
    assert data["environments"][0] == {"name": "base", "engine": "embedded", "abstract": True, "default": False}


def test_one_environment(command: Command) -> None:
    """The default one, the one that is named, the one of --env."""
    outcome = command("env", "show")
    assert (outcome.code, outcome.out, outcome.err) == (0, SHOWN, "")
    assert command("env", "show", "dev") == command("env", "show", "--env", "dev") == outcome


def test_json_and_an_override(command: Command) -> None:
    """An override comes from --set."""
    data = command("env", "show", "-o", "json", "--set", "embedded.rejected_share_max=0.1").data
    assert data["name"] == "dev"
    assert {"key": "embedded.rejected_share_max", "value": "0.1", "origin": "--set"} in data["values"]
    assert data["unsupported"] == ['this version sends no alerts to receiver "operators"']


@pytest.mark.parametrize(
    ("arguments", "code", "first"),
    [
        (["show", "prod"], 2, 'FLX-1007  no environment "prod"'),
        (["show", "base"], 2, 'FLX-1009  environment "base" is abstract'),
        (["show", "dev", "--env", "staging"], 64, 'FLX-1201  the environment is "dev" and, by "--env", "staging"'),
        (["list", "--project", "nowhere"], 2, 'FLX-2160  there is no file or folder "nowhere"'),
    ],
)
def test_what_is_refused(arguments: list[str], code: int, first: str, command: Command) -> None:
    """By name."""
    outcome = command("env", *arguments)
    assert outcome.code == code
    assert outcome.err.startswith(first), outcome.err


def test_no_project(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to write, or how to start."""
    (tmp_path / "fluxline.toml").unlink()
    outcome = command("env", "list")
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, "FLX-1001  no fluxline.toml here or above")
