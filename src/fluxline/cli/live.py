"""How running jobs look on a terminal: one block of lines that is drawn anew a few times a second, and nothing mixed into it.

What is printed meanwhile (rows of the connector `print`, a user's own output) appears above the block.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TextIO

from fluxline.batch import MAX_WATERMARK
from fluxline.cli.screen import is_terminal, painted, printable
from fluxline.limits import LIVE_RATE_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    from fluxline.telemetry import Report

    Line: TypeAlias = tuple[str, str]  # Its text, and the style that it is painted in, or nothing.

_WATERMARK_LAG_MS_SHOWN = 86_400_000  # Beyond a day the input is an old one, and its distance from now says nothing.


class Block:
    """The lines at the bottom of the screen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0
        self._lines: Sequence[Line] = ()
        self._lock = threading.RLock()

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of the last ones; a line is cut where the screen ends, so that it stays one."""
        size = shutil.get_terminal_size()
        with self._lock:
            self._lines = lines[: size.lines - 1]
            shown = [(text[: size.columns - 1], style) for text, style in self._lines]
            texts = [painted(text, style, self._stream) if style else text for text, style in shown]
            self._stream.write(self._erasing() + "".join(f"{text}\n" for text in texts))
            self._stream.flush()
            self._drawn = len(texts)

    def above(self, text: str, out: TextIO) -> None:
        """Write whole lines above the block."""
        with self._lock:
            self._stream.write(self._erasing())
            self._stream.flush()
            out.write(text)
            out.flush()
            self._drawn = 0
            self.draw(self._lines)

    def erase(self) -> None:
        """Take the block away."""
        with self._lock:
            self._stream.write(self._erasing())
            self._stream.flush()
            self._drawn = 0
            self._lines = ()

    def _erasing(self) -> str:
        return f"\r\x1b[{self._drawn}A\x1b[J" if self._drawn else ""  # a typed ^C may have moved the cursor


class Above(io.TextIOBase):
    """Stands for standard output or error while the block is there: whole lines go above it."""

    def __init__(self, block: Block, out: TextIO) -> None:
        self._block = block
        self._out = out
        self._line = ""
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        """That of the stream behind it."""
        return self._out.encoding or "utf-8"

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """The stream behind it is a terminal."""
        return True

    def fileno(self) -> int:
        """That of the stream behind it."""
        return self._out.fileno()

    def write(self, text: str) -> int:
        """Write what is a whole line now, keep the rest."""
        with self._lock:
            whole, newline, self._line = (self._line + text).rpartition("\n")
            if newline:
                self._block.above(whole + newline, self._out)
        return len(text)

    def finish(self) -> None:
        """Write what is left of a last line."""
        with self._lock:
            if self._line:
                self._block.above(self._line + "\n", self._out)
                self._line = ""


@contextmanager
def live_block() -> Iterator[Block]:
    """A block on standard error; output on the same terminal goes above it meanwhile."""
    block = Block(sys.stderr)
    before = sys.stdout, sys.stderr
    stand_ins = {name: Above(block, stream) for name, stream in (("stdout", before[0]), ("stderr", before[1])) if is_terminal(stream)}
    for name, stand_in in stand_ins.items():
        setattr(sys, name, stand_in)
    try:
        yield block
    finally:
        for stand_in in stand_ins.values():
            stand_in.finish()
        sys.stdout, sys.stderr = before
        block.erase()


class Rates:
    """Rows a second over the last moments, from counts that are looked at again and again."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Mapping[str, int]]] = deque(maxlen=LIVE_RATE_SAMPLES)

    def look(self, at_ms: int, counts: Mapping[str, int]) -> dict[str, float]:
        """Take the counts of this moment; returns rows a second by name."""
        self._samples.append((at_ms, counts))
        since_ms, before = self._samples[0]
        elapsed_ms = at_ms - since_ms
        return {name: (count - before.get(name, count)) * 1000 / elapsed_ms if elapsed_ms else 0.0 for name, count in counts.items()}


def job_lines(report: Report, rates: Mapping[str, float], *, title: str, now_ms: int) -> list[Line]:
    """What one running job shows: its sources, its sinks, and what was dropped.

    Args:
        report: of this moment.
        rates: rows a second by operator.
        title: the first line.
        now_ms: the clock.
    """
    rows = []
    for source, name in zip(report.watermarks, report.sources, strict=False):
        read, time = report.operators[name].read, watermark_text(report.watermarks[source], now_ms)
        rows.append((f"source {printable(source)}", f"{rates.get(name, 0):,.0f} records/s", f"{read:,} read", time))
    for sink, name in report.sinks.items():
        rows.append((f"sink {printable(sink)}", f"{rates.get(name, 0):,.0f} rows/s", f"{report.operators[name].used:,} written", ""))
    widths = [max(len(row[index]) for row in rows) for index in range(3)]
    lines = [(f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip(), "") for row in rows]
    held = sum(ledger.held for ledger in report.operators.values())
    dropped = f"  late {report.late:,}  rejected {report.rejected:,}  held {held:,}"
    return [(title, "bold"), *lines, (dropped, "yellow" if report.late or report.rejected else "")]


def counts_of(report: Report) -> dict[str, int]:
    """What the rates are made of: records read by sources, rows written by sinks."""
    read = {name: report.operators[name].read for name in report.sources}
    return read | {name: report.operators[name].used for name in report.sinks.values()}


def watermark_text(watermark: int | None, now_ms: int) -> str:
    """The watermark as a time, and how far it is behind the clock where that says something; nothing where there is none yet."""
    if watermark is None:
        return ""
    if watermark >= MAX_WATERMARK:
        return "at the end of its input"
    try:
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=watermark)
    except OverflowError:
        return f"watermark {watermark} ms"
    text = f"watermark {at:%Y-%m-%d %H:%M:%S} UTC"
    lag_ms = now_ms - watermark
    return f"{text}, lag {lag_ms / 1000:,.0f} s" if 0 <= lag_ms < _WATERMARK_LAG_MS_SHOWN else text
