"""Nodes, windows, types and schemas cannot be built wrong, and know what their output is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.errors import DefinitionError, FluxlineError, Place, TimeAttributeMissing
from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Column, Constant, Measure
from fluxline.plan.window import Window
from fluxline.schema import BIGINT, BOOLEAN, DOUBLE, STRING, Field, LogicalType, TableSchema, decimal, timestamp
from tests.plan.every_node import READINGS, WARM, every_node, readings, same

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Place("sensors.py", 3, 5)
HOUR = Window("tumble", size_ms=3_600_000)
COUNT = (Measure("rows", "COUNT", None, None, BIGINT.with_nullable(False)),)
TIMELESS = nodes.Scan("timeless", READINGS)


def refused_with(code: str, build: Callable[[], object]) -> FluxlineError:
    """What the user is told instead."""
    with pytest.raises(DefinitionError) as caught:
        build()
    assert caught.value.code == code
    return caught.value


def test_a_window_needs_event_time() -> None:
    """Of the place where it was written."""
    error = refused_with("FLX-2107", lambda: nodes.WindowAggregate(TIMELESS, HOUR, (), COUNT, place=HERE))
    assert isinstance(error, TimeAttributeMissing)
    assert error.place == HERE
    assert error.fact == "tumble(1 hour) needs event time, and the stream has none"


def test_a_window_behind_a_projection_without_the_time_column_is_refused() -> None:
    """The time attribute went with its column."""
    kept = nodes.Project(readings(), same(READINGS, "sensor_id"))
    assert kept.time is None
    refused_with("FLX-2107", lambda: nodes.WindowAggregate(kept, HOUR, (), COUNT))


def test_only_timestamps_carry_event_time() -> None:
    """A number does not, whatever it counts."""
    time = nodes.NamedExpression("sensor_id", Column("sensor_id", BIGINT))
    error = refused_with("FLX-2108", lambda: nodes.Scan("s", READINGS, time, nodes.WatermarkStrategy(0, None, None), place=HERE))
    assert error.place == HERE


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (39, 0), (5, 6), (5, -1), (-1, 0)])
def test_a_decimal_out_of_range_does_not_exist(precision: int, scale: int) -> None:
    """1 to 38 digits, of which 0 to all stand behind the point."""
    refused_with("FLX-2110", lambda: decimal(precision, scale))


@pytest.mark.parametrize(("precision", "scale"), [(1, 0), (1, 1), (38, 0), (38, 38)])
def test_the_ends_of_the_range_exist(precision: int, scale: int) -> None:
    """Ends included."""
    assert decimal(precision, scale).text() == f"DECIMAL({precision}, {scale})"


@pytest.mark.parametrize("root", ["TIME", "TIMESTAMP", "TIMESTAMP_LTZ"])
@pytest.mark.parametrize("precision", [-1, 10])
def test_a_second_has_at_most_nine_digits(root: str, precision: int) -> None:
    """And none below zero."""
    refused_with("FLX-2110", lambda: LogicalType(root, precision=precision))


@pytest.mark.parametrize("offset_ms", [3_600_000, 3_600_001, -3_600_000])
def test_an_offset_is_shorter_than_the_window(offset_ms: int) -> None:
    """In both directions."""
    refused_with("FLX-2121", lambda: Window("tumble", size_ms=3_600_000, offset_ms=offset_ms))


@pytest.mark.parametrize("offset_ms", [3_599_999, -3_599_999, 0])
def test_a_shorter_offset_is_fine(offset_ms: int) -> None:
    """To the millisecond."""
    assert Window("tumble", size_ms=3_600_000, offset_ms=offset_ms).offset_ms == offset_ms


@pytest.mark.parametrize("size_ms", [0, -1])
def test_a_window_has_a_length(size_ms: int) -> None:
    """A window of nothing would never close anything."""
    refused_with("FLX-2120", lambda: Window("tumble", size_ms=size_ms))
    refused_with("FLX-2120", lambda: Window("session", gap_ms=size_ms))


def test_two_columns_of_one_name_are_refused() -> None:
    """In a schema, a projection, a windowed and an updating aggregate; at the place of the step."""
    scan = readings()
    refused_with("FLX-2105", lambda: TableSchema((Field("a", BIGINT), Field("a", STRING))))
    doubled = (*same(READINGS, "sensor_id"), nodes.NamedExpression("sensor_id", Constant(1, BIGINT)))
    assert refused_with("FLX-2105", lambda: nodes.Project(scan, doubled, place=HERE)).place == HERE
    twice = (*COUNT, *COUNT)
    assert refused_with("FLX-2105", lambda: nodes.WindowAggregate(scan, HOUR, (), twice, place=HERE)).place == HERE
    assert refused_with("FLX-2105", lambda: nodes.GroupAggregate(scan, (), twice, None, place=HERE)).place == HERE
    start = (Measure("window_start", "COUNT", None, None, BIGINT),)
    refused_with("FLX-2105", lambda: nodes.WindowAggregate(scan, HOUR, (), start))


def test_a_projection_keeps_a_column() -> None:
    """Rows without columns are none."""
    assert refused_with("FLX-2112", lambda: nodes.Project(readings(), (), place=HERE)).place == HERE


PRESSURE = Call(">", (Column("pressure", DOUBLE), Constant(1.0, DOUBLE)), BOOLEAN)


@pytest.mark.parametrize(
    "build",
    [
        lambda scan: nodes.Filter(scan, PRESSURE),
        lambda scan: nodes.Filter(scan, Column("temperature", DOUBLE)),
        lambda scan: nodes.Project(scan, (nodes.NamedExpression("x", Column("pressure", DOUBLE)),)),
        lambda scan: nodes.Expect(scan, (nodes.NamedExpression("positive", PRESSURE),)),
        lambda scan: nodes.Expect(scan, (nodes.NamedExpression("positive", Column("temperature", DOUBLE)),)),
        lambda scan: nodes.WindowAggregate(scan, HOUR, ("pressure",), COUNT),
        lambda scan: nodes.WindowAggregate(scan, HOUR, (), (Measure("x", "SUM", Column("pressure", DOUBLE), None, DOUBLE),)),
        lambda scan: nodes.WindowAggregate(scan, HOUR, (), (Measure("x", "SUM", Column("temperature", DOUBLE), PRESSURE, DOUBLE),)),
        lambda scan: nodes.GroupAggregate(scan, ("sensor_id", "sensor_id"), COUNT, None),
        lambda scan: nodes.GroupAggregate(scan, ("pressure",), COUNT, None),
        lambda scan: nodes.Union(()),
        lambda scan: nodes.Union((scan, nodes.Project(scan, same(READINGS, "sensor_id")))),
        lambda scan: nodes.Union((nodes.Project(scan, same(READINGS, "sensor_id", "at")), nodes.Project(scan, same(READINGS, "at", "sensor_id")))),
        nodes.Late,
        lambda scan: nodes.Rejected(nodes.Union((scan,))),
        lambda scan: nodes.Sink(scan, "s", ("pressure",)),
        lambda scan: nodes.Scan("s", TableSchema(())),
        lambda scan: nodes.Scan("s", READINGS, None, nodes.WatermarkStrategy(0, None, None)),
        lambda scan: nodes.Scan("s", READINGS, columns=("pressure",)),
        lambda scan: nodes.Scan("s", READINGS, predicate=PRESSURE),
    ],
)  # fmt: skip
def test_a_step_that_no_front_door_may_build_is_an_assertion(build: Callable[[nodes.Node], nodes.Node]) -> None:
    """The front doors check names and types, with the user's words; a plan that is wrong all the same is our mistake."""
    with pytest.raises(AssertionError):
        build(readings())


