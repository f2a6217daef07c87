"""The sensors example from end to end, against a second computation record by record in plain Python."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from fluxline.pipeline.discovery import find_pipelines
from tests.end_to_end.projects import EXAMPLE, assert_ledger, assert_outputs, copy_example, run, sensors, stored_averages, write_project
from tests.reference.mutate import mutate
from tests.reference.sensors import compute, read_bytes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 30,000 readings of the example: 23 days of nine sensors."""
    file = tmp_path_factory.mktemp("readings") / "readings.ndjson"
    file.write_bytes(b"".join(read_bytes(EXAMPLE / "data/readings.ndjson.zst").splitlines(keepends=True)[:30_000]))
    return file


def files(directory: Path) -> list[Path]:
    """The input of a project."""
    return sorted((directory / "data").glob("*.ndjson*"))


def test_the_example_as_it_stands(tmp_path: Path) -> None:
    """Every output and the ledger; a second fresh run gives the same again and names what it clears."""
    project = copy_example(tmp_path / "sensors")
    expected = compute(files(project))
    (pipeline,) = find_pipelines(str(project / "sensors.py"))
    report = run(pipeline, project)
    assert_outputs(project, expected)
    assert_ledger(report, expected)
    assert (report.late, report.rejected) == (4, 20)
    averages_before = stored_averages(project)
    alerts = (project / "out/alerts.ndjson").read_bytes()
    assert alerts.count(b"\n") == 5_416
    report = run(pipeline, project, fresh=True)
    assert_ledger(report, expected)
    assert stored_averages(project) == averages_before
    assert sorted((project / "out/alerts.ndjson").read_bytes().splitlines()) == sorted(alerts.splitlines())
    assert '--fresh clears file "' in report.notes[0]
    assert "alerts.ndjson" in report.notes[0]
    assert '--fresh clears table "sensor_readings" of .fluxline/dev/tables.duckdb: 177,635 rows' in report.notes


@pytest.mark.parametrize("seed", [1, 2])
def test_inputs_that_nobody_has_seen(seed: int, readings: Path, tmp_path: Path) -> None:
    """Shuffled within the delay, 1,000 rows more and 1,000 fewer, 200 late."""
    project = write_project(tmp_path)
    mutate(readings, project / "data", seed)
    shutil.copy(EXAMPLE / "data/extra.ndjson", project / "data")
    expected = compute(files(project))
    assert len(expected.late) == 204
    report = run(sensors(), project, fresh=True)
    assert_outputs(project, expected)
    assert_ledger(report, expected)


@pytest.mark.parametrize(
    ("threshold", "window", "window_ms", "watermark", "watermark_ms"),
    [(22.1, "7 minutes", 420_000, "2 minutes", 120_000), (26.0, "1 day", 86_400_000, "0 seconds", 0)],
)
def test_another_threshold_window_and_delay(
    threshold: float, window: str, window_ms: int, watermark: str, watermark_ms: int, readings: Path, tmp_path: Path
) -> None:
    """On shuffled readings, so that with the shorter delays many are late."""
    project = write_project(tmp_path)
    copy = mutate(readings, project / "data", 3, late=500)
    copy.write_bytes(b"".join(copy.read_bytes().splitlines(keepends=True)[:20_000]))
    expected = compute(files(project), threshold=threshold, window_ms=window_ms, watermark_ms=watermark_ms)
    assert len(expected.late) > 40
    report = run(sensors(threshold=threshold, window=window, watermark=watermark), project, fresh=True)
    assert_outputs(project, expected)
    assert_ledger(report, expected)
