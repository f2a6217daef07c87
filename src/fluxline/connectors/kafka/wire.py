"""What the direct reader says to a broker: which versions it knows, and fetches (https://kafka.apache.org/protocol)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from fluxline.limits import KAFKA_ANSWER_SECONDS, KAFKA_FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

_FETCH, _FETCH_VERSION = 1, 11
"""The first version that names zstd is 10; the last that names topics by name is 12, and its numbers have variable length."""
_API_VERSIONS = 18
_READ_COMMITTED = 1


class WireError(Exception):
    """A broker is not there, left, or answers what is no answer; the text says which and how."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """When a broker answers a fetch, and how much.

    Attributes:
        client: the name under which it counts what we take.
        wait_ms: so long it may wait for records.
        bytes_min: it need not wait if so many are there.
        bytes_max: of all partitions together.
        partition_bytes_max: of each.
        committed: whether records of open and aborted transactions are left out.
    """

    client: str
    wait_ms: int
    bytes_min: int
    bytes_max: int
    partition_bytes_max: int
    committed: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What an answer has of one partition.

    Attributes:
        number: the partition.
        error: Kafka's number of an error; 0 is none.
        aborted: of each aborted transaction in it, the id of its producer and its first offset.
        batches: record batches; the last one may be cut off.
    """

    number: int
    error: int
    aborted: list[tuple[int, int]]
    batches: memoryview


class Connection:
    """A connection to one broker, with at most one question on its way.

    Raises:
        WireError: the broker cannot be reached, or does not know this version of fetches.
    """

    def __init__(self, host: str, port: int, client: str) -> None:
        self._where = f"{host}:{port}"
        self._client = client.encode()
        self._numbers = count()
        self._asked = -1
        try:
            self.socket = socket.create_connection((host, port), timeout=KAFKA_ANSWER_SECONDS)
        except OSError as error:
            raise WireError(f"{self._where}: {error}") from error
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.settimeout(None)  # The kernel keeps the time, or Python would look, and want its lock, after every piece of an answer.
            for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self.socket.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", int(KAFKA_ANSWER_SECONDS), 0))
            self._check_version()
        except BaseException:
            self.close()
            raise

    def fetch(self, topic: str, offsets: Mapping[int, int], options: FetchOptions) -> None:
        """Ask for records of these partitions from these offsets on.

        Raises:
            WireError: the broker left.
        """
        parts = b"".join(struct.pack(">iiqqi", number, -1, offset, -1, options.partition_bytes_max) for number, offset in offsets.items())
        head = struct.pack(">iiiibii", -1, options.wait_ms, options.bytes_min, options.bytes_max, _READ_COMMITTED if options.committed else 0, 0, -1)
        body = head + struct.pack(">i", 1) + _text(topic.encode()) + struct.pack(">i", len(offsets)) + parts + struct.pack(">i", 0) + _text(b"")
        self._ask(_FETCH, _FETCH_VERSION, body)

    def fetched(self) -> list[Part]:
        """The answer to a fetch; waits for the rest of it.

        Raises:
            WireError: the broker left, or refuses the fetch as a whole.
        """
        try:
            return _parts(_Answer(self._answer()), self._where)
        except (struct.error, ValueError) as error:
            raise WireError(f"{self._where}: its answer to a fetch is damaged: {error}") from error

    def close(self) -> None:
        """Leave the broker."""
        self.socket.close()

    def _check_version(self) -> None:
        self._ask(_API_VERSIONS, 0, b"")
        answer = _Answer(self._answer())
        try:
            answer.take(">h")
            for _api in range(answer.take(">i")[0]):
                api, oldest, newest = answer.take(">hhh")
                if api == _FETCH and oldest <= _FETCH_VERSION <= newest:
                    return
        except struct.error as error:
            raise WireError(f"{self._where}: its answer is damaged: {error}") from error
        raise WireError(f"{self._where}: it does not know version {_FETCH_VERSION} of fetches, which Kafka has had since 2.3")

    def _ask(self, api: int, version: int, body: bytes) -> None:
        self._asked = next(self._numbers)
        question = struct.pack(">hhi", api, version, self._asked) + _text(self._client) + body
        try:
            self.socket.sendall(struct.pack(">i", len(question)) + question)
        except OSError as error:
            raise WireError(f"{self._where}: {error}") from error

    def _answer(self) -> memoryview:
        (length,) = struct.unpack(">i", self._receive(4))
        if not 4 <= length <= KAFKA_FRAME_BYTES_MAX:
            raise WireError(f"{self._where}: it answers with {length} bytes, which is none of Kafka's answers")
        answer = self._receive(length)
        if struct.unpack_from(">i", answer) != (self._asked,):
            raise WireError(f"{self._where}: it answers another question")
        return answer[4:]

    def _receive(self, length: int) -> memoryview:
        found = memoryview(bytearray(length))
        at = 0
        try:
            while at < length:
                got = self.socket.recv_into(found[at:], flags=socket.MSG_WAITALL)
                if not got:
                    raise WireError(f"{self._where}: it left")
                at += got
        except OSError as error:
            raise WireError(f"{self._where}: {error}") from error
        return found


class _Answer:
    """Reads an answer from its beginning on."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def bytes(self, length: int) -> memoryview:
        if length < 0:  # nothing
            return self._data[:0]
        if self._at + length > len(self._data):
            raise ValueError("it is cut off")
        self._at += length
        return self._data[self._at - length : self._at]


def _parts(answer: _Answer, where: str) -> list[Part]:
    _throttled, of_all, _session = answer.take(">ihi")
    found = []
    for _topic in range(answer.take(">i")[0]):
        answer.bytes(answer.take(">h")[0])
        for _part in range(answer.take(">i")[0]):
            number, error, _high, _stable, _start, aborted = answer.take(">ihqqqi")
            transactions = [answer.take(">qq") for _transaction in range(max(aborted, 0))]
            _replica, length = answer.take(">ii")
            found.append(Part(number, error or of_all, transactions, answer.bytes(length)))
    if of_all and not found:
        raise WireError(f"{where}: it refuses a fetch with error {of_all}")
    return found


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value
