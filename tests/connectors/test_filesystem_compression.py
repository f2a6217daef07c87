"""Compressed files: as their own tools read them, block by block, and to the very place of a damage."""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxline.connectors.filesystem.compression import COMPRESS, STREAMS
from fluxline.errors import ExternalError, PositionExpired
from fluxline.limits import BLOCK_BYTES_MAX
from tests.connectors.sources import files, take

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.connectors.base import PartitionReader

LINES = b"".join(b"%d\n" % number for number in range(30_000))
SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def opened(directory: Path, kind: str, data: bytes, position: int | None = None) -> PartitionReader:
    """A reader of a file with this compressed content."""
    name = "x" + SUFFIX[kind]
    (directory / name).write_bytes(data)
    return files(directory, name).open(name, position)


def until_error(reader: PartitionReader) -> tuple[bytes, ExternalError | None]:
    """All that comes, and the error behind it."""
    found = b""
    try:
        while (read := reader.read()) is not None:
            found += read.data  # type: ignore[union-attr]  # a file gives bytes
            if read.final:
                return found, None
    except ExternalError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("kind", SUFFIX)
@given(st.lists(st.binary(max_size=200), max_size=5), st.lists(st.integers(1, 60), min_size=1, max_size=20), st.integers(1, 50))
def test_members_are_one_stream_whatever_the_pieces(kind: str, contents: list[bytes], cuts: list[int], count: int) -> None:
    packed = b"".join(gzip.compress(content) if kind == "gzip" else zstd.compress(content) for content in contents)
    stream = STREAMS[kind]()
    found, start, turn = b"", 0, 0
    while True:
        output = stream.take(count)
        assert len(output) <= count
        found += output
        if output:
            continue
        if start >= len(packed):
            break
        stream.feed(packed[start : start + cuts[turn % len(cuts)]])
        start += cuts[turn % len(cuts)]
        turn += 1
    assert found == b"".join(contents)
    assert stream.complete


def test_what_other_tools_write_between_members(tmp_path: Path) -> None:
    zeros = gzip.compress(b"one\n") + bytes(700) + gzip.compress(b"two\n") + bytes(512)
    assert take(opened(tmp_path, "gzip", zeros)) == b"one\ntwo\n"
    named = gzip.compress(b"one\n")[:3] + b"\x08" + gzip.compress(b"one\n")[4:10] + b"name.txt\0" + gzip.compress(b"one\n")[10:]
    assert take(opened(tmp_path, "gzip", named)) == b"one\n"
    notes = SKIPPABLE + zstd.compress(b"one\n") + SKIPPABLE + zstd.compress(b"two\n") + SKIPPABLE
    assert take(opened(tmp_path, "zstd", notes)) == b"one\ntwo\n"


@pytest.mark.parametrize("kind", SUFFIX)
def test_an_empty_file_is_empty(tmp_path: Path, kind: str) -> None:
    assert until_error(opened(tmp_path, kind, b"")) == (b"", None)
    assert until_error(opened(tmp_path, kind, COMPRESS[kind](b""))) == (b"", None)


@pytest.mark.parametrize("kind", SUFFIX)
def test_a_cut_file_gives_what_is_whole_and_then_an_error(tmp_path: Path, kind: str) -> None:
    first, second = COMPRESS[kind](b"first\n" * 9), COMPRESS[kind](b"second\n" * 9)
    for length in range(len(first) + 1, len(first) + len(second)):
        found, error = until_error(opened(tmp_path, kind, (first + second)[:length]))
        assert found.startswith(b"first\n" * 9)
        assert (b"first\n" * 9 + b"second\n" * 9).startswith(found)
        assert error is not None, f"cut at {length}"
        assert error.code == "FLX-4207"
        assert "ends too early" in error.fact
        assert f"byte {length} of {length}" in error.detail


@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_gzip_keeps_nothing_back_when_little_is_taken(count: int) -> None:
    packed = gzip.compress(b"a" * 999 + b"b" * 700)
    for length in range(len(packed)):
        stream = STREAMS["gzip"]()
        stream.feed(packed[:length])
        found = b""
        while output := stream.take(count):
            found += output
        assert found == zlib.decompressobj(31).decompress(packed[:length]), f"cut at {length}"


def test_zeros_are_padding_only_behind_a_member(tmp_path: Path) -> None:
    found, error = until_error(opened(tmp_path, "gzip", bytes(1_000)))
    assert found == b""
    assert error is not None
    assert error.code == "FLX-4207"


def test_gzip_gives_all_that_can_be_had_in_front_of_a_cut(tmp_path: Path) -> None:
    packed = gzip.compress(LINES)[:-5_000]
    found, error = until_error(opened(tmp_path, "gzip", packed))
    assert found == zlib.decompressobj(31).decompress(packed)
    assert len(found) > 100_000
    assert error is not None


