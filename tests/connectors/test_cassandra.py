"""The connector `cassandra` without a node: CQL, bytes of values, which rows go together, and what is refused."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cassandra import InvalidRequest, OperationTimedOut, Unavailable
from cassandra import cqltypes as cql
from cassandra.query import UNSET_VALUE, PreparedStatement

from fluxline.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE
from fluxline.clock import VirtualClock
from fluxline.connectors import load_connector
from fluxline.connectors.cassandra import sink as sink_module
from fluxline.connectors.cassandra.cql import Bucket, TableColumn, cql_type, create_keyspace, quote, table_of
from fluxline.connectors.cassandra.requests import Piece, Requests, Row
from fluxline.connectors.cassandra.rows import arrange, bucketed, cut
from fluxline.connectors.cassandra.sink import CassandraSink
from fluxline.connectors.cassandra.values import encode_column, has_finer_digits
from fluxline.errors import ConfigError, ConnectionLost, RecoveryError, UnsupportedByEngine
from fluxline.schema import parse_type
from tests.connectors.cassandra_rows import batch_of, context_of, moment, options_of, schema_of

if TYPE_CHECKING:
    from fluxline.batch import Batch

HOURLY = schema_of(sensor_id="BIGINT", window_start="TIMESTAMP_LTZ(3)", mean="DOUBLE", Token="STRING")
SMALL = schema_of(id="INT", text="STRING")


def test_the_table_is_created_with_its_layout() -> None:
    table = table_of("hourly", HOURLY, ("sensor_id", "window_start"), options_of(clustering=["window_start DESC"], ttl="90 days"))
    assert table.create() == (
        "CREATE TABLE IF NOT EXISTS k.hourly (\n"
        "    sensor_id bigint,\n"
        "    window_start timestamp,\n"
        "    mean double,\n"
        '    "Token" text,\n'
        "    PRIMARY KEY ((sensor_id), window_start)\n"
        ") WITH CLUSTERING ORDER BY (window_start DESC)"
    )
    assert table.insert() == ('INSERT INTO k.hourly (sensor_id, window_start, mean, "Token") VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL 7776000')
    assert table.delete() == "DELETE FROM k.hourly USING TIMESTAMP ? WHERE sensor_id = ? AND window_start = ?"


def test_the_key_is_the_layout_unless_it_is_said() -> None:
    """The first column, then the rest ascending; a clustering column is no partition key."""
    key = ("sensor_id", "window_start")
    table = table_of("hourly", HOURLY, key, options_of())
    assert (table.partition, table.clustering) == (("sensor_id",), (("window_start", "ASC"),))
    table = table_of("hourly", HOURLY, key, options_of(clustering=["sensor_id"]))
    assert (table.partition, table.clustering) == (("window_start",), (("sensor_id", "ASC"),))
    table = table_of("hourly", HOURLY, key, options_of(partition_key=["window_start", "sensor_id"]))
    assert (table.partition, table.clustering) == (("window_start", "sensor_id"), ())
    assert "PRIMARY KEY ((window_start, sensor_id))\n)" in table.create()


@pytest.mark.parametrize(
    "layout",
    [
        {"partition_key": ["sensor"]},
        {"partition_key": ["sensor_id"], "clustering": ["mean"]},
        {"clustering": ["window_start", "sensor_id"]},
        {"partition_key": ["sensor_id", "window_start"], "clustering": ["window_start"]},
    ],
)
def test_a_layout_of_other_columns_than_the_key_is_refused(layout: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="FLX-1151"):
        table_of("hourly", HOURLY, ("sensor_id", "window_start"), options_of(**layout))


def test_the_extra_is_named_where_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("fluxline.connectors.cassandra")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "cassandra", None)
    with pytest.raises(ConfigError, match="FLX-1122") as caught:
        load_connector("cassandra")
    assert caught.value.hint == "Install it: pip install 'fluxline[cassandra]'"


def test_names_are_quoted_where_cql_needs_it() -> None:
    assert [quote(name) for name in ("a_1", "Id", "select", "1a", 'x"y', "größe")] == ["a_1", '"Id"', '"select"', '"1a"', '"x""y"', '"größe"']
    assert create_keyspace("K", {"class": "Simple'Strategy", "replication_factor": 2}) == (
        "CREATE KEYSPACE IF NOT EXISTS \"K\" WITH replication = {'class': 'Simple''Strategy', 'replication_factor': '2'}"
    )


@pytest.mark.parametrize("text", ["ROW<a INT>", "ARRAY<ROW<a INT>>", "MAP<STRING, TIMESTAMP(6)>"])
def test_a_type_that_cassandra_does_not_hold_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedByEngine, match='column "x" has a type'):
        cql_type(parse_type(text), "x")


def test_each_difference_of_a_table_is_named() -> None:
    table = table_of("hourly", HOURLY, ("sensor_id", "window_start"), options_of())
    there = table.described()
    assert table.differences(there) == []
    del there["Token"]
    there["mean"] = TableColumn("float")
    there["extra"] = TableColumn("int")
    there["window_start"] = TableColumn("timestamp", "clustering", 0, "desc")
    assert table.differences(there) == [
        'Column "mean" is float in the table and double in the pipeline.',
        'Column "Token" (text) is missing in the table.',
        'Column "extra" (int) of the table is not in the pipeline.',
        "The clustering is (window_start DESC) in the table and (window_start ASC) in the pipeline.",
    ]
    there = table.described() | {
        "sensor_id": TableColumn("bigint", "clustering", 0, "asc"),
        "window_start": TableColumn("timestamp", "partition_key", 0),
    }
    assert table.differences(there) == [
        "The partition key is (window_start) in the table and (sensor_id) in the pipeline.",
        "The clustering is (sensor_id ASC) in the table and (window_start ASC) in the pipeline.",
    ]


def test_a_time_bucket_bounds_a_partition() -> None:
    """It is a column of the table's partition key that the pipeline's key does not have; its order does not matter."""
    given = {"time_bucket": "1 day", "clustering": ["window_start DESC"]}
    table = table_of("hourly", HOURLY, ("sensor_id", "window_start"), options_of(**given))
    assert table.create() == (
        "CREATE TABLE IF NOT EXISTS k.hourly (\n"
        "    sensor_id bigint,\n"
        "    time_bucket timestamp,\n"
        "    window_start timestamp,\n"
        "    mean double,\n"
        '    "Token" text,\n'
        "    PRIMARY KEY ((sensor_id, time_bucket), window_start)\n"
        ") WITH CLUSTERING ORDER BY (window_start DESC)"
    )
    assert table.delete() == "DELETE FROM k.hourly USING TIMESTAMP ? WHERE sensor_id = ? AND time_bucket = ? AND window_start = ?"
    plain = table_of("hourly", HOURLY, ("sensor_id", "window_start"), options_of(clustering=["window_start DESC"]))
    assert table.differences(plain.described()) == [
        'Column "time_bucket" (timestamp) is missing in the table.',
        "The partition key is (sensor_id) in the table and (sensor_id, time_bucket) in the pipeline.",
    ]


@pytest.mark.parametrize(
    ("key", "given", "fact"),
    [
        (("sensor_id",), {}, "has no timestamp to make a time bucket of"),
        (("window_start",), {}, "has no timestamp to make a time bucket of"),
        (("sensor_id", "window_start"), {"time_bucket_column": "mean"}, 'has a column "mean" already'),
    ],
)
def test_a_time_bucket_that_cannot_be_made_is_refused(key: tuple[str, ...], given: dict[str, object], fact: str) -> None:
    with pytest.raises(ConfigError, match="FLX-1158") as caught:
        table_of("hourly", HOURLY, key, options_of(time_bucket="1 day", **given))
    assert fact in caught.value.fact


def test_a_time_bucket_is_rounded_towards_the_past() -> None:
    """By hand: six hours from 1970 on; microseconds are below a millisecond of no account; NULL stays NULL."""
    schema = schema_of(at="TIMESTAMP(6)")
    times = [moment(2024, 6, 7, 8, 9), moment(2024, 6, 7, 12), moment(2024, 6, 7, 11, 59, 59, 999_999), moment(1969, 12, 31, 23), None]
    column = bucketed(batch_of(schema, [[each] for each in times]), Bucket("b", "at", 6 * 3_600_000))
    wanted = [moment(2024, 6, 7, 6), moment(2024, 6, 7, 12), moment(2024, 6, 7, 6), moment(1969, 12, 31, 18), None]
    assert column.series().to_list() == wanted


def test_a_collection_that_is_not_frozen_takes_the_same_values() -> None:
    table = table_of("t", schema_of(id="INT", tags="ARRAY<STRING>"), ("id",), options_of())
    assert table.described()["tags"].type == "frozen<list<text>>"
    assert table.differences(table.described() | {"tags": TableColumn("list<text>")}) == []


@pytest.mark.parametrize(
    ("given", "option", "why"),
    [
        ({"counters": True}, "counters", "not idempotent"),
        ({"lightweight_transactions": True}, "lightweight_transactions", "no timestamp"),
        ({"time_bucket": "1 ms"}, "time_bucket", "at least 1 second"),
        ({"ttl": "1500 ms"}, "ttl", "whole seconds"),
        ({"ttl": "8000 days"}, "ttl", "20 years"),
        ({"username": "ann"}, "password", "both"),
        ({"contact_points": []}, "contact_points", "At least one"),
        ({"ssl_key_location": "key.pem"}, "ssl_key_location", "certificate"),
        ({"consistency": "SERIAL"}, "consistency", "Replicas"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(given: dict[str, object], option: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options_of(**given)
    assert f'option "{option}"' in caught.value.fact
    assert why in caught.value.detail


SECOND = cql.ListType.apply_parameters([cql.Int32Type])
VALUES: dict[str, tuple[Any, list[Any]]] = {
    "BOOLEAN": (cql.BooleanType, [True, False]),
    "TINYINT": (cql.ByteType, [-128, 127]),
    "SMALLINT": (cql.ShortType, [-32768, 5]),
    "INT": (cql.Int32Type, [-(2**31), 7]),
    "BIGINT": (cql.LongType, [-(2**63), 9]),
    "FLOAT": (cql.FloatType, [0.5, -1.25]),
    "DOUBLE": (cql.DoubleType, [0.1, float("inf")]),
    "DECIMAL(20, 3)": (cql.DecimalType, [Decimal("0.000"), Decimal("-0.128"), Decimal("0.128"), Decimal("12345678901234567.890")]),
    "STRING": (cql.UTF8Type, ["", "größe \U0001f600"]),
    "BYTES": (cql.BytesType, [b"", b"\x00\xff"]),
    "DATE": (cql.SimpleDateType, [dt.date(1969, 12, 31), dt.date(2024, 2, 29)]),
    "TIME(6)": (cql.TimeType, [dt.time(0), dt.time(23, 59, 59, 999_999)]),
    "TIMESTAMP(3)": (cql.DateType, [moment(1969, 12, 31, 23, 59, 59, 999_000), moment(2024, 6, 7)]),
    "TIMESTAMP_LTZ(6)": (cql.DateType, [moment(2024, 6, 7, 8, 9, 10, 123_000)]),
    "ARRAY<INT>": (SECOND, [[], [1, -2], [3]]),
    "ARRAY<ARRAY<INT>>": (cql.ListType.apply_parameters([SECOND]), [[[1], []], []]),
}


@pytest.mark.parametrize("text", VALUES)
def test_values_become_the_bytes_that_the_driver_writes(text: str) -> None:
    """The driver is the second engine; NULL is None between the others."""
    theirs, values = VALUES[text]
    schema = schema_of(x=text)
    batch = batch_of(schema, [[value] for value in [None, *values, None]])
    found = encode_column(batch.columns["x"], schema.field("x").type).tolist()
    assert found == [None, *(theirs.to_binary(value, 4) for value in values), None]


def test_a_map_becomes_pairs() -> None:
    schema = schema_of(x="MAP<STRING, INT>")
    rows: list[list[object]] = [[[]], [[{"key": "a", "value": 1}, {"key": "bc", "value": None}]]]
    found = encode_column(batch_of(schema, rows).columns["x"], schema.field("x").type).tolist()
    assert found == [bytes(4), bytes.fromhex("00000002 00000001 61 00000004 00000001 00000002 6263 ffffffff")]


def test_digits_that_a_timestamp_does_not_hold_are_seen() -> None:
    schema = schema_of(x="TIMESTAMP(6)")
    batch = batch_of(schema, [[moment(2024, 1, 1, 0, 0, 0, 1_000)], [moment(2024, 1, 1, 0, 0, 0, 1_001)], [None]])
    assert has_finer_digits(batch.columns["x"], schema.field("x").type).tolist() == [False, True, False]


def test_the_last_row_of_a_key_stays_and_partitions_stand_together() -> None:
    schema = schema_of(p="STRING", c="INT", v="INT", w="INT")
    rows = [["a", 1, 10, 1], ["b", 1, 20, 2], ["a", 2, 30, 3], ["b", 1, None, 4], ["a", 1, 40, None]]
    arranged = arrange(batch_of(schema, rows), schema, ("p", "c"), ("p",), merge_nulls=False)
    assert arranged.rows.tolist() == [2, 4, 3]
    assert arranged.partitions.tolist() == [0, 0, 1]
    assert arranged.replaced.tolist() == [4, 3, 2, 3, 4]
    assert arranged.batch.polars().rows() == [("a", 2, 30, 3), ("a", 1, 40, None), ("b", 1, None, 4)]
    merged = arrange(batch_of(schema, rows), schema, ("p", "c"), ("p",), merge_nulls=True)
    assert merged.batch.polars().rows() == [("a", 2, 30, 3), ("a", 1, 40, 1), ("b", 1, 20, 4)]


def test_requests_hold_one_partition_and_are_bounded() -> None:
    """By 100 rows and 256 KiB."""
    partitions = np.array([0] * 250 + [7] * 3, dtype=np.int64)
    assert cut(partitions, np.full(253, 10)).tolist() == [0, 100, 200, 250, 253]
    assert cut(np.zeros(5, dtype=np.int64), np.full(5, 131_072)).tolist() == [0, 2, 4, 5]
    assert cut(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).tolist() == [0]


class Future:
    """An answer that is there at once."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def add_callbacks(self, callback: Any, errback: Any, errback_args: tuple[object, ...]) -> None:
        """Call one of them."""
        if self.error is None:
            callback(None)
        else:
            errback(self.error, *errback_args)


