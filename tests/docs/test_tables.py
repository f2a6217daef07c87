"""The tables of the concept pages say what the engine does: each row is run."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fluxline import Pipeline, count, tumble
from fluxline.batch import MIN_WATERMARK, Column, numpy_type, polars_type
from fluxline.formats import load_format
from fluxline.schema import Field, TableSchema, parse_type
from fluxline.testing.drive_embedded import EmbeddedDriven
from tests.docs.pages import DOCS, code_of, import_text, marked_tables
from tests.tidy.tree import shown

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.formats.base import Decoded
    from fluxline.testing import Drive, Driven

TIME = DOCS / "concepts" / "time.md"
DAY = datetime(2024, 6, 7, tzinfo=UTC)
NOW = DAY + timedelta(hours=23)
ROWS, CLOCKS = marked_tables(TIME, "rows"), marked_tables(TIME, "clock")


def at(text: str) -> datetime:
    """The time of day of a cell, on the day of the tests."""
    return datetime.combine(DAY, time_of_day.fromisoformat(text), tzinfo=UTC)


def milliseconds(text: str) -> int | None:
    """The watermark that a cell shows."""
    return None if text == "none" else round(at(text).timestamp() * 1000)


def windowed(settings: dict[str, str]) -> tuple[Pipeline, Any, Any]:
    """A pipeline with the settings above a table: it, its source and its aggregate."""
    pipeline = Pipeline("table")
    source = pipeline.source(
        "rows", schema={"at": "TIMESTAMP_LTZ(3) NOT NULL"}, event_time="at", watermark=settings["watermark"], idle_after=settings.get("idle_after")
    )
    aggregate = source.window(tumble(settings["window"])).agg(rows=count())
    aggregate.sink("counts")
    return pipeline, source, aggregate


def own_watermark(run: Driven, partition: str) -> int | None:
    """The watermark of one partition."""
    assert isinstance(run, EmbeddedDriven)
    watermark = run._machine.sources["rows"].state()[partition].watermark
    return None if watermark == MIN_WATERMARK else watermark


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_the_fate_of_each_row(number: int, drive: Drive) -> None:
    """Watermark before it, its window, and whether it counts."""
    settings, rows = ROWS[number]
    pipeline, source, aggregate = windowed(settings)
    run = drive(pipeline, partitions=int(settings.get("partitions", "1")), now=NOW)
    counted: Counter[datetime] = Counter()
    for row in rows:
        partition = row.get("partition", "0")
        assert own_watermark(run, partition) == milliseconds(row.get("its own watermark") or row["watermark"]), row
        if "watermark of the source" in row:
            assert run.report.watermarks["rows"] == milliseconds(row["watermark of the source"]), row
        late = run.report.late
        run.push(source, {"at": at(row["event time"])}, partition=int(partition))
        assert ("late" if run.report.late > late else "used") == row["fate"], row
        if row["fate"] == "used":
            counted[at(row["its window starts"])] += 1
    run.finish()
    assert {row["window_start"].replace(tzinfo=UTC): row["rows"] for row in run.rows(aggregate)} == counted


@pytest.mark.parametrize("number", range(len(CLOCKS)))
def test_what_the_clock_does(number: int, drive: Drive) -> None:
    """Idle partitions: the watermark of the source, closed windows and late rows after each line."""
    settings, rows = CLOCKS[number]
    pipeline, source, aggregate = windowed(settings)
    run = drive(pipeline, partitions=int(settings["partitions"]), now=NOW)
    seconds = 0
    for row in rows:
        then = int(row["clock"].removesuffix(" s"))
        if then > seconds:
            run.advance_clock(f"{then - seconds} seconds")
        seconds = then
        found = re.fullmatch(r"(\S+) in partition (\d)", row["what comes"])
        if found:
            run.push(source, {"at": at(found.group(1))}, partition=int(found.group(2)))
        else:
            assert row["what comes"] == "nothing"
        assert run.report.watermarks["rows"] == milliseconds(row["watermark of the source after it"]), row
        assert len(run.rows(aggregate)) == int(row["closed windows"]), row
        assert run.report.late == int(row["late"]), row


def test_time_has_its_tables() -> None:
    assert [len(rows) for _, rows in ROWS] == [9, 4, 7]
    assert [len(rows) for _, rows in CLOCKS] == [8]


def decoded(record: str, schema: TableSchema) -> Decoded:
    """One record, by the format json as it is by default."""
    chosen = load_format("json")
    data = record.encode() + b"\n"
    return chosen.decoder(schema, schema, chosen.options()).decode(data, np.array([0, len(data)], dtype=np.int64))


def shown_value(column: Column) -> str:
    """The only value of a column, as the page shows it."""
    (value,) = column.series().to_list()
    return "NULL" if value is None else str(value)


def decoding_cases() -> list[tuple[str, TableSchema, str]]:
    """Record, schema, and what it becomes."""
    page = DOCS / "concepts" / "decoding.md"
    cases = []
    for settings, rows in marked_tables(page, "records"):
        schema = TableSchema(tuple(Field(name, parse_type(text)) for name, text in settings.items()))
        cases += [(code_of(row["record"]), schema, row["becomes"]) for row in rows]
    for _, rows in marked_tables(page, "values"):
        for row in rows:
            schema = TableSchema((Field("x", parse_type(code_of(row["column"]))),))
            cases.append((f'{{"x": {code_of(row["JSON value"])}}}', schema, row["becomes"]))
    return cases


@pytest.mark.parametrize(("record", "schema", "becomes"), decoding_cases())
def test_what_a_record_becomes(record: str, schema: TableSchema, becomes: str) -> None:
    found = decoded(record, schema)
    if found.rows:
        assert ", ".join(shown_value(column) for column in found.columns.values()) == becomes
    else:
        assert f"`{found.rejects[0].reason}`" == becomes, found.rejects


def test_decoding_has_its_tables() -> None:
    assert len(decoding_cases()) > 60


def test_types_in_memory(tmp_path: Path) -> None:
    """What a Python type stands for, and the column that holds it."""
    page = DOCS / "concepts" / "types.md"
    ((_, rows),) = marked_tables(page, "types")
    lines = [f"    x{index}: {code_of(row['in a `Schema`'])}" for index, row in enumerate(rows)]
    head = "from datetime import date, datetime, time\nfrom decimal import Decimal\nfrom typing import Annotated\n"
    text = f"{head}from fluxline import Schema\nfrom fluxline.types import *\n\nclass Row(Schema):\n" + "\n".join(lines) + "\n"
    fields = import_text(text, tmp_path / "row.py", "fluxline_page_types").Row.__fluxline_schema__.fields
    for item, row in zip(fields, rows, strict=True):
        assert item.type == parse_type(f"{code_of(row['logical type'])} NOT NULL"), row
        dtype = numpy_type(item.type)
        held = f"numpy `{dtype}`" if dtype is not None else f"Polars `{polars_type(item.type)}`"
        assert held == row["column in memory"], shown(page)


def expression_cases() -> list[tuple[str, dict[str, str], dict[str, Any], str]]:
    """Expression, types of the columns, their values, and what it gives."""
    ((types, rows),) = marked_tables(DOCS / "concepts" / "types.md", "expressions")
    cases = []
    for row in rows:
        given = dict(part.split(" = ") for part in row["with"].split(", "))
        values = {name: None if text == "NULL" else text.strip("'") if text.startswith("'") else int(text) for name, text in given.items()}
        cases.append((code_of(row["expression"]), types, values, row["gives"]))
    return cases


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The expressions of the table, made by Python itself."""
    lines = ",\n    ".join(text for text, *_ in expression_cases())
    text = f"from fluxline import coalesce, col, concat, functions\n\nMADE = [\n    {lines},\n]\n"
    made: list[Any] = import_text(text, tmp_path_factory.mktemp("types") / "made.py", "fluxline_page_expressions").MADE
    return made


@pytest.mark.parametrize("number", range(len(expression_cases())))
def test_what_an_expression_gives(number: int, expressions: list[Any], drive: Drive) -> None:
    text, types, values, gives = expression_cases()[number]
    pipeline = Pipeline("expressions")
    source = pipeline.source("rows", schema=types)
    made = source.select(made=expressions[number])
    made.sink("made")
    run = drive(pipeline)
    run.push(source, {name: values.get(name) for name in types})
    found = ["NULL" if row["made"] is None else str(row["made"]) for row in run.rows(made)]
    assert (found or ["rejected"]) == [gives], text
    assert run.report.rejected == (gives == "rejected")


def test_refused_types_are_not_on_the_page() -> None:
    """Every logical type that a schema may have is there."""
    page = (DOCS / "concepts" / "types.md").read_text(encoding="utf-8")
    from fluxline.schema import ROOTS

    spelled = {"VARBINARY": "BYTES", "BINARY": "BYTES", "CHAR": "VARCHAR"}
    assert [root for root in ROOTS if root != "NULL" and spelled.get(root, root) not in page] == []
