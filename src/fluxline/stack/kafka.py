"""Apache Kafka 4.3: one node that is broker and controller (KRaft)."""

from __future__ import annotations

import base64
import subprocess
import uuid
from typing import TYPE_CHECKING

from fluxline.clock import new_identity
from fluxline.errors import ExternalError
from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS = ("kafka", "kafka_controller")
STANDARD = {"kafka": 9092}
_FORMAT_SECONDS = 60
# A start in half the time; the second compiler and a parallel collector pay only under a load that such a node does not get.
_FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_API_VERSIONS = b"\x00\x00\x00\x0a" + b"\x00\x12" + b"\x00\x00" + b"\x00\x00\x00\x07" + b"\xff\xff"
"""A Kafka request: its length, the key of ApiVersions (18), version 0, correlation 7, no client id."""


def properties(place: Place) -> str:
    """The broker's configuration."""
    broker, controller = place.ports["kafka"], place.ports["kafka_controller"]
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(place.directory / "data"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "5",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def prepare(place: Place, variables: Mapping[str, str]) -> list[Server]:
    """Write the configuration, format the data directory the first time, and say what to start.

    Raises:
        ExternalError: FLX-4306, the data directory cannot be formatted.
    """
    place.directory.mkdir(parents=True, exist_ok=True)
    file = place.directory / "server.properties"
    file.write_text(properties(place), encoding="utf-8")
    start = (str(place.java), "-cp", f"{place.jars}/*", *_FAST_START)
    if not (place.directory / "data" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.UUID(new_identity()).bytes).decode().rstrip("=")
        command = [*start, "-Xmx128m", "kafka.tools.StorageTool", "format", "--standalone", "-t", f"L{cluster[1:]}", "-c", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=dict(variables), timeout=_FORMAT_SECONDS, check=False)
        if done.returncode:
            raise ExternalError("FLX-4306", "the data directory of kafka cannot be formatted", detail=(done.stdout + done.stderr).strip()[-2_000:])
    command = [*start, "-Xmx512m", "kafka.Kafka", str(file)]
    listens = (place.ports["kafka"], place.ports["kafka_controller"])
    return [Server("kafka", "kafka", tuple(command), {}, listens, lambda: _answers(place.ports["kafka"]))]


def _answers(port: int) -> bool:
    """Whether the broker answers the first request of every client, without an error."""
    answer = ask_bytes(port, _API_VERSIONS, 10)
    return answer[4:] == b"\x00\x00\x00\x07\x00\x00"
