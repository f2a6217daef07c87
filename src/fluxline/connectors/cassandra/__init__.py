"""The connector `cassandra`: a sink whose tables are Apache Cassandra's, asked by CQL.

Delivery guarantee: at least once, and in effect once, since a row replaces the one with its key; see `sink.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Connector
from fluxline.connectors.cassandra.cql import table_of
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.probe import probe
from fluxline.connectors.cassandra.query import ask
from fluxline.connectors.cassandra.sink import CassandraSink
from fluxline.connectors.cassandra.survival import survival

if TYPE_CHECKING:
    from fluxline.options import Options
    from fluxline.schema import TableSchema


def check_sink(options: Options, name: str, schema: TableSchema, key: tuple[str, ...] | None) -> None:
    """Refuse a layout or a type that no table of Cassandra has."""
    assert isinstance(options, CassandraOptions), f"options of another connector: {options}"
    if key is not None:  # Without one the sink is refused anyway.
        table_of(name, schema, key, options)


CONNECTOR = Connector(
    name="cassandra",
    doc="Tables of Apache Cassandra, written by key.",
    options=CassandraOptions,
    source=None,
    sink=CassandraSink,
    takes_format=False,
    upserts=True,
    needs_key=True,
    versioned=True,
    check_sink=check_sink,
    query=ask,
    probe=probe,
    survival=survival,
)
