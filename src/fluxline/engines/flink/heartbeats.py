"""Heartbeats: records of which a job takes the time and nothing else.

A heartbeat says that its partition expects no row at or before a time. It is any record with the header `HEADER`, which holds
that time: milliseconds since 1970, in digits. It becomes the partition's watermark as it is, whatever the delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.dialect import tree
from fluxline.schema import BIGINT, BYTES, STRING, LogicalType, timestamp

if TYPE_CHECKING:
    from fluxline.plan import nodes

HEADER = "fluxline-heartbeat"
HEADERS, HEARTBEAT = "$headers", "$heartbeat"
"""Hidden columns: the record's headers; the time of a heartbeat, NULL for every other record."""

IS_HEARTBEAT = tree.Spelled("{0} IS NOT NULL", (tree.Name(HEARTBEAT),))
NO_HEARTBEAT = tree.Spelled("{0} IS NULL", (tree.Name(HEARTBEAT),))


def heartbeat_columns(scan: nodes.Scan) -> list[tree.TableColumn]:
    """What the table of a source shows of heartbeats: their time in the type of the event time."""
    assert scan.event_time is not None, "a heartbeat tells of event time"
    text = tree.CastTo(tree.Element(tree.Name(HEADERS), tree.Text(HEADER)), STRING)
    time: tree.Term = tree.Function("TO_TIMESTAMP_LTZ", (tree.CastTo(text, BIGINT), tree.Verbatim("3")))
    if scan.event_time.expression.type.root != "TIMESTAMP_LTZ":
        time = tree.CastTo(time, timestamp(3, local=False))
    headers = LogicalType("MAP", children=(STRING, BYTES))
    return [tree.TableColumn(HEADERS, headers, metadata="headers"), tree.TableColumn(HEARTBEAT, computed=time)]


def or_heartbeat(condition: tree.Term) -> tree.Term:
    """Rows for which the condition holds, and heartbeats."""
    return tree.Spelled("{0} OR {1}", (IS_HEARTBEAT, condition))
