"""Connectors for tests that steer a running job: a source that counts its reads, sinks that block or break."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import Batch, Column
from fluxline.connectors.base import Connector, Rows, Written
from fluxline.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.connectors.base import SinkContext, SourceContext
    from fluxline.formats.base import Encoded

ROWS = 100  # of one batch
EACH_MS = 1_000  # between two rows
BEGIN_MS = 1_717_718_400_000  # 2024-06-07T00:00Z


class Steering:
    """What a test says and learns; `reset` before use."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As at the start."""
        self.gate = threading.Event()
        self.reads = 0
        self.closed = False
        self.reads_after_close = 0
        self.blocked = threading.Event()


STEERING = Steering()


class EndlessOptions(Options):
    """How the source ends."""

    break_at: int = option("Read that fails; -1: none.", default=-1)
    pause_ms: int = option("How long one read takes.", default=0)


class EndlessSource:
    """One partition of readings in order, without end."""

    bounded = False
    rewindable = True

    def __init__(self, context: SourceContext) -> None:
        assert isinstance(context.options, EndlessOptions)
        self.options = context.options
        self.names = context.schema.names()

    def partitions(self) -> Sequence[str]:
        return ("only",)

    def open(self, partition: str, position: int | None) -> EndlessReader:
        return EndlessReader(self, position or 0)

    def close(self) -> None:
        STEERING.closed = True


class EndlessReader:
    """Makes one batch per read."""

    def __init__(self, source: EndlessSource, position: int) -> None:
        self._source = source
        self._position = position

    def read(self) -> Rows:
        if self._source.options.pause_ms:
            threading.Event().wait(self._source.options.pause_ms / 1_000)
        STEERING.reads += 1
        STEERING.reads_after_close += STEERING.closed
        if STEERING.reads == self._source.options.break_at:
            raise RuntimeError("the source broke")
        start = self._position
        numbers = np.arange(start, start + ROWS, dtype=np.int64)
        columns = {
            "sensor_id": Column(numbers % 7),
            "temperature": Column(20.0 + numbers % 10),
            "humidity": Column(np.full(ROWS, 40.0)),
            "timestamp": Column((BEGIN_MS + numbers * EACH_MS).astype("datetime64[ms]")),
        }
        self._position += ROWS
        return Rows(Batch({name: columns[name] for name in self._source.names}, ROWS), start)

    def position(self) -> int:
        return self._position

    def close(self) -> None:
        STEERING.closed = True


class SinkOptions(Options):
    """What goes wrong."""

    fault: str = option("What the sink does.", choices=("block", "write", "flush", "prepare", "commit", "close"))


class FaultySink:
    """Takes rows, unless it blocks until the gate opens or breaks where it is told to."""

    def __init__(self, context: SinkContext) -> None:
        assert isinstance(context.options, SinkOptions)
        self._fault = context.options.fault

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        if self._fault == "block":
            STEERING.blocked.set()
            STEERING.gate.wait()
        self._may_break("write")
        return Written(batch.rows)

    def flush(self) -> None:
        self._may_break("flush")

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        self._may_break("prepare")
        return {}

    def commit(self, receipt: Mapping[str, object]) -> None:
        self._may_break("commit")

    def close(self) -> None:
        self._may_break("close")

    def _may_break(self, where: str) -> None:
        if self._fault == where:
            raise RuntimeError(f"the sink broke in {where}")


ENDLESS = Connector("endless", "Readings without end.", EndlessOptions, EndlessSource, None, takes_format=False)
FAULTY = Connector("faulty", "A sink that blocks or breaks.", SinkOptions, None, FaultySink, takes_format=False)
