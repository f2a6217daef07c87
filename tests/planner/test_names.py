"""Names of operators: state is found again by them, so what has state keeps its name when a definition grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from fluxline import Pipeline, Stream, col, count, tumble
from fluxline.errors import DefinitionError
from fluxline.plan.names import name_operators, remembers
from fluxline.planner.rules import apply_rules
from fluxline.planner.validate import validate_plan
from tests.plan.strategies import plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.plan.nodes import Plan

SCHEMA = {"id": "BIGINT NOT NULL", "kind": "STRING", "value": "DOUBLE", "at": "TIMESTAMP_LTZ(3) NOT NULL"}
HOURLY = "readings/aggregate/id/tumble(1 hour)"


def planned(define: Callable[[Stream], Stream]) -> Plan:
    """The plan of one stream over the source `readings`."""
    pipeline = Pipeline("p")
    readings = pipeline.source("readings", schema=SCHEMA, event_time="at", watermark="20 seconds")
    define(readings).sink("out")
    return pipeline._plan()


def hourly(stream: Stream) -> Stream:
    """A windowed aggregate."""
    return stream.window(tumble("1 hour")).group_by("id").agg(rows=count())


def stateful_names(plan: Plan) -> list[str]:
    """The names of what remembers rows, in the plan and after the rules."""
    names = [name for node, name in name_operators(plan).items() if remembers(node)]
    after = [name for node, name in name_operators(apply_rules(plan)).items() if remembers(node)]
    assert after == names, "a rule renamed what has state"
    return names


@pytest.mark.parametrize(
    ("define", "name"),
    [
        (hourly, HOURLY),
        (lambda readings: readings.window(tumble("1 hour", offset="5 minutes")).agg(rows=count()),
         "readings/aggregate/tumble(1 hour, offset 5 minutes)"),
        (lambda readings: readings.window(tumble("90 seconds")).group_by("id", "kind").agg(rows=count()),
         "readings/aggregate/id,kind/tumble(90 seconds)"),
        (lambda readings: readings.group_by("id", ttl="7 days").agg(rows=count()), "readings/aggregate/id"),
        (lambda readings: readings.group_by(ttl="forever").agg(rows=count()), "readings/aggregate"),
        (lambda readings: hourly(readings).named("counts"), "counts"),
        (lambda readings: hourly(readings.named("clean")), "clean/aggregate/id/tumble(1 hour)"),
        (lambda readings: hourly(readings.filter(col("value") > 1).named("warm")), "warm/aggregate/id/tumble(1 hour)"),
        (lambda readings: hourly(readings.union_all(readings.filter(col("value") > 1))), "readings/union/aggregate/id/tumble(1 hour)"),
    ],
)  # fmt: skip
def test_the_name_says_input_verb_key_and_window(define: Callable[[Stream], Stream], name: str) -> None:
    """Or it is the user's own."""
    assert stateful_names(planned(define)) == [name]


@pytest.mark.parametrize(
    "grown",
    [
        lambda readings: hourly(readings.filter(col("value") > 25)),
        lambda readings: hourly(readings.filter(col("value") > 25).filter(col("kind") == "a")),
        lambda readings: hourly(readings.with_columns(double=col("value") * 2)),
        lambda readings: hourly(readings.drop("kind").expect(positive=col("value") > 0)),
        lambda readings: hourly(readings).filter(col("rows") > 2),
        lambda readings: hourly(readings).with_columns(many=col("rows") > 2).select("id", "many"),
        lambda readings: readings.window(tumble("1 hour")).group_by("id").agg(rows=count(), mean=col("value").avg()),
        lambda readings: readings.window(tumble("60 minutes")).group_by(col("id")).agg(rows=count()),
    ],
)
def test_a_definition_that_grows_keeps_the_name(grown: Callable[[Stream], Stream]) -> None:
    """Whatever stateless step is added before or behind, and whatever else is aggregated."""
    assert stateful_names(planned(grown)) == [HOURLY]


def test_a_second_aggregate_behind_the_first_is_named_after_it() -> None:
    """Its input is what has the nearest name."""
    names = stateful_names(planned(lambda readings: hourly(readings).window(tumble("1 day")).agg(rows=col("rows").sum())))
    assert names == [HOURLY, f"{HOURLY}/aggregate/tumble(1 day)"]


