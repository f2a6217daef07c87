"""`fluxline check --connect` on a real node: what it says, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from fluxline.cli.main import fluxline
from fluxline.connectors.cassandra.session import event_loop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.cassandra_node import Node

pytestmark = pytest.mark.servers
PIPELINE = """
from fluxline import Pipeline

p = Pipeline("p")
rows = p.source("rows", schema={"id": "INT NOT NULL", "at": "TIMESTAMP_LTZ(3) NOT NULL", "value": "DOUBLE"})
rows.sink("first", key=["id", "at"])
rows.sink("second", key=["id"])
"""
PROJECT = """
[project]
name = "p"
pipelines = ["p.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
topics = "files"
tables = "cassandra"
connections.files = {{ connector = "filesystem", path = "{{name}}.ndjson", format = "json" }}
bindings.first = {{ clustering = ["at DESC"] }}
[environments.dev.connections.cassandra]
connector = "cassandra"
contact_points = ["127.0.0.1"]
port = {port}
keyspace = "connected"
"""


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(fluxline, ["check", "--connect", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_what_will_be_made_what_fits_and_each_difference(tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)
    (tmp_path / "p.py").write_text(PIPELINE)
    (tmp_path / "fluxline.toml").write_text(PROJECT.format(port=node.port))
    (tmp_path / "rows.ndjson").write_text("")
    ((version, center),) = node.ask("SELECT release_version, data_center FROM system.local")
    found = f'Cassandra {version} answers, of data center "{center}"; event loop {event_loop()}'
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "p: can run in dev",
        "  source rows at filesystem: 1 partition",
        f'  sink first at cassandra: {found}; keyspace "connected" is not there and will be created',
        f'  sink second at cassandra: {found}; keyspace "connected" is not there and will be created',
    ]
    assert node.ask("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = 'connected'") == []

    code, out, err = run("--set", "connections.cassandra.create=false")
    assert (code, out, err.count("FLX-4753")) == (1, "", 1)
    assert 'there is no keyspace "connected" in Cassandra' in err

    node.ask("CREATE KEYSPACE connected WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    node.ask("CREATE TABLE connected.first (id int, at timestamp, value double, PRIMARY KEY (id, at)) WITH CLUSTERING ORDER BY (at DESC)")
    lines = run()[1].splitlines()
    assert lines[2] == f'  sink first at cassandra: {found}; table "connected.first" has the columns and the key of the sink'
    assert lines[3] == f'  sink second at cassandra: {found}; table "connected.second" is not there and will be created'
    assert node.ask("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'connected'") == [("first",)]

    node.ask("CREATE TABLE connected.second (id bigint, at timestamp, value counter, PRIMARY KEY ((id, at)))")
    code, out, err = run("--set", "bindings.first.clustering=['at ASC']")
    assert (code, out, err.count("FLX-4754")) == (1, "", 2)
    for sentence in (
        "The clustering is (at DESC) in the table and (at ASC) in the pipeline.",
        'Column "id" is bigint in the table and int in the pipeline.',
        'Column "value" is counter in the table and double in the pipeline.',
        "Adding to a counter is not idempotent",
        "The partition key is (id, at) in the table and (id) in the pipeline.",
    ):
        assert sentence in err, sentence
