"""What a Cassandra table is: its columns, its primary key, the CQL that follows from them, and how another one differs.

logical type              CQL type
BOOLEAN                   boolean
TINYINT .. BIGINT         tinyint, smallint, int, bigint
FLOAT, DOUBLE             float, double
DECIMAL(p, s)             decimal
CHAR, VARCHAR, STRING     text
BINARY .. BYTES           blob
DATE, TIME(p)             date, time
TIMESTAMP, TIMESTAMP_LTZ  timestamp: milliseconds of UTC; a value with finer digits is refused, row by row
ARRAY<t>                  frozen<list<t>>: one value, which a later row replaces without a tombstone
MAP<k, v>                 frozen<map<k, v>>
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.connectors.cassandra.options import COUNTERS
from fluxline.errors import ConfigError, UnsupportedByEngine, did_you_mean
from fluxline.schema import Field, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.connectors.cassandra.options import CassandraOptions
    from fluxline.schema import LogicalType

_SIMPLE = {
    "BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INT": "int", "BIGINT": "bigint",
    "FLOAT": "float", "DOUBLE": "double", "DECIMAL": "decimal", "CHAR": "text", "VARCHAR": "text",
    "BINARY": "blob", "VARBINARY": "blob", "DATE": "date", "TIME": "time",
    "TIMESTAMP": "timestamp", "TIMESTAMP_LTZ": "timestamp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column as `system_schema.columns` describes it.

    Attributes:
        type: its CQL type.
        kind: partition_key, clustering, regular or static.
        position: its place among those of its kind that are part of the key, else -1.
        order: asc, desc or none.
    """

    type: str
    kind: str = "regular"
    position: int = -1
    order: str = "none"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A column of the table that no row of the pipeline has: a timestamp of its key, rounded down.

    Attributes:
        column: its name.
        source: the timestamp that is rounded.
        milliseconds: what it is rounded to, counted from 1970-01-01 00:00 UTC.
    """

    column: str
    source: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a sink.

    Attributes:
        keyspace: its keyspace.
        name: its name.
        schema: the columns that are written, the bucket among them.
        partition: the columns of its partition key, in order.
        clustering: its clustering columns and ASC or DESC, in order.
        ttl_seconds: how long a row lives, or None.
        bucket: the column of its partition key that bounds a partition's time, or None.
    """

    keyspace: str
    name: str
    schema: TableSchema
    partition: tuple[str, ...]
    clustering: tuple[tuple[str, str], ...]
    ttl_seconds: int | None = None
    bucket: Bucket | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """All columns of the primary key, in order."""
        return (*self.partition, *(name for name, _order in self.clustering))

    @property
    def columns(self) -> tuple[Field, ...]:
        """All columns in the order in which statements take them: the key, then the others."""
        return (*(self.schema.field(name) for name in self.key), *(item for item in self.schema if item.name not in self.key))

    @property
    def full_name(self) -> str:
        """Keyspace and table, quoted."""
        return f"{quote(self.keyspace)}.{quote(self.name)}"

    def create(self) -> str:
        """The statement that creates it where it is missing."""
        lines = [f"    {quote(item.name)} {cql_type(item.type, item.name)}," for item in self.columns]
        clustering = "".join(f", {quote(name)}" for name, _order in self.clustering)
        lines.append(f"    PRIMARY KEY (({', '.join(quote(name) for name in self.partition)}){clustering})")
        text = f"CREATE TABLE IF NOT EXISTS {self.full_name} (\n" + "\n".join(lines) + "\n)"
        if self.clustering:
            text += f" WITH CLUSTERING ORDER BY ({', '.join(f'{quote(name)} {order}' for name, order in self.clustering)})"
        return text

    def insert(self) -> str:
        """The statement that writes one row: the columns in order, then the timestamp."""
        names = ", ".join(quote(item.name) for item in self.columns)
        lifetime = "" if self.ttl_seconds is None else f" AND TTL {self.ttl_seconds}"
        return f"INSERT INTO {self.full_name} ({names}) VALUES ({', '.join('?' * len(self.columns))}) USING TIMESTAMP ?{lifetime}"

    def delete(self) -> str:
        """The statement that deletes one row: the timestamp, then the key."""
        return f"DELETE FROM {self.full_name} USING TIMESTAMP ? WHERE {' AND '.join(f'{quote(name)} = ?' for name in self.key)}"

    def described(self) -> dict[str, TableColumn]:
        """Its columns as `system_schema.columns` describes them once it is created."""
        found = {item.name: TableColumn(cql_type(item.type, item.name)) for item in self.schema}
        for position, name in enumerate(self.partition):
            found[name] = TableColumn(found[name].type, "partition_key", position)
        for position, (name, order) in enumerate(self.clustering):
            found[name] = TableColumn(found[name].type, "clustering", position, order.lower())
        return found

    def differences(self, there: Mapping[str, TableColumn]) -> list[str]:
        """What is different in the table that is there, one sentence each."""
        wanted, found = self.described(), []
        for name, column in wanted.items():
            other = there.get(name)
            if other is None:
                found.append(f'Column "{name}" ({column.type}) is missing in the table.')
            elif _thawed(other.type) != _thawed(column.type):
                why = f" {COUNTERS}" if other.type == "counter" else ""
                found.append(f'Column "{name}" is {other.type} in the table and {column.type} in the pipeline.{why}')
            if other is not None and other.kind == "static":
                found.append(f'Column "{name}" is static in the table.')
        found += [f'Column "{name}" ({column.type}) of the table is not in the pipeline.' for name, column in there.items() if name not in wanted]
        for kind, words in (("partition_key", "partition key"), ("clustering", "clustering")):
            ours, theirs = _key_text(wanted, kind), _key_text(there, kind)
            if ours != theirs:
                found.append(f"The {words} is ({theirs}) in the table and ({ours}) in the pipeline.")
        return found


