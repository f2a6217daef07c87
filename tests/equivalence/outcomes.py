"""What is compared, how an outcome is written down, and what may be refused or different, with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fluxline.library import AGGREGATES, FUNCTIONS
from fluxline.plan import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORDED = Path(__file__).with_name("recorded.json")
VERSION = 1

Reason = Literal["no_counterpart", "python_code", "not_yet"]
REASONS: dict[str, str] = {
    "no_counterpart": "Flink SQL has nothing that does this.",
    "python_code": "Python code does not run on Flink in this version.",
    "not_yet": "Flink could, and this version does not compile it.",
}

WINDOWS = ("tumble", "tumble with offset")
NODES = tuple(sorted(kind.__name__ for kind in (*nodes.Node.__subclasses__(), *nodes.Unary.__subclasses__()) if kind is not nodes.Unary))
VARIANTS = ("Expect on_failure count", "Expect on_failure fail", "Rejected of an expectation")

REFUSED: dict[str, Reason] = {
    "node MapBatches": "python_code",
    "node Expect on_failure count": "no_counterpart",
    "node Expect on_failure fail": "no_counterpart",
}
"""All that Flink refuses. A word that enters here is a promise less: think twice."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out for one construct.

    Attributes:
        name: kind and name, such as `function ABS`.
        result: equal rows and types; or refused before anything ran; or something else.
        detail: of a refusal its reason, of a difference what was seen.
    """

    name: str
    result: Literal["equal", "refused", "different"]
    detail: str = ""


def constructs() -> list[str]:
    """The names of all that is compared."""
    functions = [f"function {name}" for name in FUNCTIONS]
    aggregates = [f"aggregate {name}" for name in AGGREGATES]
    return sorted([*functions, *aggregates, *(f"node {name}" for name in (*NODES, *VARIANTS)), *(f"window {name}" for name in WINDOWS)])


def written(outcomes: Iterable[Outcome], version: str) -> str:
    """The outcomes as the file has them."""
    entries = [
        f"  {_text(outcome.name)}: {_text([outcome.result, outcome.detail][: 2 if outcome.detail else 1])}" for outcome in sorted(outcomes, key=_name)
    ]
    listed = ",\n".join(entries)
    return f'{{\n "version": {VERSION},\n "flink": {_text(version)},\n "outcomes": {{\n{listed}\n }}\n}}\n'


def _name(outcome: Outcome) -> str:
    return outcome.name


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def recorded() -> tuple[str, list[Outcome]]:
    """The version of Flink of the last run, and its outcomes."""
    read = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert read["version"] == VERSION
    return read["flink"], [Outcome(name, *values) for name, values in read["outcomes"].items()]
