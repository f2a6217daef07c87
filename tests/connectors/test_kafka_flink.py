"""The connector `kafka` as a table of Flink: each option in Flink's words, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from fluxline.connectors.base import FlinkEnd
from fluxline.connectors.kafka.flink import FLINK
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.errors import UnsupportedByEngine
from fluxline.options import Secret, read_options

CLIENT = {"bootstrap_servers": ["a:9092", "b:9092"]}


def options_of(
    role: Literal["source", "sink"] = "source", *, key: tuple[str, ...] = (), more: dict[str, Any] | None = None, **given: Any
) -> dict[str, str]:
    options = read_options(KafkaOptions, {**CLIENT, **given}, of='connector "kafka"')
    end = FlinkEnd("readings", options, role, key, "json", {"json.x": "y"}, Path("/here"), **(more or {}))
    return dict(FLINK.table(end))


def test_a_source() -> None:
    assert options_of() == {
        "connector": "kafka",
        "topic": "readings",
        "properties.bootstrap.servers": "a:9092,b:9092",
        "properties.group.id": "fluxline",
        "properties.isolation.level": "read_committed",
        "properties.commit.offsets.on.checkpoint": "false",
        "scan.startup.mode": "earliest-offset",
        "scan.topic-partition-discovery.interval": "1000 ms",
        "scan.watermark.emit.strategy": "on-event",
        "format": "json",
        "json.x": "y",
    }
    bounded = options_of(more={"bounded": True})
    assert bounded["scan.bounded.mode"] == "latest-offset"
    assert "scan.topic-partition-discovery.interval" not in bounded
    shown = options_of(more={"group": "fluxline-ours-readings"})
    assert shown["properties.group.id"] == "fluxline-ours-readings"
    assert shown["properties.commit.offsets.on.checkpoint"] == "true"
    assert FLINK.partition == ("partition", "INT")
    assert FLINK.follows_partitions


@pytest.mark.parametrize("start", [{"start": "latest"}, {"start": "group", "group_id": "g"}, {"start": "offsets", "start_offsets": {"0": 7}}])
def test_a_source_that_begins_elsewhere_shows_no_position(start: dict[str, Any]) -> None:
    """Nobody could say how much of it was read; and a group of the user's stays as it is."""
    found = options_of(more={"group": "fluxline-ours-readings"}, **start)
    assert found["properties.group.id"] == start.get("group_id", "fluxline")
    assert found["properties.commit.offsets.on.checkpoint"] == "false"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"start": "latest"}, {"scan.startup.mode": "latest-offset"}),
        (
            {"start": "group", "group_id": "g"},
            {"scan.startup.mode": "group-offsets", "properties.group.id": "g", "properties.auto.offset.reset": "earliest"},
        ),
        (
            {"start": "timestamp", "start_timestamp": "2026-01-01T00:00:00Z"},
            {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": "1767225600000"},
        ),
        (
            {"start": "offsets", "start_offsets": {"10": 7, "2": 0}},
            {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": "partition:2,offset:0;partition:10,offset:7"},
        ),
        ({"topic": "other"}, {"topic": "other"}),
        (
            {
                "properties": {"fetch.min.bytes": 5},
                "properties_java": {"client.dns.lookup": "x", "check.crcs": False},
                "properties_librdkafka": {"debug": "all"},
            },
            {"properties.fetch.min.bytes": "5", "properties.client.dns.lookup": "x", "properties.check.crcs": "false"},
        ),
        (
            {"security_protocol": "SSL", "ssl_ca_location": "/certificates/ca.pem"},
            {
                "properties.security.protocol": "SSL",
                "properties.ssl.truststore.type": "PEM",
                "properties.ssl.truststore.location": "/certificates/ca.pem",
            },
        ),
    ],
)
def test_options_of_a_source(given: dict[str, Any], found: dict[str, str]) -> None:
    made = options_of(**given)
    assert {name: made.get(name) for name in found} == found
    assert "properties.debug" not in made


def test_a_login() -> None:
    made = options_of(security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", username="ann", password=Secret('a"b\\c'))
    assert made["properties.sasl.mechanism"] == "SCRAM-SHA-512"
    assert made["properties.sasl.jaas.config"] == (
        'org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule required username="ann" password="a\\"b\\\\c";'
    )
    assert FLINK.secrets == ("properties.sasl.jaas.config",)


def test_a_sink() -> None:
    assert options_of("sink") == {
        "connector": "kafka",
        "topic": "readings",
        "properties.bootstrap.servers": "a:9092,b:9092",
        "sink.delivery-guarantee": "at-least-once",
        "format": "json",
        "json.x": "y",
    }
    made = options_of("sink", more={"transactions": "run-readings"})
    assert made["sink.delivery-guarantee"] == "exactly-once"
    assert made["sink.transactional-id-prefix"] == "run-readings"


def test_a_sink_with_a_key() -> None:
    made = options_of("sink", key=("a", "b"))
    assert made["key.fields"] == "a;b"
    assert (made["key.format"], made["value.format"], made["key.json.x"], made["value.json.x"]) == ("json", "json", "y", "y")
    assert "format" not in made
    made = options_of("sink", key=("a",), more={"updating": True})
    assert made["connector"] == "upsert-kafka"
    assert "key.fields" not in made


@pytest.mark.parametrize(
    ("role", "given", "option"),
    [
        ("sink", {"partitioner": "consistent_random"}, "partitioner"),
        ("source", {"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "sasl_mechanism"),
        ("source", {"properties_java": {"group.id": "x"}}, "properties_java"),
        ("source", {"properties_java": {"isolation.level": "x"}}, "properties_java"),
        ("source", {"properties_java": {"x": [1]}}, "properties_java"),
    ],
)
def test_what_flink_cannot_follow(role: Literal["source", "sink"], given: dict[str, Any], option: str) -> None:
    with pytest.raises(UnsupportedByEngine, match=f'option "{option}" of {role} "readings"') as raised:
        options_of(role, **given)
    assert raised.value.code == "FLX-2651"
