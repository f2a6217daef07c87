"""`fluxline query`: which store is asked, and how rows look."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fluxline.cli.table import cell_text, json_rows, table_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

MIDNIGHT = datetime.fromisoformat("2024-06-07T00:00:00")  # without a time zone, as TIMESTAMP columns are
FIVE_PAST_EIGHT = datetime.fromisoformat("2024-06-07T08:05:00")

AVERAGES = """\
sensor_id   mean  readings
---------  -----  --------
        1   21.5         2
        1   23.5         2
        1   25.0         1
        2  24.75         2
        2  26.75         2
        2   24.5         1
(6 rows)
"""


def test_rows_as_a_table(project: Path, command: Command) -> None:
    """The averages by hand; numbers stand to the right."""
    command("run", "--bounded")
    outcome = command("query", "select sensor_id, mean, readings from hourly_averages order by sensor_id, window_start")
    assert (outcome.code, outcome.out, outcome.err) == (0, AVERAGES, "")


def test_rows_as_json(project: Path, command: Command) -> None:
    """Types stay; NULL is null."""
    command("run", "--bounded")
    sql = "select sensor_id, temperature, humidity, null as nothing, message from alerts order by temperature limit 1"
    assert command("query", sql, "-o", "json").data == {
        "columns": ["sensor_id", "temperature", "humidity", "nothing", "message"],
        "rows": [{"sensor_id": 2, "temperature": 25.5, "humidity": 42.5, "nothing": None, "message": "sensor 2 reads 25.5 °C"}],
        "truncated": False,
    }


def test_a_limit_says_that_there_is_more(project: Path, command: Command) -> None:
    """A short answer must not pass for the whole one."""
    command("run", "--bounded")
    assert command("query", "select sensor_id from alerts", "--limit", "2").out.endswith("(the first 2 rows; there are more: --limit N)\n")
    assert command("query", "select sensor_id from alerts", "--limit", "3").out.endswith("(3 rows)\n")
    assert command("query", "select sensor_id from alerts", "--limit", "1", "-o", "json").data["truncated"] is True
    assert command("query", "select sensor_id from alerts where false").out == "sensor_id\n---------\n(0 rows)\n"


def test_the_project_of_another_folder(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its relative paths start from its own file."""
    command("run", "--bounded")
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert "(1 row)" in command("query", "--project", "..", "select count(*) from alerts").out
    missing = command("query", "--project", "../nowhere", "select 1")
    assert (missing.code, missing.err) == (2, 'FLX-2160  there is no file or folder "../nowhere"\n')


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("select * from hourly", 'FLX-2613  no table "hourly" in the store'),
        ("selec 1", "FLX-2610  the query is no SQL"),
        ("drop table alerts", "FLX-2612  queries only read, and this is DROP"),
        ("select 1; select 2", "FLX-2611  one statement is needed, and the query has 2"),
    ],
)
def test_a_query_that_is_refused(sql: str, first: str, project: Path, command: Command) -> None:
    """Exit code 2, as for any text that is wrong."""
    command("run", "--bounded")
    outcome = command("query", sql)
    assert (outcome.code, outcome.out, outcome.err.splitlines()[0]) == (2, "", first)


def test_nothing_ran_yet(project: Path, command: Command) -> None:
    """There is no store, and a query makes none."""
    outcome = command("query", "select 1")
    assert (outcome.code, outcome.err.split("  ")[0]) == (1, "FLX-4615")
    assert not (project / ".fluxline").exists()


STORE = '{ connector = "store", path = ".fluxline/{environment}/tables.duckdb" }'


def test_the_only_store_is_asked_though_tables_live_elsewhere(project: Path, command: Command) -> None:
    """Nothing else can be meant."""
    command("run", "--bounded")
    assert "(3 rows)" in command("query", "select 1 from alerts", "--set", "tables=files").out


def test_of_several_stores_one_must_be_chosen(project: Path, command: Command) -> None:
    """The one where tables live; else it is not clear."""
    command("run", "--bounded")
    text = (project / "fluxline.toml").read_text()
    (project / "fluxline.toml").write_text(text.replace(f"store = {STORE}", f"store = {STORE}\nother = {STORE}"))
    assert command("query", "select 1 from alerts").code == 0
    outcome = command("query", "select 1 from alerts", "--set", "tables=files")
    assert outcome.code == 2
    assert outcome.err.startswith('FLX-1204  environment "dev" has several table stores: store, other')
    assert "hint: Choose one with --set tables=store," in outcome.err
    assert command("query", "select 1 from alerts", "--set", "tables=other").code == 0


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ('connections.store.connector="blackhole"', 'environment "dev" has no table store to ask'),
        ('connections.store.path=".fluxline/{name}.duckdb"', 'connection "store" keeps each table in a store of its own'),
    ],
)
def test_no_store_to_ask(settings: str, fact: str, project: Path, command: Command) -> None:
    """Each with what to write instead."""
    outcome = command("query", "select 1", "--set", settings)
    assert outcome.code == 2
    assert outcome.err.startswith(f"FLX-1204  {fact}")
    assert "\nhint: " in outcome.err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        (True, "true"),
        ("a\nb\x1b[31m\u202e", "a\\nb\\x1b[31m\\u202e"),
        (b'{"a": 1}', '{"a": 1}'),
        (b"\xff\x00a", "\\xff\\x00a"),
        (FIVE_PAST_EIGHT, "2024-06-07 08:05:00"),
        (datetime(2024, 6, 7, 8, 5, 0, 250_000, tzinfo=UTC), "2024-06-07 08:05:00.250000Z"),
        ([1, None, {"a": MIDNIGHT}], '[1, null, {"a": "2024-06-07 00:00:00"}]'),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_a_value_is_one_line_and_cannot_steer_the_terminal(value: object, shown: str) -> None:
    """Data is anybody's."""
    assert cell_text(value) == shown


def test_wide_letters_and_long_values_keep_the_columns() -> None:
    """A Chinese letter takes two columns, a combining accent none; a value beyond 80 letters is cut, and that is said."""
    frame = pl.DataFrame({"text": ["温度", "e\u0301", "x" * 90], "n": [1, 22, 333]})
    lines, shortened = table_lines(frame)
    assert shortened
    assert lines == [
        "text" + " " * 76 + "    n",
        "-" * 80 + "  ---",
        "温度" + " " * 76 + "    1",
        "e\u0301" + " " * 79 + "   22",
        "x" * 79 + "…" + "  333",
    ]


def test_json_can_hold_every_value() -> None:
    """What JSON has no form for becomes text."""
    frame = pl.DataFrame({"a": [float("nan"), float("-inf"), 1.5], "b": [b"\xff", None, b"x"], "c": [[MIDNIGHT], [], None]})
    assert json_rows(frame) == [
        {"a": "NaN", "b": "/w==", "c": ["2024-06-07T00:00:00"]},
        {"a": "-Infinity", "b": None, "c": []},
        {"a": 1.5, "b": "eA==", "c": None},
    ]
