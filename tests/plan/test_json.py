"""Plans to JSON and back: nothing is lost, equal plans have equal digests, and what is no plan is refused by one error."""

from __future__ import annotations

import copy
import dataclasses
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxline.errors import Place, RecoveryError
from fluxline.plan import expressions, nodes
from fluxline.plan.expressions import Constant
from fluxline.plan.json import PLAN_FORMAT_VERSION, plan_digest, plan_from_json, plan_to_json
from fluxline.plan.window import Window
from fluxline.schema import BOOLEAN, STRING, Field, LogicalType, TableSchema
from tests.plan.every_node import every_node
from tests.plan.strategies import json_values, plans

if TYPE_CHECKING:
    from collections.abc import Iterator

Data = dict[str, Any]
Path = tuple[str | int, ...]


def through_text(plan: nodes.Plan) -> nodes.Plan:
    """The plan written as JSON text and read again."""
    return plan_from_json(json.loads(json.dumps(plan_to_json(plan))))


@given(plans())
@settings(max_examples=80)
def test_a_plan_survives_json(plan: nodes.Plan) -> None:
    """Equal, equally hashed, with the same digest and the same form."""
    again = through_text(plan)
    assert again == plan
    assert hash(again) == hash(plan)
    assert plan_digest(again) == plan_digest(plan)
    assert plan_to_json(again) == plan_to_json(plan)


@given(plans())
@settings(max_examples=25)
def test_what_nodes_infer_survives_json(plan: nodes.Plan) -> None:
    """Schema, time attribute, kind, key and place, node by node."""
    for before, after in zip(plan.nodes(), through_text(plan).nodes(), strict=True):
        assert (before.schema, before.time, before.updating, before.key) == (after.schema, after.time, after.updating, after.key)
        assert before.place == after.place


@given(plans())
@settings(max_examples=25)
def test_nodes_are_hashable_and_shared_steps_stand_once(plan: nodes.Plan) -> None:
    """The list has every node once, inputs before their readers."""
    listed = plan_to_json(plan)["nodes"]
    assert isinstance(listed, list)
    assert len(listed) == len(set(plan.nodes()))
    for position, entry in enumerate(listed):
        assert isinstance(entry, dict)
        parts = entry.get("parts", [])
        assert isinstance(parts, list)
        read = [*parts, *([entry["input"]] if "input" in entry else [])]
        assert all(isinstance(index, int) and index < position for index in read)


