"""The lines of the row ledger, from reports made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fluxline.cli.ledger import path_lines, report_json, report_lines, speed_line
from fluxline.telemetry import EdgeCount, Ledger, Report

REASONS = {"malformed": 8, "wrong_type": 12}


def edge(writer: str, reader: str, rows: int, port: str = "main") -> EdgeCount:
    """An edge on which nothing was lost."""
    return EdgeCount(writer, port, reader, rows, rows)


def report(operators: dict[str, Ledger], edges: list[EdgeCount], sources: list[str], paths: dict[str, list[str]]) -> Report:
    """A report; the last operator of a path is its sink's."""
    return Report(
        pipeline="sensors",
        operators=operators,
        edges=tuple(edges),
        sources=tuple(sources),
        sinks={sink: names[-1] for sink, names in paths.items()},
        paths={sink: tuple(names) for sink, names in paths.items()},
    )


def example() -> Report:
    """177,659 records: 20 rejected, 4 late; averages, hot ones among them of which the sink refused one, alerts."""
    operators = {
        "sensor_data": Ledger(
            read=177_659, used=177_639, rejected=20, written=177_639, written_rejected=20, reasons={"malformed": 8, "wrong_type": 12}
        ),
        "hourly": Ledger(read=177_639, used=177_635, late=4, written=29_612, written_late=4),
        "hourly/filter": Ledger(read=29_612, used=100, filtered=29_512, written=100),
        "sensor_data/filter": Ledger(read=177_639, used=5_416, filtered=172_223, written=5_416),
        "sink hourly_averages": Ledger(read=29_612, used=29_612),
        "sink hot_hours": Ledger(read=100, used=99, rejected=1, reasons={"refused_by_sink": 1}),
        "sink alerts": Ledger(read=5_416, used=5_416),
        "sink late": Ledger(read=4, used=4),
        "sink rejected": Ledger(read=20, used=20),
    }
    edges = [
        edge("sensor_data", "hourly", 177_639),
        edge("hourly", "sink hourly_averages", 29_612),
        edge("hourly", "hourly/filter", 29_612),
        edge("hourly/filter", "sink hot_hours", 100),
        edge("sensor_data", "sensor_data/filter", 177_639),
        edge("sensor_data/filter", "sink alerts", 5_416),
        edge("hourly", "sink late", 4, "late"),
        edge("sensor_data", "sink rejected", 20, "rejected"),
    ]
    paths = {
        "hourly_averages": ["sensor_data", "hourly", "sink hourly_averages"],
        "hot_hours": ["sensor_data", "hourly", "hourly/filter", "sink hot_hours"],
        "alerts": ["sensor_data", "sensor_data/filter", "sink alerts"],
        "late": ["sensor_data", "hourly", "hourly/late", "sink late"],
        "rejected": ["sensor_data", "sensor_data/rejected", "sink rejected"],
    }
    return report(operators, edges, ["sensor_data"], paths)


def test_each_path_is_one_sum_of_the_fates_of_its_input() -> None:
    """Behind an aggregate a new sum begins; the late and rejected outputs say what they take."""
    assert report_lines(example()) == [
        "sensors: the row ledger, in input rows",
        "  sensor_data -> hourly_averages: read 177,659 = used 177,635 + late 4 + rejected 20; wrote 29,612",
        "  sensor_data -> hot_hours: read 177,659 = used 177,635 + late 4 + rejected 20; "
        "gave 29,612 = used 99 + filtered 29,512 + rejected 1; wrote 99",
        "  sensor_data -> alerts: read 177,659 = used 5,416 + filtered 172,223 + rejected 20; wrote 5,416",
        "  sensor_data -> late: read 177,659, of them 4 late; wrote 4",
        "  sensor_data -> rejected: read 177,659, of them 20 rejected; wrote 20",
        "  rejected by sensor_data: wrong_type 12, malformed 8",
        "  rejected by sink hot_hours: refused_by_sink 1",
        "balanced: every operator and every edge",
    ]


