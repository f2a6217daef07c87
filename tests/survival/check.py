"""The independent count: what is in topics and tables, against what has to be there."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.survival.records import Outputs, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.survival.servers import Servers

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the count says.

    Attributes:
        records: in the input.
        lost: per output, rows that are not there.
        doubled: per output, rows that are there more often than they should be, or should not be there.
    """

    records: int
    lost: Mapping[str, Counter[Row]]
    doubled: Mapping[str, Counter[Row]]

    def require_clean(self) -> None:
        """Nothing is lost and nothing doubled.

        Raises:
            AssertionError: what is, with some of the rows.
        """
        told = [
            f"{name}: {rows.total()} {what}, such as {list(rows)[:_SHOWN]}"
            for what, counts in (("lost", self.lost), ("doubled", self.doubled))
            for name, rows in counts.items()
            if rows
        ]
        assert not told, "\n".join(told)


def judge(records: int, topic: Counter[Row], sent: Counter[Row], found: Outputs, wanted: Outputs) -> Verdict:
    """Compare the input topic with what was sent, and each output with what it should hold."""
    pairs = {
        "readings": (topic, sent),
        "copies": (found.copies, wanted.copies),
        "totals": (found.totals, wanted.totals),
        "late": (found.late, wanted.late),
        "rejected": (found.rejected, wanted.rejected),
    }
    assert all(each.total() for _, each in pairs.values()), "a drill in which an output is empty shows nothing"
    return Verdict(
        records,
        {name: expected - there for name, (there, expected) in pairs.items()},
        {name: there - expected for name, (there, expected) in pairs.items()},
    )


def read_outputs(servers: Servers, label: str) -> Outputs:
    """The rows of a drill's topics, committed ones only, and of its table, on which all nodes agree."""

    def topic(name: str) -> list[dict[str, Any]]:
        return [json.loads(value) for _, _, value in servers.values(f"{label}.{name}")]

    found = Outputs()
    found.copies.update((row["number"], row["sensor"], row["value"], _ms(row["at"]), row["next"]) for row in topic("copies"))
    found.late.update((row["number"], row["sensor"], row["value"], _ms(row["at"])) for row in topic("late"))
    found.rejected.update((int(row["partition"]), row["position"], row["reason"], base64.b64decode(row["record"])) for row in topic("rejected"))
    rows = servers.rows(label, "SELECT sensor, window_start, window_end, readings, total FROM totals")
    found.totals.update((row[0], _since(row[1]), _since(row[2]), row[3], row[4]) for row in rows)
    return found


def _ms(text: str) -> int:
    return _since(datetime.fromisoformat(text))


def _since(at: datetime) -> int:
    """Milliseconds since 1970; a time without a zone is in UTC."""
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
