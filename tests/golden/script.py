"""The form of a golden text. A text is read into steps; nothing is run here.

    # One sentence: the rule that this shows.
    source clicks (user_id STRING, clicked_at TIMESTAMP_LTZ(3) NOT NULL) event_time clicked_at watermark 5 seconds partitions 2
    now 2026-01-01T13:00:00
    pipeline
      counts = clicks.window(tumble("10 seconds")).group_by("user_id").agg(n=count())
      counts.sink("counts")
    rows clicks partition 0
      ann  12:00:01
      ---                        # the next batch
      bob  12:00:31
    clock 20 seconds
    watermark 12:00:40
    restart
    expect counts
      ann  12:00:00  12:00:10  1
    expect late counts none
    finish
    expect ledger counts late 1 used 2
    expect dropped late 1 rejected 0

A source takes `event_time`, `watermark`, `idle_after` and `max_future_skew` (a duration or `never`), `lateness` and `partitions`. What an
output is expected to hold are all its rows so far: `expect NAME` of a sink or stream, `expect late NAME`, `expect rejected NAME`,
each with columns to choose, as in `expect alerts (user_id, message)`; `expect changelog NAME` in order, kinds in front.
`expect ledger NAME COUNTER n ...` is about an operator or `sink NAME`, `expect watermark SOURCE at` about a source. Every text
ends with `expect dropped`. `restart differs: REASON` before the pipeline says that this text depends on time that a restart
does not remember; it is wrong where the variant with restarts agrees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tests.golden.values import cells

if TYPE_CHECKING:
    from pathlib import Path

Row: TypeAlias = tuple[str, ...]
Batch: TypeAlias = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done or asked; `line` is where it stands."""

    line: int


@dataclass(frozen=True, slots=True)
class Push(Step):
    """Rows for a source, in batches."""

    source: str
    partition: int
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Clock(Step):
    """Time passes."""

    by: str


@dataclass(frozen=True, slots=True)
class Watermark(Step):
    """No row at or before this time is expected any more."""

    to: str


@dataclass(frozen=True, slots=True)
class Finish(Step):
    """The input ends."""


@dataclass(frozen=True, slots=True)
class Restart(Step):
    """Save, forget, go on."""


@dataclass(frozen=True, slots=True)
class Expect(Step):
    """What an output holds so far: of "rows", "late", "rejected" or "changelog"; `columns` empty means all."""

    output: str
    name: str
    columns: tuple[str, ...]
    rows: Batch


@dataclass(frozen=True, slots=True)
class ExpectLedger(Step):
    """What an operator has counted."""

    name: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExpectWatermark(Step):
    """Where a source's watermark is; `-` before the first."""

    source: str
    at: str


@dataclass(frozen=True, slots=True)
class ExpectDropped(Step):
    """How many rows were late and rejected, over all operators."""

    late: int
    rejected: int


@dataclass
class Script:
    """A golden text, read.

    Attributes:
        path: where it stands.
        rule: its first line.
        code: the module that defines the pipeline.
        partitions: how many every source has.
        now: the clock at the start.
        restart_differs: why the variant with restarts gives something else, or empty.
        steps: what is done and asked, in order.
    """

    path: Path
    rule: str = ""
    code: list[str] = field(default_factory=list)
    partitions: int = 1
    now: str = "2026-01-01T13:00:00"
    restart_differs: str = ""
    steps: list[Step] = field(default_factory=list)


_EXPECT = re.compile(r"expect (?:(late|rejected|changelog) )?(\w+)(?: \(([\w, ]+)\))?( none)?")
_SOURCE = re.compile(r"source (\w+) \((.*)\)(.*)")
_OPTION = re.compile(r" (event_time|watermark|idle_after|max_future_skew|lateness|partitions) (\w+(?: (?:ms|seconds?|minutes?|hours?|days?))?)")
_PREAMBLE = (
    '"""Defines the pipeline of a golden text."""',
    "from datetime import date, datetime, time, timedelta",
    "from decimal import Decimal",
    "import polars as pl",
    "from fluxline import *",
    'pipeline = Pipeline("golden")',
)


