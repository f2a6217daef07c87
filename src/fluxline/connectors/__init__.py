"""The dictionary of connectors: one line a word; a word loads when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Connector
from fluxline.dictionary import Entry, load, words
from fluxline.errors import UnsupportedByEngine

if TYPE_CHECKING:
    from fluxline.errors import Place

GROUP = "fluxline.connectors"  # Entry points through which other packages add connectors.

CONNECTORS: dict[str, Entry] = {
    "blackhole": Entry("fluxline.connectors.blackhole:CONNECTOR"),
    "cassandra": Entry("fluxline.connectors.cassandra:CONNECTOR", extra="cassandra"),
    "datagen": Entry("fluxline.connectors.datagen:CONNECTOR"),
    "filesystem": Entry("fluxline.connectors.filesystem:CONNECTOR"),
    "kafka": Entry("fluxline.connectors.kafka:CONNECTOR", extra="kafka"),
    "print": Entry("fluxline.connectors.print:CONNECTOR"),
    "store": Entry("fluxline.connectors.store:CONNECTOR"),
}

LATER: dict[str, str] = {
    "clickhouse": "ClickHouse tables come with the warehouse connectors; the connector store keeps tables today.",
    "dynamodb": "DynamoDB tables come with the cloud connectors; the connector store keeps tables today.",
    "elasticsearch": "Elasticsearch indexes come later; the connector store keeps tables today.",
    "http": "HTTP sources and sinks come in a later version; files can be followed today, on Flink through workers.",
    "jdbc": "Databases over JDBC come with the Flink engine; the connector store keeps tables today.",
    "kinesis": "Kinesis streams come with the cloud connectors; files can be followed today.",
    "mongodb": "MongoDB collections come later; the connector store keeps tables today.",
    "mqtt": "MQTT topics come in a later version; files can be followed today, on Flink through workers.",
    "mysql-cdc": "Changes of databases come in a later version; files can be followed today, on Flink through workers.",
    "postgres-cdc": "Changes of databases come in a later version; files can be followed today, on Flink through workers.",
    "pubsub": "Pub/Sub topics come with the cloud connectors; files can be followed today.",
    "upsert-kafka": "The connector kafka writes the same from a sink with a key; tables are not read from topics yet.",
    "webhook": "Webhooks come with the alerts; rows can be printed or written to files today.",
    "websocket": "WebSocket sources come in a later version; files can be followed today, on Flink through workers.",
}


def load_connector(name: str, place: Place | None = None) -> Connector:
    """The connector of this name, imported if it was not yet.

    Args:
        name: as Flink names it.
        place: where the name was written.

    Raises:
        NameNotFound: FLX-1120, no such connector.
        UnsupportedByEngine: FLX-2190, the connector is known and not part of this version.
        ConfigError: FLX-1121 to FLX-1123, the package that adds it does not do so as it should, or lacks an extra.
    """
    if name in LATER and name not in words(CONNECTORS, group=GROUP):
        raise UnsupportedByEngine(
            "FLX-2190",
            f'connector "{name}" is not part of this version',
            detail=LATER[name],
            hint=f"This version has {', '.join(CONNECTORS)}.",
            place=place,
        )
    return load(CONNECTORS, name, kind="connector", group=GROUP, expect=Connector, place=place)
