"""What textbooks and the example send to localhost, unchanged: the texts of a page, and the replay of the readings."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fluxline.stack.running import running_stack
from tests.connectors.cassandra_node import Node
from tests.connectors.cassandra_rows import moment
from tests.docs.pages import DOCS, blocks
from tests.tidy.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.stack.running import Stack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.servers
EXAMPLE = ROOT / "examples" / "sensors"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """At 9092 and 9042; FLX-4301 where one of them is taken."""
    directory = tmp_path_factory.mktemp("stack")
    with running_stack(("kafka", "cassandra"), directory=directory, die_with_parent=True, standard_ports=True) as stack:
        yield stack


def run_python(*arguments: str) -> None:
    """In a process of its own, as a reader would."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def records(stack: Stack, topic: str, count: int) -> list[tuple[int, bytes | None, bytes | None]]:
    """Partition, key and value of the records of a topic, those of a partition in order; and that there are no more than `count`."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": stack.kafka.bootstrap, "group.id": "t", "enable.partition.eof": False})
    try:
        partitions = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions]
        ends = sum(consumer.get_watermark_offsets(partition, timeout=30)[1] for partition in partitions)
        assert ends == count
        consumer.assign(partitions)
        found: list[tuple[int, bytes | None, bytes | None]] = []
        while len(found) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(found)} of {count} records in 30 seconds"
            assert message.error() is None
            found.append((message.partition() or 0, message.key(), message.value()))
        return found
    finally:
        consumer.close()


def test_the_texts_of_the_page_run_as_they_stand(stack: Stack) -> None:
    producer, table = (block.text for block in blocks(DOCS / "guides" / "stack.md") if "textbook" in block.words)
    run_python("-c", producer)
    sent = [json.loads(value or b"") for _partition, _key, value in records(stack, "sensor_data", 10)]
    assert sent[0] == {"sensor_id": 1, "temperature": 20.5, "timestamp": "2024-06-07T08:00:00Z"}
    assert [each["temperature"] for each in sent] == [20.5 + minute for minute in range(10)]
    run_python("-c", table)
    run_python("-c", table)  # IF NOT EXISTS, and a row that replaces itself.
    node = Node(stack.cassandra.port)
    try:
        assert node.ask("SELECT sensor_id, temperature, timestamp FROM textbook.sensor_data") == [(1, 25.5, moment(2024, 6, 7, 8))]
    finally:
        node.close()


def test_the_readings_are_replayed_in_order_by_sensor(stack: Stack) -> None:
    """9,000 of them, 1,000 instants of nine sensors: all arrive once, each sensor in one partition, in the order of the file."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    for future in admin.delete_topics(["sensor_data"], operation_timeout=30).values():
        future.result()
    run_python(str(EXAMPLE / "produce.py"), "--first", "9000")
    lines = zstd.decompress((EXAMPLE / "data" / "readings.ndjson.zst").read_bytes()).splitlines()[:9000]
    wanted: dict[bytes, list[bytes]] = {}
    for line in lines:
        wanted.setdefault(str(json.loads(line)["sensor_id"]).encode(), []).append(line)
    found: dict[bytes, list[bytes]] = {}
    places: dict[bytes, set[int]] = {}
    for partition, key, value in records(stack, "sensor_data", 9000):
        assert key is not None
        assert value is not None
        found.setdefault(key, []).append(value)
        places.setdefault(key, set()).add(partition)
    assert found == wanted
    assert all(len(partitions) == 1 for partitions in places.values())
    assert set().union(*places.values()) == {0, 1, 2}


def test_a_replay_keeps_the_pace_and_takes_another_address(stack: Stack) -> None:
    """The first ten readings have two times, ten minutes apart: with 600 seconds in one they take a second and no less."""
    from fluxline.clock import SystemClock

    clock = SystemClock()
    began_ms = clock.monotonic_ms()
    run_python(str(EXAMPLE / "produce.py"), stack.kafka.bootstrap, "--first", "10", "--speed-up", "600")
    assert clock.monotonic_ms() - began_ms >= 1000
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "produce.py"), "localhost:1", "--first", "1"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("no broker of Kafka at localhost:1: ")
    assert "Traceback" not in done.stderr
