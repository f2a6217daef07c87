"""The row ledger for people and for programs: what became of every row on every path from a source to a sink.

    sensor_data -> hourly_averages: read 177,659 = used 177,635 + late 4 + rejected 20; wrote 29,612

A path is told in input rows. Steps that give one row for each that they use stand in one sum; where a step gives other rows
(an aggregate), a new sum begins with the rows that it gave. A path with several sources, or with branches that meet again,
is told part by part.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fluxline.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.telemetry import Ledger, Report

_FATES = ("filtered", "late", "rejected", "held")


def report_lines(report: Report, *, read_before: int = 0) -> list[str]:
    """The whole report.

    Args:
        report: what a job gave.
        read_before: records that the runs which this one continues had read; they do not count for its speed.
    """
    lines = [f"{report.pipeline}: the row ledger, in input rows"]
    lines += [f"  {line}" for line in path_lines(report)]
    lines += [f"  {line}" for line in _reasons(report)]
    imbalances = report.imbalances()
    lines += ["balanced: every operator and every edge"] if not imbalances else ["NOT balanced:", *(f"  {line}" for line in imbalances)]
    if report.seconds:
        lines.append(speed_line(report, read_before=read_before))
    return lines


def speed_line(report: Report, *, read_before: int = 0) -> str:
    """Seconds, rows a second and peak memory."""
    rows = max(0, report.read - read_before)
    return f"{report.seconds:,.1f} s, {rows / report.seconds:,.0f} rows/s, peak memory {report.peak_memory_bytes / MIB:,.0f} MiB"


def report_json(report: Report) -> dict[str, object]:
    """The whole report as plain data."""
    return {
        "pipeline": report.pipeline,
        "balanced": not report.imbalances(),
        "imbalances": report.imbalances(),
        "read": report.read,
        "late": report.late,
        "rejected": report.rejected,
        "written": report.written,
        "operators": {name: asdict(ledger) for name, ledger in report.operators.items()},
        "edges": [asdict(edge) for edge in report.edges],
        "sources": list(report.sources),
        "sinks": report.sinks,
        "paths": {sink: list(names) for sink, names in report.paths.items()},
        "watermarks": report.watermarks,
        "positions": report.positions,
        "seconds": report.seconds,
        "peak_memory_bytes": report.peak_memory_bytes,
        "notes": list(report.notes),
    }


def path_lines(report: Report) -> list[str]:
    """One line for every sink, or several where its path is no single chain."""
    return [line for sink in report.sinks for line in _Path(report, sink).lines()]


def _reasons(report: Report) -> list[str]:
    lines = []
    for name, ledger in report.operators.items():
        if ledger.reasons:
            shown = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(ledger.reasons.items(), key=lambda item: (-item[1], item[0])))
            lines.append(f"rejected by {name}: {shown}")
    return lines


class _Path:
    """The operators from the sources to one sink, as chains."""

    def __init__(self, report: Report, sink: str) -> None:
        self._ledgers = report.operators
        self._sink = sink
        self._end = report.sinks[sink]
        names = [name for name in report.paths.get(sink, ()) if name in report.operators]
        self._before: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        self._after: dict[str, list[str]] = {name: [] for name in names}
        for edge in report.edges:
            if edge.writer in self._before and edge.reader in self._before and edge.writer != self._end:
                self._before[edge.reader].append((edge.writer, edge.port))
                self._after[edge.writer].append(edge.reader)
        self._sources = [name for name in names if name in report.sources]

    def lines(self) -> list[str]:
        chains = self._chains()
        title = f"{', '.join(self._sources)} -> {self._sink}"
        wrote = f"wrote {self._ledgers[self._end].used:,}"
        if len(chains) == 1:
            return [f"{title}: {'; '.join([*self._sums(chains[0]), wrote])}"]
        lines = [f"{title}: {wrote}"]
        for chain in chains:
            sums = self._sums(chain)
            lines += [f"  {chain[0]}: {'; '.join(sums)}"] if sums else []
        return lines

    def _chains(self) -> list[list[str]]:
        """The operators, each in one chain: a chain goes on while there is one way on and one way there."""
        chains: list[list[str]] = []
        for name, before in self._before.items():
            if len(before) == 1 and len(self._after[before[0][0]]) == 1:
                next(chain for chain in chains if chain[-1] == before[0][0]).append(name)
            else:
                chains.append([name])
        return chains

    def _sums(self, chain: Sequence[str]) -> list[str]:
        """The sums along a chain; the first begins with what its first operator read."""
        texts: list[str] = []
        names: list[str] = []
        for index, name in enumerate(chain):
            names.append(name)
            following = chain[index + 1] if index + 1 < len(chain) else None
            port = "main" if following is None else self._before[following][0][1]
            ledger = self._ledgers[name]
            if port == "main" and following is not None and ledger.written == ledger.used:
                continue
            if texts and names == [self._end] and ledger.used == ledger.read:
                continue  # that the sink took every row is said by what was written
            texts.append(self._sum(names, first=not texts) if port == "main" else self._of_port(names, ledger, port, first=not texts))
            names = []
        return texts

    def _sum(self, names: Sequence[str], *, first: bool) -> str:
        ledgers = [self._ledgers[name] for name in names]
        fates = {fate: sum(getattr(ledger, fate) for ledger in ledgers) for fate in _FATES}
        used = ledgers[-1].used
        shown = " + ".join([f"used {used:,}", *(f"{fate} {rows:,}" for fate, rows in fates.items() if rows)])
        sign = "=" if ledgers[0].read == used + sum(fates.values()) else "is not"
        return f"{'read' if first else 'gave'} {ledgers[0].read:,} {sign} {shown}"

    def _of_port(self, names: Sequence[str], ledger: Ledger, port: str, *, first: bool) -> str:
        """The rows that an operator dropped and that this path takes."""
        rows = ledger.late if port == "late" else ledger.rejected
        return f"{'read' if first else 'gave'} {self._ledgers[names[0]].read:,}, of them {rows:,} {port}"
