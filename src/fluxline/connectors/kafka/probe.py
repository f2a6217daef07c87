"""Look whether a topic could be opened: brokers, login, the topic and what is declared of it; nothing is made or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import SinkContext
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.topics import look_at_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.connectors.base import SourceContext


def probe(context: SourceContext | SinkContext) -> Sequence[str]:
    """What was found.

    Raises:
        FluxlineError: FLX-4401 to FLX-4409, as opening would.
    """
    options = context.options
    assert isinstance(options, KafkaOptions), f"options of another connector: {options}"
    topic = options.topic or context.name
    count = look_at_topic(options, topic, written=isinstance(context, SinkContext))
    if count is None:
        return (f'topic "{topic}" is not there and will be made',)
    return (f'topic "{topic}" has {count} partition{"" if count == 1 else "s"}',)
