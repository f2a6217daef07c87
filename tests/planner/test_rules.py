"""Rules make plans cheaper and never change the rows that come out: golden pairs, and random pipelines run with and without each rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from fluxline.pipeline.discovery import choose_pipeline
from fluxline.planner.explain import explain_plan
from fluxline.planner.rules import RULES, apply_rules
from tests.planner.execute import rows_of
from tests.planner.pipelines import batches, example_rows, frames, pipelines

if TYPE_CHECKING:
    from fluxline.plan.nodes import Plan
    from tests.planner.execute import Row
    from tests.planner.pipelines import Made

GOLDEN = sorted((Path(__file__).parent / "rules").glob("*.test"))
NAMES = [rule.__name__ for rule in RULES]


def read_golden(path: Path) -> tuple[str, dict[str, str]]:
    """The rule, and the sections."""
    head, *sections = re.split(r"^--- (.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rule = re.search(r"^rule: (.*)$", head, re.MULTILINE)
    assert rule is not None, f"{path.name} names no rule"
    assert rule.group(1) in NAMES, f"{path.name}: there is no rule {rule.group(1)}"
    return rule.group(1), dict(zip(sections[::2], sections[1::2], strict=True))


def explained(plan: Plan) -> str:
    """The plan as text without places; the letters that tell apart operators of one name are numbered as they come."""
    text = re.sub(r"   \[[^\]]*\]$", "", explain_plan(plan), flags=re.MULTILINE) + "\n"
    numbers: dict[str, int] = {}
    return re.sub(r"~[0-9a-f]{4}(?=:| )", lambda match: f"~{numbers.setdefault(match[0], len(numbers) + 1)}", text)


def comparable(found: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Rows without what a rule may change: which of two stateless operators rejected a row, and in which words."""
    apart = ("operator", "detail")
    return {name: sorted(({key: row[key] for key in row if key not in apart} for row in rows), key=repr) for name, rows in found.items()}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_rule_rewrites_as_written(path: Path, tmp_path: Path) -> None:
    """Before and after, to the letter; both give the same rows."""
    rule, sections = read_golden(path)
    file = tmp_path / "pipeline.py"
    file.write_text(sections["pipeline"], encoding="utf-8")
    plan = choose_pipeline(str(file))._plan()
    after = apply_rules(plan, without=[name for name in NAMES if name != rule])
    assert explained(plan) == sections["before"]
    assert explained(after) == sections["after"]
    given_frames = {scan.source: [example_rows(scan.declared)] for scan in plan.scans()}
    assert comparable(rows_of(after, given_frames)) == comparable(rows_of(plan, given_frames))


def test_every_rule_has_golden_files() -> None:
    """At least one in which it changes something."""
    changing = {rule for rule, sections in map(read_golden, GOLDEN) if sections["before"] != sections["after"]}
    assert changing == set(NAMES)


@given(pipelines(), batches, batches)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_rules_keep_the_rows(made: Made, first: list[list[dict[str, Any]]], second: list[list[dict[str, Any]]]) -> None:
    """With all rules, without each of them, and without any: the same rows in every sink, late and rejected ones included."""
    plan = made.plan
    schemas = {scan.source: scan.declared for scan in plan.scans()}
    given_rows = {"readings": first, "others": second}
    given_frames = {source: frames(given_rows[source], schema) for source, schema in schemas.items()}
    wanted = comparable(rows_of(plan, given_frames))
    for without in ([], *([name] for name in NAMES)):
        planned = apply_rules(plan, without=without)
        assert comparable(rows_of(planned, given_frames)) == wanted, f"without {without}\n{explain_plan(plan)}\n{explain_plan(planned)}"
