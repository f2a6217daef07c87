"""Look whether a sink could be opened: the node, the login, keyspace and table; nothing is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import SinkContext, SourceContext
from fluxline.connectors.cassandra.cql import table_of
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.session import Session, event_loop

if TYPE_CHECKING:
    from collections.abc import Sequence


def probe(context: SourceContext | SinkContext) -> Sequence[str]:
    """What was found.

    Raises:
        FluxlineError: as opening the sink would.
    """
    assert isinstance(context, SinkContext), "Cassandra is no source"
    assert isinstance(context.options, CassandraOptions), f"options of another connector: {context.options}"
    assert context.key, "a sink of Cassandra has a key"
    table = table_of(context.name, context.schema, context.key, context.options)
    session = Session(context.options, context.directory)
    try:
        (node,) = session.execute("SELECT release_version, data_center FROM system.local")
        missing = session.missing(table)
        if not missing:
            session.compare(table)
    finally:
        session.close()
    fits = f'table "{table.keyspace}.{table.name}" has the columns and the key of the sink'
    said = f"{missing} is not there and will be created" if missing else fits
    return (f'Cassandra {node.release_version} answers, of data center "{node.data_center}"', f"event loop {event_loop()}", said)
