"""The connector `filesystem`: files as sources and sinks.

Delivery guarantee: exactly-once over stops and crashes for rows without key, see `sink.py`. Updating streams are not taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Connector
from fluxline.connectors.filesystem.flink import FLINK
from fluxline.connectors.filesystem.options import FilesystemOptions
from fluxline.connectors.filesystem.sink import FilesystemSink, clears
from fluxline.connectors.filesystem.source import FilesystemSource

if TYPE_CHECKING:
    from fluxline.options import Options


def ends(options: Options) -> bool:
    """Whether a source with these options ends by itself."""
    assert isinstance(options, FilesystemOptions)
    return not options.follow


CONNECTOR = Connector(
    name="filesystem",
    doc="Files and directories of this machine.",
    options=FilesystemOptions,
    source=FilesystemSource,
    sink=FilesystemSink,
    takes_format=True,
    appends_guarantee="exactly_once",
    source_bounded=ends,
    clears=clears,
    flink=FLINK,
)
