"""Random pipelines that can be run, and rows for their sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
from hypothesis import strategies as st

from fluxline import Pipeline, Stream, coalesce, col, concat, count, lit, tumble, when
from fluxline.batch import polars_type
from fluxline.errors import DefinitionError
from tests.planner.execute import NOW_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline import Expr
    from fluxline.plan.nodes import Plan
    from fluxline.schema import TableSchema

SCHEMA = {
    "id": "BIGINT NOT NULL", "kind": "STRING NOT NULL", "note": "STRING", "value": "DOUBLE", "amount": "DECIMAL(8, 2)", "number": "INT",
    "at": "TIMESTAMP_LTZ(3) NOT NULL",
}  # fmt: skip
TYPES = {name: text.removesuffix(" NOT NULL") for name, text in SCHEMA.items()}
START = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(hours=1)


@dataclass
class Made:
    """A pipeline with sinks, and its streams."""

    pipeline: Pipeline
    streams: list[Stream] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """The plan as written."""
        return self.pipeline._plan()


def columns_of_type(stream: Stream, *kinds: str) -> list[str]:
    """The visible columns of these types."""
    return [name for name, text in stream.schema.items() if text.removesuffix(" NOT NULL").startswith(kinds)]


def conditions(stream: Stream) -> st.SearchStrategy[Expr]:
    """Conditions over the columns that a stream has."""
    found: list[Expr] = [lit(True), lit(1) == lit(2)]
    for name in columns_of_type(stream, "BIGINT", "INT"):
        found += [col(name) > 2, (col(name) % 2) == 0, col(name).is_between(1, 3), col(name).is_in([1, 4]), 10 / col(name) > 3]
    for name in columns_of_type(stream, "DOUBLE", "DECIMAL"):
        found += [col(name) <= 2, col(name).is_not_null(), coalesce(col(name), 0) >= 1]
    for name in columns_of_type(stream, "STRING"):
        found += [col(name) == "a", col(name).str.char_length() > 1, col(name).cast(int) > 1, col(name).is_null()]
    simple = st.sampled_from(found)
    both = st.builds(lambda left, right: left & right, simple, simple)
    either = st.builds(lambda left, right: left | ~right, simple, simple)
    return simple | both | either


def values(stream: Stream) -> st.SearchStrategy[Expr]:
    """Values over the columns that a stream has; some of them fail for some rows."""
    found: list[Expr] = [lit(7), lit("text")]
    for name in columns_of_type(stream, "BIGINT", "INT"):
        found += [col(name) + 1, col(name) / 2, 12 / col(name), col(name).cast(str), when(col(name) > 2).then("high").otherwise("low")]
    for name in columns_of_type(stream, "DOUBLE", "DECIMAL"):
        found += [col(name) * 2, -col(name), coalesce(col(name), 0)]
    for name in columns_of_type(stream, "STRING"):
        found += [concat(col(name), "-", 1), col(name).str.upper(), col(name).cast(int), col(name).try_cast(int)]
    found += [col(name) for name in stream.schema]
    return st.sampled_from(found)


def _filter(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    return stream.filter(draw(conditions(stream)))


def _with_columns(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    names = draw(st.lists(st.sampled_from(("x", "y", "value", "note")), min_size=1, max_size=2, unique=True))
    return stream.with_columns(**{name: draw(values(stream)) for name in names})


def _select(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    kept = draw(st.lists(st.sampled_from(list(stream.schema)), min_size=1, unique=True))
    return stream.select(*kept, z=draw(values(stream))) if draw(st.booleans()) and "z" not in kept else stream.select(*kept)


def _drop(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    names = list(stream.schema)
    return stream.drop(*draw(st.lists(st.sampled_from(names), max_size=max(0, len(names) - 1), unique=True)))


def _rename(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    old = draw(st.sampled_from(list(stream.schema)))
    return stream if f"{old}_" in stream.schema else stream.rename({old: f"{old}_"})


def _union(draw: st.DrawFn, stream: Stream, made: Made) -> Stream:
    fitting = [other for other in made.streams if not other.updating and set(other.schema) == set(stream.schema)]
    try:
        return stream.union_all(draw(st.sampled_from(fitting)))
    except DefinitionError:  # columns of one name without a common type
        return stream


def _expect(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    return stream.expect(on_failure=draw(st.sampled_from(("reject", "count"))), good=draw(conditions(stream)))


def _map_batches(_draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    return stream.map_batches(_reversed, schema=dict(stream.schema))


def _reversed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.reverse()


def _aggregate(draw: st.DrawFn, stream: Stream, _made: Made) -> Stream:
    numbers = columns_of_type(stream, "BIGINT", "INT", "DECIMAL")
    measures = {"rows": count()}
    if numbers:
        name = draw(st.sampled_from(numbers))
        measures["total"] = col(name).sum().filter(draw(conditions(stream))) if draw(st.booleans()) else col(name).max()
    keys = [name for name in columns_of_type(stream, "BIGINT", "STRING") if name not in ("rows", "total")]
    chosen = draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)) if keys else []
    timed = stream._node.time is not None and "window_start" not in stream.schema
    if timed and draw(st.booleans()):
        return stream.window(tumble("10 minutes", offset="3 minutes")).group_by(*chosen).agg(**measures)
    return stream.group_by(*chosen, ttl="forever").agg(**measures)


STEPS = (_filter, _filter, _with_columns, _with_columns, _select, _drop, _rename, _union, _union, _expect, _map_batches, _aggregate)
ON_UPDATING = (_with_columns, _rename)


@st.composite
def pipelines(draw: st.DrawFn) -> Made:
    """One or two sources, up to seven steps, and sinks on what came out, on late and on rejected rows."""
    made = Made(Pipeline("random"))
    for source in ("readings", "others")[: draw(st.integers(1, 2))]:
        made.streams.append(made.pipeline.source(source, schema=SCHEMA, event_time="at", watermark="5 minutes"))
    for number in range(draw(st.integers(0, 7))):
        stream = draw(st.sampled_from(made.streams))
        step = draw(st.sampled_from(ON_UPDATING if stream.updating else STEPS))
        after = step(draw, stream, made)
        if step is _aggregate:
            after = after.named(f"aggregate_{number}")
        made.streams.append(after)
    for number, stream in enumerate(draw(st.lists(st.sampled_from(made.streams), min_size=1, max_size=3)) + made.streams[-1:]):
        _sinks(stream, number)
    return made


def _sinks(stream: Stream, number: int) -> None:
    """Sinks on all outputs that the stream has."""
    if stream.updating and stream.key is None:
        return
    stream.sink(f"rows_{number}")
    if stream._node.drops_late:
        stream.late.sink(f"late_{number}")
    try:
        rejected = stream.rejected
    except DefinitionError:  # nothing of it can fail
        return
    rejected.sink(f"rejected_{number}")


rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 4),
            "kind": st.sampled_from(("a", "b", "7")),
            "note": st.sampled_from(("a", "12", "x y", None)),
            "value": st.sampled_from((0.0, 1.5, -2.25, 1e6, None)),
            "amount": st.sampled_from((Decimal("0.00"), Decimal("1.25"), Decimal("-3.10"), None)),
            "number": st.sampled_from((0, 1, 2, 3, -4, None)),
            "at": st.integers(0, 60 * 60).map(lambda seconds: START + timedelta(seconds=seconds)),
        }
    ),
    max_size=12,
)
batches = st.lists(rows, max_size=4)


def frames(batches_of_rows: list[list[dict[str, Any]]], schema: TableSchema) -> list[pl.DataFrame]:
    """Batches of rows as frames in the types of a source."""
    columns = [(item.name, polars_type(item.type)) for item in schema]
    return [pl.DataFrame([_series(name, [row[name] for row in part], kind) for name, kind in columns]) for part in batches_of_rows if part]


def _series(name: str, found: list[Any], dtype: pl.DataType) -> pl.Series:
    plain = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in found]
    return pl.Series(name, plain, dtype=dtype, strict=True)


def example_rows(schema: TableSchema) -> pl.DataFrame:
    """Forty rows over two hours, out of order, with NULL in every sixth nullable value."""
    makes: dict[str, Callable[[int], object]] = {
        "BIGINT": lambda number: number % 9 - 1,
        "DOUBLE": lambda number: float(number * 7 % 41) - 3,
        "VARCHAR": lambda number: ("a", "12", "x y", "7")[number % 4],
        "TIMESTAMP_LTZ": lambda number: START + timedelta(minutes=3 * number - 20 * (number % 3)),
    }
    columns = []
    for item in schema:
        found = [None if item.type.nullable and number % 6 == 5 else makes[item.type.root](number) for number in range(40)]
        columns.append(_series(item.name, found, polars_type(item.type)))
    return pl.DataFrame(columns)
