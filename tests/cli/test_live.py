"""The block of a running job on a terminal: what it shows, and that nothing is mixed into it."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest

from fluxline.batch import MAX_WATERMARK
from fluxline.cli.live import Above, Block, Rates, counts_of, job_lines, live_block, watermark_text
from fluxline.telemetry import Ledger, Report

if TYPE_CHECKING:
    from pathlib import Path

NOON_MS = 1_717_761_600_000  # 2024-06-07T12:00Z


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "24")


def screen_after(text: str) -> list[str]:
    """The lines of a screen that was written to: ends of lines, and the two sequences that the block uses."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A"):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            lines = [*lines[:row], lines[row][:column]]
        else:
            assert not part.startswith("\x1b"), f"an unknown sequence {part!r}"
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


def test_the_block_is_drawn_over_itself() -> None:
    """Also with fewer lines, and after a typed ^C."""
    out = Terminal()
    block = Block(out)
    block.draw([("one", ""), ("two", ""), ("three", "")])
    out.write("^C")
    block.draw([("four", ""), ("five", "")])
    assert screen_after(out.getvalue()) == ["four", "five", ""]
    block.erase()
    assert screen_after(out.getvalue()) == [""]


def test_a_line_is_cut_where_the_screen_ends() -> None:
    """A line that wrapped would be two, and only one would be taken away."""
    out = Terminal()
    Block(out).draw([("x" * 100, "")])
    assert screen_after(out.getvalue()) == ["x" * 39, ""]


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours; the block itself is drawn all the same."""
    out = Terminal()
    Block(out).draw([("one", "bold")])
    assert out.getvalue() == "one\n"
    monkeypatch.setenv("NO_COLOR", "")
    Block(out).draw([("two", "bold")])
    assert out.getvalue() == "one\n\x1b[1mtwo\x1b[0m\n"


def test_other_output_goes_above_the_block() -> None:
    """Whole lines at once; what is left of one when the block goes."""
    out = Terminal()
    block = Block(out)
    block.draw([("status", "")])
    above = Above(block, out)
    above.write("first li")
    assert screen_after(out.getvalue()) == ["status", ""]
    above.write("ne\nsecond line\nrest")
    assert screen_after(out.getvalue()) == ["first line", "second line", "status", ""]
    above.finish()
    block.erase()
    assert screen_after(out.getvalue()) == ["first line", "second line", "rest", ""]


def test_only_what_is_on_the_same_screen_goes_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirected standard output is left alone; both streams come back."""
    screen, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", file)
    with live_block() as block:
        block.draw([("status", "")])
        sys.stdout.write("a row\n")
        sys.stderr.write("a warning\n")
    assert (sys.stdout, sys.stderr) == (file, screen)
    assert file.getvalue() == "a row\n"
    assert screen_after(screen.getvalue()) == ["a warning", ""]


def test_rates_are_of_the_last_moments() -> None:
    """Looks a quarter of a second apart; the ninth before counts."""
    rates = Rates()
    assert rates.look(0, {"a": 0}) == {"a": 0.0}
    assert rates.look(250, {"a": 100}) == {"a": 400.0}
    for look in range(2, 9):
        rates.look(250 * look, {"a": 100})
    assert rates.look(2_250, {"a": 100, "b": 7}) == {"a": 0.0, "b": 0.0}


def test_what_a_job_shows() -> None:
    """Sources with their rate and time, sinks, and what was dropped."""
    report = Report(
        pipeline="demo",
        operators={
            "readings": Ledger(read=12_345, used=12_340, rejected=5, written=12_340),
            "hourly": Ledger(read=12_340, used=12_000, late=40, held=300, written=600),
            "sink averages": Ledger(read=600, used=600),
        },
        edges=(),
        sources=("readings",),
        sinks={"averages": "sink averages"},
        paths={},
        watermarks={"readings": NOON_MS - 90_000},
    )
    assert counts_of(report) == {"readings": 12_345, "sink averages": 600}
    assert job_lines(report, {"readings": 2_000.4, "sink averages": 10.0}, title="demo in dev", now_ms=NOON_MS) == [
        ("demo in dev", "bold"),
        ("  source readings  2,000 records/s  12,345 read  watermark 2024-06-07 11:58:30 UTC, lag 90 s", ""),
        ("  sink averages          10 rows/s  600 written", ""),
        ("  late 40  rejected 5  held 300", "yellow"),
    ]


@pytest.mark.parametrize(
    ("watermark", "text"),
    [
        (None, ""),
        (MAX_WATERMARK, "at the end of its input"),
        (NOON_MS, "watermark 2024-06-07 12:00:00 UTC, lag 0 s"),
        (NOON_MS + 1_000, "watermark 2024-06-07 12:00:01 UTC"),
        (NOON_MS - 86_400_000, "watermark 2024-06-06 12:00:00 UTC"),
        (-1, "watermark 1969-12-31 23:59:59 UTC"),
        (2**62, f"watermark {2**62} ms"),
    ],
)
def test_the_watermark_as_people_read_it(watermark: int | None, text: str) -> None:
    """The lag of old input says nothing, and that of the future is none."""
    assert watermark_text(watermark, NOON_MS) == text


def run_on_a_terminal(folder: Path, arguments: list[str], **variables: str) -> tuple[int, str]:
    """Exit code and output of a command whose three streams are a terminal of 100 columns; Ctrl-C is typed when rows were shown."""
    child, screen = pty.fork()
    if child == 0:  # the command
        os.chdir(folder)
        os.environ.pop("COLUMNS", None)
        os.environ.pop("LINES", None)
        os.execve(sys.executable, [sys.executable, "-m", "fluxline.cli.main", *arguments], {**os.environ, "TERM": "xterm", **variables})
    ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    modes = termios.tcgetattr(screen)
    modes[3] |= termios.NOFLSH  # A typed ^C would throw away what was written and not read here yet, and a loaded machine reads late.
    termios.tcsetattr(screen, termios.TCSANOW, modes)
    text, typed, until = "", False, time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([screen], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(screen, 65_536)
        except OSError:  # the other side is gone
            break
        if not data:
            break
        text += data.decode(errors="replace")
        if not typed and "3 written" in text and text.count("Ctrl-C stops cleanly") > 3:
            os.write(screen, b"\x03")
            typed = True
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # pty forks, and does nothing before it starts another program
def test_a_run_on_a_terminal(project: Path) -> None:
    """The block is there while it runs, its rows are above it, and in the end only the ledger is left."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('readings = { path = "data/readings.ndjson", follow = true }\n')
        file.write('[environments.dev.connections.screen]\nconnector = "print"\n')
    code, text = run_on_a_terminal(project, ["run", "--set", 'bindings.alerts.connection="screen"'], NO_COLOR="1")
    assert code == 0, text
    assert "\x1b[1m" not in text
    assert "demo in dev  0:00  Ctrl-C stops cleanly" in text
    assert "watermark 2024-06-07 10:00:00 UTC" in text
    shown = screen_after(text.replace("\r\n", "\n"))
    assert shown[0] == "demo: starting in environment dev"
    rows = [line for line in shown if line.startswith("+I[")]
    assert [row.rpartition(", ")[2] for row in rows] == ["sensor 2 reads 25.5 °C]", "sensor 2 reads 26.5 °C]", "sensor 2 reads 27.0 °C]"]
    assert not [line for line in shown if "records/s" in line or "Ctrl-C stops" in line]
    assert "demo: stopped cleanly" in shown
    assert "  readings -> alerts: read 12 = used 3 + filtered 8 + rejected 1; wrote 3" in shown
