"""Record batches as columns, against what another library writes; damaged ones are refused, whatever is damaged."""

from __future__ import annotations

import random
import struct
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import google_crc32c
import pytest

from fluxline.connectors.kafka.record_batches import BatchesCorrupt, Decoded, committed, read_batches

with warnings.catch_warnings():  # It reads its own files in an old way.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.record.default_records import DefaultRecordBatchBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

Record: TypeAlias = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Offset, time, key, value, headers."""

FIRST = 1_000
"""Offset of the first record."""
PLACE = {"magic": 16, "attributes": 21, "producer": 43, "count": 57}
"""Where fields of a header begin."""


def batch(records: Sequence[Record], *, producer: int = -1, transaction: bool = False, compression: int = 0) -> bytes:
    """Records, each in the offset behind the one before, as kafka-python writes them."""
    builder: Any = DefaultRecordBatchBuilder(2, compression, int(transaction), producer, 0, 0, 1 << 24)
    for number, (_offset, time, key, value, headers) in enumerate(records):
        assert builder.append(number, time, key, value, headers) is not None
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, records[0][0])  # The broker puts the offset there.
    return bytes(data)


def mark(offset: int, producer: int, kind: int) -> bytes:
    """The end of a transaction: of kind 0 for an aborted one, 1 for a committed one."""
    records: list[Record] = [(offset, 0, struct.pack(">hh", 0, kind), b"\0" * 6, [])]
    return lying({PLACE["attributes"] + 1: b"\x30", PLACE["producer"]: struct.pack(">q", producer)}, records)


def read(data: bytes) -> list[Record]:
    """The records of some batches."""
    found = Decoded(read_batches(memoryview(data)))
    keys = found.keys().to_list()
    return list(zip(found.offsets.tolist(), found.logged_ms().tolist(), keys, found.values(), found.headers(), strict=True))


def some_records(seed: int, count: int, first: int = FIRST) -> list[Record]:
    """Records with lengths on both sides of where their own length takes one byte more."""
    pick = random.Random(seed)
    lengths = [0, 1, 50, 56, 57, 58, 63, 64, 65, 8_180, 8_191, 8_192, 8_200, pick.randrange(300), pick.randrange(20_000)]
    records: list[Record] = []
    for number in range(count):
        key = pick.choice([None, b"", b"k", pick.randbytes(pick.choice(lengths))])
        headers: list[tuple[str, bytes | None]] = [
            ("ü" * pick.randrange(80), pick.choice([None, b"", b"v" * 100])) for _each in range(pick.choice([0, 0, 0, 1, 70]))
        ]
        value = pick.randbytes(pick.choice(lengths))
        records.append((first + number, 1_750_000_000_000 + pick.randrange(-(10**9), 10**9), key, value, headers))
    return records


@pytest.mark.parametrize("seed", range(5))
def test_records_come_as_they_were_written(seed: int) -> None:
    """In several batches, the second of which begins behind a gap."""
    first, second = some_records(seed, 200), some_records(seed + 100, 3, FIRST + 500)
    assert read(batch(first) + batch(second)) == first + second


def test_a_record_longer_than_a_mebibyte_comes() -> None:
    """Its length takes four bytes."""
    records: list[Record] = [(FIRST, 1, b"k", b"v" * 1_100_000, []), (FIRST + 1, 2, None, b"w", [])]
    assert read(batch(records)) == records


def test_a_record_without_a_value_is_empty() -> None:
    assert read(batch([(FIRST, 5, b"k", None, [("h", None)])])) == [(FIRST, 5, b"k", b"", [("h", None)])]


def test_a_batch_that_the_broker_timed_has_one_time() -> None:
    """It is the latest of the header; what the records say is not."""
    data = lying({PLACE["attributes"] + 1: b"\x08"}, [(FIRST, 5, None, b"a", []), (FIRST + 1, 9, None, b"b", [])])
    assert [time for _offset, time, *_rest in read(data)] == [9, 9]


def test_what_the_broker_cut_off_is_left() -> None:
    """Wherever it cut: behind the first batch, only the complete one counts."""
    one, two = some_records(1, 3), some_records(2, 2, FIRST + 3)
    whole, cut = batch(one), batch(two)
    for kept in (1, 11, 12, 60, 61, len(cut) - 1):
        assert read(whole + cut[:kept]) == one
    assert read(b"") == []


def test_records_of_aborted_transactions_are_left_out() -> None:
    """Producers 1 and 2 write at the same time; 1 aborts, then commits; a record outside any transaction stays."""
    data = b"".join(
        [
            batch([(0, 0, None, b"1 aborted", [])], producer=1, transaction=True),
            batch([(1, 0, None, b"2 committed", [])], producer=2, transaction=True),
            batch([(2, 0, None, b"outside", [])]),
            mark(3, 1, 0),
            batch([(4, 0, None, b"1 committed", [])], producer=1, transaction=True),
            mark(5, 2, 1),
            mark(6, 1, 1),
            batch([(7, 0, None, b"1 aborted again", [])], producer=1, transaction=True),
            mark(8, 1, 0),
        ]
    )
    found = committed(read_batches(memoryview(data)), [(1, 7), (1, 0)])
    assert Decoded(found).values() == [b"2 committed", b"outside", b"1 committed"]


def test_a_transaction_that_began_before_what_is_read_is_left_out() -> None:
    data = batch([(50, 0, None, b"no", [])], producer=1, transaction=True) + mark(51, 1, 0) + batch([(52, 0, None, b"yes", [])])
    assert Decoded(committed(read_batches(memoryview(data)), [(1, 20)])).values() == [b"yes"]


def test_a_batch_of_an_old_version_is_named() -> None:
    data = bytearray(batch([(FIRST, 0, None, b"v", [])]))
    data[PLACE["magic"]] = 1
    with pytest.raises(BatchesCorrupt, match="offset 1000 is in a batch of version 1"):
        read_batches(memoryview(data))


def test_damage_anywhere_is_refused() -> None:
    """Any one byte of what the checksum covers, and any of the checksum."""
    whole = batch(some_records(4, 3))
    for place in range(17, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 0x10
        with pytest.raises(BatchesCorrupt, match="another checksum"):
            read_batches(memoryview(data))


def lying(change: dict[int, bytes], records: Sequence[Record]) -> bytes:
    """A batch with bytes changed at places, and the checksum made right for them."""
    data = bytearray(batch(records))
    for place, content in change.items():
        data[place : place + len(content)] = content
    struct.pack_into(">I", data, 17, google_crc32c.value(bytes(data[21:])))
    return bytes(data)


@pytest.mark.parametrize("compression", [1, 2, 3, 4, 5])
def test_what_is_no_compressed_batch_is_named(compression: int) -> None:
    data = lying({PLACE["attributes"] + 1: bytes([compression])}, [(FIRST, 0, None, b"value", [])])
    with pytest.raises(BatchesCorrupt, match="the batch at offset 1000 cannot be decompressed"):
        read(data)


@pytest.mark.parametrize("count", [1, 2, 4, 1_000_000_000])
def test_a_count_that_is_not_true_is_refused(count: int) -> None:
    with pytest.raises(BatchesCorrupt):
        read(lying({PLACE["count"]: struct.pack(">i", count)}, some_records(3, 3)))


INSIDE: list[tuple[int, bytes, str]] = [
    (4, b"\x7e", "is shorter than what is in it"),  # a key of 63 bytes
    (6, b"\x7e", "is shorter than what is in it"),  # a value of 63 bytes
    (2, b"\xff" * 9, "has a number that does not end|ends within a number"),
]
"""Behind the header a record with a key and a value of one byte each: length, attributes, time, offset, length and key, length and value, headers."""


@pytest.mark.parametrize(("place", "content", "said"), INSIDE)
def test_a_record_that_does_not_hold_what_it_says_is_refused(place: int, content: bytes, said: str) -> None:
    records: list[Record] = [(FIRST, 0, b"k", b"v", [])]
    assert read(lying({}, records)) == records
    with pytest.raises(BatchesCorrupt, match=said):
        read(lying({61 + place: content[: len(batch(records)) - 61 - place]}, records))


def test_headers_that_do_not_fit_are_refused() -> None:
    """A header whose value says that it has 63 bytes."""
    records: list[Record] = [(FIRST, 0, b"k", b"v", [("h", b"w")])]
    whole = batch(records)
    found = Decoded(read_batches(memoryview(lying({len(whole) - 2: b"\x7e"}, records))))
    assert found.values() == [b"v"]
    with pytest.raises(BatchesCorrupt, match="a header of a record does not fit"):
        found.headers()
