"""A disk that is full under a broker: it is told by name, and what was acknowledged is there when there is room again.

The disk is a file system in memory, which root alone can mount.
"""

from __future__ import annotations

import random
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is there

from fluxline.config import require_project, resolve_environment
from fluxline.control.stack import environment, full_disks, restart_servers, stack_directory, status
from fluxline.stack.lifecycle import Start, down, up
from fluxline.stack.state import ServerProcess, State, write_state
from tests.end_to_end.stack_project import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from confluent_kafka import KafkaError, Message

RECORDS = 40_000
RECORD_BYTES = 1_000  # 40 MB in all, which do not fit.


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=10)


@pytest.mark.servers
def test_a_broker_without_room_is_told_by_name_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "fluxline.toml").write_text('[project]\nname = "p"\n')
    directory = stack_directory(tmp_path, "default")
    acknowledged: list[int] = []
    lost: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        if error is not None or offset is None:
            assert error is not None
            lost.append(error)
        else:
            acknowledged.append(offset)

    with small_disk(directory / "kafka" / "data", "24m"):
        try:
            up(("kafka",), directory, Start(die_with_parent=True), lambda _line: None)
            (tmp_path / "fluxline.toml").write_text(f'[project]\nname = "p"\n{environment(directory, "stack", "k")}')
            named = resolve_environment(require_project(tmp_path), "stack")
            bootstrap = f"127.0.0.1:{status(directory)[0].port}"
            admin = AdminClient({"bootstrap.servers": bootstrap})
            admin.create_topics([NewTopic("t", 1, 1)])["t"].result(20)
            assert (status(directory)[0].trouble, full_disks(named)) == ("", "")
            producer = Producer(
                {
                    "bootstrap.servers": bootstrap,
                    "enable.idempotence": True,
                    "reconnect.backoff.max.ms": 500,
                    "queue.buffering.max.messages": RECORDS,
                    "on_delivery": delivered,
                }
            )
            drawn = random.Random("full disk")  # So that no compression helps.
            sent = [number.to_bytes(4, "big") + drawn.randbytes(RECORD_BYTES - 4) for number in range(RECORDS)]
            for value in sent:
                producer.produce("t", value)
            until(lambda: producer.poll(0) >= 0 and status(directory)[0].state == "ended")
            assert 0 < len(acknowledged) < RECORDS
            before = len(acknowledged)
            assert status(directory)[0].trouble == "disk full"
            assert full_disks(named) == f'A disk is full: look at kafka of the stack "default" ({directory}).'

            subprocess.run(["mount", "-o", "remount,size=200m", str(directory / "kafka" / "data")], check=True, timeout=10)
            restart_servers("kafka", directory, lambda _line: None)
            assert producer.flush(60) == 0
            assert (lost, len(acknowledged)) == ([], RECORDS)
            assert (status(directory)[0].state, status(directory)[0].trouble) == ("serves", "")
            assert read(bootstrap) == sent, f"{before} were acknowledged before"
        finally:
            down(directory)


def read(bootstrap: str) -> list[bytes]:
    """The values of the topic by a client of its own, in their order."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reads", "enable.auto.commit": False})
    consumer.assign([TopicPartition("t", 0, 0)])
    _, end = consumer.get_watermark_offsets(TopicPartition("t", 0), timeout=20)
    found: list[bytes] = []
    while len(found) < end:
        messages = consumer.consume(10_000, 10)
        assert messages, f"{len(found)} of {end}"
        for message in messages:
            value = message.value()
            assert message.error() is None
            assert isinstance(value, bytes)
            found.append(value)
    consumer.close()
    return found


def test_a_full_disk_is_told_of_the_environments_own_servers_alone(tmp_path: Path) -> None:
    """By the end of a server's log; a stack whose addresses the environment does not name is not meant."""
    ours, other = (stack_directory(tmp_path, name) for name in ("ours", "other"))
    for place, port in ((ours, 20_001), (other, 20_002)):
        place.mkdir(parents=True)
        processes = [ServerProcess(name, "flink", 1, 0.0, port=port) for name in ("jobmanager", "gateway")]
        write_state(place, State({"flink": port}, processes))
        (place / "jobmanager.log").write_text("Caused by: java.io.IOException: No space left on device\n" + "more\n" * 100)
        (place / "gateway.log").write_text("all is well\n")
    project = '[project]\nname = "p"\n[environments.stack]\nengine = "flink"\n[environments.stack.flink]\nrest = "http://127.0.0.1:{port}"\n'
    (tmp_path / "fluxline.toml").write_text(project.format(port=20_001))
    assert full_disks(resolve_environment(require_project(tmp_path), "stack")) == f'A disk is full: look at jobmanager of the stack "ours" ({ours}).'
    (tmp_path / "fluxline.toml").write_text(project.format(port=20_003))
    assert full_disks(resolve_environment(require_project(tmp_path), "stack")) == ""
