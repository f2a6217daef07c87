"""gzip and zstd, piece by piece: rows of members or frames are one stream, as their own tools read them."""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

from fluxline.limits import ZSTD_WINDOW_LOG_MAX

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

GZIP_WINDOW_BITS = 31  # 15 bits of window, and a gzip header and trailer around them.


class DataCorrupt(Exception):
    """The bytes are no such compressed data; the text is the library's own."""


class GzipStream:
    """Decompresses gzip members that follow one another."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._input = b""
        self._more = False

    @property
    def complete(self) -> bool:
        """Whether what was fed ends at the end of a member."""
        return self._member is None and not self._input

    def feed(self, data: bytes) -> None:
        """Give the next compressed bytes; only when `take` had nothing more."""
        assert not self._input, "input is left"
        self._input = data

    def take(self, count: int) -> bytes:
        """At most `count` decompressed bytes; none when more input is needed.

        Raises:
            DataCorrupt: the input is damaged.
        """
        while True:
            if self._member is None:
                if self._members:  # Behind a member gzip passes over zeros: tapes pad with them.
                    self._input = self._input.lstrip(b"\0")
                if not self._input:
                    return b""
                self._member = zlib.decompressobj(wbits=GZIP_WINDOW_BITS)
                self._members += 1
            elif not self._input and not self._more:
                return b""
            try:
                output = self._member.decompress(self._input, count)
            except zlib.error as error:
                raise DataCorrupt(str(error)) from error
            self._more = len(output) == count  # The library may hold more that fitted not.
            if self._member.eof:
                self._input, self._member, self._more = self._member.unused_data, None, False
            else:
                self._input = self._member.unconsumed_tail
            if output:
                return output


class ZstdStream:
    """Decompresses zstd frames that follow one another; skippable frames give nothing."""

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None
        self._input = b""

    @property
    def complete(self) -> bool:
        """Whether what was fed ends at the end of a frame."""
        return self._frame is None and not self._input

    def feed(self, data: bytes) -> None:
        """Give the next compressed bytes; only when `take` had nothing more."""
        assert not self._input, "input is left"
        self._input = data

    def take(self, count: int) -> bytes:
        """At most `count` decompressed bytes; none when more input is needed.

        Raises:
            DataCorrupt: the input is damaged.
        """
        while True:
            if self._frame is None:
                if not self._input:
                    return b""
                self._frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})
            elif not self._input and self._frame.needs_input:
                return b""
            try:
                output = self._frame.decompress(self._input, count)
            except zstd.ZstdError as error:
                raise DataCorrupt(str(error)) from error
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
            if output:
                return output


STREAMS: dict[str, Callable[[], GzipStream | ZstdStream]] = {"gzip": GzipStream, "zstd": ZstdStream}


def compress_gzip(data: bytes) -> bytes:
    """One gzip member without name and time, so that equal rows give equal bytes."""
    compressor = zlib.compressobj(wbits=GZIP_WINDOW_BITS)
    return compressor.compress(data) + compressor.flush()


def compress_zstd(data: bytes) -> bytes:
    """One zstd frame that carries its checksum."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "gzip": compress_gzip, "zstd": compress_zstd}