@pytest.mark.parametrize("kind", SUFFIX)
def test_a_damage_gives_all_in_front_of_it_and_its_place(tmp_path: Path, kind: str) -> None:
    parts = [COMPRESS[kind](LINES[start : start + 40_000]) for start in range(0, 120_000, 40_000)]
    header = bytes(8)
    at = len(parts[0]) + len(parts[1])
    found, error = until_error(opened(tmp_path, kind, parts[0] + parts[1] + header + parts[2]))
    if kind == "gzip":  # Zeros are padding there; they must stand in front of something that is no member.
        assert (found, error) == (LINES[:120_000], None)
        found, error = until_error(opened(tmp_path, kind, parts[0] + parts[1] + b"\x1f\x8c" + parts[2]))
    assert found == LINES[:80_000]
    assert error is not None
    assert error.code == "FLX-4207"
    assert "is damaged" in error.fact
    place = int(error.detail.split("The place is byte ")[1].split()[0])
    assert at < place <= at + 8
    assert "80000 bytes decompressed" in error.detail


@pytest.mark.parametrize("kind", SUFFIX)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.999])
def test_a_flipped_byte_is_found_by_the_checksum(tmp_path: Path, kind: str, share: float) -> None:
    packed = bytearray(COMPRESS[kind](LINES))
    packed[int(len(packed) * share)] ^= 0x55
    _, error = until_error(opened(tmp_path, kind, bytes(packed)))
    assert error is not None
    assert error.code == "FLX-4207"


def test_what_is_not_compressed_at_all(tmp_path: Path) -> None:
    for kind in SUFFIX:
        found, error = until_error(opened(tmp_path, kind, b'{"a": 1}\n' * 100))
        assert found == b""
        assert error is not None
        assert error.code == "FLX-4207"


@pytest.mark.parametrize("kind", SUFFIX)
def test_resumed_in_front_of_a_damage(tmp_path: Path, kind: str) -> None:
    packed = COMPRESS[kind](LINES) + b"junk that is no member"
    found, error = until_error(opened(tmp_path, kind, packed, len(LINES) - 10))
    assert found == LINES[-10:]
    assert error is not None
    with pytest.raises(ExternalError) as caught:
        opened(tmp_path, kind, packed, len(LINES) + 10)
    assert caught.value.code == "FLX-4207"


@pytest.mark.parametrize("kind", SUFFIX)
def test_a_position_behind_the_end_has_expired(tmp_path: Path, kind: str) -> None:
    with pytest.raises(PositionExpired) as caught:
        opened(tmp_path, kind, COMPRESS[kind](LINES), len(LINES) + 1)
    assert caught.value.code == "FLX-4205"


@pytest.mark.parametrize("kind", SUFFIX)
def test_a_bomb_comes_in_blocks(tmp_path: Path, kind: str) -> None:
    packed = COMPRESS[kind](bytes(64 * BLOCK_BYTES_MAX))
    assert len(packed) < 100_000
    reader = opened(tmp_path, kind, packed)
    sizes = []
    while (read := reader.read()) is not None:
        sizes.append(len(read.data))  # type: ignore[union-attr]  # a file gives bytes
        if read.final:
            break
    assert max(sizes) == BLOCK_BYTES_MAX
    assert sum(sizes) == 64 * BLOCK_BYTES_MAX


def test_a_frame_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28})
    packed = compressor.compress(LINES) + compressor.flush()
    found, error = until_error(opened(tmp_path, "zstd", packed))
    assert found == b""
    assert error is not None
    assert "memory" in error.detail


@pytest.mark.parametrize("kind", SUFFIX)
def test_a_followed_file_waits_for_the_rest_of_a_member(tmp_path: Path, kind: str) -> None:
    name = "x" + SUFFIX[kind]
    first, second = COMPRESS[kind](b"1\n2\n"), COMPRESS[kind](b"3\n")
    (tmp_path / name).write_bytes(first + second[:7])
    reader = files(tmp_path, name, follow=True).open(name, None)
    assert take(reader) == b"1\n2\n"
    assert reader.read() is None
    with (tmp_path / name).open("ab") as file:
        file.write(second[7:])
    assert take(reader) == b"3\n"
    assert files(tmp_path, name, follow=True).open(name, 4).read().data == b"3\n"  # type: ignore[union-attr]  # it is there


def test_compression_by_option_goes_before_the_name(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(gzip.compress(b"1\n"))
    (tmp_path / "plain.gz").write_bytes(b"2\n")
    assert take(files(tmp_path, "packed", compression="gzip").open("packed", None)) == b"1\n"
    assert take(files(tmp_path, "plain.gz", compression="none").open("plain.gz", None)) == b"2\n"
