"""Pipelines into a real node: what it refuses is rejected and counted, and the rest goes on."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING

import pytest

from fluxline import Pipeline, control
from fluxline.control.run import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.cassandra_node import Node

pytestmark = pytest.mark.servers
PROJECT = """
[project]
name = "p"
pipelines = []
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "files"
tables = "cassandra"
embedded = {{ directory = ".fluxline/dev" }}
connections.files = {{ connector = "filesystem", path = "{{name}}.ndjson", format = "json" }}
[environments.dev.connections.cassandra]
connector = "cassandra"
contact_points = ["127.0.0.1"]
port = {port}
keyspace = "run"
"""


def test_refused_rows_are_counted_with_their_reason_and_the_rest_is_written(
    tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cassandra takes no empty partition key: 300 rows, of which every hundredth has one. A cut-off line is rejected by the source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)
    (tmp_path / "fluxline.toml").write_text(PROJECT.format(port=node.port))
    lines = [json.dumps({"id": "" if number % 100 == 0 else f"r{number}", "value": number}) for number in range(1, 301)]
    (tmp_path / "rows.ndjson").write_text("\n".join([*lines, '{"id": "cut']) + "\n")
    pipeline = Pipeline("p")
    rows = pipeline.source("rows", schema={"id": "STRING NOT NULL", "value": "INT"})
    rows.sink("kept", key=["id"])
    rows.sink("all")
    rows.rejected.sink("rejected")
    with caplog.at_level(logging.WARNING, logger="fluxline.engine"):
        report = control.run(pipeline._plan(), tmp_path, bounded=True)
    ledger = report.operators[report.sinks["kept"]]
    assert (ledger.read, ledger.used, ledger.rejected, ledger.reasons) == (300, 297, 3, {"refused_by_sink": 3})
    assert sorted(node.ask("SELECT id, value FROM run.kept")) == sorted((f"r{number}", number) for number in range(1, 301) if number % 100)
    assert len((tmp_path / "all.ndjson").read_text().splitlines()) == 300
    (rejected,) = [json.loads(line) for line in (tmp_path / "rejected.ndjson").read_text().splitlines()]
    assert rejected["reason"] == "malformed"
    (warning,) = [record.getMessage() for record in caplog.records]
    file = tmp_path / ".fluxline/dev/p/refused/kept.ndjson"
    assert warning.startswith(f'sink "kept": 3 of 300 rows refused; kept in {file}; the first: ')
    assert "Key may not be empty" in warning
    refused = [json.loads(line) for line in file.read_text().splitlines()]
    assert [json.loads(base64.b64decode(row["record"])) for row in refused] == [{"id": "", "value": number} for number in (100, 200, 300)]
    assert {(row["pipeline"], row["operator"], row["reason"], row["position"]) for row in refused} == {("p", "sink kept", "refused_by_sink", None)}
    assert all("Key may not be empty" in row["detail"] for row in refused)
    control.run(pipeline._plan(), tmp_path, options=RunOptions(bounded=True, fresh=True))
    assert len(file.read_text().splitlines()) == 3
