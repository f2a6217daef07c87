"""Whole pipelines over NDJSON files, against DuckDB batch SQL on the same file in the same run.

Input: seeded bids of seven fields, about 220 bytes a row, in event-time order at 10,000 rows a second of event time;
half of them on 40 hot auctions. `filter` keeps one price in ten; `tumble` is a 10-second maximum and count. Each side
runs in turn, three times; the best is reported, and the rows are compared first.

    FLUXLINE_BENCH_ROWS=4000000 python -m benchmarks pipelines
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import polars as pl

from fluxline import Pipeline, Schema, col, count, tumble
from fluxline.clock import measure_seconds
from fluxline.control.run import RunOptions, peak_memory_bytes, run

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = int(os.environ.get("FLUXLINE_BENCH_ROWS", "1000000"))
ROUNDS = 3


class Bid(Schema):
    """The three fields of a bid that the pipelines read."""

    auction: int
    price: int
    at: datetime


def write_bids(path: Path, rows: int) -> None:
    """Write seeded bids as NDJSON."""
    draw = np.random.Generator(np.random.PCG64(7))
    hot = draw.random(rows) < 0.5
    auctions = np.where(hot, draw.integers(0, 40, rows), draw.integers(40, 100_040, rows))
    times = (np.datetime64("2026-01-01T00:00:00", "ms").astype(np.int64) + np.arange(rows) // 10).astype("datetime64[ms]")
    frame = pl.DataFrame(
        {
            "auction": auctions,
            "bidder": draw.integers(0, 50_000, rows),
            "price": (10 ** (draw.random(rows) * 6) * 100).astype(np.int64),
            "channel": pl.Series(["channel-" + str(n) for n in range(100)]).gather(draw.integers(0, 100, rows)),
            "url": pl.Series([f"https://www.example.com/item/{n:08}/listing?channel=web" for n in range(1000)]).gather(draw.integers(0, 1000, rows)),
            "at": pl.Series(times).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
            "extra": pl.Series(["x" * 40]).new_from_index(0, rows),
        }
    )
    frame.write_ndjson(path)


def filtered() -> Pipeline:
    """Keep dear bids."""
    pipeline = Pipeline("filter")
    bids = pipeline.source("bids", schema=Bid, event_time="at", watermark="4 seconds")
    bids.filter(col("price") > 10_000_000).select("auction", "price").sink("out")
    return pipeline


def windowed() -> Pipeline:
    """Maximum and count of every ten seconds."""
    pipeline = Pipeline("tumble")
    bids = pipeline.source("bids", schema=Bid, event_time="at", watermark="4 seconds")
    bids.window(tumble("10 seconds")).agg(top=col("price").max(), bids=count()).sink("out")
    return pipeline


def keyed() -> Pipeline:
    """Maximum and count of every ten seconds and auction."""
    pipeline = Pipeline("keyed")
    bids = pipeline.source("bids", schema=Bid, event_time="at", watermark="4 seconds")
    bids.window(tumble("10 seconds")).group_by("auction").agg(top=col("price").max(), bids=count()).sink("out")
    return pipeline


_READ = "read_json('{path}', format='newline_delimited', columns={{auction: 'BIGINT', price: 'BIGINT', \"at\": 'TIMESTAMP'}})"
_BUCKET = 'time_bucket(INTERVAL 10 SECONDS, "at")'
QUERIES: dict[str, tuple[Callable[[], Pipeline], str]] = {
    "filter": (filtered, "SELECT count(*), sum(price) FROM {read} WHERE price > 10000000"),
    "tumble": (windowed, f"SELECT sum(n), sum(top) FROM (SELECT max(price) AS top, count(*) AS n FROM {{read}} GROUP BY {_BUCKET})"),
    "keyed": (keyed, f"SELECT sum(n), sum(top) FROM (SELECT max(price) AS top, count(*) AS n FROM {{read}} GROUP BY auction, {_BUCKET})"),
}


def run_fluxline(directory: Path, build: Callable[[], Pipeline]) -> tuple[float, tuple[int, int]]:
    """Run a pipeline into an NDJSON file; its seconds, and the two sums that its rows give."""
    pipeline = build()
    started = measure_seconds()
    report = run(pipeline._plan(), directory, options=RunOptions(bounded=True, fresh=True))
    seconds = measure_seconds() - started
    assert not report.imbalances(), report.imbalances()
    rows = pl.read_ndjson(directory / "out.ndjson")
    if pipeline.name == "filter":
        return seconds, (rows.height, int(rows["price"].sum()))
    return seconds, (int(rows["bids"].sum()), int(rows["top"].sum()))


def run_duckdb(path: Path, query: str, threads: int) -> tuple[float, tuple[int, int]]:
    """The same by one SQL statement."""
    connection = duckdb.connect(config={"threads": str(threads)})
    started = measure_seconds()
    first, second = connection.execute(query.format(read=_READ.format(path=path))).fetchall()[0]
    return measure_seconds() - started, (int(first), int(second))


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        write_bids(directory / "bids.ndjson", ROWS)
        size = (directory / "bids.ndjson").stat().st_size
        (directory / "fluxline.toml").write_text(
            '[project]\nname = "bench"\ndefault_environment = "dev"\n[environments.dev]\nengine = "embedded"\ntopics = "files"\n'
            'connections.files = { connector = "filesystem", path = "{name}.ndjson", format = "json" }\n'
        )
        sys.stdout.write(f"{ROWS} rows, {size // 1_000_000} MB; thousand rows a second, best of {ROUNDS}\n")
        sys.stdout.write(f"{'pipeline':10} {'fluxline':>9} {'duckdb T=1':>11} {'duckdb T=2':>11} {'fluxline / duckdb T=2':>22}\n")
        for name, (build, query) in QUERIES.items():
            best: dict[str, float] = {}
            for _ in range(ROUNDS):
                seconds, ours = run_fluxline(directory, build)
                best["fluxline"] = min(seconds, best.get("fluxline", seconds))
                for threads in (1, 2):
                    seconds, theirs = run_duckdb(directory / "bids.ndjson", query, threads)
                    assert ours == theirs, f"{name}: {ours} differs from {theirs}"
                    best[f"duckdb{threads}"] = min(seconds, best.get(f"duckdb{threads}", seconds))
            rate = {side: ROWS / seconds / 1000 for side, seconds in best.items()}
            ratio = rate["fluxline"] / rate["duckdb2"]
            sys.stdout.write(f"{name:10} {rate['fluxline']:9.0f} {rate['duckdb1']:11.0f} {rate['duckdb2']:11.0f} {ratio:22.2f}\n")
        sys.stdout.write(f"peak memory of the process: {peak_memory_bytes() // 1_000_000} MB\n")
