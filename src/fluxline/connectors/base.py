"""The contract of a connector: where bytes come from and where rows go.

A source has partitions; each is read in order by a `PartitionReader`. A sink has one writer. Nothing here knows a
pipeline: a connector gets declared options, a schema and a directory that relative paths start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.batch import Batch, Int64s
    from fluxline.clock import Clock
    from fluxline.formats.base import Encoded, Encoder, Reject
    from fluxline.options import Options
    from fluxline.schema import TableSchema

DeliveryGuarantee = Literal["at_most_once", "at_least_once", "exactly_once"]


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a read returns when the system knows bytes.

    Attributes:
        data: the bytes, at most BLOCK_BYTES_MAX unless one record is larger.
        start: position of `data[0]`.
        bounds: where the records begin and end, if the system knows them (a log); None for a byte stream (a file),
            which the format splits.
        positions: int64 of shape (n,), each record's own position, where `bounds` is given.
        final: nothing more comes from this partition.
    """

    data: bytes
    start: int
    bounds: Int64s | None = None
    positions: Int64s | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """What a read returns when the system knows columns: a batch of the schema, and the position of its first row."""

    batch: Batch
    start: int
    final: bool = False


class PartitionReader(Protocol):
    """Reads one partition from a position on; used by one thread."""

    def read(self) -> Bytes | Rows | None:
        """What is ready, or None. Never waits. After a `final` result it is not called again."""
        ...

    def position(self) -> int:
        """Where the next read starts."""
        ...

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""
        ...


class Source(Protocol):
    """One source name of a pipeline, opened."""

    bounded: bool
    """Whether it ends by itself."""
    rewindable: bool
    """Whether a position that was read before can be read again."""

    def partitions(self) -> Sequence[str]:
        """The names of all partitions known now, in the order in which they are to be opened.

        Called at the start and again while the job runs; a name that was returned once stays the same partition.

        Raises:
            ResourceMissing: nothing is there to read, on the first call of a bounded source.
        """
        ...

    def open(self, partition: str, position: int | None) -> PartitionReader:
        """Read this partition from a position that was saved, or from its beginning (None).

        Raises:
            PositionExpired: the position is not there any more.
        """
        ...

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the rows of one `write`: how many the system took, and which it refused."""

    acknowledged: int
    rejects: tuple[Reject, ...] = ()


class SinkWriter(Protocol):
    """Writes the rows of one sink; used by one thread."""

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Take the rows; `encoded` is there when the connector asked for a format."""
        ...

    def flush(self) -> None:
        """Make what was written visible to readers as far as the system allows; called when the input pauses."""
        ...

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Make everything written so far durable and return a receipt: plain JSON data.

        Called once per stop or checkpoint, between `write` calls. After a crash the receipt of the last committed one
        is handed to the writer that is opened next (`SinkContext.receipt`), which must bring the system back to it as
        far as its delivery guarantee says.
        """
        ...

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Make what the receipt covers final. Committing twice equals committing once."""
        ...

    def close(self) -> None:
        """Let go of files and connections without making anything final; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is opened with: its name, options, the schema to read (needed fields only), a base directory and the clock.

    `bounded` asks a source that would follow its input for ever to end where the input ends now.
    """

    name: str
    options: Options
    schema: TableSchema
    directory: Path
    clock: Clock
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink is opened with.

    Attributes:
        name: the sink's name in the pipeline.
        options: the connector's options.
        schema: the visible columns that it gets.
        key: names of the columns that identify a row, or None.
        updating: whether batches carry row kinds.
        directory: what relative paths start from.
        clock: time.
        run_id: identity of this pipeline's state, as text; equal for a run and those that continue it.
        receipt: receipt of the last clean stop that this run continues, or None for a fresh start.
        fresh: the user asked to start over: what an earlier run left may be cleared.
        encoder: the format's encoder, where the connector takes bytes.
    """

    name: str
    options: Options
    schema: TableSchema
    key: tuple[str, ...] | None
    updating: bool
    directory: Path
    clock: Clock
    run_id: str
    receipt: Mapping[str, object] | None = None
    fresh: bool = False
    encoder: Encoder | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """A word of the dictionary of connectors.

    Attributes:
        name: as Flink names it.
        doc: one line for people.
        options: its declared options.
        source: opens it for reading, or None where it cannot be read.
        sink: opens it for writing, or None where it cannot be written.
        takes_format: whether bytes pass, so that a format must be chosen.
        upserts: whether a sink with a key may replace and delete rows.
        needs_key: whether a sink needs a key.
        appends_guarantee: delivery of a sink without key over stops and crashes of the process.
        upserts_guarantee: the same of a sink with a key.
        source_rewinds: whether its sources can be read again from a saved position.
        source_bounded: (options) -> whether a source with these options ends by itself.
        check_schema: (options, declared schema of a source) -> nothing; raises ConfigError where options name its
            fields and do not fit them. A source itself sees only the fields that the plan reads.
        clears: (context) -> what a fresh start would clear, one line each, for the user.
    """

    name: str
    doc: str
    options: type[Options]
    source: Callable[[SourceContext], Source] | None
    sink: Callable[[SinkContext], SinkWriter] | None
    takes_format: bool
    upserts: bool = False
    needs_key: bool = False
    appends_guarantee: DeliveryGuarantee = "at_least_once"
    upserts_guarantee: DeliveryGuarantee = "at_least_once"
    source_rewinds: bool = True
    source_bounded: Callable[[Options], bool] = lambda _options: False
    check_schema: Callable[[Options, TableSchema], None] = lambda _options, _schema: None
    clears: Callable[[SinkContext], Sequence[str]] = lambda _context: ()
