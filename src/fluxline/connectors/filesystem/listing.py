"""Which files a path means: a file, a directory with all that is below it, or a pattern.

Every file gets a name, its path relative to the listing's base: the file's own directory, the directory itself, or the part of
the pattern in front of its first wildcard. Names beginning with `.` or `_` are hidden, as in Flink, unless the
pattern writes the sign out. Directories that are links are not entered: a loop of links would never end.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.connectors.filesystem.errors import file_error
from fluxline.errors import ExternalError, ResourceMissing, relative_path
from fluxline.limits import PARTITIONS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a path means.

    Attributes:
        path: as the user wrote it, from the project's directory.
        base: what names are relative to.
        pattern: components behind the base; empty when the path has no wildcard.
    """

    path: Path
    base: Path
    pattern: tuple[str, ...]

    def files(self) -> dict[str, Path]:
        """Names and paths of the files that are there now, by name.

        Raises:
            ResourceMissing: FLX-4201, there is nothing of this name.
            ExternalError: FLX-4209, a name that cannot be used; FLX-4202, FLX-4203, a directory cannot be read.
        """
        try:
            return self._files()
        except OSError as error:
            raise file_error(error, self.path, "list") from error

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in self._walk():
            name = path.relative_to(self.base).as_posix()
            try:
                name.encode()
            except UnicodeEncodeError:
                raise ExternalError("FLX-4209", f"the file name {name!r} is not UTF-8", hint="Rename the file, or move it away.") from None
            found[name] = path
            if len(found) > PARTITIONS_MAX:
                raise ExternalError(
                    "FLX-4209", f'"{relative_path(str(self.path))}" means more than {PARTITIONS_MAX} files', hint="Read them in portions."
                )
        return dict(sorted(found.items()))

    def _walk(self) -> Iterator[Path]:
        if self.pattern:
            if self.base.is_dir():
                yield from _matching(self.base, self.pattern)
        elif self.path.is_dir():
            yield from _matching(self.path, ("**", "*"))
        elif self.path.is_file():
            yield self.path
        elif self.path.exists():
            raise ExternalError(
                "FLX-4209", f'"{relative_path(str(self.path))}" is no file and no directory', detail="Pipes and devices are not read."
            )
        else:
            raise missing(self.path)


def listing_of(path_text: str, directory: Path) -> Listing:
    """What the path of an option means, seen from a directory.

    Raises:
        ExternalError: FLX-4202, FLX-4203, the operating system does not say what is there.
    """
    path = directory / path_text
    try:
        if not WILDCARD.search(path_text) or path.exists():
            return Listing(path, path if path.is_dir() else path.parent, ())
    except OSError as error:
        raise file_error(error, path, "list") from error
    parts = Path(path_text).parts
    first = next(index for index, part in enumerate(parts) if WILDCARD.search(part))
    return Listing(path, directory.joinpath(*parts[:first]), tuple(parts[first:]))


def _matching(directory: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """Files below the directory that match; `**` stands for any number of directories."""
    head, rest = pattern[0], pattern[1:]
    if head == "**" and rest:
        yield from _matching(directory, rest)
    for entry in _entries(directory):
        if entry.name[0] in "._" and not head.startswith(entry.name[0]):
            continue
        deeper = rest or head == "**"
        if deeper and entry.is_dir(follow_symlinks=False):
            if head == "**":
                yield from _matching(directory / entry.name, pattern)
            elif fnmatchcase(entry.name, head):
                yield from _matching(directory / entry.name, rest)
        elif not rest and fnmatchcase(entry.name, head) and entry.is_file():
            yield directory / entry.name


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        raise file_error(error, directory, "list") from error


def missing(path: Path) -> ResourceMissing:
    """The error for a path that is not there, with the nearest name that is."""
    wanted, parent = path, path.parent
    while not parent.exists() and parent != parent.parent:
        wanted, parent = parent, parent.parent
    there = relative_path(str(parent))
    detail = f'The directory "{there}" is there and has no "{wanted.name}".' if parent.is_dir() else f'"{there}" is no directory.'
    return ResourceMissing(
        "FLX-4201", f'there is no file or directory "{relative_path(str(path))}"', detail=detail, hint=_nearest(parent, wanted.name)
    )


def _nearest(directory: Path, name: str) -> str:
    """A hint with the nearest name in a directory, as a path to copy."""
    names = [entry.name for entry in _entries(directory)] if directory.is_dir() else []
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f'Did you mean "{relative_path(str(directory / close[0]))}"?' if close else ""


def empty(listing: Listing) -> ResourceMissing:
    """The error for a directory or pattern without files."""
    shown = relative_path(str(listing.path))
    if listing.pattern:
        if not listing.base.is_dir():
            return missing(listing.base)
        near = _nearest(listing.base, listing.pattern[0]) if len(listing.pattern) == 1 else ""
        return ResourceMissing(
            "FLX-4201",
            f'no file matches "{shown}"',
            detail='A pattern means files, and passes over names that begin with "." or "_".',
            hint=near or 'End it in "/**" to read all files below a directory, or set follow = true to wait for files.',
        )
    return ResourceMissing(
        "FLX-4201",
        f'the directory "{shown}" has no files',
        detail='Names that begin with "." or "_" do not count.',
        hint="Set follow = true to wait for files.",
    )
