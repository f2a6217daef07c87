"""What starts one process of the stack, and how it is seen that it serves."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxline.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Server:
    """One process of the stack before it is started.

    Attributes:
        name: such as `jobmanager`; its log is the file of that name.
        part: what it belongs to, such as `flink`.
        command: what is run.
        variables: what its environment has beyond that of the caller.
        listens: ports that must be held by the process itself before it is believed.
        answers: asks it; True once it serves. It may raise what a broken connection raises.
        host: the address at which it listens.
        follows: it is started only when those before it serve.
    """

    name: str
    part: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    listens: tuple[int, ...]
    answers: Callable[[], bool]
    host: str = LOOPBACK
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where the servers of one part live.

    Attributes:
        directory: the folder of the part: configuration and data.
        java: the program.
        jars: the folder of its jars.
        ports: by name.
    """

    directory: Path
    java: Path
    jars: Path
    ports: Mapping[str, int]


def numbered(name: str, number: int) -> str:
    """The name of the first, second, ... of several servers, or of what belongs to it: `kafka`, `kafka-2`."""
    return name if number == 1 else f"{name}-{number}"


def ask_bytes(port: int, question: bytes, length: int, host: str = LOOPBACK) -> bytes:
    """Send bytes to a port and read as many back."""
    with socket.create_connection((host, port), timeout=_ANSWER_SECONDS) as connection:
        connection.sendall(question)
        answer = b""
        while len(answer) < length:
            block = connection.recv(length - len(answer))
            if not block:
                break
            answer += block
    return answer


def ask_json(port: int, path: str) -> Any:
    """GET a JSON document from a port; None if the answer is another one."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else None
    except (http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
