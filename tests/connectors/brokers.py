"""Three brokers in this process, which librdkafka brings for tests, filled and read with its own clients.

What its Python package does not show of them (brokers that go down, records that expire, errors) is called in its C library.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Brokers:
    """The brokers; they live as long as this."""

    def __init__(self) -> None:
        self._owner = Producer({"test.mock.num.brokers": 3})
        found = self._owner.list_topics(timeout=10).brokers.values()
        self.servers = [f"{item.host}:{item.port}" for item in found]
        (library,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*")
        self._library = ctypes.CDLL(str(library))
        self._library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
        handle = ctypes.c_void_p.from_address(id(self._owner) + object.__basicsize__)  # The first member of the object.
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_handle_mock_cluster(handle))

    def _call(self, function: str, *arguments: object) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{function}")(self._cluster, *arguments)
        assert code in (0, None), f"{function} says {code}"

    def create(self, topic: str, partitions: int) -> list[str]:
        """Make an empty topic; the brokers' addresses."""
        self._call("topic_create", topic.encode(), partitions, 1)
        return self.servers

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of a partition in front of an offset."""
        self._call("partition_delete_records", topic.encode(), partition, ctypes.c_int64(before))

    def remove(self, topic: str) -> None:
        """Take a topic away."""
        self._call("topic_delete", topic.encode())

    def delay(self, milliseconds: int) -> None:
        """Let every broker answer so late."""
        for number in (1, 2, 3):
            self._call("broker_set_rtt", number, milliseconds)

    def lead(self, topic: str, partition: int, number: int) -> None:
        """Let a broker lead a partition."""
        self._call("partition_set_leader", topic.encode(), partition, number)

    def down(self) -> None:
        """No broker answers any more."""
        for number in (1, 2, 3):
            self._call("broker_set_down", number)

    def up(self) -> None:
        """They answer again."""
        for number in (1, 2, 3):
            self._call("broker_set_up", number)

    def fail(self, request: int, error: int, times: int = 1) -> None:
        """Answer the next requests of a kind (its number in Kafka's protocol) with an error."""
        codes = (ctypes.c_int * times)(*([error] * times))
        self._call("push_request_errors_array", ctypes.c_int16(request), ctypes.c_size_t(times), codes)

    def fill(self, topic: str, records: Mapping[int, Sequence[bytes | None]]) -> list[str]:
        """Make a topic and put records into partitions; the brokers' addresses."""
        self._owner.list_topics(topic, timeout=10)
        producer = Producer({"bootstrap.servers": ",".join(self.servers), "queue.buffering.max.messages": 1_000_000, "message.max.bytes": 5_000_000})
        for partition, values in records.items():
            for value in values:
                producer.produce(topic, value, partition=partition)
        assert producer.flush(20) == 0
        return self.servers

    def messages(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Keys and values of all records."""
        return [(key, value) for _partition, key, value in self.records(topic)]

    def records(self, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
        """Partitions, keys and values of all records."""
        consumer = Consumer(
            {
                "bootstrap.servers": ",".join(self.servers),
                "group.id": "test",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 5,
            }
        )
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        ended: set[int] = set()
        found: list[tuple[int, bytes | None, bytes | None]] = []
        while len(ended) < len(partitions):
            message = consumer.poll(10)
            assert message is not None
            error, partition = message.error(), message.partition()
            assert partition is not None
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(partition)
                continue
            key, value = message.key(), message.value()
            found.append((partition, key if isinstance(key, bytes) else None, value))
        consumer.close()
        return sorted(found, key=lambda record: record[0])

    def values(self, topic: str) -> list[bytes | None]:
        """Values of all records."""
        return [value for _key, value in self.messages(topic)]


@cache
def broker() -> Brokers:
    """The brokers of this process."""
    return Brokers()
