"""The sink `filesystem`: one growing file, or a directory of files that are begun one after another.

    receipt := {"format": 1, "files": {name: length, ...}}

Exactly once over stops and crashes: a receipt names the length of each file at a stop, synced to the disk. The next
run cuts what lies behind it, rows that come again. Until the next stop a reader may see rows that a crash takes back.
Compressed files grow by whole gzip members or zstd frames, so that each of their lengths in a receipt is a valid file.

Files that hold rows are gone on with by the run that wrote them, cleared on request by the sink that wrote them, and
by everybody else refused; `claim.py` says how an owner is known.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fluxline.connectors.base import Written
from fluxline.connectors.filesystem.claim import Claim, Owner, make_directory, read_owner, sync_directory
from fluxline.connectors.filesystem.compression import COMPRESS
from fluxline.connectors.filesystem.errors import file_error
from fluxline.connectors.filesystem.listing import WILDCARD
from fluxline.connectors.filesystem.options import FilesystemOptions, compression_of, refuse_other_side
from fluxline.errors import ConfigError, ExternalError, FluxlineError, RecoveryError, relative_path
from fluxline.limits import PARTS_MAX, WRITE_BUFFER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.batch import Batch
    from fluxline.connectors.base import SinkContext
    from fluxline.formats.base import Encoded

RECEIPT_FORMAT = 1
PART_NAME = re.compile(r"part-(\d{6})(\.[^/]*)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a sink go.

    Attributes:
        directory: where its files lie.
        file: the name of its one file, or None where it begins files one after another.
        suffix: the end of their names.
    """

    directory: Path
    file: str | None
    suffix: str

    def __str__(self) -> str:
        return relative_path(str(self.directory if self.file is None else self.directory / self.file))

    @property
    def claim_path(self) -> Path:
        """Where the owner is named."""
        return self.directory / ("_fluxline.json" if self.file is None else f".{self.file}.fluxline.json")

    def owns(self, name: str) -> bool:
        """Whether a file of this name would be one of the sink's; the suffix may be that of an earlier run."""
        return PART_NAME.fullmatch(name) is not None if self.file is None else name == self.file

    def part(self, index: int) -> str:
        """The name of a directory's file."""
        return f"part-{index:06}{self.suffix}"

    def lengths(self) -> dict[str, int]:
        """The sink's files that are there, by name, with their lengths."""
        try:
            with os.scandir(self.directory) as entries:
                found = {entry.name: entry.stat() for entry in entries if self.owns(entry.name)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise file_error(error, self.directory, "list") from error
        for name, status in found.items():
            if not stat.S_ISREG(status.st_mode):
                raise ExternalError("FLX-4209", f'"{relative_path(str(self.directory / name))}" is no file', hint="Give the sink another path.")
        return {name: found[name].st_size for name in sorted(found)}


def layout_of(options: FilesystemOptions, sink: str, directory: Path) -> Layout:
    """Whether the path is a file or a directory.

    Raises:
        ConfigError: FLX-1106, it is neither.
    """
    path = directory / options.path
    if WILDCARD.search(options.path):
        raise ConfigError("FLX-1106", f'sink "{sink}" cannot write to the pattern "{options.path}"', hint="Name one file or directory.")
    try:
        is_directory = options.path.endswith("/") or path.is_dir() or (not path.suffix and not path.is_file())
        if path.exists() and not path.is_dir() and not path.is_file():
            raise ConfigError(
                "FLX-1106",
                f'sink "{sink}" cannot write to "{options.path}"',
                detail="It is no file.",
                hint='The connectors "print" and "blackhole" write none.',
            )
    except OSError as error:
        raise file_error(error, path, "write") from error
    if is_directory:
        return Layout(path, None, options.part_suffix)
    defaults = FilesystemOptions(path=options.path)
    for name in ("part_suffix", "part_bytes_max"):
        if getattr(options, name) != getattr(defaults, name):
            raise ConfigError(
                "FLX-1106",
                f'option "{name}" of sink "{sink}" is for a directory, and "{options.path}" is one file',
                hint=f'Leave it out, or write the path as "{options.path}/".',
            )
    return Layout(path.parent, path.name, "")


class FilesystemSink:
    """Writes the rows of one sink; a failed write leaves whole rows and ends the sink."""

    def __init__(self, context: SinkContext) -> None:
        options = context.options
        assert isinstance(options, FilesystemOptions)
        assert context.encoder is not None, "a format is needed"
        assert not context.updating, "the planner refuses updating streams"
        refuse_other_side(options, context.name, reading=False)
        self._layout = layout_of(options, context.name, context.directory)
        self._compress = COMPRESS[compression_of(options, self._layout.file or self._layout.suffix)]
        self._part_bytes_max = options.part_bytes_max
        self._encoder = context.encoder
        self._lengths: dict[str, int] = {}
        self._name = ""
        self._descriptor: int | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._names_changed = False
        self._failure: FluxlineError | None = None
        try:
            make_directory(self._layout.directory)
        except OSError as error:
            raise file_error(error, self._layout.directory, "make") from error
        self._claim = Claim(self._layout.claim_path)
        try:
            self._start(context)
            if self._layout.file is not None:
                self._open_file(self._layout.file)
            elif self._lengths and self._lengths[max(self._lengths)] < self._part_bytes_max:
                self._open_file(max(self._lengths))
        except BaseException:
            self.close()
            raise

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Take the rows; they wait in memory until there are enough of them."""
        assert encoded is not None
        self._check()
        if batch.rows:
            if self._descriptor is None:
                self._open_file(self._layout.part(self._next_part()))
            self._append(encoded.data)
            if self._buffered >= WRITE_BUFFER_BYTES_MAX:
                self._write_out()
            if self._layout.file is None and self._lengths[self._name] >= self._part_bytes_max:
                self._write_out()
                self._sync()
                self._close_file()
        return Written(batch.rows)

    def flush(self) -> None:
        """Give what waits to the operating system: readers see it."""
        self._check()
        self._write_out()

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Make the rows durable, and say how long each file is."""
        self._check()
        self._write_out()
        self._sync()
        return {"format": RECEIPT_FORMAT, "files": dict(self._lengths)}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Nothing is left to do: the rows of the receipt are durable, and readers see them."""

    def close(self) -> None:
        """Let go of the files; what waits in memory is not written."""
        self._buffer.clear()
        self._buffered = 0
        self._close_file()
        self._claim.close()

    def _check(self) -> None:
        """A file whose write failed once is not trusted again."""
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: OSError, path: Path) -> ExternalError:
        failure = file_error(error, path, "write")
        self._failure = failure
        return failure

    def _start(self, context: SinkContext) -> None:
        there = self._layout.lengths()
        if context.receipt is not None and not context.fresh:
            self._lengths = self._continued(context.receipt, there, context.run_id)
        else:
            self._refuse_unknown(there, context)
        for name, length in there.items():  # Done again after a crash in between, it ends the same.
            if name not in self._lengths:
                self._remove(name)
            elif length > self._lengths[name]:
                self._cut(name, self._lengths[name])
        owner = Owner(context.name, context.run_id)
        if self._claim.owner != owner:
            self._claim.take(owner)

    def _refuse_unknown(self, there: Mapping[str, int], context: SinkContext) -> None:
        """Rows that another run wrote are cleared only on request, rows that this sink did not write never."""
        rows_in = next((name for name, length in there.items() if length), None)
        if rows_in is None:
            return
        path = relative_path(str(self._layout.directory / rows_in))
        owner = self._claim.owner
        if owner is None or owner.sink != context.name:
            by = "was not written by Fluxline" if owner is None else f'belongs to another sink, "{owner.sink}"'
            raise RecoveryError(
                "FLX-5101", f'sink "{context.name}" would overwrite "{path}", which {by}', hint="Move it away, or give the sink another path."
            )
        if not context.fresh and owner.run_id != context.run_id:  # rows of this very run, which no stop covers, are written again
            raise RecoveryError(
                "FLX-5101",
                f'sink "{context.name}" would mix its rows with those of an earlier run in "{path}"',
                detail="No saved stop says which of them this run must not write again.",
                hint="Start over with --fresh, which clears the sink's files, or give the sink another path.",
            )

    def _continued(self, receipt: Mapping[str, object], there: Mapping[str, int], run_id: str) -> dict[str, int]:
        """The lengths that a receipt names, if the files are those of this run."""
        lengths = receipt_lengths(receipt)
        start_over = "Put the files back as they were at the stop, or start over with --fresh."
        owner = self._claim.owner
        if (any(lengths.values()) or any(there.values())) and (owner is None or owner.run_id != run_id):
            raise RecoveryError("FLX-5102", f'the files of "{self._layout}" are not those of the run that is to be continued', hint=start_over)
        for name, length in lengths.items():
            path = relative_path(str(self._layout.directory / name))
            if not self._layout.owns(name):
                raise RecoveryError("FLX-5102", f'the saved stop wrote to "{name}", and the sink now writes to "{self._layout}"', hint=start_over)
            if there.get(name, -1) < length:
                state = "is gone" if name not in there else f"has {there[name]} bytes"
                raise RecoveryError("FLX-5102", f'"{path}" {state}, and had {length} at the saved stop', hint=start_over)
        return lengths

    def _remove(self, name: str) -> None:
        path = self._layout.directory / name
        if self._layout.file is not None:
            self._cut(name, 0)  # A file that a reader holds open stays the same file.
            return
        try:
            path.unlink()
            sync_directory(path.parent)
        except OSError as error:
            raise file_error(error, path, "remove") from error

    def _cut(self, name: str, length: int) -> None:
        path = self._layout.directory / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, length)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_error(error, path, "cut") from error

    def _next_part(self) -> int:
        index = 1 + max((int(name[5:11]) for name in self._lengths), default=-1)
        if index >= PARTS_MAX:
            raise ExternalError(
                "FLX-4209", f'"{self._layout}" has {PARTS_MAX} files', hint='Raise "part_bytes_max" and start over with another path.'
            )
        return index

    def _open_file(self, name: str) -> None:
        path = self._layout.directory / name
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._fail(error, path) from error
        self._names_changed = self._names_changed or name not in self._lengths
        self._name = name
        if not self._lengths.setdefault(name, 0):
            self._append(self._encoder.header())

    def _append(self, data: bytes) -> None:
        if data:
            self._buffer.append(data)
            self._buffered += len(data)

    def _write_out(self) -> None:
        if not self._buffer:
            return
        assert self._descriptor is not None
        data = memoryview(self._compress(self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)))
        self._buffer.clear()
        self._buffered = 0
        length = self._lengths[self._name]
        try:
            while data:
                written = os.pwrite(self._descriptor, data, length)
                data = data[written:]
                length += written
        except OSError as error:
            failure = self._fail(error, self._layout.directory / self._name)
            try:
                os.ftruncate(self._descriptor, self._lengths[self._name])
            except OSError:
                failure.detail += " The file ends in part of a row, which the next run cuts."
            raise failure from error
        self._lengths[self._name] = length

    def _sync(self) -> None:
        try:
            if self._descriptor is not None:
                getattr(os, "fdatasync", os.fsync)(self._descriptor)  # Not every system has it.
            if self._names_changed:
                sync_directory(self._layout.directory)
                self._names_changed = False
        except OSError as error:
            raise self._fail(error, self._layout.directory / self._name) from error

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def receipt_lengths(receipt: Mapping[str, object]) -> dict[str, int]:
    """The lengths of a receipt, which comes from the disk and is checked.

    Raises:
        RecoveryError: FLX-5001, it is of a newer version; FLX-5002, it is no receipt.
    """
    version = receipt.get("format")
    if isinstance(version, int) and version > RECEIPT_FORMAT:
        raise RecoveryError("FLX-5001", f"the receipt of a saved stop has format {version}, and this version reads up to {RECEIPT_FORMAT}")
    try:
        lengths = msgspec.convert(receipt.get("files"), dict[str, int])
    except msgspec.ValidationError as error:
        raise RecoveryError("FLX-5002", "the receipt of a saved stop is none of a file sink", detail=f"{error}.") from error
    if version != RECEIPT_FORMAT or any(length < 0 for length in lengths.values()):
        raise RecoveryError("FLX-5002", "the receipt of a saved stop is none of a file sink")
    return lengths


def clears(context: SinkContext) -> Sequence[str]:
    """What a fresh start would clear, for the user."""
    options = context.options
    assert isinstance(options, FilesystemOptions)
    layout = layout_of(options, context.name, context.directory)
    owner = read_owner(layout.claim_path)
    lengths = {name: length for name, length in layout.lengths().items() if length}
    if owner is None or owner.sink != context.name or not lengths:
        return ()
    count = f"{len(lengths)} file{'' if len(lengths) == 1 else 's'} in"
    return (f'{count if layout.file is None else "file"} "{layout}", {sum(lengths.values())} bytes',)
