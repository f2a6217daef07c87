"""Who is late, decided once, from the record's own partition, in front of the window: used + late is what was read.

    late(row) = end of its window - 1 <= largest event time of its partition - delay, or <= the operator's watermark

The second half catches the row of a partition that was idle. The window then drops nothing on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.dialect import tree
from fluxline.engines.flink.heartbeats import HEARTBEAT, IS_HEARTBEAT
from fluxline.engines.flink.key_groups import spread_keys
from fluxline.schema import timestamp

if TYPE_CHECKING:
    from fluxline.plan import nodes
    from fluxline.plan.node import TimeAttribute
    from fluxline.plan.window import Window

SEEN, ARRIVED, PARTITION = "$seen", "$arrived", "$partition"
"""Hidden columns: the largest event time of the row's partition so far, the time of arrival, the partition."""


def milliseconds(value: tree.Term) -> tree.Term:
    """A time as BIGINT; TIMESTAMPDIFF would overflow an INT without a word."""
    return tree.Spelled("EXTRACT(EPOCH FROM {0}) * 1000 + EXTRACT(MILLISECOND FROM {0})", (value,))


def seen(scan: nodes.Scan, partitions: int | None, *, beats: bool) -> tree.Item:
    """The largest event time of the row's partition, the row included; known partitions are spread over the subtasks.

    A heartbeat (where there are any: `beats`) counts as the row that would give its watermark.
    """
    assert scan.event_time is not None and scan.strategy is not None
    # The cast: a time attribute cannot be aggregated as such.
    local = scan.event_time.expression.type.root == "TIMESTAMP_LTZ"
    value: tree.Term = tree.CastTo(tree.Name(scan.event_time.name), timestamp(3, local=local))
    if beats:
        reached = tree.Spelled("{0} + {1}", (tree.Name(HEARTBEAT), tree.Interval(scan.strategy.effective_delay_ms)))
        value = tree.CaseOf(((IS_HEARTBEAT, reached),), value)
    return tree.Item(tree.RunningMaximum(value, _spread(partitions), tree.Name(ARRIVED)), SEEN)


def _spread(partitions: int | None) -> tree.Term:
    """What stands for a partition as the key of its maximum."""
    keys = () if partitions is None else spread_keys(partitions)
    if not keys:
        return tree.Name(PARTITION)
    branches = tuple(
        (tree.Spelled("{0} = {1}", (tree.Name(PARTITION), tree.Verbatim(str(number)))), tree.Verbatim(str(key))) for number, key in enumerate(keys)
    )
    # A partition that comes later must not meet a chosen key: it gets a number below zero.
    return tree.CaseOf(branches, tree.Spelled("-1 - {0}", (tree.Name(PARTITION),)))


def is_late(time: TimeAttribute, window: Window) -> tree.Term:
    """Whether the row's only window is closed."""
    at = milliseconds(tree.Name(time.column))
    size, offset = tree.Verbatim(str(window.size_ms)), tree.Verbatim(str(window.offset_ms))
    # MOD keeps the sign; added once more it is right for times before 1970 too.
    into_window = tree.Spelled("MOD(MOD({0} - {1}, {2}) + {2}, {2})", (at, offset, size))
    last = tree.Spelled("{0} - {1} + {2} - 1", (at, into_window, size))
    own = tree.Spelled("{0} <= {1} - {2}", (last, milliseconds(tree.Name(SEEN)), tree.Verbatim(str(time.strategy.effective_delay_ms))))
    watermark = tree.Function("CURRENT_WATERMARK", (tree.Name(time.column),))
    operators = tree.Spelled("{0} IS NOT NULL AND {1} <= {2}", (watermark, last, milliseconds(watermark)))
    return tree.Spelled("{0} OR {1}", (own, operators))
