"""A row that is lost or doubled anywhere shows in the row ledger: each place is made wrong once, and the ledger must not balance."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fluxline.batch import Batch
from fluxline.connectors.base import Written
from fluxline.control.memory import CollectingWriter
from fluxline.engines.embedded import operators
from fluxline.engines.embedded.aggregation import Aggregation
from fluxline.engines.embedded.channel import Channel
from fluxline.engines.embedded.decode import DecodeStep, Judged
from fluxline.engines.embedded.operator import Edge, Operator, Port, Reader, Snapshot
from fluxline.engines.embedded.operators import filter as filter_module
from fluxline.engines.embedded.operators import project as project_module
from fluxline.engines.embedded.operators.expect import ExpectOperator
from fluxline.engines.embedded.operators.map_batches import MapBatchesOperator
from fluxline.engines.embedded.operators.project import ProjectOperator
from fluxline.engines.embedded.operators.window_aggregate import WindowAggregateOperator
from fluxline.engines.embedded.rejects import RejectWriter
from fluxline.engines.embedded.sink import SinkTask
from fluxline.engines.embedded.source import SourceEvent, SourceTask
from fluxline.engines.embedded.state.keyed import KeyedState
from fluxline.testing import Drive
from fluxline.testing.drive_embedded import EmbeddedDriven
from tests.engines.ledger_runs import everything, run_driven, run_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.testing import Driven


class Wrong:
    """Loses or doubles the first row that it sees, once."""

    def __init__(self, how: str) -> None:
        self.lose = how == "lose"
        self.done = False

    def rows(self, count: int) -> list[int]:
        """Which of so many rows there are now."""
        if self.done or count == 0:
            return list(range(count))
        self.done = True
        return list(range(1, count)) if self.lose else [0, *range(count)]

    def batch(self, batch: Batch) -> Batch:
        """The batch, with one row less or more."""
        chosen = self.rows(batch.rows)
        return batch if chosen == list(range(batch.rows)) else batch.take(np.array(chosen, dtype=np.int64))

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame, with one row less or more."""
        return frame.select(pl.all().gather(pl.Series(self.rows(frame.height), dtype=pl.UInt32)))

    def number(self, count: int) -> int:
        """The number, one less or more."""
        return len(self.rows(count))


@pytest.fixture(params=["lose", "double"])
def wrong(request: pytest.FixtureRequest) -> Wrong:
    """Both ways to be wrong."""
    return Wrong(request.param)


def assert_noticed(imbalances: list[str], wrong: Wrong) -> None:
    """The plant was reached, and the ledger shows it."""
    assert wrong.done, "the plant was never reached"
    assert imbalances, "the plant went unnoticed"


def plant_argument(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, change: Callable[[Any], Any]) -> None:
    """Let a method get another first argument."""
    original = getattr(owner, method)

    def planted(self: Any, given: Any, *rest: Any, **named: Any) -> Any:
        return original(self, change(given), *rest, **named)

    monkeypatch.setattr(owner, method, planted)


def plant_result(monkeypatch: pytest.MonkeyPatch, owner: Any, function: str, change: Callable[[Any], Any]) -> None:
    """Let a method or function of a module give another result."""
    original = getattr(owner, function)
    monkeypatch.setattr(owner, function, lambda *given, **named: change(original(*given, **named)))


