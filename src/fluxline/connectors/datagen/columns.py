"""Columns of generated values, a block of rows at a time.

Every column draws from its own stream of random numbers, seeded by seed, partition, block and the column's name. So a
value depends on its row alone: not on where reading began, nor on which other columns are read. The stream is numpy's
PCG64; another numpy version may give other values.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.random import PCG64, Generator, SeedSequence

from fluxline.batch import Column, Int64s, column_from_series, numpy_type, polars_type, time_unit
from fluxline.connectors.datagen.fit import bounds_of, parts_of
from fluxline.connectors.datagen.options import FieldSpec
from fluxline.errors import ConfigError

if TYPE_CHECKING:
    from fluxline.schema import LogicalType

TEXT_LENGTH, BYTES_LENGTH, COLLECTION_LENGTH = 100, 1024, 3  # Flink's defaults.
UNITS_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}
DAY_MS = 86_400_000
LAST_TIME_US = {"ms": 253_402_300_799_999_999, "us": 253_402_300_799_999_999, "ns": 9_223_372_036_854_775}  # The years 9999 and 2262.
EXACT_RANGE = 2**62  # Wider ranges of decimals are drawn in steps, so that a draw fits 64 bits.


@dataclass(frozen=True, slots=True)
class Block:
    """Rows to make.

    Attributes:
        numbers: number of each row among those of all partitions; sequences count by it.
        due_ms: time of the clock at which each is due.
        seed: seed, partition and block, which start the random numbers.
    """

    numbers: Int64s
    due_ms: Int64s
    seed: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.numbers)

    def repeated(self, times: int) -> Block:
        """A block with each row several times, for the elements of a collection."""
        return Block(np.repeat(self.numbers, times), np.repeat(self.due_ms, times), self.seed)


def make_column(path: str, logical: LogicalType, spec: FieldSpec, block: Block) -> Column:
    """The values of one column, or of one part of a nested column.

    Args:
        path: name of the column, with those of its parts.
        logical: its type.
        spec: its settings, which fit the type.
        block: the rows.
    """
    generator = Generator(PCG64(SeedSequence([*block.seed, zlib.crc32(path.encode())])))
    column = _sequence(path, logical, spec, block) if spec.kind == "sequence" else _random(path, logical, spec, block, generator)
    if not spec.null_rate:
        return column
    valid = generator.random(len(block)) >= spec.null_rate
    if isinstance(column.values, pl.Series):
        return Column(pl.select(pl.when(pl.Series(valid)).then(column.values)).to_series().cast(polars_type(logical)))
    return Column(column.values, valid)


def _sequence(path: str, logical: LogicalType, spec: FieldSpec, block: Block) -> Column:
    if isinstance(spec.start, datetime):
        assert spec.step_ms is not None
        first = int(np.datetime64(spec.start.replace(tzinfo=None), "us").astype(np.int64))
        if first + int(block.numbers[-1]) * spec.step_ms * 1_000 > LAST_TIME_US[time_unit(logical)]:
            raise ConfigError(
                "FLX-1106", f'the sequence of field "{path}" goes beyond the last time of its type', hint="Set number_of_rows, or a shorter step."
            )
        return Column(_times(first + block.numbers * (spec.step_ms * 1_000), "us", logical))
    values = block.numbers + np.int64(spec.start or 0)
    if logical.text_like:
        return Column(pl.Series(values).cast(pl.String))
    if logical.root == "DECIMAL":
        return Column(pl.Series(values).cast(polars_type(logical), strict=False))  # Rows behind the end may not fit; nobody gets them.
    return Column(values.astype(numpy_type(logical)))


def _random(path: str, logical: LogicalType, spec: FieldSpec, block: Block, generator: Generator) -> Column:
    count, root = len(block), logical.root
    if root == "BOOLEAN":
        return Column(generator.integers(0, 2, count, dtype=np.bool_))
    if logical.integer:
        low, high = (int(bound) for bound in _bounds(logical, spec))
        return Column(generator.integers(low, high, count, dtype=np.int64, endpoint=True).astype(numpy_type(logical)))
    if root in ("FLOAT", "DOUBLE"):
        least, greatest = (float(bound) for bound in _bounds(logical, spec))
        share = generator.random(count)
        mixed = share * greatest + (1 - share) * least  # The difference of the bounds could overflow.
        return Column(np.clip(mixed, least, greatest).astype(numpy_type(logical)))
    if root == "DECIMAL":
        return Column(_decimals(logical, spec, count, generator))
    if logical.text_like or logical.binary:
        return Column(_texts(logical, spec, count, generator))
    if logical.timestamp:
        past = generator.integers(0, spec.max_past_ms or 0, count, dtype=np.int64, endpoint=True)
        return Column(_times(block.due_ms - past, "ms", logical))
    if root == "DATE":
        return Column((block.due_ms // DAY_MS).astype("datetime64[D]"))
    if root == "TIME":
        unit = 10 ** (9 - (logical.precision or 0))
        return Column(pl.Series(block.due_ms % DAY_MS * 1_000_000 // unit * unit).cast(pl.Time))
    return _nested(path, logical, spec, block)


def _nested(path: str, logical: LogicalType, spec: FieldSpec, block: Block) -> Column:
    length = 1 if logical.root == "ROW" else COLLECTION_LENGTH if spec.length is None else spec.length
    inner = block if logical.root == "ROW" else block.repeated(length)
    parts = {
        name: make_column(f"{path}.{name}", part, spec.parts.get(name, FieldSpec()), inner).series(name).cast(polars_type(part))
        for name, part in parts_of(logical).items()
    }
    values = pl.DataFrame(parts).to_struct("nested")
    if logical.root != "ROW":
        values = values.reshape((len(block), length)).arr.to_list()  # Of structs: lists would lose their own bounds.
    if logical.root == "ARRAY":
        values = values.to_frame().select(pl.col("nested").list.eval(pl.element().struct.field("element"))).to_series()
    if logical.root == "MAP":  # A random key may come twice; a map has it once.
        first = pl.element().filter(pl.element().struct.field("key").is_first_distinct())
        values = values.to_frame().select(pl.col("nested").list.eval(first)).to_series()
    return column_from_series(values.cast(polars_type(logical)), logical)


def _bounds(logical: LogicalType, spec: FieldSpec) -> tuple[Decimal, Decimal]:
    least, greatest = bounds_of(logical)
    return least if spec.min is None else Decimal(str(spec.min)), greatest if spec.max is None else Decimal(str(spec.max))


def _times(values: Int64s, unit: str, logical: LogicalType) -> np.ndarray[Any, np.dtype[Any]]:
    """Times in the unit and with the digits of a type."""
    wanted = time_unit(logical)
    scale = UNITS_PER_MS[wanted] / UNITS_PER_MS[unit]
    scaled = values * int(scale) if scale >= 1 else values // int(1 / scale)
    digits = {"ms": 3, "us": 6, "ns": 9}[wanted]
    coarse = 10 ** (digits - (logical.precision if logical.precision is not None else digits))
    cut: np.ndarray[Any, np.dtype[Any]] = (scaled // coarse * coarse).astype(f"datetime64[{wanted}]")
    return cut


def _texts(logical: LogicalType, spec: FieldSpec, count: int, generator: Generator) -> pl.Series:
    """Random hexadecimal digits, as Flink's; or random bytes."""
    default = TEXT_LENGTH if logical.text_like else BYTES_LENGTH
    most = logical.length if logical.length is not None else default
    fixed = logical.root in ("CHAR", "BINARY")
    length = spec.length or (most if fixed else min(default, most))
    drawn = (length + 1) // 2 if logical.text_like else length
    digits = pl.Series([generator.bytes(count * drawn).hex("\n", drawn)]).str.split("\n").explode()
    return digits.str.head(length) if logical.text_like else digits.str.decode("hex")


def _decimals(logical: LogicalType, spec: FieldSpec, count: int, generator: Generator) -> pl.Series:
    """Random decimals: whole numbers of the last digit, which then get their point."""
    scale = logical.scale or 0
    with localcontext(prec=80):
        low, high = (int(bound.scaleb(scale)) for bound in _bounds(logical, spec))
    step = -(-(high - low + 1) // EXACT_RANGE)
    middle = low + (high - low) // 2
    draws = generator.integers(-((middle - low) // step), (high - middle) // step, count, dtype=np.int64, endpoint=True)
    wide = pl.Series(draws).cast(pl.Int128)
    whole = pl.select(pl.lit(wide) * pl.lit(step, dtype=pl.Int128) + pl.lit(middle, dtype=pl.Int128)).to_series().alias("whole")
    digits = pl.col("whole").abs().cast(pl.String).str.zfill(scale + 1)
    sign = pl.when(pl.col("whole") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    text = pl.concat_str([sign, digits.str.head(-scale), pl.lit("."), digits.str.tail(scale)]) if scale else sign + digits
    return whole.to_frame().select(text.cast(polars_type(logical))).to_series()
