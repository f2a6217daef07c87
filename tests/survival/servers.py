"""What the servers themselves tell of a drill: offsets, checkpoints, replicas; and the rows that are in topics and tables."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cassandra import ConsistencyLevel, OperationTimedOut, ReadTimeout, Unavailable
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, NoHostAvailable
from cassandra.cluster import Cluster as Nodes
from cassandra.policies import RoundRobinPolicy
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]  # it is there

from fluxline.clock import SystemClock, measure_seconds
from fluxline.engines.flink.rest import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxline.stack.running import Stack

REPLICAS = 3
ANSWER_SECONDS = 10


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds."""
    deadline, clock = measure_seconds() + seconds, SystemClock()
    while not holds():
        assert measure_seconds() < deadline, f"{seconds:.0f} s are over before {what}"
        clock.wait(threading.Event(), 100)


class Servers:
    """The servers of a stack, asked for their own counters."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
        self.flink = Cluster(stack.flink.rest)

    def make_topic(self, name: str, partitions: int) -> None:
        """A topic of which each broker has a copy."""
        self.admin.create_topics([NewTopic(name, partitions, REPLICAS)])[name].result(30)

    def add_partitions(self, name: str, count: int) -> set[str]:
        """Raise a topic to so many partitions; returns the names of the servers that have some of the new ones."""
        before = len(self._partitions(name))
        self.admin.create_partitions([NewPartitions(name, count)])[name].result(30)
        until(lambda: len(self._partitions(name)) == count, 30, "the partitions are there")
        return {_broker(replica) for number, each in self._partitions(name).items() if number >= before for replica in each.replicas}

    def checkpoints(self, job_id: str) -> int:
        """How many checkpoints of a job have completed, as Flink counts them."""
        return int(self.flink.transport.ask("GET", f"/jobs/{job_id}/checkpoints")["counts"]["completed"])

    def ends(self, topic: str) -> int:
        """The offsets behind the last committed records of all partitions, together."""
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, "group.id": "drill", "isolation.level": "read_committed"})
        try:
            numbers = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWER_SECONDS)[1] for number in numbers)
        finally:
            consumer.close()

    def committed(self, group: str) -> int:
        """What a consumer group has committed of its partitions, together."""
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        found = asked[group].result(ANSWER_SECONDS).topic_partitions or []
        return sum(max(0, each.offset) for each in found)

    def leader(self, topic: str, partition: int = 0) -> str:
        """The name of the server that leads a partition."""
        return _broker(self._partitions(topic)[partition].leader)

    def follower(self, topic: str, partition: int = 0) -> str:
        """The name of one that follows in it."""
        found = self._partitions(topic)[partition]
        return _broker(next(each for each in found.replicas if each != found.leader))

    def in_sync(self) -> bool:
        """Whether every replica of every topic has caught up, as the brokers say."""
        try:
            topics = self.admin.list_topics(timeout=ANSWER_SECONDS).topics.values()
        except KafkaException:
            return False
        return all(len(each.isrs) == len(each.replicas) for topic in topics for each in topic.partitions.values())

    def nodes_agree(self) -> bool:
        """Whether the nodes of Cassandra see each other and have the same tables: until then one that is made may time out."""
        nodes = self._nodes()
        try:
            nodes.connect()
            all_up = all(host.is_up for host in nodes.metadata.all_hosts())
            return all_up and bool(nodes.control_connection.wait_for_schema_agreement(wait_time=ANSWER_SECONDS))
        except (OperationTimedOut, NoHostAvailable):
            return False
        finally:
            nodes.shutdown()

    def busy_task_manager(self, job_id: str) -> str:
        """The name of a task manager in which the job runs."""
        vertex = self.flink.job(job_id).vertices[0]
        (task, *_others) = self.flink.transport.ask("GET", f"/jobs/{job_id}/vertices/{vertex.id}")["subtasks"]
        return str(task["taskmanager-id"]).rpartition("-")[0]

    def values(self, topic: str) -> list[tuple[int, int, bytes]]:
        """Partition, offset and value of every committed record of a topic."""
        settings = {"enable.partition.eof": True, "auto.offset.reset": "error", "isolation.level": "read_committed"}
        consumer = Consumer({"bootstrap.servers": self.stack.kafka.bootstrap, "group.id": "drill", **settings})
        found = list[tuple[int, int, bytes]]()
        try:
            open_ones = set(consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, number, 0) for number in open_ones])
            deadline = measure_seconds() + 60
            while open_ones:
                assert measure_seconds() < deadline, f"the end of {topic} is not reached"
                for message in consumer.consume(10_000, 0.5):
                    error, number, offset, value = message.error(), message.partition(), message.offset(), message.value()
                    if error is not None:
                        assert error.name() != "_AUTO_OFFSET_RESET", error  # Other errors are of brokers that are away.
                        if error.name() == "_PARTITION_EOF" and number is not None:
                            open_ones.discard(number)
                    else:
                        assert number is not None
                        assert offset is not None
                        assert value is not None
                        found.append((number, offset, value))
        finally:
            consumer.close()
        return found

    def rows(self, keyspace: str, statement: str) -> list[tuple[Any, ...]]:
        """Rows of Cassandra on which all nodes agree; the first questions after a node was away may be too early for it."""
        deadline = measure_seconds() + 90
        while True:
            nodes = self._nodes()
            try:
                return [tuple(row) for row in nodes.connect(keyspace).execute(statement)]
            except (OperationTimedOut, ReadTimeout, Unavailable, NoHostAvailable):
                if measure_seconds() > deadline:
                    raise
                SystemClock().wait(threading.Event(), 1_000)
            finally:
                nodes.shutdown()

    def _nodes(self) -> Any:
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=20, consistency_level=ConsistencyLevel.ALL)
        profiles = {EXEC_PROFILE_DEFAULT: profile}
        return Nodes(["127.0.0.1"], port=self.stack.ports["cassandra"], protocol_version=5, execution_profiles=profiles)

    def _partitions(self, topic: str) -> Mapping[int, Any]:
        return self.admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions


def _broker(number: int) -> str:
    """The name of one broker alone: without the number it would be that of all."""
    return f"kafka-{number}"


class Watch:
    """Reads the committed records of a topic as they come, and keeps when the first with each number came."""

    def __init__(self, bootstrap: str, topic: str, number_of: Callable[[bytes], int]) -> None:
        self.came_at: dict[int, float] = {}
        self._number_of = number_of
        settings = {"auto.offset.reset": "error", "isolation.level": "read_committed", "fetch.wait.max.ms": 50}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "watch", **settings})
        numbers = self._consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def first_from(self, number: int) -> float | None:
        """When the first record with this number or a later one came; None before."""
        return min((at for each, at in tuple(self.came_at.items()) if each >= number), default=None)

    def pause_seconds(self, since: float) -> float:
        """The longest time in which nothing came, from this moment to the last that came."""
        times = [since, *sorted(at for at in self.came_at.values() if at > since)]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def close(self) -> None:
        """Leave the topic."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for message in self._consumer.consume(5_000, 0.1):
                value = message.value()
                if message.error() is None and value is not None:  # A broker that is away is no end of the topic.
                    self.came_at.setdefault(self._number_of(value), measure_seconds())


class Progress:
    """Asks again and again how far something is, and keeps what it was told and when."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._told: list[tuple[float, int]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def grew_at(self, since: float) -> float | None:
        """When it was first seen to be further than at that moment; None before."""
        told = tuple(self._told)
        before = max((count for at, count in told if at <= since), default=0)
        return next((at for at, count in told if at > since and count > before), None)

    def close(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        clock = SystemClock()
        while not self._stopping.is_set():
            with suppress(KafkaException, TimeoutError):  # Its coordinator is away.
                self._told.append((measure_seconds(), self._ask()))
            clock.wait(self._stopping, 100)
