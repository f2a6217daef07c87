"""Importing is quick and loads no engine: a command line, a test collection and an editor pay it each time."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

IMPORT_MS_MAX = 150
RUNS = 5
HEAVY = ("duckdb", "numpy", "polars", "pyarrow")


def fastest_ms(code: str) -> float:
    """The best of some runs of an interpreter: noise only adds."""
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append((time.perf_counter() - begun) * 1000)
    return min(times)


def loaded(code: str) -> set[str]:
    """The top-level packages that an interpreter has loaded after the code."""
    show = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_import_is_quick() -> None:
    """Beyond the start of the interpreter itself."""
    cost = fastest_ms("import fluxline") - fastest_ms("pass")
    assert cost <= IMPORT_MS_MAX, f"import fluxline takes {cost:.0f} ms, at most {IMPORT_MS_MAX} wanted"


@pytest.mark.parametrize("code", ["import fluxline", "from fluxline import Pipeline, col", "import fluxline; fluxline.Pipeline('p')"])
def test_a_definition_loads_no_engine(code: str) -> None:
    """Frames and databases load when rows move."""
    names = loaded(code)
    assert "fluxline" in names
    assert names.isdisjoint(HEAVY), names & set(HEAVY)


def test_what_is_loaded_is_seen() -> None:
    """The measure itself: an engine's package shows where it is imported."""
    assert {"numpy", "polars"} <= loaded("import numpy, polars")
