"""A server that gives the answers it was told to give, in the test's own process."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Answers:
    """Answers by `METHOD path`; of several the last one stays.

    Attributes:
        address: where they are given.
        given: (status, body) lists; a body that is bytes is sent as it is.
        asked: what was asked so far, with the bodies.
    """

    address: str = ""
    given: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def give(self, question: str, *bodies: Any, status: int = 200) -> None:
        """Answer a question with these bodies, one after the other."""
        self.given[question] = [(status, body) for body in bodies]

    def fail(self, question: str, stack: str, status: int = 500) -> None:
        """Answer a question as Flink answers what it cannot do."""
        self.give(question, {"errors": ["Internal server error.", stack]}, status=status)

    def take(self, question: str, body: Any) -> tuple[int, Any]:
        """The next answer."""
        self.asked.append((question, body))
        waiting = self.given.get(question, [(418, b"nobody told me")])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def answering() -> Iterator[Answers]:
    """The server, on a free port of the loopback."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            read = json.loads(self.rfile.read(length)) if length else None
            status, body = answers.take(f"{self.command} {self.path}", read)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        answers.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
