"""Questions to Flink's two REST interfaces: JSON over HTTP, and what a Java stack says as one of our errors."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fluxline.errors import ConfigError, ConnectionLost, ExternalError
from fluxline.limits import FLINK_ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

_FRAME = re.compile(r"\n\s+(?:at |\.\.\. \d+ more)")
_PLACES = (
    re.compile(r"[Ff]rom line (\d+), column (\d+) to line (\d+), column (\d+)"),
    re.compile(r"[Aa]t line (\d+), column (\d+)"),
)


@dataclass(frozen=True, slots=True)
class JavaFailure:
    """What a Java stack says.

    Attributes:
        kind: the class of the innermost cause, without its package.
        message: what the innermost cause says.
        line: where in the statement, counted from 1, or None.
        column: the same of the first character.
        end_column: behind the last character, where it is on the same line.
    """

    kind: str
    message: str
    line: int | None = None
    column: int | None = None
    end_column: int | None = None


def read_failure(stack: str) -> JavaFailure:
    """The innermost cause of a Java stack; the place in a statement stands only in the causes around it."""
    text = stack.removeprefix("<Exception on server side:").strip()
    *_, innermost = re.split(r"(?:^|\n)Caused by: ", text)
    said = _FRAME.split(innermost, maxsplit=1)[0].partition("\nEnd of exception on server side>")[0].strip()
    named = re.match(r"([\w.$]+)(?:: |$)", said)
    kind, message = (named.group(1), said[named.end() :].strip()) if named is not None and "." in named.group(1) else ("", said)
    kind = re.split(r"[.$]", kind)[-1]
    for pattern in _PLACES:
        found = pattern.search(text)
        if found is not None:
            line, column, *end = (int(number) for number in found.groups())
            return JavaFailure(kind, message or kind, line, column, end[1] + 1 if end and end[0] == line else None)
    return JavaFailure(kind, message or kind)


class FlinkRefusal(Exception):
    """Flink answers with an error; who asked knows what it means.

    Args:
        status: of HTTP.
        failure: what the Java stack says.
    """

    def __init__(self, status: int, failure: JavaFailure) -> None:
        super().__init__(failure.message)
        self.status = status
        self.failure = failure


class Transport:
    """One REST interface of Flink.

    Args:
        address: such as `http://127.0.0.1:8083`.
        what: whose it is, for messages, such as `SQL Gateway`.

    Raises:
        ConfigError: FLX-4512, it is no address.
    """

    def __init__(self, address: str, what: str) -> None:
        self.address = address.rstrip("/")
        self.what = what
        parts = urlsplit(self.address)
        try:
            self._port = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("FLX-4512", f'"{address}" is no address of a {what}', hint='Write it as "http://host:port".')
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._prefix = parts.path

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """One question; the answer's JSON.

        Raises:
            ConnectionLost: FLX-4502, nobody answers.
            ExternalError: FLX-4511, the answer is not Flink's.
            FlinkRefusal: Flink answers with an error.
        """
        status, answer = self._exchange(method, path, body)
        try:
            read = json.loads(answer) if answer else {}
        except ValueError:
            raise self.strange(status, answer.decode(errors="replace")) from None
        if 200 <= status < 300:
            return read
        if not isinstance(read, dict) or not isinstance(read.get("errors"), list) or not read["errors"]:
            raise self.strange(status, answer.decode(errors="replace"))
        raise FlinkRefusal(status, read_failure(str(read["errors"][-1])))

    def _exchange(self, method: str, path: str, body: Mapping[str, object] | None) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=FLINK_ANSWER_SECONDS)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, self._prefix + path, content, {"Content-Type": "application/json"} if content else {})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            hint = "Check the address, and that the cluster runs."
            raise ConnectionLost("FLX-4502", f'no {self.what} answers at "{self.address}"', detail=f"{said}.", hint=hint) from error
        finally:
            connection.close()

    def strange(self, status: int, answer: str) -> ExternalError:
        """The error to raise for an answer that is another program's."""
        fact, shown = f'what answers at "{self.address}" is no {self.what}', answer[:200].strip()
        return ExternalError("FLX-4511", fact, detail=f"It answers with status {status}: {shown}" if shown else f"It answers with status {status}.")
