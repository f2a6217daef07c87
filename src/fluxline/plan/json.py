"""Plans to JSON and back. The form carries a version; a newer one is refused.

    {"fluxline_plan": 1, "name": ..., "sinks": [4, 7], "nodes": [{"node": "Scan", ...}, {"node": "Filter", "input": 0, ...}]}

Nodes stand in a list, inputs before their readers, and refer to one another by index, so a shared step is there once.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from fluxline.errors import DefinitionError, Place, RecoveryError
from fluxline.plan import expressions, nodes, window
from fluxline.schema import Field, LogicalType, TableSchema

PLAN_FORMAT_VERSION = 1
JSONValue: TypeAlias = "dict[str, JSONValue] | list[JSONValue] | str | int | float | bool | None"
_NOT_A_PLAN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, AssertionError, RecursionError, DefinitionError)

_PARTS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        expressions.Column, expressions.Constant, expressions.Call, expressions.Cast, expressions.Case, expressions.Measure,
        nodes.NamedExpression, nodes.WatermarkStrategy, nodes.PythonFunction, window.Window, LogicalType, Field, TableSchema, Place,
    )
}  # fmt: skip
_NODES: dict[str, type[nodes.Node]] = {
    kind.__name__: kind
    for kind in (
        nodes.Scan, nodes.Filter, nodes.Project, nodes.WindowAggregate, nodes.GroupAggregate, nodes.Union, nodes.MapBatches,
        nodes.Expect, nodes.Late, nodes.Rejected, nodes.Sink,
    )
}  # fmt: skip

_HINTS: dict[type[Any], dict[str, Any]] = {}
"""The types of the fields of each of them, found when the first one is read."""


def plan_to_json(plan: nodes.Plan) -> dict[str, JSONValue]:
    """The plan as plain JSON data."""
    ordered = plan.nodes()
    index = {node: position for position, node in enumerate(ordered)}
    return {
        "fluxline_plan": PLAN_FORMAT_VERSION,
        "name": plan.name,
        "description": plan.description,
        "sinks": [index[sink] for sink in plan.sinks],
        "nodes": [_node_to_json(node, index) for node in ordered],
    }


def plan_from_json(data: dict[str, Any]) -> nodes.Plan:
    """The plan that JSON data describes; Python functions come back without their callable.

    Raises:
        RecoveryError: FLX-5011 the form is of a newer version; FLX-5012 it is no plan.
    """
    try:
        version = data["fluxline_plan"]
        assert type(version) is int and version >= 1, f"no version: {version!r}"
        if version > PLAN_FORMAT_VERSION:
            raise RecoveryError(
                "FLX-5011",
                f"the plan has format {version}, this version reads up to {PLAN_FORMAT_VERSION}",
                hint="Use the Fluxline version that wrote it, or a later one.",
            )
        built: list[nodes.Node] = []
        for entry in data["nodes"]:
            built.append(_node_from_json(entry, built))
        sinks = tuple(_earlier(built, position) for position in data["sinks"])
        plan: nodes.Plan = _build(nodes.Plan, {"name": data["name"], "sinks": sinks, "description": data["description"]})
    except _NOT_A_PLAN as error:
        raise RecoveryError("FLX-5012", "the data is no plan", detail=f"{type(error).__name__}: {error}.") from error
    return plan


def plan_digest(plan: nodes.Plan) -> str:
    """A short digest of what the plan does; places in the user's files do not count."""
    data = plan_to_json(plan)
    for entry in data["nodes"]:  # type: ignore[union-attr]  # a list, as plan_to_json makes it
        entry.pop("place", None)  # type: ignore[union-attr, call-arg, arg-type]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def state_digest(node: nodes.WindowAggregate | nodes.GroupAggregate) -> str:
    """A short identity of what the node's state means: its keys, window and measures, whatever the results are called."""
    keys = {name: node.input.schema.field(name).type.text() for name in node.keys}
    measures = [_to_json(dataclasses.replace(measure, name="")) for measure in node.measures]
    window_of_rows = _to_json(node.window) if isinstance(node, nodes.WindowAggregate) else None
    text = json.dumps([keys, window_of_rows, measures], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _node_to_json(node: nodes.Node, index: dict[nodes.Node, int]) -> JSONValue:
    entry: dict[str, JSONValue] = {"node": type(node).__name__}
    for item in dataclasses.fields(node):
        value = getattr(node, item.name)
        if item.name == "input":
            entry["input"] = index[value]
        elif item.name == "parts":
            entry["parts"] = [index[part] for part in value]
        else:
            entry[item.name] = _to_json(value)
    return entry


def _node_from_json(entry: dict[str, Any], built: list[nodes.Node]) -> nodes.Node:
    values = {name: _from_json(value) for name, value in entry.items() if name not in ("node", "input", "parts")}
    if "input" in entry:
        values["input"] = _earlier(built, entry["input"])
    if "parts" in entry:
        values["parts"] = tuple(_earlier(built, position) for position in entry["parts"])
    node: nodes.Node = _build(_NODES[entry["node"]], values)
    return node


def _earlier(built: list[nodes.Node], position: object) -> nodes.Node:
    assert type(position) is int and 0 <= position < len(built), f"no node {position!r} before this one"
    return built[position]


def _build(kind: type[Any], values: dict[str, Any]) -> Any:
    """The dataclass of these values, each of which has the type that its field declares."""
    if kind not in _HINTS:
        known = {"Callable": Callable, "Place": Place, "Window": window.Window, "LogicalType": LogicalType}
        _HINTS[kind] = typing.get_type_hints(kind, localns=known)
    hints = _HINTS[kind]
    for name, value in values.items():
        assert _fits(value, hints[name]), f"{kind.__name__}.{name} is not {value!r:.100}"
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
        return len(value) == len(wanted) and all(_fits(part, one) for part, one in zip(value, wanted, strict=True))
    if hint in (int, bool, str, types.NoneType):
        return type(value) is hint
    return isinstance(hint, type) and isinstance(value, hint)


def _to_json(value: Any) -> JSONValue:
    if isinstance(value, expressions.Constant):
        return {"is": "Constant", "value": _value_to_json(value.value), "type": _to_json(value.type)}
    if dataclasses.is_dataclass(value):
        entry: dict[str, JSONValue] = {"is": type(value).__name__}
        for item in dataclasses.fields(value):
            if item.name != "call":  # a callable is no data
                entry[item.name] = _to_json(getattr(value, item.name))
        return entry
    if isinstance(value, tuple):
        return [_to_json(part) for part in value]
    assert value is None or isinstance(value, str | int | float | bool), f"no JSON form for {value!r}"
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(part) for part in value)
    if not isinstance(value, dict):
        return value
    if value["is"] == "Constant":
        kind = _from_json(value["type"])
        assert isinstance(kind, LogicalType), f"no type: {kind!r:.100}"
        return expressions.Constant(_value_from_json(value["value"]), kind)
    return _build(_PARTS[value["is"]], {name: _from_json(part) for name, part in value.items() if name != "is"})


def _value_to_json(value: expressions.Value) -> JSONValue:
    """A constant with its Python type, so that 1, 1.0, True and "1" stay apart."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_value_to_json(part) for part in value]}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, timedelta):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    kind = {Decimal: "Decimal", datetime: "datetime", date: "date", time: "time"}[type(value)]
    return {kind: str(value) if isinstance(value, Decimal) else value.isoformat()}


def _value_from_json(value: JSONValue) -> expressions.Value:
    if not isinstance(value, dict):
        assert value is None or isinstance(value, bool | str)
        return value
    ((kind, text),) = value.items()
    if kind == "tuple":
        assert isinstance(text, list)
        return tuple(_value_from_json(part) for part in text)
    if kind == "timedelta":
        assert isinstance(text, list)
        days, seconds, microseconds = (int(str(part)) for part in text)
        return timedelta(days, seconds, microseconds)
    assert isinstance(text, str)
    readers: dict[str, Any] = {
        "int": int, "float": float.fromhex, "bytes": lambda coded: base64.b64decode(coded, validate=True), "Decimal": Decimal,
        "datetime": datetime.fromisoformat, "date": date.fromisoformat, "time": time.fromisoformat,
    }  # fmt: skip
    result: expressions.Value = readers[kind](text)
    return result
