"""What drills stand on: the plain loop, the count, the link and the page, each with an answer that is worked out by hand."""

from __future__ import annotations

import json
import socket
from collections import Counter

import pytest
from tools.survival import page, versions

from fluxline.clock import new_identity
from fluxline.stack.ports import LOOPBACK, draw_ports
from tests.survival.check import judge
from tests.survival.link import Link
from tests.survival.records import BEGIN, DELAY_MS, JITTER_MS, Outputs, Record, Row, expected, make_records

BEGIN_MS = round(BEGIN.timestamp() * 1_000)


def test_the_loop_gives_what_is_worked_out_by_hand() -> None:
    """Windows of five seconds, and a watermark two seconds behind: one that is just in time, one just late, one broken."""
    first = [
        Record(0, 1, 10, BEGIN_MS),
        Record(1, 1, 20, BEGIN_MS + 6_998),  # The watermark is 4,998: the first window is open until it is 4,999.
        Record(2, 1, 30, BEGIN_MS + 4_999),
        Record(3, 1, 40, BEGIN_MS + 6_999),
        Record(4, 1, 50, BEGIN_MS + 4_999),
        Record(5, 1, 60, BEGIN_MS + 99_000, "missing"),  # It moves no watermark.
        Record(6, 1, 70, BEGIN_MS + 5_000),
    ]
    second = [Record(7, 2, 80, BEGIN_MS)]  # A partition has a watermark of its own.
    outputs = expected([first, second])
    start, middle, end = BEGIN_MS, BEGIN_MS + 5_000, BEGIN_MS + 10_000
    assert outputs.totals == Counter[Row]([(1, start, middle, 2, 40), (1, middle, end, 3, 130), (2, start, middle, 1, 80)])
    assert outputs.late == Counter[Row]([(4, 1, 50, BEGIN_MS + 4_999)])
    assert outputs.rejected == Counter[Row]([(0, 5, "missing", b'{"number": 5, "sensor": 1, "at": "2026-03-01T00:01:39.000Z"}')])
    assert sorted(int(str(row[0])) for row in outputs.copies) == [0, 1, 2, 3, 4, 6, 7]
    assert outputs.copies[4, 1, 50, BEGIN_MS + 4_999, 51] == 1


def test_records_are_the_same_again_and_each_kind_is_among_them() -> None:
    """Only planted records are late: jitter is less than the delay."""
    records = make_records(5_000, 1)
    assert records == make_records(5_000, 1) != make_records(5_000, 2)
    assert 2 * JITTER_MS < DELAY_MS
    assert {record.broken for record in records} == {"", "malformed", "wrong_type", "missing"}
    outputs = expected([[record for record in records if record.sensor % 3 == partition] for partition in range(3)])
    assert 0 < outputs.late.total() < 20
    for record in records:
        if record.broken == "malformed":
            with pytest.raises(ValueError, match="delimiter"):
                json.loads(record.line())
        else:
            json.loads(record.line())


def test_the_count_finds_a_lost_row_a_doubled_one_and_a_wrong_one() -> None:
    """A row that is another than it should be is lost and, as what it is, too many."""
    wanted = expected([[Record(0, 1, 10, BEGIN_MS + 60_000), Record(1, 1, 20, BEGIN_MS), Record(2, 1, 30, BEGIN_MS, "missing")]])
    topic = Counter[Row]([(0, 0, b"a")])
    judge(3, topic, topic, wanted, wanted).require_clean()
    (copy, other), (late,), (total,), (rejected,) = wanted.copies, wanted.late, wanted.totals, wanted.rejected
    wrong = (*total[:3], 7, 8)
    found = Outputs(Counter([copy, copy]), Counter([wrong]), Counter([late]), Counter([rejected]))
    verdict = judge(3, topic, topic, found, wanted)
    assert verdict.lost == {"readings": Counter(), "copies": Counter([other]), "totals": Counter([total]), "late": Counter(), "rejected": Counter()}
    assert verdict.doubled["copies"] == Counter([copy])
    assert verdict.doubled["totals"] == Counter([wrong])
    with pytest.raises(AssertionError, match="copies: 1 lost"):
        verdict.require_clean()
    with pytest.raises(AssertionError, match="shows nothing"):
        judge(3, topic, topic, found, Outputs())


def test_a_cut_link_is_silent_and_goes_on_where_it_was() -> None:
    """Neither end sees the connection end, a new one has no answer, and nothing is lost."""
    ports = draw_ports(("client", "server"), new_identity(), {}, {})
    with socket.create_server((LOOPBACK, ports["server"])) as listener:
        link = Link([(ports["client"], ports["server"])])
        assert link.bootstrap == f"{LOOPBACK}:{ports['client']}"
        with socket.create_connection((LOOPBACK, ports["client"]), timeout=5) as client:
            server, _address = listener.accept()
            server.settimeout(5)
            client.sendall(b"one")
            assert server.recv(100) == b"one"
            link.cut()
            client.sendall(b"two")
            server.settimeout(0.3)
            with pytest.raises(TimeoutError):
                server.recv(100)
            with socket.create_connection((LOOPBACK, ports["client"]), timeout=5):
                listener.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    listener.accept()
                link.heal()
                listener.settimeout(5)
                listener.accept()[0].close()
            server.settimeout(5)
            assert server.recv(100) == b"two"
            server.sendall(b"back")
            assert client.recv(100) == b"back"
            assert link.carried == 10
            server.close()
            assert client.recv(100) == b""
        link.close()


def test_the_page_sums_up_the_notes() -> None:
    """Two moments of a drill and one of another."""
    note = {"records": 18_000, "lost": 0, "doubled": 0, "pause_seconds": 1.1, "silence_seconds": 0.1}
    notes = [
        {**note, "drill": "node_killed", "seed": 1, "output_seconds": 1.26},
        {**note, "drill": "leader_killed", "seed": 1, "output_seconds": 2.0, "silence_seconds": 2.04},
        {**note, "drill": "leader_killed", "seed": 2, "output_seconds": 3.0, "doubled": 1},
    ]
    text = page(notes, "The machine: 2 cores")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "| the broker that leads a partition is killed | 2 | 36,000 | 0 | 1 | 2.5 s | 3.0 s | 1.1 s | 2.0 s |",
        "| a Cassandra node is killed and started while rows come in | 1 | 18,000 | 0 | 0 | 1.3 s | 1.3 s | 1.1 s | 0.1 s |",
    ]
    assert "3 runs of 2 drills, each at 1 to 2 moments" in text
    assert all(version in text for version in versions().values())
