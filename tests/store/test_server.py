"""Queries from other processes: the owner answers, whoever else comes and whatever they send."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fluxline.clock import SystemClock, VirtualClock
from fluxline.errors import (
    AccessDenied,
    ConnectionLost,
    DefinitionError,
    ExternalError,
    FluxlineError,
    NameNotFound,
    ResourceBusy,
    ResourceMissing,
    Throttled,
)
from fluxline.limits import STORE_CONNECTIONS_MAX, STORE_REQUEST_BYTES_MAX, STORE_SOCKET_PATH_BYTES_MAX
from fluxline.store import wire
from fluxline.store.client import answer, query
from fluxline.store.lock import StoreLock
from fluxline.store.server import address_path
from fluxline.store.store import Store
from tests.store.conftest import PEOPLE, batch
from tests.store.processes import owner
from tests.store.test_query import ENDLESS

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = "SELECT name FROM people ORDER BY id"


@pytest.fixture
def people(store: Store) -> Store:
    """A store of this process with two rows."""
    table = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(table, batch([(1, "ann"), (2, "bob")]))
    return store


def connect(store: Store) -> socket.socket:
    """A client that does as it likes."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(30)
    peer.connect(json.loads(address_path(store.path).read_text())["socket"])
    return peer


def send(peer: socket.socket, message: object) -> None:
    data = json.dumps(message).encode()
    peer.sendall(struct.pack(">I", len(data)) + data)


def error_of(peer: socket.socket) -> dict[str, Any]:
    """The error that the server answers with."""
    found = wire.receive_json(peer, STORE_REQUEST_BYTES_MAX)
    error = found["error"]
    assert isinstance(error, dict)
    with suppress(ConnectionResetError):  # it did not read all that was sent
        assert peer.recv(1) == b""
    return error


def test_the_owner_answers_another_process(path: Path) -> None:
    """Staged rows included; errors keep their class, code and words."""
    with owner(path):
        assert query(path, NAMES).rows() == [("ann",), ("bob",)]
        cut = answer(str(path), NAMES, limit=1)
        assert (cut.frame.rows(), cut.truncated) == ([("ann",)], True)
        with pytest.raises(NameNotFound) as caught:
            query(path, "SELECT * FROM peopl")
        assert (caught.value.code, caught.value.hint) == ("FLX-2613", 'Did you mean "people"?')
        with pytest.raises(DefinitionError, match="queries only read"):
            query(path, "DROP TABLE people")
    assert query(path, NAMES).rows() == [("ann",), ("bob",)]


def test_without_an_owner_the_file_is_read(path: Path, open_store: Callable[[], Store]) -> None:
    """Nothing is left of the owner but the store and its lock file; reading makes nothing new."""
    store = open_store()
    table = store.open_table("people", PEOPLE, ("id",), run_id="run")
    store.write(table, batch([(1, "ann")]))
    store.close()
    before = sorted(item.name for item in path.parent.iterdir())
    assert before == ["tables.duckdb", "tables.duckdb.lock"]
    assert query(path, NAMES).rows() == [("ann",)]
    assert query(path, "SHOW TABLES").rows() == [("people",)]
    with pytest.raises(NameNotFound):
        query(path, "SELECT * FROM peopl")
    with pytest.raises(DefinitionError, match="nothing else"):
        query(path, "SELECT * FROM read_text('/etc/passwd')")
    assert sorted(item.name for item in path.parent.iterdir()) == before


def test_an_owner_that_died_is_noticed(path: Path) -> None:
    """Its address leads nowhere; its flushed rows are read; the next owner listens again."""
    with owner(path) as process:
        query(path, "SELECT 1")
        process.kill()
        process.wait()
    assert address_path(path).exists()
    with pytest.raises(NameNotFound):
        query(path, "SELECT * FROM nobody")
    with owner(path):
        assert query(path, NAMES).rows() == [("ann",), ("bob",)]


