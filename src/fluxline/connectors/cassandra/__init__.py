"""The connector `cassandra`: a sink whose tables are Apache Cassandra's, read by CQL.

Delivery guarantee: at least once, and in effect once, since a row replaces the one with its key; see `sink.py`.
"""

from __future__ import annotations

from fluxline.connectors.base import Connector
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.sink import CassandraSink

CONNECTOR = Connector(
    name="cassandra",
    doc="Tables of Apache Cassandra, written by key.",
    options=CassandraOptions,
    source=None,
    sink=CassandraSink,
    takes_format=False,
    upserts=True,
    needs_key=True,
)
