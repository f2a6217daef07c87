"""One plan that has every kind of node, window bounds, constants and casts; written by hand, so that tests can name its parts."""

from __future__ import annotations

from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Measure
from fluxline.plan.window import Window
from fluxline.schema import BIGINT, BOOLEAN, DOUBLE, STRING, Field, LogicalType, TableSchema, timestamp

AT = timestamp(3, local=True).with_nullable(False)
READINGS = TableSchema(
    (Field("sensor_id", BIGINT.with_nullable(False), ("PII",)), Field("temperature", DOUBLE), Field("at", AT), Field("humidity", DOUBLE))
)
WARM = Call(">", (Column("temperature", DOUBLE), Constant(25.5, DOUBLE.with_nullable(False))), BOOLEAN)


def same(schema: TableSchema, *names: str) -> tuple[nodes.NamedExpression, ...]:
    """Columns that pass unchanged."""
    return tuple(nodes.NamedExpression(name, Column(name, schema.field(name).type), schema.field(name).tags) for name in names)


def readings(source: str = "sensor_data") -> nodes.Scan:
    """A source with event time; everything that a scan may say is said."""
    return nodes.Scan(
        source,
        READINGS,
        nodes.NamedExpression("at", Column("at", AT)),
        nodes.WatermarkStrategy(20_000, 30_000, 86_400_000),
        ("humidity", "sensor_id", "temperature", "at"),
        Call("IS NOT NULL", (Column("temperature", DOUBLE),), BOOLEAN.with_nullable(False)),
        label="readings",
    )


def every_node() -> nodes.Plan:
    """Every kind of node once or more."""
    scan = readings()
    warm = nodes.Filter(scan, WARM, label="warm")
    shown = Cast(Column("sensor_id", BIGINT.with_nullable(False)), STRING.with_nullable(False))
    level = Case(((WARM, Constant("warm", STRING)),), Constant(None, STRING), STRING)
    tried = Cast(Column("temperature", DOUBLE), LogicalType("DECIMAL", precision=6, scale=2), "null")
    project = nodes.Project(
        warm,
        (
            *same(READINGS, "sensor_id", "temperature", "at"),
            nodes.NamedExpression("shown", shown, ("health",)),
            nodes.NamedExpression("level", level),
            nodes.NamedExpression("tried", tried),
        ),
        label="levels",
    )
    checked = nodes.Expect(project, (nodes.NamedExpression("hot", WARM),), "reject", label="checked")
    measures = (
        Measure("mean", "AVG", Column("temperature", DOUBLE), None, DOUBLE),
        Measure("rows", "COUNT", None, WARM, BIGINT.with_nullable(False)),
    )
    window = Window("tumble", size_ms=3_600_000, offset_ms=60_000)
    hourly = nodes.WindowAggregate(checked, window, ("sensor_id",), measures, label="hourly")
    total = nodes.GroupAggregate(scan, ("sensor_id",), measures[1:], 7_000, label="total")
    both = nodes.Union((scan, nodes.Filter(scan, Constant(True, BOOLEAN))), label="both")
    scored = nodes.MapBatches(both, nodes.PythonFunction("score", "0123456789abcdef", len), READINGS, "reject", label="scored")
    return nodes.Plan(
        "sensors",
        (
            nodes.Sink(hourly, "averages", ("window_start",), label="stored"),
            nodes.Sink(nodes.Late(hourly, label="late"), "late_readings", ("sensor_id",)),
            nodes.Sink(nodes.Rejected(checked, label="refused"), "rejected_readings", ("operator",)),
            nodes.Sink(total, "totals"),
            nodes.Sink(scored, "scores", ("sensor_id",)),
        ),
        "Averages per hour.",
    )
