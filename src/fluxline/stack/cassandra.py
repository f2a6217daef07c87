"""Apache Cassandra 5.0: one node at 127.0.0.1, or several, the second at 127.0.0.2 and so on, all with the same ports.

cassandra/                  configuration and data of the first node
cassandra/node-2/           of the second, and so on
"""

from __future__ import annotations

import json

from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_bytes, numbered

STANDARD = {"cassandra": 9042}

_EXPORTED = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach",
)
_OPENED = (
    *(f"java.base/java.{name}" for name in ("io", "lang", "lang.module", "lang.reflect", "util")),
    *(f"java.base/jdk.internal.{name}" for name in ("loader", "math", "module", "ref", "reflect", "util.jar")),
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)
_LOGBACK = """<configuration>
  <appender name="C" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d %-5level %logger{20} %msg%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="C"/></root>
</configuration>
"""
_OPTIONS = b"\x04\x00\x00\x00\x05\x00\x00\x00\x00"
"""A CQL frame: version 4, no flags, stream 0, OPTIONS, no body."""
_SUPPORTED = 6


def ports(count: int) -> dict[str, tuple[str, ...]]:
    """The servers of so many nodes, and the names of the ports that each one is the first to need."""
    found = {"cassandra": ("cassandra", "cassandra_storage", "cassandra_management")}
    return found | {numbered("cassandra", number): (numbered("cassandra_management", number),) for number in range(2, count + 1)}


def host(number: int) -> str:
    """The address of a node."""
    return f"127.0.0.{number}"


def config(place: Place, number: int) -> dict[str, object]:
    """What a node reads as its configuration."""
    seeds = [{"seeds": f"{LOOPBACK}:{place.ports['cassandra_storage']}"}]
    return {
        "cluster_name": "fluxline",
        "num_tokens": 1,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "listen_address": host(number),
        "rpc_address": host(number),
        "storage_port": place.ports["cassandra_storage"],
        "native_transport_port": place.ports["cassandra"],
        "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": seeds}],
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "1000ms",
        "auto_snapshot": False,
        "auto_bootstrap": number == 1,  # A new node has nothing to fetch: it is there before the first row.
    }


def prepare(place: Place, count: int) -> list[Server]:
    """Write the configurations and say what to start."""
    return [_node(place, number, count) for number in range(1, count + 1)]


def _node(place: Place, number: int, count: int) -> Server:
    directory = place.directory if number == 1 else place.directory / f"node-{number}"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "cassandra.yaml"
    file.write_text(json.dumps(config(place, number), indent=2) + "\n", encoding="utf-8")  # JSON is YAML.
    (directory / "logback.xml").write_text(_LOGBACK, encoding="utf-8")
    heap = "768m" if count == 1 else "512m"
    agent = next(place.jars.glob("jamm-*.jar"))
    command = [
        str(place.java),
        *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTED),
        *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED),
        *(f"-Xms{heap}", f"-Xmx{heap}", "-Xss256k", "-XX:+UseG1GC", "-Djava.net.preferIPv4Stack=true"),
        f"-Dcassandra.config={file.as_uri()}",
        f"-Dcassandra.storagedir={directory / 'data'}",
        f"-Dlogback.configurationFile={directory / 'logback.xml'}",
        "-Dcassandra-foreground=yes",
        f"-Dcassandra.jmx.local.port={place.ports[numbered('cassandra_management', number)]}",
        # One node has nobody to wait for; of several, each gives up on the others when twice the delay is over.
        *("-Dcassandra.skip_wait_for_gossip_to_settle=0", f"-Dcassandra.ring_delay_ms={100 if count == 1 else 10_000}"),
        "-Dcassandra.superuser_setup_delay_ms=0",
        *(f"-javaagent:{agent}", "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"),
        *("-Dio.netty.allocator.useCacheForAllThreads=true", "-Dio.netty.allocator.maxOrder=11"),
        *("-cp", f"{place.jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
    ]
    listens = (place.ports["cassandra"], place.ports["cassandra_storage"])
    name, address = numbered("cassandra", number), host(number)
    return Server(name, "cassandra", tuple(command), {}, listens, lambda: _answers(address, listens[0]), address, follows=number > 1)


def _answers(address: str, port: int) -> bool:
    """Whether the node answers the first question of every driver."""
    answer = ask_bytes(port, _OPTIONS, 9, address)
    return len(answer) == 9 and answer[4] == _SUPPORTED
