"""Changed copies of a file of readings, the same for the same seed, to compare a pipeline with `compute` on inputs nobody has seen.

    rows = load(file)                                  # in time order
    rows = shuffle_rows(rows, seed)                    # and make_late, add_rows, delete_rows
    save(rows, directory / "readings.ndjson")

Each function takes the lines and gives new ones. `mutate` does all four from one file to another.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.reference.sensors import FUTURE_SKEW_MS_MAX, NOW_MS, Refused, decode, read_bytes, split_lines

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WINDOW_MS = 3_600_000
WATERMARK_MS = 1_200_000
BEFORE_ALL = -(2**63)


class Line(NamedTuple):
    """One line, and its event time in milliseconds; of a record that is no row, that of the row in front of it."""

    data: bytes
    event_time: int
    row: bool


def mutate(file: Path, directory: Path, seed: int, *, added: int = 1_000, deleted: int = 1_000, late: int = 200) -> Path:
    """Write a copy of the file with rows deleted, added, shuffled and made late; returns its path, which has the same name.

    The file is in time order; exactly `late` rows of the copy are late.
    """
    lines = delete_rows(load(file), seed, count=deleted)
    lines = shuffle_rows(add_rows(lines, seed, count=added), seed)
    copy = directory / file.name
    save(make_late(lines, seed, count=late), copy)
    return copy


def load(file: Path) -> list[Line]:
    """The lines of a file, unpacked where its name ends in `.zst`."""
    return timed(split_lines(read_bytes(file)))


def timed(lines: Sequence[bytes]) -> list[Line]:
    """The lines with their event times."""
    result = []
    event_time = BEFORE_ALL
    for data in lines:
        try:
            event_time = decode(data.removesuffix(b"\n"), time_ms_max=NOW_MS + FUTURE_SKEW_MS_MAX)["timestamp"]
            result.append(Line(data, event_time, row=True))
        except Refused:
            result.append(Line(data, event_time, row=False))
    return result


def save(lines: Sequence[Line], file: Path) -> None:
    """Write the lines, packed where the name ends in `.zst`."""
    content = b"".join(line.data for line in lines)
    file.write_bytes(zstd.compress(content) if file.suffix == ".zst" else content)


def shuffle_rows(lines: Sequence[Line], seed: int, *, watermark_ms: int = WATERMARK_MS) -> list[Line]:
    """The lines in an order in which no row is late.

    Each is put where it would arrive with a lag of less than the delay of the watermark, so a row stands only behind rows
    that are newer by less than that delay: the watermark in front of it has not reached its time, let alone its window's end.
    """
    random = Random(f"shuffle {seed}")
    return sorted(lines, key=lambda line: line.event_time + random.randrange(watermark_ms))


def add_rows(lines: Sequence[Line], seed: int, *, count: int = 1_000) -> list[Line]:
    """The lines and `count` new readings among them, each behind a line that is less than ten minutes older.

    Some are of sensors that did not exist, some above 25 degrees, some have no humidity or null. Their times have seconds, so
    that they replace no reading whose time has none.
    """
    random = Random(f"add {seed}")
    rows = [index for index, line in enumerate(lines) if line.row]
    behind: dict[int, list[Line]] = {}
    for _ in range(count):
        place = random.choice(rows)
        event_time = lines[place].event_time + 60_000 * random.randrange(10) + random.randrange(1, 60_000)
        behind.setdefault(place, []).append(Line(_reading(random, event_time), event_time, row=True))
    return [line for index, old in enumerate(lines) for line in (old, *behind.get(index, ()))]


def delete_rows(lines: Sequence[Line], seed: int, *, count: int = 1_000) -> list[Line]:
    """The lines without `count` of the rows."""
    random = Random(f"delete {seed}")
    gone = set(random.sample([index for index, line in enumerate(lines) if line.row], count))
    return [line for index, line in enumerate(lines) if index not in gone]


def make_late(lines: Sequence[Line], seed: int, *, count: int = 200, window_ms: int = WINDOW_MS, watermark_ms: int = WATERMARK_MS) -> list[Line]:
    """The lines with `count` rows moved back to where the watermark in front of them has closed their window.

    Rows near the end, whose window nothing closes, stay where they are.
    """
    random = Random(f"late {seed}")
    times = [line.event_time if line.row else BEFORE_ALL for line in lines]
    closes = [time // window_ms * window_ms + window_ms - 1 + watermark_ms for time in times]
    newest = sorted(times)[-count - 1]  # However the rows are chosen, one that is at least so new stays in its place.
    chosen = set(random.sample([index for index, line in enumerate(lines) if line.row and closes[index] <= newest], count))
    kept = [line for index, line in enumerate(lines) if index not in chosen]
    event_time_max = list(accumulate((line.event_time if line.row else BEFORE_ALL for line in kept), max, initial=BEFORE_ALL))
    before: dict[int, list[Line]] = {}
    for index in sorted(chosen):
        first = bisect_left(event_time_max, closes[index])
        before.setdefault(random.randint(first, min(first + 1_000, len(kept))), []).append(lines[index])
    return [line for index in range(len(kept) + 1) for line in (*before.get(index, ()), *kept[index : index + 1])]


def _reading(random: Random, event_time: int) -> bytes:
    reading: dict[str, object] = {
        "sensor_id": random.randint(1, 12),
        "temperature": round(random.uniform(15.0, 30.0), random.randrange(1, 15)),
        "timestamp": datetime.fromtimestamp(event_time / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    humidity = random.choice(("missing", None, round(random.uniform(20.0, 90.0), 3)))
    if humidity != "missing":
        reading["humidity"] = humidity
    return json.dumps(reading).encode() + b"\n"