def test_no_store_says_what_to_do(tmp_path: Path) -> None:
    """A query makes none."""
    with pytest.raises(ResourceMissing, match="no table store at") as caught:
        query(tmp_path / "no" / "tables.duckdb", "SELECT 1")
    assert caught.value.code == "FLX-4615"
    assert "fluxline run" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_two_processes_cannot_write_one_store(path: Path) -> None:
    """The second is told the first one's process id and what to do."""
    with owner(path) as process:
        with pytest.raises(ResourceBusy) as caught:
            Store.open(path, clock=VirtualClock(0))
        assert caught.value.code == "FLX-4601"
        assert f"process {process.pid}" in caught.value.fact
        assert f"Stop process {process.pid}" in caught.value.hint
        assert query(path, NAMES).height == 2
    Store.open(path, clock=VirtualClock(0)).close()


def test_one_process_cannot_open_a_store_twice(store: Store) -> None:
    """Sinks share one."""
    with pytest.raises(ResourceBusy, match="held by this process"):
        Store.open(store.path, clock=VirtualClock(0))
    assert store.query("SELECT 1").item() == 1


def test_a_reader_holds_up_a_writer_only_while_it_reads(path: Path, open_store: Callable[[], Store]) -> None:
    """And is not taken for a writer that died; several read at once."""
    open_store().close()
    readers = [StoreLock.take(path, writes=False, clock=VirtualClock(0)) for _ in range(2)]
    with pytest.raises(ResourceBusy, match="being read by another process"):
        Store.open(path, clock=VirtualClock(0))
    for reader in readers:
        threading.Timer(0.2, reader.release).start()
    Store.open(path, clock=SystemClock()).close()


def test_an_owner_that_does_not_listen_yet_is_waited_for(path: Path, open_store: Callable[[], Store]) -> None:
    """It has the lock and no address; then it is busy, or answers."""
    open_store().close()
    lock = StoreLock.take(path, writes=True, clock=SystemClock())
    with pytest.raises(ResourceBusy, match="held by this process"):
        query(path, "SELECT 1", clock=VirtualClock(0))
    threading.Timer(0.2, lock.release).start()
    assert query(path, "SELECT 1").item() == 1


def test_only_the_owner_s_user_can_reach_it(people: Store) -> None:
    """Files and socket are private, and new directories too."""
    for item in people.path.parent.iterdir():
        if item.name.startswith(people.path.name):
            assert stat.S_IMODE(item.stat().st_mode) == 0o600, item
    nested = people.path.parent / "one" / "two" / "tables.duckdb"
    store = Store.open(nested, clock=SystemClock())
    assert [stat.S_IMODE(directory.stat().st_mode) for directory in (nested.parent, nested.parent.parent)] == [0o700, 0o700]
    store.close()


def test_the_log_is_private_whenever_it_is_made(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB takes it away and makes it anew."""
    monkeypatch.setattr("fluxline.store.file.STORE_LOG_BYTES_MAX", 1)
    log = people.path.with_name("tables.duckdb.wal")
    people.flush()
    assert not log.exists()
    monkeypatch.undo()
    table = people.open_table("more", PEOPLE, None, run_id="run")
    people.write(table, batch([(1, "x")]))
    people.flush()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_another_user_is_refused(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address, by the client and by the server."""
    own = os.geteuid()
    with connect(people) as peer:
        wire.require_same_user(peer)
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        with pytest.raises(AccessDenied) as caught:
            wire.require_same_user(peer)
        assert caught.value.code == "FLX-4612"
        with pytest.raises(AccessDenied):
            query(people.path, "SELECT 1")
        with connect(people) as second:
            assert error_of(second)["code"] == "FLX-4612"
    monkeypatch.undo()
    assert query(people.path, "SELECT 1").item() == 1


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """In a private directory that goes with the owner."""
    path = tmp_path / ("x" * STORE_SOCKET_PATH_BYTES_MAX) / "tables.duckdb"
    store = Store.open(path, clock=SystemClock())
    address = Path(json.loads(address_path(path).read_text())["socket"])
    assert len(os.fsencode(address)) <= STORE_SOCKET_PATH_BYTES_MAX
    assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    assert query(path, "SELECT 1").item() == 1
    store.close()
    assert not address.parent.exists()
    assert not address_path(path).exists()


def test_a_directory_that_others_write_to_gets_no_socket(tmp_path: Path) -> None:
    """They could put their own there."""
    tmp_path.chmod(0o777)
    store = Store.open(tmp_path / "tables.duckdb", clock=SystemClock())
    assert not (tmp_path / "tables.duckdb.socket").exists()
    assert query(store.path, "SELECT 1").item() == 1
    store.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"socket": 1}', '{"socket": "/nowhere"}', '{"socket": "/etc/passwd"}', '{"socket": "' + "x" * 5000 + '"}']
)
def test_an_address_that_is_none_is_passed_over(path: Path, open_store: Callable[[], Store], text: str) -> None:
    """The file is read instead."""
    open_store().close()
    address_path(path).write_text(text)
    assert query(path, "SELECT 1").item() == 1


