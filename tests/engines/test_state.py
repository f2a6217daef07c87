"""State on disk: what every operator remembers comes back from a saved stop, and what cannot be continued is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from fluxline import Pipeline, Stream, col, count, tumble
from fluxline.engines.embedded.operator import Snapshot
from fluxline.engines.embedded.saved_state import STATE_FORMAT_VERSION, SavedStop, StateDirectory
from fluxline.engines.embedded.source import PartitionState
from fluxline.errors import RecoveryError, ResourceBusy
from fluxline.limits import PARTIAL_FRAMES_MAX, STOPS_KEPT
from fluxline.plan.nodes import Scan
from fluxline.telemetry import Ledger
from fluxline.testing import utc
from fluxline.testing.drive_embedded import EmbeddedDriven
from fluxline.testing.driven import frame_of

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_767_272_400_000  # 2026-01-01T13:00Z
NOON = utc("2026-01-01T12:00Z")
PLAIN = NOON.replace(tzinfo=None)
OLD = PLAIN.replace(year=1900)


class DrivenOnDisk(EmbeddedDriven):
    """A driven run whose restarts go through a directory."""

    def __init__(self, pipeline: Pipeline, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.state = StateDirectory(directory)
        self._stops = 0
        super().__init__(pipeline, 1, NOW_MS)

    def save(self) -> None:
        """Write a stop."""
        self._stops += 1
        self.state.save(self._machine.saved(self._stops, ended=False, receipts={}))

    def continue_from_disk(self) -> None:
        """Forget everything and go on from the newest stop."""
        self._machine.close()
        self._ended = set()
        self._open(self.state.last_stop())

    def _restart(self) -> None:
        self.save()
        self.continue_from_disk()


@dataclass(frozen=True)
class Kept:
    """A type, three of its values (the first two stand before the restart), and what the aggregates of them are.

    A NULL stands beside them before and behind the restart. `total` and `mean` are None where the type has no SUM and AVG.
    """

    type: str
    values: tuple[Any, Any, Any]
    least: Any
    most: Any
    total: Any = None
    mean: Any = None


KEPT = (
    Kept("TINYINT", (-100, -20, -8), -100, -8, -128, -42),  # -128 / 3 is -42.67, cut off
    Kept("SMALLINT", (32_000, 700, 60), 60, 32_000, 32_760, 10_920),
    Kept("INT", (-(2**31), 5, 1), -(2**31), 5, -(2**31) + 6, -715_827_880),  # -2147483642 / 3 is -715827880.67
    Kept("BIGINT", (2**62, 2**61, 1), 1, 2**62, 2**62 + 2**61 + 1, 2_305_843_009_213_693_952),  # 3 * 2**61 and a third
    Kept("FLOAT", (0.5, -2.25, 1.75), -2.25, 1.75, 0.0, 0.0),
    Kept("DOUBLE", (1e300, -0.5, 0.5), -0.5, 1e300, 1e300, 1e300 / 3),
    Kept("DECIMAL(10, 2)", (Decimal("0.10"), Decimal("-99999999.99"), Decimal("0.20")), Decimal("-99999999.99"), Decimal("0.20"),
         Decimal("-99999999.69"), Decimal("-33333333.230000")),
    Kept("DECIMAL(38, 0)", (Decimal(10**37), Decimal(2), Decimal(1)), Decimal(1), Decimal(10**37), Decimal(10**37 + 3)),
    Kept("STRING", ("b", "", "日本 café"), "", "日本 café"),
    Kept("BOOLEAN", (True, True, False), False, True),
    Kept("DATE", (date(2026, 1, 1), date(1969, 12, 31), date(9999, 12, 31)), date(1969, 12, 31), date(9999, 12, 31)),
    Kept("TIME(3)", (time(12), time(0, 0, 0, 1000), time(23, 59, 59, 999000)), time(0, 0, 0, 1000), time(23, 59, 59, 999000)),
    Kept("TIMESTAMP(6)", (PLAIN + timedelta(microseconds=1), OLD, PLAIN), OLD, PLAIN + timedelta(microseconds=1)),
    Kept("TIMESTAMP_LTZ(3)", (NOON, NOON - timedelta(milliseconds=1), NOON), NOON - timedelta(milliseconds=1), NOON),
)  # fmt: skip
TYPES = pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.type)


def source_of(pipeline: Pipeline, columns: dict[str, str]) -> Stream:
    """A source with these columns and an event time."""
    return pipeline.source(
        "rows", schema={**columns, "at": "TIMESTAMP_LTZ(3) NOT NULL"}, event_time="at", watermark="5 seconds", max_future_skew=None
    )


def aggregated(stream: Stream, *, windowed: bool, keys: tuple[str, ...], **measures: Any) -> Stream:
    """An aggregate, per window or of the whole stream."""
    if windowed:
        return stream.window(tumble("1 hour")).group_by(*keys).agg(**measures)
    return stream.group_by(*keys, ttl="forever").agg(**measures)


@pytest.mark.parametrize("windowed", [True, False], ids=["window", "group"])
@TYPES
def test_partial_results_come_back(kept: Kept, windowed: bool, tmp_path: Path) -> None:
    """Of every type: counted, added and compared with what comes behind the restart."""
    pipeline = Pipeline("types")
    source = source_of(pipeline, {"x": kept.type})
    x = col("x")
    sums = {} if kept.total is None else {"total": x.sum()} | ({} if kept.mean is None else {"mean": x.avg()})
    results = aggregated(source, windowed=windowed, keys=(), rows=count(), values=x.count(), least=x.min(), most=x.max(), **sums)
    sink = results.sink("results")
    run = DrivenOnDisk(pipeline, tmp_path / "state")
    first, second, third = kept.values
    run.push(source, [{"x": first, "at": NOON}, {"x": None, "at": NOON}])
    run.restart()
    run.push(source, {"x": second, "at": NOON})
    run.restart()
    run.restart()
    run.push(source, [{"x": None, "at": NOON}, {"x": third, "at": NOON}])
    run.finish()
    (found,) = run.rows(sink)
    assert (found["rows"], found["values"]) == (5, 3)
    assert (found["least"], found["most"]) == (kept.least, kept.most)
    if kept.total is not None:
        assert found["total"] == kept.total
    if kept.mean is not None:
        assert found["mean"] == kept.mean
    assert run.report.imbalances() == []


@pytest.mark.parametrize("windowed", [True, False], ids=["window", "group"])
@TYPES
def test_keys_come_back(kept: Kept, windowed: bool, tmp_path: Path) -> None:
    """Of every type, NULL among them, alone and beside a text key that is NULL too."""
    pipeline = Pipeline("keys")
    source = source_of(pipeline, {"x": kept.type, "name": "STRING"})
    alone = aggregated(source, windowed=windowed, keys=("x",), n=count()).sink("alone")
    both = aggregated(source, windowed=windowed, keys=("x", "name"), n=count()).sink("both")
    run = DrivenOnDisk(pipeline, tmp_path / "state")
    keys = list(dict.fromkeys([*kept.values, None]))
    rows = [{"x": key, "name": name, "at": NOON} for key in keys for name in ("", None)]
    run.push(source, rows)
    run.restart()
    run.push(source, rows)
    run.restart()
    run.finish()
    assert {row["x"]: row["n"] for row in run.rows(alone)} == dict.fromkeys(keys, 4)
    assert {(row["x"], row["name"]): row["n"] for row in run.rows(both)} == {(key, name): 2 for key in keys for name in ("", None)}
    assert run.report.imbalances() == []


def test_windows_before_1970_come_back(tmp_path: Path) -> None:
    """Their starts are negative."""
    pipeline = Pipeline("old")
    source = source_of(pipeline, {"x": "INT"})
    counts = source.window(tumble("10 seconds", offset="-3 seconds")).agg(n=count())
    sink = counts.sink("counts")
    run = DrivenOnDisk(pipeline, tmp_path / "state")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for seconds in (-23.001, -23, -13.5, -3, 6.999):
        run.push(source, {"x": 1, "at": epoch + timedelta(seconds=seconds)})
    run.restart()
    late = {"x": 1, "at": epoch + timedelta(seconds=-24)}
    run.push(source, [late, {"x": 1, "at": epoch + timedelta(seconds=-1)}])
    run.finish()
    starts = {round((row["window_start"].replace(tzinfo=UTC) - epoch).total_seconds()): row["n"] for row in run.rows(sink)}
    # Bounds at ..., -33, -23, -13, -3, 7; the watermark behind 6.999 is 1.999, so [-33, -23) .. [-13, -3) came out before the stop.
    assert starts == {-33: 1, -23: 2, -3: 3}
    assert len(run.rows(counts.late)) == 1


def test_many_open_windows_and_batches_come_back(tmp_path: Path) -> None:
    """More batches than partial frames are kept apart; held rows are counted as before."""
    pipeline = Pipeline("many")
    source = source_of(pipeline, {"key": "INT"})
    sink = source.window(tumble("1 minute")).group_by("key").agg(n=count(), total=col("key").sum()).sink("totals")
    run = DrivenOnDisk(pipeline, tmp_path / "state")
    batches = PARTIAL_FRAMES_MAX + 3
    for _ in range(batches):
        run.push(source, [{"key": key, "at": NOON - timedelta(milliseconds=1) + timedelta(milliseconds=key)} for key in range(3)])
    before = run.report
    run.restart()
    assert run.report.operators == before.operators
    assert run.report.edges == before.edges
    assert sum(ledger.held for ledger in run.report.operators.values()) == 3 * batches
    run.finish()
    found = [(row["key"], row["window_start"].replace(tzinfo=UTC), row["n"], row["total"]) for row in run.rows(sink)]
    minute = timedelta(minutes=1)
    assert sorted(found) == [(0, NOON - minute, batches, 0), (1, NOON, batches, batches), (2, NOON, batches, 2 * batches)]


def test_the_time_of_the_last_write_comes_back(tmp_path: Path) -> None:
    """A key that was silent for most of its TTL before the stop is forgotten when the rest has passed."""
    pipeline = Pipeline("ttl")
    source = source_of(pipeline, {"key": "STRING"})
    sink = source.group_by("key", ttl="1 hour").agg(n=count()).sink("counts")
    run = DrivenOnDisk(pipeline, tmp_path / "state")
    run.push(source, [{"key": None, "at": NOON}, {"key": "b", "at": NOON}])
    run.advance_clock("59 minutes")
    run.push(source, {"key": "b", "at": NOON})
    run.restart()
    run.advance_clock("61 seconds")
    run.push(source, [{"key": None, "at": NOON}, {"key": "b", "at": NOON}])
    assert {row["key"]: row["n"] for row in run.rows(sink)} == {None: 1, "b": 3}


# The directory.
STOP = SavedStop(
    number=1,
    run_id="a1",
    plan_digest="d2",
    saved_at_ms=NOW_MS,
    ended=True,
    sources={"rows": (-5, {"0": PartitionState(7, -6, finished=True), "a/b": PartitionState(0, -(2**63), False, {"header": ["x", "y"]})})},
    snapshots={"w/x": Snapshot({"watermark": 3, "inputs": [3, -(2**63)]}, {"open": pl.DataFrame({"a": [1, None], "b": ["x", "日本"]})})},
    ledgers={"rows": Ledger(9, 1, 2, 3, 2, 1, 5, 3, 2, {"rule": 1, "missing": 1})},
    edges={("rows", "main", "w/x"): (5, 4)},
    receipts={"sink": {"file": "part-1", "bytes": 12}},
)


def test_a_stop_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every part of it."""
    StateDirectory(tmp_path).save(STOP)
    found = StateDirectory(tmp_path).last_stop()
    assert found is not None
    frames = found.snapshots["w/x"].frames
    assert frames["open"].equals(STOP.snapshots["w/x"].frames["open"])
    same = replace(found, snapshots={"w/x": Snapshot(found.snapshots["w/x"].values, STOP.snapshots["w/x"].frames)})
    assert same == STOP