def test_a_path_that_is_no_chain_is_told_part_by_part() -> None:
    """Two sources, one with a filter, and a union."""
    operators = {
        "a": Ledger(read=10, used=9, rejected=1, written=9),
        "b": Ledger(read=5, used=5, written=5),
        "a/filter": Ledger(read=9, used=3, filtered=6, written=3),
        "a+b/union": Ledger(read=8, used=8, written=8),
        "sink all": Ledger(read=8, used=8),
    }
    edges = [edge("a", "a/filter", 9), edge("a/filter", "a+b/union", 3), edge("b", "a+b/union", 5), edge("a+b/union", "sink all", 8)]
    made = report(operators, edges, ["a", "b"], {"all": list(operators)})
    assert path_lines(made) == [
        "a, b -> all: wrote 8",
        "  a: read 10 = used 3 + filtered 6 + rejected 1",
        "  b: read 5 = used 5",
        "  a+b/union: read 8 = used 8",
    ]


def test_branches_that_meet_again() -> None:
    """A source with two readers ends a part, for each of them gets all its rows."""
    operators = {
        "a": Ledger(read=4, used=4, written=4),
        "low": Ledger(read=4, used=1, filtered=3, written=1),
        "high": Ledger(read=4, used=2, filtered=2, written=2),
        "union": Ledger(read=3, used=3, written=3),
        "sink out": Ledger(read=3, used=3),
    }
    edges = [edge("a", "low", 4), edge("a", "high", 4), edge("low", "union", 1), edge("high", "union", 2), edge("union", "sink out", 3)]
    assert path_lines(report(operators, edges, ["a"], {"out": list(operators)})) == [
        "a -> out: wrote 3",
        "  a: read 4 = used 4",
        "  low: read 4 = used 1 + filtered 3",
        "  high: read 4 = used 2 + filtered 2",
        "  union: read 3 = used 3",
    ]


def test_rows_in_open_windows_are_held() -> None:
    """A clean stop leaves them in the saved state."""
    operators = {
        "a": Ledger(read=7, used=7, written=7),
        "window": Ledger(read=7, used=5, held=2, written=1),
        "sink out": Ledger(read=1, used=1),
    }
    made = report(operators, [edge("a", "window", 7), edge("window", "sink out", 1)], ["a"], {"out": list(operators)})
    assert path_lines(made) == ["a -> out: read 7 = used 5 + held 2; wrote 1"]


def test_what_does_not_add_up_is_not_shown_as_equal() -> None:
    """And each operator and edge that lost a row has its line."""
    whole = example()
    operators = {**whole.operators, "sensor_data/filter": Ledger(read=177_638, used=5_416, filtered=172_222, written=5_416)}
    edges = tuple(replace(each, read=177_638) if each.reader == "sensor_data/filter" else each for each in whole.edges)
    lines = report_lines(replace(whole, operators=operators, edges=edges))
    assert "  sensor_data -> alerts: read 177,659 is not used 5,416 + filtered 172,222 + rejected 20; wrote 5,416" in lines
    assert lines[-2:] == ["NOT balanced:", "  sensor_data (main) -> sensor_data/filter: written 177639, read 177638, between 0"]


@pytest.mark.parametrize(("before", "rate"), [(0, "14,213"), (177_559, "8"), (200_000, "0")])
def test_the_speed_counts_the_rows_of_this_run(before: int, rate: str) -> None:
    """12.5 seconds: 177,659 / 12.5 is 14,212.7, and 100 / 12.5 is 8."""
    timed = replace(example(), seconds=12.5, peak_memory_bytes=300 * 2**20)
    assert speed_line(timed, read_before=before) == f"12.5 s, {rate} rows/s, peak memory 300 MiB"
    assert report_lines(timed, read_before=before)[-1] == speed_line(timed, read_before=before)


def test_json_has_everything() -> None:
    """And is plain data."""
    data = json.loads(json.dumps(report_json(replace(example(), watermarks={"sensor_data": None}, notes=("a note",)))))
    assert (data["read"], data["late"], data["rejected"], data["balanced"]) == (177_659, 4, 21, True)
    assert data["operators"]["hourly"]["late"] == 4
    assert data["edges"][0] == {"writer": "sensor_data", "port": "main", "reader": "hourly", "written": 177_639, "read": 177_639, "inside": 0}
    assert data["paths"]["alerts"] == ["sensor_data", "sensor_data/filter", "sink alerts"]
    assert (data["watermarks"], data["notes"]) == ({"sensor_data": None}, ["a note"])
