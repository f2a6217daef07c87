"""The command line is there at once: `--help` loads no command and no engine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("polars", "numpy", "duckdb", "msgspec", "pytest", "fluxline.control", "fluxline.pipeline", "fluxline.plan", "fluxline.errors")
START_SECONDS_BELOW = 0.150


def spent_seconds(arguments: list[str]) -> float:
    """Processor time of a process: unlike the time of day, it does not count what others do meanwhile."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["connectors", "show", "--help"]], ids=" ".join)
def test_help_is_quick(arguments: list[str]) -> None:
    """The best of five runs, less what Python itself takes."""
    help_seconds = min(spent_seconds(["-m", "fluxline.cli.main", *arguments]) for _ in range(5))
    python_seconds = min(spent_seconds(["-c", "pass"]) for _ in range(5))
    assert help_seconds - python_seconds < START_SECONDS_BELOW


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["query", "--help"]], ids=" ".join)
def test_help_loads_no_engine(arguments: list[str]) -> None:
    """Whatever a command needs it imports when it is called."""
    code = (
        "import sys\n"
        "from fluxline.cli.main import main\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as left:\n    assert left.code == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
