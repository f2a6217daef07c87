"""The public contract checks find what is wrong: each of these broken connectors fails, and for the reason that it has."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluxline.connectors.base import Bytes, SinkContext, Written
from fluxline.connectors.print import PrintOptions
from fluxline.errors import PositionExpired, RecoveryError
from fluxline.testing.contracts import SinkContract, SourceContract
from tests.connectors.lines import numbers, sink_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.batch import Batch

DATA = b"one\ntwo\nthree\n"


class GoodSource:
    """Three reads of one partition, as the contract wants them."""

    bounded = True
    rewindable = True
    data = DATA

    def partitions(self) -> Sequence[str]:
        return ("a",)

    def open(self, partition: str, position: int | None) -> GoodReader:
        if (position or 0) > len(self.data):
            raise PositionExpired("FLX-4205", "gone")
        return GoodReader(self.data, position or 0)

    def close(self) -> None:
        pass


class GoodReader:
    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.at = position
        self.done = False

    def read(self) -> Bytes | None:
        if self.done:
            return None
        start, self.at = self.at, min(len(self.data), self.at + 6)
        self.done = self.at == len(self.data)
        return Bytes(self.data[start : self.at], start, final=self.done)

    def position(self) -> int:
        return self.at

    def close(self) -> None:
        pass


class RenamesPartitions(GoodSource):
    count = itertools.count()

    def partitions(self) -> Sequence[str]:
        return (str(next(self.count)),)


class ReadsOn(GoodSource):
    def open(self, partition: str, position: int | None) -> GoodReader:
        reader = super().open(partition, position)
        reader_read = reader.read
        reader.read = lambda: reader_read() or Bytes(b"more", reader.at, final=True)  # type: ignore[method-assign]  # broken on purpose
        return reader


class NeverEnds(GoodSource):
    def open(self, partition: str, position: int | None) -> GoodReader:
        reader = super().open(partition, position)
        reader.done = True
        return reader


class ForgetsThePosition(GoodSource):
    def open(self, partition: str, position: int | None) -> GoodReader:
        reader = super().open(partition, position)
        reader.data = self.data[:8] + b"other\n"
        return reader if position is not None else super().open(partition, None)


class AcceptsAnyPosition(GoodSource):
    def open(self, partition: str, position: int | None) -> GoodReader:
        reader = GoodReader(self.data, min(position or 0, len(self.data)))
        reader.at = position or 0
        reader.data = self.data.ljust(reader.at)
        return reader


class Changes(GoodSource):
    count = itertools.count()

    @property
    def data(self) -> bytes:  # type: ignore[override]  # broken on purpose
        return b"%d\n" % next(self.count)


def test_a_good_source_passes() -> None:
    SourceContract(open_source=GoodSource).check()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (RenamesPartitions, "same partitions"),
        (ReadsOn, "behind its final read"),
        (NeverEnds, "did not end"),
        (ForgetsThePosition, "something else than what was behind it"),
        (AcceptsAnyPosition, "raised no PositionExpired"),
        (Changes, "something else the second time"),
    ],
)
def test_a_broken_source_fails(source: type[GoodSource], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        SourceContract(open_source=source).check()


PLACES: dict[Path, dict[str, list[int]]] = {}


class GoodSink:
    """Rows in memory, one list a run, cut back to the receipt when a run continues."""

    def __init__(self, context: SinkContext) -> None:
        self.place = PLACES.setdefault(context.directory, {})
        if context.fresh:
            self.place.clear()
        self.refuse_strangers(context)
        self.rows = self.place.setdefault(context.run_id, [])
        if context.receipt is not None:
            self.go_back(context.receipt)

    def refuse_strangers(self, context: SinkContext) -> None:
        if any(rows for run, rows in self.place.items() if run != context.run_id):
            raise RecoveryError("FLX-5101", "another run")

    def go_back(self, receipt: Mapping[str, object]) -> None:
        length = receipt["rows"]
        assert isinstance(length, int)
        del self.rows[length:]

    def write(self, batch: Batch, encoded: object) -> Written:
        self.rows += batch.columns["number"].values.tolist()  # type: ignore[union-attr]  # numpy
        return Written(batch.rows)

    def flush(self) -> None:
        pass

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        return {"rows": len(self.rows)}

    def commit(self, receipt: Mapping[str, object]) -> None:
        pass

    def close(self) -> None:
        pass


class Doubles(GoodSink):
    def go_back(self, receipt: Mapping[str, object]) -> None:
        pass


class Loses(GoodSink):
    def go_back(self, receipt: Mapping[str, object]) -> None:
        self.rows.clear()


class CommitsTwice(GoodSink):
    def commit(self, receipt: Mapping[str, object]) -> None:
        self.rows += self.rows[-1:]


class FinalByClosing(GoodSink):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class MixesRuns(GoodSink):
    def refuse_strangers(self, context: SinkContext) -> None:
        pass


class SecretReceipt(GoodSink):
    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        return {**super().prepare(checkpoint_id), "place": Path()}


class TupleReceipt(GoodSink):
    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        return {**super().prepare(checkpoint_id), "pair": (1, 2)}


class CountsWrong(GoodSink):
    def write(self, batch: Batch, encoded: object) -> Written:
        return Written(super().write(batch, encoded).acknowledged + 1)


def contract(sink: type[GoodSink], tmp_path: Path, *, guarantee: str = "exactly_once") -> SinkContract:
    places = (tmp_path / str(index) for index in itertools.count())
    return SinkContract(
        open_sink=sink,
        make_context=lambda: sink_context(next(places), PrintOptions()),
        make_batch=numbers,
        read_rows=lambda context: [row for rows in PLACES[context.directory].values() for row in rows],
        guarantee=guarantee,  # type: ignore[arg-type]  # one of the three
    )


def test_a_good_sink_passes(tmp_path: Path) -> None:
    contract(GoodSink, tmp_path).check()


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        (Doubles, "rows that nobody wants|doubled rows"),
        (Loses, "lost rows \\[0"),
        (CommitsTwice, "doubled rows"),
        (FinalByClosing, "closed twice"),
        (MixesRuns, "rows of another run"),
        (TupleReceipt, "plain JSON data"),
        (CountsWrong, "acknowledged"),
    ],
)
def test_a_broken_sink_fails(sink: type[GoodSink], said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        contract(sink, tmp_path).check()


def test_a_receipt_that_is_no_json_fails(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="JSON"):
        contract(SecretReceipt, tmp_path).check()


def test_weaker_guarantees_allow_what_they_say_and_no_more(tmp_path: Path) -> None:
    contract(Doubles, tmp_path / "doubles", guarantee="at_least_once").check()
    contract(Loses, tmp_path / "loses", guarantee="at_most_once").check()
    with pytest.raises(AssertionError, match="at least once: lost rows"):
        contract(Loses, tmp_path / "loses more", guarantee="at_least_once").check()
    with pytest.raises(AssertionError, match="at most once"):
        contract(Doubles, tmp_path / "doubles more", guarantee="at_most_once").check()
