"""The options of the connector `cassandra`, and what no single one of them shows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from fluxline.options import Options, Secret, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.errors import ConfigError

COUNTERS = "Adding to a counter is not idempotent: after a crash the same rows would be added again."
CONSISTENCIES = ("ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE")
_LIFETIME_SECONDS = 630_720_000  # 20 years: more is not known to Cassandra.
_CLUSTERING = re.compile(r"\s*(.+?)(?:\s+(ASC|DESC))?\s*", re.IGNORECASE | re.DOTALL)


class CassandraOptions(Options):
    """Where the table is, how its rows lie, and how they are written."""

    contact_points: list[str] = option("Addresses of nodes that are asked for the others.", example=["cassandra-1.internal"])
    port: int = option("Port of the native protocol, the same on all nodes.", default=9042, minimum=1)
    local_datacenter: str | None = option("Data centre to write to; that of the contact points if not given.", default=None, example="eu")
    keyspace: str = option("Keyspace of the table.", example="sensors")
    table: str | None = option("Table; the sink's own name if not given.", default=None, example="hourly_averages")
    partition_key: list[str] = option(
        "Key columns whose rows lie together on one node; the first key column if not given.", default=[], example=["sensor_id"]
    )
    clustering: list[str] = option(
        "The other key columns and their order within a partition, ASC or DESC; the rest of the key, ascending, if not given.",
        default=[],
        example=["window_start DESC"],
    )
    time_bucket: timedelta | None = option(
        "Length of time of a partition: the first timestamp of the clustering columns, rounded down to it, is one more column of the partition key.",
        default=None,
        example="1 day",
    )
    time_bucket_column: str = option("Name of that column in the table.", default="time_bucket")
    ttl: timedelta | None = option("How long rows live, in whole seconds; for ever if not given.", default=None, example="90 days")
    nulls: str = option(
        "What NULL becomes: unset writes nothing where a row is new, so that it leaves no tombstone; null always writes it.",
        default="unset",
        choices=("unset", "null"),
    )
    consistency: str = option("Replicas that must have a row before it counts as written.", default="LOCAL_QUORUM", choices=CONSISTENCIES)
    create: bool = option("Create the keyspace and the table where they are missing.", default=True)
    replication: dict[str, str | int] = option(
        "Replication of a keyspace that is created, as CQL writes it.",
        default={"class": "SimpleStrategy", "replication_factor": "1"},
        example={"class": "NetworkTopologyStrategy", "eu": "3"},
    )
    retry_for: timedelta = option("How long rows are sent again while nodes do not answer, before the run fails.", default=timedelta(seconds=60))
    username: str | None = option("Who logs in; nobody if not given.", default=None, example="fluxline")
    password: Secret | None = option("What proves it.", default=None)
    ssl: bool = option("Encrypt, and trust the authorities of this machine unless ssl_ca_location says which.", default=False)
    ssl_ca_location: str | None = option("File of the authorities that sign the nodes' certificates (PEM); encrypts.", default=None)
    ssl_certificate_location: str | None = option("File of our own certificate (PEM), where the nodes ask for one; encrypts.", default=None)
    ssl_key_location: str | None = option("File of its private key (PEM), if it is not in the same file.", default=None)
    ssl_key_password: Secret | None = option("Password of the private key.", default=None)
    ssl_endpoint_identification_algorithm: str = option(
        "https: a node's certificate must name the address that we connect to; none: it need not.", default="https", choices=("https", "none")
    )
    counters: bool = option("Counter columns; always false.", default=False)
    lightweight_transactions: bool = option("Writes with IF; always false.", default=False)

    @property
    def encrypted(self) -> bool:
        """Whether any option asks for TLS."""
        return self.ssl or self.ssl_ca_location is not None or self.ssl_certificate_location is not None

    def order(self) -> list[tuple[str, str]]:
        """The clustering columns and ASC or DESC."""
        found = []
        for text in self.clustering:
            match = _CLUSTERING.fullmatch(text)
            assert match is not None, f"validate has looked at {text!r}"
            found.append((match.group(1), (match.group(2) or "ASC").upper()))
        return found

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Refuse what Cassandra or a replayed write cannot do."""
        if not self.contact_points or not all(self.contact_points):
            raise refuse("contact_points", "At least one address is needed, and none is empty.")
        if self.port > 65_535:
            raise refuse("port", "The highest port is 65535.")
        if self.counters:
            raise refuse("counters", f"{COUNTERS} Count in the pipeline and write the count to a BIGINT column.")
        if self.lightweight_transactions:
            raise refuse(
                "lightweight_transactions",
                "A write with IF takes no timestamp of ours, so a row that is sent again could undo a later one, and it costs four round trips. "
                "The row with the highest sequence wins without it.",
            )
        second = timedelta(seconds=1)
        if self.ttl is not None and (self.ttl % second or not second <= self.ttl <= _LIFETIME_SECONDS * second):
            raise refuse("ttl", "Cassandra takes whole seconds, from 1 second to 20 years (7300 days).")
        if self.time_bucket is not None and self.time_bucket < second:
            raise refuse("time_bucket", "A partition holds at least 1 second.")
        if not self.time_bucket_column:
            raise refuse("time_bucket_column", "A column has a name.")
        if not all(_CLUSTERING.fullmatch(text) for text in self.clustering):
            raise refuse("clustering", 'Each is a column, or a column and its order: "window_start DESC".')
        if (self.username is None) != (self.password is None):
            raise refuse("password" if self.password is None else "username", "A login is both a username and a password.")
        if self.ssl_key_location is not None and self.ssl_certificate_location is None:
            raise refuse("ssl_key_location", "A key goes with a certificate: ssl_certificate_location is missing.")
        if self.ssl_key_password is not None and self.ssl_certificate_location is None:
            raise refuse("ssl_key_password", "A key goes with a certificate: ssl_certificate_location is missing.")
