"""What every sink owes: its delivery guarantee over stops and crashes, whatever happens between two calls."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.errors import FluxlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fluxline.batch import Batch
    from fluxline.connectors.base import DeliveryGuarantee, SinkContext, SinkWriter

STEPS = 12  # Steps of one history.


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContract:
    """The checks. Rows are known by their number: row 0 is written first.

    Attributes:
        open_sink: opens the sink, such as `CONNECTOR.sink`.
        make_context: a context for a fresh run in an empty place of its own; called once a check.
        make_batch: (first, stop) -> the rows with these numbers, all inserts.
        read_rows: numbers of the rows that a reader of the context's place finds, as often as it finds them.
        guarantee: the delivery guarantee that the connector declares.
        shared: whether runs share the place on purpose, as those of a table do: rows of other runs stay, and are not refused.
        histories: how many random histories `check` tries, each with its own seed.
    """

    open_sink: Callable[[SinkContext], SinkWriter]
    make_context: Callable[[], SinkContext]
    make_batch: Callable[[int, int], Batch]
    read_rows: Callable[[SinkContext], Sequence[int]]
    guarantee: DeliveryGuarantee
    shared: bool = False
    histories: int = 20

    def check(self) -> None:
        """Run every check."""
        self.check_shows_what_was_flushed()
        self.check_continues_after_a_stop()
        self.check_goes_back_to_the_stop()
        self.check_forgets_an_uncommitted_stop()
        self.check_commits_twice()
        self.check_closes_twice()
        self.check_refuses_rows_of_an_unknown_run()
        for seed in range(self.histories):
            self.check_history(seed)

    def check_shows_what_was_flushed(self) -> None:
        """Rows are all acknowledged, and a reader finds them after `flush`."""
        context = self.make_context()
        writer = self.open_sink(context)
        self._write(writer, context, 0, 5)
        self._write(writer, context, 5, 9)
        writer.flush()
        self._expect(context, 9, sent=9)
        writer.close()

    def check_continues_after_a_stop(self) -> None:
        """A run that continues from a receipt adds to what is there."""
        context = self.make_context()
        context = self._stopped(context, 0, 7)
        self._expect(context, 7, sent=7)
        context = self._stopped(context, 7, 7)
        context = self._stopped(context, 7, 12)
        self._expect(context, 12, sent=12)

    def check_goes_back_to_the_stop(self) -> None:
        """Rows written behind the last stop are taken back when the run continues, since they are written again."""
        context = self.make_context()
        context = self._stopped(context, 0, 4)
        for flushed in (False, True):
            writer = self.open_sink(context)
            self._write(writer, context, 4, 40)
            if flushed:
                writer.flush()
            writer.close()
        context = self._stopped(context, 4, 6)
        self._expect(context, 6, sent=40)

    def check_forgets_an_uncommitted_stop(self) -> None:
        """A crash between `prepare` and `commit` leaves the receipt before; so does one in front of the first rows."""
        context = self.make_context()
        context = self._stopped(context, 0, 0)
        for begun in (0, 3):
            writer = self.open_sink(context)
            self._write(writer, context, begun, 20)
            writer.prepare(2)
            writer.close()
            context = self._stopped(context, begun, begun + 3)
        self._expect(context, 6, sent=20)

    def check_commits_twice(self) -> None:
        """Committing twice equals committing once, for the writer that prepared and for the next one."""
        context = self.make_context()
        writer = self.open_sink(context)
        self._write(writer, context, 0, 3)
        receipt = plain(writer.prepare(1))
        writer.commit(receipt)
        writer.commit(receipt)
        self._write(writer, context, 3, 5)
        writer.commit(receipt)
        writer.close()
        context = replace(context, receipt=receipt)
        writer = self.open_sink(context)
        writer.commit(receipt)
        self._write(writer, context, 3, 5)
        again = plain(writer.prepare(2))
        writer.commit(again)
        writer.commit(again)
        writer.close()
        self._expect(context, 5, sent=5)

    def check_closes_twice(self) -> None:
        """A writer can be closed at any time, and twice; nothing becomes final by it."""
        context = self.make_context()
        untouched = self.open_sink(context)
        untouched.close()
        untouched.close()
        context = self._stopped(context, 0, 2)
        begun = self.open_sink(context)
        self._write(begun, context, 2, 4)
        begun.close()
        begun.close()
        context = self._stopped(context, 2, 3)
        self._expect(context, 3, sent=4)

    def check_refuses_rows_of_an_unknown_run(self) -> None:
        """A run that does not continue the one whose rows are there does not touch them, until it is told to start afresh."""
        if self.guarantee != "exactly_once":
            return
        context = self._stopped(self.make_context(), 0, 5)
        stranger = replace(context, run_id=context.run_id + "-other", receipt=None)
        if self.shared:
            self._stopped(stranger, 5, 8)
            self._expect(context, 8, sent=8)
        else:
            self._refuses(stranger)
            self._refuses(replace(stranger, receipt=context.receipt))
            self._expect(context, 5, sent=5)
        self._stopped(replace(stranger, fresh=True), 0, 3)
        self._expect(context, 3, sent=3)

    def check_history(self, seed: int) -> None:
        """A random history of writes, flushes, stops and crashes keeps the guarantee."""
        chance = random.Random(seed)
        context = self._stopped(self.make_context(), 0, 0)
        committed = written = sent = 0
        writer = self.open_sink(context)
        for step in range(STEPS):
            action = chance.choice(("write", "write", "flush", "stop", "crash", "crash while stopping"))
            if action == "write":
                count = chance.choice((0, 1, 3, 50))
                self._write(writer, context, written, written + count)
                written += count
                sent = max(sent, written)
            elif action == "flush":
                writer.flush()
            else:
                if action != "crash":
                    receipt = plain(writer.prepare(step))
                if action == "stop":
                    writer.commit(receipt)
                    committed, context = written, replace(context, receipt=receipt)
                writer.close()
                written = committed
                writer = self.open_sink(context)
        receipt = plain(writer.prepare(STEPS))
        writer.commit(receipt)
        writer.close()
        self._expect(context, written, sent=sent, history=f" (history of seed {seed})")

    def _refuses(self, unknown: SinkContext) -> None:
        try:
            writer = self.open_sink(unknown)
        except FluxlineError as error:
            assert error.fault == "operator", f"it is for the operator to decide, and the error says {error.fault}: {error}"
            return
        writer.close()
        raise AssertionError("a sink was opened on rows of another run")

    def _stopped(self, context: SinkContext, first: int, stop: int) -> SinkContext:
        """Write these rows and stop; the context of the run that continues."""
        writer = self.open_sink(context)
        self._write(writer, context, first, stop)
        receipt = plain(writer.prepare(1))
        writer.commit(receipt)
        writer.close()
        return replace(context, receipt=receipt, fresh=False)

    def _write(self, writer: SinkWriter, context: SinkContext, first: int, stop: int) -> None:
        batch = self.make_batch(first, stop)
        written = writer.write(batch, None if context.encoder is None else context.encoder.encode(batch))
        assert written.acknowledged == batch.rows, f"{batch.rows} good rows were written, and {written.acknowledged} acknowledged"
        assert written.rejects == (), f"good rows were refused: {written.rejects}"

    def _expect(self, context: SinkContext, rows: int, *, sent: int, history: str = "") -> None:
        """The reader finds the rows up to here, as often as the guarantee says.

        Args:
            context: where to look.
            rows: how many the run has written, seen from its last stop.
            sent: how many were written at any time; those behind `rows` were lost with a crash and must not be there.
            history: for the message.
        """
        found = sorted(self.read_rows(context))
        wanted = list(range(rows))
        if self.guarantee == "exactly_once":
            assert found == wanted, f"exactly once: {_difference(found, wanted)}{history}"
        elif self.guarantee == "at_least_once":
            assert set(wanted) <= set(found) <= set(range(sent)), f"at least once: {_difference(found, wanted)}{history}"
        else:
            assert len(set(found)) == len(found), f"at most once: {_difference(found, wanted)}{history}"
            assert set(found) <= set(wanted), f"at most once: {_difference(found, wanted)}{history}"


def plain(receipt: Mapping[str, object]) -> dict[str, object]:
    """The receipt as the next run reads it from the disk: it must be plain JSON data."""
    text = json.dumps(receipt)
    back: dict[str, object] = json.loads(text)
    assert back == dict(receipt), f"a receipt is plain JSON data, and this is not: {receipt!r}"
    return back


def _difference(found: Sequence[int], wanted: Sequence[int]) -> str:
    lost = sorted(set(wanted) - set(found))
    foreign = sorted(set(found) - set(wanted))
    doubled = sorted({number for number in found if found.count(number) > 1})
    return f"lost rows {lost}, rows that nobody wants {foreign}, doubled rows {doubled}"
