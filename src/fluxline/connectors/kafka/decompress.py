"""The compressions and the checksum of Kafka's record batches."""

from __future__ import annotations

import sys
import zlib
from importlib import import_module
from typing import Any

from fluxline.connectors.kafka.client import extra_missing
from fluxline.limits import KAFKA_BATCH_BYTES_MAX, ZSTD_WINDOW_LOG_MAX

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_GZIP_WINDOW_BITS = 31  # 15 bits of window, and a gzip header and trailer around them.
_XERIAL = b"\x82SNAPPY\0"
"""Java's snappy puts this and two numbers in front, and each block's length in front of the block; C's gives the block alone."""
_XERIAL_HEADER = 16


def decompress(compression: int, data: bytes | memoryview) -> bytes:
    """What a batch holds, at most KAFKA_BATCH_BYTES_MAX.

    Raises:
        ValueError: the data is damaged or holds more, or the compression is none of Kafka's.
    """
    if compression == _GZIP:
        return _gzip(data)
    if compression == _ZSTD:
        return _zstd(data)
    if compression == _SNAPPY:
        return _snappy(bytes(data))
    if compression == _LZ4:
        return _lz4(data)
    raise ValueError(f"Kafka has no compression {compression}")


def crc32c(data: bytes) -> int:
    """The checksum of a batch."""
    return int(_library("google_crc32c").value(data))


def _gzip(data: bytes | memoryview) -> bytes:
    member = zlib.decompressobj(wbits=_GZIP_WINDOW_BITS)
    try:
        found = member.decompress(data, KAFKA_BATCH_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return _whole(found, ended=member.eof)


def _zstd(data: bytes | memoryview) -> bytes:
    frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})
    try:
        found = frame.decompress(data, KAFKA_BATCH_BYTES_MAX)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    return _whole(found, ended=frame.eof)


def _snappy(data: bytes) -> bytes:
    cramjam = _library("cramjam")
    if not data.startswith(_XERIAL):
        blocks = [data]
    else:
        blocks, at = [], _XERIAL_HEADER
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            blocks.append(data[at + 4 : at + 4 + size])
            at += 4 + size
    found, left = [], KAFKA_BATCH_BYTES_MAX
    for block in blocks:
        try:
            left -= cramjam.snappy.decompress_raw_len(block)
            if left < 0:
                return _whole(b"", ended=False)
            found.append(bytes(cramjam.snappy.decompress_raw(block)))
        except cramjam.DecompressionError as error:
            raise ValueError(str(error)) from error
    return b"".join(found)


def _lz4(data: bytes | memoryview) -> bytes:
    """One frame; the format cannot make more than 255 bytes of one."""
    cramjam = _library("cramjam")
    try:
        return bytes(cramjam.lz4.decompress(data))
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from error


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise extra_missing(error) from error


def _whole(found: bytes, *, ended: bool) -> bytes:
    if not ended:
        raise ValueError(f"it is cut off, or holds more than {KAFKA_BATCH_BYTES_MAX} bytes")
    return found
