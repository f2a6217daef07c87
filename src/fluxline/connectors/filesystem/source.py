"""The source `filesystem`: each file is one partition, in the order of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.filesystem.listing import empty, listing_of
from fluxline.connectors.filesystem.options import FilesystemOptions, compression_of, refuse_other_side
from fluxline.connectors.filesystem.raw_file import RawFile
from fluxline.connectors.filesystem.readers import CompressedReader, PlainReader
from fluxline.errors import PositionExpired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.connectors.base import PartitionReader, SourceContext


class FilesystemSource:
    """Reads the files that a path means.

    A bounded source reads the files that are there when it begins, each up to its end at that time. With `follow`
    files that come later are read too, and nothing ever ends.
    """

    rewindable = True

    def __init__(self, context: SourceContext) -> None:
        options = context.options
        assert isinstance(options, FilesystemOptions)
        refuse_other_side(options, context.name, reading=True)
        self._options = options
        self._listing = listing_of(options.path, context.directory)
        self.bounded = context.bounded or not options.follow
        self._files: dict[str, Path] | None = None

    def partitions(self) -> Sequence[str]:
        """The names of the files, sorted; a name that was there once stays."""
        if self._files is None:
            self._files = self._listing.files()
            if self.bounded and not self._files:
                self._files = None
                raise empty(self._listing)
        elif not self.bounded:
            self._files = dict(sorted((self._files | self._listing.files()).items()))
        return tuple(self._files)

    def open(self, partition: str, position: int | None) -> PartitionReader:
        """Read a file from a position of its (decompressed) bytes on."""
        path = (self._files or {}).get(partition) or self._listing.files().get(partition)
        if path is None:
            raise PositionExpired("FLX-4205", f'the file "{partition}" is not there any more', hint="Put the file back, or start over with --fresh.")
        kind = compression_of(self._options, path.name)
        file = RawFile(path, follow=not self.bounded)
        try:
            return PlainReader(file, position or 0) if kind == "none" else CompressedReader(file, kind, position or 0)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Nothing is held; each reader holds its own file."""