def test_other_lines_other_sinks_and_another_order_change_no_name() -> None:
    """The place in the file is no part of a name, and nothing is numbered."""

    def daily(stream: Stream) -> Stream:
        return stream.window(tumble("1 day")).group_by("kind").agg(rows=count())

    pipelines = []
    for verbs in ((hourly, daily), (daily, hourly)):
        pipeline = Pipeline("p")
        readings = pipeline.source("readings", schema=SCHEMA, event_time="at", watermark="20 seconds")
        if verbs[0] is daily:
            readings.filter(col("value") > 30).sink("hot")
        for verb in verbs:
            verb(readings).sink(f"out_{verb.__name__}")
        pipelines.append(pipeline._plan())
    assert set(stateful_names(pipelines[0])) == set(stateful_names(pipelines[1])) == {HOURLY, "readings/aggregate/kind/tumble(1 day)"}


def test_equal_identities_are_refused() -> None:
    """At the line of the second; its author says how it is called."""
    pipeline = Pipeline("p")
    readings = pipeline.source("readings", schema=SCHEMA, event_time="at", watermark="20 seconds")
    hourly(readings.filter(col("value") > 25)).sink("warm")
    second = hourly(readings.filter(col("value") <= 25))
    second.sink("cold")
    (error,) = validate_plan(pipeline._plan())
    assert isinstance(error, DefinitionError)
    assert error.code == "FLX-2142"
    assert error.fact == f'two operators would both be called "{HOURLY}"'
    assert error.place == second._node.place
    with pytest.raises(DefinitionError):
        name_operators(pipeline._plan())


def test_a_name_of_one_s_own_settles_it() -> None:
    """One of the two is enough."""
    pipeline = Pipeline("p")
    readings = pipeline.source("readings", schema=SCHEMA, event_time="at", watermark="20 seconds")
    hourly(readings.filter(col("value") > 25)).named("warm").sink("warm_rows")
    hourly(readings.filter(col("value") <= 25)).sink("cold")
    assert validate_plan(pipeline._plan()) == []
    assert stateful_names(pipeline._plan()) == ["warm", HOURLY]


def test_the_same_aggregate_written_twice_is_one_operator() -> None:
    """Two streams that are equal are one step."""
    pipeline = Pipeline("p")
    readings = pipeline.source("readings", schema=SCHEMA, event_time="at", watermark="20 seconds")
    hourly(readings).sink("one")
    hourly(readings).sink("other")
    assert stateful_names(pipeline._plan()) == [HOURLY]


def test_stateless_operators_of_one_name_are_told_apart_by_what_they_do() -> None:
    """They keep nothing, so they may share a name; metrics still tell them apart, in the same way in every run."""

    def names(first: float, second: float) -> set[str]:
        pipeline = Pipeline("p")
        readings = pipeline.source("readings", schema=SCHEMA)
        readings.filter(col("value") > first).sink("one")
        readings.filter(col("value") > second).sink("other")
        return {name for name in name_operators(pipeline._plan()).values() if "/filter" in name}

    assert len(names(1, 2)) == 2
    assert all(name.startswith("readings/filter~") for name in names(1, 2))
    assert names(1, 2) == names(2, 1)
    assert names(1, 2) != names(1, 3)


def test_a_source_that_is_a_sink_is_a_problem() -> None:
    """The sink is declared first here, so the plan as a whole has to notice."""
    pipeline = Pipeline("p")
    pipeline.source("readings", schema=SCHEMA).sink("other")
    pipeline.source("other", schema={"x": "INT"}).sink("third")
    (error,) = validate_plan(pipeline._plan())
    assert (error.code, error.fact) == ("FLX-2147", '"other" is a source and a sink of one pipeline')


@given(plans())
@settings(max_examples=50)
def test_every_operator_of_a_random_plan_has_one_name(plan: Plan) -> None:
    """Or the plan is refused because state would have two owners."""
    try:
        names = name_operators(plan)
    except DefinitionError as error:
        assert error.code == "FLX-2142"
        return
    assert set(names) == set(plan.nodes())
    assert len(set(names.values())) == len(names)
