"""Runs a golden text in four variants, which must agree: as written, row by row, in one batch, and with a restart after every step.

After every step the row ledger balances, and the sources have read what they were given.
"""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from fluxline.pipeline.sink import Sink
from fluxline.plan.names import describe_node
from fluxline.testing import Drive
from tests.golden import script as steps
from tests.golden.values import parse_instant, parse_value, text_of_value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.pipeline.stream import Stream
    from fluxline.schema import LogicalType
    from fluxline.telemetry import Report
    from fluxline.testing import Driven
    from tests.golden.script import Script

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Variant = Literal["as written", "row by row", "in one batch", "restarted"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def run_script(script: Script, variant: Variant, directory: Path) -> None:
    """Do and check everything that the text says.

    Args:
        script: the text, read.
        variant: how rows are put into batches, and whether the run is restarted.
        directory: where the module of its pipeline is written.
    """
    _Run(script, variant, _load(script, directory)).run()


def _load(script: Script, directory: Path) -> dict[str, Any]:
    """The names that the pipeline's module defines."""
    file = directory / f"golden_{script.path.stem}.py"
    file.write_text("\n".join(script.code) + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


class _Run:
    """One run of one text."""

    def __init__(self, script: Script, variant: Variant, names: dict[str, Any]) -> None:
        self._script = script
        self._variant = variant
        self._names = names
        self._pushed = 0
        self._driven: Driven = Drive()(names["pipeline"], partitions=script.partitions, now=script.now + "Z")
        for step in script.steps:
            if isinstance(step, steps.Expect):
                self._driven.changelog(self._output(step))  # what is asked for is collected from the beginning

    def run(self) -> None:
        """Every step, in order; a failure names the line."""
        todo = _merged(self._script.steps) if self._variant == "in one batch" else self._script.steps
        for step in todo:
            try:
                self._do(step)
                if self._variant == "restarted" and isinstance(step, steps.Push | steps.Clock | steps.Watermark | steps.Finish):
                    self._driven.restart()
                self._check_ledger()
            except AssertionError as error:
                raise AssertionError(f"{self._script.path.name}:{step.line}, {self._variant}: {error}") from error

    def _do(self, step: steps.Step) -> None:
        if isinstance(step, steps.Push):
            self._push(step)
        elif isinstance(step, steps.Clock):
            self._driven.advance_clock(step.by)
        elif isinstance(step, steps.Watermark):
            self._driven.advance_watermark(parse_instant(step.to))
        elif isinstance(step, steps.Finish):
            self._driven.finish()
        elif isinstance(step, steps.Restart):
            self._driven.restart()
        elif isinstance(step, steps.Expect):
            self._expect(step)
        elif isinstance(step, steps.ExpectLedger):
            self._expect_ledger(step)
        elif isinstance(step, steps.ExpectWatermark):
            found = self._driven.report.watermarks[step.source]
            shown = "-" if found is None else text_of_value(EPOCH + timedelta(milliseconds=found))
            wanted = step.at if step.at == "-" else text_of_value(parse_instant(step.at))
            assert shown == wanted, f"the watermark is {shown}, expected {wanted}"
        else:
            assert isinstance(step, steps.ExpectDropped)
            report = self._driven.report
            assert (report.late, report.rejected) == (step.late, step.rejected), f"dropped: late {report.late} rejected {report.rejected}"

    def _push(self, step: steps.Push) -> None:
        stream = self._names[step.source]
        schema = stream._node.declared
        batches: Sequence[steps.Batch] = step.batches
        if self._variant == "row by row":
            batches = [(row,) for batch in batches for row in batch]
        for batch in batches:
            rows = []
            for row in batch:
                assert len(row) == len(schema.fields), f"{row} has {len(row)} cells, the source {len(schema.fields)} columns"
                rows.append({item.name: parse_value(cell, item.type) for item, cell in zip(schema, row, strict=True)})
            self._driven.push(stream, rows, partition=step.partition)
            self._pushed += len(rows)
            self._check_ledger()

    def _check_ledger(self) -> None:
        report = self._driven.report
        assert not report.imbalances(), "the row ledger does not balance:\n" + "\n".join(report.imbalances())
        assert report.read == self._pushed, f"the sources read {report.read} of {self._pushed} rows"

    def _output(self, step: steps.Expect) -> Sink | Stream:
        """The sink or stream that an expectation is about; of equal names the sink."""
        declared = self._names["pipeline"]._sinks
        if step.output in ("rows", "changelog") and step.name in declared:
            return Sink(self._names["pipeline"], declared[step.name])
        stream: Stream = self._names[step.name]
        return stream.late if step.output == "late" else stream.rejected if step.output == "rejected" else stream

    def _expect(self, step: steps.Expect) -> None:
        output = self._output(step)
        schema = (output._planned if isinstance(output, Sink) else output._node).schema.visible()
        types = {item.name: item.type for item in schema}
        names = step.columns or schema.names()
        if step.output == "changelog":
            self._expect_changelog(step, output, [types[name] for name in names], names)
            return
        wanted = sorted(_canonical(row, [types[name] for name in names]) for row in step.rows)
        found = sorted([text_of_value(row[name]) for name in names] for row in self._driven.rows(output))
        assert found == wanted, _difference(names, wanted, found)

    def _expect_changelog(self, step: steps.Expect, output: Sink | Stream, types: list[LogicalType], names: Sequence[str]) -> None:
        """In order. How often a key is updated on the way depends on the batches, so other variants need only be consistent."""
        changes = self._driven.changelog(output)
        wanted = [[kind, *_canonical(tuple(rest), types)] for kind, *rest in step.rows]
        found = [[row["row_kind"], *(text_of_value(row[name]) for name in names)] for row in changes]
        if self._variant in ("as written", "restarted"):
            assert found == wanted, _difference(("row_kind", *names), wanted, found)
        last: dict[tuple[Any, ...], dict[str, Any]] = {}
        for change in changes:
            key = tuple(change[name] for name in output.key or ())
            row = {name: value for name, value in change.items() if name != "row_kind"}
            if change["row_kind"] in ("-U", "-D"):
                assert last.get(key) == row, f"{row} is taken back, and the row of its key is {last.get(key)}"
                del last[key]
            else:
                assert change["row_kind"] == "+I" or key not in last, f"{row} replaces a row that was not taken back"
                last[key] = row

    def _expect_ledger(self, step: steps.ExpectLedger) -> None:
        report: Report = self._driven.report
        name = step.name if step.name.startswith("sink ") else describe_node(self._names[step.name]._node)
        assert name in report.operators, f"no operator {name}; the run has {', '.join(report.operators)}"
        ledger = report.operators[name]
        found = {counter: getattr(ledger, counter) for counter in step.counts}
        assert found == step.counts, f"{name} counted {found}, expected {step.counts}"


def _merged(script_steps: list[steps.Step]) -> list[steps.Step]:
    """The steps with the rows of neighbouring pushes to one partition in one batch."""
    merged: list[steps.Step] = []
    for step in script_steps:
        if isinstance(step, steps.Push):
            batch = tuple(row for part in step.batches for row in part)
            before = merged[-1] if merged else None
            if isinstance(before, steps.Push) and (before.source, before.partition) == (step.source, step.partition):
                merged[-1] = steps.Push(before.line, step.source, step.partition, ((*before.batches[0], *batch),))
            else:
                merged.append(steps.Push(step.line, step.source, step.partition, (batch,)))
        else:
            merged.append(step)
    return merged


def _canonical(row: tuple[str, ...], types: list[LogicalType]) -> list[str]:
    """A row of the text as its values print."""
    assert len(row) == len(types), f"{row} has {len(row)} cells, the output {len(types)} columns"
    return [text_of_value(parse_value(cell, kind)) for cell, kind in zip(row, types, strict=True)]


def _difference(names: Sequence[str], wanted: list[list[str]], found: list[list[str]]) -> str:
    def table(rows: list[list[str]]) -> str:
        return "\n".join("    " + "  ".join(row) for row in rows) or "    none"

    return f"other rows ({', '.join(names)})\n  expected\n{table(wanted)}\n  found\n{table(found)}"
