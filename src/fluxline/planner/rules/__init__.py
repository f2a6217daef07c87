"""Rewrites of a plan: each one pure function in a tuple, run in order by one loop, verified after each.

A rule is `(plan) -> plan`; it may make a plan cheaper and never changes the rows that come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.planner.rules.push_filters_toward_sources import push_filters_toward_sources
from fluxline.planner.rules.read_only_needed_columns import read_only_needed_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fluxline.plan.nodes import Plan

RULES: tuple[Callable[[Plan], Plan], ...] = (push_filters_toward_sources, read_only_needed_columns)


def apply_rules(plan: Plan, *, without: Collection[str] = ()) -> Plan:
    """The plan after all rules, except those named in `without`."""
    for rule in RULES:
        if rule.__name__ in without:
            continue
        before = plan
        plan = rule(plan)
        _verify(before, plan, rule.__name__)
    return plan


def _verify(before: Plan, after: Plan, rule: str) -> None:
    """A rule keeps the sinks, their order and what they are given."""
    assert len(before.sinks) == len(after.sinks), f"{rule} changed the sinks"
    for old, new in zip(before.sinks, after.sinks, strict=True):
        assert (old.name, old.row_key) == (new.name, new.row_key), f"{rule} changed sink {old.name}"
        assert old.schema.visible() == new.schema.visible(), f"{rule} changed the columns of sink {old.name}"
        assert old.updating == new.updating, f"{rule} changed the kind of sink {old.name}"
