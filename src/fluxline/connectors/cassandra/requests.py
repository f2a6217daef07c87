"""Requests to the nodes: a bounded number on their way, sent again while nodes do not answer, refused rows told apart.

All statements are idempotent: each row carries its timestamp, so that sending it twice equals sending it once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cassandra import InvalidRequest
from cassandra import Unauthorized as NotPermitted
from cassandra.query import BatchStatement, BatchType, BoundStatement

from fluxline.connectors.cassandra.session import explain
from fluxline.limits import CASSANDRA_REQUEST_SECONDS, CASSANDRA_REQUESTS_MAX, CASSANDRA_RETRY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fluxline.clock import Clock
    from fluxline.connectors.cassandra.session import Session


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one partition that go in one request: where they are among all rows."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the driver takes it: its prepared statement and the bytes of the parameters."""

    prepared: Any
    values: tuple[object, ...]


class Requests:
    """Sends rows and waits for all their answers; used by one thread."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._retry_ms = int(session.options.retry_for.total_seconds() * 1000)
        self._never = threading.Event()

    def send(self, rows: Sequence[Row], pieces: Sequence[Piece]) -> dict[int, str]:
        """Write the rows, a request for each piece.

        Returns:
            The rows that Cassandra refused, and what it said.

        Raises:
            ConnectionLost: FLX-4751, nodes did not answer for as long as rows are sent again.
            Unauthorized: FLX-4752, the login may not write the table.
        """
        refused: dict[int, str] = {}
        waiting, failing_since = list(pieces), None
        while waiting:
            again: list[Piece] = []
            last: Exception | None = None
            for piece, error in zip(waiting, self._answers(rows, waiting), strict=True):
                if error is None:
                    continue
                if isinstance(error, NotPermitted):
                    raise explain(error, self._session.options, "writing rows")
                if not isinstance(error, InvalidRequest):
                    last = error
                    again.append(piece)
                elif piece.stop - piece.start > 1:
                    again += [Piece(index, index + 1) for index in range(piece.start, piece.stop)]
                else:
                    refused[piece.start] = str(error)
            if last is not None:
                now = self._clock.monotonic_ms()
                failing_since = now if failing_since is None or len(again) < len(waiting) else failing_since
                if now - failing_since >= self._retry_ms:
                    raise explain(last, self._session.options, "writing rows")
                self._clock.wait(self._never, CASSANDRA_RETRY_MS)
            waiting = again
        return refused

    def _answers(self, rows: Sequence[Row], pieces: Sequence[Piece]) -> list[Exception | None]:
        """Send each piece once; its failure, or None."""
        answers: list[Exception | None] = [None] * len(pieces)
        free = threading.Semaphore(CASSANDRA_REQUESTS_MAX)
        for number, statement in enumerate(self._statements(rows, pieces)):
            self._take(free)
            future = self._session.driver.execute_async(statement)
            future.add_callbacks(
                callback=lambda _rows: free.release(),
                errback=_note,
                errback_args=(answers, number, free),
            )
        for _answer in range(CASSANDRA_REQUESTS_MAX):
            self._take(free)
        return answers

    def _take(self, free: threading.Semaphore) -> None:
        # The driver ends each request by itself; it never does once its own thread has died.
        if not free.acquire(timeout=3 * CASSANDRA_REQUEST_SECONDS):
            raise explain(TimeoutError("the driver no longer answers"), self._session.options, "writing rows")

    def _statements(self, rows: Sequence[Row], pieces: Sequence[Piece]) -> Iterator[Any]:
        for piece in pieces:
            batch = BatchStatement(BatchType.UNLOGGED)
            bound: Any = None
            for row in rows[piece.start : piece.stop]:
                # A batch takes a statement's bytes out of it: one statement serves all rows of a kind, and making one costs more than adding it.
                if bound is None or bound.prepared_statement is not row.prepared:
                    bound = BoundStatement(row.prepared)
                bound.values = row.values
                batch.add(bound)
            batch.is_idempotent = True
            yield batch


def _note(error: Exception, answers: list[Exception | None], number: int, free: threading.Semaphore) -> None:
    answers[number] = error
    free.release()
