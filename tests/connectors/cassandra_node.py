"""A running node of Cassandra, asked with the driver itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy

from tests.connectors.cassandra_rows import context_of

if TYPE_CHECKING:
    from fluxline.connectors.base import SinkContext
    from fluxline.schema import TableSchema

NAMES = (f"t{number}" for number in itertools.count())


class Node:
    """A running node, asked with the driver itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=30)
        self._cluster = Cluster(["127.0.0.1"], port=port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        self._session = self._cluster.connect()

    def ask(self, text: str) -> list[Any]:
        """The rows of a statement."""
        return [tuple(row) for row in self._session.execute(text)]

    def context(self, schema: TableSchema, key: tuple[str, ...], **options: Any) -> SinkContext:
        """A context for a table that is not there yet."""
        updating = options.pop("updating", False)
        return context_of(next(NAMES), schema, key, {"port": self.port, "keyspace": "fluxline", **options}, updating=updating)

    def close(self) -> None:
        """Let go."""
        self._cluster.shutdown()