class Node:
    """Stands for a session: keeps what it is sent, refuses values that hold `bad`, and is away for some requests."""

    def __init__(self, away: int = 0) -> None:
        self.options = options_of()
        self.driver = self
        self.taken: list[list[tuple[object, ...]]] = []
        self.away = away
        self.compared = 0

    def __call__(self, *_arguments: object) -> Node:
        return self

    def ensure(self, _table: object) -> None:
        """The table is there."""

    def compare(self, _table: object) -> None:
        """It is the right one."""
        self.compared += 1

    def close(self) -> None:
        """Nothing to let go of."""

    def prepare(self, text: str) -> Any:
        """A prepared statement that the driver's classes take."""
        return PreparedStatement([], text[:6], None, text, "k", 4, [], None)

    def execute_async(self, statement: Any) -> Future:
        """Take a batch as a whole, or not at all."""
        assert statement.is_idempotent
        if self.away:
            self.away -= 1
            return Future(OperationTimedOut())
        rows = [(query, *values) for _prepared, query, values in statement._statements_and_parameters]
        if any(value == b"bad" for row in rows for value in row):
            return Future(InvalidRequest("no such value"))
        self.taken.append(rows)
        return Future(None)


def opened(monkeypatch: pytest.MonkeyPatch, node: Node, **changes: Any) -> CassandraSink:
    """A sink on the node that stands for one."""
    monkeypatch.setattr(sink_module, "Session", node)
    return CassandraSink(context_of("t", SMALL, ("id",), {}, **changes))


