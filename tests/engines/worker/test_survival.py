"""Workers that join, leave, are killed, hang, and whose store goes away: the table is what the topic says, on real servers.

Every record of the topic is `{"id": ..., "n": ...}`, those of an id in one partition; the table has one row per id, with the last n.
"""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is there

from fluxline.clock import SystemClock
from fluxline.config import require_project, resolve_environment
from fluxline.connectors.kafka.group import positions
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.flink import bind
from fluxline.control.submit import SubmitOptions
from fluxline.control.worker_processes import end_workers, running_workers, start_workers
from fluxline.control.worker_state import read_watcher_state, waiting_workers
from fluxline.limits import KAFKA_GROUP_SESSION_MS
from fluxline.pipeline.discovery import find_pipelines
from fluxline.stack.state import read_state
from tests.end_to_end.processes import command, python, running, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers
PARTITIONS = 6
IDS = 600

PIPELINE = """
from fluxline import Pipeline
keyed = Pipeline("keyed")
keyed.source("rows", schema={"id": "BIGINT NOT NULL", "n": "BIGINT"}).sink("latest", key="id")
"""
PROJECT = """
[project]
name = "p"
pipelines = ["keyed.py"]

[environments.cluster]
engine = "flink"
topics = "kafka"
tables = "cassandra"
connections.kafka = {{ connector = "kafka", topic = "{label}.{{name}}", bootstrap_servers = ["{servers}"], format = "json" }}
connections.cassandra = {{ connector = "cassandra", contact_points = ["127.0.0.1"], port = {port}, keyspace = "{label}", retry_for = "1 second" }}
"""

FAULTY = """
import os, signal, sys
from fluxline.connectors.cassandra.sink import CassandraSink
from fluxline.connectors.kafka.group import GroupReader
from fluxline.cli.main import main
write, commit, how = CassandraSink.write_versions, GroupReader.commit, sys.argv[1]
stopped = []

def write_then(self, batch, versions):
    if how == "before the write":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang" and not stopped:
        stopped.append(True)
        open("stops", "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
        done = write(self, batch, versions)
        open("has_written", "w").write(str(batch.rows))
        return done
    return write(self, batch, versions)

def commit_then(self):
    if how == "before the commit" and self._next:
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)
    if how == "hang" and os.path.exists("has_written"):
        open("has_tried_to_commit", "w").close()

CassandraSink.write_versions, GroupReader.commit = write_then, commit_then
sys.argv[1:] = ["worker", "--env", "cluster"]
main()
"""


