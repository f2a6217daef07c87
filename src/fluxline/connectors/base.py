"""The contract of a connector: where bytes come from and where rows go.

A source has partitions; each is read in order by a `PartitionReader`. A sink has one writer. Nothing here knows a
pipeline: a connector gets declared options, a schema and a directory that relative paths start from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.batch import Batch, Column, Int64s
    from fluxline.clock import Clock
    from fluxline.errors import Caution, Place
    from fluxline.formats.base import Encoded, Encoder, Reject
    from fluxline.options import Options
    from fluxline.schema import LogicalType, TableSchema
    from fluxline.store.query import Answer

DeliveryGuarantee = Literal["at_most_once", "at_least_once", "exactly_once"]


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a read returns when the system knows bytes.

    Attributes:
        data: the bytes, at most BLOCK_BYTES_MAX unless one record is larger.
        start: position of `data[0]`.
        bounds: where the records begin and end, if the system knows them (a log), each with one line feed behind it that is not its
            own; None for a byte stream (a file), which the format splits.
        positions: int64 of shape (n,), each record's own position, where `bounds` is given.
        final: nothing more comes from this partition.
        metadata: by name of the field, what the system knows of each record, for the fields of the context's schema that
            ask for it.
        logged_ms: int64 of shape (n,), when each record was logged, in ms; negative where the log does not tell. None where the
            context does not ask for it, or the system is no log.
    """

    data: bytes
    start: int
    bounds: Int64s | None = None
    positions: Int64s | None = None
    final: bool = False
    metadata: Mapping[str, Column] | None = None
    logged_ms: Int64s | None = None


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


@runtime_checkable
class VersionedWriter(SinkWriter, Protocol):
    """A writer whose system keeps, of the rows of one key, the one with the highest version, whoever writes it and when."""

    def write_versions(self, batch: Batch, versions: Int64s) -> Written:
        """Take the rows with their versions, int64 of shape (rows,): microseconds since 1970, ascending for each key."""
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is opened with: its name, options, the schema to read (needed fields only), a base directory and the clock.

    `bounded` asks a source that would follow its input for ever to end where the input ends now, `logged` a log for the times at which
    records were logged.
    """

    name: str
    options: Options
    schema: TableSchema
    directory: Path
    clock: Clock
    bounded: bool = False
    logged: bool = False


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
        make_key_encoder: () -> the format's encoder of the key columns alone, in the order of the key, where there are
            a key and a format; it raises where the format cannot hold them.
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
    make_key_encoder: Callable[[], Encoder] | None = None


@dataclass(frozen=True, slots=True)
class FlinkEnd:
    """One end of a pipeline, as a Flink table is made of it.

    Attributes:
        name: as the pipeline calls it.
        options: the connector's options.
        role: whether it is read or written.
        key: the columns that identify a row of a sink.
        format: Flink's name of the format, or None.
        format_options: the format's options in Flink's spelling.
        directory: what relative paths start from.
        bounded: of a source: end where the input ends now.
        updating: of a sink: rows replace and delete those with their key.
        transactions: of a sink: what the names of its transactions begin with, which is its alone; None: each row is written at least once.
        group: of a source: what its position is made known as, which is its alone; None: it is kept in checkpoints only.
    """

    name: str
    options: Options
    role: Literal["source", "sink"]
    key: tuple[str, ...]
    format: str | None
    format_options: Mapping[str, str]
    directory: Path
    bounded: bool = False
    updating: bool = False
    transactions: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class FlinkForm:
    """How Flink knows a connector.

    Attributes:
        table: (end) -> the options of WITH (...), connector and format included; raises UnsupportedByEngine for an
            option that Flink cannot follow.
        partition: the metadata key that tells the partitions of a source apart and its type in SQL, or None.
        metadata: the keys of a record's metadata that a column may be declared with.
        position: the metadata key of a record's position in its partition, a BIGINT, or None.
        logged_at: the metadata key of the time at which a record was logged, a TIMESTAMP_LTZ(3), or None.
        shows_metadata_of_formats: whether the metadata of a format can be read, its keys behind `value.`.
        follows_partitions: whether the source itself moves a watermark per partition, with every record.
        roles: whether Flink reads and writes it.
        exactly_once: whether Flink can write it in transactions.
        appends_by_key: whether rows that are never updated are appended whatever their key, so that Flink is told no primary key.
        secrets: the options of WITH (...) that people are not shown.
    """

    table: Callable[[FlinkEnd], Mapping[str, str]]
    partition: tuple[str, str] | None = None
    metadata: tuple[str, ...] = ()
    position: str | None = None
    logged_at: str | None = None
    shows_metadata_of_formats: bool = False
    follows_partitions: bool = False
    roles: tuple[Literal["source", "sink"], ...] = ("source", "sink")
    exactly_once: bool = False
    appends_by_key: bool = False
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What a connection is asked with, by a text in the language of its system.

    Attributes:
        connection: the connection's name in the environment.
        options: the connector's options; `{name}` stands in them as it was written, for no table is meant yet.
        directory: what relative paths start from.
        limit: the most rows of the answer; None for all, which is an error above STORE_RESULT_ROWS_MAX.
        place: (option) -> where it was written.
    """

    connection: str
    options: Options
    directory: Path
    limit: int | None
    place: Callable[[str], Place | None]


@dataclass(frozen=True, slots=True)
class Survival:
    """What of an end would not outlive the loss of a node.

    Attributes:
        nodes: how many its system has, or is asked to keep rows on.
        cautions: each with the option that it is of.
    """

    nodes: int
    cautions: tuple[tuple[str, Caution], ...] = ()


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
        check_sink: (options, the sink's name, its visible columns, its key) -> nothing; raises a DefinitionError where the system
            cannot hold such a sink, or the options do not fit it.
        metadata: what a source knows of a record beside its bytes: name -> the types that a column of it may have.
        clears: (context) -> what a fresh start would clear, one line each, for the user.
        flink: how Flink knows it, or None where it does not.
        versioned: whether its writers are `VersionedWriter`s, so that several workers may write one table at once.
        query: (context, text) -> the rows that the system answers; None where it answers no queries. A text that the system
            refuses raises a DefinitionError with the system's own words.
        probe: (context of a source or of a sink) -> what was found, one line each: that the system answers and takes the login,
            and that what is read or written is there and fits. It changes nothing and sends no rows. It raises as opening would,
            several problems as one ExceptionGroup. None: a source is opened and its partitions listed, a sink is not asked.
        survival: (name of the source or sink, options, directory that relative paths start from, whether it is written) -> what would
            not outlive the loss of a node. It asks the system and changes nothing; it raises as `probe`. None: nobody knows.
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
    check_sink: Callable[[Options, str, TableSchema, tuple[str, ...] | None], None] = lambda _options, _name, _schema, _key: None
    metadata: Mapping[str, Sequence[LogicalType]] = field(default_factory=dict)
    clears: Callable[[SinkContext], Sequence[str]] = lambda _context: ()
    flink: FlinkForm | None = None
    versioned: bool = False
    query: Callable[[QueryContext, str], Answer] | None = None
    probe: Callable[[SourceContext | SinkContext], Sequence[str]] | None = None
    survival: Callable[[str, Options, Path, bool], Survival] | None = None
