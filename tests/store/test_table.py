"""Types, names and shapes of stored tables."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from fluxline.errors import ConfigError, DefinitionError, TypeMismatch
from fluxline.schema import BIGINT, NULL, STRING, Field, TableSchema, parse_type
from fluxline.store.table import Table, differences, quote, schema_from_json, schema_to_json, storage_type
from tests.store.conftest import PEOPLE, batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fluxline.store.store import Store

# Flink type, DuckDB type, a value at the edge of what it holds.
TYPES: list[tuple[str, str, object]] = [
    ("BOOLEAN", "BOOLEAN", True),
    ("TINYINT", "TINYINT", -128),
    ("SMALLINT", "SMALLINT", -32_768),
    ("INT", "INTEGER", -2_147_483_648),
    ("BIGINT", "BIGINT", -9_223_372_036_854_775_808),
    ("FLOAT", "FLOAT", 0.5),
    ("DOUBLE", "DOUBLE", 1e308),
    ("DECIMAL(38, 6)", "DECIMAL(38,6)", Decimal("-12345678901234567890123456789012.345678")),
    ("DECIMAL(4, 2)", "DECIMAL(4,2)", Decimal("99.99")),
    ("CHAR(3)", "VARCHAR", "abc"),
    ("VARCHAR(20)", "VARCHAR", "it's"),
    ("STRING", "VARCHAR", 'é\x00"; --'),
    ("BINARY(2)", "BLOB", b"\x00\xff"),
    ("BYTES", "BLOB", b""),
    ("DATE", "DATE", date(1, 1, 1)),
    ("TIME(0)", "TIME", time(23, 59, 59)),
    ("TIME(6)", "TIME", time(23, 59, 59, 999_999)),
    ("TIME(9)", "TIME_NS", time(23, 59, 59, 999_999)),
    ("TIMESTAMP(3)", "TIMESTAMP_MS", datetime.fromisoformat("2026-01-01T12:00:00.123")),
    ("TIMESTAMP(6)", "TIMESTAMP", datetime.fromisoformat("0001-01-01T00:00:00.000001")),
    ("TIMESTAMP(9)", "TIMESTAMP_NS", datetime.fromisoformat("1970-01-01T00:00:00.000001")),
    ("TIMESTAMP_LTZ(3)", "TIMESTAMP_MS", datetime.fromisoformat("2026-07-01T12:00:00")),
    ("ARRAY<INT>", "INTEGER[]", [1, None, 3]),
    ("ARRAY<ARRAY<STRING>>", "VARCHAR[][]", [["a"], [], None]),
    ("MAP<STRING, INT>", 'STRUCT("key" VARCHAR, "value" INTEGER)[]', [{"key": "a", "value": 1}, {"key": "a", "value": None}]),
    ("ROW<a BIGINT, `B x` DECIMAL(10, 2)>", 'STRUCT(a BIGINT, "B x" DECIMAL(10,2))', {"a": 1, "B x": Decimal("1.10")}),
    ("ARRAY<ROW<t TIME(0), m MAP<STRING, DATE>>>", 'STRUCT(t TIME, m STRUCT("key" VARCHAR, "value" DATE)[])[]',
     [{"t": time(1, 2, 3), "m": [{"key": "d", "value": date(2026, 1, 2)}]}]),
]  # fmt: skip


@pytest.mark.parametrize(("flink", "duckdb", "value"), TYPES, ids=[flink for flink, _duckdb, _value in TYPES])
@pytest.mark.usefixtures("no_flush_by_itself")
def test_every_type_is_kept_exactly(store: Store, flink: str, duckdb: str, value: object) -> None:
    """Staged, flushed, replaced and brought back from the undo; NULL beside it."""
    logical = parse_type(flink)
    schema = TableSchema((Field("id", BIGINT), Field("value", logical)))
    table = store.open_table("typed", schema, ("id",), run_id="run")
    rows = [(1, value), (2, None)]
    written = batch(rows, schema=schema)
    store.write(table, written)
    wanted = written.polars()

    staged = store.query("SELECT * FROM typed ORDER BY id")
    assert staged.equals(wanted), staged
    assert [kind for _name, kind in store.query("DESCRIBE typed").select("column_name", "column_type").rows()] == ["BIGINT", duckdb]

    point = store.mark(table)
    assert store.query("SELECT * FROM typed ORDER BY id").equals(wanted)
    assert store.query("SELECT * FROM typed ORDER BY id").schema == wanted.schema

    store.write(table, batch([(1, None), (2, value)], schema=schema))
    store.flush()
    store.release(table)
    table = store.open_table("typed", schema, ("id",), run_id="run", point=point)
    assert store.query("SELECT * FROM typed ORDER BY id").equals(wanted)


def test_every_type_that_can_be_compared_can_be_a_key(store: Store) -> None:
    """The last row of a key wins, staged and flushed; NULL is a key like others."""
    for flink, _duckdb, value in TYPES:
        logical = parse_type(flink)
        if logical.root in ("ARRAY", "MAP", "ROW"):
            continue
        schema = TableSchema((Field("key", logical), Field("n", BIGINT)))
        table = store.open_table(f"keyed by {flink}", schema, ("key",), run_id="run")
        count = f"SELECT n FROM {quote(table.name)} ORDER BY n"
        store.write(table, batch([(value, 1), (value, 2), (None, 3), (None, 4)], schema=schema))
        assert store.query(count).rows() == [(2,), (4,)], flink
        store.flush()
        store.write(table, batch([(None, 5), (value, 6)], schema=schema))
        assert store.query(count).rows() == [(5,), (6,)], flink
        store.flush()
        assert store.query(count).rows() == [(5,), (6,)], flink


def test_floating_point_keys_compare_as_numbers(store: Store) -> None:
    """Minus zero is zero, and NaN is itself."""
    schema = TableSchema((Field("key", parse_type("DOUBLE")), Field("n", BIGINT)))
    table = store.open_table("numbers", schema, ("key",), run_id="run")
    store.write(table, batch([(0.0, 1), (-0.0, 2), (float("nan"), 3), (float("nan"), 4)], schema=schema))
    store.flush()
    store.write(table, batch([(0.0, 5), (float("nan"), 6)], schema=schema))
    store.flush()
    assert store.query("SELECT n FROM numbers ORDER BY n").rows() == [(5,), (6,)]


NAMES = [
    'x"; DROP TABLE y; --', "select", "a.b", "main.x", "ünï", "new row", "'", "memory", "store", "sqlite_master", "duckdb_views",
    "_delta_1", "x" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_a_name(open_store: Callable[[], Store], path: Path, name: str) -> None:
    """Of a table and of a column, whatever it holds; nothing else happens."""
    first = open_store()
    schema = TableSchema((Field(name, BIGINT), Field("other", STRING)))
    other = first.open_table("y", PEOPLE, ("id",), run_id="run")
    first.write(other, batch([(1, "kept")]))
    table = first.open_table(name, schema, (name,), run_id="run")
    first.write(table, batch([(7, "a"), (8, "b")], schema=schema))
    first.write(table, batch([(7, "c")], schema=schema))
    select = f"SELECT {quote(name)}, other FROM {quote(name)} ORDER BY 1"
    assert first.query(select).rows() == [(7, "c"), (8, "b")]
    first.close()
    second = open_store()
    assert second.query(select).rows() == [(7, "c"), (8, "b")]
    assert second.query("SELECT * FROM y").rows() == [(1, "kept")]
    assert second.query("SHOW TABLES").get_column("name").to_list() == sorted([name, "y"])
    assert [table.name for table in second.tables()] == sorted([name, "y"])


def test_columns_may_have_the_names_of_hidden_ones(store: Store) -> None:
    """The hidden ones give way, and stay hidden."""
    schema = TableSchema(tuple(Field(name, BIGINT) for name in ("_sequence", "__sequence", "_DELETED", "_replaced", "stored", "staged")))
    table = store.open_table("t", schema, ("_DELETED",), run_id="run")
    store.write(table, batch([(1, 2, 3, 4, 5, 6), (1, 2, 7, 4, 5, 6)], schema=schema))
    point = store.mark(table)
    store.write(table, batch([(9, 9, 3, 9, 9, 9), (0, 0, 7, 0, 0, 0)], schema=schema, kinds="+U -D"))
    store.flush()
    assert store.query("SELECT * FROM t").rows() == [(9, 9, 3, 9, 9, 9)]
    store.release(table)
    store.open_table("t", schema, ("_DELETED",), run_id="run", point=point)
    frame = store.query("SELECT * FROM t ORDER BY ALL")
    assert frame.columns == list(schema.names())
    assert frame.rows() == [(1, 2, 3, 4, 5, 6), (1, 2, 7, 4, 5, 6)]


def test_hidden_fields_are_not_stored(store: Store) -> None:
    """They travel with the rows, and a sink does not write them."""
    store.open_table("t", TableSchema((Field("id", BIGINT), Field("time", BIGINT, hidden=True))), None, run_id="run")
    assert store.query("SELECT * FROM t").columns == ["id"]


REFUSED = [
    ("", PEOPLE, None, "FLX-2601"),
    ("a\nb", PEOPLE, None, "FLX-2601"),
    ("t", TableSchema(()), None, "FLX-2601"),
    ("t", TableSchema((Field("a\x00", BIGINT),)), None, "FLX-2601"),
    ("t", TableSchema((Field("id", BIGINT), Field("ID", BIGINT))), None, "FLX-2602"),
    ("t", TableSchema((Field("r", parse_type("ARRAY<ROW<a INT, A INT>>")),)), None, "FLX-2602"),
    ("t", TableSchema((Field("a", parse_type("ARRAY<INT>")),)), ("a",), "FLX-2603"),
    ("t", TableSchema((Field("a", NULL),)), None, "FLX-2604"),
]


@pytest.mark.parametrize(("name", "schema", "key", "code"), REFUSED)
def test_what_cannot_be_stored_is_refused(store: Store, name: str, schema: TableSchema, key: tuple[str, ...] | None, code: str) -> None:
    """By name, before anything is made."""
    with pytest.raises((DefinitionError, TypeMismatch)) as caught:
        store.open_table(name, schema, key, run_id="run")
    assert caught.value.code == code
    assert store.tables() == ()


def test_tables_that_differ_in_case_are_refused(store: Store) -> None:
    """SQL would take them for one."""
    store.open_table("Orders", PEOPLE, None, run_id="run")
    with pytest.raises(ConfigError, match='tables "Orders" and "orders"') as caught:
        store.open_table("orders", PEOPLE, None, run_id="run")
    assert caught.value.code == "FLX-4608"


def test_another_shape_is_refused_with_each_difference(open_store: Callable[[], Store]) -> None:
    """Also after the store was closed; NOT NULL and the order of columns are no difference."""
    schema = TableSchema((Field("id", BIGINT), Field("name", STRING), Field("old", parse_type("DATE"))))
    store = open_store()
    store.open_table("t", schema, ("id",), run_id="run")
    store.close()
    store = open_store()
    changed = TableSchema((Field("id", parse_type("INT")), Field("name", parse_type("STRING NOT NULL")), Field("new", parse_type("DOUBLE"))))
    with pytest.raises(ConfigError) as caught:
        store.open_table("t", changed, ("id", "name"), run_id="run")
    assert caught.value.code == "FLX-4607"
    assert caught.value.detail == (
        'Column "id" is BIGINT in the store and INT now. Column "old" DATE is in the store and not in the pipeline. '
        'Column "new" DOUBLE is in the pipeline and not in the store. The key is (id) in the store and (id, name) now.'
    )
    assert "--fresh" in caught.value.hint
    with pytest.raises(ConfigError, match="another shape"):
        store.open_table("t", schema, None, run_id="run")
    same = TableSchema((Field("name", parse_type("STRING NOT NULL")), Field("old", parse_type("DATE")), Field("id", BIGINT)))
    store.open_table("t", same, ("id",), run_id="run")


def test_inner_nullability_is_no_difference() -> None:
    """It is no property of what is stored."""
    one = Table("t", TableSchema((Field("a", parse_type("ARRAY<ROW<x INT NOT NULL> NOT NULL> NOT NULL")),)), None, 1)
    assert differences(one, TableSchema((Field("a", parse_type("ARRAY<ROW<x INT>>")),)), None) == []
    assert differences(one, TableSchema((Field("a", parse_type("ARRAY<ROW<x BIGINT>>")),)), None) != []


@pytest.mark.parametrize("flink", [flink for flink, _duckdb, _value in TYPES])
def test_a_schema_survives_the_file(flink: str) -> None:
    """Every type, nullable or not."""
    schema = TableSchema((Field("a b", parse_type(flink)), Field("c", parse_type(f"{flink} NOT NULL"))))
    assert schema_from_json(schema_to_json(schema)) == schema


def test_precisions_choose_the_unit() -> None:
    """Each is stored in the coarsest unit that holds it."""
    assert [storage_type(parse_type(f"TIMESTAMP({digits})")) for digits in (0, 3, 4, 6, 7, 9)] == [
        "TIMESTAMP_MS", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_NS",
    ]  # fmt: skip
