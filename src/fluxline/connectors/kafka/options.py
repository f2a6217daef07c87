"""Options of the connector `kafka`, and what of them librdkafka gets."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fluxline.options import Options, Secret, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.errors import ConfigError

DECLARED = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "username",
    "sasl.password": "password",
    "ssl.ca.location": "ssl_ca_location",
    "group.id": "group_id",
    "partitioner": "partitioner",
    "auto.offset.reset": "start",
}
"""Properties of librdkafka that a declared option sets."""

MIN_IN_SYNC = "min.insync.replicas"

OWNED = (
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.auto.commit",
    "enable.partition.eof",
    "group.instance.id",
    "partition.assignment.strategy",
    "delivery.report.only.error",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "message.queue.max",
    "error_cb",
    "logger",
    "on_delivery",
)
"""Properties on which delivery and positions depend."""


class KafkaOptions(Options):
    """Where the brokers and the topic are, and how the topic is read and written."""

    bootstrap_servers: list[str] = option("Addresses of some brokers.", example=["127.0.0.1:9092"], flink="properties.bootstrap.servers")
    topic: str = option("The topic; empty means the name of the source or sink.", default="", example="sensor_data", flink="topic")
    security_protocol: str = option(
        "How connections are secured.",
        default="PLAINTEXT",
        choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        flink="properties.security.protocol",
    )
    sasl_mechanism: str = option("How the user is authenticated.", default="", example="SCRAM-SHA-512", flink="properties.sasl.mechanism")
    username: str = option("The user, with a SASL protocol.", default="", example="${env:KAFKA_USER}")
    password: Secret | None = option("The user's password.", default=None, example="${file:/run/secrets/kafka-password}")
    ssl_ca_location: str = option("File of the certificates that sign the brokers' own; empty means the system's.", default="", example="ca.pem")
    properties: dict[str, object] = option("Properties of every Kafka client, verbatim.", default={}, example={"fetch.min.bytes": "65536"})
    properties_librdkafka: dict[str, object] = option(
        "Properties of librdkafka, the client of the embedded engine, verbatim.", default={}, example={"fetch.queue.backoff.ms": "1"}
    )
    properties_java: dict[str, object] = option(
        "Properties of the Java client of a Flink engine; the embedded engine does not use them.",
        default={},
        example={"client.dns.lookup": "use_all_dns_ips"},
    )
    start: str = option(
        "Source: where a fresh run begins to read.",
        default="earliest",
        choices=("earliest", "latest", "group", "timestamp", "offsets"),
        flink="scan.startup.mode",
    )
    start_timestamp: str = option('Source: the time to begin at, with start = "timestamp".', default="", example="2026-01-01T00:00:00Z")
    start_offsets: dict[str, int] = option(
        'Source: the offset of each partition, with start = "offsets"; a partition that is not named is read from its beginning.',
        default={},
        example={"0": 1200},
    )
    group_id: str = option(
        'Source: the consumer group whose committed offsets start = "group" begins at; nothing is committed to it.',
        default="",
        example="dashboards",
        flink="properties.group.id",
    )
    partitioner: str = option(
        "Sink: how librdkafka chooses a partition for a key; the default is the Java client's.", default="murmur2_random", example="consistent_random"
    )

    create_topics: bool = option("Make a topic that is missing.", default=False)
    partitions: int | None = option(
        "Partitions of a topic that is made; one that is there and has another number is refused. The brokers decide if not given.",
        default=None,
        example=6,
        minimum=1,
    )
    replication_factor: int | None = option(
        "The same of the replicas of a partition; if not given, three, or as many as there are brokers.", default=None, example=3, minimum=1
    )
    topic_config: dict[str, object] = option(
        "The same of a topic's own settings, as Kafka names them; those that are not given may be as they are, but a topic that is made with three "
        "replicas or more has min.insync.replicas = 2.",
        default={},
        example={"cleanup.policy": "compact", "retention.ms": 604_800_000},
    )

    @property
    def declares_topic(self) -> bool:
        """Whether anything is said of what the topic is like."""
        return self.create_topics or self.partitions is not None or self.replication_factor is not None or bool(self.topic_config)

    @property
    def min_insync_replicas(self) -> int | None:
        """How many replicas must have a record before it counts as written, where that is declared as a number."""
        try:
            return int(str(self.topic_config[MIN_IN_SYNC]))
        except (KeyError, ValueError):  # The brokers say what they think of another text.
            return None

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Check what belongs together, and the raw properties."""
        if not self.bootstrap_servers or not all(isinstance(item, str) and item for item in self.bootstrap_servers):
            raise refuse("bootstrap_servers", 'It is a list of addresses such as ["127.0.0.1:9092"].')
        for name in ("properties", "properties_librdkafka"):
            for key, value in getattr(self, name).items():
                if key in DECLARED:
                    raise refuse(name, f'"{key}" is set by the option "{DECLARED[key]}".')
                if key in OWNED:
                    raise refuse(name, f'"{key}" is set by the connector: delivery and positions depend on it.')
                if not isinstance(value, str | int | float):
                    raise refuse(name, f'"{key}" takes a text or a number.')
        for key, value in self.topic_config.items():
            if not isinstance(value, str | int | float):
                raise refuse("topic_config", f'"{key}" takes a text, a number, true or false.')
        in_sync, replicas = self.min_insync_replicas, self.replication_factor
        if in_sync is not None and replicas is not None and in_sync > replicas:
            detail = f"{MIN_IN_SYNC} = {in_sync} can never be met with replication_factor = {replicas}: nothing could be written."
            raise refuse("topic_config", detail)
        sasl = self.security_protocol.startswith("SASL")
        for name in ("sasl_mechanism", "username", "password"):
            if getattr(self, name) and not sasl:
                raise refuse(name, 'It needs security_protocol = "SASL_SSL" or "SASL_PLAINTEXT".')
        if sasl and not self.sasl_mechanism:
            raise refuse("sasl_mechanism", f"security_protocol = {self.security_protocol!r} needs it.")
        self._validate_start(refuse)

    def _validate_start(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """An option of one kind of start stands with it, and with it only."""
        for name, kind, required in (("start_timestamp", "timestamp", True), ("start_offsets", "offsets", True), ("group_id", "group", True)):
            given = bool(getattr(self, name))
            if required and self.start == kind and not given:
                raise refuse(name, f'start = "{kind}" needs it.')
            if given and self.start != kind:
                raise refuse(name, f'It has a meaning only with start = "{kind}".')
        if self.start_timestamp and timestamp_ms(self.start_timestamp) is None:
            raise refuse("start_timestamp", "It is no time with a zone such as 2026-01-01T00:00:00Z.")
        for partition, offset in self.start_offsets.items():
            if not partition.isdecimal() or type(offset) is not int or offset < 0:
                raise refuse("start_offsets", f'It maps numbers of partitions to offsets, and "{partition}" = {offset!r} is none.')

    def client(self) -> dict[str, object]:
        """Configuration of librdkafka for any client."""
        given: dict[str, object] = {"bootstrap.servers": ",".join(self.bootstrap_servers), "security.protocol": self.security_protocol}
        if self.sasl_mechanism:
            given["sasl.mechanism"] = self.sasl_mechanism
        if self.username:
            given["sasl.username"] = self.username
        if self.password is not None:
            given["sasl.password"] = self.password.reveal()
        if self.ssl_ca_location:
            given["ssl.ca.location"] = self.ssl_ca_location
        return given

    def raw(self) -> dict[str, object]:
        """The raw properties; those for librdkafka win over those for all."""
        return {**self.properties, **self.properties_librdkafka}


def timestamp_ms(text: str) -> int | None:
    """Milliseconds of a time with a zone, or None."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if time.tzinfo is None else round(time.timestamp() * 1000)
