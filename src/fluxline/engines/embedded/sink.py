"""One sink of a running job: columns to bytes where the connector takes bytes, then to the connector's writer."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from fluxline.engines.embedded.changelog import without_updates
from fluxline.telemetry import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.batch import Batch
    from fluxline.connectors.base import SinkWriter
    from fluxline.engines.embedded.operator import Edge
    from fluxline.engines.embedded.refused import RefusedRows
    from fluxline.formats.base import Encoder, Reject
    from fluxline.plan.nodes import Sink

_log = logging.getLogger("fluxline.engine")


class SinkTask:
    """Writes rows and counts what the system acknowledged (`used`) or refused. Used by one thread at a time."""

    def __init__(self, name: str, node: Sink, writer: SinkWriter, encoder: Encoder | None, refused: RefusedRows | None) -> None:
        self.name = name
        self.node = node
        self.ledger = Ledger()
        self.lock = threading.Lock()
        self._writer = writer
        self._encoder = encoder
        self._refused = refused
        self._columns = node.schema.names()
        self._unflushed = False
        self._taken: deque[Batch] = deque()
        own = node.input.key if node.updating else None
        self._key_differs = own is not None and set(own) != set(node.row_key or ())

    def take(self, batch: Batch, edge: Edge) -> None:
        """Count the rows as read; they are held until `write`."""
        edge.rows_read += batch.rows
        self.ledger.read += batch.rows
        with self.lock:
            self._taken.append(batch)

    def held(self) -> int:
        """Rows that were taken and not yet written."""
        return sum(batch.rows for batch in self._taken)

    def write(self, batch: Batch) -> None:
        """Give the rows that were taken first to the system."""
        visible = batch.with_columns({name: batch.columns[name] for name in self._columns})
        if self._key_differs:
            visible = without_updates(visible)
        encoded = None if self._encoder is None else self._encoder.encode(visible)
        written = self._writer.write(visible, encoded)
        self._unflushed = True
        if written.rejects:
            self._keep(visible, written.rejects)
        with self.lock:
            self._taken.popleft()
            self.ledger.used += written.acknowledged
            for reject in written.rejects:
                self.ledger.reject(reject.reason)

    def _keep(self, rows: Batch, refused: Sequence[Reject]) -> None:
        """Keep what the system refused, and say so."""
        where = ""
        if self._refused is not None:
            self._refused.put(self.name, rows, refused)
            where = f"; kept in {self._refused.path}"
        first = min(refused, key=lambda reject: reject.index)
        _log.warning('sink "%s": %d of %d rows refused%s; the first: %s', self.node.name, len(refused), rows.rows, where, first.detail)

    def flush(self) -> None:
        """Make what was written visible to readers."""
        if self._unflushed:
            self._writer.flush()
            self._unflushed = False

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Make everything durable; the receipt is saved with the stop."""
        return self._writer.prepare(checkpoint_id)

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Make what the receipt covers final."""
        self._writer.commit(receipt)

    def close(self) -> None:
        """Let go of the system."""
        if self._refused is not None:
            self._refused.close()
        self._writer.close()
