"""The examples of CONTRIBUTING.md are taken from the page, put into copies of the tables, and held to the contracts."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxline import Pipeline, col, count
from fluxline.clock import VirtualClock
from fluxline.connectors import CONNECTORS, load_connector
from fluxline.connectors.base import SourceContext
from fluxline.dictionary import Entry
from fluxline.library import FUNCTIONS
from fluxline.options import read_options
from fluxline.pipeline.expr import apply
from fluxline.pipeline.windows import Window
from fluxline.plan import window as plan
from fluxline.testing import Drive, utc
from fluxline.testing.contracts import SourceContract
from fluxline.windows import WINDOWS
from tests.connectors.lines import NUMBERS
from tests.docs.pages import blocks, import_text
from tests.tidy.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

DAY_MS = 86_400_000


def example(file: str, directory: Path) -> ModuleType:
    """The block of the page that shows this file, imported."""
    found = [block for block in blocks(ROOT / "CONTRIBUTING.md") if block.file == file]
    assert len(found) == 1, f"{file} is shown {len(found)} times"
    name = "fluxline_example_" + file.rpartition("/")[2].removesuffix(".py")
    return import_text(found[0].text, directory / f"{name}.py", name)


@pytest.fixture
def inline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("src/fluxline/connectors/inline.py", tmp_path)
    monkeypatch.setitem(CONNECTORS, "inline", Entry(f"{module.__name__}:CONNECTOR"))


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("text", ["", "1\n2\n3\n", "no line end", "x" * 3_000_000])
def test_the_connector_keeps_the_contract_of_sources(text: str, tmp_path: Path) -> None:
    """A text that is empty, short, cut off, or of several blocks."""
    connector = load_connector("inline")
    options = read_options(connector.options, {"text": text}, of="inline")
    assert connector.source is not None
    assert connector.source_bounded(options)
    opener = connector.source
    SourceContract(open_source=lambda: opener(SourceContext("input", options, NUMBERS, tmp_path, VirtualClock(0)))).check()


@pytest.mark.usefixtures("inline")
def test_the_connector_serves_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the project file to rows."""
    (tmp_path / "fluxline.toml").write_text(
        '[project]\nname = "x"\ndefault_environment = "dev"\n'
        '[environments.dev]\nengine = "embedded"\ntopics = "here"\n'
        'connections.here = { connector = "inline", text = "{\\"id\\": 1}\\n{\\"id\\": 5}\\n", format = "json" }\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline("numbers")
    monkeypatch.setattr(pipeline, "_directory", lambda: tmp_path)
    stream = pipeline.source("numbers", schema={"id": "BIGINT NOT NULL"}).filter(col("id") > 2)
    assert stream.collect().rows() == [(5,)]


def test_the_function_gives_its_example_and_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the planner and the engine, as a user would call it."""
    function = example("src/fluxline/library/text.py", tmp_path).TO_BASE64
    monkeypatch.setitem(FUNCTIONS, function.name, function)
    (argument,), wanted = function.example
    texts = Pipeline("texts").source("texts", schema={"x": "STRING"})
    coded = texts.select(y=apply(function.name, col("x")))
    rows = coded.collect(inputs={texts: pl.DataFrame({"x": [argument, None, "", "é"]})})
    assert rows["y"].to_list() == [wanted, None, "", "w6k="]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return example("src/fluxline/windows/month.py", tmp_path_factory.mktemp("windows"))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # counted in UTC below
def test_the_window_holds_its_time(month: ModuleType, at: datetime) -> None:
    """Start and end are the first instants of the month and the next, by the calendar of the standard library."""
    window = plan.Window("month", size_ms=31 * DAY_MS)  # type: ignore[arg-type]  # a kind that the plan does not have
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = datetime(at.year, at.month, 1, tzinfo=UTC)
    behind = start + timedelta(days=calendar.monthrange(at.year, at.month)[1])
    starts = month.assign(np.array([(at - epoch) // timedelta(milliseconds=1)], dtype=np.int64), window)
    assert starts.tolist() == [(start - epoch) // timedelta(milliseconds=1)]
    assert month.end(starts, window).tolist() == [(behind - epoch) // timedelta(milliseconds=1)]


def test_the_window_runs(month: Any, monkeypatch: pytest.MonkeyPatch, drive: Drive) -> None:
    """Rows of February 2024 come out when the watermark passes the 29th; the one behind is late."""
    monkeypatch.setitem(WINDOWS, "month", month)
    shop = Pipeline("shop")
    orders = shop.source("orders", schema={"at": "TIMESTAMP_LTZ(3) NOT NULL"}, event_time="at", watermark="1 hour")
    monthly = orders.window(Window(plan.Window("month", size_ms=31 * DAY_MS))).agg(orders=count())  # type: ignore[arg-type]  # likewise
    sink = monthly.sink("monthly")
    run = drive(shop, now="2024-03-02T00:00Z")
    run.push(orders, [{"at": utc(text)} for text in ("2024-02-01T00:00Z", "2024-02-29T23:59:59.999Z", "2024-03-01T00:59Z")])
    assert run.rows(sink) == []
    run.push(orders, [{"at": utc(text)} for text in ("2024-03-01T01:00Z", "2024-02-29T12:00Z")])
    assert [(row["window_end"].isoformat(), row["orders"]) for row in run.rows(sink)] == [("2024-03-01T00:00:00", 2)]
    assert run.report.late == 1
