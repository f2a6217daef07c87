"""The embedded engine judges who is too far ahead by when a topic logged a record, and shows rejected records to their last byte."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fluxline.batch import Batch, Column
from fluxline.clock import VirtualClock
from fluxline.connectors.base import Bytes
from fluxline.engines.embedded.decode import DecodeStep
from fluxline.engines.embedded.source import Raw
from fluxline.formats.base import Decoded
from tests.connectors.brokers import broker
from tests.engines.flink import logged
from tests.engines.flink.live import run_embedded


def test_rows_that_are_too_far_ahead_of_their_log() -> None:
    """Over brokers in this process; the job's clock is today's."""
    broker().create("logged", 1)
    servers = ",".join(broker().servers)
    logged.fill(servers, "logged")
    live: Any = SimpleNamespace(stack=SimpleNamespace(kafka=SimpleNamespace(bootstrap=servers)))
    found, report = run_embedded(live, logged.plan(), {"rows": "logged"})
    logged.check(found)
    assert report.imbalances() == []
    assert (report.read, report.rejected) == (6, 3)


@pytest.mark.parametrize(("logged_ms", "kept"), [(None, [0, 1]), ([-1, -1, -1], [0, 1]), ([0, 0, 5_000], [0, 2]), ([-1, 0, 0], [0])])
def test_a_record_of_which_the_log_does_not_tell_is_judged_by_the_clock(logged_ms: list[int] | None, kept: list[int]) -> None:
    """The clock stands at 1 s, the bound is a day: rows at 0 s, at a day and half a second, and at a day and 2 s."""
    (scan,) = logged.plan().scans()
    times = np.array([0, logged.DAY_MS + 500, logged.DAY_MS + 2_000], dtype="datetime64[ms]")
    columns = {"id": Column(np.array([0, 1, 2], dtype=np.int64)), "at": Column(times)}
    decoder: Any = SimpleNamespace(decode=lambda _data, _bounds: Decoded(columns, 3, None, ()))
    told = None if logged_ms is None else np.array(logged_ms, dtype=np.int64)
    bounds = np.zeros(4, dtype=np.int64)
    judged = DecodeStep(scan, VirtualClock(1_000)).decode(decoder, Bytes(b"", 0, bounds, bounds[1:], logged_ms=told), bounds, "0")
    assert isinstance(judged.batch, Batch)
    ids = judged.batch.columns["id"].values
    assert isinstance(ids, np.ndarray)
    assert ids.tolist() == kept
    assert [reject.index for reject in judged.rejects] == [index for index in range(3) if index not in kept]


@pytest.mark.parametrize(
    ("data", "lines", "record"),
    [
        (b"a\r\n", True, b"a"),
        (b"a\n", True, b"a"),
        (b"a\r\r\n", True, b"a\r"),
        (b"a\r\n", False, b"a\r"),
        (b"a\n\n", False, b"a\n"),
        (b"a", True, b"a"),
    ],
)
def test_what_stands_between_records_is_not_theirs(data: bytes, lines: bool, record: bytes) -> None:
    assert Raw(data, np.array([0, len(data)], dtype=np.int64), lines=lines).record(0) == record
