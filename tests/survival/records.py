"""The records of a drill, and what has to come out of them, by a plain loop over records that knows nothing of engines.

A record is judged by those before it in its partition: it is late where the watermark, two seconds behind the furthest of them, has passed the
last millisecond of its window.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SENSORS = 120
STEP_MS = 10
JITTER_MS = 900  # Either way; together less than the delay of the watermark, so that only planted records are late.
DELAY_MS = 2_000
WINDOW_MS = 5_000
LATE_BY_MS = 30_000
LATE_EACH, BROKEN_EACH = 389, 521
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the input.

    Attributes:
        number: its place in the input.
        sensor: which measured; it decides the partition.
        value: what was measured.
        at_ms: when, in milliseconds since 1970.
        broken: why it has to be rejected; empty if it is sound.
    """

    number: int
    sensor: int
    value: int
    at_ms: int
    broken: str = ""

    def line(self) -> bytes:
        """The record as it goes into the topic."""
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.at_ms)
        written: dict[str, object] = {"number": self.number, "sensor": self.sensor, "value": self.value, "at": text_of(at)}
        if self.broken == "missing":
            del written["value"]
        elif self.broken == "wrong_type":
            written["value"] = str(self.value)
        text = json.dumps(written).encode()
        return text[:-1] if self.broken == "malformed" else text


@dataclass(slots=True)
class Outputs:
    """What is in the outputs of a drill, each row as often as it is there.

    Attributes:
        copies: number, sensor, value, time and next value of every sound record.
        totals: sensor, beginning of the window, end, records and sum.
        late: number, sensor, value and time of late records.
        rejected: partition, offset, reason and bytes.
    """

    copies: Counter[Row] = field(default_factory=Counter)
    totals: Counter[Row] = field(default_factory=Counter)
    late: Counter[Row] = field(default_factory=Counter)
    rejected: Counter[Row] = field(default_factory=Counter)


def text_of(at: datetime) -> str:
    """A time as it is written in JSON."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_records(count: int, seed: int) -> list[Record]:
    """So many records, some of them late and some broken; the same for the same seed."""
    draw = random.Random(seed)
    begin_ms = round(BEGIN.timestamp() * 1_000)
    kinds = ("malformed", "wrong_type", "missing")
    found = []
    for number in range(count):
        at_ms = begin_ms + number * STEP_MS + draw.randint(-JITTER_MS, JITTER_MS)
        if number % LATE_EACH == LATE_EACH - 1 and number * STEP_MS > LATE_BY_MS:
            at_ms -= LATE_BY_MS
        broken = kinds[number // BROKEN_EACH % 3] if number % BROKEN_EACH == BROKEN_EACH - 1 else ""
        found.append(Record(number, draw.randrange(SENSORS), draw.randrange(1_000), at_ms, broken))
    return found


def expected(partitioned: Iterable[Sequence[Record]]) -> Outputs:
    """What has to come out of the records of each partition, in their order."""
    outputs, sums = Outputs(), dict[tuple[int, int], list[int]]()
    for partition, records in enumerate(partitioned):
        watermark = -(2**63)
        for offset, record in enumerate(records):
            if record.broken:
                outputs.rejected[partition, offset, record.broken, record.line()] += 1
                continue
            outputs.copies[record.number, record.sensor, record.value, record.at_ms, record.value + 1] += 1
            start = record.at_ms // WINDOW_MS * WINDOW_MS
            if start + WINDOW_MS - 1 <= watermark:
                outputs.late[record.number, record.sensor, record.value, record.at_ms] += 1
            else:
                found = sums.setdefault((record.sensor, start), [0, 0])
                found[0] += 1
                found[1] += record.value
            watermark = max(watermark, record.at_ms - DELAY_MS)
    outputs.totals.update((sensor, start, start + WINDOW_MS, *found) for (sensor, start), found in sums.items())
    return outputs
