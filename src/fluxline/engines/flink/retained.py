"""Checkpoints and savepoints as files: which of a job is the newest that is complete, and of which pipeline one is.

A cluster that was restarted knows nothing of its jobs; what it kept of them is still below its directory of checkpoints:

    <directory>/<job>/chk-<number>/_metadata    written last, under another name until it is complete
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fluxline.errors import ExternalError
from fluxline.limits import SAVEPOINT_METADATA_BYTES_MAX

METADATA = "_metadata"
_CHECKPOINT = re.compile(r"chk-(\d+)")
_OF_JOB = re.compile(r"/([0-9a-f]{32})/chk-\d+/?$")
_SINK = re.compile(rb"([\w.-]+)\[\d+\]: Writer")
_SOURCE = re.compile(rb"default_catalog\.default_database\.([\w.-]+)")


@dataclass(frozen=True, slots=True)
class Ends:
    """The names of the sources and sinks that a checkpoint or savepoint has something of."""

    sources: frozenset[str]
    sinks: frozenset[str]


def path_here(address: str) -> Path | None:
    """Where a directory of Flink is for this process; None where it is on another kind of disk."""
    parts = urlsplit(address)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "") and parts.path.startswith("/") else None


def job_directory(directory: str, job_id: str) -> Path | None:
    """Where a job keeps its checkpoints; None where this process does not see it."""
    here = path_here(directory)
    return here / job_id if here is not None and (here / job_id).is_dir() else None


def newest_complete(directory: Path) -> str | None:
    """The newest complete checkpoint in the directory of a job; None where it has none.

    Raises:
        ExternalError: FLX-4103, it cannot be listed.
    """
    try:
        numbers = [
            int(found.group(1)) for entry in directory.iterdir() if (found := _CHECKPOINT.fullmatch(entry.name)) and (entry / METADATA).is_file()
        ]
    except OSError as error:
        raise ExternalError("FLX-4103", f"{directory} cannot be used: {error.strerror or error}") from error
    return (directory / f"chk-{max(numbers)}").as_uri() if numbers else None


def job_of(checkpoint: str) -> str | None:
    """The job that a checkpoint is of, by its path; None of a savepoint."""
    found = _OF_JOB.search(checkpoint)
    return None if found is None else found.group(1)


def ends_of(state: str) -> Ends | None:
    """What a checkpoint or savepoint has something of, as far as it is told by name; None where this process cannot read it."""
    here = path_here(state)
    if here is None:
        return None
    file = here if here.name == METADATA else here / METADATA
    try:
        with file.open("rb") as opened:
            data = opened.read(SAVEPOINT_METADATA_BYTES_MAX)
    except OSError:
        return None
    return Ends(frozenset(name.decode() for name in _SOURCE.findall(data)), frozenset(name.decode() for name in _SINK.findall(data)))
