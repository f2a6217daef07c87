"""The environment of a project file that a running stack stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment_text(name: str, ports: Mapping[str, int], parts: tuple[str, ...], keyspace: str) -> str:
    """TOML of one environment.

    Without Flink the embedded engine runs the pipelines; without Kafka or Cassandra their names live where the project puts them.

    Args:
        name: of the environment.
        ports: of the stack.
        parts: those that run.
        keyspace: of Cassandra, where the tables go.
    """
    head = [f"[environments.{name}]", f'engine = "{"flink" if "flink" in parts else "embedded"}"']
    tables = []
    if "kafka" in parts:
        head.append('topics = "kafka"')
        bootstrap = f'bootstrap_servers = ["{LOOPBACK}:{ports["kafka"]}"]'
        tables.append([f"[environments.{name}.connections.kafka]", 'connector = "kafka"', bootstrap, 'format = "json"'])
    if "cassandra" in parts:
        head.append('tables = "cassandra"')
        lines = ['connector = "cassandra"', f'contact_points = ["{LOOPBACK}"]', f"port = {ports['cassandra']}", f'keyspace = "{keyspace}"']
        tables.append([f"[environments.{name}.connections.cassandra]", *lines])
    if "flink" in parts:
        gateway, rest = (f'{key} = "http://{LOOPBACK}:{ports[port]}"' for key, port in (("gateway", "flink_gateway"), ("rest", "flink")))
        tables.insert(0, [f"[environments.{name}.flink]", gateway, rest])
    return "\n\n".join("\n".join(table) for table in [head, *tables]) + "\n"
