"""Pieces of one bytes object as a column, without a loop and without copying them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from fluxline.batch import Int64s


def cut_bytes(data: bytes, starts: Int64s, ends: Int64s) -> pl.Series:
    """The pieces `data[start:end]` as a Binary series."""
    frame = pl.DataFrame({"start": starts, "size": ends - starts})
    piece = pl.lit(data).bin.slice(pl.col("start"), pl.col("size"))
    return frame.select(piece.alias("piece")).to_series()


def cut_texts(data: bytes, starts: Int64s, ends: Int64s) -> pl.Series:
    """The pieces as a String series; each must be valid UTF-8."""
    return cut_bytes(data, starts, ends).cast(pl.String)
