"""What every source owes: one content per partition, readable again from every position that could have been saved."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fluxline.connectors.base import Bytes, Rows
from fluxline.errors import PositionExpired
from fluxline.limits import BATCH_ROWS_MAX, BLOCK_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.connectors.base import PartitionReader, Source

READS_TO_WAIT = 1_000  # Reads in a row that may find nothing before a partition counts as hanging.
POSITIONS_CHECKED = 40  # Positions of one partition from which it is read again, the outermost included.


@dataclass(frozen=True, slots=True)
class Content:
    """All that a partition gave, from `start` to its end.

    Attributes:
        start: where reading began.
        end: the position behind it all.
        items: bytes of a byte stream; else one item a record or row.
        positions: where each item begins; of bytes and rows they follow one another.
    """

    start: int
    end: int
    items: bytes | list[Any]
    positions: Sequence[int]

    def behind(self, position: int) -> bytes | list[Any]:
        """What a reader owes that starts here."""
        return self.items[bisect_left(self.positions, position) :]

    def to_try(self) -> list[int]:
        """Positions that could have been saved: the first, the last, and some between them."""
        every = [*self.positions, self.end]
        step = max(1, len(every) // POSITIONS_CHECKED)
        return sorted({*every[::step], every[0], every[-1]})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContract:
    """The checks.

    Attributes:
        open_source: opens the source over an input that has an end and does not change; called many times.
        pass_time: called when nothing is ready, to let the source's clock go on.
    """

    open_source: Callable[[], Source]
    pass_time: Callable[[], object] = lambda: None

    def check(self) -> None:
        """Run every check."""
        self.check_partitions_stay()
        self.check_ends()
        self.check_reads_again()
        self.check_resumes()
        self.check_refuses_lost_positions()
        self.check_closes_twice()

    def check_partitions_stay(self) -> None:
        """The same partitions, in the same order, whenever they are asked for."""
        source = self.open_source()
        names = tuple(source.partitions())
        assert names, "a source over an input that is there has a partition"
        assert len(set(names)) == len(names), f"partitions have distinct names, and these are {names}"
        assert tuple(source.partitions()) == names, "an input that does not change has the same partitions later"
        source.close()
        assert tuple(self.open_source().partitions()) == names, "an input that does not change has the same partitions when it is opened again"

    def check_ends(self) -> None:
        """A bounded source says so, and each of its partitions ends once and for all."""
        source = self.open_source()
        assert source.bounded, "the contract needs a source that ends"
        for name in source.partitions():
            reader = source.open(name, None)
            self._read_all(reader)
            assert reader.read() is None, f'partition "{name}" gave something behind its final read'
            reader.close()
        source.close()

    def check_reads_again(self) -> None:
        """Whoever reads from the beginning gets the same."""
        for name in self._rewindable():
            assert self._content(name, None).items == self._content(name, None).items, f'partition "{name}" gave something else the second time'

    def check_resumes(self) -> None:
        """Whoever reads from a position that could have been saved gets all behind it, and nothing else."""
        for name in self._rewindable():
            whole = self._content(name, None)
            for position in whole.to_try():
                rest = self._content(name, position)
                assert rest.items == whole.behind(position), f'partition "{name}" resumed at {position} gave something else than what was behind it'
                assert rest.end == whole.end, f'partition "{name}" resumed at {position} ended at {rest.end} instead of {whole.end}'

    def check_refuses_lost_positions(self) -> None:
        """A position behind the end is an error by name, when it is opened or when it is read first."""
        for name in self._rewindable():
            beyond = self._content(name, None).end + 1
            source = self.open_source()
            source.partitions()
            try:
                self._read_all(source.open(name, beyond))
            except PositionExpired:
                source.close()
                continue
            raise AssertionError(f'partition "{name}" ends in front of {beyond}, and reading there raised no PositionExpired')

    def check_closes_twice(self) -> None:
        """Readers and sources can be closed at any time, and twice."""
        source = self.open_source()
        for name in source.partitions():
            unread, begun = source.open(name, None), source.open(name, None)
            begun.read()
            for reader in (unread, begun):
                reader.close()
                reader.close()
        source.close()
        source.close()

    def _rewindable(self) -> tuple[str, ...]:
        source = self.open_source()
        names = tuple(source.partitions()) if source.rewindable else ()
        source.close()
        return names

    def _content(self, partition: str, position: int | None) -> Content:
        source = self.open_source()
        source.partitions()
        reader = source.open(partition, position)
        assert position is None or reader.position() == position, f"a reader opened at {position} says that it stands at {reader.position()}"
        content = self._read_all(reader)
        reader.close()
        source.close()
        return content

    def _read_all(self, reader: PartitionReader) -> Content:
        start = reader.position()
        reads: list[Bytes | Rows] = []
        waited = 0
        while not reads or not reads[-1].final:
            before = reader.position()
            read = reader.read()
            if read is None:
                assert reader.position() == before, "a read without a result leaves the position"
                waited += 1
                assert waited < READS_TO_WAIT, f"nothing came in {READS_TO_WAIT} reads, and the partition did not end"
                self.pass_time()
                continue
            waited = 0
            _check_read(read, before, reader.position())
            reads.append(read)
        return _content_of(reads, start, reader.position())


def _check_read(read: Bytes | Rows, before: int, after: int) -> None:
    """One result begins where the reader stood, and moves it by what it holds."""
    if isinstance(read, Rows):
        assert read.start == before, f"a read at {before} says that its first row is {read.start}"
        assert after == before + read.batch.rows, f"a read of {read.batch.rows} rows moved the position from {before} to {after}"
        assert read.batch.rows <= BATCH_ROWS_MAX, f"a read gave {read.batch.rows} rows, and the most is {BATCH_ROWS_MAX}"
        assert read.batch.rows or read.final, "a read without rows is None"
        return
    assert read.data or read.final, "a read without bytes is None"
    if read.bounds is None:
        assert read.start == before, f"a read at {before} says that its first byte is at {read.start}"
        assert after == before + len(read.data), f"a read of {len(read.data)} bytes moved the position from {before} to {after}"
        assert len(read.data) <= BLOCK_BYTES_MAX, f"a read gave {len(read.data)} bytes, and the most is {BLOCK_BYTES_MAX}"
        return
    positions = [] if read.positions is None else read.positions.tolist()
    assert len(positions) == len(read.bounds) - 1, "each record has a position"
    assert positions == sorted(set(positions)), "positions of records ascend"
    assert not positions or before <= positions[0] <= positions[-1] < after, f"records {positions} were read between {before} and {after}"


def _content_of(reads: list[Bytes | Rows], start: int, end: int) -> Content:
    if isinstance(reads[0], Rows):
        rows = [row for read in reads if isinstance(read, Rows) for row in read.batch.polars().rows()]
        return Content(start, end, rows, range(start, start + len(rows)))
    streams = [read for read in reads if isinstance(read, Bytes)]
    if all(read.bounds is None for read in streams):
        data = b"".join(read.data for read in streams)
        return Content(start, end, data, range(start, start + len(data)))
    records: list[Any] = []
    positions: list[int] = []
    for read in streams:
        assert read.bounds is not None, "a source gives bounds with every read, or with none"
        assert read.positions is not None
        bounds = read.bounds.tolist()
        records += [read.data[first:last] for first, last in pairwise(bounds)]
        positions += read.positions.tolist()
    return Content(start, end, records, positions)