def read_script(path: Path) -> Script:
    """Read a golden text; a line that is not of the form is a mistake."""
    script = Script(path, code=list(_PREAMBLE))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines and lines[0].startswith("# ") and lines[0].endswith("."), f"{path.name} begins with one sentence that says its rule"
    script.rule = lines[0][2:]
    for number, head, block in _blocks(lines):
        try:
            _read_block(script, number, head, block)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"{path.name}:{number}: {head!r} is not of the form: {error}") from error
    assert script.steps and isinstance(script.steps[-1], ExpectDropped), f"{path.name} does not end with `expect dropped`"
    return script


def _blocks(lines: list[str]) -> list[tuple[int, str, list[str]]]:
    """Every line at the margin with the indented lines below it; comments and empty lines are left out."""
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  "):
            assert found, f"line {number} belongs to nothing"
            if not line.lstrip().startswith("#"):
                found[-1][2].append(line[2:])
        else:
            found.append((number, re.split(r"\s+#", line)[0].rstrip(), []))
    return found


def _read_block(script: Script, number: int, head: str, block: list[str]) -> None:
    word, _, rest = head.partition(" ")
    if word == "source":
        _read_source(script, head)
    elif word == "now":
        script.now = rest
    elif word == "partitions":
        script.partitions = int(rest)
    elif word == "pipeline":
        script.code += block
        return
    elif head.startswith("restart differs: "):
        script.restart_differs = head.partition(": ")[2]
    elif word == "rows":
        script.steps.append(_read_rows(number, rest, block))
        return
    elif word == "expect":
        script.steps.append(_read_expect(number, head, rest, block))
        return
    else:
        script.steps.append(_read_action(number, word, rest))
    assert not block, "it has no lines of its own"


def _read_action(number: int, word: str, rest: str) -> Step:
    if word == "clock":
        return Clock(number, rest)
    if word == "watermark":
        return Watermark(number, rest)
    assert not rest, "nothing stands behind this word"
    return {"finish": Finish, "restart": Restart}[word](number)


def _read_source(script: Script, head: str) -> None:
    """One source as a line of Python."""
    match = _SOURCE.fullmatch(head)
    assert match is not None
    name, columns, options = match.groups()
    schema = dict(part.strip().split(" ", 1) for part in re.split(r",(?![^(<]*[)>])", columns))
    arguments = [f"schema={schema!r}"]
    assert not _OPTION.sub("", options), f"unknown options: {_OPTION.sub('', options)!r}"
    for option, value in _OPTION.findall(options):
        if option == "partitions":
            script.partitions = int(value)
        else:
            arguments.append(f"{option}={None if value == 'never' else value!r}")
    script.code.append(f"{name} = pipeline.source({name!r}, {', '.join(arguments)})")


def _read_rows(number: int, rest: str, block: list[str]) -> Push:
    source, _, partition = rest.partition(" partition ")
    batches: list[list[Row]] = [[]]
    for line in block:
        found = tuple(cells(line))
        if found == ("---",):
            batches.append([])
        else:
            batches[-1].append(found)
    assert all(batches), "a batch has a row"
    return Push(number, source, int(partition or 0), tuple(tuple(batch) for batch in batches))


def _read_expect(number: int, head: str, rest: str, block: list[str]) -> Step:
    words = rest.split()
    if words[0] == "dropped":
        assert words[1::2] == ["late", "rejected"] and not block
        return ExpectDropped(number, int(words[2]), int(words[4]))
    if words[0] == "ledger":
        name = " ".join(words[1:3]) if words[1] == "sink" else words[1]
        pairs = words[1 + len(name.split()) :]
        assert pairs and len(pairs) % 2 == 0 and not block
        return ExpectLedger(number, name, dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True)))
    if words[0] == "watermark":
        assert not block
        return ExpectWatermark(number, words[1], words[2])
    match = _EXPECT.fullmatch(head)
    assert match is not None
    output, name, columns, none = match.groups()
    assert bool(none) != bool(block), "it has rows below it, or says `none`"
    chosen = () if columns is None else tuple(part.strip() for part in columns.split(","))
    return Expect(number, output or "rows", name, chosen, tuple(tuple(cells(line)) for line in block))
