"""How Flink's `kafka` table is set up for the same topic; rows that replace others are written by `upsert-kafka`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.connectors.base import FlinkForm
from fluxline.connectors.kafka.options import DECLARED, KafkaOptions, timestamp_ms
from fluxline.errors import UnsupportedByEngine
from fluxline.limits import PARTITION_POLL_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.base import FlinkEnd

STARTUP_MODES = {
    "earliest": "earliest-offset",
    "latest": "latest-offset",
    "group": "group-offsets",
    "timestamp": "timestamp",
    "offsets": "specific-offsets",
}
GROUP = "fluxline"
TRANSACTION_MS = 600_000
"""How long a transaction may stay open: longer than a checkpoint takes, shorter than what brokers allow if nothing is configured, 15 minutes.
Flink's own default, an hour, they refuse."""
OURS = (*DECLARED, "enable.auto.commit", "isolation.level", "acks", "enable.idempotence", "sasl.jaas.config", "transactional.id")
"""Properties on which delivery and positions depend, or that options set."""

_LIBRARY = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"  # The connector's jar carries the client under this name.
_LOGINS = {"PLAIN": "plain.PlainLoginModule", "SCRAM-SHA-256": "scram.ScramLoginModule", "SCRAM-SHA-512": "scram.ScramLoginModule"}
_PARTITIONERS = ("murmur2", "murmur2_random")


def table_options(end: FlinkEnd) -> Mapping[str, str]:
    """The options of WITH (...).

    Raises:
        UnsupportedByEngine: FLX-2651, Flink cannot follow an option.
    """
    options = end.options
    assert isinstance(options, KafkaOptions) and end.format is not None, "topics have these options and a format"
    found = {"connector": "upsert-kafka" if end.updating else "kafka", "topic": options.topic or end.name, **_client(end, options)}
    if end.role == "source":
        return {**found, **_start(options, end.group, bounded=end.bounded), "format": end.format, **end.format_options}
    if options.partitioner not in _PARTITIONERS:
        raise _refuse(end, "partitioner", "Flink's client chooses a partition by murmur2 of the key.", 'Leave it at "murmur2_random".')
    if end.transactions is None:
        found["sink.delivery-guarantee"] = "at-least-once"
    else:
        found |= {"sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": end.transactions}
        found.setdefault("properties.transaction.timeout.ms", str(TRANSACTION_MS))
    if not end.key:
        return {**found, "format": end.format, **end.format_options}
    if not end.updating:  # Otherwise the primary key is the key.
        found["key.fields"] = ";".join(end.key)
    for part in ("key", "value"):
        found |= {f"{part}.format": end.format, **{f"{part}.{name}": value for name, value in end.format_options.items()}}
    return found


def _client(end: FlinkEnd, options: KafkaOptions) -> dict[str, str]:
    """Properties of the Java client."""
    for name, value in options.properties_java.items():
        if name in OURS:
            raise _refuse(end, "properties_java", f'"{name}" is set by another option, or by the connector.', "Take it out.")
        if not isinstance(value, str | int | float):
            raise _refuse(end, "properties_java", f'"{name}" takes a text or a number.', "Write a text.")
    found: dict[str, object] = {"bootstrap.servers": ",".join(options.bootstrap_servers)}
    if options.security_protocol != "PLAINTEXT":
        found["security.protocol"] = options.security_protocol
    if options.sasl_mechanism:
        found |= {"sasl.mechanism": options.sasl_mechanism, "sasl.jaas.config": _login(end, options)}
    if options.ssl_ca_location:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(Path(options.ssl_ca_location).absolute())}
    found |= {**options.properties, **options.properties_java}
    return {f"properties.{name}": _text(value) for name, value in found.items()}


def _login(end: FlinkEnd, options: KafkaOptions) -> str:
    module = _LOGINS.get(options.sasl_mechanism)
    if module is None:
        known = ", ".join(_LOGINS)
        raise _refuse(
            end, "sasl_mechanism", f"{options.sasl_mechanism} needs settings of a Java client that are not written here.", f"Use one of {known}."
        )
    password = "" if options.password is None else options.password.reveal()
    return f"{_LIBRARY}.{module} required username={_quoted(options.username)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    """A text as JAAS reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _start(options: KafkaOptions, group: str | None, *, bounded: bool) -> dict[str, str]:
    """Where reading begins and ends; offsets are committed to a group that is the source's alone, for people to see, or to none."""
    shows = group if options.start == "earliest" else None  # Elsewhere nobody could say where it began.
    found = {
        "properties.group.id": shows or options.group_id or GROUP,
        "properties.isolation.level": "read_committed",
        "properties.commit.offsets.on.checkpoint": _text(shows is not None),
        "scan.startup.mode": STARTUP_MODES[options.start],
    }
    if options.start == "group":
        found["properties.auto.offset.reset"] = "earliest"
    elif options.start == "timestamp":
        found["scan.startup.timestamp-millis"] = str(timestamp_ms(options.start_timestamp))
    elif options.start == "offsets":
        offsets = sorted((int(number), offset) for number, offset in options.start_offsets.items())
        found["scan.startup.specific-offsets"] = ";".join(f"partition:{number},offset:{offset}" for number, offset in offsets)
    if bounded:
        found["scan.bounded.mode"] = "latest-offset"
    else:  # By default it looks for new ones after five minutes; by then the others have closed the windows of their rows.
        found["scan.topic-partition-discovery.interval"] = f"{PARTITION_POLL_MS} ms"
    # With every record: by default lateness would depend on a clock.
    return {**found, "scan.watermark.emit.strategy": "on-event"}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse(end: FlinkEnd, option: str, detail: str, hint: str) -> UnsupportedByEngine:
    return UnsupportedByEngine("FLX-2651", f'Flink cannot follow option "{option}" of {end.role} "{end.name}"', detail=detail, hint=hint)


FLINK = FlinkForm(
    table_options,
    partition=("partition", "INT"),
    metadata=("offset", "partition", "timestamp", "headers"),
    position="offset",
    logged_at="timestamp",
    shows_metadata_of_formats=True,
    follows_partitions=True,
    exactly_once=True,
    appends_by_key=True,
    secrets=("properties.sasl.jaas.config",),
)
