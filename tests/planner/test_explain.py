"""A plan as text, as its author reads it: steps from the sink to the source, places, state, and what the rows depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.errors import UnsupportedByEngine
from fluxline.pipeline.discovery import choose_pipeline
from fluxline.planner.explain import explain_determinism, explain_node, explain_plan, explain_state

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline import Pipeline

FILE = """\
from fluxline import Pipeline, col, concat, count, tumble, when

shop = Pipeline("shop")
orders = shop.source("orders", schema={"id": "BIGINT NOT NULL", "user": "STRING", "amount": "DECIMAL(8, 2)", "at": "TIMESTAMP_LTZ(3)"},
                     event_time="at", watermark="5 seconds", idle_after="2 minutes")
checked = orders.expect(positive=col("amount") > 0, on_failure="count")
hourly = (checked.window(tumble("1 hour", offset="15 minutes"))
                 .group_by("user").agg(total=col("amount").sum(), large=count().filter(col("amount") > 100)))
hourly.sink("totals", key=["user", "window_start"])
hourly.late.sink("late_orders")
orders.rejected.sink("refused")
by_user = checked.group_by("user", ttl="7 days").agg(orders=count())
by_user.sink("order_counts")
"""

EXPLAINED = """\
pipeline shop
  sink totals: upsert by user, window_start: user STRING, window_start TIMESTAMP(3), \
window_end TIMESTAMP(3), total DECIMAL(38, 2), large BIGINT   [shop.py:9:8]
    orders/aggregate/user/tumble(1 hour, offset 15 minutes): tumble(1 hour, offset 15 minutes) by user: SUM(amount) as total, \
COUNT(*) filter (where (amount > cast(100 as DECIMAL(10, 0)))) as large   [shop.py:8:36]
      orders/expect/positive: positive: (amount > cast(0 as DECIMAL(10, 0))); on failure count   [shop.py:6:18]
        orders: read id, user, amount, at; event time at, watermark 5 seconds behind, lateness by partition   [shop.py:4:15]
  sink late_orders: append: id BIGINT, user STRING, amount DECIMAL(8, 2), at TIMESTAMP_LTZ(3)   [shop.py:10:13]
    late rows of orders/aggregate/user/tumble(1 hour, offset 15 minutes)   [shop.py:10:1]
  sink refused: append: pipeline STRING, operator STRING, reason STRING, detail STRING, rule STRING, record BYTES, partition STRING, \
position BIGINT, event_time TIMESTAMP_LTZ(3), rejected_at TIMESTAMP_LTZ(3)   [shop.py:11:17]
    rejected rows of orders   [shop.py:11:1]
  sink order_counts: upsert by user: user STRING, orders BIGINT   [shop.py:13:9]
    orders/aggregate/user: updating by user: COUNT(*) as orders   [shop.py:12:50]
      orders/expect/positive: positive: (amount > cast(0 as DECIMAL(10, 0))); on failure count   [shop.py:6:18]
        (as above)"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline of the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(FILE, encoding="utf-8")
    return choose_pipeline("shop.py")


def test_every_step_with_its_place(shop: Pipeline) -> None:
    """What several sinks share is written out once."""
    assert explain_plan(shop._plan()) == EXPLAINED


def test_one_stream(shop: Pipeline) -> None:
    """Without sinks."""
    counts = next(sink.input for sink in shop._plan().sinks if sink.name == "order_counts")
    assert explain_node(counts).splitlines()[0] == "orders/aggregate/user: updating by user: COUNT(*) as orders   [shop.py:12:50]"


def test_what_is_kept_and_for_how_long(shop: Pipeline) -> None:
    """Of every operator that remembers rows."""
    assert explain_state(shop._plan()) == [
        "orders/aggregate/user/tumble(1 hour, offset 15 minutes): one row per open window and user, until the watermark passes its end "
        "(5 seconds behind the largest event time)",
        "orders/aggregate/user: one row per user, for 7 days after its last row",
    ]


def test_what_the_rows_depend_on(shop: Pipeline) -> None:
    """Beside the input and its partitioning: everything that asks a clock."""
    assert explain_determinism(shop._plan()) == [
        "orders: an idle timeout (2 minutes) that really fires decides by the clock who is late",
        "orders: max_future_skew (1 day) compares with the time at which a topic logged the record, else with the clock",
        "a TTL (7 days) forgets keys by the clock",
    ]


def test_explain_without_a_project_shows_the_plan(shop: Pipeline) -> None:
    """After the rules: the steps are named as they run."""
    text = shop.explain()
    assert text.startswith("pipeline shop\n  sink totals: upsert by user, window_start")
    assert "\nstate:\n  orders/aggregate/user/tumble" in text
    assert "\nbeside the input, the rows depend on:\n  orders: an idle" in text


def test_another_engine_is_refused_by_name(shop: Pipeline) -> None:
    with pytest.raises(UnsupportedByEngine) as caught:
        shop.explain(engine="flnk")  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.fact, caught.value.hint) == ("FLX-2190", 'there is no engine "flnk"', 'Did you mean "flink"?')