def test_nothing_of_a_plan_can_be_changed() -> None:
    """Plans are frozen: nodes, their parts, expressions, types."""
    plan = every_node()
    (project,) = (node for node in plan.nodes() if isinstance(node, nodes.Project))
    for frozen, name in ((plan, "name"), (project, "columns"), (project.columns[0], "name"), (WARM, "function"), (HOUR, "size_ms"), (DOUBLE, "root")):
        with pytest.raises(AttributeError):
            setattr(frozen, name, None)


def test_a_scan_gives_its_declared_columns() -> None:
    """The event time is never NULL, since a row without it is rejected."""
    at = timestamp(3, local=True)
    declared = TableSchema((Field("id", BIGINT), Field("at", at, ("PII",))))
    scan = nodes.Scan("s", declared, nodes.NamedExpression("at", Column("at", at)), nodes.WatermarkStrategy(0, None, None))
    assert scan.schema == TableSchema((Field("id", BIGINT), Field("at", at.with_nullable(False), ("PII",))))
    assert scan.time == nodes.TimeAttribute("at", nodes.WatermarkStrategy(0, None, None))
    assert scan.time.strategy.effective_delay_ms == 1


def test_a_computed_event_time_is_one_more_column() -> None:
    """Behind the declared ones."""
    computed = Call("TO_TIMESTAMP_LTZ", (Column("ms", BIGINT), Constant(3, BIGINT)), timestamp(3, local=True))
    scan = nodes.Scan("s", TableSchema((Field("ms", BIGINT),)), nodes.NamedExpression("at", computed), nodes.WatermarkStrategy(5, None, None))
    assert scan.schema.names() == ("ms", "at")
    assert not scan.schema.field("at").type.nullable


