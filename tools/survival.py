"""Run the drills of `tests/survival/` and write `docs/reference/survival.md` from what was counted and measured.

    python tools/survival.py                 every drill at ten moments; about an hour and a half on two cores
    python tools/survival.py --moments 2     at fewer
    python tools/survival.py -k leader       some of the drills; the page is not written then

The page is not checked against the code, as the other pages of the reference are: it tells what happened on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "survival.md"
LOCKS = ROOT / "src" / "fluxline" / "stack" / "locks"
MOMENTS = 10
ARTIFACTS = {
    "Apache Kafka": ("kafka.lock", "kafka_2.13"),
    "Apache Flink": ("flink.lock", "flink-sql-gateway"),
    "Apache Cassandra": ("cassandra.lock", "cassandra-all"),
}
"""By the name of a server, in which lock its version stands, and of which artifact it is."""

DRILLS = {
    "leader_killed": "the broker that leads a partition is killed",
    "follower_killed": "a broker that follows in it is killed, started, and catches up",
    "task_manager_killed": "a task manager with tasks of the job is killed",
    "job_manager_killed": "the job manager is killed and started; one command restores the job",
    "link_cut": "the network between job and brokers is cut in silence, and healed after 4 to 10 s",
    "node_killed": "a Cassandra node is killed and started while rows come in",
    "worker_killed": "a second worker is started, and the first one killed",
    "rescaled": "parallelism 1, 2 and 1 again, through savepoints",
    "stack_stopped": "the whole stack is stopped, and started; the job goes on",
    "broker_added": "a broker is added, and the topic goes from 3 partitions to 6",
}
TEXT = """\
# Survival

What `make survival` counted and measured: {count} runs of {drills} drills, each at {moments} of its input, drawn from a seed. {machine}. The
servers: {versions}; three brokers, two task managers and two nodes by `fluxline stack`, with the settings that it gives them.

A pipeline copies records from a topic of three partitions to another one, exactly once, and keeps totals of windows in a table of Cassandra; it has
outputs of late and of rejected records. An idempotent producer that waits for all replicas feeds {records:,} records, some late and some broken. In
the middle something happens. A moment counts only if, by the servers' own counters, a checkpoint has brought rows out by then and at least a fifth
of the input is not in the topic yet. At the end a plain loop over the records says what has to be in each topic, committed rows only, and in the
table, read from all nodes. *Lost* and *doubled* are rows of the input topic and of all four outputs together.

| what happens | moments | records | lost | doubled | first output after it, median | longest | outputs pause, longest | brokers silent, longest |
| --- | --: | --: | --: | --: | --: | --: | --: | --: |
{rows}

The first output after it is a committed row that was made of a record which was sent after it; with a node or a worker it is the first rows that
workers bring to the table. A cut link counts from its healing. With checkpoints each second a row waits up to one second for the commit of its
transaction, also where nothing happens. The pause of outputs is the longest time in which no row of the exactly-once topic was committed, the silence
of brokers that in which the producer had no acknowledgement.
"""


def versions(locks: Path = LOCKS) -> dict[str, str]:
    """The version of each server that the locks name."""
    found = {}
    for name, (lock, artifact) in ARTIFACTS.items():
        lines = (line.split("\t") for line in (locks / lock).read_text(encoding="utf-8").splitlines())
        found[name] = next(parts[2] for parts in lines if len(parts) > 2 and parts[1] == artifact)
    return found


def page(notes: Sequence[dict[str, Any]], machine: str) -> str:
    """The text of the page.

    Raises:
        KeyError: a drill is not known here, and so cannot be described.
    """
    by_drill = dict[str, list[dict[str, Any]]]()
    for note in notes:
        by_drill.setdefault(note["drill"], []).append(note)
    ordered = sorted(by_drill, key=list(DRILLS).index)
    fewest, most = min(map(len, by_drill.values())), max(map(len, by_drill.values()))
    moments = "one moment" if most == 1 else f"{most} moments" if fewest == most else f"{fewest} to {most} moments"
    return TEXT.format(
        count=len(notes),
        drills=len(by_drill),
        moments=moments,
        machine=machine,
        versions=", ".join(f"{name} {version}" for name, version in versions().items()),
        records=notes[0]["records"],
        rows="\n".join(_row(DRILLS[name], by_drill[name]) for name in ordered),
    )


def _row(what: str, notes: Sequence[dict[str, Any]]) -> str:
    def column(name: str) -> list[float]:
        return [note[name] for note in notes]

    seconds = column("output_seconds")
    counted = [f"{sum(column(name)):,}" for name in ("records", "lost", "doubled")]
    measured = [f"{value:.1f} s" for value in (median(seconds), max(seconds), max(column("pause_seconds")), max(column("silence_seconds")))]
    return f"| {' | '.join([what, str(len(notes)), *counted, *measured])} |"


def machine() -> str:
    """The machine, in words."""
    return f"The machine: {os.cpu_count()} cores, {platform.system()} on {platform.machine()}"


def read_notes(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The notes of a run, one JSON object a line."""
    return [json.loads(line) for line in lines]


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    parser = argparse.ArgumentParser(description="Run the drills, and write the page of what they showed.")
    parser.add_argument("--moments", type=int, default=MOMENTS, help="of each drill (default: %(default)s)")
    parser.add_argument("-k", dest="some", help="only drills that fit this expression of pytest; writes no page")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        notes = Path(directory) / "notes.ndjson"
        notes.touch()
        variables = {**os.environ, "FLUXLINE_SURVIVAL_MOMENTS": str(given.moments), "FLUXLINE_SURVIVAL_NOTES": str(notes)}
        command = [sys.executable, "-m", "pytest", "tests/survival", "-m", "survival", *(["-k", given.some] if given.some else [])]
        code = subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode
        found = read_notes(notes.read_text(encoding="utf-8").splitlines())
    for note in found:
        print(json.dumps(note))
    if code == 0 and given.some is None:
        PAGE.write_text(page(found, machine()), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT).as_posix()}")
    return code


if __name__ == "__main__":
    sys.exit(main())
