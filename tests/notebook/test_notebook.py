"""Cells in a real kernel: rows, errors at the cell's own line, definitions that replace, and interrupts that leave nothing."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = pytest.mark.notebook

START_SECONDS = 60
CELL_SECONDS = 30
INTERRUPTED_SECONDS = 3
ANSI = re.compile(r"\x1b\[[0-9;]*m")
RUNNING = "the job runs"

PROJECT = """\
[project]
name = "notebook"
pipelines = ["none.py"]
default_environment = "dev"

[environments.dev]
engine = "embedded"
topics = "made"
embedded = { directory = "state" }
connections.made = { connector = "datagen", rows_per_second = 1000 }
connections.nowhere = { connector = "blackhole" }

[environments.dev.bindings]
counted = { connection = "nowhere" }
"""

DEFINITION = """\
import polars as pl
from fluxline import Pipeline, Schema, col


class Reading(Schema):
    sensor_id: int
    temperature: float


demo = Pipeline("demo")
readings = demo.source("readings", schema=Reading)
"""

# Says when the cell waits for its job: an interrupt from then on meets a running job, not one that is being started.
WATCH = f"""\
import sys
import threading
import time


def waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None and frame.f_code.co_qualname != "EmbeddedJob.wait":
        frame = frame.f_back
    return frame is not None


def tell():
    while not waits():
        time.sleep(0.01)
    print("{RUNNING}", flush=True)


threading.Thread(target=tell, daemon=True).start()
"""

LEFT = """\
import threading
import psutil

