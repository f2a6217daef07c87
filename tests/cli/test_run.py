"""`fluxline run`: what it prints while and after it runs, and its exit codes, on the project that `new` makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.telemetry import Report
from tests.cli.conftest import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

# By hand, see the fixture: 12 records, 1 cut off, 1 late for its hour, 3 above 25 degrees, 6 averages.
LEDGER = """\
demo: the row ledger, in input rows
  readings -> hourly_averages: read 12 = used 10 + late 1 + rejected 1; wrote 6
  readings -> alerts: read 12 = used 3 + filtered 8 + rejected 1; wrote 3
  readings -> late_readings: read 12, of them 1 late; wrote 1
  readings -> rejected: read 12, of them 1 rejected; wrote 1
  rejected by readings: malformed 1
balanced: every operator and every edge
"""
SECOND = """
from fluxline import Pipeline

second = Pipeline("second")
second.source("readings", schema={"sensor_id": "BIGINT"}).sink("sensors")
"""


def without_speed(text: str) -> str:
    """The report without its last line, which has seconds and memory."""
    *lines, speed = text.splitlines(keepends=True)
    assert speed.endswith(" MiB\n")
    assert " s, " in speed
    assert " rows/s, peak memory " in speed
    return "".join(lines)


def test_the_ledger_is_on_standard_output_and_how_it_went_on_standard_error(project: Path, command: Command) -> None:
    """No terminal: plain lines, and nothing is drawn."""
    outcome = command("run", "--bounded")
    assert outcome.code == 0
    assert without_speed(outcome.out) == LEDGER
    assert outcome.err == "demo: starting in environment dev\ndemo: the input has ended\n"


def test_json_is_the_whole_report(project: Path, command: Command) -> None:
    """One object; standard error is silent."""
    outcome = command("run", "--bounded", "-o", "json")
    assert (outcome.code, outcome.err) == (0, "")
    report = outcome.data
    assert (report["pipeline"], report["balanced"], report["imbalances"]) == ("demo", True, [])
    assert (report["read"], report["late"], report["rejected"]) == (12, 1, 1)
    assert report["written"] == {"hourly_averages": 6, "alerts": 3, "late_readings": 1, "rejected": 1}
    source = report["operators"]["readings"]
    assert {key: source[key] for key in ("read", "used", "filtered", "late", "rejected", "held")} == {
        "read": 12, "used": 11, "filtered": 0, "late": 0, "rejected": 1, "held": 0,
    }  # fmt: skip
    assert source["reasons"] == {"malformed": 1}
    assert report["sources"] == ["readings"]
    assert report["seconds"] > 0
    assert report["peak_memory_bytes"] > 1_000_000


def test_the_second_run_has_nothing_to_do(project: Path, command: Command) -> None:
    """It says so, and shows the ledger of the first one."""
    first = command("run", "--bounded")
    second = command("run", "--bounded")
    assert (second.code, second.out) == (0, LEDGER)
    assert without_speed(first.out) == second.out
    assert "nothing is left to do. --fresh starts over." in second.err
    assert "the input has ended" not in second.err


def test_fresh_starts_over_and_names_what_it_clears(project: Path, command: Command) -> None:
    """The rows are there once afterwards."""
    command("run", "--bounded")
    again = command("run", "--bounded", "--fresh")
    assert (again.code, without_speed(again.out)) == (0, LEDGER)
    assert 'demo: --fresh clears table "alerts" of .fluxline/dev/tables.duckdb: 3 rows\n' in again.err
    assert command("query", "select count(*) as n from alerts", "-o", "json").data["rows"] == [{"n": 3}]


def test_an_imbalance_fails(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is nowhere is told, whatever else went well."""
    monkeypatch.setattr(Report, "imbalances", lambda _report: ["readings (main) -> sink alerts: written 3, read 2, between 0"])
    outcome = command("run", "--bounded")
    assert outcome.code == 1
    assert "NOT balanced:\n  readings (main) -> sink alerts: written 3, read 2, between 0\n" in outcome.out
    as_json = command("run", "--bounded", "--fresh", "-o", "json")
    assert (as_json.code, as_json.data["balanced"]) == (1, False)