class Keyed:
    """The project, its topic and its table."""

    def __init__(self, directory: Path, label: str, kafka: Stack, cassandra: Stack) -> None:
        self.directory = directory
        self.topic = f"{label}.keyed.latest"
        self.label = label
        self.options = KafkaOptions(bootstrap_servers=kafka.kafka.bootstrap.split(","))
        (directory / "keyed.py").write_text(PIPELINE)
        (directory / "fluxline.toml").write_text(PROJECT.format(label=label, servers=kafka.kafka.bootstrap, port=cassandra.cassandra.port))
        self.admin = AdminClient({"bootstrap.servers": kafka.kafka.bootstrap})
        for made in self.admin.create_topics([NewTopic(self.topic, PARTITIONS), NewTopic(f"{self.topic}.rejected", 1)]).values():
            made.result(30)
        self.environment = resolve_environment(require_project(directory), "cluster")
        self.place = DeploymentDirectory(self.environment.embedded.directory / "keyed")
        (pipeline,) = find_pipelines(str(directory / "keyed.py"))
        self.plan = pipeline._plan()
        (relay,) = bind(self.plan, self.environment, reveal=True).relays
        assert relay.topic == self.topic
        self.group = relay.group
        relay.open_target(SystemClock()).close()  # A submission makes the table before there are workers.
        self.producer = Producer({"bootstrap.servers": kafka.kafka.bootstrap, "enable.idempotence": True, "linger.ms": 5})
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=30)
        self.cluster = Cluster(["127.0.0.1"], port=cassandra.cassandra.port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        self.session = self.cluster.connect()
        self.n = 0

    def put(self, count: int) -> None:
        """Put records, each with a higher n than all before."""
        for n in range(self.n + 1, self.n + count + 1):
            identity = n * 7 % IDS
            value = json.dumps({"id": identity, "n": n}).encode()
            self.producer.produce(self.topic, value, json.dumps({"id": identity}).encode(), partition=identity % PARTITIONS)
        self.n += count
        assert self.producer.flush(30) == 0

    def last(self) -> dict[int, int]:
        """What the topic says: the last n of each id, by offset."""
        consumer = Consumer({"bootstrap.servers": ",".join(self.options.bootstrap_servers), "group.id": "test"})
        found: dict[int, int] = {}
        for number in range(PARTITIONS):
            low, high = consumer.get_watermark_offsets(TopicPartition(self.topic, number), timeout=10)
            consumer.assign([TopicPartition(self.topic, number, low)])
            messages: list[Any] = []
            while len(messages) < high - low:
                messages += consumer.consume(high - low - len(messages), 1)
            for message in sorted(messages, key=lambda each: int(each.offset())):
                row = json.loads(message.value())
                found[row["id"]] = row["n"]
        consumer.close()
        return found

    def table(self) -> dict[int, int]:
        return {row.id: row.n for row in self.session.execute(f"SELECT id, n FROM {self.label}.latest")}

    def stamps(self) -> dict[int, int]:
        return {row.id: row.at for row in self.session.execute(f"SELECT id, WRITETIME(n) AS at FROM {self.label}.latest")}

    def committed(self) -> dict[int, int]:
        return {number: reached for number, (reached, _high) in positions(self.options, self.topic, self.group).items()}

    def lag(self) -> int:
        return sum(high - reached for reached, high in positions(self.options, self.topic, self.group).values())

    def wait_for_all(self) -> None:
        wait_until(lambda: self.lag() == 0, "the workers to have written everything")

    def members(self) -> dict[str, tuple[str, frozenset[int]]]:
        """Of the group, by name: the id that the coordinator gave, which a rebalance keeps, and the partitions."""
        described = self.admin.describe_consumer_groups([self.group])[self.group].result(10)
        return {
            str(member.group_instance_id): (member.member_id, frozenset(part.partition for part in member.assignment.topic_partitions))
            for member in described.members
        }

    def settled(self, count: int) -> bool:
        """Whether so many members share all partitions."""
        parts = [each for _id, each in self.members().values()]
        return len(parts) == count and all(parts) and sum(map(len, parts)) == PARTITIONS

    def worker(self) -> subprocess.Popen[str]:
        return command(self.directory, "worker", "--env", "cluster")

    def faulty(self, how: str) -> subprocess.Popen[str]:
        return python(FAULTY, self.directory, how)

    def close(self) -> None:
        end_workers(self.place, SystemClock())
        self.cluster.shutdown()


@pytest.fixture
def keyed(request: pytest.FixtureRequest, tmp_path: Path, kafka_and_flink: Stack, cassandra: Stack) -> Iterator[Keyed]:
    made = Keyed(tmp_path, re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))[:40].strip("_"), kafka_and_flink, cassandra)
    yield made
    made.close()


def test_one_joins_one_leaves_one_is_killed(keyed: Keyed) -> None:
    """While records come: everything is in the table once, and the last worker has all partitions."""
    keyed.put(5_000)
    with running(keyed.worker()) as leaves, running(keyed.worker()) as dies:
        wait_until(lambda: keyed.settled(2), "two members", leaves)
        keyed.put(20_000)
        with running(keyed.worker()) as joins:
            wait_until(lambda: keyed.settled(3), "three members", joins)
            keyed.put(20_000)
            assert keyed.lag() > 0
            dies.kill()
            keyed.put(5_000)
            leaves.send_signal(signal.SIGTERM)
            assert leaves.wait(30) == 0, leaves.communicate()
            wait_until(lambda: keyed.settled(1), "the one that is left", joins)
            keyed.wait_for_all()
            assert keyed.table() == keyed.last()
            assert len(keyed.table()) == IDS
            joins.send_signal(signal.SIGTERM)
            assert joins.wait(30) == 0


