"""A format for tests of connectors: the number in the column `number`, and its line end. The tests need no real format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import Batch, Column
from fluxline.clock import VirtualClock
from fluxline.connectors.base import SinkContext
from fluxline.connectors.filesystem.options import FilesystemOptions
from fluxline.formats.base import Encoded
from fluxline.options import Options, read_options
from fluxline.schema import BIGINT, Field, TableSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS = TableSchema((Field("number", BIGINT.with_nullable(False)),))


class LineEncoder:
    """One number a line, under an optional heading."""

    def __init__(self, heading: bytes = b"") -> None:
        self.heading = heading

    def header(self) -> bytes:
        """What opens a new file."""
        return self.heading

    def encode(self, batch: Batch) -> Encoded:
        """The lines of a batch."""
        lines = [b"%d\n" % number for number in batch.columns["number"].values]
        return Encoded(b"".join(lines), np.cumsum([0, *map(len, lines)], dtype=np.int64))


def numbers(first: int, stop: int) -> Batch:
    """Rows that are numbered."""
    return Batch({"number": Column(np.arange(first, stop, dtype=np.int64))}, stop - first)


def sink_context(directory: Path, options: Mapping[str, object] | Options, *, heading: bytes = b"") -> SinkContext:
    """A context for a fresh run; raw options are those of the connector `filesystem`."""
    read = options if isinstance(options, Options) else read_options(FilesystemOptions, options, of='connector "filesystem"')
    return SinkContext(
        name="numbers",
        options=read,
        schema=NUMBERS,
        key=None,
        updating=False,
        directory=directory,
        clock=VirtualClock(1_700_000_000_000),
        run_id="run-1",
        encoder=LineEncoder(heading),
    )
