"""Apache Kafka 4.3 (KRaft): one node that is broker and controller, or several.

Of three and more the first three are controllers too, so that one of them may be lost; of two only the first is. Who is a controller is
decided when the data directories are made, and stays: nodes that are added later are brokers alone.

    kafka/quorum.json                 the cluster's identity, and how many of its nodes are controllers
    kafka/server.properties, data     of the first node; server-2.properties and data-2 of the second, and so on
"""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fluxline.clock import new_identity
from fluxline.errors import ExternalError
from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_bytes, numbered

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD = {"kafka": 9092}
_FORMAT_SECONDS = 60
# A start in half the time; the second compiler and a parallel collector pay only under a load that such a node does not get.
_LOG = tuple(f"-Dorg.slf4j.simpleLogger.{name}" for name in ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=HH:mm:ss,SSS"))
_FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_LOG)
_API_VERSIONS = b"\x00\x00\x00\x0a" + b"\x00\x12" + b"\x00\x00" + b"\x00\x00\x00\x07" + b"\xff\xff"
"""A Kafka request: its length, the key of ApiVersions (18), version 0, correlation 7, no client id."""


# A node that is silent for so long is lost; the defaults, of 9 s and 2 s, are for clusters whose nodes are far from each other.
_FAST_FAIL_OVER = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
}


@dataclass(frozen=True, slots=True)
class Quorum:
    """What a cluster was made as.

    Attributes:
        cluster: its identity.
        controllers: how many of its first nodes are controllers.
    """

    cluster: str
    controllers: int


def ports(count: int) -> dict[str, tuple[str, ...]]:
    """The servers of so many nodes, and the names of each one's ports."""
    return {numbered("kafka", number): (numbered("kafka", number), numbered("kafka_controller", number)) for number in range(1, count + 1)}


def properties(place: Place, number: int, count: int, quorum: Quorum) -> str:
    """The configuration of one node."""
    broker, controller = place.ports[numbered("kafka", number)], place.ports[numbered("kafka_controller", number)]
    controls = number <= quorum.controllers
    replicas, in_sync = str(min(count, 3)), str(max(1, min(count, 3) - 1))
    voters = [f"{LOOPBACK}:{place.ports[numbered('kafka_controller', each)]}" for each in range(1, quorum.controllers + 1)]
    lines = {
        "process.roles": "broker,controller" if controls else "broker",
        "node.id": str(number),
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker}" + (f",CONTROLLER://{LOOPBACK}:{controller}" if controls else ""),
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(place.directory / numbered("data", number)),
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "5",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
    }
    if quorum.controllers == 1:
        lines["controller.quorum.bootstrap.servers"] = voters[0]
    else:
        lines["controller.quorum.voters"] = ",".join(f"{each}@{address}" for each, address in enumerate(voters, 1))
    if count > 1:
        lines |= {"default.replication.factor": replicas, "min.insync.replicas": in_sync, "unclean.leader.election.enable": "false"}
        lines |= _FAST_FAIL_OVER
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def prepare(place: Place, count: int, variables: Mapping[str, str]) -> list[Server]:
    """Write the configurations, format data directories the first time, and say what to start.

    Raises:
        ExternalError: FLX-4306, a data directory cannot be formatted.
    """
    place.directory.mkdir(parents=True, exist_ok=True)
    quorum = _quorum(place, count)
    return [_node(place, number, count, quorum, variables) for number in range(1, count + 1)]


def _quorum(place: Place, count: int) -> Quorum:
    """What the cluster was made as, or is to be made as."""
    kept = place.directory / "quorum.json"
    if kept.exists():
        return Quorum(**json.loads(kept.read_text(encoding="utf-8")))
    first = place.directory / "data" / "meta.properties"
    if first.exists():  # of a version that knew single nodes alone
        lines = dict(line.split("=", 1) for line in first.read_text(encoding="utf-8").splitlines() if "=" in line)
        quorum = Quorum(lines["cluster.id"], 1)
    else:
        drawn = base64.urlsafe_b64encode(uuid.UUID(new_identity()).bytes).decode().rstrip("=")
        quorum = Quorum(f"L{drawn[1:]}", 3 if count >= 3 else 1)  # No dash in front: it would be an option.
    kept.write_text(json.dumps(asdict(quorum)), encoding="utf-8")
    return quorum


def _node(place: Place, number: int, count: int, quorum: Quorum, variables: Mapping[str, str]) -> Server:
    file = place.directory / f"{numbered('server', number)}.properties"
    file.write_text(properties(place, number, count, quorum), encoding="utf-8")
    start = (str(place.java), "-cp", f"{place.jars}/*", *_FAST_START)
    if not (place.directory / numbered("data", number) / "meta.properties").exists():
        alone = ("--standalone",) if number == quorum.controllers == 1 else ()
        command = [*start, "-Xmx128m", "kafka.tools.StorageTool", "format", *alone, "-t", quorum.cluster, "-c", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=dict(variables), timeout=_FORMAT_SECONDS, check=False)
        if done.returncode:
            raise ExternalError("FLX-4306", "the data directory of kafka cannot be formatted", detail=(done.stdout + done.stderr).strip()[-2_000:])
    command = [*start, "-Xmx512m" if count == 1 else "-Xmx384m", "kafka.Kafka", str(file)]
    names = ports(count)[numbered("kafka", number)]
    listens = tuple(place.ports[name] for name in (names if number <= quorum.controllers else names[:1]))
    return Server(numbered("kafka", number), "kafka", tuple(command), {}, listens, lambda: _answers(listens[0]))


def _answers(port: int) -> bool:
    """Whether the broker answers the first request of every client, without an error."""
    answer = ask_bytes(port, _API_VERSIONS, 10)
    return answer[4:] == b"\x00\x00\x00\x07\x00\x00"
