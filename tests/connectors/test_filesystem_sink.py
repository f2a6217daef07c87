"""Writing files: where rows go, whose files are touched, and what a full disk or a crash leaves."""

from __future__ import annotations

import errno
import gzip
import itertools
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fluxline.connectors.filesystem import CONNECTOR
from fluxline.connectors.filesystem.sink import FilesystemSink
from fluxline.errors import ConfigError, DiskFull, ExternalError, FluxlineError, RecoveryError, ResourceBusy
from fluxline.limits import WRITE_BUFFER_BYTES_MAX
from tests.connectors.lines import numbers, sink_context
from tests.connectors.sources import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fluxline.connectors.base import SinkContext

TEN = b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def write(sink: FilesystemSink, context: SinkContext, first: int, stop: int) -> None:
    batch = numbers(first, stop)
    assert context.encoder is not None
    assert sink.write(batch, context.encoder.encode(batch)).acknowledged == stop - first


def stopped(context: SinkContext, first: int, stop: int) -> SinkContext:
    """Write rows and stop; the context of the run that continues."""
    sink = FilesystemSink(context)
    write(sink, context, first, stop)
    receipt = sink.prepare(1)
    sink.commit(receipt)
    sink.close()
    return replace(context, receipt=dict(receipt), fresh=False)


def test_a_path_with_a_suffix_is_a_file_and_its_directory_is_made(tmp_path: Path) -> None:
    context = stopped(sink_context(tmp_path, {"path": "deep/er/out.ndjson"}), 0, 10)
    assert (tmp_path / "deep/er/out.ndjson").read_bytes() == TEN
    assert sorted(os.listdir(tmp_path / "deep/er")) == [".out.ndjson.fluxline.json", "out.ndjson"]  # noqa: PTH208  # names
    assert context.receipt == {"format": 1, "files": {"out.ndjson": 20}}


@pytest.mark.parametrize("path", ["out", "out/", "out.d/"])
def test_other_paths_are_directories(tmp_path: Path, path: str) -> None:
    context = stopped(sink_context(tmp_path, {"path": path, "part_suffix": ".ndjson"}), 0, 10)
    assert (tmp_path / path / "part-000000.ndjson").read_bytes() == TEN
    assert (tmp_path / path / "_fluxline.json").exists()
    assert context.receipt == {"format": 1, "files": {"part-000000.ndjson": 20}}
    assert list(files(tmp_path, path).partitions()) == ["part-000000.ndjson"]


