"""One drill: a pipeline runs on several brokers, task managers and nodes, and in the middle of its input something happens.

The moment is a share of the input, drawn from a seed. It counts only if by then checkpoints had completed and brought rows out, and a fifth
of the input was not even in the topic, by the servers' own counters. No metric of ours is asked, neither then nor at the end.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from fluxline.clock import measure_seconds
from fluxline.control.jobs import jobs, stop_job
from fluxline.control.submit import SubmitOptions, submit
from fluxline.errors import ResourceMissing
from fluxline.pipeline.discovery import find_pipelines
from tests.survival.check import Verdict, judge, read_outputs
from tests.survival.feed import Feed
from tests.survival.records import Row, expected, make_records
from tests.survival.servers import Progress, Servers, Watch, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fluxline.plan.nodes import Plan

PARTITIONS = 3
RECORDS = 18_000
FEED_SECONDS = 12.0
UNREAD_SHARE_MIN = 0.2
MOMENTS = (0.3, 0.6)
SETTLE_SECONDS = 180
PIPELINE = '''\
"""Copies of readings, and totals of each sensor in windows of five seconds."""

from datetime import datetime

from fluxline import Pipeline, Schema, col, count, tumble


class Reading(Schema):
    number: int
    sensor: int
    value: int
    at: datetime


drill = Pipeline("drill")
readings = drill.source("readings", schema=Reading, event_time="at", watermark="2 seconds", idle_after="10 minutes")
readings.with_columns(next=col("value") + 1).sink("copies")
totals = readings.window(tumble("5 seconds")).group_by("sensor").agg(readings=count(), total=col("value").sum())
totals.sink("totals", key=["sensor", "window_start"])
totals.late.sink("late")
readings.rejected.sink("rejected")
'''
PROJECT = """\
[project]
name = "drill"
pipelines = ["drill.py"]
default_environment = "stack"

[environments.stack]
engine = "flink"
topics = "kafka"
tables = "cassandra"

[environments.stack.connections.kafka]
connector = "kafka"
bootstrap_servers = {brokers}
topic = "{label}.{{name}}"
format = "json"
delivery_guarantee = "exactly_once"

[environments.stack.connections.cassandra]
connector = "cassandra"
contact_points = ["127.0.0.1", "127.0.0.2"]
port = {cassandra}
keyspace = "{label}"
replication = {{ class = "SimpleStrategy", replication_factor = 2 }}
consistency = "LOCAL_ONE"

[environments.stack.flink]
gateway = "{gateway}"
rest = "{rest}"
checkpoint_interval = "1 second"
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """In what a drill differs from others.

    Attributes:
        by_table: recovered is when rows come to the table again, not to the topic of copies.
        brokers: the addresses at which the pipeline finds brokers; empty for their own.
        feed_seconds: how long the input takes.
        parallelism: of the job, at first.
    """

    by_table: bool = False
    brokers: str = ""
    feed_seconds: float = FEED_SECONDS
    parallelism: int = 2


PLAIN = Setting()


