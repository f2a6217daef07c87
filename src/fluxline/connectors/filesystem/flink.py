"""How Flink's `filesystem` table is set up for the same files."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from fluxline.connectors.base import FlinkForm
from fluxline.connectors.filesystem.options import FilesystemOptions
from fluxline.errors import UnsupportedByEngine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.base import FlinkEnd

BY_WORKERS = ", or let workers bring the files into a topic, with ingest = true in the binding."


def table_options(end: FlinkEnd) -> Mapping[str, str]:
    """The options of WITH (...).

    Raises:
        UnsupportedByEngine: FLX-2651, Flink cannot follow an option.
    """
    options = end.options
    assert isinstance(options, FilesystemOptions) and end.format is not None, "files have these options and a format"
    if options.compression != "auto":
        raise _refuse(
            end, "compression", "Flink goes by the end of a file's name.", f'Leave it at "auto"{BY_WORKERS if end.role == "source" else "."}'
        )
    if end.role == "source" and any(sign in options.path for sign in "*?["):
        raise _refuse(
            end, "path", "Flink reads a file, or a directory with all that is below it, and knows no patterns.", f"Name the directory{BY_WORKERS}"
        )
    if end.role == "sink" and PurePath(options.path).suffix and not options.path.endswith("/"):
        raise _refuse(end, "path", "Flink writes a directory of files, never one file.", 'End the path with "/".')
    if options.part_suffix:
        raise _refuse(end, "part_suffix", "Flink names its files itself.", "Take it out.")
    found = {"connector": "filesystem", "path": (end.directory / options.path).absolute().as_uri(), "format": end.format}
    if end.role == "source" and options.follow:
        found["source.monitor-interval"] = "1 s"
    if end.role == "sink":
        found["sink.rolling-policy.file-size"] = f"{options.part_bytes_max} b"
    return {**found, **end.format_options}


def _refuse(end: FlinkEnd, option: str, detail: str, hint: str) -> UnsupportedByEngine:
    return UnsupportedByEngine("FLX-2651", f'Flink cannot follow option "{option}" of {end.role} "{end.name}"', detail=detail, hint=hint)


FLINK = FlinkForm(table_options, partition=("file.path", "STRING"))
