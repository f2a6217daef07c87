"""The row ledger's counters and the closed set of names under which rows are dropped.

Every row that an operator reads has one fate, counted where it is decided and never computed from the others:

    read = used + filtered + late + rejected + held

`written` is the output rows; on every edge the writer's `written` is the reader's `read`, once per reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DROP_REASONS = (
    "late", "malformed", "wrong_type", "out_of_range", "missing", "not_utf8", "too_large", "too_deep",
    "no_event_time", "too_far_ahead", "rule", "function", "refused_by_sink",
)  # fmt: skip


@dataclass(slots=True)
class Ledger:
    """The rows of one operator, in input rows.

    Attributes:
        read: rows that arrived.
        used: at least one output row came from it or counts it.
        filtered: done with, without output.
        late: dropped as late.
        rejected: could not be decoded, computed or accepted.
        held: none of these yet; counted from the state.
        written: output rows.
        written_late: rows given to the late output.
        written_rejected: rows given to the rejected output.
        reasons: of the rejected, how many for each reason.
    """

    read: int = 0
    used: int = 0
    filtered: int = 0
    late: int = 0
    rejected: int = 0
    held: int = 0
    written: int = 0
    written_late: int = 0
    written_rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str, rows: int = 1) -> None:
        """Count rejected rows under their reason."""
        assert reason in DROP_REASONS, f"unknown reason {reason}"
        self.rejected += rows
        self.reasons[reason] = self.reasons.get(reason, 0) + rows

    def difference(self) -> int:
        """`read` less the sum of the fates: 0 when the operator balances."""
        return self.read - (self.used + self.filtered + self.late + self.rejected + self.held)

    def copy(self) -> Ledger:
        """An independent copy."""
        return Ledger(
            self.read, self.used, self.filtered, self.late, self.rejected, self.held, self.written, self.written_late,
            self.written_rejected, dict(self.reasons),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EdgeCount:
    """The rows of one edge: what the writer gave, what the reader took, what is between them."""

    writer: str
    port: str
    reader: str
    written: int
    read: int
    inside: int = 0

    def difference(self) -> int:
        """0 when nothing was lost or doubled between the two."""
        return self.written - self.read - self.inside


@dataclass(frozen=True, slots=True)
class Report:
    """The row ledger of a run, those that it continues included.

    Attributes:
        pipeline: its name.
        operators: the ledger of every operator, by name, sources first and sinks last.
        edges: what passed between them.
        sources: names of the operators that read sources.
        sinks: sink name -> operator name.
        paths: for every sink, the names of the operators from its sources to it.
        watermarks: source -> watermark in ms, or None before the first.
        positions: source -> partition -> position.
        seconds: how long this run took.
        peak_memory_bytes: the largest resident memory of the process.
        notes: what the reader should know, such as where the run started.
    """

    pipeline: str
    operators: dict[str, Ledger]
    edges: tuple[EdgeCount, ...]
    sources: tuple[str, ...]
    sinks: dict[str, str]
    paths: dict[str, tuple[str, ...]]
    watermarks: dict[str, int | None] = field(default_factory=dict)
    positions: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """Records read from all sources."""
        return sum(self.operators[name].read for name in self.sources)

    @property
    def late(self) -> int:
        """Rows dropped as late, over all operators."""
        return sum(ledger.late for ledger in self.operators.values())

    @property
    def rejected(self) -> int:
        """Rows rejected, over all operators."""
        return sum(ledger.rejected for ledger in self.operators.values())

    @property
    def written(self) -> dict[str, int]:
        """Rows that each sink's system acknowledged."""
        return {sink: self.operators[name].used for sink, name in self.sinks.items()}

    def imbalances(self) -> list[str]:
        """Every operator and edge that does not balance, one line each; empty when the ledger balances."""
        lines = []
        for name, ledger in self.operators.items():
            if ledger.difference():
                lines.append(f"{name}: read {ledger.read} differs from the sum of its fates by {ledger.difference()}")
        for edge in self.edges:
            if edge.difference():
                lines.append(f"{edge.writer} ({edge.port}) -> {edge.reader}: written {edge.written}, read {edge.read}, between {edge.inside}")
        for edge in self.edges:
            ledger = self.operators[edge.writer]
            decided = {"main": ledger.written, "late": ledger.late, "rejected": ledger.rejected}[edge.port]
            if decided != edge.written:
                lines.append(f"{edge.writer}: {decided} rows were meant for its {edge.port} output and {edge.written} given to it")
        return lines
