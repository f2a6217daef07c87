"""Runs in a process of their own, which a test stops or kills at a known moment; and waiting for such a moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fluxline.control.job import Job

WAIT_SECONDS = 60
LOOK_MS = 5


def wait_until(happened: Callable[[], bool], what: str, process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a moment; a process that ends before it, or a minute without it, fails the test."""
    clock = SystemClock()
    until_ms = clock.monotonic_ms() + WAIT_SECONDS * 1_000
    while not happened():
        if process is not None and process.poll() is not None and not happened():
            raise AssertionError(f"ended with {process.returncode} before {what}: {process.communicate()}")
        if clock.monotonic_ms() > until_ms:
            raise AssertionError(f"waited {WAIT_SECONDS} s for {what}")
        clock.wait(threading.Event(), LOOK_MS)


def read_all(job: Job, records: int) -> None:
    """Wait until a job has read so many records, those of the runs before it included."""
    wait_until(lambda: job.finished or job.report.read >= records, f"{records} records")
    assert not job.finished, job.wait()


def python(script: str, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """A Python script in a process of its own, which finds the tests' modules."""
    words = [sys.executable, "-c", script, *arguments]
    return _process(words, directory)


def command(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return _process([sys.executable, "-m", "fluxline.cli.main", *arguments], directory)


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end of the block, whatever happened."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _process(words: list[str], directory: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("FLUXLINE_ENV", "NO_COLOR")}
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = os.pathsep.join((str(root / "src"), str(root)))
    return subprocess.Popen(words, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
