"""The records that live tests run over."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from fluxline import Schema

RECORDS = 1_200
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class Reading(Schema):
    id: int
    name: str | None
    value: int | None
    at: datetime


def make_records(partitions: int) -> dict[int, list[dict[str, Any]]]:
    """Shuffled within two seconds, every 25th record half a minute behind, NULL names and values, one name that occurs once."""
    random = Random(partitions)
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in range(partitions)}
    for index in range(RECORDS):
        behind_ms = 30_000 if index % 25 == 24 else random.randrange(2_000)
        at_ms = START_MS + index * 100 - behind_ms
        name = "once" if index == 600 else random.choice(["ann", "bob", "cat", None])
        stamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        value = None if index % 11 == 0 else random.randrange(100)
        found[random.randrange(partitions)].append({"id": index, "name": name, "value": value, "at": stamp})
    return found
