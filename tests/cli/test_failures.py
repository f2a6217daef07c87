"""What nobody foresaw: the user gets a short text and a file, never a traceback; and output that nobody reads any more."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from fluxline.cli.arguments import Invocation
from fluxline.cli.failures import leave
from fluxline.cli.logs import FILE_NAME, log_file_of, logging_to
from fluxline.config import require_project, resolve_environment
from fluxline.errors import ConfigError, ExternalError
from fluxline.limits import LOG_FILE_BYTES_MAX, LOG_FILES_KEPT

if TYPE_CHECKING:
    from tests.cli.conftest import Command

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ (INFO|WARNING|ERROR) fluxline[.\w]* .*")


def fail(*_arguments: object, **_named: object) -> None:
    """A mistake of ours."""
    raise ZeroDivisionError("a divisor was zero")


def test_an_internal_mistake_goes_to_the_environment_s_log(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file; the traceback is in it."""
    monkeypatch.setattr("fluxline.control.check", fail)
    outcome = command("check")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "FLX-9001  an internal mistake stopped the command: ZeroDivisionError\n"
        "detail: The traceback is in .fluxline/dev/logs/fluxline.log.\n"
        "hint: Report it together with that part of the file; read it before, for it may name your files and columns.\n"
    )
    text = (project / ".fluxline/dev/logs/fluxline.log").read_text()
    assert LINE.fullmatch(text.splitlines()[0])
    assert text.endswith("ZeroDivisionError: a divisor was zero\n")


def test_json_has_it_too(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is one object in every case."""
    monkeypatch.setattr("fluxline.control.check", fail)
    outcome = command("check", "-o", "json")
    assert (outcome.code, outcome.data["errors"][0]["code"], outcome.data["errors"][0]["error"]) == (1, "FLX-9001", "InternalError")


def test_without_a_project_the_log_is_a_file_of_its_own(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder for temporary files, where nobody else reads it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("fluxline.control.inspect.connectors", fail)
    outcome = command("connectors")
    assert outcome.code == 1
    (file,) = tmp_path.glob("fluxline-*.log")
    assert f"detail: The traceback is in {file.name}.\n" in outcome.err
    assert "ZeroDivisionError" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_mistake_while_telling_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The last defence: an error that cannot be rendered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ConfigError, "render", fail)
    assert leave(ConfigError("FLX-1003", "a fact"), Invocation()) == 1
    assert capsys.readouterr().err.startswith("FLX-9001  an internal mistake stopped the command: ZeroDivisionError\n")


def test_a_group_is_told_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Groups in groups too; exit code 1 as soon as one of them is more than a definition."""
    refused, missing = ConfigError("FLX-1003", "one"), ExternalError("FLX-4103", "two", hint="Try.")
    assert leave(ExceptionGroup("all", [refused, ExceptionGroup("rest", [refused])]), Invocation()) == 2
    assert capsys.readouterr().err == "FLX-1003  one\n\n\nFLX-1003  one\n\n2 problems\n"
    assert leave(ExceptionGroup("all", [refused, missing]), Invocation()) == 1
    assert capsys.readouterr().err == "FLX-1003  one\n\n\nFLX-4103  two\nhint: Try.\n\n2 problems\n"


def test_what_an_error_quotes_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A record of somebody's may hold anything; a tab keeps its width."""
    leave(ConfigError("FLX-1003", "a fact with \x1b[2J", detail="One\ttwo\x07."), Invocation())
    assert capsys.readouterr().err == "FLX-1003  a fact with \\x1b[2J\ndetail: One\ttwo\\x07.\n"


@pytest.mark.parametrize("error", [click.Abort(), KeyboardInterrupt()])
def test_an_interrupt(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell counts it: 128 and the signal."""
    assert leave(error, Invocation()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_has_enough(project: Path) -> None:
    """`fluxline functions | head -1` ends silently."""
    words = [sys.executable, "-m", "fluxline.cli.main", "functions", "-o", "json"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_letters_that_the_terminal_lacks(project: Path, command: Command) -> None:
    """They show as numbers."""
    command("run", "--bounded")
    words = [sys.executable, "-m", "fluxline.cli.main", "query", "select message from alerts limit 1"]
    done = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False)
    assert (done.returncode, b"\\xb0C" in done.stdout) == (0, True)


def test_the_log_of_a_run(project: Path, command: Command) -> None:
    """What ran, where, and the ledger; readable by its owner alone; handlers are gone afterwards."""
    before = list(logging.getLogger("fluxline").handlers)
    command("run", "--bounded")
    file = log_file_of(resolve_environment(require_project(project)))
    assert file == project / ".fluxline/dev/logs" / FILE_NAME
    lines = file.read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert lines[0].endswith("INFO fluxline.cli fluxline 0.1.0 runs demo in environment dev")
    assert any(line.endswith("demo: readings -> alerts: read 12 = used 3 + filtered 8 + rejected 1; wrote 3") for line in lines)
    assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)
    assert logging.getLogger("fluxline").handlers == before


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full file is set aside; only so many are kept."""
    monkeypatch.setattr("fluxline.cli.logs.LOG_FILE_BYTES_MAX", 1_000)
    monkeypatch.setattr("fluxline.cli.logs.LOG_FILES_KEPT", 2)
    with logging_to(tmp_path / FILE_NAME, warnings=False):
        for number in range(100):
            logging.getLogger("fluxline.engine").info("line %d %s", number, "x" * 40)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(sizes) == [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"]
    assert max(sizes.values()) <= 1_000
    assert (LOG_FILE_BYTES_MAX, LOG_FILES_KEPT) == (10 * 2**20, 5)


def test_warnings_of_the_engine_are_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only warnings and worse, and only where nothing is drawn; what the command tells itself is not repeated."""
    with logging_to(tmp_path / "a.log", warnings=True):
        logging.getLogger("fluxline.engine").warning("a warning of %s", "somebody")
        logging.getLogger("fluxline.engine").info("nothing")
        logging.getLogger("fluxline.cli").error("told elsewhere")
    assert capsys.readouterr().err == "warning: a warning of somebody\n"
    with logging_to(tmp_path / "b.log", warnings=False):
        logging.getLogger("fluxline.engine").warning("a warning")
    assert capsys.readouterr().err == ""
    assert "a warning" in (tmp_path / "b.log").read_text()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, without a traceback."""
    (tmp_path / "logs").write_text("a file where a folder should be")
    with logging_to(tmp_path / "logs" / FILE_NAME, warnings=False):
        logging.getLogger("fluxline.engine").info("nothing")
    assert capsys.readouterr().err.startswith("no log is written: ")
    with logging_to(Path("/dev/full"), warnings=False):
        for _ in range(3):
            logging.getLogger("fluxline.engine").info("nothing")
    said = capsys.readouterr().err
    assert said.startswith("the log cannot be written: ")
    assert said.count("\n") == 1