def test_the_newest_stops_stay(tmp_path: Path) -> None:
    """Old ones go; one that was being written when the process ended is none."""
    state = StateDirectory(tmp_path)
    assert state.last_stop() is None
    for number in range(1, STOPS_KEPT + 4):
        state.save(replace(STOP, number=number))
    newest = STOPS_KEPT + 3
    kept = [f"stop-{number:06}" for number in range(newest - STOPS_KEPT + 1, newest + 1)]
    assert sorted(entry.name for entry in tmp_path.glob("stop-*")) == kept
    (tmp_path / f"stop-{newest + 1:06}.tmp").mkdir()
    found = state.last_stop()
    assert found is not None
    assert found.number == newest
    state.save(replace(STOP, number=newest + 1))
    assert sorted(entry.name for entry in tmp_path.glob("stop-*")) == [*kept[1:], f"stop-{newest + 1:06}"]
    assert state.clear() == [*kept[1:], f"stop-{newest + 1:06}"]
    assert state.last_stop() is None


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """With both versions named."""
    manifest = _saved_manifest(tmp_path)
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(data | {"format": STATE_FORMAT_VERSION + 1}))
    with pytest.raises(RecoveryError) as caught:
        StateDirectory(tmp_path).last_stop()
    assert caught.value.code == "FLX-5003"
    assert f"format {STATE_FORMAT_VERSION + 1}" in caught.value.fact
    assert f"up to {STATE_FORMAT_VERSION}" in caught.value.fact


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("file", ["manifest.json", "operator-000-00000.arrow"])
def test_a_torn_file_is_refused(file: str, share: float, tmp_path: Path) -> None:
    """Wherever it ends."""
    torn = _saved_manifest(tmp_path).with_name(file)
    content = torn.read_bytes()
    torn.write_bytes(content[: int(len(content) * share)])
    _assert_unreadable(tmp_path)