class Drilled(Protocol):
    """Runs a drill and checks it."""

    def __call__(self, happens: Callable[[Drill], None], setting: Setting = PLAIN) -> None: ...


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was seen behind the moment.

    Attributes:
        output_seconds: from what happened to the first output that was not there: a committed copy of a record that was sent after it, or
            the first rows that workers brought to their table.
        pause_seconds: the longest time in which no copy was committed.
        silence_seconds: the longest time in which the brokers acknowledged nothing to the producer.
    """

    output_seconds: float
    pause_seconds: float
    silence_seconds: float


class Drill:
    """A running pipeline, and what is known of it.

    Args:
        servers: of the stack.
        directory: for the project; made.
        label: begins the names of its topics, and is its keyspace.
        seed: draws the records and the moment.
        setting: in what it differs from others.

    Attributes:
        job_id: of Flink.
        feed: what sends the records.
        plan: the pipeline.
        since: when it happened, or what it counts from.
    """

    def __init__(self, servers: Servers, directory: Path, label: str, seed: int, setting: Setting = PLAIN) -> None:
        self.servers, self.directory, self.label, self.seed, self.setting = servers, directory, label, seed, setting
        stack = servers.stack
        directory.mkdir()
        (directory / "drill.py").write_text(PIPELINE, encoding="utf-8")
        brokers, port = json.dumps((setting.brokers or stack.kafka.bootstrap).split(",")), stack.ports["cassandra"]
        text = PROJECT.format(brokers=brokers, label=label, cassandra=port, gateway=stack.flink.gateway, rest=stack.flink.rest)
        (directory / "fluxline.toml").write_text(text, encoding="utf-8")
        (pipeline,) = find_pipelines(str(directory / "drill.py"))
        self.plan: Plan = pipeline._plan()
        self.job_id = ""
        servers.make_topic(self.topic("readings"), PARTITIONS)
        self.feed = Feed(stack.kafka.bootstrap, self.topic("readings"), make_records(RECORDS, seed), setting.feed_seconds, PARTITIONS)
        self.since, self._sent = 0.0, 0

    def topic(self, name: str) -> str:
        """The topic of a source, a sink or, as `drill.totals`, a relay."""
        return f"{self.label}.{name}"

    def submit(self, parallelism: int | None = None) -> None:
        """Start the job, or go on from its savepoint."""
        overrides = (f"flink.parallelism={parallelism or self.setting.parallelism}",)
        self.job_id = submit(self.plan, self.directory, options=SubmitOptions(overrides=overrides)).job_id

    def run(self, happens: Callable[[Drill], None]) -> tuple[Verdict, Recovery]:
        """Start, feed, let it happen at the moment, wait until everything is through, stop with a drain, and count."""
        try:
            return self._run(happens)
        except BaseException:
            self.feed.stop()
            with suppress(ResourceMissing):  # It was not submitted.
                stop_job("drill", self.directory, cancel=True)  # It would hold slots that the next one needs.
            raise

    def mark(self) -> None:
        """From now on it counts how long the outputs take; at first it is the moment itself."""
        self.since, self._sent = measure_seconds(), self.feed.sent

    def _run(self, happens: Callable[[Drill], None]) -> tuple[Verdict, Recovery]:
        self.submit()
        until(lambda: self.servers.checkpoints(self.job_id) > 0, SETTLE_SECONDS, "the first checkpoint completes")
        copies = Watch(self.servers.stack.kafka.bootstrap, self.topic("copies"), lambda line: int(json.loads(line)["number"]))
        table = Progress(partial(self.servers.committed, self._group()))
        try:
            sound = {record.number for record in self.feed.records if not record.broken}
            self.feed.start()
            first = {number for number in sound if number < self.feed.first}
            until(lambda: first <= copies.came_at.keys(), SETTLE_SECONDS, "the first records are through")
            self.feed.go_on()
            self._await_moment()
            self.mark()
            happens(self)
            self.feed.wait()
            until(lambda: sound <= copies.came_at.keys(), SETTLE_SECONDS, "every record is through")
            until(lambda: table.grew_at(self.since) is not None, SETTLE_SECONDS, "more rows are in the table")
        finally:
            copies.close()
            table.close()
        recovered = table.grew_at(self.since) if self.setting.by_table else copies.first_from(self._sent)
        assert recovered is not None
        recovery = Recovery(recovered - self.since, copies.pause_seconds(self.since), self.feed.silence_seconds(self.since))
        stop_job("drill", self.directory, drain=True)
        return self._judge(), recovery

    def _await_moment(self) -> None:
        """Wait for the moment; it counts only if enough is done, and enough is left.

        Raises:
            AssertionError: it does not count.
        """
        moment = random.Random(self.seed).uniform(*MOMENTS)
        until(lambda: len(self.feed.acknowledged_at) >= moment * RECORDS, SETTLE_SECONDS, f"{moment:.0%} of the input is sent")
        assert self.servers.checkpoints(self.job_id) > 0
        assert self.servers.ends(self.topic("copies")) > 0
        unread = RECORDS - self.servers.ends(self.topic("readings"))
        assert unread >= UNREAD_SHARE_MIN * RECORDS, f"only {unread} of {RECORDS} records are not in the topic yet"

    def _group(self) -> str:
        """The consumer group of the workers that write the table."""
        (status,) = jobs(self.directory)
        return next(relay.group for relay in status.deployment.relays if relay.sink == "totals")

    def _judge(self) -> Verdict:
        topic = Counter[Row]((number, offset, value) for number, offset, value in self.servers.values(self.topic("readings")))
        sent = Counter[Row](
            (number, offset, record.line()) for number, records in enumerate(self.feed.partitioned) for offset, record in enumerate(records)
        )
        return judge(RECORDS, topic, sent, read_outputs(self.servers, self.label), expected(self.feed.partitioned))
