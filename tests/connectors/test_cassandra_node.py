"""The connector `cassandra` on a real node: the contract of sinks, the table that it makes, drift, refusals, a node that goes away."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fluxline.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch, Column
from fluxline.connectors import load_connector
from fluxline.connectors.cassandra.session import event_loop
from fluxline.connectors.cassandra.sink import CassandraSink
from fluxline.errors import ConnectionLost, ExternalError, FluxlineError, ResourceMissing
from fluxline.testing.contracts import SinkContract
from tests.connectors.cassandra_rows import batch_of, context_of, moment, schema_of
from tests.connectors.lines import NUMBERS, numbers

if TYPE_CHECKING:
    from fluxline.connectors.base import SinkContext
    from tests.connectors.cassandra_node import Node

pytestmark = pytest.mark.servers


def write(context: SinkContext, *batches: Batch) -> list[Any]:
    """Write batches with a sink of their own."""
    sink = CassandraSink(context)
    try:
        return [sink.write(batch, None) for batch in batches]
    finally:
        sink.close()


def test_it_keeps_the_contract_of_sinks(node: Node) -> None:
    connector = load_connector("cassandra")
    assert connector.sink is not None
    contract = SinkContract(
        open_sink=connector.sink,
        make_context=lambda: node.context(NUMBERS, ("number",)),
        make_batch=numbers,
        read_rows=lambda context: [row[0] for row in node.ask(f"SELECT number FROM fluxline.{context.name}")],
        guarantee=connector.upserts_guarantee,
        shared=True,
        histories=2,
    )
    contract.check()


def test_each_type_comes_back_as_it_was(node: Node) -> None:
    values: dict[str, tuple[str, object]] = {
        "a": ("INT", 1), "b": ("BOOLEAN", True), "c": ("TINYINT", -128), "d": ("SMALLINT", 300), "e": ("BIGINT", -(2**63)),
        "f": ("FLOAT", 0.5), "g": ("DOUBLE", 0.1), "h": ("DECIMAL(20, 3)", Decimal("-0.128")), "Token": ("STRING", "größe"),
        "j": ("BYTES", b"\0\xff"), "k": ("DATE", dt.date(1969, 12, 31)), "l": ("TIME(6)", dt.time(23, 59, 59, 999_999)),
        "m": ("TIMESTAMP(3)", moment(1969, 12, 31, 23, 59, 59, 999_000)), "n": ("TIMESTAMP_LTZ(3)", moment(2024, 6, 7, 8, 9, 10, 1_000)),
        "o": ("ARRAY<INT>", [1, 2]), "p": ("MAP<STRING, INT>", [{"key": "x", "value": 1}, {"key": "y", "value": 2}]),
    }  # fmt: skip
    schema = schema_of(**{name: text for name, (text, _value) in values.items()})
    context = node.context(schema, ("a", "Token", "h"))
    empty = [None if name not in ("a", "Token", "h") else value for name, (_text, value) in values.items()]
    empty[0] = 2
    assert [written.rejects for written in write(context, batch_of(schema, [[value for _text, value in values.values()], empty]))] == [()]
    names = ", ".join(f'"{name}"' for name in values)
    found = {row[0]: row for row in node.ask(f"SELECT {names} FROM fluxline.{context.name}")}
    wanted = [value for _text, value in values.values()]
    assert [str(value) if index == 11 else value.date() if index == 10 else value for index, value in enumerate(found[1][:14])] == [
        "23:59:59.999999000" if index == 11 else value for index, value in enumerate(wanted[:14])
    ]
    assert (list(found[1][14]), dict(found[1][15])) == ([1, 2], {"x": 1, "y": 2})
    assert list(found[2]) == empty
    layout = node.ask(
        f"SELECT kind, position, column_name FROM system_schema.columns WHERE keyspace_name = 'fluxline' AND table_name = '{context.name}'"
    )
    assert sorted(row for row in layout if row[0] != "regular") == [("clustering", 0, "Token"), ("clustering", 1, "h"), ("partition_key", 0, "a")]


def test_a_later_row_wins_and_rows_vanish_in_time(node: Node) -> None:
    """In one batch, in the next, and against the clock of the node; the timestamp is the row's own."""
    schema = schema_of(id="INT", text="STRING", other="STRING")
    context = node.context(schema, ("id",), ttl="1 hour")
    sink = CassandraSink(context)
    sink.write(batch_of(schema, [[1, "a", "x"], [1, "b", None], [2, "c", "y"]]), None)
    sink.write(batch_of(schema, [[2, None, "z"]]), None)
    receipt = sink.prepare(1)
    sink.close()
    rows = node.ask(f"SELECT id, text, other, writetime(other), ttl(other) FROM fluxline.{context.name}")
    assert sorted(row[:3] for row in rows) == [(1, "b", "x"), (2, "c", "z")]
    assert {row[0]: receipt["sequence"] - row[3] for row in rows} == {1: 2, 2: 0}
    assert all(3_000 < row[4] <= 3_600 for row in rows)
    context = node.context(schema, ("id",), nulls="null")
    write(context, batch_of(schema, [[1, "a", "x"]]), batch_of(schema, [[1, "b", None]]))
    assert node.ask(f"SELECT id, text, other FROM fluxline.{context.name}") == [(1, "b", None)]


