"""Apache Cassandra 5.0: one node."""

from __future__ import annotations

import json

from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_bytes

PORTS = ("cassandra", "cassandra_storage", "cassandra_management")
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


def config(place: Place) -> dict[str, object]:
    """What Cassandra reads as its configuration."""
    seeds = [{"seeds": f"{LOOPBACK}:{place.ports['cassandra_storage']}"}]
    return {
        "cluster_name": "fluxline",
        "num_tokens": 1,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "listen_address": LOOPBACK,
        "rpc_address": LOOPBACK,
        "storage_port": place.ports["cassandra_storage"],
        "native_transport_port": place.ports["cassandra"],
        "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": seeds}],
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "1000ms",
        "auto_snapshot": False,
    }


def prepare(place: Place) -> list[Server]:
    """Write the configuration and say what to start."""
    place.directory.mkdir(parents=True, exist_ok=True)
    file = place.directory / "cassandra.yaml"
    file.write_text(json.dumps(config(place), indent=2) + "\n", encoding="utf-8")  # JSON is YAML.
    (place.directory / "logback.xml").write_text(_LOGBACK, encoding="utf-8")
    agent = next(place.jars.glob("jamm-*.jar"))
    command = [
        str(place.java),
        *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTED),
        *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED),
        *("-Xms768m", "-Xmx768m", "-Xss256k", "-XX:+UseG1GC", "-Djava.net.preferIPv4Stack=true"),
        f"-Dcassandra.config={file.as_uri()}",
        f"-Dcassandra.storagedir={place.directory / 'data'}",
        f"-Dlogback.configurationFile={place.directory / 'logback.xml'}",
        "-Dcassandra-foreground=yes",
        f"-Dcassandra.jmx.local.port={place.ports['cassandra_management']}",
        # One node has nobody to wait for.
        *("-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=100", "-Dcassandra.superuser_setup_delay_ms=0"),
        *(f"-javaagent:{agent}", "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"),
        *("-Dio.netty.allocator.useCacheForAllThreads=true", "-Dio.netty.allocator.maxOrder=11"),
        *("-cp", f"{place.jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
    ]
    listens = (place.ports["cassandra"], place.ports["cassandra_storage"])
    return [Server("cassandra", "cassandra", tuple(command), {}, listens, lambda: _answers(place.ports["cassandra"]))]


def _answers(port: int) -> bool:
    """Whether the node answers the first question of every driver."""
    answer = ask_bytes(port, _OPTIONS, 9)
    return len(answer) == 9 and answer[4] == _SUPPORTED
