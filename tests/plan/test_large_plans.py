"""Long chains and streams that are read twice many times over: what is asked of a plan takes time by its steps, not by its paths."""

from __future__ import annotations

import json

from fluxline import Pipeline, Stream, col
from fluxline.plan.json import plan_from_json, plan_to_json
from fluxline.plan.names import name_operators
from fluxline.planner.rules import apply_rules


def doubled(times: int) -> Stream:
    """A stream that is parted and put together again; a million million paths lead to the source when times is 40."""
    stream = Pipeline("doubled").source("numbers", schema={"a": "BIGINT"})
    for step in range(times):
        stream = stream.filter(col("a") > step).union_all(stream.filter(col("a") <= step))
    return stream


def test_two_equal_plans_of_many_paths_are_equal() -> None:
    """Written twice, planned, named, written as JSON and read back."""
    first, second = doubled(40), doubled(40)
    first.sink("out")
    second.sink("out")
    plan, other = first._pipeline._plan(), second._pipeline._plan()
    assert plan == other
    assert hash(plan) == hash(other)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))).nodes() == other.nodes()
    assert len(name_operators(apply_rules(plan))) == len(plan.nodes()) == 122
    assert doubled(39)._node != first._node


def test_a_difference_at_the_bottom_is_a_difference() -> None:
    """The whole of what stands before a step belongs to it."""

    def chain(threshold: float) -> Stream:
        stream = Pipeline("chain").source("numbers", schema={"a": "DOUBLE"}).filter(col("a") > threshold)
        for _ in range(300):
            stream = stream.filter(col("a") < 5)
        return stream

    assert chain(1.0)._node == chain(1.0)._node
    assert chain(0.0)._node != chain(-0.0)._node, "division by them differs"
    assert len({chain(1.0)._node, chain(1.0)._node, chain(2.0)._node}) == 2