def operator_classes() -> list[type[Operator]]:
    """Every operator of the folder `operators/`."""
    modules = [importlib.import_module(f"{operators.__name__}.{module.name}") for module in pkgutil.iter_modules(operators.__path__)]
    kinds = [kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    return [kind for kind in kinds if issubclass(kind, Operator)]


OPERATORS = pytest.mark.parametrize("kind", operator_classes(), ids=lambda kind: kind.__name__)


def test_the_ledger_balances_without_a_plant() -> None:
    """In both runs, which agree; every fate and every output occurs."""
    driven, threaded = run_driven(), run_threads()
    assert driven.imbalances() == []
    assert threaded.imbalances() == []
    assert driven.late > 0
    assert min(driven.written.values()) > 0
    for report in (driven, threaded):
        totals = {name: sum(getattr(ledger, name) for ledger in report.operators.values()) for name in ("used", "filtered", "rejected")}
        assert all(totals.values()), totals
    assert len(operator_classes()) >= 7


@OPERATORS
def test_a_row_on_its_way_into_an_operator(kind: type[Operator], wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as read, and processed less or more often."""
    plant_argument(monkeypatch, kind, "process", wrong.batch)
    assert_noticed(run_driven().imbalances(), wrong)


OUTPUTS = [(kind, "main") for kind in operator_classes()]
OUTPUTS += [(WindowAggregateOperator, "late"), (ProjectOperator, "rejected"), (ExpectOperator, "rejected"), (MapBatchesOperator, "rejected")]


@pytest.mark.parametrize(("kind", "port"), OUTPUTS, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_row_on_its_way_out_of_an_operator(kind: type[Operator], port: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by the operator, and emitted less or more often."""
    original = Port.emit

    def planted(self: Port, batch: Batch) -> None:
        original(self, wrong.batch(batch) if type(self.owner) is kind and self.name == port else batch)

    monkeypatch.setattr(Port, "emit", planted)
    assert_noticed(run_driven().imbalances(), wrong)


@pytest.mark.parametrize("place", ["filter", "project", "window", "keys", "state", "partial", "merge", "halves"])
def test_a_row_inside_an_operator(place: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part of the work goes wrong."""
    if place == "filter":
        plant_result(monkeypatch, filter_module, "kept_rows", wrong.batch)
    elif place == "project":
        plant_result(monkeypatch, project_module, "kept_rows", wrong.batch)
    elif place == "window":
        plant_argument(monkeypatch, WindowAggregateOperator, "_keep", wrong.frame)
    elif place == "keys":
        plant_argument(monkeypatch, WindowAggregateOperator, "_emit", lambda frames: [wrong.frame(frames[0]), *frames[1:]])
    elif place == "state":
        plant_argument(monkeypatch, KeyedState, "update", wrong.frame)
    elif place == "partial":
        plant_argument(monkeypatch, Aggregation, "partial", wrong.frame)
    elif place == "merge":
        plant_result(monkeypatch, Aggregation, "merge", wrong.frame)
    else:
        _plant_halves(monkeypatch, wrong)
    assert_noticed(run_driven().imbalances(), wrong)


def _plant_halves(monkeypatch: pytest.MonkeyPatch, wrong: Wrong) -> None:
    """Only where a batch was halved because the function raised."""
    original, depth = MapBatchesOperator._map, [0]

    def planted(self: MapBatchesOperator, batch: Batch) -> None:
        depth[0] += 1
        original(self, wrong.batch(batch) if depth[0] > 1 else batch)
        depth[0] -= 1

    monkeypatch.setattr(MapBatchesOperator, "_map", planted)


@pytest.mark.parametrize("method", ["snapshot", "restore"])
def test_a_held_row_over_a_restart(method: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """One group of an open window that is not saved, not restored, or twice."""

    def change(snapshot: Snapshot) -> Snapshot:
        return Snapshot(snapshot.values, {name: wrong.frame(frame) for name, frame in snapshot.frames.items()})

    plant = plant_result if method == "snapshot" else plant_argument
    plant(monkeypatch, WindowAggregateOperator, method, change)
    assert_noticed(run_driven().imbalances(), wrong)


@pytest.mark.parametrize("name", ["parsed", "checked", "mapped"])
@pytest.mark.parametrize("place", ["fate", "output"])
def test_a_rejected_row(name: str, place: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected by nobody or twice; or missing, or twice, in what is given to the rejected output."""
    reject_rows, of_rows = Operator.reject_rows, RejectWriter.of_rows

    def planted_fate(self: Operator, batch: Batch, failed: Any, *rest: Any, **named: Any) -> None:
        if self.name == name and failed.any() and not wrong.done:
            wrong.done = True
            if wrong.lose:
                failed = failed & (np.cumsum(failed) > 1)
            else:
                reject_rows(self, batch, failed, *rest, **named)
        reject_rows(self, batch, failed, *rest, **named)

    def planted_output(self: RejectWriter, operator: str, *rest: Any) -> Batch:
        made = of_rows(self, operator, *rest)
        return wrong.batch(made) if operator == name else made

    if place == "fate":
        monkeypatch.setattr(Operator, "reject_rows", planted_fate)
    else:
        monkeypatch.setattr(RejectWriter, "of_rows", planted_output)
    assert_noticed(run_driven().imbalances(), wrong)


class WrongReader:
    """Stands between an edge and its reader."""

    def __init__(self, reader: Reader, wrong: Wrong) -> None:
        self._reader = reader
        self._wrong = wrong

    def receive(self, batch: Batch, edge: Edge) -> None:
        """Pass the batch on, changed."""
        self._reader.receive(self._wrong.batch(batch), edge)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def edge_names() -> list[str]:
    """Every edge of the pipeline: writer, port, reader."""
    driven = Drive()(everything()[0])
    assert isinstance(driven, EmbeddedDriven)
    return [_edge_name(*edge) for edge in driven._machine.graph.edges()]


def _edge_name(writer: Operator, port: Port, edge: Edge) -> str:
    return f"{writer.name} ({port.name}) {edge.reader.name}"


@pytest.mark.parametrize("name", edge_names())
def test_a_row_on_an_edge(name: str, wrong: Wrong) -> None:
    """Counted as written, and delivered less or more often."""

    def plant(driven: Driven) -> None:
        assert isinstance(driven, EmbeddedDriven)
        for writer, port, edge in driven._machine.graph.edges():
            if _edge_name(writer, port, edge) == name:
                edge.reader = WrongReader(edge.reader, wrong)  # type: ignore[assignment]  # a reader to all who look

    assert_noticed(run_driven(plant).imbalances(), wrong)


@pytest.mark.parametrize("place", ["decoded", "rejects", "filtered", "rejected rows", "built", "given", "given rejected"])
def test_a_row_of_a_source(place: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the connector and the first operator."""

    def judged(found: Judged) -> Judged:
        if place == "rejects":
            return replace(found, rejects=[found.rejects[index] for index in wrong.rows(len(found.rejects))])
        assert found.times_ms is not None
        chosen = np.array(wrong.rows(found.batch.rows), dtype=np.int64)
        return replace(found, batch=found.batch.take(chosen), times_ms=found.times_ms[chosen])

    def event(found: SourceEvent | None) -> SourceEvent | None:
        if found is None:
            return None
        if place == "given":
            return found if found.batch is None else replace(found, batch=wrong.batch(found.batch))
        return found if found.rejected is None else replace(found, rejected=wrong.batch(found.rejected))

    if place in ("decoded", "rejects"):
        plant_result(monkeypatch, DecodeStep, "of_rows", judged)
    elif place == "filtered":
        plant_result(monkeypatch, SourceTask, "_filtered", wrong.batch)
    elif place == "rejected rows":
        plant_result(monkeypatch, SourceTask, "_rejected_rows", lambda found: None if found is None else wrong.batch(found))
    elif place == "built":
        plant_result(monkeypatch, RejectWriter, "build", wrong.batch)
    else:
        plant_result(monkeypatch, SourceTask, "poll", event)
    assert_noticed(run_driven().imbalances(), wrong)


@pytest.mark.parametrize("place", ["taken", "written", "acknowledged", "never written"])
def test_a_row_at_a_sink(place: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last operator and the system."""
    if place == "taken":
        plant_argument(monkeypatch, SinkTask, "take", wrong.batch)
    elif place == "written":
        plant_argument(monkeypatch, SinkTask, "write", wrong.batch)
    elif place == "acknowledged":
        plant_result(monkeypatch, CollectingWriter, "write", lambda found: Written(wrong.number(found.acknowledged)))
    else:
        original = CollectingWriter.write

        def planted(self: CollectingWriter, batch: Batch, encoded: Any) -> Written:
            return original(self, wrong.batch(batch), encoded)

        monkeypatch.setattr(CollectingWriter, "write", planted)
    assert_noticed(run_driven().imbalances(), wrong)


@pytest.mark.parametrize("what", ["rows", "rejected rows", "sink rows"])
def test_a_row_in_a_channel(what: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put, and taken less or more often."""

    def change(item: Any) -> Any:
        first, second = item
        if isinstance(first, Batch):
            return (wrong.batch(first), second) if what == "sink rows" else item
        if what == "rows" and second.batch is not None:
            return first, replace(second, batch=wrong.batch(second.batch))
        if what == "rejected rows" and second.rejected is not None:
            return first, replace(second, rejected=wrong.batch(second.rejected))
        return item

    original = Channel.get

    def planted(self: Channel[Any], taken: Callable[[Any], None]) -> bool:
        return original(self, lambda item: taken(change(item)))

    monkeypatch.setattr(Channel, "get", planted)
    assert_noticed(run_threads().imbalances(), wrong)


@pytest.mark.parametrize("channel", ["inbox", "sink"])
def test_an_item_of_a_channel(channel: str, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole batch that is counted as put and never taken, or taken twice."""
    original = Channel.put

    def planted(self: Channel[Any], rows: dict[str, int], item: Any, *rest: Any) -> None:
        meant = isinstance(item[0], Batch) == (channel == "sink") and sum(rows.values()) > 0
        if not meant or wrong.done:
            original(self, rows, item, *rest)
            return
        wrong.done = True
        if not wrong.lose:
            original(self, rows, item, *rest)
            self._queue.put((rows, item))
            return
        with self.lock:
            for published in rest:
                published()
            for output, count in rows.items():
                self.inside[output] = self.inside.get(output, 0) + count

    monkeypatch.setattr(Channel, "put", planted)
    assert_noticed(run_threads().imbalances(), wrong)
