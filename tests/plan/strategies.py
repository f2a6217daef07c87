"""Random plans for property tests: every kind of node, typed expressions, every kind of constant. What is drawn can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from fluxline.errors import Place
from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Measure
from fluxline.plan.window import Window
from fluxline.schema import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    INTEGER_BITS,
    SMALLINT,
    STRING,
    TINYINT,
    Field,
    LogicalType,
    TableSchema,
    decimal,
    row,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.plan.expressions import Expression, Value

FLAT = (
    BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, STRING, BYTES, DATE, decimal(12, 2), decimal(38, 38), LogicalType("TIME", precision=0),
    timestamp(3, local=True), timestamp(9, local=False), LogicalType("CHAR", length=4), LogicalType("VARBINARY", length=8),
)  # fmt: skip
NAMES = ("a", "b", "c", "d", "über", "with space", "`quoted`")
LABELS = st.sampled_from(("", "", "", "first", "second", "third"))

flat_types = st.builds(LogicalType.with_nullable, st.sampled_from(FLAT), st.booleans())


def _nested(inner: st.SearchStrategy[LogicalType]) -> st.SearchStrategy[LogicalType]:
    fields = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).flatmap(
        lambda names: st.tuples(*(st.builds(Field, st.just(name), inner) for name in names))
    )
    return st.one_of(
        st.builds(lambda kind: LogicalType("ARRAY", children=(kind,)), inner),
        st.builds(lambda key, value: LogicalType("MAP", children=(key, value)), flat_types, inner),
        st.builds(row, fields),
    )


types = st.recursive(flat_types, _nested, max_leaves=4)
fields = st.builds(
    Field, st.sampled_from(NAMES), types, st.lists(st.sampled_from(("PII", "health")), max_size=2, unique=True).map(tuple), st.just(False)
)
schemas = st.lists(fields, min_size=1, max_size=5, unique_by=lambda item: item.name).map(lambda items: TableSchema(tuple(items)))
places = st.none() | st.builds(
    Place, st.sampled_from(("a.py", "b/c.py")), st.integers(1, 99), st.integers(1, 80), st.none() | st.integers(1, 90), st.booleans()
)


def values(kind: LogicalType) -> st.SearchStrategy[Value]:
    """Values of a type as a constant holds them: nested ones are tuples."""
    found = _values(kind)
    return st.none() | found if kind.nullable else found


def _values(kind: LogicalType) -> st.SearchStrategy[Value]:
    if kind.integer:
        bits = INTEGER_BITS[kind.root]
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if kind.root == "DECIMAL":
        return st.decimals(allow_nan=False, allow_infinity=False, places=kind.scale, min_value=0, max_value=0) | st.decimals(
            allow_nan=False, allow_infinity=False
        )
    if kind.root == "ARRAY":
        return st.lists(values(kind.children[0]), max_size=3).map(tuple)
    if kind.root == "MAP":
        return st.lists(st.tuples(values(kind.children[0]), values(kind.children[1])), max_size=2).map(tuple)
    if kind.root == "ROW":
        return st.tuples(*(values(item.type) for item in kind.fields))
    simple: dict[str, st.SearchStrategy[Value]] = {
        "BOOLEAN": st.booleans(),
        "FLOAT": st.floats(width=32),
        "DOUBLE": st.floats(),
        "CHAR": st.text(max_size=4),
        "VARCHAR": st.text(max_size=8),
        "BINARY": st.binary(max_size=8),
        "VARBINARY": st.binary(max_size=8),
        "DATE": st.dates(),
        "TIME": st.times().map(lambda value: value.replace(fold=0)),
        "TIMESTAMP": st.datetimes().map(lambda value: value.replace(fold=0)),
        "TIMESTAMP_LTZ": st.datetimes().map(lambda value: value.replace(fold=0)),
    }
    return simple[kind.root]


def constants(kind: LogicalType) -> st.SearchStrategy[Constant]:
    """Constants of a type."""
    return st.builds(Constant, values(kind), st.just(kind))


@st.composite
def expressions(draw: st.DrawFn, schema: TableSchema, kind: LogicalType, depth: int = 2) -> Expression:
    """An expression of a type over the columns of a schema."""
    columns = [Column(item.name, item.type) for item in schema if item.type == kind]
    forms: list[Callable[[], Expression]] = [lambda: draw(constants(kind))]
    if columns:
        forms.append(lambda: draw(st.sampled_from(columns)))
    if depth:
        forms += [lambda: _call(draw, schema, kind, depth), lambda: _cast(draw, schema, kind, depth), lambda: _case(draw, schema, kind, depth)]
    return draw(st.sampled_from(forms))()


def _call(draw: st.DrawFn, schema: TableSchema, kind: LogicalType, depth: int) -> Call:
    argument_types = draw(st.lists(flat_types, max_size=2))
    arguments = tuple(draw(expressions(schema, argument, depth - 1)) for argument in argument_types)
    return Call(draw(st.sampled_from(("+", "COALESCE", "CONCAT", "IS NULL"))), arguments, kind)


def _cast(draw: st.DrawFn, schema: TableSchema, kind: LogicalType, depth: int) -> Cast:
    return Cast(draw(expressions(schema, draw(flat_types), depth - 1)), kind, draw(st.sampled_from(("error", "null"))))


def _case(draw: st.DrawFn, schema: TableSchema, kind: LogicalType, depth: int) -> Case:
    count = draw(st.integers(1, 2))
    branches = tuple((draw(expressions(schema, BOOLEAN, depth - 1)), draw(expressions(schema, kind, depth - 1))) for _ in range(count))
    return Case(branches, draw(expressions(schema, kind, depth - 1)), kind)


strategies = st.builds(
    nodes.WatermarkStrategy,
    st.integers(0, 10**6),
    st.none() | st.integers(1, 10**6),
    st.none() | st.integers(0, 10**9),
    st.sampled_from(("partition", "operator")),
)


@st.composite
def scans(draw: st.DrawFn, source: str) -> nodes.Scan:
    """A source that has event time, or none."""
    declared = draw(schemas)
    columns: tuple[str, ...] | None = None
    if draw(st.booleans()):
        columns = tuple(draw(st.lists(st.sampled_from(declared.names()), min_size=1, unique=True)))
    event_time = strategy = None
    if draw(st.booleans()):
        strategy = draw(strategies)
        carrying = [item for item in declared if item.type.timestamp]
        if carrying:
            item = draw(st.sampled_from(carrying))
            event_time = nodes.NamedExpression(item.name, Column(item.name, item.type), item.tags)
        else:
            event_time = nodes.NamedExpression("at", draw(expressions(declared, timestamp(3, local=True))))
    predicate = draw(st.none() | expressions(declared, BOOLEAN))
    return nodes.Scan(source, declared, event_time, strategy, columns, predicate, label=draw(LABELS), place=draw(places))


windows = st.one_of(
    st.builds(lambda size, offset: Window("tumble", size_ms=size, offset_ms=offset % size), st.integers(1, 10**8), st.integers()),
    st.builds(lambda slide, times: Window("hop", size_ms=slide * times, slide_ms=slide), st.integers(1, 10**6), st.integers(1, 9)),
    st.builds(lambda step, times: Window("cumulate", size_ms=step * times, step_ms=step), st.integers(1, 10**6), st.integers(1, 9)),
    st.builds(lambda gap: Window("session", gap_ms=gap), st.integers(1, 10**6)),
)  # fmt: skip


def _filter(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    return nodes.Filter(node, draw(expressions(node.schema, BOOLEAN)), **base)  # type: ignore[arg-type]  # label and place


def _project(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    kept = [
        nodes.NamedExpression(item.name, Column(item.name, item.type), item.tags) for item in node.schema if not item.hidden and draw(st.booleans())
    ]
    kind = draw(types)
    added = nodes.NamedExpression("computed", draw(expressions(node.schema, kind)), ("health",) if draw(st.booleans()) else ())
    columns = [column for column in kept if column.name != "computed"]
    return nodes.Project(node, (*columns, added), **base)  # type: ignore[arg-type]  # label and place


def _measures(draw: st.DrawFn, schema: TableSchema) -> tuple[Measure, ...]:
    made = []
    for name in draw(st.lists(st.sampled_from(("mean", "total", "rows")), min_size=1, max_size=2, unique=True)):
        argument = None if name == "rows" else draw(expressions(schema, draw(flat_types), 1))
        where = draw(st.none() | expressions(schema, BOOLEAN, 1))
        made.append(Measure(name, "COUNT" if argument is None else draw(st.sampled_from(("AVG", "SUM", "MAX"))), argument, where, draw(flat_types)))
    return tuple(made)


def _keys(draw: st.DrawFn, node: nodes.Node) -> tuple[str, ...]:
    taken = ("mean", "total", "rows", "window_start", "window_end", "window_time")
    free = [name for name in node.schema.names() if name not in taken]
    return tuple(draw(st.lists(st.sampled_from(free), max_size=2, unique=True))) if free else ()


def _window_aggregate(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    if node.time is None:
        return _group_aggregate(draw, node, **base)
    return nodes.WindowAggregate(node, draw(windows), _keys(draw, node), _measures(draw, node.schema), **base)  # type: ignore[arg-type]  # label and place


def _group_aggregate(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    ttl_ms = draw(st.none() | st.integers(1, 10**9))
    return nodes.GroupAggregate(node, _keys(draw, node), _measures(draw, node.schema), ttl_ms, **base)  # type: ignore[arg-type]  # label and place


def _union(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    return nodes.Union((node, _filter(draw, node), node)[: draw(st.integers(2, 3))], **base)  # type: ignore[arg-type]  # label and place


def _map_batches(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    function = nodes.PythonFunction(draw(st.sampled_from(("score", "<lambda>"))), draw(st.text("0123456789abcdef", min_size=16, max_size=16)), len)
    return nodes.MapBatches(node, function, draw(schemas), draw(st.sampled_from(("reject", "fail"))), **base)  # type: ignore[arg-type]  # label and place


def _expect(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    rules = tuple(
        nodes.NamedExpression(name, draw(expressions(node.schema, BOOLEAN, 1))) for name in ("positive", "known")[: draw(st.integers(1, 2))]
    )
    return nodes.Expect(node, rules, draw(st.sampled_from(("reject", "count", "fail"))), **base)  # type: ignore[arg-type]  # label and place


def _other_output(draw: st.DrawFn, node: nodes.Node, **base: object) -> nodes.Node:
    if node.drops_late and draw(st.booleans()):
        return nodes.Late(node, **base)  # type: ignore[arg-type]  # label and place
    return nodes.Rejected(node, **base) if node.rejects else _filter(draw, node, **base)  # type: ignore[arg-type]  # label and place


STEPS = (_filter, _project, _window_aggregate, _group_aggregate, _union, _map_batches, _expect, _other_output)


@st.composite
def plans(draw: st.DrawFn) -> nodes.Plan:
    """A whole plan: one or two sources, up to six steps on any stream before them, one to three sinks."""
    pool: list[nodes.Node] = [draw(scans(source)) for source in ("orders", "clicks")[: draw(st.integers(1, 2))]]
    for step in draw(st.lists(st.sampled_from(STEPS), max_size=6)):
        pool.append(step(draw, draw(st.sampled_from(pool)), label=draw(LABELS), place=draw(places)))
    sinks = []
    for name in ("alerts", "totals", "seen")[: draw(st.integers(1, 3))]:
        node = draw(st.sampled_from(pool))
        names = node.schema.names()
        key = draw(st.none() | st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True).map(tuple))
        sinks.append(nodes.Sink(node, name, key, place=draw(places)))
    return nodes.Plan(draw(st.sampled_from(("shop", "ladenkette ü"))), tuple(sinks), draw(st.sampled_from(("", "What it is for."))))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("is", "node", "nodes", "input", "name", "value", "x")), inner, max_size=3)
    ),
    max_leaves=6,
)
"""Data that JSON can hold, with the words of plans among its keys."""
