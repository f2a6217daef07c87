"""What an engine gets and owes: the ends of a plan; a job that is started, stopped, and says how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.connectors.base import Connector
    from fluxline.formats.base import Format
    from fluxline.options import Options
    from fluxline.telemetry import Report


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a source or sink name lives, resolved.

    Attributes:
        name: as the pipeline calls it.
        connector: the word of the dictionary, with its options checked.
        format: the format where bytes pass, with its options checked, else None.
        directory: what relative paths start from.
        guarantee: what a sink is asked to deliver, if the environment says.
        ingest: of a source, whether workers are to bring its records into a topic.
    """

    name: str
    connector: Connector
    options: Options
    format: Format | None
    format_options: Options | None
    directory: Path
    guarantee: str | None = None
    ingest: bool = False


class EngineJob(Protocol):
    """One run of a pipeline."""

    def wait(self, timeout_ms: int | None = None) -> bool:
        """Wait for the end; False when the time was over first.

        Raises:
            FluxlineError: the job failed; what it had finished is saved or not, as its guarantee says.
        """
        ...

    def stop(self) -> None:
        """End at a clean stop: what was read is processed, written and saved. Returns when it is done."""
        ...

    def cancel(self) -> None:
        """End now; nothing is saved."""
        ...

    def report(self) -> Report:
        """The row ledger of this moment; at any moment it balances."""
        ...