def table_of(name: str, schema: TableSchema, key: Sequence[str], options: CassandraOptions) -> Table:
    """The table that a sink writes.

    Args:
        name: the sink's name.
        schema: its visible columns.
        key: the pipeline's key of it.
        options: the connector's options.

    Raises:
        ConfigError: FLX-1151, the partition key and the clustering columns are not the pipeline's key; FLX-1158, the time bucket
            has no timestamp to be made of, or its name is taken.
        UnsupportedByEngine: FLX-2751, a column has a type that no column of Cassandra holds.
    """
    partition = tuple(options.partition_key) or tuple(item for item in key if item not in dict(options.order()))[:1]
    clustering = tuple(options.order()) or tuple((item, "ASC") for item in key if item not in partition)
    physical = (*partition, *(item for item, _order in clustering))
    if not partition or sorted(physical) != sorted(key):
        unknown = [item for item in physical if item not in key]
        raise ConfigError(
            "FLX-1151",
            f'the primary key of sink "{name}" is not the pipeline\'s key',
            detail=f"partition_key and clustering name ({', '.join(physical)}), each column once; the pipeline's key is ({', '.join(key)}).",
            hint=did_you_mean(unknown[0], key) if unknown else "Name each column of the pipeline's key once, in partition_key or in clustering.",
        )
    for item in schema:
        cql_type(item.type, item.name)
        if item.name in key and item.type.root in ("ARRAY", "MAP"):
            raise _unsupported(item.name, item.type, "It is part of the key, and two values that are equal may be written in different ways.")
    seconds = None if options.ttl is None else int(options.ttl.total_seconds())
    bucket = _bucket(name, schema, [item for item, _order in clustering], options)
    if bucket is not None:
        schema = TableSchema((*schema.fields, Field(bucket.column, parse_type("TIMESTAMP_LTZ(3) NOT NULL"))))
        partition = (*partition, bucket.column)
    return Table(options.keyspace, options.table or name, schema, partition, clustering, seconds, bucket)


def _bucket(name: str, schema: TableSchema, clustering: Sequence[str], options: CassandraOptions) -> Bucket | None:
    if options.time_bucket is None:
        return None
    column, source = options.time_bucket_column, next((item for item in clustering if schema.field(item).type.timestamp), None)
    if source is None:
        raise ConfigError(
            "FLX-1158",
            f'sink "{name}" has no timestamp to make a time bucket of',
            detail=f"It is made of the first timestamp of the clustering columns, and they are ({', '.join(clustering)}).",
            hint="Take a timestamp into the key and into clustering, or leave time_bucket away.",
        )
    if column in schema:
        raise ConfigError(
            "FLX-1158",
            f'sink "{name}" has a column "{column}" already',
            detail="The time bucket is a column of the table alone.",
            hint="Choose another name with time_bucket_column.",
        )
    return Bucket(column, source, int(options.time_bucket.total_seconds() * 1000))


def cql_type(logical: LogicalType, column: str) -> str:
    """The CQL type that holds a logical type.

    Raises:
        UnsupportedByEngine: FLX-2751, none does.
    """
    if logical.root in _SIMPLE:
        return _SIMPLE[logical.root]
    if logical.root in ("ARRAY", "MAP"):
        for child in logical.children:
            if child.timestamp and (child.precision or 0) > 3:
                raise _unsupported(column, logical, "A timestamp of Cassandra holds milliseconds; use a precision of 3 inside it.")
        word = "list" if logical.root == "ARRAY" else "map"
        return f"frozen<{word}<{', '.join(cql_type(child, column) for child in logical.children)}>>"
    raise _unsupported(column, logical, "A ROW would need a type of its own in the keyspace; select its fields as columns.")


def create_keyspace(keyspace: str, replication: Mapping[str, object]) -> str:
    """The statement that creates a keyspace where it is missing."""
    pairs = ", ".join(f"{_literal(str(name))}: {_literal(str(value))}" for name, value in replication.items())
    return f"CREATE KEYSPACE IF NOT EXISTS {quote(keyspace)} WITH replication = {{{pairs}}}"


def quote(name: str) -> str:
    """The name as a CQL identifier: bare where it is simple and no word of CQL, else in quotes."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in _WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


_WORDS = frozenset((
    "add", "allow", "alter", "and", "apply", "asc", "authorize", "batch", "begin", "by", "columnfamily", "create", "default",
    "delete", "desc", "describe", "drop", "entries", "execute", "from", "full", "grant", "if", "in", "index", "infinity",
    "insert", "into", "is", "keyspace", "keyspaces", "limit", "materialized", "mbean", "mbeans", "modify", "nan", "norecursive",
    "not", "null", "of", "on", "or", "order", "password", "primary", "rename", "replace", "revoke", "schema", "select", "set",
    "table", "to", "token", "truncate", "unlogged", "unset", "update", "use", "using", "view", "where", "with",
))  # fmt: skip  # Reserved words; quoting one more than a version reserves does no harm.


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _thawed(text: str) -> str:
    """The type without `frozen`: both forms of a collection take the same values."""
    return text.replace("frozen<", "").replace(">", "").replace(" ", "")


def _key_text(columns: Mapping[str, TableColumn], kind: str) -> str:
    part = sorted((column.position, name, column.order) for name, column in columns.items() if column.kind == kind)
    return ", ".join(name if kind == "partition_key" else f"{name} {order.upper()}" for _position, name, order in part)


def _unsupported(column: str, logical: LogicalType, why: str) -> UnsupportedByEngine:
    return UnsupportedByEngine("FLX-2751", f'column "{column}" has a type that Cassandra does not hold', detail=f"It is {logical.text()}. {why}")
