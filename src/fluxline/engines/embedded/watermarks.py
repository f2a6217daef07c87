"""Watermarks: how event times move them, per partition; which partitions hold them back; what is known before each row.

A partition's watermark is its largest event time less the delay. The source's is the least over its partitions that
are neither idle nor finished, and it never goes back. A partition that was not opened yet holds nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import MIN_WATERMARK

if TYPE_CHECKING:
    from fluxline.batch import Int64s
    from fluxline.plan.nodes import WatermarkStrategy


@dataclass(slots=True)
class PartitionWatermark:
    """What is known of one partition's time.

    Attributes:
        watermark: no row at or before it is expected, in ms.
        silent_since_ms: when the partition was first polled in vain since its last record, by the monotonic clock.
        idle: silent for so long that it no longer holds the source's watermark back.
    """

    watermark: int = MIN_WATERMARK
    silent_since_ms: int | None = None
    idle: bool = False

    def take(self, times_ms: Int64s, strategy: WatermarkStrategy) -> Int64s:
        """Move by the event times of rows, in their order; returns the watermark before each of them."""
        reached = np.maximum.accumulate(times_ms - strategy.effective_delay_ms)
        after = np.maximum(reached, self.watermark)
        before = np.empty(len(times_ms), dtype=np.int64)
        before[0] = self.watermark
        before[1:] = after[:-1]
        self.watermark = int(after[-1])
        return before

    def heard(self) -> None:
        """A record came."""
        self.silent_since_ms = None
        self.idle = False

    def silent(self, monotonic_ms: int, strategy: WatermarkStrategy) -> None:
        """A poll found nothing."""
        if self.silent_since_ms is None:
            self.silent_since_ms = monotonic_ms
        elif strategy.idle_after_ms is not None and monotonic_ms - self.silent_since_ms > strategy.idle_after_ms:
            self.idle = True


class SourceWatermark:
    """The watermark of a whole source."""

    def __init__(self) -> None:
        self.watermark = MIN_WATERMARK

    def combine(self, partitions: list[PartitionWatermark]) -> int:
        """The source's watermark, given its partitions that are open and not finished.

        When every one of them is idle, or none is open, nothing moves.
        """
        active = [partition.watermark for partition in partitions if not partition.idle]
        if active:
            self.watermark = max(self.watermark, min(active))
        return self.watermark

    def before(self, own: Int64s, others: list[PartitionWatermark]) -> Int64s:
        """The source's watermark before each row of one partition, given that partition's own and the others, which stand still meanwhile."""
        active = [partition.watermark for partition in others if not partition.idle]
        return np.maximum(np.minimum(own, min(active)) if active else own, self.watermark)

    def known(self) -> int | None:
        """The watermark in ms, or None before the first."""
        return None if self.watermark == MIN_WATERMARK else self.watermark
