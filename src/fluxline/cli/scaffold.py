"""The files of a new project: a small pipeline that runs, its data, its test, and what says where everything lives.

The input holds one record that is cut off and one that comes too late, so that the first run shows where such rows go.
"""

from __future__ import annotations

from string import Template


def project_files(name: str, version: str) -> dict[str, str]:
    """Path -> text of every file of a project.

    Args:
        name: of the pipeline and its Python file.
        version: of Fluxline, which the project asks for.
    """
    minor = ".".join(version.split(".")[:2])
    values = {"name": name, "requires": f">={minor}"}
    return {Template(path).substitute(values): Template(text).substitute(values) for path, text in _FILES.items()}


_PROJECT = """\
# Where the names of the pipelines live. `fluxline env show dev` prints what holds; `fluxline connectors` has the systems.

[project]
name = "$name"
requires = "$requires"
pipelines = ["pipelines/*.py"]
default_environment = "dev"

[environments.dev]                # files in, tables of the embedded store out
engine = "embedded"
topics = "files"                  # where sources, and sinks without a key, live
tables = "store"                  # where sinks with a key live

[environments.dev.connections]
files = { connector = "filesystem", path = "data/{name}.ndjson", format = "json" }
store = { connector = "store", path = ".fluxline/{environment}/tables.duckdb" }

[environments.dev.bindings]       # what lives elsewhere, name by name
alerts = { connection = "store" }
late_readings = { connection = "store" }
rejected = { connection = "store" }
"""

_PIPELINE = '''\
"""Readings of sensors: an average for every sensor and hour, and an alert for every hot reading."""

from datetime import datetime

from fluxline import Pipeline, Schema, col, concat, count, tumble


class Reading(Schema):
    """One reading, as the sensors send it."""

    sensor_id: int
    temperature: float
    humidity: float | None
    timestamp: datetime


pipeline = Pipeline("$name", description="Hourly averages and alerts of sensor readings")

# Readings may come up to ten minutes out of order; later ones are late.
readings = pipeline.source("readings", schema=Reading, event_time="timestamp", watermark="10 minutes")

hourly = readings.window(tumble("1 hour")).group_by("sensor_id").agg(mean=col("temperature").avg(), readings=count())
averages = hourly.sink("hourly_averages", key=["sensor_id", "window_start"])

alerts = (
    readings.filter(col("temperature") > 25)
    .with_columns(message=concat("sensor ", col("sensor_id"), " reads ", col("temperature"), " °C"))
    .sink("alerts")
)

# Nothing vanishes: what comes too late for its hour, and what is no reading, has a table too.
late = hourly.late.sink("late_readings")
rejected = readings.rejected.sink("rejected")
'''

_DATA = """\
{"sensor_id": 1, "temperature": 21.0, "humidity": 40.5, "timestamp": "2024-06-07T08:05:00Z"}
{"sensor_id": 2, "temperature": 24.0, "humidity": 43.0, "timestamp": "2024-06-07T08:10:00Z"}
{"sensor_id": 1, "temperature": 22.0, "humidity": 40.0, "timestamp": "2024-06-07T08:35:00Z"}
{"sensor_id": 2, "temperature": 25.5, "humidity": 42.5, "timestamp": "2024-06-07T08:40:00Z"}
{"sensor_id": 1, "temperature": 23.0, "humidity": 39.5, "timestamp": "2024-06-07T09:05:00Z"}
{"sensor_id": 2, "temperature": 26.0, "humid
{"sensor_id": 2, "temperature": 26.5, "humidity": 42.0, "timestamp": "2024-06-07T09:12:00Z"}
{"sensor_id": 1, "temperature": 21.5, "humidity": 40.0, "timestamp": "2024-06-07T08:55:00Z"}
{"sensor_id": 1, "temperature": 24.0, "humidity": 39.0, "timestamp": "2024-06-07T09:35:00Z"}
{"sensor_id": 2, "temperature": 27.0, "humidity": 41.5, "timestamp": "2024-06-07T09:40:00Z"}
{"sensor_id": 1, "temperature": 25.0, "humidity": 38.5, "timestamp": "2024-06-07T10:05:00Z"}
{"sensor_id": 2, "temperature": 24.5, "humidity": null, "timestamp": "2024-06-07T10:10:00Z"}
"""

_TEST = '''\
"""The pipeline on a clock that the test moves: no files, no waiting."""

from fluxline.testing import Drive, utc
from pipelines.$name import Reading, alerts, averages, late, pipeline, readings


def reading(time: str, temperature: float) -> Reading:
    """A reading of sensor 1 on one day."""
    return Reading(sensor_id=1, temperature=temperature, humidity=None, timestamp=utc(f"2024-06-07T{time}Z"))


def test_an_hour_comes_out_when_it_has_ended(drive: Drive) -> None:
    run = drive(pipeline, now="2024-06-07T12:00Z")
    run.push(readings, [reading("08:05", 20.0), reading("08:35", 23.0)])
    assert run.rows(averages) == []

    run.push(readings, reading("09:15", 22.0))  # the watermark is 09:05 now
    assert [(row["window_start"].hour, row["mean"], row["readings"]) for row in run.rows(averages)] == [(8, 21.5, 2)]

    run.push(readings, reading("08:50", 24.0))  # its hour is over
    assert [row["temperature"] for row in run.rows(late)] == [24.0]

    run.finish()
    assert [(row["window_start"].hour, row["mean"]) for row in run.rows(averages)] == [(8, 21.5), (9, 22.0)]


def test_only_hot_readings_raise_an_alert(drive: Drive) -> None:
    run = drive(pipeline, now="2024-06-07T12:00Z")
    run.push(readings, [reading("08:00", 25.0), reading("08:10", 25.5)])
    assert [row["message"] for row in run.rows(alerts)] == ["sensor 1 reads 25.5 °C"]
'''

_README = """\
# $name

Readings of sensors come from `data/readings.ndjson`; an average for every sensor and hour, and an alert for every reading
above 25 °C, go to tables of the embedded store.

    fluxline check                     is the definition right?
    fluxline explain                   how will it run, and what is guaranteed?
    fluxline run --bounded             run it; the row ledger at the end says where every row went
    fluxline query "select * from hourly_averages"
    fluxline status                    how did the last run end?
    pytest                             the tests, on a clock that they move

One record of the input is cut off and one comes too late for its hour. They are not lost:

    fluxline query "select reason, detail from rejected"
    fluxline query "select * from late_readings"

A second run goes on where the first one stopped, and finds nothing new. `fluxline run --bounded --fresh` starts over.

| file | what it is |
| --- | --- |
| `pipelines/$name.py` | what the pipeline does |
| `fluxline.toml` | where the names of the pipeline live, environment by environment |
| `data/readings.ndjson` | the input |
| `tests/test_$name.py` | tests that move the clock |
| `.fluxline/` | what runs leave: tables, saved positions, logs; not for version control |
"""

_IGNORE = """\
.fluxline/
.pytest_cache/
__pycache__/
"""

_PYTEST = """\
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

_FILES = {
    "fluxline.toml": _PROJECT,
    "pipelines/$name.py": _PIPELINE,
    "data/readings.ndjson": _DATA,
    "tests/test_$name.py": _TEST,
    "README.md": _README,
    "pyproject.toml": _PYTEST,
    ".gitignore": _IGNORE,
}
