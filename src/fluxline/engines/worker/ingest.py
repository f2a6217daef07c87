"""An ingest: the topic that stands between Flink and a source which Flink does not read, and how far the source is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fluxline.connectors.base import SourceContext
from fluxline.errors import RecoveryError

if TYPE_CHECKING:
    from fluxline.clock import Clock
    from fluxline.connectors.base import Source
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Scan

UNTOUCHED = "json"
"""The format whose records go over as they are: Flink's form of it has the verdicts of the embedded engine."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """How the records of one source get to Flink.

    Attributes:
        scan: of the plan.
        source: where workers take them.
        log: where Flink reads them: a topic, with its format.
        topic: name of the topic.
    """

    scan: Scan
    source: Endpoint
    log: Endpoint
    topic: str

    @property
    def untouched(self) -> bool:
        """Whether the source's bytes are what the topic gets; otherwise rows are decoded and encoded anew."""
        return self.source.format is not None and self.source.format.name == UNTOUCHED

    @property
    def shape(self) -> str:
        """What a record of the topic is like, as text: records of another shape cannot stand behind them."""
        return f"{UNTOUCHED}, as it comes" if self.untouched else f"{UNTOUCHED} of {self.scan.decoded.describe()}"

    def open_source(self, clock: Clock, *, bounded: bool) -> Source:
        """Open the system for reading.

        Args:
            clock: time.
            bounded: end where the input ends now.

        Raises:
            FluxlineError: as the connector does.
        """
        source = self.source
        assert source.connector.source is not None, "what is ingested can be read"
        return source.connector.source(SourceContext(self.scan.source, source.options, self.scan.decoded, source.directory, clock, bounded))


@dataclass(slots=True)
class Place:
    """Where the reading of one partition of a source goes on.

    Attributes:
        number: the partition of the topic that gets its records.
        position: where the first record begins that is not in the topic yet.
        finished: nothing more comes of it.
        decoder: what its decoder remembers.
    """

    number: int
    position: int | None = None
    finished: bool = False
    decoder: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Kept:
    """How far a source is in its topic.

    Attributes:
        shape: what the records of the topic are like.
        places: by partition of the source, in the order in which they were first seen.
        appended: by partition of the topic, how many records were put into it and acknowledged.
        rejected: how many records could not be decoded, or are too large for a topic.
        ended: the source was read to its end.
    """

    shape: str
    places: dict[str, Place] = field(default_factory=dict)
    appended: list[int] = field(default_factory=list)
    rejected: int = 0
    ended: bool = False

    @property
    def moved(self) -> int:
        """The records in the topic; after a crash it holds some twice, which are counted once here."""
        return sum(self.appended)

    def refuse_other_shape(self, ingest: Ingest) -> None:
        """Refuse to go on with records of another shape.

        Raises:
            RecoveryError: FLX-5802.
        """
        if self.shape != ingest.shape:
            raise RecoveryError(
                "FLX-5802",
                f'what the topic of source "{ingest.scan.source}" holds has changed',
                detail=f"Topic {ingest.topic} has records of {self.shape}; now they would be {ingest.shape}.",
                hint="Start over with --fresh, which makes the topic anew.",
            )


class Positions(Protocol):
    """Where it is kept how far a source is."""

    def load(self) -> Kept | None:
        """What was kept last, or None."""
        ...

    def save(self, kept: Kept) -> None:
        """Keep it; it is there as a whole when this returns."""
        ...
