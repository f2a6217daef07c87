"""Whether input has come since a run read everything and closed every window: then going on would call it all late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.connectors.base import Bytes, SourceContext
from fluxline.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.base import Source
    from fluxline.control.ends import Ends
    from fluxline.engines.embedded.saved_state import SavedStop
    from fluxline.engines.embedded.source import PartitionState
    from fluxline.plan.nodes import Plan


def refuse_new_input(plan: Plan, ends: Ends, last: SavedStop) -> None:
    """Refuse to call a run finished whose sources have more by now.

    Raises:
        RecoveryError: FLX-5006, with the source and partition that have more.
    """
    for scan in plan.scans():
        if scan.source not in last.sources:
            continue
        endpoint = ends.sources[scan.source]
        assert endpoint.connector.source is not None, "the planner refuses a source that cannot be read"
        context = SourceContext(scan.source, endpoint.options, scan.decoded, endpoint.directory, SystemClock(), bounded=True)
        source = endpoint.connector.source(context)
        try:
            found = _partition_with_more(source, last.sources[scan.source][1])
        finally:
            source.close()
        if found is not None:
            raise RecoveryError(
                "FLX-5006",
                f'source "{scan.source}" has more input since the last run read it to its end',
                detail=f"It is in {found}. That run closed every window, so what comes now would be late.",
                hint="Start over with --fresh, or follow the source instead of running it to its end.",
                place=scan.place,
            )


def _partition_with_more(source: Source, known: Mapping[str, PartitionState]) -> str | None:
    for name in source.partitions():
        saved = known.get(name)
        if saved is None:
            return name
        reader = source.open(name, saved.position)
        try:
            read = reader.read()
        finally:
            reader.close()
        if read is not None and (len(read.data) if isinstance(read, Bytes) else read.batch.rows):
            return name
    return None