def test_an_updating_stream_replaces_and_deletes(node: Node) -> None:
    schema = schema_of(sensor="STRING", hour="INT", mean="DOUBLE")
    context = node.context(schema, ("sensor", "hour"), clustering=["hour DESC"], updating=True)
    first = batch_of(schema, [["a", 1, 1.0], ["a", 2, 2.0], ["b", 1, 3.0]], [INSERT] * 3)
    second = batch_of(schema, [["a", 1, 1.0], ["a", 1, None], ["b", 1, 3.0], ["a", 3, None]], [UPDATE_BEFORE, UPDATE_AFTER, DELETE, INSERT])
    assert [(written.acknowledged, written.rejects) for written in write(context, first, second)] == [(3, ()), (4, ())]
    assert node.ask(f"SELECT sensor, hour, mean FROM fluxline.{context.name}") == [("a", 3, None), ("a", 2, 2.0), ("a", 1, None)]


def test_a_time_bucket_is_written_and_deletes_find_it(node: Node) -> None:
    """Days by hand; a row without a time is rejected for that."""
    schema = schema_of(sensor="INT", at="TIMESTAMP_LTZ(3)", value="DOUBLE")
    context = node.context(schema, ("sensor", "at"), time_bucket="1 day", clustering=["at DESC"], updating=True)
    late, early, next_day = moment(2024, 6, 7, 23, 59, 59, 999_000), moment(2024, 6, 7), moment(2024, 6, 8)
    first = batch_of(schema, [[1, late, 1.0], [1, early, 2.0], [1, next_day, 3.0], [1, None, 4.0]], [INSERT] * 4)
    second = batch_of(schema, [[1, early, 2.0]], [DELETE])
    written = write(context, first, second)
    assert [(each.acknowledged, [reject.index for reject in each.rejects]) for each in written] == [(3, [3]), (1, [])]
    assert written[0].rejects[0].detail == 'column "at" is part of the key, and NULL'
    found = node.ask(f"SELECT time_bucket, at, value FROM fluxline.{context.name} WHERE sensor = 1 AND time_bucket = '2024-06-07'")
    assert found == [(early, late, 1.0)]
    assert node.ask(f"SELECT at FROM fluxline.{context.name} WHERE sensor = 1 AND time_bucket = '2024-06-08'") == [(next_day,)]
    write(context)  # What it made fits.


def test_a_row_that_the_node_refuses_is_rejected_alone(node: Node) -> None:
    """An empty partition key, a key that is too long, digits that are not held; a row beside healthy ones of its partition."""
    schema = schema_of(id="STRING", at="TIMESTAMP_LTZ(6)")
    context = node.context(schema, ("id",))
    good, fine = moment(2024, 6, 7), moment(2024, 6, 7, 0, 0, 0, 1)
    (written,) = write(context, batch_of(schema, [["a", good], ["", good], ["b" * 65_536, good], ["c", fine], ["d", good]]))
    assert written.acknowledged == 2
    assert [(reject.index, reject.reason) for reject in written.rejects] == [(index, "refused_by_sink") for index in (1, 2, 3)]
    assert "Key may not be empty" in written.rejects[0].detail
    assert sorted(node.ask(f"SELECT id FROM fluxline.{context.name}")) == [("a",), ("d",)]
    schema = schema_of(p="INT", c="STRING", d="STRING")
    context = node.context(schema, ("p", "c", "d"))
    long = "x" * 40_000
    rows = [[1, str(number), ""] for number in range(300)] + [[1, long, long], [1, long, ""]]
    (written,) = write(context, batch_of(schema, rows))
    assert [reject.index for reject in written.rejects] == [300]
    assert node.ask(f"SELECT count(*) FROM fluxline.{context.name}") == [(301,)]


def test_another_table_is_refused_with_each_difference(node: Node) -> None:
    schema = schema_of(id="INT", text="STRING")
    context = node.context(schema, ("id",))
    write(context)
    other = replace(context, schema=schema_of(id="BIGINT", text="STRING", more="DOUBLE"))
    with pytest.raises(ExternalError) as caught:
        CassandraSink(other)
    assert caught.value.code == "FLX-4754"
    assert caught.value.detail == ('Column "id" is int in the table and bigint in the pipeline. Column "more" (double) is missing in the table.')
    with pytest.raises(ResourceMissing, match=r'no table "fluxline\.'):
        CassandraSink(node.context(schema, ("id",), create=False))
    with pytest.raises(ResourceMissing, match='no keyspace "nowhere"'):
        CassandraSink(node.context(schema, ("id",), create=False, keyspace="nowhere"))


def test_a_table_that_vanishes_is_no_fault_of_its_rows(node: Node) -> None:
    schema = schema_of(id="INT", text="STRING")
    context = node.context(schema, ("id",))
    sink = CassandraSink(context)
    node.ask(f"DROP TABLE fluxline.{context.name}")
    with pytest.raises(FluxlineError, match=r"FLX-475[35]"):
        sink.write(batch_of(schema, [[1, "a"]]), None)
    sink.close()


def test_an_address_without_a_node_is_named() -> None:
    with pytest.raises(ConnectionLost, match=r'no Cassandra node answers at "127\.0\.0\.1, port 1"'):
        CassandraSink(context_of("t", NUMBERS, ("number",), {"port": 1}))


def test_many_rows_of_few_partitions(node: Node) -> None:
    """More requests than may be on their way at once; every row arrives."""
    schema = schema_of(sensor="INT", at="BIGINT", text="STRING")
    context = node.context(schema, ("sensor", "at"))
    index = np.arange(20_000)
    columns = {"sensor": Column((index % 7).astype(np.int32)), "at": Column(index), "text": Column(pl.Series(["x" * 50] * 20_000))}
    (written,) = write(context, Batch(columns, 20_000))
    assert (written.acknowledged, written.rejects) == (20_000, ())
    assert sum(row[0] for row in node.ask(f"SELECT count(*) FROM fluxline.{context.name} GROUP BY sensor")) == 20_000
    assert event_loop().endswith("Connection")
