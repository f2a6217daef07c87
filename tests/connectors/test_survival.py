"""What is warned of before a pipeline is submitted: settings that would not outlive the loss of a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fluxline import Pipeline
from fluxline.connectors import load_connector
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.survival import cautions, needed, replicas_by_center
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.survival import _of_settings
from fluxline.connectors.kafka.topics import in_sync_of, replicas_of
from fluxline.control.survival import survival
from fluxline.errors import ConfigError
from fluxline.options import read_options
from tests.connectors.brokers import broker
from tests.connectors.test_kafka_probe import project
from tests.engines.flink.answers import answering
from tests.engines.flink.pipelines import by_zero

if TYPE_CHECKING:
    from collections.abc import Mapping

KAFKA = load_connector("kafka")
SAFE = {"execution.checkpointing.interval": "10 s", "restart-strategy.type": "exponential-delay"}


def kafka(**options: Any) -> KafkaOptions:
    return read_options(KafkaOptions, {"bootstrap_servers": ["a:1"], **options}, of="x")


@pytest.mark.parametrize(
    ("declared", "brokers", "replicas", "in_sync"),
    [
        ({}, 1, 1, None),
        ({}, 2, 2, None),  # Two in sync of two would stop writing when one is lost; what else the brokers say holds.
        ({}, 3, 3, 2),
        ({}, 9, 3, 2),
        ({"replication_factor": 5}, 9, 5, 2),
        ({"replication_factor": 2}, 9, 2, None),
        ({"replication_factor": 1}, 9, 1, None),
        ({"topic_config": {"min.insync.replicas": 1}}, 3, 3, 1),
        ({"topic_config": {"min.insync.replicas": "3"}}, 3, 3, 3),
    ],
)
def test_a_topic_that_is_made(declared: dict[str, Any], brokers: int, replicas: int, in_sync: int | None) -> None:
    options = kafka(**declared)
    assert (replicas_of(options, brokers), in_sync_of(options, replicas)) == (replicas, in_sync)


def test_more_in_sync_than_there_are_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError) as caught:
        kafka(replication_factor=2, topic_config={"min.insync.replicas": 3})
    assert "min.insync.replicas = 3 can never be met with replication_factor = 2" in str(caught.value)
    kafka(replication_factor=3, topic_config={"min.insync.replicas": 3})


@pytest.mark.parametrize(
    ("replicas", "settings", "written", "codes"),
    [
        (3, {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}, True, []),
        (3, {"min.insync.replicas": "3"}, True, ["FLX-6002"]),
        (2, {"min.insync.replicas": "2"}, True, ["FLX-6002"]),
        (3, {"min.insync.replicas": "1"}, True, ["FLX-6003"]),
        (3, {"min.insync.replicas": "1"}, False, []),  # Only who writes has to care.
        (1, {"min.insync.replicas": "1"}, True, []),  # That there is one replica is told already.
        (3, {"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}, False, ["FLX-6004"]),
        (3, {}, True, []),  # What may not be seen is not guessed.
    ],
)
def test_settings_of_a_topic(replicas: int, settings: Mapping[str, str], written: bool, codes: list[str]) -> None:
    assert [caution.code for _, caution in _of_settings("t", replicas, settings, written=written)] == codes


def test_one_replica_on_three_brokers() -> None:
    broker().create("alone", 2)
    assert KAFKA.survival is not None
    found = KAFKA.survival("x", kafka(bootstrap_servers=broker().servers, topic="alone"), Path.cwd(), True)
    assert found.nodes == 3
    assert [(option, caution.code) for option, caution in found.cautions] == [("replication_factor", "FLX-6001")]
    assert found.cautions[0][1].fact == 'topic "alone" has one replica on 3 brokers'
    made = KAFKA.survival("x", kafka(bootstrap_servers=broker().servers, topic="not_there_yet"), Path.cwd(), True)
    assert made.cautions == ()


@pytest.mark.parametrize(
    ("consistency", "replicas", "there", "waits_for"),
    [
        ("ONE", {"a": 3}, 3, 1),
        ("TWO", {"a": 2}, 2, 2),
        ("QUORUM", {"a": 3, "b": 3}, 6, 4),
        ("LOCAL_QUORUM", {"a": 3, "b": 1}, 3, 2),
        ("LOCAL_QUORUM", {"a": 2, "b": 9}, 2, 2),
        ("EACH_QUORUM", {"a": 3, "b": 1}, 1, 1),
        ("LOCAL_ONE", {"a": 2}, 2, 1),
        ("ALL", {"a": 3}, 3, 3),
    ],
)
def test_what_a_write_to_cassandra_waits_for(consistency: str, replicas: dict[str, int], there: int, waits_for: int) -> None:
    assert needed(consistency, replicas, "a") == (there, waits_for)


def test_replicas_of_a_keyspace() -> None:
    assert replicas_by_center({"class": "SimpleStrategy", "replication_factor": "2"}, "eu") == {"eu": 2}
    assert replicas_by_center({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "eu": "3/1", "us": "2"}, "eu") == {"eu": 3, "us": 2}

    def codes(consistency: str, replicas: Mapping[str, int]) -> list[str]:
        options = read_options(CassandraOptions, {"contact_points": ["a"], "keyspace": "k", "consistency": consistency}, of="x")
        return [caution.code for _, caution in cautions(options, replicas, "eu", 3)]

    assert codes("LOCAL_QUORUM", {"eu": 1}) == ["FLX-6101"]
    assert codes("LOCAL_QUORUM", {"eu": 2}) == ["FLX-6102"]
    assert codes("LOCAL_ONE", {"eu": 2}) == []
    assert codes("LOCAL_QUORUM", {"eu": 3}) == []
    assert codes("ALL", {"eu": 3}) == ["FLX-6102"]


@pytest.mark.parametrize(
    ("task_managers", "settings", "codes"),
    [
        (2, SAFE, []),
        (1, SAFE, ["FLX-6201"]),
        (2, {"restart-strategy.type": "fixed-delay"}, ["FLX-6203"]),
        (2, {**SAFE, "execution.checkpointing.interval": "0 ms"}, ["FLX-6203"]),
        (2, {**SAFE, "restart-strategy.type": "off"}, ["FLX-6202"]),
        (2, {"execution.checkpointing.interval": "PT1S"}, []),  # With checkpoints Flink starts a job again by default.
        (2, {}, ["FLX-6203", "FLX-6202"]),
    ],
)
def test_a_cluster_of_flink(tmp_path: Path, task_managers: int, settings: dict[str, str], codes: list[str]) -> None:
    """Three brokers of Kafka say that somebody means to outlive a loss; the topics of the pipeline are not there and will be made well."""
    with answering() as flink:
        flink.give("GET /overview", {"flink-version": "2.3.0", "taskmanagers": task_managers, "slots-total": 4, "slots-available": 3})
        flink.give("GET /jobmanager/config", [{"key": key, "value": value} for key, value in settings.items()])
        found = survival(by_zero(), project(tmp_path, "surviving", f'gateway = "{flink.address}"\nrest = "{flink.address}"'))
        assert [caution.code for caution in found] == codes
        assert {caution.place.line for caution in found if caution.place is not None} <= {9}  # [environments.stack.flink]
        assert all(caution.place is not None for caution in found)


def test_a_warning_has_the_line_of_its_binding(tmp_path: Path) -> None:
    """One topic of two has one replica; the brokers are named where the connection is."""
    broker().create("lined.out", 1)
    with answering() as flink:
        flink.give("GET /overview", {"flink-version": "2.3.0", "taskmanagers": 2, "slots-total": 4, "slots-available": 3})
        flink.give("GET /jobmanager/config", [{"key": key, "value": value} for key, value in SAFE.items()])
        (found,) = survival(by_zero(), project(tmp_path, "lined", f'gateway = "{flink.address}"\nrest = "{flink.address}"'))
        assert (found.code, found.fact) == ("FLX-6001", 'topic "lined.out" has one replica on 3 brokers')
        assert found.place is not None
        assert (Path(found.place.file), found.place.line) == (tmp_path / "fluxline.toml", 8)
        assert flink.asked != []
        assert {question.split()[0] for question, _ in flink.asked} == {"GET"}


@pytest.mark.parametrize(("task_managers", "codes"), [(1, []), (2, ["FLX-6203", "FLX-6202"])])
def test_a_single_server_is_not_warned_of(tmp_path: Path, task_managers: int, codes: list[str]) -> None:
    """No checkpoints, and files have no nodes: that somebody means to outlive a loss is said by the task managers alone."""
    pipeline = Pipeline("plain")
    pipeline.source("rows", schema={"a": "INT"}).sink("out")
    with answering() as flink:
        flink.give("GET /overview", {"flink-version": "2.3.0", "taskmanagers": task_managers, "slots-total": 4, "slots-available": 3})
        flink.give("GET /jobmanager/config", [])
        file = project(tmp_path, "single", f'gateway = "{flink.address}"\nrest = "{flink.address}"') / "fluxline.toml"
        files = 'connections.kafka = { connector = "filesystem", path = "{name}/", format = "json" }'
        lines = [files if line.startswith("connections.kafka") else line for line in file.read_text().splitlines()]
        file.write_text("\n".join(lines))
        assert [caution.code for caution in survival(pipeline._plan(), tmp_path)] == codes
        assert flink.asked != []