[thread.name for thread in threading.enumerate() if thread.name.startswith("fluxline")] + psutil.Process().children(recursive=True)
"""


@dataclass
class Outcome:
    """What a cell showed.

    Attributes:
        error: the name of the exception; empty if there was none.
        traceback: its text, without colours.
        result: the text of the cell's last expression.
        streams: what was written to stdout and stderr.
        ended_after_seconds: from the interrupt to the cell's end.
    """

    error: str = ""
    traceback: str = ""
    result: str = ""
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})
    ended_after_seconds: float = 0.0


class Notebook:
    """A kernel and what runs cells in it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._client = client

    def cell(self, code: str, *, interrupt: bool = False) -> Outcome:
        """Run one cell to its end; where told, interrupt it as soon as its job runs."""
        outcome = Outcome()
        sent = self._client.execute(dedent(code))
        until = time.monotonic() + CELL_SECONDS
        interrupted_at = 0.0
        while True:
            message = self._client.get_iopub_msg(timeout=max(0.0, until - time.monotonic()))
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    outcome.streams[content["name"]] += content["text"]
                case "execute_result":
                    outcome.result = content["data"]["text/plain"]
                case "error":
                    outcome.error = content["ename"]
                    outcome.traceback = ANSI.sub("", "\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    break
            if interrupt and not interrupted_at and RUNNING in outcome.streams["stdout"]:
                interrupted_at = time.monotonic()
                self._manager.interrupt_kernel()
        if interrupt:
            assert interrupted_at, f"the cell ended before its job ran: {outcome}"
            outcome.ended_after_seconds = time.monotonic() - interrupted_at
        return outcome

    def value(self, code: str) -> str:
        """The text of the last expression of a cell that must not fail."""
        outcome = self.cell(code)
        assert not outcome.error, outcome.traceback
        return outcome.result


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A kernel in a directory with a project, with settings of its own."""
    directory, work = tmp_path_factory.mktemp("settings"), tmp_path_factory.mktemp("work")
    (work / "fluxline.toml").write_text(PROJECT)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as sockets:  # a socket's path is short
        for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(variable, str(directory / variable.lower()))
        manager = KernelManager(kernel_name="python3", connection_file=str(directory / "kernel.json"), transport="ipc", ip=f"{sockets}/kernel")
        manager.start_kernel(cwd=str(work))
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=START_SECONDS)
            yield Notebook(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
            manager.context.destroy(linger=0)


@pytest.fixture
def defined(notebook: Notebook) -> Notebook:
    """The notebook after the cell that defines a pipeline anew."""
    notebook.value(DEFINITION)
    return notebook


def test_collect_shows_the_rows_of_a_frame(defined: Notebook) -> None:
    rows = defined.value("""\
        frame = pl.DataFrame({"sensor_id": [1, 2, 3], "temperature": [20.5, 31.0, 35.5]})
        hot = readings.filter(col("temperature") > 30).select("sensor_id", double=col("temperature") * 2)
        hot.collect(inputs={readings: frame})
    """)
    assert "shape: (2, 2)" in rows
    assert [row for row in rows.splitlines() if re.search(r"\d\.\d", row)] == ["│ 2         ┆ 62.0   │", "│ 3         ┆ 71.0   │"]


def test_an_error_shows_the_line_of_its_cell(defined: Notebook) -> None:
    outcome = defined.cell("""\
        # The error stands in the third line.
        cool = readings
        hot = cool.filter(col("temperatur") > 30)
        fine = 1
    """)
    assert outcome.error == "NameNotFound"
    shown = outcome.traceback.splitlines()
    first = next(index for index, line in enumerate(shown) if "FLX-2104  " in line and re.search(r":3:19$", line))
    assert shown[first + 1 : first + 3] == [
        '    3 |  hot = cool.filter(col("temperatur") > 30)',
        "      |                    ^^^^^^^^^^^^^^^^^",
    ]
    assert "temperature" in "\n".join(shown[first + 3 :])


def test_a_cell_that_runs_again_replaces_its_sink_and_says_so(defined: Notebook) -> None:
    said = 'sink "hot" replaces the earlier one of that name\n'
    first = 'readings.filter(col("temperature") > 30).sink("hot")'
    assert defined.cell(first).streams["stderr"] == ""
    assert defined.cell(first).streams["stderr"] == ""  # the same plan: nothing is replaced
    again = defined.cell(first.replace("30", "77"))
    assert (again.error, again.streams["stderr"]) == ("", said)
    assert defined.value("demo") == "Pipeline(demo: 1 sources, 1 sinks)"
    shown = defined.cell("print(demo.explain())").streams["stdout"]
    assert "> 77" in shown
    assert "> 30" not in shown


def assert_nothing_left(notebook: Notebook) -> None:
    assert notebook.value(LEFT) == "[]"


def test_an_interrupt_ends_collect(defined: Notebook) -> None:
    outcome = defined.cell(WATCH + 'readings.collect(within="60 seconds")', interrupt=True)
    assert outcome.error == "KeyboardInterrupt"
    assert outcome.ended_after_seconds < INTERRUPTED_SECONDS
    assert_nothing_left(defined)


def test_an_interrupt_stops_run_cleanly_and_the_next_run_begins(defined: Notebook) -> None:
    defined.value('readings.sink("counted")')
    for number in (1, 2):
        outcome = defined.cell(WATCH + "report = demo.run()", interrupt=True)
        assert outcome.error == "", outcome.traceback
        assert outcome.ended_after_seconds < INTERRUPTED_SECONDS
        assert_nothing_left(defined)
        notes = defined.value('" ".join(report.notes)')
        assert ("Going on from the clean stop of " in notes) == (number == 2), notes
    state = defined.cell("""\
        job = demo.start()
        print(job.finished)
        report = job.stop()
        print(job.finished, *report.notes)
    """)
    assert state.error == "", state.traceback
    assert re.fullmatch(r"False\nTrue Going on from the clean stop of [^\n]+\n", state.streams["stdout"])
    assert_nothing_left(defined)


def test_an_interrupt_leaves_the_block_of_a_job_and_ends_the_job(defined: Notebook) -> None:
    """Nothing is saved, so the next run says that this one had no clean stop; it is not told that another process runs."""
    defined.value('demo = Pipeline("waited"); demo.source("readings", schema=Reading).sink("counted")')
    outcome = defined.cell(WATCH + "with demo.start() as job:\n    job.wait()", interrupt=True)
    assert outcome.error == "KeyboardInterrupt"
    assert outcome.ended_after_seconds < INTERRUPTED_SECONDS
    assert_nothing_left(defined)
    notes = defined.value('job = demo.start(); report = job.stop(); " ".join(report.notes)')
    assert "did not end with a clean stop" in notes
    assert_nothing_left(defined)


@pytest.mark.parametrize("call", ["demo.run()", "demo.start()", 'readings.collect(within="60 seconds")'])
def test_an_interrupt_while_a_job_starts_ends_it(defined: Notebook, call: str) -> None:
    """Where a job's thread is there already, and the call that started it is interrupted."""
    outcome = defined.cell(f"""\
        import threading
        from unittest.mock import patch

        demo = Pipeline("begun")
        readings = demo.source("readings", schema=Reading)
        readings.sink("counted")
        start = threading.Thread.start


        def interrupted(thread):
            start(thread)
            if thread.name == "fluxline-operators":
                raise KeyboardInterrupt


        with patch.object(threading.Thread, "start", interrupted):
            {call}
    """)
    assert outcome.error == "KeyboardInterrupt"
    assert_nothing_left(defined)
    again = defined.cell("demo.start().stop()")
    assert again.error == "", again.traceback
    assert_nothing_left(defined)


def test_a_source_without_end_is_not_collected_without_a_bound(defined: Notebook) -> None:
    outcome = defined.cell("readings.collect()")
    assert outcome.error == "DefinitionError"
    assert 'FLX-2137  source "readings" does not end' in outcome.traceback
    assert "rows_max=" in outcome.traceback
    assert_nothing_left(defined)


def test_so_many_rows_of_a_source_without_end(defined: Notebook) -> None:
    shape = defined.value("""\
        import json
        rows = readings.collect(rows_max=5)
        json.dumps([rows.height, rows.columns])
    """)
    assert json.loads(shape.strip("'")) == [5, ["sensor_id", "temperature"]]
    assert_nothing_left(defined)
