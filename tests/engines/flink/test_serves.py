"""Which operators of the user each vertex of a job serves, over what a live Flink told of its jobs."""

from __future__ import annotations

import dataclasses

import pytest

from fluxline.engines.flink.operators import read_operators
from fluxline.engines.flink.rest import Cluster, Vertex
from fluxline.engines.flink.serves import Served, serves
from fluxline.plan.names import name_operators
from fluxline.planner.rules import apply_rules
from tests.engines.flink.answers import answering
from tests.engines.flink.pipelines import files, give, pushed, shop


def vertices_of(name: str) -> tuple[Vertex, ...]:
    with answering() as answers:
        job_id = give(answers, name)
        return Cluster(answers.address).job(job_id).vertices


SHOP = {
    "Source: KafkaSource-default_catalog.default_database.orders": ["orders", "orders/project", "orders/rejected", "sink bad"],
    "Source: KafkaSource-default_catalog.default_database.returns": ["returns"],
    "OverAggregate[329] -> (": [
        "orders", "orders/filter", "priced", "priced/filter", "priced/project", "sink dear", "priced/aggregate/name/tumble(10 seconds)",
        "priced/aggregate/name/tumble(10 seconds)/late", "sink late",
    ],
    "GlobalWindowAggregate[335]": ["priced/aggregate/name/tumble(10 seconds)", "sink totals"],
    "GroupAggregate[342]": ["orders/aggregate/name", "sink by_name"],
    "OverAggregate[346]": ["orders", "orders+returns/union/aggregate/name/tumble(20 seconds)"],
    "OverAggregate[351]": ["returns", "orders+returns/union/aggregate/name/tumble(20 seconds)"],
    "LocalWindowAggregate[354]": ["orders+returns/union", "orders+returns/union/aggregate/name/tumble(20 seconds)"],
    "GlobalWindowAggregate[356]": ["orders+returns/union/aggregate/name/tumble(20 seconds)", "sink both"],
}  # fmt: skip
"""Read from the statements: what each vertex computes, by the beginning of its name."""


def test_every_vertex_of_a_job_with_many_steps() -> None:
    plan, vertices = apply_rules(shop()), vertices_of("shop")
    names, found = name_operators(plan), serves(plan, vertices)
    assert len(found) == len(SHOP)
    for vertex in vertices:
        (wanted,) = (operators for begin, operators in SHOP.items() if vertex.name.startswith(begin))
        assert [names[node].partition("~")[0] for node in found[vertex.id].nodes] == wanted, vertex.name
        assert found[vertex.id].unknown == ()


def test_tables_that_flink_describes_in_another_way() -> None:
    plan, vertices = apply_rules(files()), vertices_of("files")
    names, found = name_operators(plan), serves(plan, vertices)
    assert [[names[node] for node in found[vertex.id].nodes] for vertex in vertices] == [
        ["made", "made/project", "sink gone"], ["filed"], ["filed/aggregate/text", "sink shown"],
    ]  # fmt: skip


def test_what_flink_computes_before_the_late_test() -> None:
    """The division stands there; the filter and the conversion do not. Behind, where the result only passes, it may be."""
    plan, vertices = apply_rules(pushed()), vertices_of("pushed")
    names, found = name_operators(plan), serves(plan, vertices)
    assert [[names[node] for node in found[vertex.id].nodes] for vertex in vertices] == [
        ["rowsp", "rest", "rowsp/project", "sink seen"],
        [
            "rowsp", "rest", "rest/filter", "typed", "typed/aggregate/tumble(10 seconds)", "typed/aggregate/tumble(10 seconds)/late", "sink late",
        ],
        ["typed/aggregate/tumble(10 seconds)", "sink counted"],
    ]  # fmt: skip


def test_a_chain_and_its_readers() -> None:
    """Of three ends of one chain each has the reader that Flink numbered behind it."""
    chains = read_operators(vertices_of("shop"))
    source, *ends = next(chain for chain in chains.values() if chain[0].of.endswith(".orders"))
    assert source.parents == []
    assert [end.number for end in source.children] == [327, 340, 344, 359]
    assert [[(child.kind, child.number) for child in end.children] for end in ends[:3]] == [
        [("OverAggregate", 329)], [("GroupAggregate", 342)], [("OverAggregate", 346)],
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[7]:Join(joinType=[InnerJoin])<br/>+- [8]:Calc(select=[a])<br/>"])
def test_what_nobody_knows_is_said(text: str) -> None:
    """A vertex without a description, and one whose operator the plan has not, serve nothing that is known."""
    plan = apply_rules(shop())
    found = serves(plan, [Vertex("v", "Join[7] -> Calc[8]", 1, "RUNNING", 0, 0, text)])
    assert found == {"v": Served((), ("Join",) if text else ())}


def test_expressions_that_flink_rewrote_may_be_in_every_operator_between() -> None:
    """Where no operator shows a step's columns and constants, all between the same fixed points are named."""
    plan = apply_rules(shop())
    names = name_operators(plan)
    changed = [dataclasses.replace(vertex, text=vertex.text.replace("&gt; 1.00E1", "&gt; ($f7)")) for vertex in vertices_of("shop")]
    found = serves(plan, changed)
    serving = [vertex.name.partition(" ")[0] for vertex in changed if "priced/filter" in {names[node] for node in found[vertex.id].nodes}]
    assert serving == ["OverAggregate[329]"]
    without = [dataclasses.replace(vertex, text=vertex.text.replace("default_database.orders", "default_database.another")) for vertex in changed]
    unknown = [vertex.name for vertex in without if "Source" in serves(plan, without)[vertex.id].unknown]
    assert [name.partition(" ->")[0] for name in unknown] == ["Source: KafkaSource-default_catalog.default_database.orders"]
