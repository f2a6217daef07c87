"""A relay: the topic that stands between Flink and a system which Flink does not know, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.connectors.base import SinkContext

if TYPE_CHECKING:
    from fluxline.clock import Clock
    from fluxline.connectors.base import SinkWriter
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Sink

REJECTED = ".rejected"
"""What the topic of the records that a relay could not hand on has behind the relay's name."""


@dataclass(frozen=True, slots=True)
class Relay:
    """How the rows of one sink get to their system.

    Attributes:
        sink: of the plan.
        log: where Flink writes them: a topic, with its format.
        target: where workers take them.
        topic: name of the topic.
        group: the consumer group of the workers.
    """

    sink: Sink
    log: Endpoint
    target: Endpoint
    topic: str
    group: str

    def open_target(self, clock: Clock) -> SinkWriter:
        """Open the system for writing: it makes what is missing there, and refuses what is not as the sink declares.

        Raises:
            FluxlineError: as the connector does.
        """
        sink, target = self.sink, self.target
        assert target.connector.sink is not None, "what is relayed can be written"
        return target.connector.sink(
            SinkContext(sink.name, target.options, sink.schema.visible(), sink.row_key, sink.updating, target.directory, clock, run_id=self.group)
        )
