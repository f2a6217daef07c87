"""The connector `datagen`: a source that makes rows, at a given rate, for trying out and for measuring.

Row i of a partition has the same values whenever it is read, times of the clock excepted; so it can be read again from
any position. Rows are due at an even pace from the moment at which a partition is opened; `read` returns what is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fluxline.batch import Batch, empty_batch
from fluxline.connectors.base import Connector, Rows
from fluxline.connectors.datagen.columns import Block, make_column
from fluxline.connectors.datagen.fit import check_fields, check_schema
from fluxline.connectors.datagen.options import DatagenOptions, FieldSpec
from fluxline.errors import ConfigError, PositionExpired
from fluxline.limits import DATAGEN_BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.clock import Clock
    from fluxline.connectors.base import SourceContext
    from fluxline.options import Options
    from fluxline.schema import TableSchema


class DatagenSource:
    """Makes rows in partitions named `0`, `1`, ...; row i of partition p is row i * partitions + p of the source."""

    rewindable = True

    def __init__(self, context: SourceContext) -> None:
        options = context.options
        assert isinstance(options, DatagenOptions)
        check_fields(options, context.schema)
        self._options = options
        self._schema = context.schema
        self._clock = context.clock
        self._total = options.rows_total()
        self.bounded = self._total is not None
        if context.bounded and not self.bounded:
            raise ConfigError(
                "FLX-1106",
                f'source "{context.name}" would make rows without end, and the run is to end',
                hint='Set "number_of_rows" of connector "datagen".',
            )

    def partitions(self) -> Sequence[str]:
        """As many as the option says."""
        return tuple(str(index) for index in range(self._options.partitions))

    def open(self, partition: str, position: int | None) -> DatagenReader:
        """Make rows from this row of the partition on."""
        index = int(partition) if partition.isdecimal() else self._options.partitions
        stride = self._options.partitions
        rows = None if self._total is None else max(0, -(-(self._total - index) // stride))
        if index >= stride or (rows is not None and position is not None and position > rows):
            raise PositionExpired(
                "FLX-4205",
                f'partition "{partition}" of datagen has no row {position or 0}',
                detail=f"Its options now give {stride} partitions and {self._total} rows.",
                hint="Set the options back to what they were, or start over with --fresh.",
            )
        return DatagenReader(self._options, self._schema, self._clock, index, rows, position or 0)

    def close(self) -> None:
        """Nothing is held."""


class DatagenReader:
    """Makes the rows of one partition."""

    def __init__(self, options: DatagenOptions, schema: TableSchema, clock: Clock, partition: int, rows: int | None, position: int) -> None:
        self._options = options
        self._specs = options.specs()
        self._schema = schema
        self._clock = clock
        self._partition = partition
        self._rows = rows
        self._position = position
        self._finished = False
        self._started_at_ms = clock.now_ms()
        self._started_monotonic_ms = clock.monotonic_ms()
        self._first_number = position * options.partitions
        self._block_index = -1
        self._block: Batch | None = None

    def read(self) -> Rows | None:
        """The rows that are due, at most to the end of a block; None while there are none."""
        if self._finished:
            return None
        start, due = self._position, self._due()
        if start == self._rows:
            self._finished = True
            return Rows(empty_batch(self._schema), start, final=True)
        if due <= start:
            return None
        index, offset = divmod(start, DATAGEN_BLOCK_ROWS)
        stop = min(due, (index + 1) * DATAGEN_BLOCK_ROWS)
        batch = self._block_at(index).slice(offset, offset + stop - start)
        self._position = stop
        self._finished = stop == self._rows
        return Rows(batch, start, final=self._finished)

    def position(self) -> int:
        """Number of the next row of the partition."""
        return self._position

    def close(self) -> None:
        """Nothing is held but the block that was made last."""
        self._block = None
        self._block_index = -1

    def _due(self) -> int:
        """The first row of this partition that is not due yet; the first of all partitions is due at once."""
        elapsed_ms = self._clock.monotonic_ms() - self._started_monotonic_ms
        last_number = self._first_number + elapsed_ms * self._options.rows_per_second // 1_000
        due = (last_number - self._partition) // self._options.partitions + 1
        return due if self._rows is None else min(due, self._rows)

    def _block_at(self, index: int) -> Batch:
        if self._block is None or self._block_index != index:
            rows = np.arange(index * DATAGEN_BLOCK_ROWS, (index + 1) * DATAGEN_BLOCK_ROWS, dtype=np.int64)
            numbers = rows * self._options.partitions + self._partition
            due_ms = self._started_at_ms + (numbers - self._first_number) * 1_000 // self._options.rows_per_second
            block = Block(numbers, due_ms, (self._options.seed, self._partition, index))
            columns = {item.name: make_column(item.name, item.type, self._specs.get(item.name, FieldSpec()), block) for item in self._schema.fields}
            self._block = Batch(columns, DATAGEN_BLOCK_ROWS, str(self._partition))
            self._block_index = index
        return self._block


def ends(options: Options) -> bool:
    """Whether a source with these options ends by itself."""
    assert isinstance(options, DatagenOptions)
    return options.rows_total() is not None


CONNECTOR = Connector(
    name="datagen",
    doc="Makes rows: random ones, or sequences.",
    options=DatagenOptions,
    source=DatagenSource,
    sink=None,
    takes_format=False,
    source_bounded=ends,
    check_schema=check_schema,
)