def test_an_address_is_not_followed_elsewhere(path: Path, tmp_path: Path, open_store: Callable[[], Store]) -> None:
    """A symbolic link is not what an owner writes."""
    open_store().close()
    elsewhere = Store.open(tmp_path / "elsewhere" / "tables.duckdb", clock=SystemClock())
    elsewhere.open_table("secret", PEOPLE, None, run_id="run")
    address_path(path).symlink_to(address_path(elsewhere.path))
    assert query(path, "SHOW TABLES").rows() == []
    elsewhere.close()


NOISE = [
    (b"GET / HTTP/1.1\r\n\r\n", "longer than the allowed"),
    (struct.pack(">I", STORE_REQUEST_BYTES_MAX + 1), "longer than the allowed"),
    (struct.pack(">I", 3) + b"no!", "no JSON"),
    (struct.pack(">I", 2) + b"[]", "no JSON object"),
    (struct.pack(">I", 2) + b"\xff\xff", "no JSON"),
]


@pytest.mark.parametrize(("data", "detail"), NOISE)
def test_noise_is_answered_with_an_error(people: Store, data: bytes, detail: str) -> None:
    """And nobody else is troubled."""
    with connect(people) as peer:
        peer.sendall(data)
        error = error_of(peer)
        assert error["code"] == "FLX-4611"
        assert detail in str(error["detail"])
    assert query(people.path, NAMES).height == 2


@pytest.mark.parametrize("message", [{"version": 1}, {"version": 1, "sql": 5}, {"version": 1, "sql": "SELECT 1", "limit": True}])
def test_a_question_without_sql(people: Store, message: object) -> None:
    """A limit is a number or nothing."""
    with connect(people) as peer:
        send(peer, message)
        assert error_of(peer)["code"] == "FLX-4611"


@pytest.mark.parametrize("version", [None, 0, 2])
def test_a_question_of_another_version(people: Store, version: int | None) -> None:
    """Both are named."""
    with connect(people) as peer:
        send(peer, {"version": version, "sql": "SELECT 1"})
        error = error_of(peer)
        assert error["code"] == "FLX-4613"
        assert f"version {version}, and this version of Fluxline 1" in str(error["fact"])


def test_a_question_of_the_largest_size(people: Store) -> None:
    """And one byte more is refused."""
    head = len(json.dumps({"version": 1, "sql": "", "limit": None}))
    comment = "SELECT 1 --" + "x" * (STORE_REQUEST_BYTES_MAX - head - len("SELECT 1 --"))
    assert query(people.path, comment).item() == 1
    with pytest.raises(ConnectionLost, match="cannot be understood"):
        query(people.path, comment + "x")


def test_a_large_answer_comes_whole(people: Store) -> None:
    """Many times what the socket holds at once."""
    frame = query(people.path, "SELECT range AS n, 'text ' || range AS t FROM range(200000)")
    assert frame.height == 200_000
    assert frame.row(-1) == (199_999, "text 199999")


