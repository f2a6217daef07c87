"""What `fluxline jobs` says of sources, and what is kept for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fluxline.cli.jobs import as_json, lines_of, source_line
from fluxline.control.deployment import Deployment, DeploymentDirectory, RelayRecord
from fluxline.control.jobs import JobStatus
from fluxline.control.ledger import SourceCount, SourceRecord
from fluxline.control.worker_state import Watched, WatcherState
from fluxline.engines.worker.drain import Waiting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (SourceCount("readings", "shop.readings", 1_240, 0), "readings: topic shop.readings, 1,240 offsets read, none left"),
        (SourceCount("readings", "readings", 0, 1_240), "readings: topic readings, at least 0 offsets read, at most 1,240 left"),
        (SourceCount("readings", "readings", None, None), "readings: topic readings, how far it is read is not known"),
    ],
)
def test_how_far_a_source_is_read(count: SourceCount, text: str) -> None:
    """Nothing is said that is not known."""
    assert source_line(count) == text


def test_where_a_job_began_is_kept(tmp_path: Path) -> None:
    """A record of an older version does not have it."""
    place = DeploymentDirectory(tmp_path)
    kept = Deployment("p", "stack", "submitted", "d", False, 1, "job", "g", "r", sources=(SourceRecord("readings", "t", "group", {"0": 7}),))
    place.write(kept)
    assert place.read() == kept
    record = json.loads((tmp_path / "deployment.json").read_text())
    del record["sources"]
    (tmp_path / "deployment.json").write_text(json.dumps(record | {"format": 1}))
    found = place.read()
    assert found is not None
    assert found.sources == ()


RELAY = RelayRecord("table", "cassandra", "p.table", "fluxline-p-table")
AT_MS = 1_767_225_646_000  # 2026-01-01 00:00:46 UTC


def relayed(waiting: Waiting | None = None, watcher: WatcherState | None = None) -> JobStatus:
    deployment = Deployment("p", "stack", "submitted", "digest", False, AT_MS, "job", "http://gateway", "http://rest", relays=(RELAY,))
    waits = {} if waiting is None else {"table": waiting}
    return JobStatus(deployment, "RUNNING", None, None, 0, {"table": 7}, {}, (11,), waiting=waits, watcher=watcher)


def test_workers_that_wait_for_a_store() -> None:
    found = relayed(Waiting(AT_MS, "FLX-4751  no Cassandra node answers."))
    assert lines_of(found)[2:5] == [
        "  table: topic p.table -> cassandra, 7 records to write",
        "    ALARM: workers wait for cassandra since 2026-01-01T00:00:46.000Z, and go on when it takes rows",
        "    detail: FLX-4751  no Cassandra node answers.",
    ]
    assert as_json(found)["waiting"] == {"table": {"since_ms": AT_MS, "detail": "FLX-4751  no Cassandra node answers."}}
    assert not any("detail" in line for line in lines_of(relayed(Waiting(AT_MS))))
    assert not any("ALARM" in line for line in lines_of(relayed()))


def test_workers_that_died() -> None:
    """One is replaced, one is not any more; and the one that would do it has gone."""
    said = "\n".join(["FLX-4752  Cassandra does not accept the login", "It ended with code 1."])
    workers = (Watched(1, 11, 1, False, AT_MS, "It was ended by signal SIGKILL."), Watched(2, None, 8, True, AT_MS, said), Watched(3, 12))
    found = relayed(watcher=WatcherState(10, workers, alive=True))
    assert lines_of(found)[4:] == [
        "  worker 1 died 1 time, last at 2026-01-01T00:00:46.000Z, and is replaced",
        "  ALARM: worker 2 died 8 times, last at 2026-01-01T00:00:46.000Z, each time soon after its start: it is not started any more. It said:",
        "    FLX-4752  Cassandra does not accept the login",
        "    It ended with code 1.",
    ]
    gone = lines_of(relayed(watcher=WatcherState(10, workers[2:])))[4:]
    assert gone == ["  ALARM: process 10, which replaces workers that die, has gone; workers go on, and the next submission has one again"]
    assert as_json(found)["watcher"]["workers"][1]["given_up"] is True  # type: ignore[index]  # it is a dictionary