def test_the_plan_with_every_node_has_every_node() -> None:
    """A node that enters `nodes.py` has to enter the tests."""
    known = {kind for kind in vars(nodes).values() if isinstance(kind, type) and issubclass(kind, nodes.Node)}
    assert {type(node) for node in every_node().nodes()} == known - {nodes.Node, nodes.Unary}


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 1, -(2**63), 2**63 - 1, 0.0, -0.0, 1.0, 5e-324, float("inf"), float("-inf"), float("nan"), "", "1", "True",
        "é\x00\U0001f600", b"", b"\x00\xff", Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal("1E+3"), date(1, 1, 1), date(9999, 12, 31),
        time(23, 59, 59, 999999), datetime.fromisoformat("1969-12-31T23:59:59.999"), timedelta(days=-1, microseconds=1), (), (None, 1, (True, 1.0)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_constant_survives_with_its_python_type(value: expressions.Value) -> None:
    """1, 1.0, True and "1" stay apart, and so do the zeros and the scales of a decimal."""
    scan = every_node().scans()[0]
    column = nodes.NamedExpression("x", Constant(value, STRING))
    again = through_text(nodes.Plan("p", (nodes.Sink(nodes.Project(scan, (column,)), "s"),)))
    (project,) = (node for node in again.nodes() if isinstance(node, nodes.Project))
    found = project.columns[0].expression
    assert isinstance(found, Constant)
    assert repr(found.value) == repr(value)
    assert type(found.value) is type(value)
    assert found == column.expression
    assert hash(found) == hash(column.expression)


def test_equal_constants_hash_alike() -> None:
    """A nan equals itself here, so its hash must not depend on the object."""
    one, other = Constant(float("nan"), BOOLEAN), Constant(float("nan"), BOOLEAN)
    assert one == other
    assert hash(one) == hash(other)


@given(plans(), st.integers(1, 50))
@settings(max_examples=25)
def test_places_do_not_count(plan: nodes.Plan, line: int) -> None:
    """A plan whose text moved is the same plan, with the same digest."""
    moved: dict[nodes.Node, nodes.Node] = {}
    for node in plan.nodes():
        inputs = tuple(moved[part] for part in node.inputs)
        moved[node] = dataclasses.replace(node.with_inputs(inputs), place=Place("elsewhere.py", line))
    again = nodes.Plan(plan.name, tuple(_as_sink(moved[sink]) for sink in plan.sinks), plan.description)
    assert again == plan
    assert hash(again) == hash(plan)
    assert plan_digest(again) == plan_digest(plan)


def _as_sink(node: nodes.Node) -> nodes.Sink:
    assert isinstance(node, nodes.Sink)
    return node


KINDS = (
    nodes.Scan, nodes.Filter, nodes.Project, nodes.WindowAggregate, nodes.GroupAggregate, nodes.Union, nodes.MapBatches, nodes.Expect, nodes.Late,
    nodes.Rejected, nodes.Sink, nodes.WatermarkStrategy, nodes.NamedExpression, nodes.PythonFunction, expressions.Column, expressions.Constant,
    expressions.Call, expressions.Cast, expressions.Case, expressions.Measure, Window, LogicalType, Field, TableSchema,
)  # fmt: skip


def parts_of(data: Any, path: Path = ()) -> Iterator[Path]:
    """Where lists stand, and values that are no list and no mapping; places in the user's text left out."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name != "place":
                yield from parts_of(value, (*path, name))
        return
    yield path
    if isinstance(data, list):
        for index, value in enumerate(data):
            yield from parts_of(value, (*path, index))


def changed(data: Data, path: Path, value: object) -> Data:
    """The data with another value at a place."""
    again = copy.deepcopy(data)
    inner: Any = again
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return again


def at(data: Any, path: Path) -> Any:
    """The value at a place."""
    for part in path:
        data = data[part]
    return data


def others(value: object) -> list[object]:
    """Values that could stand instead."""
    if isinstance(value, list):
        return [value[:-1], value[1:]] if value else [["health"]]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(0, value - 1)]
    if isinstance(value, str):
        words = (
            ("error", "null"),
            ("partition", "operator"),
            ("event", "processing"),
            ("reject", "fail"),
            ("DOUBLE", "FLOAT"),
            ("tumble", "cumulate"),
            ("sensor_id", "temperature"),
            ("temperature", "humidity"),
        )
        return [pair[1 - pair.index(value)] for pair in words if value in pair] or [f"{value}x", "7"]
    return [7, "x", {"is": "Constant", "value": True, "type": {"is": "LogicalType", "root": "BOOLEAN"}}]


def test_every_change_changes_the_digest() -> None:
    """Of a plan with every node, each value is changed in turn, wherever the result is a plan."""
    plan = every_node()
    data = json.loads(json.dumps(plan_to_json(plan)))
    seen: set[str] = set()
    for path in parts_of(data):
        before = at(data, path)
        for value in others(before):
            try:
                other = plan_from_json(changed(data, path, value))
            except RecoveryError:
                continue
            if other == plan:
                assert value == before
                continue
            assert plan_digest(other) != plan_digest(plan), f"{path}: {before!r} -> {value!r}"
            assert through_text(other) == other
            seen |= fields_on(data, path)
    known = {f"{kind.__name__}.{item.name}" for kind in KINDS for item in dataclasses.fields(kind) if item.name not in ("place", "call")}
    assert known - seen == {"LogicalType.children", "LogicalType.fields", "Late.input"}  # there is no nested type, and one node that drops late
    assert {"name", "description", "sinks"} <= seen


def fields_on(data: Any, path: Path) -> set[str]:
    """`Scan.event_time`, `NamedExpression.name`: the dataclasses around a value, each with the field that leads there."""
    found = {str(path[0])}
    for length in range(len(path)):
        inner = at(data, path[:length])
        if isinstance(inner, dict) and ("node" in inner or "is" in inner):
            found.add(f"{inner.get('node', inner.get('is'))}.{path[length]}")
    return found


@given(plans(), plans())
@settings(max_examples=25)
def test_plans_that_differ_have_other_digests(one: nodes.Plan, other: nodes.Plan) -> None:
    """Equal exactly where the plans are."""
    assert (plan_digest(one) == plan_digest(other)) == (one == other)


@pytest.mark.parametrize("version", [PLAN_FORMAT_VERSION + 1, 10**9])
def test_a_newer_format_is_refused_with_both_versions(version: int) -> None:
    """And before anything else of it is read."""
    with pytest.raises(RecoveryError) as caught:
        plan_from_json({"fluxline_plan": version, "what": "nobody knows yet"})
    assert caught.value.code == "FLX-5011"
    assert caught.value.fact == f"the plan has format {version}, this version reads up to {PLAN_FORMAT_VERSION}"


def refused(data: Any) -> None:
    """Assert that the data is refused as no plan."""
    with pytest.raises(RecoveryError) as caught:
        plan_from_json(data)
    assert caught.value.code == "FLX-5012"
    assert caught.value.fact == "the data is no plan"


@given(json_values)
@settings(max_examples=200)
def test_data_that_is_no_plan_is_refused(data: Any) -> None:
    """Whatever it is."""
    refused(data)
    refused({"fluxline_plan": 1, "name": "p", "description": "", "sinks": [0], "nodes": [data]})


def valid() -> Data:
    """The JSON form of the plan with every node."""
    found: Data = json.loads(json.dumps(plan_to_json(every_node())))
    return found


@given(st.data())
@settings(max_examples=200)
def test_damage_anywhere_is_refused_or_gives_another_sound_plan(data: st.DataObject) -> None:
    """One value is replaced by anything; what is accepted works as a plan."""
    written = valid()
    path = data.draw(st.sampled_from(list(parts_of(written))))
    damaged = changed(written, path, data.draw(json_values))
    try:
        plan = plan_from_json(damaged)
    except RecoveryError as error:
        assert error.code in ("FLX-5011", "FLX-5012")
        return
    for node in plan.nodes():
        assert node.schema.names() is not None
        assert isinstance(node.updating, bool)
        assert node.time is None or node.time.column in node.schema
        assert node.key is None or all(name in node.schema for name in node.key)
    assert through_text(plan) == plan


def _deep(levels: int) -> Any:
    data: Any = "x"
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("fluxline_plan"),
        lambda data: data.update(fluxline_plan=True),
        lambda data: data.update(fluxline_plan=0),
        lambda data: data.update(fluxline_plan="1"),
        lambda data: data.pop("nodes"),
        lambda data: data.update(nodes={"0": {}}),
        lambda data: data.update(name=7),
        lambda data: data.update(sinks=[-1]),
        lambda data: data.update(sinks=[True]),
        lambda data: data.update(sinks=[0]),
        lambda data: data["nodes"][0].update(node="Join"),
        lambda data: data["nodes"][1].update(input=1),
        lambda data: data["nodes"][1].update(input=-1),
        lambda data: data["nodes"][0].update(unheard_of=1),
        lambda data: data["nodes"][0].update(label=None),
        lambda data: data["nodes"][0].update(place="sensors.py:1:1"),
        lambda data: data["nodes"][0].update(source=_deep(400)),
        lambda data: data["nodes"][0]["strategy"].update(delay_ms=1.5),
        lambda data: data["nodes"][0]["strategy"].update(lateness="nobody"),
        lambda data: data["nodes"][0]["predicate"].update(function=None),
        lambda data: data["nodes"][1].update(predicate="temperature > 25"),
        lambda data: data["nodes"][1]["predicate"]["arguments"][0].update(name="pressure"),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"float": "much"}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"float": "0x1p99999"}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"Decimal": "much"}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"timedelta": [10**12, 0, 0]}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"bytes": "no base 64!"}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={"int": "9" * 5_000}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value={}),
        lambda data: data["nodes"][1]["predicate"]["arguments"][1].update(value=7),
    ],
)
def test_known_damage_is_refused(damage: Any) -> None:
    """What readers of data often forget."""
    data = valid()
    damage(data)
    refused(data)