def stamps(rows: list[tuple[object, ...]], position: int) -> list[int]:
    """The timestamps of rows, where there is one."""
    return [int.from_bytes(value, "big") for value in (row[position] for row in rows) if isinstance(value, bytes)]


def test_each_row_has_a_timestamp_of_its_own_that_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    node, clock = Node(), VirtualClock(1_700_000_000_000)
    sink = opened(monkeypatch, node, clock=clock)
    sink.write(batch_of(SMALL, [[1, "a"], [2, "b"]]), None)
    sink.write(batch_of(SMALL, [[1, "c"]]), None)
    rows = [row for taken in node.taken for row in taken]
    assert stamps(rows, 3) == [1_700_000_000_000_000, 1_700_000_000_000_001, 1_700_000_000_000_002]
    receipt = sink.prepare(1)
    assert receipt == {"table": "k.t", "sequence": 1_700_000_000_000_002}
    monkeypatch.setattr(sink_module, "Session", node)
    context = context_of("t", SMALL, ("id",), {}, clock=VirtualClock(5))
    again = CassandraSink(replace(context, receipt=receipt))
    again.write(batch_of(SMALL, [[1, "d"]]), None)
    assert stamps(node.taken[-1], 3) == [1_700_000_000_000_003]
    foreign = replace(context, receipt={"table": "k.u", "sequence": 3})
    with pytest.raises(RecoveryError, match="FLX-5751"):
        CassandraSink(foreign)


