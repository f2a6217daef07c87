"""Queries of the connector `cassandra`: answers as frames, whose fault an error is, and the command line on a real node."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from cassandra import InvalidRequest, OperationTimedOut
from cassandra import Unauthorized as NotPermitted
from cassandra import cqltypes as cql
from click.testing import CliRunner

from fluxline.cli.main import fluxline
from fluxline.connectors.cassandra import query as query_module
from fluxline.connectors.cassandra.query import frame_of, said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.cassandra_node import Node

PROJECT = """
[project]
name = "p"
pipelines = ["p.py"]
default_environment = "dev"
[environments.dev]
engine = "embedded"
tables = "cassandra"
[environments.dev.connections.cassandra]
connector = "cassandra"
contact_points = ["127.0.0.1"]
port = {port}
keyspace = "asked"
"""
STAMP = dt.datetime(2024, 6, 7, 8, 9, 10, 123_000)  # noqa: DTZ001  # the driver's are of UTC, and do not say so


def test_nested_values_become_lists_and_structs() -> None:
    """NULL inside another value stays; what no column of a frame holds is text; a name that is there twice gets a number."""
    stamps = cql.MapType.apply_parameters([cql.UTF8Type, cql.TimestampType])
    pair = cql.TupleType.apply_parameters([cql.Int32Type, cql.UTF8Type])
    frame = frame_of(
        ["a", "a", "b", "c"],
        [cql.ListType.apply_parameters([cql.Int32Type]), stamps, pair, cql.IntegerType],
        [([1, None], {"k": STAMP}, (7, None), 2**70), (None, None, None, None)],
    )
    assert frame.columns == ["a", "a_1", "b", "c"]
    moment = STAMP.replace(tzinfo=dt.UTC)
    assert frame.rows() == [([1, None], [{"key": "k", "value": moment}], {"0": 7, "1": None}, str(2**70)), (None, None, None, None)]
    assert frame.dtypes[1] == pl.List(pl.Struct({"key": pl.String(), "value": pl.Datetime("ms", "UTC")}))


def test_the_words_of_the_node_are_taken_out_of_the_error_of_the_driver() -> None:
    assert said(InvalidRequest('Error from server: code=2200 [Invalid query] message="table "t" does not exist"')) == 'table "t" does not exist.'
    assert said(InvalidRequest("Too many statements!")) == "Too many statements!"


def test_only_what_the_text_is_to_blame_for_is_its_fault() -> None:
    refused = query_module._refused(InvalidRequest("no such thing"), "")
    assert refused is not None
    assert (refused.code, refused.detail) == ("FLX-1157", "It says: no such thing.")
    assert query_module._refused(NotPermitted("User ann has no SELECT permission"), "") is None
    assert query_module._refused(OperationTimedOut(), "") is None


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(fluxline, ["query", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXLINE_ENV", raising=False)
    (tmp_path / "fluxline.toml").write_text(PROJECT.format(port=1))
    return tmp_path


def test_a_node_that_is_not_there_is_the_error_of_the_connection(folder: Path) -> None:
    code, out, err = run("SELECT release_version FROM system.local")
    assert (code, out) == (1, "")
    assert err.startswith('FLX-4751  no Cassandra node answers at "127.0.0.1, port 1"')


@pytest.mark.servers
def test_rows_look_as_those_of_the_table_store(folder: Path, node: Node) -> None:
    """The text goes to the node as it is, also one that writes; names without a keyspace mean the connection's."""
    (folder / "fluxline.toml").write_text(PROJECT.format(port=node.port))
    refused = run("SELECT * FROM readings")
    assert refused[:2] == (2, "")
    assert refused[2].startswith("FLX-1157  Cassandra refuses the query")
    assert 'keyspace "asked" does not exist' in refused[2]
    nothing = (0, "(0 rows)\n", "")
    assert run("CREATE KEYSPACE asked WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}") == nothing
    assert run("CREATE TABLE readings (sensor int, at timestamp, celsius double, tags set<text>, PRIMARY KEY (sensor, at))") == nothing
    for at, celsius, tags in (("08:00", "21.5", "{'b', 'a'}"), ("09:00", "-3.25", "null")):
        assert run(f"INSERT INTO readings (sensor, at, celsius, tags) VALUES (1, '2024-06-07 {at}Z', {celsius}, {tags})") == nothing
    assert run("SELECT * FROM readings") == (
        0,
        "sensor  at                    celsius  tags\n"
        "------  --------------------  -------  ----------\n"
        '     1  2024-06-07 08:00:00Z     21.5  ["a", "b"]\n'
        "     1  2024-06-07 09:00:00Z    -3.25  NULL\n"
        "(2 rows)\n",
        "",
    )
    assert run("SELECT celsius FROM readings", "--limit", "1")[1].endswith("(the first 1 row; there are more: --limit N)\n")
    code, out, _err = run("SELECT at, tags FROM asked.readings LIMIT 1", "-o", "json")
    wanted = {"columns": ["at", "tags"], "rows": [{"at": "2024-06-07T08:00:00Z", "tags": ["a", "b"]}], "truncated": False}
    assert (code, json.loads(out)) == (0, wanted)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("text", "fact", "words"),
    [
        ("SELEC 1", "FLX-1156  Cassandra does not understand the query", "no viable alternative at input 'SELEC'"),
        ("SELECT * FROM system.nothing", "FLX-1157  Cassandra refuses the query", "table nothing does not exist."),
        ("SELECT * FROM nowhere.t", "FLX-1157  Cassandra refuses the query", "keyspace nowhere does not exist."),
        ("SELECT nothing FROM system.local", "FLX-1157  Cassandra refuses the query", "Undefined column name nothing in table system.local"),
        ("CREATE KEYSPACE system WITH replication = {'class': 'Nope'}", "FLX-1157", "System keyspace 'system' is not user-modifiable."),
    ],
)
def test_what_the_node_refuses_has_its_words(text: str, fact: str, words: str, folder: Path, node: Node) -> None:
    (folder / "fluxline.toml").write_text(PROJECT.format(port=node.port))
    code, out, err = run(text)
    assert (code, out) == (2, "")
    assert err.startswith(fact)
    assert words in err