@pytest.mark.parametrize(
    ("part", "value"),
    [("operators", []), ("sources", {"rows": 1}), ("edges", [[1]]), ("ledgers", {"rows": {"unknown": 1}}), ("format", None), ("number", ...)],
)
def test_a_manifest_of_another_form_is_refused(part: str, value: object, tmp_path: Path) -> None:
    """JSON that no stop has written; `...` stands for a part that is missing."""
    manifest = _saved_manifest(tmp_path)
    data = json.loads(manifest.read_text()) | {part: value}
    manifest.write_text(json.dumps({name: found for name, found in data.items() if found is not ...}))
    _assert_unreadable(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """Of an operator's state."""
    _saved_manifest(tmp_path).with_name("operator-000-00000.arrow").unlink()
    _assert_unreadable(tmp_path)


def _saved_manifest(directory: Path) -> Path:
    StateDirectory(directory).save(STOP)
    return directory / "stop-000001" / "manifest.json"


def _assert_unreadable(directory: Path) -> None:
    with pytest.raises(RecoveryError) as caught:
        StateDirectory(directory).last_stop()
    assert caught.value.code == "FLX-5004"
    assert "stop-000001" in caught.value.fact
    assert "--fresh" in caught.value.hint


def test_one_process_holds_the_directory(tmp_path: Path) -> None:
    """A second is refused, by the first one's number, until it lets go."""
    path = tmp_path / "clicks"
    first, second = StateDirectory(path), StateDirectory(path)
    first.acquire(4711)
    with pytest.raises(ResourceBusy) as caught:
        second.acquire(4712)
    assert caught.value.code == "FLX-4101"
    assert "process 4711" in caught.value.fact
    assert '"clicks"' in caught.value.fact
    first.release()
    first.release()
    second.acquire(4712)
    with pytest.raises(ResourceBusy, match="process 4712"):
        first.acquire(4711)
    second.release()


def test_a_run_that_did_not_end_is_known(tmp_path: Path) -> None:
    """By what it wrote when it began; a clean end takes that away."""
    state = StateDirectory(tmp_path)
    assert state.running() is None
    state.begin({"pid": 4711})
    assert StateDirectory(tmp_path).running() == {"format": STATE_FORMAT_VERSION, "pid": 4711}
    state.finish()
    state.finish()
    assert state.running() is None


# Other pipelines.
def clicks_pipeline() -> tuple[Pipeline, Stream]:
    """A pipeline and its source."""
    pipeline = Pipeline("clicks")
    return pipeline, source_of(pipeline, {"user": "STRING", "amount": "INT", "score": "INT"})


def saved_counts(directory: Path) -> None:
    """The state of an open window, named "counts", of two rows; and of a group, named "totals"."""
    pipeline, source = clicks_pipeline()
    kept = source.filter(col("amount") > 0).named("kept")
    kept.window(tumble("1 hour")).group_by("user").agg(n=count(), total=col("amount").sum()).named("counts").sink("counts")
    kept.group_by("user", ttl="forever").agg(total=col("amount").sum()).named("totals").sink("totals")
    run = DrivenOnDisk(pipeline, directory)
    run.push(source, [{"user": "ann", "amount": 1, "score": 5, "at": NOON}, {"user": "bob", "amount": 2, "score": 6, "at": NOON}])
    run.save()


def test_an_operator_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    """Its rows would vanish."""
    saved_counts(tmp_path)
    pipeline, source = clicks_pipeline()
    source.window(tumble("1 hour")).group_by("user").agg(n=count(), total=col("amount").sum()).named("hourly").sink("counts")
    source.group_by("user", ttl="forever").agg(total=col("amount").sum()).named("totals").sink("totals")
    with pytest.raises(RecoveryError) as caught:
        DrivenOnDisk(pipeline, tmp_path).continue_from_disk()
    assert caught.value.code == "FLX-5005"
    assert '"counts"' in caught.value.fact
    assert "hourly, totals" in caught.value.detail


@pytest.mark.parametrize("changed", ["size", "key", "measure", "argument", "filter", "fewer", "group"])
def test_an_operator_that_computes_something_else_is_refused(changed: str, tmp_path: Path) -> None:
    """Under the same name, what it counted so far means something else."""
    saved_counts(tmp_path)
    pipeline, source = clicks_pipeline()
    total = {"measure": col("amount").max(), "argument": col("score").sum(), "filter": col("amount").sum().filter(col("score") > 5)}
    measures = {"n": count()} | ({} if changed == "fewer" else {"total": total.get(changed, col("amount").sum())})
    window = source.window(tumble("2 hours" if changed == "size" else "1 hour"))
    window.group_by("score" if changed == "key" else "user").agg(**measures).named("counts").sink("counts")
    grouped = source.group_by("user", ttl="forever").agg(total=col("score" if changed == "group" else "amount").sum())
    grouped.named("totals").sink("totals")
    with pytest.raises(RecoveryError) as caught:
        DrivenOnDisk(pipeline, tmp_path).continue_from_disk()
    assert caught.value.code == "FLX-5007"
    assert f'"{"totals" if changed == "group" else "counts"}"' in caught.value.fact


def test_what_keeps_its_meaning_goes_on(tmp_path: Path) -> None:
    """A filter is gone, a result renamed, a TTL set: the sums go on, and the ledger begins anew with what is held."""
    saved_counts(tmp_path)
    pipeline, source = clicks_pipeline()
    counts = source.window(tumble("1 hour")).group_by("user").agg(clicks=count(), sum=col("amount").sum()).named("counts")
    sink = counts.sink("counts")
    totals = source.group_by("user", ttl="7 days").agg(sum=col("amount").sum()).named("totals").sink("totals")
    run = DrivenOnDisk(pipeline, tmp_path)
    run.continue_from_disk()
    assert run.report.operators["counts"].read == run.report.operators["counts"].held == 2
    assert run.report.imbalances() == []
    _push_behind(run, source, before=2, rows=[{"user": "ann", "amount": -5, "score": 0, "at": NOON}])
    run.finish()
    assert [(row["user"], row["clicks"], row["sum"]) for row in run.rows(sink)] == [("ann", 2, -4), ("bob", 1, 2)]
    assert [(row["user"], row["sum"]) for row in run.rows(totals)] == [("ann", -4)]
    assert run.report.imbalances() == []


def _push_behind(run: DrivenOnDisk, source: Stream, *, before: int, rows: list[dict[str, Any]]) -> None:
    """Rows behind those that the run before has read, in whose place others stand: nobody reads them again."""
    assert isinstance(source._node, Scan)
    read_before = [{"user": None, "amount": 0, "score": 0, "at": NOON}] * before
    run._scripts["rows"].push(0, frame_of(read_before, source._node.declared))
    run.push(source, rows)
