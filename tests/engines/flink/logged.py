"""Records whose log says when it took them, and what becomes of each: worked out by hand, for both engines."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from fluxline import Pipeline, Schema
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.plan.nodes import Plan
    from tests.engines.flink.live import Row


class Logged(Schema):
    id: int
    at: datetime


DAY_MS = 86_400_000
FIRST_MS = 1_767_225_600_000  # 2026-01-01
RECORDS: tuple[tuple[bytes, int], ...] = (
    (b'{"id": 1, "at": "2026-01-01T00:00:00Z"}', FIRST_MS),
    (b'{"id": 2, "at": "2026-01-03T00:00:00.001Z"}', FIRST_MS + DAY_MS),  # A day and a millisecond ahead; a clock of today has passed it.
    (b'{"id": 3, "at": "2026-01-03T00:00:00Z"}', FIRST_MS + DAY_MS),  # A day ahead, and no more.
    (b'{"id": 4, "at": "2099-01-02T00:00:00Z"}', 4_070_908_800_000),  # Logged on 2099-01-01, which no clock has reached.
    (b'{"id": 5\r', FIRST_MS),
    (b'{"id": 6\r\n', FIRST_MS),
)
KEPT = [1, 3, 4]
REJECTED = [("malformed", RECORDS[4][0], 4), ("malformed", RECORDS[5][0], 5), ("too_far_ahead", RECORDS[1][0], 1)]
"""Reason, bytes to the last one, and position."""


def plan() -> Plan:
    """What is read, and what is not."""
    pipeline = Pipeline("logged")
    rows = pipeline.source("rows", schema=Logged, event_time="at", watermark="1 second", max_future_skew="1 day")
    rows.select("id").sink("kept")
    rows.rejected.sink("bad")
    return apply_rules(pipeline._plan())


def fill(servers: str, topic: str) -> None:
    """Put the records into the first partition, each with its time."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    refused: list[object] = []
    for value, logged_ms in RECORDS:
        producer.produce(topic, value, partition=0, timestamp=logged_ms, on_delivery=lambda error, _message: refused.append(error))
    assert producer.flush(30) == 0
    assert refused == [None] * len(RECORDS)


def check(found: Mapping[str, Sequence[Row]]) -> None:
    """Compare what came out of either engine."""
    assert sorted(row[0] for row in found["kept"]) == KEPT
    assert sorted((row[2], row[5], row[7]) for row in found["bad"]) == REJECTED
