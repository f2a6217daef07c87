"""The changed inputs: as many rows added, gone and late as asked, the same for the same seed, and nothing else late."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from tests.reference.mutate import WATERMARK_MS, Line, add_rows, delete_rows, make_late, mutate, save, shuffle_rows, timed
from tests.reference.sensors import compute, read_bytes, split_lines

READINGS = Path(__file__).parents[2] / "examples" / "sensors" / "data" / "readings.ndjson.zst"
COUNT = 5_400  # 600 instants of 9 sensors: four days and four hours.


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    """The first readings, and one broken line among them."""
    found = split_lines(read_bytes(READINGS))[:COUNT]
    return timed([*found[:100], b"{\n", *found[100:]])


def saved(lines: list[Line], directory: Path) -> Path:
    file = directory / "readings.ndjson"
    save(lines, file)
    return file


def test_shuffled_rows_give_the_same_outputs_and_none_is_late(lines: list[Line], tmp_path: Path) -> None:
    shuffled = shuffle_rows(lines, 1)
    assert Counter(shuffled) == Counter(lines)
    newest = accumulate((line.event_time for line in shuffled), max)
    lags = [before - line.event_time for before, line in zip(newest, shuffled, strict=True)]
    assert WATERMARK_MS / 2 <= max(lags) < WATERMARK_MS  # ten minutes: rows did change places with the next instant's
    before, after = compute([saved(lines, tmp_path)]), compute([saved(shuffled, tmp_path)])
    assert after.averages == before.averages
    assert after.readings == before.readings
    assert after.late == []
    assert after.read == COUNT + 1
    assert after.rejected_by_reason() == {"malformed": 1}


def test_deleted_and_added_rows_are_counted(lines: list[Line], tmp_path: Path) -> None:
    fewer = delete_rows(lines, 2, count=700)
    assert len(Counter(fewer) - Counter(lines)) == 0
    assert compute([saved(fewer, tmp_path)]).read == COUNT + 1 - 700
    more = compute([saved(add_rows(lines, 2, count=700), tmp_path)])
    assert more.read == COUNT + 1 + 700
    assert len(more.readings) == COUNT + 700
    assert more.late == []
    assert more.rejected_by_reason() == {"malformed": 1}
    assert {sensor_id for sensor_id, _ in more.readings} == set(range(1, 13))
    assert len(more.alerts) > len(compute([saved(lines, tmp_path)]).alerts)


def test_as_many_rows_are_late_as_asked(lines: list[Line], tmp_path: Path) -> None:
    late = make_late(lines, 3, count=150)
    assert Counter(late) == Counter(lines)
    before, after = compute([saved(lines, tmp_path)]), compute([saved(late, tmp_path)])
    assert len(after.late) == 150
    assert sum(item[4] for item in after.averages) == COUNT - 150
    assert after.readings == before.readings


@pytest.mark.parametrize("name", ["readings.ndjson", "readings.ndjson.zst"])
def test_all_at_once(lines: list[Line], tmp_path: Path, name: str) -> None:
    save(lines, tmp_path / name)
    copies = []
    for directory, seed in (("one", 7), ("again", 7), ("other", 8)):
        (tmp_path / directory).mkdir()
        copies.append(mutate(tmp_path / name, tmp_path / directory, seed))
    one, again, other = (read_bytes(copy) for copy in copies)
    assert one == again != other
    expected = compute([copies[0]])
    assert copies[0] == tmp_path / "one" / name
    assert expected.read == COUNT + 1
    assert len(expected.late) == 200
    assert sum(item[4] for item in expected.averages) == COUNT - 200
