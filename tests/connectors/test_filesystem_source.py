"""Reading files: whole, from a position on, while they grow, and while somebody does to them what should not be done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fluxline.connectors.base import Bytes
from fluxline.errors import ExternalError, PositionExpired, Unauthorized
from fluxline.limits import BLOCK_BYTES_MAX
from tests.connectors.sources import files, take

LINES = b"".join(b"%d\n" % number for number in range(400_000))


def test_a_file_comes_in_blocks_and_the_last_one_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(LINES)
    reader = files(tmp_path, "x").open("x", None)
    reads: list[Bytes] = []
    while not reads or not reads[-1].final:
        read = reader.read()
        assert isinstance(read, Bytes)
        reads.append(read)
    assert b"".join(read.data for read in reads) == LINES
    assert [len(read.data) for read in reads[:-1]] == [BLOCK_BYTES_MAX, BLOCK_BYTES_MAX]
    assert [read.start for read in reads] == [0, BLOCK_BYTES_MAX, 2 * BLOCK_BYTES_MAX]


def test_an_empty_file_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    reader = files(tmp_path, "x").open("x", None)
    assert reader.read() == Bytes(b"", 0, final=True)


def test_a_bounded_source_ends_where_the_files_ended_when_they_were_opened(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1\n2\n")
    for options in ({}, {"follow": True, "bounded": True}):
        source = files(tmp_path, "x", **options)
        assert source.bounded
        assert source.partitions() == ("x",)
        reader = source.open("x", None)
        with path.open("ab") as file:
            file.write(b"3\n")
        (tmp_path / "y").write_bytes(b"late")
        assert source.partitions() == ("x",)
        assert reader.read() == Bytes(b"1\n2\n", 0, final=True)
        path.write_bytes(b"1\n2\n")


def test_a_followed_file_gives_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1\n2")
    source = files(tmp_path, "x", follow=True)
    assert not source.bounded
    reader = source.open("x", 1)
    assert reader.read() == Bytes(b"\n2", 1)
    assert reader.read() is None
    assert reader.read() is None
    with path.open("ab") as file:
        file.write(b"0\n30\n")
    assert reader.read() == Bytes(b"0\n30\n", 3)
    assert reader.read() is None
    assert reader.position() == 8


def test_followed_files_at_their_end_hold_no_descriptors(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}").write_bytes(b"x\n")
    source = files(tmp_path, ".", follow=True)
    readers = [source.open(name, None) for name in source.partitions()]
    for reader in readers:
        assert take(reader) == b"x\n"
    held = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}  # noqa: PTH208  # numbers, not paths
    assert not any(name.startswith(str(tmp_path)) for name in held)
    (tmp_path / "07").write_bytes(b"x\ny\n")
    assert [take(reader) for reader in readers] == [b"y\n" if number == 7 else b"" for number in range(50)]


def test_a_followed_directory_gives_new_files(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    source = files(tmp_path, ".", follow=True)
    assert source.partitions() == ("b",)
    (tmp_path / "a").write_bytes(b"new")
    assert source.partitions() == ("a", "b")
    (tmp_path / "b").unlink()
    assert source.partitions() == ("a", "b")  # A name that was returned once stays.


def shorten(path: Path) -> None:
    path.write_bytes(b"1\n")


def vanish(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.write_bytes(b"1\n2\n3\n")


def replace_by_as_much(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.write_bytes(b"5\n6\n")


@pytest.mark.parametrize("what", [shorten, vanish, replace, replace_by_as_much])
def test_a_followed_file_may_only_grow(tmp_path: Path, what: object) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1\n2\n")
    reader = files(tmp_path, "x", follow=True).open("x", None)
    assert take(reader) == b"1\n2\n"
    assert callable(what)
    what(path)
    with pytest.raises(ExternalError) as caught:
        reader.read()
    assert caught.value.code == "FLX-4206"
    assert str(path) in caught.value.fact


def test_a_bounded_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(LINES)
    reader = files(tmp_path, "x").open("x", None)
    assert reader.read() is not None
    path.write_bytes(LINES[:500_000])
    with pytest.raises(ExternalError) as caught:
        reader.read()
    assert caught.value.code == "FLX-4206"


def test_a_bounded_file_that_is_deleted_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(LINES)
    reader = files(tmp_path, "x").open("x", None)
    first = reader.read()
    assert isinstance(first, Bytes)
    path.unlink()
    assert first.data + take(reader) == LINES


@pytest.mark.parametrize("follow", [False, True])
def test_a_position_behind_the_end_has_expired(tmp_path: Path, follow: bool) -> None:
    (tmp_path / "x").write_bytes(b"1\n2\n")
    with pytest.raises(PositionExpired) as caught:
        files(tmp_path, "x", follow=follow).open("x", 5)
    assert caught.value.code == "FLX-4205"
    assert files(tmp_path, "x").open("x", 4).read() == Bytes(b"", 4, final=True)


def test_a_saved_partition_whose_file_is_gone_has_expired(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1\n")
    (tmp_path / "y").write_bytes(b"1\n")
    source = files(tmp_path, ".")
    assert source.partitions() == ("x", "y")
    (tmp_path / "y").unlink()
    for name in ("y", "z", "../x"):
        with pytest.raises(PositionExpired) as caught:
            source.open(name, 2)
        assert caught.value.code == "FLX-4205"
        assert name.removeprefix("../") in caught.value.fact


def test_refusals_of_the_operating_system_are_errors_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"1\n")
    source = files(tmp_path, "x")
    reader = source.open("x", None)
    refused = OSError(errno.EIO, "Input/output error")

    def fail(*_arguments: object) -> object:
        raise refused

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(ExternalError) as caught:
        reader.read()
    assert caught.value.code == "FLX-4203"
    assert "Input/output error" in caught.value.detail
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(Unauthorized) as denied:
        source.open("x", None)
    assert denied.value.code == "FLX-4202"
