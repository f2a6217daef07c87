"""Ports are free, below those of clients, distinct, and taken again where they are free."""

from __future__ import annotations

import socket

import pytest

from fluxline.errors import ResourceBusy
from fluxline.stack.ports import draw_ports

NAMES = ("kafka", "flink", "flink_query", "flink_metrics")


def test_drawn_ports_can_be_bound_and_are_distinct() -> None:
    drawn = draw_ports(NAMES, "seed", {}, {})
    ports = list(drawn.values())
    assert list(drawn) == list(NAMES)
    assert len(set(ports)) == 4
    assert all(1024 < port < 32_768 for port in ports)
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_a_taken_port_is_drawn_past() -> None:
    first = draw_ports(("kafka",), "seed", {}, {})["kafka"]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", first))
        listener.listen(1)
        assert draw_ports(("kafka",), "seed", {}, {})["kafka"] != first
        assert draw_ports(("kafka",), "other", {}, {"kafka": first})["kafka"] != first
    assert draw_ports(("kafka",), "other", {}, {"kafka": first})["kafka"] == first


def test_a_taken_standard_port_is_refused() -> None:
    port = draw_ports(("kafka",), "seed", {}, {})["kafka"]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(1)
        with pytest.raises(ResourceBusy, match=f"port {port} of 127.0.0.1 is taken") as refused:
            draw_ports(("kafka",), "seed", {"kafka": port}, {})
    assert refused.value.code == "FLX-4301"
    assert draw_ports(("kafka",), "seed", {"kafka": port}, {}) == {"kafka": port}
