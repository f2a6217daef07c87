"""Readers of one file: plain, and compressed. Positions are of the bytes that come out, so both look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Bytes
from fluxline.connectors.filesystem.compression import STREAMS, DataCorrupt
from fluxline.errors import ExternalError, PositionExpired
from fluxline.limits import BLOCK_BYTES_MAX, COMPRESSED_READ_BYTES

if TYPE_CHECKING:
    from fluxline.connectors.filesystem.raw_file import RawFile


class PlainReader:
    """Reads a file as it is."""

    def __init__(self, file: RawFile, position: int) -> None:
        self._file = file
        self._position = position
        self._finished = False
        if position > file.size:
            raise _expired(file, position, file.size)

    def read(self) -> Bytes | None:
        """The next bytes, or None while there are none."""
        if self._finished:
            return None
        start = self._position
        data = self._file.read(start, BLOCK_BYTES_MAX)
        self._position += len(data)
        self._finished = self._file.ended(self._position)
        return Bytes(data, start, final=self._finished) if data or self._finished else None

    def position(self) -> int:
        """Where the next read starts."""
        return self._position

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class CompressedReader:
    """Reads a compressed file.

    It is decompressed block by block, so that a small file that stands for a huge one costs no more memory than others.
    A library loses what it had decompressed in the call that meets a damage. So the reader then begins anew and feeds
    the damaged piece byte by byte: everything in front of the damage comes out, then the error.
    """

    def __init__(self, file: RawFile, kind: str, position: int) -> None:
        self._file = file
        self._kind = kind
        self._position = 0
        self._finished = False
        self._damage: DataCorrupt | None = None
        self._careful_from: int | None = None  # Compressed offset from which bytes are fed one by one.
        self._rewind()
        while self._position < position:
            skipped = len(self._produce(min(BLOCK_BYTES_MAX, position - self._position)))
            if not skipped:
                self._refuse_damage()
                raise _expired(file, position, self._position)
            self._position += skipped

    def read(self) -> Bytes | None:
        """The next bytes, or None while there are none.

        Raises:
            ExternalError: FLX-4207, the file is damaged or ends too early; all before it was given.
        """
        if self._finished:
            return None
        start = self._position
        data = self._produce(BLOCK_BYTES_MAX)
        self._position += len(data)
        if not data:
            self._refuse_damage()
            self._finished = self._file.ended(self._offset)
        return Bytes(data, start, final=self._finished) if data or self._finished else None

    def position(self) -> int:
        """Where the next read starts."""
        return self._position

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _rewind(self) -> None:
        self._stream = STREAMS[self._kind]()
        self._offset = 0  # Where the next compressed byte is read.
        self._fed_from = 0  # Where the last piece began.

    def _produce(self, count: int) -> bytes:
        """At most `count` bytes; fewer only at a damage or where the file ends now."""
        pieces: list[bytes] = []
        size = 0
        while size < count and self._damage is None:
            try:
                output = self._stream.take(count - size)
            except DataCorrupt as damage:
                if self._careful_from is not None and self._fed_from >= self._careful_from:
                    self._damage = damage
                else:
                    self._go_carefully(self._position + size)
                continue
            if output:
                pieces.append(output)
                size += len(output)
            elif not self._feed():
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _feed(self) -> bool:
        count = COMPRESSED_READ_BYTES
        if self._careful_from is not None:
            count = 1 if self._offset >= self._careful_from else min(count, self._careful_from - self._offset)
        data = self._file.read(self._offset, count)
        if not data:
            return False
        self._fed_from = self._offset
        self._offset += len(data)
        self._stream.feed(data)
        return True

    def _go_carefully(self, position: int) -> None:
        """Begin anew, and come to where the damaged piece is fed byte by byte."""
        self._careful_from = self._fed_from
        self._rewind()
        remaining = position
        try:
            while remaining:
                output = self._stream.take(min(BLOCK_BYTES_MAX, remaining))
                remaining -= len(output)
                if not output and not self._feed():
                    raise _expired(self._file, position, position - remaining)
        except DataCorrupt as damage:  # Somebody wrote into the file meanwhile.
            self._damage = damage

    def _refuse_damage(self) -> None:
        """Raise if the end that was reached is a damage."""
        if self._damage is not None:
            happened, detail = "is damaged", f"{self._kind} says: {self._damage}."
        elif self._file.ended(self._offset) and not self._stream.complete:
            happened, detail = "ends too early", f"The last {'member' if self._kind == 'gzip' else 'frame'} of the {self._kind} data is not complete."
        else:
            return
        place = f"The place is byte {self._offset} of {self._file.size}; what was in front of it, {self._position} bytes decompressed, was read."
        hint = "Fetch the file again, or cut it there."
        raise ExternalError("FLX-4207", f'"{self._file}" {happened}', detail=f"{detail} {place}", hint=hint)


def _expired(file: RawFile, position: int, length: int) -> PositionExpired:
    return PositionExpired(
        "FLX-4205",
        f'"{file}" has no position {position} any more',
        detail=f"It ends at {length}. A file that is read may only grow.",
        hint="Put the file back as it was, or start over with --fresh.",
    )
