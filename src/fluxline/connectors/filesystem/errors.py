"""What a refusal of the operating system is called: one error class and code per kind."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from fluxline.errors import DiskFull, ExternalError, ResourceMissing, Unauthorized, relative_path

if TYPE_CHECKING:
    from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_error(error: OSError, path: Path, doing: str) -> ExternalError:
    """The error to raise for an OSError.

    Args:
        error: what the operating system said.
        path: the file or directory.
        doing: what was tried, such as `read`.
    """
    shown = relative_path(str(path))
    detail = f"The operating system says: {error.strerror or error}."
    if error.errno in NO_ROOM:
        return DiskFull(
            "FLX-4204", f'no room to {doing} "{shown}"', detail=detail, hint="Free some space and run again: it goes on where it stopped."
        )
    if isinstance(error, FileNotFoundError):
        return ResourceMissing("FLX-4201", f'there is no file "{shown}" to {doing}', detail=detail)
    if isinstance(error, PermissionError):
        return Unauthorized(
            "FLX-4202", f'"{shown}" may not be used to {doing}', detail=detail, hint="Change the permissions, or run as a user who has them."
        )
    return ExternalError("FLX-4203", f'the attempt to {doing} "{shown}" failed', detail=detail)
