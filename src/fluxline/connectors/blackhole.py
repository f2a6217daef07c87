"""The connector `blackhole`: a sink that lets every row go; for measuring and for trying out.

Delivery guarantee: at most once, since nothing ever arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Connector, FlinkForm, Written
from fluxline.options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.batch import Batch
    from fluxline.connectors.base import SinkContext
    from fluxline.formats.base import Encoded


class BlackholeOptions(Options):
    """The connector `blackhole` has no options."""


class BlackholeSink:
    """Takes rows and lets them go."""

    def __init__(self, context: SinkContext) -> None:
        assert isinstance(context.options, BlackholeOptions)

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Take all rows."""
        return Written(batch.rows)

    def flush(self) -> None:
        """Nothing waits."""

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Nothing is to be made durable."""
        return {}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Nothing is to be made final."""

    def close(self) -> None:
        """Nothing is held."""


CONNECTOR = Connector(
    name="blackhole",
    doc="Lets every row go.",
    options=BlackholeOptions,
    source=None,
    sink=BlackholeSink,
    takes_format=False,
    upserts=True,
    appends_guarantee="at_most_once",
    upserts_guarantee="at_most_once",
    flink=FlinkForm(lambda _end: {"connector": "blackhole"}, roles=("sink",)),
)