def test_what_a_windowed_aggregate_gives() -> None:
    """Keys, the window's bounds, measures; the time attribute is window_time, which is hidden, and the operator's watermark decides behind it."""
    hourly = nodes.WindowAggregate(readings(), HOUR, ("sensor_id",), COUNT)
    bound = timestamp(3, local=False).with_nullable(False)
    assert hourly.schema == TableSchema(
        (
            READINGS.field("sensor_id"),
            Field("window_start", bound),
            Field("window_end", bound),
            Field("rows", BIGINT.with_nullable(False)),
            Field("window_time", timestamp(3, local=True).with_nullable(False), hidden=True),
        )
    )
    assert hourly.schema.names() == ("sensor_id", "window_start", "window_end", "rows")
    assert hourly.time is not None
    assert (hourly.time.column, hourly.time.strategy.lateness) == ("window_time", "operator")
    assert (hourly.updating, hourly.key, hourly.drops_late) == (False, None, True)


def test_hidden_columns_travel_through_a_projection() -> None:
    """So a windowed aggregate can be windowed again whatever is selected."""
    hourly = nodes.WindowAggregate(readings(), HOUR, ("sensor_id",), COUNT)
    counts = nodes.Project(hourly, same(hourly.schema, "rows"))
    assert counts.schema.names() == ("rows",)
    assert counts.time == hourly.time


def test_an_updating_aggregate_knows_its_key() -> None:
    """Its rows replace one another by it, and they have no time."""
    total = nodes.GroupAggregate(readings(), ("sensor_id",), COUNT, None)
    assert (total.updating, total.key, total.time) == (True, ("sensor_id",), None)


def test_a_projection_that_renames_the_key_keeps_it() -> None:
    """One that drops it loses it."""
    total = nodes.GroupAggregate(readings(), ("sensor_id",), COUNT, None)
    renamed = nodes.Project(total, (nodes.NamedExpression("id", Column("sensor_id", BIGINT)), *same(total.schema, "rows")))
    assert renamed.key == ("id",)
    assert nodes.Project(total, same(total.schema, "rows")).key is None


def test_a_union_is_nullable_where_one_input_is() -> None:
    """And has a time attribute only where all have the same one."""
    scan = readings()
    nullable = nodes.Project(scan, (nodes.NamedExpression("sensor_id", Column("sensor_id", BIGINT)), *same(READINGS, "at")))
    strict = nodes.Project(scan, same(READINGS, "sensor_id", "at"))
    both = nodes.Union((strict, nullable))
    assert both.schema.field("sensor_id").type.nullable
    assert not both.schema.field("at").type.nullable
    assert both.time is not None
    timeless = nodes.Project(TIMELESS, same(READINGS, "sensor_id", "at"))
    assert nodes.Union((strict, timeless)).time is None


def test_late_rows_have_the_columns_of_the_input() -> None:
    """Rejected ones have columns of their own."""
    hourly = nodes.WindowAggregate(readings(), HOUR, ("sensor_id",), COUNT)
    assert nodes.Late(hourly).schema == readings().schema
    assert nodes.Rejected(hourly).schema.names() == (
        "pipeline", "operator", "reason", "detail", "rule", "record", "partition", "position", "event_time", "rejected_at",
    )  # fmt: skip
