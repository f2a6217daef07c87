"""The nodes of a plan: frozen, hashable, checked when they are built. Engines and rules read them; nobody edits them.

    Plan(name, sinks) -> Sink -> ... -> Scan

Every node knows its schema, its time attribute, whether it is updating, and by which columns a row is identified.
`Late` and `Rejected` stand for the other outputs of a node. Two nodes that are equal are one step of the job.
A node enters this file with the first engine that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fluxline.errors import DefinitionError, TimeAttributeMissing
from fluxline.plan.expressions import Column, Expression, Measure, columns_of
from fluxline.plan.node import (
    NamedExpression,
    Node,
    PythonFunction,
    TimeAttribute,
    Unary,
    WatermarkStrategy,
    check_schema,
    require_columns,
    require_names,
    require_time_attribute,
    upstream,
)
from fluxline.plan.window import WINDOW_END, WINDOW_START, WINDOW_TIME
from fluxline.schema import BIGINT, BYTES, STRING, Field, TableSchema, timestamp

if TYPE_CHECKING:
    from fluxline.plan.window import Window

__all__ = [
    "REJECTED_SCHEMA", "Expect", "Filter", "GroupAggregate", "Late", "MapBatches", "NamedExpression", "Node", "Plan", "Project", "PythonFunction",
    "Rejected", "Scan", "Sink", "TimeAttribute", "Unary", "Union", "WatermarkStrategy", "WindowAggregate", "require_time_attribute", "upstream",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scan(Node):
    """Read a source.

    Attributes:
        source: its name; the environment says where it lives.
        declared: all columns that the pipeline declares.
        event_time: what computes the time attribute (a `Column` for a declared one), with its strategy; or None.
        columns: the declared columns that are decoded; the planner shortens them to the needed ones.
        predicate: a filter that was pushed into the source; it runs after a row moved the watermark and was counted.
    """

    source: str
    declared: TableSchema
    event_time: NamedExpression | None = None
    strategy: WatermarkStrategy | None = None
    columns: tuple[str, ...] | None = None
    predicate: Expression | None = None

    def __post_init__(self) -> None:
        assert (self.event_time is None) == (self.strategy is None), "event time and its strategy come together"
        if self.event_time is not None and not self.event_time.expression.type.timestamp:
            raise TimeAttributeMissing(
                "FLX-2108",
                f'column "{self.event_time.name}" cannot carry event time',
                detail=f"It is {self.event_time.expression.type.text()}; a time attribute is TIMESTAMP or TIMESTAMP_LTZ.",
                hint="Declare it as datetime, or compute it with functions.to_timestamp_ltz(...).",
                place=self.place,
            )
        time = () if self.event_time is None else (self.event_time.name,)
        if self.event_time is not None and isinstance(self.event_time.expression, Column):
            assert self.event_time.expression.name == self.event_time.name, "an event time of another name is computed"
        known = {*self.declared.names(), *time}
        read = columns_of(self.predicate, None if self.event_time is None else self.event_time.expression)
        assert read <= known and set(self.columns or ()) <= known, f"a source reads the columns that it declares: {sorted(known)}"
        check_schema(self)

    @cached_property
    def schema(self) -> TableSchema:
        kept = [item for item in self.declared if self.columns is None or item.name in self.columns]
        if self.event_time is None:
            return TableSchema(tuple(kept))
        name, event_type = self.event_time.name, self.event_time.expression.type.with_nullable(False)
        if any(item.name == name for item in kept):
            kept = [replace(item, type=event_type) if item.name == name else item for item in kept]
        elif self.columns is None or name in self.columns:
            kept.append(Field(name, event_type, self.event_time.tags))
        return TableSchema(tuple(kept))

    @cached_property
    def decoded(self) -> TableSchema:
        """The declared columns that a decoder must give: those that are read, and what the event time is computed from.

        The event-time column is decoded as nullable: a row without it is rejected for that reason.
        """
        time = None if self.event_time is None else self.event_time.expression
        needed = {*self.schema.names(), *columns_of(time, self.predicate)}
        fields = [item for item in self.declared if item.name in needed]
        if all(item.metadata is not None for item in fields):
            fields = [*fields, self.declared.of_records().fields[0]]  # Every record is decoded, whatever is read of it.
        if isinstance(time, Column):
            fields = [replace(item, type=item.type.with_nullable(True)) if item.name == time.name else item for item in fields]
        return TableSchema(tuple(fields))

    @cached_property
    def time(self) -> TimeAttribute | None:
        if self.event_time is None or self.strategy is None or self.event_time.name not in self.schema:
            return None
        return TimeAttribute(self.event_time.name, self.strategy)

    @cached_property
    def updating(self) -> bool:
        return False

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return None

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Filter(Unary):
    """Keep the rows for which the predicate is TRUE."""

    predicate: Expression

    def __post_init__(self) -> None:
        assert self.predicate.type.root == "BOOLEAN", "a predicate is BOOLEAN"
        require_columns(self.input, self.predicate)

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Project(Unary):
    """Compute exactly these columns; hidden columns of the input travel along."""

    columns: tuple[NamedExpression, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise DefinitionError("FLX-2112", "no column is left", hint="Keep at least one column.", place=self.place)
        require_columns(self.input, *(column.expression for column in self.columns))
        check_schema(self)

    @cached_property
    def schema(self) -> TableSchema:
        visible = [Field(column.name, column.expression.type, column.tags) for column in self.columns]
        names = {item.name for item in visible}
        return TableSchema((*visible, *(item for item in self.input.schema if item.hidden and item.name not in names)))

    @cached_property
    def time(self) -> TimeAttribute | None:
        before = self.input.time
        if before is None or self.input.schema.field(before.column).hidden:
            return before
        name = self.renamed(before.column)
        return None if name is None else TimeAttribute(name, before.strategy)

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        if self.input.key is None:
            return None
        names = [self.renamed(name) for name in self.input.key]
        return None if None in names else tuple(name for name in names if name is not None)

    def renamed(self, name: str) -> str | None:
        """Under which name an input column passes unchanged, if it does."""
        passing = [column.name for column in self.columns if isinstance(column.expression, Column) and column.expression.name == name]
        return name if name in passing else passing[0] if passing else None

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class WindowAggregate(Unary):
    """Group rows by window and keys, and aggregate each group; a group comes out once, when its window closes."""

    window: Window
    keys: tuple[str, ...]
    measures: tuple[Measure, ...]

    def __post_init__(self) -> None:
        require_time_attribute(self.input, self.window, self.place)
        require_columns(self.input, *(part for measure in self.measures for part in (measure.argument, measure.where)))
        require_names(self.input, self.keys)
        check_schema(self)

    @cached_property
    def schema(self) -> TableSchema:
        time = self.input.time
        assert time is not None
        bound = timestamp(3, local=False).with_nullable(False)
        keys = tuple(self.input.schema.field(name) for name in self.keys)
        measures = tuple(Field(measure.name, measure.type) for measure in self.measures)
        local = self.input.schema.field(time.column).type.root == "TIMESTAMP_LTZ"
        hidden = Field(WINDOW_TIME, timestamp(3, local=local).with_nullable(False), hidden=True)
        return TableSchema((*keys, Field(WINDOW_START, bound), Field(WINDOW_END, bound), *measures, hidden))

    @cached_property
    def time(self) -> TimeAttribute | None:
        assert self.input.time is not None
        # Behind the first operator that can drop, the operator's watermark decides, always.
        return TimeAttribute(WINDOW_TIME, replace(self.input.time.strategy, lateness="operator"))

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return None

    @property
    def drops_late(self) -> bool:
        return True

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class GroupAggregate(Unary):
    """Aggregate the whole stream by keys; results are updated as rows come. `ttl_ms` None keeps keys for ever."""

    keys: tuple[str, ...]
    measures: tuple[Measure, ...]
    ttl_ms: int | None

    def __post_init__(self) -> None:
        require_columns(self.input, *(part for measure in self.measures for part in (measure.argument, measure.where)))
        require_names(self.input, self.keys)
        check_schema(self)

    @cached_property
    def schema(self) -> TableSchema:
        keys = tuple(self.input.schema.field(name) for name in self.keys)
        return TableSchema((*keys, *(Field(measure.name, measure.type) for measure in self.measures)))

    @cached_property
    def time(self) -> TimeAttribute | None:
        return None

    @cached_property
    def updating(self) -> bool:
        return True

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return self.keys

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Union(Node):
    """All rows of all inputs, whose columns are the same, in the same order."""

    parts: tuple[Node, ...]

    def __post_init__(self) -> None:
        assert self.parts, "a union has an input"
        first, *others = ([(item.name, item.type.with_nullable(True)) for item in part.schema.visible()] for part in self.parts)
        assert all(other == first for other in others), "the inputs of a union have the same columns"
        check_schema(self)

    @property
    def inputs(self) -> tuple[Node, ...]:
        return self.parts

    def with_inputs(self, inputs: tuple[Node, ...]) -> Node:
        return replace(self, parts=inputs)

    @cached_property
    def schema(self) -> TableSchema:
        first, *others = (part.schema for part in self.parts)
        nullable = {item.name: any(other.field(item.name).type.nullable for other in (first, *others)) for item in first if not item.hidden}
        time = self.time
        return TableSchema(
            tuple(
                replace(item, type=item.type.with_nullable(nullable.get(item.name, False)))
                for item in first
                if not item.hidden or (time is not None and time.column == item.name)
            )
        )

    @cached_property
    def time(self) -> TimeAttribute | None:
        times = [part.time for part in self.parts]
        first = times[0]
        if first is None or any(time is None or time.column != first.column for time in times):
            return None
        strategies = [time.strategy for time in times if time is not None]
        lateness: Literal["partition", "operator"] = "partition" if all(item.lateness == "partition" for item in strategies) else "operator"
        return TimeAttribute(first.column, replace(first.strategy, lateness=lateness))

    @cached_property
    def updating(self) -> bool:
        return any(part.updating for part in self.parts)

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return None


@dataclass(frozen=True, eq=False)
class MapBatches(Unary):
    """Apply a user's function of frames, which keeps nothing between batches."""

    function: PythonFunction
    produces: TableSchema
    on_error: Literal["reject", "fail"] = "reject"

    @cached_property
    def schema(self) -> TableSchema:
        return self.produces

    @cached_property
    def time(self) -> TimeAttribute | None:
        return None  # The function may return other rows; nobody knows their time.

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Expect(Unary):
    """Pass the rows for which every named rule is TRUE; the others are rejected, or only counted, or stop the job."""

    rules: tuple[NamedExpression, ...]
    on_failure: Literal["reject", "count", "fail"] = "reject"

    def __post_init__(self) -> None:
        assert all(rule.expression.type.root == "BOOLEAN" for rule in self.rules), "a rule is BOOLEAN"
        require_columns(self.input, *(rule.expression for rule in self.rules))

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Late(Unary):
    """The rows that the input dropped as late, with the columns of its own input."""

    def __post_init__(self) -> None:
        assert self.input.drops_late, "only an operator that can drop has a late output"

    @cached_property
    def schema(self) -> TableSchema:
        return self.input.inputs[0].schema

    @cached_property
    def time(self) -> TimeAttribute | None:
        return None  # Its rows are behind the watermark.

    @cached_property
    def updating(self) -> bool:
        return False

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return None


