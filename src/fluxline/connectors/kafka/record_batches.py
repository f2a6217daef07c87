"""Kafka's record batches as columns, without an object for each record.

A batch is a header of fixed length and records one behind the other, each with its length in front, as a whole (magic 2;
https://kafka.apache.org/documentation/#recordbatch). Numbers in a record have variable length and are zigzag, and a record in a batch is written
as Avro writes a value of type `bytes`. So the records of a batch are a block of an Avro file, and Polars, which reads those, finds
where each begins; numpy does the rest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fluxline.connectors.kafka.decompress import crc32c, decompress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Int64s

    Bytes8 = np.ndarray[tuple[int], np.dtype[np.uint8]]

_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FROM = 12  # The length of a batch counts what is behind the length itself.
_CHECKED_FROM = 21  # So does its checksum.
_MAGIC = 2
_COMPRESSION, _LOG_TIME, _TRANSACTION, _CONTROL = 0x07, 0x08, 0x10, 0x20
_CONTROL_KEY = struct.Struct(">hh")
_ABORT = 0
_SYNC = bytes(16)  # Behind each block; a number that a damaged record ends with is read into it, and then refused.
_SCHEMA = b'{"type": "record", "name": "r", "fields": [{"name": "r", "type": "bytes"}]}'
_VARINT_BITS = 7
_VARINT_ALL_BITS = 63


class BatchesCorrupt(Exception):
    """The bytes are no record batches, or of a version that is not read; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A batch of which only the header was read.

    Attributes:
        first: offset of its first record.
        next: the offset behind it.
        attributes: flags of the header.
        times_ms: of its first record, and its latest.
        producer: the id of who wrote it.
        count: records.
        body: the records, maybe compressed.
    """

    first: int
    next: int
    attributes: int
    times_ms: tuple[int, int]
    producer: int
    count: int
    body: bytes | memoryview


def read_batches(data: memoryview) -> list[RecordBatch]:
    """The complete batches in an answer; a broker cuts the last one off where the answer is full.

    Raises:
        BatchesCorrupt: there is something else, or a batch is not as it was written.
    """
    found, at = [], 0
    while at + _HEADER.size <= len(data):
        header = _HEADER.unpack_from(data, at)
        first, length, _epoch, magic, checksum, attributes, last, first_ms, latest_ms, producer, _producer_epoch, _sequence, count = header
        if magic != _MAGIC:
            raise BatchesCorrupt(f"offset {first} is in a batch of version {magic}, which Kafka wrote before 0.11")
        stop = at + _LENGTH_FROM + length
        if stop < at + _HEADER.size or count < 0 or last < 0:
            raise BatchesCorrupt(f"the header of the batch at offset {first} is damaged")
        if stop > len(data):
            break
        if crc32c(bytes(data[at + _CHECKED_FROM : stop])) != checksum:
            raise BatchesCorrupt(f"the batch at offset {first} has another checksum than its header says")
        found.append(RecordBatch(first, first + last + 1, attributes, (first_ms, latest_ms), producer, count, data[at + _HEADER.size : stop]))
        at = stop
    return found


def committed(batches: Sequence[RecordBatch], aborted: Sequence[tuple[int, int]]) -> list[RecordBatch]:
    """The batches with records that count: no marks of transactions, and nothing of an aborted one.

    Args:
        batches: in the order of their offsets.
        aborted: of each aborted transaction among them, the id of its producer and its first offset.
    """
    waiting = sorted(aborted, key=lambda each: each[1])
    open_ids: set[int] = set()
    found = []
    for batch in batches:
        while waiting and waiting[0][1] < batch.next:
            open_ids.add(waiting.pop(0)[0])
        if batch.attributes & _CONTROL:
            if batch.producer in open_ids and _is_abort(batch):
                open_ids.remove(batch.producer)
        elif batch.count and not (batch.attributes & _TRANSACTION and batch.producer in open_ids):
            found.append(batch)
    return found


def _is_abort(batch: RecordBatch) -> bool:
    (key,) = Decoded([batch]).keys().to_list()
    return bool(key and _CONTROL_KEY.unpack_from(key)[1] == _ABORT)


class Decoded:
    """The records of some batches.

    Raises:
        BatchesCorrupt: lengths do not fit to one another.
    """

    def __init__(self, batches: Sequence[RecordBatch]) -> None:
        self._batches = batches
        self._file, blocks = _avro_file(batches)
        self._records = _read_avro(self._file, batches)
        self._bytes = np.frombuffer(self._file, np.uint8)
        lengths = self._records.bin.size().to_numpy().astype(np.int64)
        prefixes = 1 + (lengths >= 1 << 6) + (lengths >= 1 << 13) + (lengths >= 1 << 20) + (lengths >= 1 << 27)
        ends = np.cumsum(lengths + prefixes)
        counts = [batch.count for batch in batches]
        behind = ends[np.cumsum(counts) - 1] if counts else ends  # What the records of each batch and of those before it take.
        before = np.concatenate([np.zeros(1, np.int64), behind[:-1]]) if counts else ends
        if (behind - before != [stop - start for start, stop in blocks]).any():
            raise BatchesCorrupt(f"the records at or behind offset {batches[0].first} are not as long as their batch")
        self._stops = ends + self._each(np.array([start for start, _stop in blocks], dtype=np.int64) - before)
        self._starts = self._stops - lengths
        self._delays, at = self._numbers(self._starts + 1)  # Behind a byte of attributes, which has no meaning yet.
        self._deltas, at = self._numbers(at)
        self._key, at = self._field(at)
        self._value, self._behind = self._field(at)

    @cached_property
    def offsets(self) -> Int64s:
        """Of each record, int64 of shape (n,)."""
        return self._each([batch.first for batch in self._batches]) + self._deltas

    def logged_ms(self) -> Int64s:
        """When each was written, or logged, in ms."""
        first, latest = (self._each([batch.times_ms[which] for batch in self._batches]) for which in (0, 1))
        by_broker = self._each([batch.attributes & _LOG_TIME for batch in self._batches]) != 0
        return np.where(by_broker, latest, first + self._delays)

    def values(self) -> list[bytes]:
        """Of each record; empty where it has none."""
        start, length = self._value
        return self._part(start, np.maximum(length, 0)).to_list()

    def keys(self) -> pl.Series:
        """Of each record, or null; a Series of Binary."""
        start, length = self._key
        found = self._part(start, np.maximum(length, 0))
        return pl.select(pl.when(pl.Series(length >= 0)).then(found)).to_series()

    def headers(self) -> list[list[tuple[str, bytes | None]]]:
        """Of each record, in their order.

        Raises:
            BatchesCorrupt: they do not fit into their record.
        """
        counts, at = self._numbers(self._behind)
        found: list[list[tuple[str, bytes | None]]] = [[] for _count in range(len(counts))]
        for number in np.flatnonzero(counts).tolist():
            found[number] = _headers(self._file[: self._stops[number]], int(at[number]), int(counts[number]))
        return found

    def _each(self, of_batches: list[int] | Int64s) -> Int64s:
        return np.repeat(np.asarray(of_batches, dtype=np.int64), [batch.count for batch in self._batches])

    def _part(self, start: Int64s, length: Int64s) -> pl.Series:
        frame = pl.DataFrame({"record": self._records, "start": start - self._starts, "length": length})
        return frame.select(pl.col("record").bin.slice(pl.col("start"), pl.col("length"))).to_series()

    def _field(self, at: Int64s) -> tuple[tuple[Int64s, Int64s], Int64s]:
        """A length, negative for nothing, and so many bytes: where they begin, how many they are, and what is behind them."""
        length, start = self._numbers(at)
        stop = start + np.maximum(length, 0)
        if (stop > self._stops).any() or (stop < start).any():
            raise BatchesCorrupt(f"a record at or behind offset {self._batches[0].first} is shorter than what is in it")
        return (start, length), stop

    def _numbers(self, at: Int64s) -> tuple[Int64s, Int64s]:
        """The zigzag numbers of variable length at these places, and what is behind each."""
        last = self._bytes[at]
        value, at = (last & 0x7F).astype(np.int64), at + 1
        longer, shift = np.flatnonzero(last & 0x80), _VARINT_BITS
        while len(longer):
            if shift > _VARINT_ALL_BITS:
                raise BatchesCorrupt(f"a record at or behind offset {self._batches[0].first} has a number that does not end")
            last = self._bytes[at[longer]]
            value[longer] |= (last & 0x7F).astype(np.int64) << shift
            at[longer] += 1
            longer, shift = longer[(last & 0x80) != 0], shift + _VARINT_BITS
        if (at > self._stops).any():
            raise BatchesCorrupt(f"a record at or behind offset {self._batches[0].first} ends within a number")
        return (value >> 1) & 0x7FFF_FFFF_FFFF_FFFF ^ -(value & 1), at


def _plain(batch: RecordBatch) -> bytes | memoryview:
    compression = batch.attributes & _COMPRESSION
    if compression == 0:
        return batch.body
    try:
        return decompress(compression, batch.body)
    except ValueError as error:
        raise BatchesCorrupt(f"the batch at offset {batch.first} cannot be decompressed: {error}") from error


def _avro_file(batches: Sequence[RecordBatch]) -> tuple[bytes, list[tuple[int, int]]]:
    """A file with a block for each batch, and where the records of each begin and end in it."""
    file: list[bytes | memoryview] = [_FILE_HEADER]
    blocks, at = [], len(_FILE_HEADER)
    for batch in batches:
        body = _plain(batch)
        prefix = _number(batch.count) + _number(len(body))
        blocks.append((at + len(prefix), at + len(prefix) + len(body)))
        file += [prefix, body, _SYNC]
        at = blocks[-1][1] + len(_SYNC)
    return b"".join(file), blocks


def _read_avro(file: bytes, batches: Sequence[RecordBatch]) -> pl.Series:
    """The records, without the length in front of each, as a Series of Binary."""
    if not batches:
        return pl.Series([], dtype=pl.Binary)
    try:
        records = pl.read_avro(BytesIO(file)).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BatchesCorrupt(f"the lengths of records are wrong at or behind offset {batches[0].first}: {error}") from error
    if len(records) != sum(batch.count for batch in batches):
        raise BatchesCorrupt(f"there are fewer records at or behind offset {batches[0].first} than their batch says")
    return records


def _number(value: int) -> bytes:
    """A number as Avro writes it; no negative one is needed."""
    value, found = value << 1, bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= _VARINT_BITS
    return bytes([*found, value])


def _text(value: bytes) -> bytes:
    return _number(len(value)) + value


_FILE_HEADER = b"Obj\x01" + _number(1) + _text(b"avro.schema") + _text(_SCHEMA) + _number(0) + _SYNC


def _headers(data: bytes, at: int, count: int) -> list[tuple[str, bytes | None]]:
    found = []
    for _header in range(count):
        key, at = _sized(data, at)
        value, at = _sized(data, at)
        found.append(((key or b"").decode("utf-8", "replace"), value))
    return found


def _sized(data: bytes, at: int) -> tuple[bytes | None, int]:
    value = shift = 0
    try:
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += _VARINT_BITS
            if not byte & 0x80:
                break
    except IndexError as error:
        raise BatchesCorrupt("a header of a record does not fit into it") from error
    length = value >> 1 ^ -(value & 1)
    if length < 0:
        return None, at
    if at + length > len(data):
        raise BatchesCorrupt("a header of a record does not fit into it")
    return data[at : at + length], at + length