@pytest.mark.servers
def test_a_value_that_python_does_not_have_is_named(folder: Path, node: Node) -> None:
    """The year 10000; as text it can be had."""
    (folder / "fluxline.toml").write_text(PROJECT.format(port=node.port).replace('"asked"', '"far"'))
    node.ask("CREATE KEYSPACE far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    node.ask("CREATE TABLE far.t (id int PRIMARY KEY, at timestamp)")
    node.ask("INSERT INTO far.t (id, at) VALUES (1, 253402300800000)")
    code, out, err = run("SELECT at FROM t")
    assert (code, out) == (1, "")
    assert err.startswith("FLX-4756  the answer of Cassandra holds a value that cannot be shown")
    assert 'column "at"' in err
    assert "10000-01-01" in run("SELECT CAST(at AS text) FROM t")[1]


@pytest.mark.servers
def test_more_rows_than_one_page_come_whole(folder: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pages; without a limit, more rows than an answer may have are an error and no short answer."""
    from fluxline.control.query import query
    from fluxline.errors import DefinitionError

    (folder / "fluxline.toml").write_text(PROJECT.format(port=node.port).replace('"asked"', '"system_schema"'))
    monkeypatch.setattr(query_module, "CASSANDRA_PAGE_ROWS", 100)
    text = "SELECT * FROM columns"
    everything: Any = query(folder, text)
    assert everything.frame.height == len(node.ask("SELECT table_name FROM system_schema.columns"))
    assert everything.frame.height > 200
    monkeypatch.setattr(query_module, "STORE_RESULT_ROWS_MAX", 150)
    with pytest.raises(DefinitionError, match="FLX-2615"):
        query(folder, text)
    assert query(folder, text, limit=200).frame.height == 150
