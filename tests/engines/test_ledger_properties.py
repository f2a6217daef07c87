"""Random pipelines, rows, interleavings, clock moves and restarts: the ledger balances after every step, and windows hold what they must."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxline import Pipeline, Stream, col, count, tumble
from fluxline.plan import nodes
from fluxline.testing import Drive
from tests.planner.pipelines import SCHEMA, pipelines, rows

if TYPE_CHECKING:
    import polars as pl

    from fluxline.testing import Driven
    from tests.planner.pipelines import Made

NOW = "2024-06-07T12:00Z"
UNKNOWN = -(2**63)  # The watermark of a partition that has given nothing.

# One step of a run: rows for a source and partition, time that passes, a heartbeat, or a restart.
steps = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 1), st.integers(0, 1), rows.filter(bool)),
    st.tuples(st.just("push"), st.integers(0, 1), st.integers(0, 1), rows.filter(bool)),
    st.tuples(st.just("clock"), st.integers(0, 90)),
    st.tuples(st.just("watermark"), st.integers(0, 59)),
    st.tuples(st.just("restart")),
)


def without_threes(frame: pl.DataFrame) -> pl.DataFrame:
    """A user's function that raises for some rows and leaves others out."""
    if (frame["id"] == 3).any():
        raise ValueError("three")
    return frame.filter(frame["id"] != 2)


@given(pipelines(), st.lists(steps, min_size=1, max_size=7))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_ledger_balances_after_every_step(made: Made, todo: list[tuple[Any, ...]]) -> None:
    """Whatever the pipeline; and the sources have read what they were given."""
    mapped = made.streams[0].map_batches(without_threes, schema=SCHEMA)
    mapped.sink("mapped")
    mapped.rejected.sink("not_mapped")
    sources = [stream for stream in made.streams if isinstance(stream._node, nodes.Scan)]
    run = Drive()(made.pipeline, partitions=2, now=NOW)
    read = {scan.source for scan in run._plan.scans()}
    pushed: Counter[str] = Counter()
    for step in [*todo, ("finish",)]:
        if step[0] == "push":
            source = sources[step[1] % len(sources)]
            assert isinstance(source._node, nodes.Scan)
            if source._node.source in read:
                run.push(source, step[3], partition=step[2])
                pushed[source._node.source] += len(step[3])
        else:
            act(run, step)
        report = run.report
        assert report.imbalances() == []
        assert {name: report.operators[name].read for name in read} == {name: pushed[name] for name in read}
    held = {name: ledger.held for name, ledger in run.report.operators.items() if ledger.held}
    assert held == {}, "the input has ended and rows are held"


def act(run: Driven, step: tuple[Any, ...]) -> None:
    """A step that pushes nothing."""
    if step[0] == "clock":
        run.advance_clock(timedelta(seconds=step[1]))
    elif step[0] == "watermark":
        run.advance_watermark(f"2024-06-07T11:{step[1]:02}Z")
    elif step[0] == "restart":
        run.restart()
    else:
        run.finish()


@dataclass(frozen=True)
class Click:
    """One row: its time in ms from the epoch of the test, which lies on no bound of a window."""

    at: int
    user: str | None
    amount: int | None

    def as_row(self) -> dict[str, Any]:
        """As a source takes it."""
        return {"user": self.user, "amount": self.amount, "at": EPOCH + timedelta(milliseconds=self.at)}


EPOCH = datetime(1969, 12, 31, 23, 59, 30, tzinfo=UTC)  # Windows before and after 1970.
EPOCH_MS = -30_000


