"""The rows of a sink that its system refused, kept beside the state of the pipeline in the form of the rejected output.

    <directory>/<pipeline>/refused/<sink>.ndjson

No stream of a plan stands behind a sink, so they have no output of their own. A row that comes again, after a crash or where
only the rest of its batch went through, is here again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from fluxline.engines.embedded.saved_state import REFUSED, external
from fluxline.formats import load_format
from fluxline.plan.nodes import REJECTED_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.batch import Batch
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.formats.base import Encoder, Reject


class RefusedRows:
    """The file of one sink; it is made with the first row."""

    def __init__(self, directory: Path, sink: str, writer: RejectWriter) -> None:
        self.path = directory / REFUSED / f"{sink}.ndjson"
        self._writer = writer
        self._encoder: Encoder | None = None
        self._out: BinaryIO | None = None

    def put(self, operator: str, rows: Batch, refused: Sequence[Reject]) -> None:
        """Keep the rows of a batch that were refused; they outlive a crash of the machine when this returns.

        Raises:
            DiskFull: FLX-4102, no room is left.
            ExternalError: FLX-4103, the file cannot be written.
        """
        if self._encoder is None:
            json = load_format("json")
            self._encoder = json.encoder(REJECTED_SCHEMA, json.options())
        built = self._writer.of_refused(operator, rows, refused)
        try:
            if self._out is None:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._out = self.path.open("ab")
            self._out.write(self._encoder.encode(built).data)
            self._out.flush()
            os.fsync(self._out.fileno())
        except OSError as error:
            raise external(error, self.path) from error

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._out is not None:
            self._out.close()
            self._out = None