def test_refused_rows_are_rejected_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused row leaves the place to the one that it would have replaced."""
    node = Node()
    batch = batch_of(SMALL, [[1, "good"], [1, "bad"], [None, "x"], [2, "fine"], [3, "bad"]])
    written = opened(monkeypatch, node).write(batch, None)
    assert written.acknowledged == 2
    assert [(reject.index, reject.reason) for reject in written.rejects] == [(1, "refused_by_sink"), (2, "refused_by_sink"), (4, "refused_by_sink")]
    assert "no such value" in written.rejects[0].detail
    assert 'column "id" is part of the key, and NULL' in written.rejects[1].detail
    assert sorted(row[2] for taken in node.taken for row in taken) == [b"fine", b"good"]  # type: ignore[type-var]
    assert node.compared == 1


def written_by(monkeypatch: pytest.MonkeyPatch, batch: Batch, **changes: Any) -> list[tuple[object, ...]]:
    """What reaches the node, without timestamps."""
    node = Node()
    assert opened(monkeypatch, node, **changes).write(batch, None).acknowledged == batch.rows
    return [(row[0], *row[2:]) if row[0] == "DELETE" else row[:-1] for taken in node.taken for row in taken]


def test_updates_replace_and_deletions_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    """NULL is left unset only in a row that is new; an earlier half of an update is not written."""
    rows: list[list[object]] = [[1, None], [2, "b"], [2, None], [3, "c"], [3, None], [4, None]]
    kinds = [INSERT, UPDATE_BEFORE, UPDATE_AFTER, INSERT, UPDATE_AFTER, DELETE]
    one, two, three, four = (bytes([0, 0, 0, number]) for number in (1, 2, 3, 4))
    found = written_by(monkeypatch, batch_of(SMALL, rows, kinds), updating=True)
    assert found == [("INSERT", one, UNSET_VALUE), ("INSERT", two, None), ("INSERT", three, None), ("DELETE", four)]


def test_null_leaves_what_is_there_in_a_stream_that_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written_by(monkeypatch, batch_of(SMALL, [[1, "a"], [1, None]])) == [("INSERT", b"\0\0\0\1", b"a")]
    assert written_by(monkeypatch, batch_of(SMALL, [[1, None]])) == [("INSERT", b"\0\0\0\1", UNSET_VALUE)]


def test_rows_are_sent_again_until_a_node_answers_or_time_is_over() -> None:
    node, clock = Node(away=3), VirtualClock(0)
    row = Row(node.prepare("INSERT"), (b"x",))
    assert Requests(node, clock).send([row], [Piece(0, 1)]) == {}  # type: ignore[arg-type]  # stands for a session
    assert (clock.now_ms(), len(node.taken)) == (1_500, 1)
    node.away = 1_000
    with pytest.raises(ConnectionLost, match="FLX-4751"):
        Requests(node, clock).send([row], [Piece(0, 1)])  # type: ignore[arg-type]  # stands for a session
    assert clock.now_ms() == 1_500 + 60_000
    assert not issubclass(Unavailable, InvalidRequest)
