"""Pieces of one bytes object as a column, without a loop and without copying them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.batch import Int64s


def cut_bytes(data: bytes, places: Sequence[tuple[Int64s, Int64s]]) -> list[pl.Series]:
    """For each pair of starts and ends, the pieces `data[start:end]` as a Binary series."""
    if not places:
        return []
    starts = [pl.Series(f"start{number}", pair[0]) for number, pair in enumerate(places)]
    sizes = [pl.Series(f"size{number}", pair[1] - pair[0]) for number, pair in enumerate(places)]
    pieces = (pl.lit(data).bin.slice(pl.col(start.name), pl.col(size.name)).alias(start.name) for start, size in zip(starts, sizes, strict=True))
    return pl.DataFrame([*starts, *sizes]).select(pieces).get_columns()


def cut_texts(data: bytes, places: Sequence[tuple[Int64s, Int64s]]) -> list[pl.Series]:
    """The same as String series; each piece must be valid UTF-8."""
    return [series.cast(pl.String) for series in cut_bytes(data, places)]
