"""The table store under load: upserts at a steady rate into a large table while another process asks an aggregate query.

    python benchmarks/store.py [--keys 1000000] [--batches-per-second 200] [--rows 50] [--seconds 30] [--queries-per-second 1]

Prints, in milliseconds, the time of a write call, of a query in this process and of one through the socket from another
process, beside the load of the machine; where other work disturbs it, the processor time of a query is the steadier
figure. At the end the table is compared with a second computation.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl

from fluxline.batch import Batch, batch_from_polars
from fluxline.clock import SystemClock, measure_seconds
from fluxline.schema import BIGINT, DOUBLE, STRING, Field, TableSchema, timestamp
from fluxline.store.client import query
from fluxline.store.store import Store

SCHEMA = TableSchema(
    (Field("id", BIGINT), Field("region", STRING), Field("amount", DOUBLE), Field("clicks", BIGINT), Field("seen_at", timestamp(3, local=True)))
)
QUERY = "SELECT region, count(*) AS n, sum(clicks) AS clicks, avg(amount) AS mean FROM visits GROUP BY region ORDER BY region"
REGIONS = 50


class Visits:
    """Makes batches, and remembers what the table must hold."""

    def __init__(self, keys: int) -> None:
        self.random = np.random.default_rng(1)
        self.clicks = np.zeros(keys, dtype=np.int64)

    def batch(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Batch:
        """Rows of these keys."""
        count = len(ids)
        clicks = self.random.integers(0, 1000, count)
        self.clicks[ids] = clicks  # of a key that is there twice the last stays, as in the store
        frame = pl.DataFrame(
            {
                "id": ids,
                "region": pl.Series(ids % REGIONS).cast(pl.String),
                "amount": self.random.random(count),
                "clicks": clicks,
                "seen_at": pl.Series(self.random.integers(0, 10**12, count)).cast(pl.Datetime("ms")),
            }
        )
        return batch_from_polars(frame, SCHEMA)


def main() -> None:
    """Load, run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--batches-per-second", type=int, default=200)
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--queries-per-second", type=float, default=1)
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask is not None:
        ask(options.ask, options.seconds, options.queries_per_second)
        return
    with tempfile.TemporaryDirectory() as directory:
        run(Path(directory) / "tables.duckdb", options)


def run(path: Path, options: argparse.Namespace) -> None:
    """The benchmark over one store."""
    store = Store.open(path, clock=SystemClock())
    table = store.open_table("visits", SCHEMA, ("id",), run_id="benchmark")
    visits = Visits(options.keys)
    begin = measure_seconds()
    for ids in np.array_split(visits.random.permutation(options.keys), max(1, options.keys // 65_536)):
        store.write(table, visits.batch(ids))
    store.settle(table, store.mark(table))
    print(f"load            {options.keys / (measure_seconds() - begin) / 1000:8.0f} thousand rows/s")
    asker = subprocess.Popen(
        [sys.executable, __file__, "--ask", str(path), "--seconds", str(options.seconds), "--queries-per-second", str(options.queries_per_second)]
    )
    asked: list[float] = []
    worked: list[float] = []
    stop = threading.Event()
    own = threading.Thread(target=ask_here, args=(store, asked, worked, stop, options.queries_per_second), daemon=True)
    own.start()
    cpu, begin = cpu_seconds(), measure_seconds()
    writes = write(store, table, visits, options)
    wall, cpu = measure_seconds() - begin, cpu_seconds() - cpu
    stop.set()
    own.join()
    asker.wait()
    report("write call", writes)
    report("query, here", asked)
    report("  its processor", worked)
    print(f"batches written {len(writes) / wall:8.1f} /s; cores used {cpu / wall:.2f}; load average {os.getloadavg()[0]:.1f}")
    found = store.query("SELECT count(*) AS n, sum(clicks) AS clicks FROM visits").row(0)
    assert (int(found[0]), int(found[1])) == (options.keys, int(visits.clicks.sum())), f"the store says {found}"
    begin = measure_seconds()
    store.close()
    print(f"close           {(measure_seconds() - begin) * 1000:8.0f} ms; file {path.stat().st_size / 1e6:.0f} MB")


def write(store: Store, table: object, visits: Visits, options: argparse.Namespace) -> list[float]:
    """Write batches at the rate that was asked for; how long each call took, in ms."""
    took: list[float] = []
    never = threading.Event()
    begin = measure_seconds()
    for number in range(options.seconds * options.batches_per_second):
        wait = begin + number / options.batches_per_second - measure_seconds()
        if wait > 0:
            never.wait(wait)
        batch = visits.batch(visits.random.integers(0, options.keys, options.rows))
        start = measure_seconds()
        store.write(table, batch)  # type: ignore[arg-type]  # what open_table returned
        took.append((measure_seconds() - start) * 1000)
    return took


def ask_here(store: Store, took: list[float], worked: list[float], stop: threading.Event, queries_per_second: float) -> None:
    """Ask in the process that writes; DuckDB works in the thread that asks, so its processor time is the query's."""
    while not stop.wait(1 / queries_per_second):
        start, worked_before = measure_seconds(), time.thread_time()
        assert store.query(QUERY).height == REGIONS
        took.append((measure_seconds() - start) * 1000)
        worked.append((time.thread_time() - worked_before) * 1000)


def ask(path: Path, seconds: int, queries_per_second: float) -> None:
    """Ask from another process, through the socket."""
    took: list[float] = []
    never = threading.Event()
    begin = measure_seconds()
    while measure_seconds() - begin < seconds:
        start = measure_seconds()
        assert query(path, QUERY).height == REGIONS
        took.append((measure_seconds() - start) * 1000)
        never.wait(1 / queries_per_second)
    report("query, socket", took)


def report(what: str, took: list[float]) -> None:
    """One line of figures."""
    print(f"{what:15} p50 {np.percentile(took, 50):7.2f}  p99 {np.percentile(took, 99):7.2f}  max {max(took):7.2f} ms  ({len(took)})", flush=True)


def cpu_seconds() -> float:
    """Processor time that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