@pytest.mark.parametrize("how", ["before the write", "before the commit"])
def test_killed(keyed: Keyed, how: str) -> None:
    """Before the write nothing is lost; behind it the same rows are written again, and change nothing."""
    keyed.put(900)
    with running(keyed.faulty(how)) as process:
        assert process.wait(60) == -signal.SIGKILL, process.communicate()
    before = keyed.stamps()
    assert keyed.lag() == 900, "nothing is committed that the store is not known to have"
    assert bool(before) == (how == "before the commit")
    with running(keyed.worker()) as process:
        keyed.wait_for_all()
        assert keyed.table() == keyed.last()
        after = keyed.stamps()
        assert {number: after[number] for number in before} == before, "the same rows, with the same versions"


def test_one_that_hangs_is_fenced_and_its_old_rows_lose(keyed: Keyed) -> None:
    """It hangs with rows in its hands; when it goes on, newer ones are there, and the group has moved on."""
    keyed.put(600)
    with running(keyed.faulty("hang")) as hangs:
        wait_until((keyed.directory / "stops").exists, "the worker to hang", hangs)
        keyed.put(1_200)
        with running(keyed.worker()) as other:
            wait_until(lambda: keyed.lag() == 0, "the other worker to have written everything", other)
            newest, reached, stamps = keyed.last(), keyed.committed(), keyed.stamps()
            assert keyed.table() == newest
            hangs.send_signal(signal.SIGCONT)
            wait_until((keyed.directory / "has_tried_to_commit").exists, "the hung one to go on", hangs)
            assert int((keyed.directory / "has_written").read_text()) > 0
            assert (keyed.table(), keyed.stamps(), keyed.committed()) == (newest, stamps, reached)
            wait_until(lambda: keyed.settled(2), "it to be a member again", hangs)
            keyed.put(600)
            keyed.wait_for_all()
            assert keyed.table() == keyed.last()


def test_the_dead_are_replaced_and_a_store_that_is_away_is_waited_for(keyed: Keyed, cassandra: Stack) -> None:
    """Two watched workers: one is killed, and another has its name; then the node freezes."""
    clock = SystemClock()
    keyed.place.path.mkdir(parents=True)
    keyed.place.write_plan(keyed.plan)
    keyed.put(3_000)
    assert start_workers(keyed.place, keyed.environment, SubmitOptions(workers=2), clock) == 2
    wait_until(lambda: keyed.settled(2), "two members")
    keyed.wait_for_all()
    before, first = keyed.members(), running_workers(keyed.place)
    os.kill(first[0], signal.SIGKILL)
    keyed.put(3_000)
    wait_until(lambda: len(running_workers(keyed.place)) == 2 and first[0] not in running_workers(keyed.place), "another in its place")
    keyed.wait_for_all()
    wait_until(lambda: keyed.settled(2), "two members")
    assert keyed.table() == keyed.last()
    after = keyed.members()
    assert after.keys() == before.keys(), "the one in its place has its name"
    assert sum(after[name][0] == before[name][0] for name in before) == 1, "the other one is the same member"
    state = read_watcher_state(keyed.place)
    assert state is not None
    assert state.alive
    assert sorted((worker.deaths, worker.said) for worker in state.workers) == [(0, ""), (1, state.workers[0].said or state.workers[1].said)]
    node = _node(cassandra)
    os.kill(node, signal.SIGSTOP)
    try:
        keyed.put(3_000)
        wait_until(lambda: "latest" in waiting_workers(keyed.place), "the workers to say that they wait")
        since_ms = waiting_workers(keyed.place)["latest"].since_ms
        wait_until(lambda: clock.now_ms() - since_ms > KAFKA_GROUP_SESSION_MS + 2_000, "the session of one that does not ask to be over")
        assert waiting_workers(keyed.place)["latest"].since_ms <= since_ms
        assert keyed.lag() > 0
        assert keyed.members() == after, "they stay in the group"
    finally:
        os.kill(node, signal.SIGCONT)
    keyed.wait_for_all()
    assert keyed.table() == keyed.last()
    wait_until(lambda: not waiting_workers(keyed.place), "them to wait no more")
    alive = [state.pid, *running_workers(keyed.place)]
    assert end_workers(keyed.place, clock) == 2
    assert [pid for pid in alive if _lives(pid)] == []


def _node(cassandra: Stack) -> int:
    """The process of Cassandra."""
    (process,) = [each for each in read_state(cassandra.directory).processes if each.part == "cassandra"]
    return process.pid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
