"""Streams: what a pipeline does, verb by verb. Every verb checks names and types at once and returns a new frozen stream."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar

from fluxline.errors import DefinitionError, TypeMismatch, UnsupportedByEngine
from fluxline.options import parse_duration
from fluxline.pipeline.declare import column_name, table_schema
from fluxline.pipeline.expr import Expr, as_column, as_unbound
from fluxline.pipeline.group_by import GroupBy
from fluxline.pipeline.near_misses import STREAM, miss
from fluxline.pipeline.origin import here
from fluxline.pipeline.sink import Sink
from fluxline.plan import nodes
from fluxline.plan.expressions import Column
from fluxline.plan.names import describe_node
from fluxline.planner.bind import Scope, bind_column, bind_predicate, common_type, converted, label_of
from fluxline.planner.failing import can_fail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    import polars as pl

    from fluxline.errors import Place
    from fluxline.pipeline.declare import Schema
    from fluxline.pipeline.expr import Value
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.pipeline.windows import Window

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
ColumnLike: TypeAlias = "str | Expr"
ColumnsLike: TypeAlias = "str | Expr | Sequence[str | Expr]"


class Stream:
    """A named or derived relation over time, append-only or updating; frozen and hashable."""

    __slots__ = ("_left_windows", "_node", "_pipeline", "_window")

    def __init__(self, pipeline: Pipeline, node: nodes.Node, window: Window | None = None, *, left_windows: bool = False) -> None:
        object.__setattr__(self, "_pipeline", pipeline)
        object.__setattr__(self, "_node", node)
        object.__setattr__(self, "_window", window)
        object.__setattr__(self, "_left_windows", left_windows)

    if TYPE_CHECKING:
        _pipeline: Pipeline
        _node: nodes.Node
        _window: Window | None
        _left_windows: bool

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a stream is frozen; {name} cannot be set")

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Stream", name, STREAM)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stream)
            and self._pipeline is other._pipeline
            and self._node == other._node
            and repr(self._window) == repr(other._window)
            and self._left_windows == other._left_windows
        )

    def __hash__(self) -> int:
        return hash((id(self._pipeline), self._node))

    def __repr__(self) -> str:
        kind = (
            f"updating, keyed by {', '.join(self.key) or 'nothing'}"
            if self.updating and self.key is not None
            else "updating"
            if self.updating
            else "append-only"
        )
        time = f", event time {self._node.time.column}" if self._node.time is not None else ""
        window = f", windowed by {self._window}" if self._window is not None else ""
        return f"Stream({describe_node(self._node)}: {self._node.schema.describe()}; {kind}{time}{window})"

    @property
    def schema(self) -> Mapping[str, str]:
        """Column names and Flink types, in order."""
        return {item.name: str(item.type) for item in self._node.schema if not item.hidden}

    @property
    def key(self) -> tuple[str, ...] | None:
        """The columns that identify a row of an updating stream."""
        return self._node.key

    @property
    def updating(self) -> bool:
        """Whether later rows replace or take back earlier ones."""
        return self._node.updating

    @property
    def late(self) -> Stream:
        """The rows that this operator dropped as late, with its input's columns."""
        if not self._node.drops_late:
            raise DefinitionError(
                "FLX-2153", f'"{describe_node(self._node)}" cannot drop late rows', hint="Ask the windowed aggregate itself for .late.", place=here()
            )
        return Stream(self._pipeline, nodes.Late(self._node, place=here()))

    @property
    def rejected(self) -> Stream:
        """The rows that this operator could not decode, compute or accept, with the reason."""
        if not _may_reject(self._node):
            raise DefinitionError(
                "FLX-2154",
                f'"{describe_node(self._node)}" cannot reject rows',
                detail="Nothing that it computes can fail.",
                hint="Ask the source, an expect(...) or a map_batches(...) for .rejected.",
                place=here(),
            )
        return Stream(self._pipeline, nodes.Rejected(self._node, place=here()))

    def filter(self, *predicates: Expr) -> Stream:
        """Keep rows for which every predicate is TRUE."""
        place = here("filter")
        if not predicates:
            raise DefinitionError("FLX-2132", "filter needs a condition", place=place)
        combined = predicates[0]
        for predicate in predicates[1:]:
            combined = combined & predicate
        return self._next(nodes.Filter(self._node, bind_predicate(as_unbound(combined, place), self._scope(), what="filter"), place=place))

    def select(self, *columns: ColumnLike, **named: Value) -> Stream:
        """Keep exactly these columns."""
        place = here("select")
        scope = self._scope()
        chosen = [bind_column(as_column(column, place), scope) for column in columns]
        chosen += [bind_column(as_unbound(value, place), scope, name=name) for name, value in named.items()]
        return self._project(chosen, place)

    def with_columns(self, *columns: Expr, **named: Value) -> Stream:
        """Add or replace columns."""
        place = here("with_columns")
        scope = self._scope()
        added = [bind_column(as_column(column, place), scope) for column in columns]
        added += [bind_column(as_unbound(value, place), scope, name=name) for name, value in named.items()]
        by_name = {column.name: column for column in added}
        if len(by_name) < len(added):
            doubled = next(column.name for column in added if sum(other.name == column.name for other in added) > 1)
            raise DefinitionError("FLX-2105", f'column "{doubled}" is there twice', hint="Give one of them another name with .alias().", place=place)
        kept = [by_name[item.name] if item.name in by_name else self._same(item.name) for item in self._visible()]
        new = [column for column in added if column.name not in self._node.schema.names()]
        return self._project([*kept, *new], place)

    def drop(self, *columns: str) -> Stream:
        """Remove columns."""
        place = here("drop")
        for name in columns:
            self._node.schema.find(column_name(name, place), stream=describe_node(self._node), place=place)
        return self._project([self._same(item.name) for item in self._visible() if item.name not in columns], place)

    def rename(self, mapping: Mapping[str, str]) -> Stream:
        """Rename columns, old to new."""
        place = here("rename")
        if not isinstance(mapping, Mapping):
            raise DefinitionError("FLX-2122", f"rename takes a mapping, not {mapping!r}", hint='Write .rename({"old": "new"}).', place=place)
        for name, new in mapping.items():
            self._node.schema.find(column_name(name, place), stream=describe_node(self._node), place=place)
            column_name(new, place)
        return self._project([replace(self._same(item.name), name=mapping.get(item.name, item.name)) for item in self._visible()], place)

    def union_all(self, *others: Stream) -> Stream:
        """All rows of all streams, columns matched by name."""
        place = here("union_all")
        streams = (self, *others)
        for other in streams:
            if not isinstance(other, Stream):
                raise DefinitionError("FLX-2122", f"union_all takes streams, not {other!r}", place=place)
            if other._pipeline is not self._pipeline:
                raise DefinitionError("FLX-2133", "the streams are of different pipelines", place=place)
            if other.updating:
                raise UnsupportedByEngine("FLX-2190", "union_all of updating streams is not part of this version", place=place)
            if set(other.schema) != set(self.schema):
                difference = sorted(set(other.schema) ^ set(self.schema))
                raise DefinitionError(
                    "FLX-2134",
                    "the streams of a union have other columns",
                    detail=f"They differ in {', '.join(difference)}.",
                    hint="Bring them to the same columns with .select(...).",
                    place=place,
                )
        types = {}
        for name in self.schema:
            common = common_type([stream._node.schema.field(name).type for stream in streams])
            if common is None:
                raise TypeMismatch("FLX-2113", f'column "{name}" has types without a common one', hint="Cast them to one type.", place=place)
            types[name] = common
        parts = []
        for stream in streams:
            columns = []
            for name, wanted in types.items():
                same = stream._same(name)
                columns.append(replace(same, expression=converted(same.expression, wanted)))
            unchanged = tuple(stream.schema) == tuple(types) and all(isinstance(column.expression, Column) for column in columns)
            parts.append(stream._node if unchanged else nodes.Project(stream._node, tuple(columns), place=place))
        return Stream(self._pipeline, nodes.Union(tuple(parts), place=place), left_windows=all(stream._left_windows for stream in streams))

    def window(self, window: Window) -> Stream:
        """Assign rows to windows; group_by and agg then act per window."""
        place = here("window")
        if not hasattr(window, "planned"):
            raise DefinitionError("FLX-2135", f"window takes a window, not {window!r}", hint='Write .window(tumble("1 hour")).', place=place)
        self._refuse_updating("window", place)
        if self._window is not None:
            raise UnsupportedByEngine(
                "FLX-2190",
                "rows that are windowed twice are not part of this version",
                detail=f"The stream is windowed by {self._window} and not aggregated.",
                hint="Aggregate per window first: .group_by(...).agg(...).",
                place=place,
            )
        nodes.require_time_attribute(self._node, window.planned, place)
        return Stream(self._pipeline, self._node, window)

    def unwindow(self) -> Stream:
        """Leave the windows; the columns stay."""
        if self._window is not None:
            raise _windowed_rows(here("unwindow"))
        return Stream(self._pipeline, self._node, left_windows=True)

    def group_by(self, *keys: ColumnLike, ttl: str | timedelta | None = None) -> GroupBy:
        """Group by keys, within the window if there is one.

        Args:
            keys: columns, or expressions with a name.
            ttl: how long a key that gets no rows is remembered, or "forever"; needed without a window.
        """
        return GroupBy(self, keys, ttl, here("group_by"))

    def agg(self, *measures: Expr, **named: Expr) -> Stream:
        """Aggregate each window, or the whole stream."""
        return GroupBy(self, (), "forever", here("agg"))._aggregate(measures, named, here("agg"))

    def map_batches(
        self,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        *,
        schema: type[Schema] | Mapping[str, str],
        on_error: Literal["reject", "fail"] = "reject",
    ) -> Stream:
        """Apply a function of frames that keeps nothing between batches.

        Args:
            function: gets a Polars frame of the stream's columns and returns one of `schema`'s.
            schema: what it returns.
            on_error: rows for which it raises are rejected, or stop the job.
        """
        place = here("map_batches")
        self._refuse_updating("map_batches", place)
        if not callable(function):
            raise DefinitionError("FLX-2136", f"map_batches takes a function, not {function!r}", place=place)
        if on_error not in ("reject", "fail"):
            raise DefinitionError("FLX-2122", f'on_error is "reject" or "fail", not {on_error!r}', place=place)
        planned = nodes.PythonFunction(getattr(function, "__qualname__", type(function).__name__), _code_digest(function), function)
        return Stream(self._pipeline, nodes.MapBatches(self._node, planned, table_schema(schema, place), on_error, place=place))

    def expect(self, *, on_failure: Literal["reject", "count", "fail"] = "reject", **rules: Expr) -> Stream:
        """Pass rows for which every named rule is TRUE.

        Args:
            on_failure: a row that breaks a rule is rejected; or passes and is only counted; or stops the job.
            rules: conditions by name; NULL breaks a rule.
        """
        place = here("expect")
        if on_failure not in ("reject", "count", "fail"):
            raise DefinitionError("FLX-2122", f'on_failure is "reject", "count" or "fail", not {on_failure!r}', place=place)
        if not rules:
            raise DefinitionError("FLX-2132", "expect needs a rule", hint='Write expect(positive=col("amount") > 0).', place=place)
        self._refuse_updating("expect", place)
        bound = tuple(
            nodes.NamedExpression(name, bind_predicate(as_unbound(rule, place), self._scope(), what=f'rule "{name}"')) for name, rule in rules.items()
        )
        return self._next(nodes.Expect(self._node, bound, on_failure, place=place))

    def named(self, name: str) -> Stream:
        """Name the stream for SQL, state, console and lineage."""
        place = here("named")
        self._pipeline._claim_name(name, self._node, place)
        return Stream(self._pipeline, replace(self._node, label=name), self._window, left_windows=self._left_windows)

    def pipe(self, function: Callable[Concatenate[Stream, Parameters], Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call a function with this stream, to keep a chain."""
        return function(self, *args, **kwargs)

    def sink(self, name: str, *, key: ColumnsLike | None = None, schema: type[Schema] | Mapping[str, str] | None = None) -> Sink:
        """Write to a topic or table.

        Args:
            name: the environment says where it lives.
            key: the columns that identify a row; of an updating stream its own key by default.
            schema: a promise: the stream's columns and types are checked against it.
        """
        place = here("sink")
        if self._window is not None:
            raise _windowed_rows(place)
        row_key = None if key is None else tuple(self._key_names(key, place))
        if self.updating:
            row_key = self._updating_key(row_key, place)
        if schema is not None:
            self._check_promise(table_schema(schema, place), place)
        planned = nodes.Sink(self._node, name, row_key, place=place)
        self._pipeline._add_sink(planned)
        return Sink(self._pipeline, planned)

    def collect(
        self,
        *,
        env: str | None = None,
        inputs: Mapping[Stream, pl.DataFrame | Path | str] | None = None,
        rows_max: int | None = None,
        within: str | timedelta | None = None,
        changelog: bool = False,
    ) -> pl.DataFrame:
        """Run now and return rows as a Polars frame.

        Args:
            env: the environment that binds the sources which `inputs` does not give.
            inputs: what sources read instead: a frame, or the path of a file.
            rows_max: stop after so many rows; needed, or `within`, where a source does not end.
            within: stop after this long.
            changelog: all rows with their row kind in column `row_kind`, instead of the final rows.

        Raises:
            DefinitionError: FLX-2137, a source does not end and nothing bounds the collection.
        """
        from fluxline.pipeline.collect import collect

        place = here("collect")
        within_ms = None if within is None else parse_duration(within, name="within", place=place)
        return collect(self, env=env, inputs=inputs or {}, rows_max=rows_max, within_ms=within_ms, changelog=changelog, place=place)

    def explain(self) -> str:
        """The plan of this stream."""
        from fluxline.planner.explain import explain_node

        return explain_node(self._node)

    # Shared by the verbs.
    def _scope(self) -> Scope:
        return Scope(self._node.schema, describe_node(self._node))

    def _visible(self) -> list[Any]:
        return [item for item in self._node.schema if not item.hidden]

    def _same(self, name: str) -> nodes.NamedExpression:
        item = self._node.schema.field(name)
        return nodes.NamedExpression(name, Column(name, item.type), item.tags)

    def _derive(self, node: nodes.Node) -> Stream:
        """A stream of the same pipeline, outside of windows."""
        return Stream(self._pipeline, node)

    def _next(self, node: nodes.Node) -> Stream:
        return Stream(self._pipeline, node, self._window, left_windows=self._left_windows)

    def _project(self, columns: list[nodes.NamedExpression], place: Place | None) -> Stream:
        hidden = {item.name for item in self._node.schema if item.hidden}
        for column in columns:
            if column.name in hidden:
                raise DefinitionError("FLX-2138", f'column name "{column.name}" is taken by the window', place=place)
        try:
            node = nodes.Project(self._node, tuple(columns), place=place)
            _ = node.schema
        except DefinitionError as error:
            error.place = error.place or place
            raise
        if self._window is not None:
            nodes.require_time_attribute(node, self._window.planned, place)
        return self._next(node)

    def _key_names(self, key: ColumnsLike, place: Place | None) -> list[str]:
        if not isinstance(key, str | Expr | Iterable):
            raise DefinitionError("FLX-2122", f"a key is made of columns, not {key!r}", place=place)
        given = [key] if isinstance(key, str | Expr) else list(key)
        if not given and not self.updating:
            raise DefinitionError("FLX-2122", "a key without columns makes every row replace the one before", hint="Leave key= away.", place=place)
        found = []
        for part in given:
            name = label_of(as_column(part, place))
            if name is None:
                raise DefinitionError(
                    "FLX-2117", "a key is made of columns", hint="Compute the column first with .with_columns(name=...).", place=place
                )
            found.append(self._node.schema.find(name, stream=describe_node(self._node), place=place).name)
        if len(set(found)) < len(found):
            raise DefinitionError("FLX-2105", "a column is in the key twice", place=place)
        return found

    def _updating_key(self, row_key: tuple[str, ...] | None, place: Place | None) -> tuple[str, ...]:
        own = self.key
        if row_key is None and own is not None:
            return own
        if own is None or row_key is None or not set(own) <= set(row_key):
            shown = "none" if own is None else ", ".join(own) or "a single row"
            raise DefinitionError(
                "FLX-2139",
                "the sink's key does not cover the key of the updating stream",
                detail=f"The stream is updated by {shown}.",
                hint="Leave key= away, or name at least those columns.",
                place=place,
            )
        return row_key

    def _check_promise(self, promised: Any, place: Place | None) -> None:
        have = self._node.schema.visible()
        for item in promised:
            found = have.find(item.name, stream=describe_node(self._node), place=place)
            if found.type.with_nullable(True) != item.type.with_nullable(True) or (found.type.nullable and not item.type.nullable):
                raise TypeMismatch("FLX-2140", f'the sink promises "{item.name}" as {item.type}, and the stream has {found.type}', place=place)
        extra = [name for name in have.names() if name not in promised]
        if extra:
            raise TypeMismatch("FLX-2140", f"the stream has columns that the sink does not promise: {', '.join(extra)}", place=place)

    def _refuse_updating(self, verb: str, place: Place | None) -> None:
        if self.updating:
            raise UnsupportedByEngine(
                "FLX-2190",
                f"{verb} over an updating stream is not part of this version",
                detail=f'"{describe_node(self._node)}" is updating: later rows replace earlier ones.',
                hint=f"Use {verb} before the aggregate, or aggregate per window: windows emit once.",
                place=place,
            )


def _windowed_rows(place: Place | None) -> UnsupportedByEngine:
    return UnsupportedByEngine(
        "FLX-2190",
        "rows with their windows, not aggregated, are not part of this version",
        hint="Aggregate them: .group_by(...).agg(...).",
        place=place,
    )


def _may_reject(node: nodes.Node) -> bool:
    """Whether the node's own expressions or functions can fail."""
    if isinstance(node, nodes.Filter):
        return can_fail(node.predicate)
    if isinstance(node, nodes.Project):
        return any(can_fail(column.expression) for column in node.columns)
    if isinstance(node, nodes.WindowAggregate | nodes.GroupAggregate):
        return any(can_fail(part) for measure in node.measures for part in (measure.argument, measure.where) if part is not None)
    if isinstance(node, nodes.MapBatches):
        return node.on_error == "reject"
    if isinstance(node, nodes.Expect):
        return node.on_failure == "reject" or any(can_fail(rule.expression) for rule in node.rules)
    return node.rejects


def _code_digest(function: Callable[..., object]) -> str:
    """A digest of the function's text, or of its code where there is no text."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr((code.co_code, code.co_consts)) if code is not None else repr(type(function))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
