"""Several files of one source: each has its own watermark, whatever the others do; packed or not, open at once or not."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING

import pytest

from fluxline import control
from tests.end_to_end.processes import read_all
from tests.end_to_end.projects import EXAMPLE, assert_ledger, assert_outputs, bag, run, sensors, stored_averages, timed_lines, write_project
from tests.reference.mutate import make_late, shuffle_rows, timed
from tests.reference.sensors import compute, read_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACK: dict[str, Callable[[bytes], bytes]] = {".zst": zstd.compress, ".gz": gzip.compress}


@pytest.fixture(scope="module")
def readings() -> list[bytes]:
    """21,600 readings of the example: what nine sensors measured in 16 days and 16 hours."""
    return read_bytes(EXAMPLE / "data/readings.ndjson.zst").splitlines(keepends=True)[:21_600]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 16 KiB, so that the files are read in turns many times."""
    monkeypatch.setattr("fluxline.connectors.filesystem.readers.BLOCK_BYTES_MAX", 16 * 1024)


@pytest.fixture
def files(readings: list[bytes]) -> dict[str, bytes]:
    """Three files that share sensors and hours and no reading: of different speed, in order, shuffled, and with late rows and misfits."""
    quick = [line for index, line in enumerate(readings) if index % 6 == 0]
    shuffled = shuffle_rows(timed([line for index, line in enumerate(readings) if index % 6 in {1, 2}]), 11)
    late = make_late(shuffle_rows(timed([line for index, line in enumerate(readings) if index % 6 in {3, 4, 5}]), 12), 13, count=70)
    misfits = [line.data + (b"[]\n" if index % 500 == 0 else b"") for index, line in enumerate(late)]
    return {"a.ndjson": b"".join(quick), "b.ndjson": b"".join(line.data for line in shuffled), "c.ndjson": b"".join(misfits)}


def reference(directory: Path, files: dict[str, bytes]) -> list[Path]:
    """The unpacked files for the second computation, which unpacks `.zst` alone."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(zstd.compress(content) if name.endswith(".zst") else content)
    return [directory / name for name in files]


def grow(file: Path, content: bytes) -> None:
    """Write to the end of a file what it lacks of this content."""
    with file.open("ab") as out:
        out.write(content[out.tell() :])


@pytest.mark.parametrize("suffixes", [(".zst", "", ".gz"), (".gz", ".zst", "")])
def test_every_file_has_its_own_time(suffixes: tuple[str, ...], files: dict[str, bytes], tmp_path: Path) -> None:
    """The slowest holds the windows open for all; a row is late by its own file alone."""
    project = write_project(tmp_path)
    named = {name + suffix: content for (name, content), suffix in zip(files.items(), suffixes, strict=True)}
    for (name, content), suffix in zip(named.items(), suffixes, strict=True):
        (project / "data" / name).write_bytes(PACK[suffix](content) if suffix else content)
    expected = compute(reference(tmp_path / "reference", named))
    assert len(expected.late) == 70
    report = run(sensors(), project)
    assert_outputs(project, expected)
    assert_ledger(report, expected)


def test_stops_between_files_that_grow(files: dict[str, bytes], tmp_path: Path) -> None:
    """Each file is left in the middle of a line, at another share of its length."""
    project = write_project(tmp_path, 'path = "data/*.ndjson", follow = true')
    for shares in ((0.2, 0.5, 0.3), (0.9, 0.5, 0.6)):
        for (name, content), share in zip(files.items(), shares, strict=True):
            grow(project / "data" / name, content[: int(len(content) * share)])
        job = control.start(sensors()._plan(), project)
        read_all(job, sum((project / "data" / name).read_bytes().count(b"\n") for name in files))
        assert job.stop().imbalances() == []
    for name, content in files.items():
        grow(project / "data" / name, content)
    expected = compute([project / "data" / name for name in files])
    report = run(sensors(), project)
    assert_outputs(project, expected)
    assert_ledger(report, expected)


@pytest.mark.parametrize("order", [1, -1])
def test_more_files_than_may_be_open(order: int, readings: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file a day, two open at a time. In the order of time all is as with one file; against it rows may be late, and all are accounted for."""
    monkeypatch.setattr("fluxline.engines.embedded.source.FILES_OPEN_MAX", 2)
    project = write_project(tmp_path)
    days = [b"".join(readings[start : start + 2_700]) for start in range(0, len(readings), 2_700)]
    for number, content in enumerate(days[::order]):
        (project / f"data/{number}.ndjson").write_bytes(content)
    expected = compute(sorted((project / "data").glob("*")))
    report = run(sensors(), project)
    assert report.read == len(readings)
    assert report.positions["sensor_data"] == {f"{number}.ndjson": len(content) for number, content in enumerate(days[::order])}
    assert bag(timed_lines(project / "out/alerts.ndjson")) == bag(expected.alerts)
    assert sum(row[4] for row in stored_averages(project)) + report.late == len(readings)
    assert (report.late > 0) == (order < 0)
    if order > 0:
        assert_outputs(project, expected)
        assert_ledger(report, expected)
