"""`fluxline status`: what a state directory says; the running case is in test_signals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fluxline.control.status import records_read_before, status
from fluxline.pipeline.discovery import choose_pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
LEDGER = """\
  the row ledger up to the last clean stop:
    readings -> hourly_averages: read 12 = used 10 + late 1 + rejected 1; wrote 6
    readings -> alerts: read 12 = used 3 + filtered 8 + rejected 1; wrote 3
    readings -> late_readings: read 12, of them 1 late; wrote 1
    readings -> rejected: read 12, of them 1 rejected; wrote 1
"""


def ended_pid() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def write_running(project: Path, pid: int, digest: str = "of another plan") -> None:
    """What a run writes when it begins."""
    folder = project / ".fluxline/dev/demo"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"format": 1, "pid": pid, "started_at_ms": 1_717_761_600_000, "plan_digest": digest, "run_id": "x"}
    (folder / "running.json").write_text(json.dumps(facts))


def test_before_the_first_run(project: Path, command: Command) -> None:
    """Looking leaves nothing behind."""
    assert command("status").out == "demo in dev: has not run\n"
    data = command("status", "-o", "json").data["pipelines"][0]
    assert (data["state"], data["pid"], data["report"], data["definition_changed"]) == ("never run", None, None, None)
    assert not (project / ".fluxline").exists()


def test_after_a_run(project: Path, command: Command) -> None:
    """How it ended, and its ledger."""
    command("run", "--bounded")
    outcome = command("status")
    first, _, rest = outcome.out.partition("\n")
    assert re.fullmatch(f"demo in dev: not running; read its input to the end, {WHEN}", first)
    assert rest == LEDGER
    data = command("status", "-o", "json").data["pipelines"][0]
    assert (data["state"], data["input_ended"], data["definition_changed_since_stop"]) == ("stopped", True, False)
    assert data["report"]["written"]["alerts"] == 3


def test_a_definition_that_changed_since(project: Path, command: Command) -> None:
    """The ledger is that of the old one."""
    command("run", "--bounded")
    file = project / "pipelines/demo.py"
    file.write_text(file.read_text().replace('col("temperature") > 25', 'col("temperature") > 26'))
    assert "  the definition has changed since the last clean stop\n" in command("status").out


@pytest.mark.parametrize("pid", ["gone", "of somebody else", "none"])
def test_a_run_that_crashed(pid: str, project: Path, command: Command) -> None:
    """Its process is gone, or its number is that of another process, which does not hold the directory."""
    command("run", "--bounded")
    write_running(project, {"gone": ended_pid(), "of somebody else": 1, "none": 0}[pid])
    outcome = command("status")
    assert "demo in dev: not running; process " in outcome.out
    assert ", which ran it since 2024-06-07 12:00:00 UTC, did not end with a clean stop\n" in outcome.out
    assert re.search(f"\n  last clean stop: {WHEN}\n", outcome.out)
    assert command("status", "-o", "json").data["pipelines"][0]["state"] == "crashed"


def test_a_running_file_that_says_nothing(project: Path, command: Command) -> None:
    """A disk may have been full."""
    write_running(project, 1)
    (project / ".fluxline/dev/demo/running.json").write_text('{"pid": "x"}')
    assert command("status", "-o", "json").data["pipelines"][0]["state"] == "crashed"


def test_saved_state_that_cannot_be_read(project: Path, command: Command) -> None:
    """Exit code 1, and what to do."""
    command("run", "--bounded")
    (manifest,) = (project / ".fluxline/dev/demo").glob("stop-*/manifest.json")
    manifest.write_text("{")
    outcome = command("status")
    assert (outcome.code, outcome.err.split("  ")[0]) == (1, "FLX-5004")
    pipeline = choose_pipeline("pipelines/demo.py")
    assert records_read_before(pipeline._plan(), pipeline._directory()) == 0


def test_the_records_that_a_next_run_counts_on_from(project: Path, command: Command) -> None:
    """Those of the saved ledger; none where the definition is another."""
    pipeline = choose_pipeline("pipelines/demo.py")
    assert records_read_before(pipeline._plan(), pipeline._directory()) == 0
    command("run", "--bounded")
    assert records_read_before(pipeline._plan(), pipeline._directory()) == 12
    file = project / "pipelines/demo.py"
    file.write_text(file.read_text().replace("> 25)", "> 26)"))
    other = choose_pipeline("pipelines/demo.py")
    assert records_read_before(other._plan(), other._directory()) == 0


def test_the_directory_is_the_environment_s(project: Path) -> None:
    """Each environment has its own."""
    pipeline = choose_pipeline("pipelines/demo.py")
    found = status(pipeline._plan(), pipeline._directory(), overrides=["embedded.directory=state"])
    assert found.directory == project / "state/demo"


@pytest.mark.parametrize(("arguments", "code"), [(["--env", "prod"], "FLX-1007"), (["nowhere.py"], "FLX-2160"), (["--pipeline", "x"], "FLX-2161")])
def test_what_does_not_exist_is_refused(arguments: list[str], code: str, project: Path, command: Command) -> None:
    """Exit code 2."""
    outcome = command("status", *arguments)
    assert (outcome.code, outcome.err.split("  ")[0]) == (2, code)
