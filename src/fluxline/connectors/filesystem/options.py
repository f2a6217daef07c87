"""The options of the connector `filesystem`, for reading and for writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.errors import ConfigError
from fluxline.limits import PART_BYTES_DEFAULT, WRITE_BUFFER_BYTES_MAX
from fluxline.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


class FilesystemOptions(Options):
    """Options of the connector `filesystem`."""

    path: str = option(
        "Reading: a file, a directory with all that is below it, or a pattern with *, ?, [] and **. "
        'Writing: a file, or a directory (no suffix, or "/" at the end).',
        example="data/*.ndjson",
        flink="path",
    )
    follow: bool = option("Reading: wait for more at the end of each file, and for new files, without end.", default=False)
    compression: str = option(
        "How the bytes are compressed; auto goes by the end of the file's name, .gz or .zst.",
        default="auto",
        choices=("auto", "none", "gzip", "zstd"),
    )
    part_suffix: str = option("Writing a directory: the end of each file's name, which also says its compression.", default="", example=".ndjson.gz")
    part_bytes_max: int = option(
        "Writing a directory: length at which the next file is begun.",
        default=PART_BYTES_DEFAULT,
        minimum=WRITE_BUFFER_BYTES_MAX,
        flink="sink.rolling-policy.file-size",
    )

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """The path is a path of this machine, and the suffix is no path."""
        if not self.path or "\0" in self.path:
            raise refuse("path", "It names no file.")
        if "://" in self.path:
            raise refuse("path", f'"{self.path}" is an address, and this connector reads and writes files of this machine: write the plain path.')
        if "/" in self.part_suffix or "\0" in self.part_suffix or (self.part_suffix and not self.part_suffix.startswith(".")):
            raise refuse("part_suffix", 'It is the end of a file name and begins with a point, such as ".ndjson".')


def compression_of(options: FilesystemOptions, file_name: str) -> str:
    """`none`, `gzip` or `zstd`: how this file is compressed."""
    if options.compression != "auto":
        return options.compression
    return next((kind for suffix, kind in SUFFIXES.items() if file_name.endswith(suffix)), "none")


def refuse_other_side(options: FilesystemOptions, name: str, *, reading: bool) -> None:
    """An option that means nothing for this use is refused, not ignored.

    Raises:
        ConfigError: FLX-1106.
    """
    for_reading, for_writing = ("follow",), ("part_suffix", "part_bytes_max")
    for option_name in for_writing if reading else for_reading:
        if getattr(options, option_name) != getattr(FilesystemOptions(path=options.path), option_name):
            use, other = ("reading", "writing") if reading else ("writing", "reading")
            raise ConfigError(
                "FLX-1106",
                f'option "{option_name}" of connector "filesystem" is for {other}, and "{name}" is used for {use}',
                hint=f'Set it in the binding of a {"sink" if reading else "source"}, not in the connection that "{name}" shares.',
            )
