"""A file as it lies on the disk, read from any offset: where it ends, and whether it is still the same file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from fluxline.connectors.filesystem.errors import file_error
from fluxline.errors import ExternalError, PositionExpired, relative_path

if TYPE_CHECKING:
    from pathlib import Path


class RawFile:
    """Reads one file.

    Without `follow` the file ends where it ended when it was opened, so that a writer at work cannot keep a bounded
    source from its end. With `follow` it never ends; at its present end it holds no descriptor, so that any number of
    files can be waited for.

    Attributes:
        path: where it lies.
        size: its length when it was looked at last.
    """

    def __init__(self, path: Path, *, follow: bool) -> None:
        self.path = path
        self._follow = follow
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self.size = 0
        try:
            self._open()
        except FileNotFoundError as error:
            raise PositionExpired("FLX-4205", f'"{self}" is not there any more', hint="Put the file back, or start over with --fresh.") from error
        except OSError as error:
            raise file_error(error, path, "read") from error

    def __str__(self) -> str:
        return relative_path(str(self.path))

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on; none at the end, or when following, at what is the end now.

        Raises:
            ExternalError: FLX-4206, the file shrank, vanished or was replaced; FLX-4203, it cannot be read.
        """
        try:
            if self._descriptor is None and not self._grown(offset):
                return b""
            if not self._follow:
                count = min(count, self.size - offset)
            data = self._pread(offset, count)
            if not data and self._follow:
                self.close()
                self._grown(offset)
        except FileNotFoundError as error:
            raise self._changed("vanished") from error
        except OSError as error:
            raise file_error(error, self.path, "read") from error
        if not data and not self.ended(offset) and not self._follow:
            raise self._changed("became shorter")
        return data

    def ended(self, offset: int) -> bool:
        """Whether nothing comes behind this offset, now or later."""
        return not self._follow and offset >= self.size

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        # A pipe would block the open for ever; a regular file does not heed the flag.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        refused: ExternalError | None = None
        if not stat.S_ISREG(status.st_mode):
            refused = ExternalError("FLX-4209", f'"{self}" is no file', detail="Pipes, devices and directories are not read as files.")
        elif self._identity not in (None, identity):
            refused = self._changed("was replaced by another file")
        if refused is not None:
            os.close(descriptor)
            raise refused
        self._descriptor, self._identity, self.size = descriptor, identity, status.st_size

    def _grown(self, offset: int) -> bool:
        """Look at a file that is not open; open it again if there is more behind the offset."""
        status = self.path.stat()
        if (status.st_dev, status.st_ino) != self._identity:
            raise self._changed("was replaced by another file")
        if status.st_size < offset:
            raise self._changed("became shorter")
        if status.st_size == offset:
            return False
        self._open()
        return True

    def _pread(self, offset: int, count: int) -> bytes:
        assert self._descriptor is not None
        return os.pread(self._descriptor, count, offset) if count > 0 else b""

    def _changed(self, what: str) -> ExternalError:
        return ExternalError(
            "FLX-4206",
            f'"{self}" {what} while it was read',
            detail="A position in the file means something only as long as the file grows at its end and nothing else happens to it.",
            hint="Write to a new file instead of this one; to read it again from its beginning, start over with --fresh.",
        )