REJECTED_SCHEMA = TableSchema(
    (
        Field("pipeline", STRING.with_nullable(False)),
        Field("operator", STRING.with_nullable(False)),
        Field("reason", STRING.with_nullable(False)),
        Field("detail", STRING),
        Field("rule", STRING),
        Field("record", BYTES),
        Field("partition", STRING),
        Field("position", BIGINT),
        Field("event_time", timestamp(3, local=True)),
        Field("rejected_at", timestamp(3, local=True).with_nullable(False)),
    )
)


@dataclass(frozen=True, eq=False)
class Rejected(Unary):
    """The rows that the input could not decode, compute or accept, in the one schema of rejected rows."""

    def __post_init__(self) -> None:
        assert self.input.rejects, "only an operator that can reject has a rejected output"

    @cached_property
    def schema(self) -> TableSchema:
        return REJECTED_SCHEMA

    @cached_property
    def time(self) -> TimeAttribute | None:
        return None

    @cached_property
    def updating(self) -> bool:
        return False

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        return None


@dataclass(frozen=True, eq=False)
class Sink(Unary):
    """Write to a topic or table. `row_key`: the columns that identify a row there, or None."""

    name: str
    row_key: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_names(self.input, self.row_key or ())

    @property
    def rejects(self) -> bool:
        return True


@dataclass(frozen=True)
class Plan:
    """A whole pipeline: its name and its sinks, from which everything else hangs."""

    name: str
    sinks: tuple[Sink, ...]
    description: str = ""

    def nodes(self) -> tuple[Node, ...]:
        """Every node once, inputs before their readers, in an order that depends on the plan alone."""
        found: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node in found:
                return
            for part in node.inputs:
                visit(part)
            found[node] = None

        for sink in self.sinks:
            visit(sink)
        return tuple(found)

    def scans(self) -> tuple[Scan, ...]:
        """The nodes that read sources."""
        return tuple(node for node in self.nodes() if isinstance(node, Scan))
