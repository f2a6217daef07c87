"""What feeds a drill: an idempotent producer that waits for all replicas, at a steady rate, in a thread of its own."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from fluxline.clock import SystemClock, measure_seconds
from tests.survival.servers import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.survival.records import Record

DELIVERY_SECONDS = 300
FIRST_PART = 10  # One in so many records is sent at once.


class Feed:
    """Sends records, and keeps when the brokers acknowledged them.

    Args:
        bootstrap: the addresses of brokers.
        topic: where records go.
        records: what is sent.
        seconds: how long the sending takes, behind the first of them.
        partitions: of the topic; the sensor decides which.

    Attributes:
        first: how many are sent at once.
        sent: how many records were handed to the producer.
        acknowledged_at: when each acknowledgement came, in the order in which they came.
        partitioned: the records of each partition, in their order.
    """

    def __init__(self, bootstrap: str, topic: str, records: Sequence[Record], seconds: float, partitions: int) -> None:
        self.records, self.seconds, self.partitions = records, seconds, partitions
        self.first = len(records) // FIRST_PART
        self.sent = 0
        self.acknowledged_at: list[float] = []
        self.partitioned: list[list[Record]] = [[] for _ in range(partitions)]
        self._topic = topic
        self._failed: list[str] = []
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5}
        self._producer = Producer({**settings, "delivery.timeout.ms": 1_000 * DELIVERY_SECONDS})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopping, self._warm = threading.Event(), threading.Event()

    def start(self) -> None:
        """Send the first records at once, for the job to get warm."""
        self._thread.start()

    def go_on(self) -> None:
        """Send the others, at a steady rate."""
        self._warm.set()

    def wait(self) -> None:
        """Wait until the brokers have taken the last record, and every one."""
        self._thread.join(DELIVERY_SECONDS + self.seconds)
        assert not self._thread.is_alive(), f"{len(self.acknowledged_at)} of {len(self.records)} records are in the topic"
        assert self._failed == []
        assert len(self.acknowledged_at) == len(self.records)

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping.set()

    def use_partitions(self, count: int) -> None:
        """Send what is still to come to so many partitions; the brokers tell of them first."""
        until(lambda: len(self._producer.list_topics(self._topic, timeout=10).topics[self._topic].partitions) == count, 30, "partitions are told")
        self.partitioned += [[] for _ in range(count - self.partitions)]
        self.partitions = count

    def silence_seconds(self, since: float) -> float:
        """The longest time without an acknowledgement, from this moment on."""
        times = [since, *(at for at in self.acknowledged_at if at > since)]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def _run(self) -> None:
        clock = SystemClock()
        self._send(self.first)
        while not self._warm.is_set() and not self._stopping.is_set():
            self._producer.poll(0.1)
        began, rest = measure_seconds(), len(self.records) - self.first
        while self.sent < len(self.records) and not self._stopping.is_set():
            self._send(min(len(self.records), self.first + int(rest * (measure_seconds() - began) / self.seconds) + 1))
            self._producer.poll(0)
            clock.wait(self._stopping, 10)
        self._producer.flush(DELIVERY_SECONDS)

    def _send(self, end: int) -> None:
        for record in self.records[self.sent : end]:
            partition = record.sensor % self.partitions
            self.partitioned[partition].append(record)
            self._producer.produce(self._topic, record.line(), partition=partition, on_delivery=self._acknowledge)
        self.sent = end

    def _acknowledge(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failed.append(error.str())
        else:
            self.acknowledged_at.append(measure_seconds())
