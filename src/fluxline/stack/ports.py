"""Ports of 127.0.0.1 that are free, below those that the kernel hands to clients."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fluxline.errors import ResourceBusy

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000
_HIGHEST = 32_767  # Linux hands out 32768 and up to clients: one of them could hold a port in the moment when a server wants it.


def draw_ports(names: tuple[str, ...], seed: str, wanted: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name.

    Args:
        names: what needs a port.
        seed: where the draw begins; other seeds give other ports.
        wanted: ports that must be as they are.
        earlier: ports that are taken again if they are free.

    Raises:
        ResourceBusy: FLX-4301, a wanted port is taken.
    """
    generator = random.Random(seed)
    drawn: dict[str, int] = {}
    with ExitStack() as bound:  # All are held until the last is drawn, so that none is drawn twice.
        for name in names:
            if name in wanted:
                if not _bind(bound, wanted[name]):
                    raise ResourceBusy(
                        "FLX-4301",
                        f"port {wanted[name]} of {LOOPBACK} is taken",
                        detail=f"It is the standard port of {name}, and another process listens there.",
                        hint="Stop that process, or leave out --standard-ports: then free ones are taken.",
                    )
                drawn[name] = wanted[name]
                continue
            port = earlier.get(name, 0)
            while not port or not _bind(bound, port):
                port = generator.randrange(_LOWEST, _HIGHEST)
            drawn[name] = port
    return drawn


def _bind(bound: ExitStack, port: int) -> bool:
    """Hold a port on all addresses; False if it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Closed connections of an earlier server do not count.
    try:
        listener.bind(("", port))
        listener.listen(1)
    except OSError:
        listener.close()
        return False
    bound.enter_context(listener)
    return True
