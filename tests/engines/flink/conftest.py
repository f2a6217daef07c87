"""The servers of the live tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.flink.live import Live

if TYPE_CHECKING:
    from fluxline.stack.running import Stack


@pytest.fixture(scope="session")
def live(kafka_and_flink: Stack) -> Live:
    """A live Kafka and Flink with their clients."""
    return Live(kafka_and_flink)
