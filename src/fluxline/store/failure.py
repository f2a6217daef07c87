"""What DuckDB or the file system says of a store's files, as one of our errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.errors import DiskFull, ExternalError

if TYPE_CHECKING:
    from pathlib import Path

_FULL = ("No space left", "File too large", "Disk quota exceeded", "Could not write all bytes")


def storage_failure(error: Exception, path: Path) -> ExternalError:
    """What DuckDB or the file system says of a file, as a full disk or another failure."""
    text = str(error).split("\n\nLINE")[0].strip()
    if any(words in text for words in _FULL):
        return DiskFull(
            "FLX-4605",
            f'no room to write the table store "{path}"',
            detail=f"{text} What was flushed before is safe; the rows since then are written again when the run continues.",
            hint="Make room on the disk and run again.",
        )
    return ExternalError("FLX-4606", f'the table store "{path}" cannot be read or written', detail=text)