def test_what_is_there_decides_before_the_suffix_does(tmp_path: Path) -> None:
    (tmp_path / "out.d").mkdir()
    (tmp_path / "out").touch()
    stopped(sink_context(tmp_path, {"path": "out.d"}), 0, 10)
    stopped(sink_context(tmp_path, {"path": "out"}), 0, 10)
    assert (tmp_path / "out.d" / "part-000000").read_bytes() == TEN
    assert (tmp_path / "out").read_bytes() == TEN


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "*.ndjson"}, "pattern"),
        ({"path": "/dev/null"}, "/dev/null"),
        ({"path": "out.ndjson", "follow": True}, "follow"),
        ({"path": "out.ndjson", "part_suffix": ".gz"}, "part_suffix"),
        ({"path": "out.ndjson", "part_bytes_max": 2**21}, "part_bytes_max"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FilesystemSink(sink_context(tmp_path, options))
    assert caught.value.code == "FLX-1106"
    assert said in caught.value.fact


def test_rows_wait_in_memory_and_are_visible_after_a_flush(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    sink = FilesystemSink(context)
    write(sink, context, 0, 10)
    assert (tmp_path / "out.ndjson").read_bytes() == b""
    sink.flush()
    assert (tmp_path / "out.ndjson").read_bytes() == TEN
    write(sink, context, 10, 200_000)
    assert (tmp_path / "out.ndjson").stat().st_size == 1_288_890  # More than the buffer takes: 10 of 2 bytes, 90 of 3, ... 100,000 of 7.
    sink.close()


def test_no_rows_leave_an_empty_file(tmp_path: Path) -> None:
    context = stopped(sink_context(tmp_path, {"path": "out.ndjson"}), 0, 0)
    assert (tmp_path / "out.ndjson").read_bytes() == b""
    assert context.receipt == {"format": 1, "files": {"out.ndjson": 0}}
    context = stopped(sink_context(tmp_path, {"path": "parts/"}), 0, 0)
    assert context.receipt == {"format": 1, "files": {}}


def test_a_heading_opens_each_file_once(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out.csv"}, heading=b"number\n")
    context = stopped(stopped(stopped(context, 0, 0), 0, 5), 5, 10)
    assert (tmp_path / "out.csv").read_bytes() == b"number\n" + TEN
    context = sink_context(tmp_path, {"path": "parts", "part_bytes_max": WRITE_BUFFER_BYTES_MAX}, heading=b"number\n")
    stopped(stopped(context, 0, 200_000), 200_000, 400_000)
    for part in ("part-000000", "part-000001"):
        data = (tmp_path / "parts" / part).read_bytes()
        assert data.startswith(b"number\n")
        assert data.count(b"number") == 1


def test_a_directory_begins_the_next_file_when_one_is_long_enough(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out", "part_suffix": ".txt", "part_bytes_max": WRITE_BUFFER_BYTES_MAX})
    context = stopped(context, 0, 200_000)  # 1,288,890 bytes: longer than a part, in one write.
    context = stopped(context, 200_000, 200_001)
    context = stopped(context, 200_001, 200_002)
    assert context.receipt == {"format": 1, "files": {"part-000000.txt": 1_288_890, "part-000001.txt": 14}}
    assert (tmp_path / "out" / "part-000001.txt").read_bytes() == b"200000\n200001\n"


def test_a_crash_behind_a_new_file_takes_it_back(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out", "part_bytes_max": WRITE_BUFFER_BYTES_MAX})
    context = stopped(context, 0, 10)
    sink = FilesystemSink(context)
    write(sink, context, 10, 300_000)
    write(sink, context, 300_000, 300_001)
    sink.prepare(2)  # A stop that was not committed.
    sink.close()
    assert sorted(path.name for path in (tmp_path / "out").glob("part*")) == ["part-000000", "part-000001"]
    stopped(context, 10, 11)
    assert [path.name for path in (tmp_path / "out").glob("part*")] == ["part-000000"]
    assert (tmp_path / "out" / "part-000000").read_bytes() == TEN + b"10\n"


def test_compressed_files_grow_by_members_and_each_length_is_a_valid_file(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson.gz"})
    sink = FilesystemSink(context)
    lengths = []
    for number in range(5):
        write(sink, context, number * 2, number * 2 + 2)
        sink.flush()
        lengths.append((tmp_path / "out.ndjson.gz").stat().st_size)
    sink.close()
    data = (tmp_path / "out.ndjson.gz").read_bytes()
    assert [gzip.decompress(data[:length]) for length in lengths] == [TEN[: 4 * count] for count in range(1, 6)]


def foreign(path: Path) -> None:
    """A file that nobody of ours wrote."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious\n")


@pytest.mark.parametrize("path", ["out.ndjson", "out/"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path, path: str, fresh: bool) -> None:
    context = replace(sink_context(tmp_path, {"path": path}), fresh=fresh)
    target = tmp_path / path if path == "out.ndjson" else tmp_path / path / "part-000000"
    foreign(target)
    for receipt in (None, {"format": 1, "files": {}}, {"format": 1, "files": {target.name: 3}}):
        with pytest.raises(RecoveryError) as caught:
            FilesystemSink(replace(context, receipt=receipt))
        assert caught.value.code == ("FLX-5101" if receipt is None or fresh else "FLX-5102")
        assert caught.value.hint
        assert target.read_bytes() == b"precious\n"
        assert sorted(item.name for item in target.parent.iterdir()) == [target.name]
    assert list(CONNECTOR.clears(context)) == []


def test_other_files_of_a_directory_stay_as_they_are(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out/"})
    foreign(tmp_path / "out" / "notes.txt")
    foreign(tmp_path / "out" / "part-1")
    stopped(context, 0, 10)
    stopped(replace(context, run_id="run-2", fresh=True), 0, 10)
    assert (tmp_path / "out" / "notes.txt").read_bytes() == b"precious\n"
    assert (tmp_path / "out" / "part-1").read_bytes() == b"precious\n"


def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out.ndjson").touch()
    stopped(sink_context(tmp_path, {"path": "out.ndjson"}), 0, 10)
    assert (tmp_path / "out.ndjson").read_bytes() == TEN


@pytest.mark.parametrize("path", ["out.ndjson", "out/"])
def test_rows_of_an_earlier_run_are_cleared_only_on_request(tmp_path: Path, path: str) -> None:
    context = sink_context(tmp_path, {"path": path})
    stopped(context, 0, 50)
    target = tmp_path / path if path == "out.ndjson" else tmp_path / path / "part-000000"
    with pytest.raises(RecoveryError) as caught:
        FilesystemSink(replace(context, run_id="run-2"))
    assert caught.value.code == "FLX-5101"
    assert target.name in caught.value.fact
    assert "--fresh" in caught.value.hint
    assert target.stat().st_size == 140
    shown = str(tmp_path / path.rstrip("/"))
    assert list(CONNECTOR.clears(context)) == [f'{"file" if path == "out.ndjson" else "1 file in"} "{shown}", 140 bytes']
    stopped(replace(context, run_id="run-2", fresh=True), 0, 10)
    assert target.read_bytes() == TEN


@pytest.mark.parametrize("path", ["out.ndjson", "out/"])
def test_rows_of_this_run_that_no_stop_covers_are_written_again(tmp_path: Path, path: str) -> None:
    context = sink_context(tmp_path, {"path": path})
    stopped(context, 0, 50)
    stopped(context, 0, 10)  # the same run, from the beginning: it crashed before its first stop
    target = tmp_path / path if path == "out.ndjson" else tmp_path / path / "part-000000"
    assert target.read_bytes() == TEN


def test_rows_of_another_sink_are_not_cleared_even_on_request(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    stopped(context, 0, 10)
    with pytest.raises(RecoveryError) as caught:
        FilesystemSink(replace(context, name="alerts", fresh=True))
    assert caught.value.code == "FLX-5101"
    assert '"numbers"' in caught.value.fact
    assert (tmp_path / "out.ndjson").read_bytes() == TEN
    assert list(CONNECTOR.clears(replace(context, name="alerts"))) == []


def test_files_that_are_not_as_they_were_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    context = stopped(sink_context(tmp_path, {"path": "out.ndjson"}), 0, 10)
    path.write_bytes(TEN[:-1])
    with pytest.raises(RecoveryError, match="has 19 bytes, and had 20") as shorter:
        FilesystemSink(context)
    path.unlink()
    with pytest.raises(RecoveryError, match="is gone, and had 20") as gone:
        FilesystemSink(context)
    path.write_bytes(TEN)
    with pytest.raises(RecoveryError, match="not those of the run") as other_run:
        FilesystemSink(replace(context, run_id="run-2"))
    with pytest.raises(RecoveryError, match="the sink now writes to") as other_path:
        FilesystemSink(
            replace(context, options=sink_context(tmp_path, {"path": "new.ndjson"}).options, receipt={"format": 1, "files": {"out.ndjson": 0}})
        )
    assert {caught.value.code for caught in (shorter, gone, other_run, other_path)} == {"FLX-5102"}
    assert path.read_bytes() == TEN


@pytest.mark.parametrize(
    ("receipt", "code"),
    [
        ({}, "FLX-5002"),
        ({"format": 1}, "FLX-5002"),
        ({"format": 1, "files": {"out.ndjson": -1}}, "FLX-5002"),
        ({"format": 1, "files": {"out.ndjson": "20"}}, "FLX-5002"),
        ({"format": 2, "files": {}}, "FLX-5001"),
        ({"format": 1, "files": {"../out.ndjson": 0}}, "FLX-5102"),
    ],
)
def test_a_receipt_is_not_trusted(tmp_path: Path, receipt: dict[str, object], code: str) -> None:
    context = stopped(sink_context(tmp_path, {"path": "out.ndjson"}), 0, 10)
    with pytest.raises(RecoveryError) as caught:
        FilesystemSink(replace(context, receipt=receipt))
    assert caught.value.code == code
    assert (tmp_path / "out.ndjson").read_bytes() == TEN


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"format": 7, "sink": "numbers", "run_id": "run-1", "more": 1}', "FLX-5001"),
        (b'{"format": 1, "sink": "numb', "FLX-5101"),
        (b"[]", "FLX-5101"),
        (b'{"format": 1, "sink": 5, "run_id": "run-1"}', "FLX-5101"),
    ],
)
def test_an_owner_that_cannot_be_read_owns_nothing(tmp_path: Path, content: bytes, code: str) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    stopped(context, 0, 10)
    (tmp_path / ".out.ndjson.fluxline.json").write_bytes(content)
    with pytest.raises(RecoveryError) as caught:
        FilesystemSink(replace(context, fresh=True))
    assert caught.value.code == code
    assert (tmp_path / "out.ndjson").read_bytes() == TEN
    assert (tmp_path / ".out.ndjson.fluxline.json").read_bytes() == content


def test_the_owner_is_plain_data(tmp_path: Path) -> None:
    stopped(sink_context(tmp_path, {"path": "out.ndjson"}), 0, 10)
    owner = msgspec.json.decode((tmp_path / ".out.ndjson.fluxline.json").read_bytes())
    assert owner == {"format": 1, "sink": "numbers", "run_id": "run-1"}


def test_two_jobs_cannot_write_the_same_files(tmp_path: Path) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    first = FilesystemSink(context)
    write(first, context, 0, 10)
    first.flush()
    for fresh in (False, True):
        with pytest.raises(ResourceBusy) as caught:
            FilesystemSink(replace(context, fresh=fresh))
        assert caught.value.code == "FLX-4208"
    write(first, context, 10, 11)
    first.prepare(1)
    first.close()
    assert (tmp_path / "out.ndjson").read_bytes() == TEN + b"10\n"


def test_a_refused_sink_leaves_no_owner_behind(tmp_path: Path) -> None:
    foreign(tmp_path / "out.ndjson")
    with pytest.raises(RecoveryError):
        FilesystemSink(sink_context(tmp_path, {"path": "out.ndjson"}))
    assert [path.name for path in tmp_path.iterdir()] == ["out.ndjson"]


def test_a_full_disk_leaves_whole_rows_and_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    sink = FilesystemSink(context)
    write(sink, context, 0, 10)
    receipt = sink.prepare(1)
    room = [7]
    really = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = really(descriptor, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    write(sink, context, 10, 20)
    for attempt in (sink.flush, sink.flush, lambda: sink.prepare(2), lambda: write(sink, context, 20, 21)):
        with pytest.raises(DiskFull) as caught:
            attempt()
        assert caught.value.code == "FLX-4204"
        assert "out.ndjson" in caught.value.fact
    assert (tmp_path / "out.ndjson").read_bytes() == TEN
    sink.close()
    monkeypatch.undo()
    stopped(replace(context, receipt=receipt), 10, 12)
    assert (tmp_path / "out.ndjson").read_bytes() == TEN + b"10\n11\n"


def test_a_failed_sync_is_never_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = sink_context(tmp_path, {"path": "out.ndjson"})
    sink = FilesystemSink(context)
    write(sink, context, 0, 10)

    def fdatasync(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        with pytest.raises(ExternalError) as caught:
            sink.prepare(1)
        assert caught.value.code == "FLX-4203"
    with pytest.raises(ExternalError):  # The kernel has dropped the pages: a second sync would lie.
        sink.prepare(2)
    sink.close()


def test_a_stop_is_on_the_disk_before_its_receipt_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of files are durable only after a sync of their directory, contents only after one of the file."""
    log: list[tuple[str, str]] = []
    really = {name: getattr(os, name) for name in ("open", "pwrite", "fsync", "fdatasync")}
    paths: dict[int, str] = {}

    def opened(path: str | Path, *rest: int) -> int:
        new = not Path(path).exists()
        descriptor: int = really["open"](path, *rest)
        paths[descriptor] = Path(path).name
        if new:
            log.append(("made", paths[descriptor]))
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    for name in ("pwrite", "fsync", "fdatasync"):

        def call(descriptor: int, *rest: object, name: str = name) -> object:
            log.append((name.replace("fdata", "f"), paths[descriptor]))
            return really[name](descriptor, *rest)

        monkeypatch.setattr(os, name, call)
    stopped(sink_context(tmp_path, {"path": "out"}), 0, 10)
    monkeypatch.undo()
    assert log[-8:] == [
        ("made", "_fluxline.json"),
        ("pwrite", "_fluxline.json"),
        ("fsync", "_fluxline.json"),
        ("fsync", "out"),
        ("made", "part-000000"),
        ("pwrite", "part-000000"),
        ("fsync", "part-000000"),
        ("fsync", "out"),
    ]


class Killed(BaseException):
    """The process ends here."""


WATCHED = ("open", "close", "pwrite", "ftruncate", "fsync", "fdatasync", "unlink", "mkdir")


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, call: int) -> Iterator[None]:
    """Let a process live up to a call to the operating system; neither that one nor any behind it happens.

    When it ends, its descriptors are closed, as those of a process are.
    """
    descriptors: set[int] = set()
    count = 0

    def watch(name: str) -> Callable[..., object]:
        really = getattr(os, name)

        def watched(*arguments: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count >= call:
                raise Killed
            result = really(*arguments, **named)
            if name == "open":
                descriptors.add(result)
            elif name == "close":
                descriptors.discard(arguments[0])
            return result

        return watched

    with monkeypatch.context() as patch:
        for name in WATCHED:
            patch.setattr(os, name, watch(name))
        try:
            yield
        finally:
            patch.undo()
            for descriptor in descriptors:
                os.close(descriptor)


def life(context: SinkContext, saved: list[SinkContext]) -> None:
    """Two stops with rolled files and uncommitted rows between them; `saved` holds what is known after each."""
    first = stopped(context, 0, 3)
    saved.append(first)
    sink = FilesystemSink(first)
    try:
        write(sink, first, 3, 250_000)
        write(sink, first, 250_000, 250_002)
        sink.flush()
    finally:
        sink.close()
    saved.append(stopped(first, 3, 5))


@pytest.mark.parametrize("path", ["out.txt", "out/"])
def test_killed_at_any_call_the_next_run_finds_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    options = {"path": path} if path == "out.txt" else {"path": path, "part_bytes_max": WRITE_BUFFER_BYTES_MAX}
    for call in itertools.count(1):
        place = tmp_path / str(call)
        place.mkdir()
        context = sink_context(place, options)
        saved = [replace(context, fresh=True)]  # Before the first stop the user starts over.
        survived = False
        try:
            with killed_at(monkeypatch, call):
                life(context, saved)
                survived = True
        except Killed:
            pass
        stopped(saved[-1], {1: 0, 2: 3, 3: 5}[len(saved)], 7)
        parts = [place / "out.txt"] if path == "out.txt" else sorted((place / "out").glob("part-*"))
        assert b"".join(part.read_bytes() for part in parts) == TEN[:14], f"killed at call {call}, {len(saved) - 1} stops before it"
        if survived:
            break
    assert call > 30


def test_errors_of_opening_name_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FluxlineError) as caught:
        FilesystemSink(sink_context(tmp_path, {"path": "file/out.ndjson"}))
    assert caught.value.code == "FLX-4203"
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "part-000000").mkdir()
    with pytest.raises(FluxlineError) as caught:
        FilesystemSink(sink_context(tmp_path, {"path": "dir"}))
    assert caught.value.code == "FLX-4209"