def test_a_job_that_fails(project: Path, command: Command) -> None:
    """Two of three records are no readings: more than half."""
    write_project(project, {"data/readings.ndjson": "{}\n[1]\n" + (project / "data/readings.ndjson").read_text().splitlines()[0]})
    outcome = command("run", "--bounded")
    assert (outcome.code, outcome.out) == (1, "")
    assert 'FLX-3001  source "readings" rejected 2 of its first 3 records' in outcome.err
    assert outcome.err.count("FLX-3001") == 1
    assert command("run", "--bounded", "--fresh", "--keep-going").code == 0
    assert command("run", "--bounded", "--fresh", "--set", "embedded.rejected_share_max=0.7").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "first"),
    [
        (["--env", "prod"], 2, 'FLX-1007  no environment "prod"'),
        (["nowhere.py"], 2, 'FLX-2160  there is no file or folder "nowhere.py"'),
        (["--set", "embedded.memory=1 GiB"], 2, 'FLX-1020  the embedded engine has no "memory" in this version'),
        (["--set", "connections.files.path=data/none.ndjson"], 1, "FLX-4201"),
    ],
)
def test_what_cannot_start(arguments: list[str], code: int, first: str, project: Path, command: Command) -> None:
    """Refused definitions are told apart from what is missing outside."""
    outcome = command("run", "--bounded", *arguments)
    assert outcome.code == code
    assert first in outcome.err, outcome.err
    as_json = command("run", "--bounded", "-o", "json", *arguments)
    assert as_json.code == code
    assert [error["code"] for error in as_json.data["errors"]] == [first.split(maxsplit=1)[0]]


def test_several_pipelines_must_be_chosen(project: Path, command: Command) -> None:
    """By name, or all."""
    write_project(project, {"pipelines/second.py": SECOND})
    refused = command("run", "--bounded")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == 'FLX-2164  "." has several pipelines: demo, second\nhint: Choose one: --pipeline NAME.\n'
    chosen = command("run", "--bounded", "--pipeline", "second", "--set", 'bindings.sensors.connection="store"')
    assert "  readings -> sensors: read 12 = used 11 + rejected 1; wrote 11\n" in chosen.out


@pytest.mark.parametrize("bounded", [True, False], ids=["one after the other", "at once"])
def test_all_pipelines(bounded: bool, project: Path, command: Command) -> None:
    """Both have ended, each with its ledger; files end by themselves also without --bounded."""
    write_project(project, {"pipelines/second.py": SECOND})
    options = ["run", "--all", "--set", 'bindings.sensors.connection="store"', *(["--bounded"] if bounded else [])]
    outcome = command(*options)
    assert outcome.code == 0, outcome.err
    assert LEDGER in outcome.out
    assert "second: the row ledger, in input rows\n  readings -> sensors: read 12 = used 11 + rejected 1; wrote 11\n" in outcome.out
    lines = outcome.err.splitlines()
    ended, started = lines.index("demo: the input has ended"), lines.index("second: starting in environment dev")
    assert (ended < started) == bounded
    shown = command(*options, "--fresh", "-o", "json").data
    assert [(report["pipeline"], report["read"]) for report in shown["pipelines"]] == [("demo", 12), ("second", 12)]


def test_where_one_pipeline_fails_the_others_stop_cleanly(project: Path, command: Command) -> None:
    """`demo` follows its input and would never end; its stop is clean, so that the next run goes on from there."""
    write_project(project, {"pipelines/second.py": SECOND.replace('source("readings"', 'source("wrong"'), "data/wrong.ndjson": "[1]\n"})
    with (project / "fluxline.toml").open("a") as file:
        file.write('\nreadings = { path = "data/readings.ndjson", follow = true }\nsensors = { connection = "store" }\n')
    outcome = command("run", "--all")
    assert outcome.code == 1
    assert 'FLX-3001  source "wrong" rejected 1 of its first 1 records' in outcome.err
    states = {each["name"]: each["state"] for each in command("status", "-o", "json").data["pipelines"]}
    assert states == {"demo": "stopped", "second": "crashed"}


def test_where_one_pipeline_cannot_start_the_others_stop_cleanly(project: Path, command: Command) -> None:
    """`second` would write over rows of somebody else; `demo` runs by then."""
    write_project(project, {"pipelines/second.py": SECOND, "data/sensors.ndjson": "{}\n"})
    with (project / "fluxline.toml").open("a") as file:
        file.write('\nreadings = { path = "data/readings.ndjson", follow = true }\n')
    outcome = command("run", "--all")
    assert outcome.code == 1
    assert "FLX-5101" in outcome.err
    assert command("status", "-o", "json").data["pipelines"][0]["state"] == "stopped"


def test_rows_that_a_sink_prints_do_not_mix_with_json(project: Path, command: Command) -> None:
    """They go to standard error then."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('\n[environments.dev.connections.screen]\nconnector = "print"\n')
    options = ["run", "--bounded", "--set", 'bindings.alerts.connection="screen"']
    assert "sensor 2 reads 25.5 °C]" in command(*options).out
    outcome = command(*options, "--fresh", "-o", "json")
    assert outcome.data["written"]["alerts"] == 3
    assert "sensor 2 reads 25.5 °C]" in outcome.err
