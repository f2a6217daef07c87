"""Projects on the disk for end-to-end tests: the sensors pipeline by parts, its outputs read back, and the second computation."""

from __future__ import annotations

import base64
import json
import math
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxline import Pipeline, Schema, col, concat, control, count, tumble
from fluxline.control.run import RunOptions
from fluxline.store.client import query
from tests.reference.sensors import time_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fluxline.telemetry import Report
    from tests.reference.sensors import Expected

EXAMPLE = Path(__file__).parents[2] / "examples" / "sensors"
STORE = ".fluxline/dev/tables.duckdb"
PROJECT = """\
[project]
name = "sensors"
pipelines = ["sensors.py"]
default_environment = "dev"

[environments.dev]
engine = "embedded"
topics = "files"
tables = "store"
embedded = { directory = ".fluxline/{environment}" }
connections.files = { connector = "filesystem", path = "out/{name}.ndjson", format = "json" }
connections.store = { connector = "store", path = ".fluxline/{environment}/tables.duckdb" }

[environments.dev.bindings]
"""


class Reading(Schema):
    sensor_id: int
    temperature: float
    humidity: float | None
    timestamp: datetime


def sensors(*, threshold: float = 25.0, window: str = "1 hour", watermark: str = "20 minutes") -> Pipeline:
    """The pipeline of the example, with another threshold, window or delay if asked for."""
    pipeline = Pipeline("sensors")
    readings = pipeline.source("sensor_data", schema=Reading, event_time="timestamp", watermark=watermark, idle_after="30 seconds")
    hot = readings.filter(col("temperature") > threshold)
    hot.with_columns(message=concat("High temperature detected - ", col("temperature"), "°C")).sink("alerts")
    averages = readings.window(tumble(window)).group_by("sensor_id").agg(mean=col("temperature").avg(), readings=count())
    averages.sink("hourly_averages", key=["sensor_id", "window_start"])
    readings.sink("sensor_readings", key=["sensor_id", "timestamp"])
    averages.late.sink("late_readings")
    readings.rejected.sink("rejected_readings")
    return pipeline


def write_project(directory: Path, source: str = 'path = "data/*.ndjson*"', more: str = "") -> Path:
    """A project file for the sensors pipeline, and an empty directory for its data."""
    (directory / "data").mkdir(parents=True, exist_ok=True)
    (directory / "fluxline.toml").write_text(f"{PROJECT}sensor_data = {{ {source} }}\n{more}")
    return directory


def copy_example(directory: Path) -> Path:
    """The example as it stands in the repository, without what runs of it left there."""
    return shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns(".fluxline", "out", "__pycache__"))


def run(pipeline: Pipeline, directory: Path, *, bounded: bool = True, **options: Any) -> Report:
    """Run to the end of the input; the row ledger balances."""
    report = control.run(pipeline._plan(), directory, options=RunOptions(bounded=bounded, **options))
    assert report.imbalances() == []
    return report


def reading(sensor_id: int, time: str, temperature: float, humidity: float | None = 40.0) -> bytes:
    """One line of input; the time is one of 2024-06-07, as `10:05:00`."""
    row = {"sensor_id": sensor_id, "temperature": temperature, "humidity": humidity, "timestamp": f"2024-06-07T{time}Z"}
    return json.dumps(row).encode() + b"\n"


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none if it is not there. A line that is cut off fails."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def timed_lines(path: Path) -> list[dict[str, Any]]:
    """Readings or alerts of a file, their timestamp in milliseconds."""
    return [{**row, "timestamp": time_ms(row["timestamp"])} for row in lines(path)]


def bag(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Rows without regard to their order, to compare."""
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def rejected(directory: Path) -> Counter[tuple[str, int, str, bytes]]:
    """File, position, reason and bytes of the rejected records."""
    rows = lines(directory / "out/rejected_readings.ndjson")
    return Counter((row["partition"], row["position"], row["reason"], base64.b64decode(row["record"])) for row in rows)


def milliseconds(value: datetime) -> int:
    """Milliseconds since 1970 of an instant; one without a zone is in UTC."""
    instant = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return round(instant.timestamp() * 1_000)


def stored_averages(directory: Path) -> list[tuple[int, int, int, float, int]]:
    """The rows of the table of averages, by sensor and window."""
    columns = "sensor_id, window_start, window_end, mean, readings"
    rows = query(directory / STORE, f"SELECT {columns} FROM hourly_averages ORDER BY sensor_id, window_start").rows()
    return [(sensor, milliseconds(start), milliseconds(end), mean, readings) for sensor, start, end, mean, readings in rows]


def stored_readings(directory: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """The rows of the table of readings, by key."""
    frame = query(directory / STORE, 'SELECT sensor_id, epoch_ms("timestamp"::TIMESTAMP) AS "timestamp", temperature, humidity FROM sensor_readings')
    return {(row["sensor_id"], row["timestamp"]): row for row in frame.iter_rows(named=True)}


def assert_outputs(directory: Path, expected: Expected) -> None:
    """Every file and table holds exactly what the second computation gives."""
    out = directory / "out"
    assert bag(timed_lines(out / "alerts.ndjson")) == bag(expected.alerts)
    assert bag(timed_lines(out / "late_readings.ndjson")) == bag(expected.late)
    wanted = Counter((record.file, record.position, record.reason, record.record.removesuffix(b"\r")) for record in expected.rejected)
    assert rejected(directory) == wanted
    averages = stored_averages(directory)
    assert [(*row[:3], row[4]) for row in averages] == [(*row[:3], row[4]) for row in expected.averages]
    for mine, other in zip(averages, expected.averages, strict=True):
        assert math.isclose(mine[3], other[3], rel_tol=1e-12), (mine, other)
    assert stored_readings(directory) == expected.readings


def assert_ledger(report: Report, expected: Expected) -> None:
    """The ledger tells the fate of every record that the second computation tells; at the end of the input nothing is held."""
    healthy = expected.read - len(expected.rejected)
    assert report.imbalances() == []
    assert report.read == expected.read
    assert (report.late, report.rejected) == (len(expected.late), len(expected.rejected))
    source = report.operators["sensor_data"]
    assert (source.used, source.filtered, source.held, source.reasons) == (healthy, 0, 0, expected.rejected_by_reason())
    assert report.written == {
        "alerts": len(expected.alerts),
        "hourly_averages": len(expected.averages),
        "sensor_readings": healthy,
        "late_readings": len(expected.late),
        "rejected_readings": len(expected.rejected),
    }
    (window,) = [ledger for name, ledger in report.operators.items() if "/aggregate/" in name]
    assert (window.read, window.late, window.used, window.held) == (healthy, len(expected.late), healthy - len(expected.late), 0)
    hot = report.operators["sensor_data/filter"]
    assert (hot.used, hot.filtered) == (len(expected.alerts), healthy - len(expected.alerts))