def test_idle_clients_hold_up_nobody(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may come but one send nothing; then they are let go."""
    monkeypatch.setattr("fluxline.store.server.STORE_REQUEST_MS_MAX", 300)
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(people)) for _ in range(STORE_CONNECTIONS_MAX - 1)]
        idle[0].sendall(b"\x00\x00")
        assert query(people.path, NAMES).height == 2
        for peer in idle:
            assert "too long" in str(error_of(peer)["detail"])


def test_too_many_clients_are_sent_away(people: Store) -> None:
    """With a word."""
    with ExitStack() as stack:
        for _ in range(STORE_CONNECTIONS_MAX):
            stack.enter_context(connect(people))
        with pytest.raises(Throttled) as caught:
            query(people.path, NAMES)
        assert caught.value.code == "FLX-4610"
    for _ in range(200):
        try:
            assert query(people.path, NAMES).height == 2
            return
        except Throttled:
            threading.Event().wait(0.02)
    raise AssertionError("the places of clients that are gone are not free again")


def test_a_query_whose_client_is_gone_is_stopped(people: Store) -> None:
    """Its place and its core are free again."""
    with connect(people) as peer:
        send(peer, {"version": 1, "sql": ENDLESS, "limit": None})
        while not people._queries._running:
            threading.Event().wait(0.01)
    for _ in range(500):
        if not people._queries._running:
            break
        threading.Event().wait(0.02)
    assert not people._queries._running
    assert query(people.path, NAMES).height == 2


def test_closing_does_not_wait_for_a_query(people: Store) -> None:
    """The client hears that it was stopped, or that the owner is gone."""
    told: list[FluxlineError] = []

    def ask() -> None:
        try:
            query(people.path, ENDLESS)
        except FluxlineError as error:
            told.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    while not people._queries._running:
        threading.Event().wait(0.01)
    people.close()
    asker.join(30)
    assert told[0].code in ("FLX-2618", "FLX-4611")


def test_our_own_mistakes_are_told_to_the_client(people: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the server goes on."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr(people._queries, "run", fail)
    with pytest.raises(FluxlineError) as caught:
        query(people.path, "SELECT 1")
    assert caught.value.code == "FLX-9601"
    assert "ZeroDivisionError: of a test" in caught.value.detail
    monkeypatch.undo()
    assert query(people.path, "SELECT 1").item() == 1


class Impostor:
    """Listens at a store's address and answers with given bytes."""

    def __init__(self, store: Path, data: bytes) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(store.with_name("impostor")))
        self.listener.listen()
        address_path(store).write_text(json.dumps({"socket": str(store.with_name("impostor"))}))
        self.data = data
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self) -> None:
        """One client."""
        with self.listener.accept()[0] as peer:
            wire.receive_json(peer, STORE_REQUEST_BYTES_MAX)
            peer.sendall(self.data)
        self.listener.close()


def framed(message: object) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "FLX-4611"),
        (b"\xff\xff\xff\xff", "FLX-4611"),
        (framed({"version": 2}), "FLX-4613"),
        (framed({"version": 1}), "FLX-4611"),
        (framed({"version": 1, "bytes": -1}), "FLX-4611"),
        (framed({"version": 1, "bytes": 2**40}), "FLX-4611"),
        (framed({"version": 1, "bytes": 10}) + b"short", "FLX-4611"),
        (framed({"version": 1, "error": "text"}), "FLX-4611"),
        (framed({"version": 1, "error": {"error": "Place", "code": "FLX-1", "fact": "f"}}), "FLX-1"),
    ],
)
def test_a_client_believes_no_length(path: Path, open_store: Callable[[], Store], data: bytes, code: str) -> None:
    """Nor anything else that an answer may say."""
    open_store().close()
    impostor = Impostor(path, data)
    with pytest.raises(FluxlineError) as caught:
        query(path, "SELECT 1")
    impostor.thread.join()
    assert caught.value.code == code


def test_an_answer_that_is_no_table(path: Path, open_store: Callable[[], Store]) -> None:
    """Its bytes are not believed either."""
    open_store().close()
    impostor = Impostor(path, framed({"version": 1, "bytes": 5}) + b"hello")
    with pytest.raises(ConnectionLost) as caught:
        query(path, "SELECT 1")
    impostor.thread.join()
    assert "no table" in caught.value.detail


def test_a_store_that_cannot_listen_is_not_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no lock."""

    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fluxline.store.server.QueryServer._announce", refuse)
    with pytest.raises(ExternalError) as caught:
        Store.open(path, clock=VirtualClock(0))
    assert caught.value.code == "FLX-4614"
    monkeypatch.undo()
    Store.open(path, clock=VirtualClock(0)).close()
