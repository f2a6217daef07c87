"""How a client and the process that owns a store speak over a Unix socket: one question, one answer, then the end.

    question := length:u32be json {"version", "sql", "limit"}
    answer   := length:u32be json {"version", "rows", "bytes", "truncated"} bytes     rows as an Arrow IPC stream
              | length:u32be json {"version", "error": {...}}                         as `FluxlineError.as_json`

No length is believed before it is compared with its limit. Both sides check that the other is the same user.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from typing import Any

from fluxline import errors
from fluxline.errors import AccessDenied, ConnectionLost, FluxlineError

VERSION = 1
"""Version of the protocol; each side refuses a higher one and names both."""
_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 20


def send_json(peer: socket.socket, value: dict[str, object]) -> None:
    """Send one length and JSON object."""
    data = json.dumps(value).encode()
    peer.sendall(_LENGTH.pack(len(data)) + data)


def receive_json(peer: socket.socket, bytes_max: int) -> dict[str, Any]:
    """Receive one length and JSON object.

    Raises:
        ConnectionLost: FLX-4611, the other side is gone or speaks something else.
    """
    (length,) = _LENGTH.unpack(receive_bytes(peer, _LENGTH.size))
    if length > bytes_max:
        raise unclear(f"A message of {length:,} bytes is longer than the allowed {bytes_max:,}.")
    try:
        value = json.loads(receive_bytes(peer, length))
    except ValueError:
        raise unclear("A message is no JSON.") from None
    if not isinstance(value, dict):
        raise unclear("A message is no JSON object.")
    return value


def receive_bytes(peer: socket.socket, length: int) -> bytes:
    """Receive exactly so many bytes.

    Raises:
        ConnectionLost: FLX-4611, they do not come.
    """
    parts: list[bytes] = []
    while length:
        try:
            part = peer.recv(min(length, _READ_BYTES))
        except TimeoutError:
            raise unclear("It takes too long.") from None
        except OSError as error:
            raise unclear(f"The connection broke: {error.strerror or error}.") from None
        if not part:
            raise unclear("The connection ended in the middle of a message.")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def require_same_user(peer: socket.socket) -> None:
    """Refuse a peer that runs as another user.

    Raises:
        AccessDenied: FLX-4612.
    """
    uid = _peer_uid(peer)
    if uid != os.geteuid():
        raise AccessDenied(
            "FLX-4612",
            f"the other side of the table store's socket is user {uid}, and this is user {os.geteuid()}",
            hint="Ask as the user that runs the pipeline.",
        )


def _peer_uid(peer: socket.socket) -> int:
    if sys.platform == "linux":
        _pid, uid, _gid = struct.unpack("=iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    # struct xucred of the BSDs: version:u32 uid:u32 ..., by LOCAL_PEERCRED (1) of SOL_LOCAL (0)
    _version, uid = struct.unpack_from("=II", peer.getsockopt(0, 1, 76))
    return int(uid)


def require_version(message: dict[str, Any], *, who: str) -> None:
    """Refuse a message of a later protocol.

    Raises:
        ConnectionLost: FLX-4613, with both versions.
    """
    version = message.get("version")
    if version != VERSION:
        raise ConnectionLost(
            "FLX-4613",
            f"the {who} of the table store speaks version {version}, and this version of Fluxline {VERSION}",
            hint="Use the same version of Fluxline on both sides.",
        )


def error_from_json(value: object) -> FluxlineError:
    """The error that the other side raised, of the same class."""
    if not isinstance(value, dict):
        return unclear("Its error is no JSON object.")
    kind = getattr(errors, str(value.get("error")), None)
    if not (isinstance(kind, type) and issubclass(kind, FluxlineError)):
        kind = FluxlineError
    return kind(str(value.get("code")), str(value.get("fact")), detail=str(value.get("detail")), hint=str(value.get("hint")))


def unclear(detail: str) -> ConnectionLost:
    """The error of a message that does not come or cannot be what it is."""
    return ConnectionLost("FLX-4611", "the other side of the table store's socket cannot be understood", detail=detail, hint="Try again.")
