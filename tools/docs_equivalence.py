"""The page that says construct by construct whether both engines give the same rows, from the last run on a live Flink."""

from __future__ import annotations

from collections import Counter

from tests.equivalence.outcomes import REASONS, recorded
from tools.docs_text import code, page, table

KINDS = {"node": "Steps of a plan", "window": "Windows", "aggregate": "Aggregates", "function": "Functions"}


def equivalence_page() -> str:
    """Every node, window, aggregate and function with its outcome."""
    version, outcomes = recorded()
    counts = Counter(outcome.result for outcome in outcomes)
    about = (
        f"Every construct was run by the embedded engine and by Apache Flink {version}, over the same input, and the results were compared: the rows "
        "of a step or window over the same topic with NULLs and late rows, values and type of a function over its example and NULL in each of its "
        "arguments. `tests/equivalence` does it; a construct that nobody compared, or one more that is refused, fails the tests."
    )
    equal, refused, different = (counts[result] for result in ("equal", "refused", "different"))
    total = f"{len(outcomes)} constructs: {equal} equal, {refused} refused on Flink before a job starts, {different} different."
    parts = ["# Equivalence of the engines", about, total]
    for kind, title in KINDS.items():
        rows = []
        for outcome in outcomes:
            first, _, name = outcome.name.partition(" ")
            if first == kind:
                told = f"refused: {REASONS[outcome.detail]}" if outcome.result == "refused" else outcome.result
                rows.append((code(name), f"{told}: {outcome.detail}" if outcome.result == "different" else told))
        parts += [f"## {title}", table((kind, "on both engines"), rows)]
    return page(parts)
