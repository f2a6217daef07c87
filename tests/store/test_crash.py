"""Crashes and full disks: what was flushed is there, whole; nothing else is."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import duckdb
import pytest

from fluxline.clock import SystemClock, VirtualClock
from fluxline.errors import ExternalError
from fluxline.store.client import query
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch
from tests.store.processes import PREAMBLE, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = 500
# Each round writes all keys into two tables, the odd ones deleted in every third round, and says so when it is in.
# Behind the last one that it says, rows are staged and a transaction is half done.
ROUNDS = (
    PREAMBLE
    + f"""
import fluxline.store.store as module
import fluxline.store.file as file_module
module.STORE_FLUSH_MS = 600_000
file_module.STORE_LOG_BYTES_MAX = int(sys.argv[2])
people = store.open_table("people", PEOPLE, ("id",), run_id="run")
pairs = store.open_table("pairs", PEOPLE, None, run_id="run")
number = 0
while True:
    kinds = " ".join("-D" if number % 3 == 2 and key % 2 else "+I" for key in range({KEYS}))
    store.write(people, batch([(key, f"round {{number}}") for key in range({KEYS})], kinds=kinds))
    store.write(pairs, batch([(number, f"round {{number}}")]))
    if number == 7:
        file = store._file
        insert, done = file._insert, []
        def half(table, sequence):
            if done:
                print("half", flush=True)
                sys.stdin.readline()
            done.append(insert(table, sequence))
        file._insert = half
    store.flush()
    print(number, flush=True)
    number += 1
"""
)


@pytest.mark.parametrize("log_bytes_max", ["1", "1000000000"], ids=["folded", "from the log"])
def test_a_killed_process_leaves_whole_flushes(path: Path, log_bytes_max: str) -> None:
    """Killed between two tables of the eighth flush: seven are there, of the eighth nothing."""
    process = start(ROUNDS, path, log_bytes_max)
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(8)]
    assert said == ["0", "1", "2", "3", "4", "5", "6", "half"], process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    whole = [(KEYS, "round 6", "round 6")]
    count = "SELECT count(*), min(name), max(name) FROM people"
    assert query(path, count).rows() == whole
    assert query(path, "SELECT id FROM pairs ORDER BY id").get_column("id").to_list() == list(range(7))
    store = Store.open(path, clock=SystemClock())
    assert store.query(count).rows() == whole
    store.open_table("pairs", PEOPLE, None, run_id="run")
    store.open_table("people", PEOPLE, ("id",), run_id="run")
    assert store.query("SELECT count(*) FROM people UNION ALL SELECT count(*) FROM pairs").rows() == [(0,), (0,)]
    store.close()


# A file may grow to so many bytes, as on a disk that is nearly full. The rest of the disk has room, so a test can look.
FULL = (
    PREAMBLE
    + """
import hashlib, resource
import fluxline.store.store as module
import fluxline.store.file as file_module
from fluxline.errors import DiskFull
module.STORE_FLUSH_MS = 600_000
file_module.STORE_LOG_BYTES_MAX = int(sys.argv[2])
people = store.open_table("people", PEOPLE, ("id",), run_id="run")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
number = 0
try:
    while number < 1000:
        store.write(people, batch([(number * 1000 + row, hashlib.sha256(b"%d %d" % (number, row)).hexdigest()) for row in range(1000)]))
        store.flush()
        number += 1
except DiskFull as error:
    try:
        store.write(people, batch([(-1, "more")]))
        print("went on")
    except DiskFull as again:
        print(error.code, again is error, number, flush=True)