@dataclass(frozen=True)
class Windowed:
    """A windowed aggregate over one or two sources.

    Attributes:
        delays: of the watermark of each source, in seconds.
        size: of the windows, in seconds.
        offset: of the windows, in seconds.
        least: rows with a smaller amount, or none, are filtered; None: no filter.
        by_user: whether there is a key.
    """

    delays: tuple[int, ...]
    size: int
    offset: int
    least: int | None
    by_user: bool

    def build(self, *, idle_after: str | None) -> tuple[Pipeline, list[Stream], Stream]:
        """The pipeline, its sources and the aggregate."""
        pipeline = Pipeline("windows")
        schema = {"user": "STRING", "amount": "INT", "at": "TIMESTAMP_LTZ(3) NOT NULL"}
        sources = [
            pipeline.source(f"clicks_{index}", schema=schema, event_time="at", watermark=f"{delay} seconds", idle_after=idle_after)
            for index, delay in enumerate(self.delays)
        ]
        stream = sources[0] if len(sources) == 1 else sources[0].union_all(sources[1])
        if self.least is not None:
            stream = stream.filter(col("amount") >= self.least)
        window = stream.window(tumble(timedelta(seconds=self.size), offset=timedelta(seconds=self.offset)))
        amount = col("amount")
        counts = window.group_by(*(["user"] if self.by_user else [])).agg(
            n=count(), amounts=amount.count(), total=amount.sum(), mean=amount.avg(), most=amount.max(), even=count().filter(amount % 2 == 0)
        )
        counts.sink("counts")
        counts.late.sink("late")
        return pipeline, sources, counts

    def window_of(self, click: Click) -> tuple[int, int]:
        """Start and end of a row's window, in ms from the test's epoch."""
        size, at = self.size * 1000, click.at + EPOCH_MS
        start = self.offset * 1000
        while start > at:
            start -= size
        while start + size <= at:
            start += size
        return start - EPOCH_MS, start + size - EPOCH_MS

    def touching(self, source: int, click: Click, missed_by: int) -> Click:
        """A row that brings its partition's watermark to the last millisecond of another row's window, less so much."""
        return Click(self.window_of(click)[1] - 1 + max(1, self.delays[source] * 1000) - missed_by, "ann", 2)

    def passes(self, click: Click) -> bool:
        """Whether a row passes the filter."""
        return self.least is None or (click.amount is not None and click.amount >= self.least)


windowed = st.integers(4, 12).flatmap(
    lambda size: st.builds(
        Windowed,
        delays=st.sampled_from(((1,), (0,), (3,), (9,), (1, 3), (9, 0))),
        size=st.just(size),
        offset=st.integers(1 - size, size - 1),
        least=st.sampled_from((None, None, 2)),
        by_user=st.booleans(),
    )
)
clicks = st.lists(
    st.builds(
        Click,
        at=st.integers(0, 30).map(lambda second: second * 1000 - 1) | st.integers(0, 60).map(lambda half: half * 500) | st.integers(0, 30_000),
        user=st.sampled_from(("ann", "bob", None)),
        amount=st.sampled_from((1, 2, 3, -5, None)),
    ),
    min_size=1,
    max_size=6,
)
pushes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), clicks, st.booleans()), min_size=1, max_size=10)
touches = st.lists(st.sampled_from((None, 0, 1)), min_size=10, max_size=10)  # By how many ms the end of a window is just missed.


@dataclass
class Model:
    """What a windowed aggregate must hold, one row after the other, without any of the engine's code."""

    shape: Windowed
    partitions: int
    watermarks: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(lambda: UNKNOWN))
    groups: dict[tuple[int, int, str | None], list[Click]] = field(default_factory=lambda: defaultdict(list))
    late: list[Click] = field(default_factory=list)

    def take(self, source: int, partition: int, click: Click) -> None:
        """Judge one row by the watermark of its partition before it, and move that."""
        before = self.watermarks[source, partition]
        self.watermarks[source, partition] = max(before, click.at - max(1, self.shape.delays[source] * 1000))
        if not self.shape.passes(click):
            return
        start, end = self.shape.window_of(click)
        if end - 1 <= before:
            self.late.append(click)
        else:
            self.groups[start, end, click.user if self.shape.by_user else None].append(click)

    def emitted(self, *, all_closed: bool) -> list[tuple[Any, ...]]:
        """The rows of every window that is closed now, sorted by their text."""
        everywhere = [self.watermarks[source, part] for source in range(len(self.shape.delays)) for part in range(self.partitions)]
        found = []
        for (start, end, user), members in self.groups.items():
            if all_closed or end - 1 <= min(everywhere):
                found.append((user, start, end, *measured(members)))
        return sorted(found, key=repr)


def measured(members: list[Click]) -> tuple[int | None, ...]:
    """COUNT(*), COUNT, SUM, AVG (cut off toward zero), MAX of the amounts, and how many are even."""
    amounts = [click.amount for click in members if click.amount is not None]
    total = sum(amounts) if amounts else None
    mean = None if total is None else abs(total) // len(amounts) * (1 if total >= 0 else -1)
    return len(members), len(amounts), total, mean, max(amounts, default=None), sum(amount % 2 == 0 for amount in amounts)


