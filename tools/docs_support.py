"""What runs today and what is refused until later: the page of it, and its short form in the README."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

from tools.docs_text import code, page, table
from tools.docs_words import function_families

if TYPE_CHECKING:
    from collections.abc import Iterable

_WRITTEN = {
    "Scan": "pipeline.source(...)", "Filter": ".filter(...)", "Project": ".select(...), .with_columns(...), .drop(...), .rename(...)",
    "WindowAggregate": ".window(...).group_by(...).agg(...)", "GroupAggregate": ".group_by(..., ttl=...).agg(...)", "Union": ".union_all(...)",
    "MapBatches": ".map_batches(...)", "Expect": ".expect(...)", "Late": ".late", "Rejected": ".rejected", "Sink": ".sink(...)",
}  # fmt: skip
_PORTS = ("Late", "Rejected", "Sink")  # Outputs of other operators: an engine that compiles those has them.


def support_page() -> str:
    """Nodes, windows and functions by engine, and every name that is refused until later."""
    from fluxline.connectors import LATER as CONNECTORS_LATER
    from fluxline.pipeline.later import LATER

    about = (
        "What is known and does not run yet is refused by its name (FLX-2190), at the line that asks for it, before a job starts. Nothing is "
        "accepted and then ignored. The engine for Flink is decided and comes."
    )
    parts = ["# Support", about, "## Steps of a plan", table(("step", "written as", "embedded", "Flink"), _node_rows())]
    parts += ["## Windows", table(("window", "embedded", "Flink"), _window_rows()), "## Functions", _functions()]
    parts += ["## Names of the Python API that come later", table(("name", "why"), ((code(name), text) for name, text in LATER.items()))]
    parts += ["## Connectors that come later", table(("connector", "why"), ((code(name), text) for name, text in sorted(CONNECTORS_LATER.items())))]
    environment = (
        "An environment that asks for one of these is read and checked, and refused when it is to run (FLX-1020): an engine other than `embedded`, a "
        "`broker`, `receivers`, policies other than `allow`, and `checkpoint_interval` or `memory` of the embedded engine."
    )
    return page([*parts, "## In the project file", environment])


def _node_rows() -> list[tuple[str, ...]]:
    from fluxline.engines.embedded.compile import UNSUPPORTED, compile_node
    from fluxline.plan.json import _NODES

    compiled = {kind.__name__ for kind in compile_node.registry} | set(_PORTS)
    states = {name: "yes" if name in compiled else f"refused: {UNSUPPORTED[name]}" for name in _NODES}
    return [(name, code(_WRITTEN[name]), state, "later") for name, state in states.items()]


def _window_rows() -> list[tuple[str, ...]]:
    from fluxline.pipeline.later import LATER
    from fluxline.plan.window import WindowKind
    from fluxline.windows import WINDOWS

    rows: list[tuple[str, ...]] = []
    for kind in typing.get_args(WindowKind):
        rows.append((code(kind), "yes, on event time" if kind in WINDOWS else f"later: {LATER[kind]}", "later"))
    return rows


def _functions() -> str:
    """How many functions there are, and those that Flink does not have."""
    from fluxline.library import AGGREGATES, FUNCTIONS

    counts = [f"{family} {len(words)}" for family, words in function_families().items()]
    lines = [
        f"The embedded engine runs all {len(FUNCTIONS)} functions ({', '.join(counts)}) and all {len(AGGREGATES)} aggregates of the library: "
        "[functions](functions.md)."
    ]
    alone = [code(word.name) for words in function_families().values() for word in words if word.flink is None]
    if alone:
        lines.append(f"Flink SQL has no such function, so it will refuse them: {', '.join(alone)}.")
    return "\n\n".join(lines)


def readme_part() -> str:
    """The short form: what works today, and what is refused until later."""
    from fluxline.cli.main import COMMANDS
    from fluxline.connectors import CONNECTORS
    from fluxline.connectors import LATER as CONNECTORS_LATER
    from fluxline.formats import FORMATS
    from fluxline.library import AGGREGATES, FUNCTIONS
    from fluxline.pipeline.later import LATER
    from fluxline.plan.window import WindowKind
    from fluxline.windows import WINDOWS

    kinds = typing.get_args(WindowKind)
    rows = [
        ("connectors", words(sorted(CONNECTORS)), words(sorted(CONNECTORS_LATER))),
        ("formats", words(sorted(FORMATS)), ""),
        ("windows", words(kind for kind in kinds if kind in WINDOWS), words(kind for kind in kinds if kind not in WINDOWS)),
        ("a pipeline", words(verbs("Pipeline", LATER)), words(refused("Pipeline", LATER))),
        ("a stream", words(verbs("Stream", LATER)), words(refused("Stream", LATER))),
        ("aggregates", words(AGGREGATES), words(name for name in refused("Expr", LATER) if name not in ("list", "map", "row", "json"))),
        (
            "functions",
            f"{len(FUNCTIONS)}: [functions](docs/reference/functions.md)",
            words(f"Expr.{name}" for name in refused("Expr", LATER) if name in ("list", "map", "row", "json")),
        ),
        ("names", words(_modules()), words(name for name in ("charts", "metrics", "ml", "udf", "event") if name in LATER)),
        ("commands", words(COMMANDS), ""),
        ("engines", words(["embedded", "flink"]), ""),
    ]
    text = table(("", "works today", "known, and refused by name until later"), rows)
    return f"{text}\n\nEach refusal with its reason: [support](docs/reference/support.md)."


def words(names: Iterable[str]) -> str:
    """Names as code, in their order."""
    return " ".join(code(name) for name in names)


def verbs(owner: str, later: dict[str, str]) -> list[str]:
    """The public methods and properties of a class that are there."""
    import fluxline

    names = [name for name in vars(getattr(fluxline, owner)) if not name.startswith("_")]
    return [name for name in names if f"{owner}.{name}" not in later]


def refused(owner: str, later: dict[str, str]) -> list[str]:
    """The names of a class that come later."""
    return [name.partition(".")[2] for name in later if name.startswith(f"{owner}.")]


def _modules() -> list[str]:
    import fluxline

    return sorted(fluxline._MODULES)