store.close()
"""
)


@pytest.mark.parametrize("log_bytes_max", ["1000000000", "1000000"], ids=["log", "file"])
def test_a_full_disk_is_told_and_costs_nothing_flushed(path: Path, log_bytes_max: str) -> None:
    """Whether the log or the file finds no room; the store is whole afterwards, and takes rows once there is room."""
    process = start(FULL, path, log_bytes_max)
    said, error = process.communicate(timeout=120)
    assert said, error
    code, same, flushed = said.split()
    assert (code, same) == ("FLX-4605", "True")
    rows = query(path, "SELECT count(*) FROM people").item()
    # Where folding failed the flush before it was in already, and its writer was not told so.
    assert rows in (int(flushed) * 1000, int(flushed) * 1000 + 1000), said
    assert rows > 0
    store = Store.open(path, clock=SystemClock())
    people = store.open_table("people", PEOPLE, ("id",), run_id="other")
    store.write(people, batch([(-1, "more")]))
    store.flush()
    assert store.query("SELECT count(*) FROM people").item() == rows + 1
    store.close()


def test_a_crash_while_a_store_is_made(path: Path) -> None:
    """Half of one is made anew."""
    aside = path.with_name(path.name + ".new")
    aside.mkdir()
    (aside / path.name).write_bytes(b"half")
    store = Store.open(path, clock=SystemClock())
    assert store.query("SHOW TABLES").rows() == []
    assert not aside.exists()
    store.close()


def test_a_crash_right_after_the_log_was_made(path: Path, open_store: Callable[[], Store]) -> None:
    """It is empty, and that is fine."""
    open_store().close()
    path.with_name(path.name + ".wal").touch(0o600)
    assert query(path, "SHOW TABLES").rows() == []
    open_store().close()


@pytest.mark.parametrize("data", [b"", b"no database at all", b"x" + bytes(100_000)])
def test_a_file_that_is_no_database_is_left_alone(path: Path, data: bytes) -> None:
    """Refused, by writers and by queries, with what DuckDB says."""
    path.write_bytes(data)
    for refused in (lambda: Store.open(path, clock=VirtualClock(0)), lambda: query(path, "SELECT 1")):
        with pytest.raises(ExternalError) as caught:
            refused()
        assert caught.value.code == "FLX-4606"
        assert caught.value.detail
    assert path.read_bytes() == data


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    """It is not ours to write to."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE theirs (a INT)")
    with pytest.raises(ExternalError, match="not a table store of Fluxline") as caught:
        Store.open(path, clock=VirtualClock(0))
    assert caught.value.code == "FLX-4603"


def test_a_newer_format_is_refused_with_both_versions(path: Path, open_store: Callable[[], Store]) -> None:
    """By writers and by queries."""
    open_store().close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _fluxline.store SET format = 7")
    for refused in (lambda: Store.open(path, clock=VirtualClock(0)), lambda: query(path, "SELECT 1")):
        with pytest.raises(ExternalError) as caught:
            refused()
        assert caught.value.code == "FLX-4604"
        assert caught.value.fact.endswith("has format 7, and this version of Fluxline reads up to 1")


def test_a_damaged_file_is_an_error_and_no_traceback(path: Path, open_store: Callable[[], Store]) -> None:
    """DuckDB's checksums find it, at the latest when the rows are read."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(number, str(number)) for number in range(1000)]))
    store.close()
    data = bytearray(path.read_bytes())
    for position in range(20_000, len(data), 1000):
        data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ExternalError) as caught:
        query(path, "SELECT sum(id), max(name) FROM people")
    assert caught.value.code == "FLX-4606"


def test_a_store_can_be_copied_while_nobody_writes(path: Path, tmp_path: Path, open_store: Callable[[], Store]) -> None:
    """After a clean end the one file is all of it."""
    store = open_store()
    people = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(people, batch([(1, "ann")]))
    store.close()
    shutil.copy(path, tmp_path / "copy.duckdb")
    assert query(tmp_path / "copy.duckdb", "SELECT * FROM people").rows() == [(1, "ann")]
    assert not path.with_name(path.name + ".wal").exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """An error with the path, no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ExternalError) as caught:
        Store.open(tmp_path / "file" / "tables.duckdb", clock=VirtualClock(0))
    assert caught.value.code == "FLX-4606"
