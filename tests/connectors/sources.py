"""Helpers of the tests of sources: open one, read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.clock import VirtualClock
from fluxline.connectors.base import Bytes, SourceContext
from fluxline.connectors.filesystem.options import FilesystemOptions
from fluxline.connectors.filesystem.source import FilesystemSource
from fluxline.options import read_options
from tests.connectors.lines import NUMBERS

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.connectors.base import PartitionReader


def files(directory: Path, path: str, *, bounded: bool = False, **options: object) -> FilesystemSource:
    """The source `filesystem` with these options."""
    read = read_options(FilesystemOptions, {"path": path, **options}, of='connector "filesystem"')
    return FilesystemSource(SourceContext("input", read, NUMBERS, directory, VirtualClock(0), bounded))


def take(reader: PartitionReader) -> bytes:
    """All bytes that are there now."""
    found = b""
    while (read := reader.read()) is not None:
        assert isinstance(read, Bytes)
        found += read.data
        if read.final:
            break
    return found
