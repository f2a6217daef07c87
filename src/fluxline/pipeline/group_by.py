"""Grouping: `stream.group_by(...).agg(...)`, within the window if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fluxline.errors import DefinitionError, UnboundedState, UnsupportedByEngine
from fluxline.options import parse_duration
from fluxline.pipeline.expr import Expr, as_column, as_unbound
from fluxline.pipeline.origin import here
from fluxline.plan import nodes
from fluxline.plan.expressions import Column
from fluxline.plan.window import WINDOW_END, WINDOW_START, WINDOW_TIME
from fluxline.planner.bind import bind_column, bind_measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from fluxline.errors import Place
    from fluxline.pipeline.stream import ColumnLike, Stream

RESERVED = (WINDOW_START, WINDOW_END, WINDOW_TIME)


class GroupBy:
    """`stream.group_by(...)`: goes on with `.agg(...)`."""

    __slots__ = ("_keys", "_place", "_stream", "_ttl")

    def __init__(self, stream: Stream, keys: tuple[ColumnLike, ...], ttl: str | timedelta | None, place: Place | None) -> None:
        self._stream = stream
        self._keys = keys
        self._ttl = ttl
        self._place = place
        for key in keys:
            bind_column(as_column(key, place), stream._scope())

    def agg(self, *measures: Expr, **named: Expr) -> Stream:
        """Aggregate each group; every measure has a name."""
        return self._aggregate(measures, named, here("agg"))

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            raise AttributeError(f"group_by has no {name}; write .agg(...)")

    def _aggregate(self, measures: tuple[Expr, ...], named: Mapping[str, Expr], place: Place | None) -> Stream:
        stream = self._stream
        if not measures and not named:
            raise DefinitionError("FLX-2132", "agg needs an aggregate", hint="Write agg(rows=count()).", place=place)
        stream._refuse_updating("agg", place)
        keys = [bind_column(as_column(key, self._place), stream._scope()) for key in self._keys]
        scope = stream._scope()
        bound = [bind_measure(as_unbound(measure, place), scope) for measure in measures]
        bound += [bind_measure(as_unbound(measure, place), scope, name=name) for name, measure in named.items()]
        taken = [key.name for key in keys]
        for name in taken:
            if taken.count(name) > 1:
                raise DefinitionError("FLX-2105", f'column "{name}" is there twice', hint="Group by it once.", place=self._place)
        for measure in bound:
            if measure.name in taken or (stream._window is not None and measure.name in RESERVED):
                what = "reserved for the window" if measure.name in RESERVED else "there twice"
                raise DefinitionError("FLX-2105", f'column "{measure.name}" is {what}', hint="Give the aggregate another name.", place=place)
            taken.append(measure.name)
        node = self._with_key_columns(keys)
        names = tuple(key.name for key in keys)
        if stream._window is not None:
            if any(name in RESERVED for name in names):
                raise DefinitionError(
                    "FLX-2105", "the window is part of the group already", hint="Leave window_start and window_end out of group_by.", place=place
                )
            return stream._derive(nodes.WindowAggregate(node, stream._window.planned, names, tuple(bound), place=place))
        self._refuse_across_windows(place)
        return stream._derive(nodes.GroupAggregate(node, names, tuple(bound), self._ttl_ms(), place=place))

    def _refuse_across_windows(self, place: Place | None) -> None:
        """Results of a window stay in it, and an aggregate over them that acts per window is not there yet."""
        time = self._stream._node.time
        if time is None or time.column != WINDOW_TIME or self._stream._left_windows:
            return
        raise UnsupportedByEngine(
            "FLX-2190",
            "group_by within the windows of an earlier aggregate is not part of this version",
            detail="Results of a window stay in their window; this would mix the rows of all of them.",
            hint='Window again: .window(tumble("1 hour")).group_by(...); or leave the windows: .unwindow().group_by(..., ttl="7 days").',
            place=place,
        )

    def _with_key_columns(self, keys: Sequence[nodes.NamedExpression]) -> nodes.Node:
        """The input with the computed keys beside its columns."""
        node = self._stream._node
        computed = [key for key in keys if not (isinstance(key.expression, Column) and key.expression.name == key.name)]
        for key in computed:
            if key.name in node.schema:
                raise DefinitionError("FLX-2105", f'column "{key.name}" is there twice', hint="Give the key another name.", place=self._place)
        if not computed:
            return node
        return nodes.Project(node, (*(self._stream._same(name) for name in node.schema.names()), *computed), place=self._place)

    def _ttl_ms(self) -> int | None:
        if self._ttl is None:
            raise UnboundedState(
                "FLX-2141",
                "this group_by would remember every key for ever",
                detail="Without a window nothing says when a key is done.",
                hint='Say how long: group_by(..., ttl="7 days"), or ttl="forever", or aggregate per window.',
                place=self._place,
            )
        return None if self._ttl == "forever" else parse_duration(self._ttl, name="ttl", place=self._place)
