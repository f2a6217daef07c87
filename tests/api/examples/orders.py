"""A function of frames, quality rules with a quarantine, and tags."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import polars as pl

from fluxline import Pipeline, Schema, col
from fluxline.types import DECIMAL, PII


class Order(Schema):
    order_id: str
    amount: Annotated[Decimal, DECIMAL(12, 2)]
    currency: str
    risk: float
    ordered_at: datetime


class Scored(Schema):
    order_id: str
    risk: float


class Customer(Schema):
    customer_id: str
    email: Annotated[str, PII]
    tier: str | None


shop = Pipeline("shop")
orders = shop.source("orders", schema=Order, event_time="ordered_at", watermark="5 seconds")
customers = shop.source("customers", schema=Customer)

flagged = orders.map_batches(lambda frame: frame.filter(pl.col("risk") > 0.9), schema=Scored)
flagged.sink("flagged_orders", key="order_id")

checked = orders.expect(positive=col("amount") > 0, known_currency=col("currency").is_in(["EUR", "USD"]))
checked.sink("orders_checked")
checked.rejected.sink("orders_quarantine")
customers.sink("customers_seen", key="customer_id")
