"""Other processes of a test: one that owns a store, one that dies at a known moment."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREAMBLE = """
import os, sys
from pathlib import Path
from fluxline.clock import SystemClock
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch
path = Path(sys.argv[1])
store = Store.open(path, clock=SystemClock())
"""
OWNER = (
    PREAMBLE
    + """
people = store.open_table("people", PEOPLE, ("id",), run_id="run")
store.write(people, batch([(1, "ann"), (2, "bob")]))
print("open", flush=True)
sys.stdin.readline()
store.close()
"""
)


def start(script: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """A Python process with pipes; the script finds the store's path first in its arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a store open, with people 1 ann and 2 bob, until the end of the block."""
    process = start(OWNER, path)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if said != "open\n":
            raise AssertionError(process.communicate()[1])
        yield process
    finally:
        if process.poll() is None:
            process.communicate("\n", timeout=60)
        else:
            process.communicate()
