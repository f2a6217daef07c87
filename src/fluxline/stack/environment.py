"""The environment of a project file that a running stack stands for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fluxline.stack.cassandra import host
from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import numbered

if TYPE_CHECKING:
    from fluxline.stack.state import State


def environment_text(name: str, state: State, parts: tuple[str, ...], keyspace: str) -> str:
    """TOML of one environment.

    Without Flink the embedded engine runs the pipelines; without Kafka or Cassandra their names live where the project puts them.

    Args:
        name: of the environment.
        state: of the stack.
        parts: those that run.
        keyspace: of Cassandra, where the tables go.
    """
    ports, nodes = state.ports, state.nodes
    head = [f"[environments.{name}]", f'engine = "{"flink" if "flink" in parts else "embedded"}"']
    tables = []
    if "kafka" in parts:
        head.append('topics = "kafka"')
        brokers = [f"{LOOPBACK}:{ports[numbered('kafka', number)]}" for number in range(1, nodes.get("kafka", 1) + 1)]
        lines = ['connector = "kafka"', f"bootstrap_servers = {json.dumps(brokers)}", 'format = "json"']
        if len(brokers) > 1:  # Written down, so that a topic of an earlier day that has fewer is refused.
            lines.append(f"replication_factor = {min(len(brokers), 3)}")
        if len(brokers) > 2:
            lines.append('topic_config = { "min.insync.replicas" = 2 }')
        tables.append([f"[environments.{name}.connections.kafka]", *lines])
    if "cassandra" in parts:
        head.append('tables = "cassandra"')
        hosts = [host(number) for number in range(1, nodes.get("cassandra", 1) + 1)]
        lines = ['connector = "cassandra"', f"contact_points = {json.dumps(hosts)}", f"port = {ports['cassandra']}", f'keyspace = "{keyspace}"']
        if len(hosts) > 1:
            lines.append(f'replication = {{ class = "SimpleStrategy", replication_factor = "{min(len(hosts), 3)}" }}')
        tables.append([f"[environments.{name}.connections.cassandra]", *lines])
    if "flink" in parts:
        gateway, rest = (f'{key} = "http://{LOOPBACK}:{ports[port]}"' for key, port in (("gateway", "flink_gateway"), ("rest", "flink")))
        tables.insert(0, [f"[environments.{name}.flink]", gateway, rest])
    return "\n\n".join("\n".join(table) for table in [head, *tables]) + "\n"
