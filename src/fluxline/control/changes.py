"""What of a submitted pipeline's state its new definition keeps: operators of both are compared, one by one, before anything is stopped.

Flink numbers what a job remembers by the steps of its graph. So state is found again where the new graph has the same steps in the
same order; conditions of filters are no part of it. Everything else that changes an operator is refused, by the operator's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxline.errors import RecoveryError
from fluxline.plan.json import plan_digest, plan_to_json
from fluxline.plan.names import name_operators
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.control.deployment import Deployment
    from fluxline.plan.nodes import Plan

_CONDITIONS = ("predicate",)


@dataclass(frozen=True, slots=True)
class Changes:
    """Operators of two plans, by their names.

    Attributes:
        kept: as they were.
        eased: only their condition is another; the state of all operators is kept.
        changed: they do something else.
        added: only the new plan has them.
        removed: only the old plan has them.
    """

    kept: tuple[str, ...]
    eased: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether a job of the new plan does not find the state of the old one."""
        return bool(self.changed or self.added or self.removed)

    def sentence(self) -> str:
        """What has changed, for people."""
        words = (("changed", self.changed), ("new", self.added), ("gone", self.removed))
        parts = [f"{', '.join(_quoted(names))} {'is' if len(names) == 1 else 'are'} {word}" for word, names in words if names]
        return "; ".join(parts)


def compare(before: Plan, after: Plan) -> Changes:
    """What has changed between two definitions of a pipeline."""
    old, new = _operators(before), _operators(after)
    kept, eased, changed = [], [], []
    for name in (each for each in new if each in old):
        if old[name] == new[name]:
            kept.append(name)
        elif _without_conditions(old[name]) == _without_conditions(new[name]):
            eased.append(name)
        else:
            changed.append(name)
    added, removed = ([name for name in ours if name not in others] for ours, others in ((new, old), (old, new)))
    if not (changed or added or removed) and list(old) != list(new):  # The same steps, read in another order.
        changed = [name for name, other in zip(new, old, strict=True) if name != other]
        kept = [name for name in kept if name not in changed]
    return Changes(*(tuple(each) for each in (kept, eased, changed, added, removed)))


def refuse_changes(deployment: Deployment, before: Plan | None, after: Plan, told: Callable[[str], None]) -> None:
    """Refuse a definition that a job cannot go on with; what it changes otherwise is told.

    Args:
        deployment: what is kept of the pipeline.
        before: its plan, as written; None where it is not kept.
        after: the new plan, as written.
        told: called where something has changed.

    Raises:
        RecoveryError: FLX-5801, with the operators that are in the way.
    """
    if deployment.plan_digest == plan_digest(apply_rules(after)):
        return
    found = None if before is None else compare(before, after)
    if found is not None and not found.refused:
        if found.eased:
            told(f"conditions have changed in {', '.join(found.eased)}; everything that the job remembers is kept")
        return
    detail = "The old definition is not kept here, so nobody knows in what."
    if found is not None:
        same = f" Unchanged: {', '.join(_quoted(found.kept))}." if found.kept else ""
        detail = f"{found.sentence()}. What Flink remembers is numbered by the steps of the job, so the others would lose theirs too.{same}"
    raise RecoveryError(
        "FLX-5801",
        f'the definition of "{after.name}" has changed since it was submitted',
        detail=detail[0].upper() + detail[1:],
        hint="Go on with the old definition, or start over: stop it, and submit the new one with --fresh. Conditions of filters may change.",
    )


def _operators(plan: Plan) -> dict[str, dict[str, Any]]:
    """Per operator, by name and in order, what it does and what it reads; where it is written does not count."""
    planned = apply_rules(plan)
    names = name_operators(planned)
    found = {}
    for node, entry in zip(planned.nodes(), plan_to_json(planned)["nodes"], strict=True):  # type: ignore[arg-type]  # a list
        assert isinstance(entry, dict)
        what = {key: value for key, value in entry.items() if key not in ("place", "input", "parts")}
        found[names[node]] = {**what, "inputs": [names[part] for part in node.inputs]}
    return found


def _without_conditions(operator: dict[str, Any]) -> dict[str, Any]:
    """An operator without its condition, if it has one; that it has one counts."""
    return {key: value is not None if key in _CONDITIONS else value for key, value in operator.items()}


def _quoted(names: tuple[str, ...]) -> list[str]:
    return [f'"{name}"' for name in names]
