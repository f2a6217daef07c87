"""The examples run: each is a definition that can be planned, and they do what their text says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from fluxline.plan import nodes
from tests.api.examples.controlled_time import test_the_hour_closes_though_one_partition_sleeps
from tests.api.examples.orders import Customer, Order, checked, customers, flagged, orders, shop
from tests.api.examples.sensors import alerts, averages, readings, sensors

if TYPE_CHECKING:
    from fluxline.testing import Drive

__all__ = ["test_the_hour_closes_though_one_partition_sleeps"]

AT = datetime(2024, 6, 7, 12, tzinfo=UTC)


def test_alerts_have_their_message(drive: Drive) -> None:
    """Of the warm reading only."""
    run = drive(sensors, now="2024-06-07T12:00Z")
    for temperature in (25.0, 25.5):
        run.push(readings, {"sensor_id": 7, "temperature": temperature, "humidity": None, "timestamp": AT})
    assert [row["message"] for row in run.rows(alerts)] == ["High temperature detected - 25.5°C"]
    run.finish()
    assert [(row["mean"], row["readings"]) for row in run.rows(averages)] == [(25.25, 2)]


def test_the_names_that_an_environment_binds() -> None:
    """Sources and sinks of the first example."""
    plan = sensors._plan()
    assert [scan.source for scan in plan.scans()] == ["sensor_data"]
    assert [(sink.name, sink.row_key) for sink in plan.sinks] == [
        ("alerts", None), ("hourly_averages", ("sensor_id", "window_start")), ("sensor_readings", ("sensor_id", "timestamp")),
    ]  # fmt: skip


def test_rules_and_functions_of_frames(drive: Drive) -> None:
    """Each order with the rule that it breaks; the risky one flagged."""
    run = drive(shop, now="2024-06-07T12:00Z")
    good = Order(order_id="a", amount=Decimal("10.00"), currency="EUR", risk=0.95, ordered_at=AT)
    negative = Order(order_id="b", amount=Decimal("-1.00"), currency="EUR", risk=0.1, ordered_at=AT)
    foreign = Order(order_id="c", amount=Decimal("5.00"), currency="XXX", risk=0.1, ordered_at=AT)
    run.push(orders, [good, negative, foreign])
    assert [row["order_id"] for row in run.rows(checked)] == ["a"]
    assert [row["rule"] for row in run.rows(checked.rejected)] == ["known_currency", "positive"]
    assert run.rows(flagged) == [{"order_id": "a", "risk": 0.95}]


def test_tags_are_in_the_plan(drive: Drive) -> None:
    """Where policies find them."""
    assert customers._node.schema.field("email").tags == ("PII",)
    (stored,) = (node for node in shop._plan().nodes() if isinstance(node, nodes.Sink) and node.name == "customers_seen")
    assert stored.schema.field("email").tags == ("PII",)
    run = drive(shop)
    run.push(customers, Customer(customer_id="1", email="a@example.com", tier=None))
    assert run.rows(customers) == [{"customer_id": "1", "email": "a@example.com", "tier": None}]
