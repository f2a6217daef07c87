"""One node of Cassandra for all tests of this folder that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.stack.running import Stack
    from tests.connectors.cassandra_node import Node


@pytest.fixture(scope="session")
def node(cassandra: Stack) -> Iterator[Node]:
    """The node of all tests, with a client."""
    from tests.connectors.cassandra_node import Node

    node = Node(cassandra.cassandra.port)
    yield node
    node.close()
