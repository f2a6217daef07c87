"""The sensors example over a running stack: its project, what its topics and tables hold, and an embedded run over the same topic."""

from __future__ import annotations

import base64
import json
from collections import Counter
from threading import Event
from typing import TYPE_CHECKING, Any

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is there

from fluxline import control
from fluxline.control.run import RunOptions
from fluxline.pipeline.discovery import find_pipelines
from tests.end_to_end.projects import copy_example
from tests.reference.sensors import time_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fluxline.plan.nodes import Plan
    from fluxline.stack.running import Stack

PARTITIONS = 3


class Project:
    """The example in a directory of its own, with the addresses of the stack and names of its own in it."""

    def __init__(self, directory: Path, stack: Stack, label: str) -> None:
        self.directory = copy_example(directory)
        self.stack = stack
        self.label = label
        file = self.directory / "fluxline.toml"
        text = file.read_text()
        text = text.replace('["127.0.0.1:9092"]', json.dumps(stack.kafka.bootstrap.split(",")))
        for written, port in (("8083", stack.ports["flink_gateway"]), ("8081", stack.ports["flink"])):
            assert f"127.0.0.1:{written}" in text
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        text = text.replace('contact_points = ["127.0.0.1"], ', f'contact_points = ["127.0.0.1"], port = {stack.ports["cassandra"]}, ')
        assert 'checkpoint_interval = "10 seconds"' in text
        text = text.replace('"10 seconds"', '"1 second"')
        text = text.replace("sensor_data_keyspace", f"sensor_data_{label}")
        file.write_text(text.replace('connector = "kafka", ', f'connector = "kafka", topic = "{label}.{{name}}", '))

    def plan(self) -> Plan:
        (pipeline,) = find_pipelines(str(self.directory / "sensors.py"))
        return pipeline._plan()

    def fill(self, lines: list[bytes], partitions: int = PARTITIONS) -> None:
        """Make the topic and put the readings into it, those of a sensor into one partition, what is no reading into the first."""
        make_topic(self.stack, f"{self.label}.sensor_data", partitions)
        producer = Producer({"bootstrap.servers": self.stack.kafka.bootstrap, "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
        for line in lines:
            producer.produce(f"{self.label}.sensor_data", line, partition=partition_of(line, partitions))
        assert producer.flush(60) == 0

    def topic(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(value) for value in values_of(self.stack, f"{self.label}.{name}")]

    def table(self, statement: str) -> list[tuple[Any, ...]]:
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=60, consistency_level=ConsistencyLevel.ALL)
        cluster = Cluster(["127.0.0.1"], port=self.stack.ports["cassandra"], protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        try:
            return [tuple(row) for row in cluster.connect(f"sensor_data_{self.label}").execute(statement)]
        finally:
            cluster.shutdown()


def make_topic(stack: Stack, name: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    admin.create_topics([NewTopic(name, partitions)])[name].result(30)


def partition_of(line: bytes, partitions: int) -> int:
    try:
        sensor = json.loads(line)["sensor_id"]
    except (ValueError, KeyError, TypeError):
        return 0
    return sensor % partitions if type(sensor) is int else 0


def values_of(stack: Stack, topic: str) -> list[bytes]:
    """The values of all records that are committed in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": stack.kafka.bootstrap, "group.id": "test", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    found: list[bytes] = []
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    ended = 0
    while ended < len(numbers):
        for message in consumer.consume(10_000, 1):
            error, value = message.error(), message.value()
            if error is not None:
                assert error.name() == "_PARTITION_EOF", error
                ended += 1
            else:
                assert value is not None
                found.append(value)
    consumer.close()
    return found


def rejected_of(rows: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """Rejected rows without what each engine may say in its own way: the detail, and when."""
    return Counter(
        (
            row["pipeline"],
            row["operator"],
            row["reason"],
            row["rule"],
            base64.b64decode(row["record"]),
            row["partition"],
            row["position"],
            row["event_time"],
        )
        for row in rows
    )


def timed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "timestamp": time_ms(row["timestamp"])} for row in rows]


def embedded(project: Project) -> Any:
    """Run the example in this process over the same topic, with its outputs in files and the store."""
    file = project.directory / "fluxline.toml"
    written = file.read_text()
    servers = json.dumps(project.stack.kafka.bootstrap.split(","))
    broker = f'connector = "kafka", topic = "{project.label}.sensor_data", bootstrap_servers = {servers}, format = "json"'
    head, _, tail = written.partition("[environments.dev.bindings]\n")
    tail = tail.partition("\n")[2]
    file.write_text(f'{head}connections.log = {{ {broker} }}\n[environments.dev.bindings]\nsensor_data = {{ connection = "log" }}\n{tail}')
    try:
        report = control.run(project.plan(), project.directory, env="dev", options=RunOptions(bounded=True, fresh=True))
    finally:
        file.write_text(written)
    assert report.imbalances() == []
    return report


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def until(holds: Callable[[], bool], seconds: int = 60) -> None:
    """Wait until something holds."""
    for _round in range(seconds * 4):
        if holds():
            return
        Event().wait(0.25)
    raise AssertionError("it does not come to hold")