def emitted_rows(run: Driven, shape: Windowed, counts: Stream) -> list[tuple[Any, ...]]:
    """The engine's rows in the model's form."""
    origin = EPOCH.replace(tzinfo=None)
    found = []
    for row in run.rows(counts):
        bounds = [(row[name] - origin) // timedelta(milliseconds=1) for name in ("window_start", "window_end")]
        measures = [row[name] for name in ("n", "amounts", "total", "mean", "most", "even")]
        found.append((row["user"] if shape.by_user else None, *bounds, *measures))
    return sorted(found, key=repr)


def late_rows(run: Driven, counts: Stream) -> list[Click]:
    """The rows of the late output."""
    return [Click((row["at"] - EPOCH) // timedelta(milliseconds=1), row["user"], row["amount"]) for row in run.rows(counts.late)]


@given(windowed, st.sampled_from((1, 1, 2, 3)), pushes, touches)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_windows_hold_what_a_model_computes(
    shape: Windowed, partitions: int, todo: list[tuple[int, int, list[Click], bool]], touching: list[int | None]
) -> None:
    """After every step, whatever the batches, interleaving and restarts: rows are judged by their own partition alone."""
    pipeline, sources, counts = shape.build(idle_after=None)
    run, model = Drive()(pipeline, partitions=partitions, now="1970-01-01T00:00Z"), Model(shape, partitions)
    run.rows(counts)
    run.rows(counts.late)  # asked for before the first row, so that nothing is done again
    for (number, partition, clicked, restart), touch in zip(todo, touching, strict=False):
        source, part = number % len(sources), partition % partitions
        batch = clicked if touch is None else [*clicked, shape.touching(source, clicked[-1], touch)]
        run.push(sources[source], [click.as_row() for click in batch], partition=part)
        for click in batch:
            model.take(source, part, click)
        if restart:
            run.restart()
        assert emitted_rows(run, shape, counts) == model.emitted(all_closed=False)
        assert run.report.imbalances() == []
    run.finish()
    assert emitted_rows(run, shape, counts) == model.emitted(all_closed=True)
    assert sorted(late_rows(run, counts), key=repr) == sorted(model.late, key=repr)
    assert run.report.late == len(model.late)


@given(windowed, pushes, st.lists(st.integers(0, 40), min_size=10, max_size=10))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_idleness_makes_rows_late_and_loses_none(shape: Windowed, todo: list[tuple[int, int, list[Click], bool]], waits: list[int]) -> None:
    """A partition that went idle may find its windows closed: each of its rows is late or counted, and no window comes out twice."""
    pipeline, sources, counts = shape.build(idle_after="20 seconds")
    run, model = Drive()(pipeline, partitions=2, now="1970-01-01T00:00Z"), Model(shape, 2)
    run.rows(counts)
    run.rows(counts.late)
    for (number, partition, batch, restart), wait in zip(todo, waits, strict=False):
        source, part = number % len(sources), partition % 2
        run.push(sources[source], [click.as_row() for click in batch], partition=part)
        for click in batch:
            model.take(source, part, click)
        run.advance_clock(timedelta(seconds=wait))
        if restart:
            run.restart()
        assert run.report.imbalances() == []
    run.finish()
    emitted, late = emitted_rows(run, shape, counts), late_rows(run, counts)
    passed = [click for _, _, batch, _ in todo for click in batch if shape.passes(click)]
    assert sum(row[3] for row in emitted) + len(late) == len(passed)
    assert len({row[:3] for row in emitted}) == len(emitted)
    assert Counter(model.late) <= Counter(late), "a row that is late by its own partition is late by any watermark"


@given(st.lists(st.tuples(clicks, st.booleans()), min_size=1, max_size=8), st.integers(0, 6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_results_of_groups_follow_their_rows(batches: list[tuple[list[Click], bool]], most: int) -> None:
    """After every batch: all groups, and those that a filter behind the aggregate lets through, come and go."""
    pipeline = Pipeline("groups")
    source = pipeline.source("clicks", schema={"user": "STRING", "amount": "INT", "at": "TIMESTAMP_LTZ(3)"})
    totals = source.group_by("user", ttl="forever").agg(n=count(), total=col("amount").sum())
    small = totals.filter(col("n") <= most)
    totals.sink("totals")
    small.sink("small")
    small.sink("small_by_total", key=["user", "total"])
    run = Drive()(pipeline, now="1970-01-01T00:00Z")
    seen: dict[str | None, list[Click]] = defaultdict(list)
    for batch, restart in batches:
        run.push(source, [click.as_row() for click in batch])
        for click in batch:
            seen[click.user].append(click)
        if restart:
            run.restart()
        wanted = sorted(((user, len(members), measured(members)[2]) for user, members in seen.items()), key=repr)
        assert table(run, "totals", pipeline) == wanted
        assert table(run, "small", pipeline) == [row for row in wanted if row[1] <= most]
        assert table(run, "small_by_total", pipeline) == [row for row in wanted if row[1] <= most]
        assert run.report.imbalances() == []


def table(run: Driven, sink: str, pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """The rows that a sink's table holds."""
    from fluxline import Sink

    found = run.rows(Sink(pipeline, pipeline._sinks[sink]))
    return sorted(((row["user"], row["n"], row["total"]) for row in found), key=repr)
