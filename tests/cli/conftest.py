"""A command line in this process or in one of its own, and a small project to run it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from click.testing import CliRunner

from fluxline.cli.main import fluxline
from fluxline.cli.scaffold import project_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line left."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, which must be one JSON value."""
        return json.loads(self.out)


class Command(Protocol):
    """Runs `fluxline` with these arguments."""

    def __call__(self, *arguments: str) -> Outcome: ...


def _no_traceback(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.out + outcome.err, outcome.out + outcome.err
    return outcome


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in this process; a traceback fails the test."""
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)

    def run(*arguments: str) -> Outcome:
        result = CliRunner().invoke(fluxline, list(arguments))
        return _no_traceback(Outcome(result.exit_code, result.stdout, result.stderr))

    return run


def spawn(arguments: Sequence[str], folder: Path, **variables: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FLUXLINE_ENV", "NO_COLOR")}
    environment: Mapping[str, str] = {**kept, **variables}
    words = [sys.executable, "-m", "fluxline.cli.main", *arguments]
    return subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for its end."""
    out, err = process.communicate(timeout=60)
    return _no_traceback(Outcome(process.returncode, out, err))


def write_project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that `fluxline new demo` makes, as the current folder.

    Its input has 12 records: one is cut off, one is late for its hour. By hand: sensors 1 and 2 have readings in the hours
    8, 9 and 10, which are 6 averages; 25.5, 26.5 and 27.0 are above 25, which are 3 alerts.
    """
    write_project(tmp_path, project_files("demo", "0.1.0"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def golden(name: str) -> str:
    """The text of a golden file."""
    return (GOLDEN / name).read_text(encoding="utf-8")
