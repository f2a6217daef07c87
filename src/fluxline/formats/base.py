"""The contract of a format: bytes to columns and back.

- `split` finds the records of a byte stream; `decode` turns records into columns. A bad record never fails its batch:
  it becomes a `Reject` with a reason of the closed set, its healthy neighbours become rows.
- Records stand side by side in one bytes object; record i is `data[bounds[i]:bounds[i + 1]]`, its line end included.
  So the same decoder serves files (the format splits) and logs (the connector knows the bounds). A connector that knows
  the bounds puts a newline behind each of its records: it is the line end, and never part of what the record holds.
- A decoder is made for one partition of one source and is used by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxline.batch import Batch, Column, Int64s
    from fluxline.options import Options
    from fluxline.schema import TableSchema

Reason = Literal[
    "malformed", "wrong_type", "out_of_range", "missing", "not_utf8", "too_large", "too_deep",
    "no_event_time", "too_far_ahead", "rule", "function", "refused_by_sink",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot become a row: its index among the records (or rows) it came with, why, and what was seen."""

    index: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What `decode` made of n records.

    Attributes:
        columns: one column per field of the schema, of the healthy records in their order.
        rows: number of healthy records.
        records: int64 array of shape (rows,): which record each row came from, ascending; None when rows == n.
        rejects: the others, ascending by index; rows + len(rejects) == n.
    """

    columns: Mapping[str, Column]
    rows: int
    records: Int64s | None
    rejects: tuple[Reject, ...]


class Decoder(Protocol):
    """Turns the bytes of one partition into columns."""

    def split(self, data: bytes, *, final: bool) -> Int64s:
        """The bounds of the complete records in `data`, int64 of shape (n + 1,).

        `bounds[0]` is 0 unless the bytes before it are no record (a header, or the rest of a record that was cut); it is
        also there, alone, when no record is complete. Everything in front of `bounds[-1]` is done with; what lies behind
        it is the beginning of a record that comes again in front of the next data. When `final`, nothing more comes.

        A record that is longer than RECORD_BYTES_MAX before its end is seen is cut there: its beginning is one record,
        which `decode` rejects as too large, and the rest is skipped. So no more than that ever waits for its end.
        """
        ...

    def decode(self, data: bytes, bounds: Int64s) -> Decoded:
        """Turn the records into columns of the schema; never raises for what a record holds."""
        ...

    def snapshot(self) -> Mapping[str, object]:
        """What must be known to read on from a later position of this partition: plain JSON data, usually empty.

        It is the same from the first complete record on (the columns that a file's header named), so it may be saved with
        the position of any record.
        """
        ...

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Take a snapshot back; called before the first `split` when reading does not start at the partition's beginning."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as bytes, side by side; row i is `data[bounds[i]:bounds[i + 1]]`, its line end included."""

    data: bytes
    bounds: Int64s


class Encoder(Protocol):
    """Turns columns into bytes."""

    def header(self) -> bytes:
        """Bytes that open a new file; usually none."""
        ...

    def encode(self, batch: Batch) -> Encoded:
        """One record per row, in order, of the schema's visible columns."""
        ...


@dataclass(frozen=True, slots=True)
class FlinkFormat:
    """How Flink knows a format, in one direction.

    Attributes:
        name: Flink's name of it.
        options: its options in Flink's spelling.
        not_null: the option that names the columns which a record must have; None where NULL in such a column fails the job.
        shows_rejects: whether decoding gives a record that it rejects as a row of NULLs with metadata: `reject` the reason, `detail` a
            sentence. Of every record `raw` is the bytes.
    """

    name: str
    options: Mapping[str, str]
    not_null: str | None = None
    shows_rejects: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A word of the dictionary of formats.

    Attributes:
        name: as Flink names it.
        doc: one line for people.
        options: its declared options.
        decoder: (schema of the fields to read, schema as declared, options) -> Decoder. The first is a part of the
            second, in any order; a format whose records have no names (csv) finds the fields by the second. Raises
            UnsupportedByEngine for a type that the format cannot hold.
        encoder: (schema to write, options) -> Encoder; raises likewise.
        flink: (options, whether it decodes or encodes) -> the same in Flink's spelling; None where Flink has no such format. Raises
            UnsupportedByEngine for an option that Flink cannot follow.
    """

    name: str
    doc: str
    options: type[Options]
    decoder: Callable[[TableSchema, TableSchema, Options], Decoder]
    encoder: Callable[[TableSchema, Options], Encoder]
    flink: Callable[[Options, Literal["source", "sink"]], FlinkFormat] | None = None
