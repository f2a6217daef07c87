"""Answers of a broker that are none, or not the whole: each is named, and the connection given up; scripted, for real brokers send none."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from fluxline.connectors.kafka.wire import Connection, FetchOptions, Part, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTIONS = FetchOptions(client="me", wait_ms=7, bytes_min=1, bytes_max=1_000, partition_bytes_max=500, committed=True)
VERSIONS = struct.pack(">ihi", 0, 0, 2) + struct.pack(">hhh", 0, 3, 9) + struct.pack(">hhh", 1, 4, 17)
"""The answer to the first question (of number 0): no error, two kinds of question, of which fetches have versions 4 to 17."""


class Script:
    """Where the broker is, and what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[bytes] = []


@contextmanager
def broker(*answers: bytes) -> Iterator[Script]:
    """A broker that reads a question and gives an answer, in turn, and leaves."""
    listener = socket.create_server(("127.0.0.1", 0))
    script = Script(listener.getsockname()[1])

    def serve() -> None:
        accepted, _where = listener.accept()
        with accepted:
            for answer in answers:
                (length,) = struct.unpack(">i", accepted.recv(4, socket.MSG_WAITALL))
                script.asked.append(accepted.recv(length, socket.MSG_WAITALL))
                accepted.sendall(answer)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        listener.close()
        thread.join(5)


def framed(answer: bytes) -> bytes:
    """An answer with its length in front."""
    return struct.pack(">i", len(answer)) + answer


def fetched(parts: Sequence[bytes], *, number: int = 1, error: int = 0) -> bytes:
    """The answer to a fetch of one topic."""
    return framed(struct.pack(">iihii", number, 0, error, 0, 1) + struct.pack(">h", 1) + b"t" + struct.pack(">i", len(parts)) + b"".join(parts))


def part(number: int, records: bytes, *, error: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> bytes:
    """What it says of a partition."""
    transactions = b"".join(struct.pack(">qq", *each) for each in aborted)
    return struct.pack(">ihqqqi", number, error, 9, 8, 0, len(aborted)) + transactions + struct.pack(">ii", -1, len(records)) + records


def ask(script: Script) -> list[Part]:
    """Fetch partition 3 from offset 5 on."""
    connection = Connection("127.0.0.1", script.port, "me")
    try:
        connection.fetch("t", {3: 5}, OPTIONS)
        return connection.fetched()
    finally:
        connection.close()


def test_a_fetch_asks_and_reads_as_the_protocol_says() -> None:
    with broker(framed(VERSIONS), fetched([part(3, b"abc", aborted=[(7, 2)]), part(4, b"", error=6)])) as script:
        found = ask(script)
    assert [(each.number, each.error, each.aborted, bytes(each.batches)) for each in found] == [(3, 0, [(7, 2)], b"abc"), (4, 6, [], b"")]
    head = struct.pack(">hhih", 1, 11, 1, 2) + b"me"
    body = struct.pack(">iiiibii", -1, 7, 1, 1_000, 1, 0, -1) + struct.pack(">ih", 1, 1) + b"t" + struct.pack(">iiiqqi", 1, 3, -1, 5, -1, 500)
    assert script.asked[1] == head + body + struct.pack(">ih", 0, 0)


def test_an_error_of_all_is_one_of_each() -> None:
    with broker(framed(VERSIONS), fetched([part(3, b"")], error=29)) as script:
        assert [each.error for each in ask(script)] == [29]


WRONG: list[tuple[list[bytes], str]] = [
    ([], "left|reset"),
    ([framed(VERSIONS)], "left|reset"),
    ([framed(struct.pack(">ihi", 0, 35, 0))], "does not know version 11 of fetches"),
    ([framed(struct.pack(">ihi", 0, 0, 1) + struct.pack(">hhh", 1, 0, 10))], "does not know version 11 of fetches"),
    ([framed(struct.pack(">ihi", 0, 0, 9))], "damaged"),
    ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "none of Kafka's answers"),
    ([struct.pack(">i", -1)], "none of Kafka's answers"),
    ([struct.pack(">i", 50) + b"short"], "left"),
    ([framed(VERSIONS), fetched([], number=8)], "another question"),
    ([framed(VERSIONS), fetched([], error=70)], "refuses a fetch with error 70"),
    ([framed(VERSIONS), framed(struct.pack(">iihii", 1, 0, 0, 0, 5))], "damaged"),
    ([framed(VERSIONS), fetched([part(3, b"abc")[:-1]])], "damaged"),
]


@pytest.mark.parametrize(("answers", "said"), WRONG)
def test_an_answer_that_is_none_is_named(answers: list[bytes], said: str) -> None:
    with broker(*answers) as script, pytest.raises(WireError, match=said) as caught:
        ask(script)
    assert f"127.0.0.1:{script.port}" in str(caught.value)


def test_where_nobody_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(WireError, match=f"127.0.0.1:{port}: .*refused"):
        Connection("127.0.0.1", port, "me")
