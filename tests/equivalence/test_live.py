"""Both engines side by side, on a live Kafka and Flink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.flink.live import Live, on_flink, run_embedded
from tests.equivalence.library_cases import compare_cases
from tests.equivalence.outcomes import RECORDED, constructs, written
from tests.equivalence.rejected_values import ROWS, make_records, plan_of_everything
from tests.equivalence.steps import compare_steps
from tests.equivalence.words import compare_aggregates, compare_functions, prepare

if TYPE_CHECKING:
    from fluxline.stack.running import Stack


@pytest.mark.servers
def test_every_construct_on_both_engines(kafka_and_flink: Stack) -> None:
    """The outcomes are those that were recorded; others replace them in the file, to be looked at and committed, and fail."""
    live = Live(kafka_and_flink)
    outcomes = compare_steps(live)
    with live.gateway.open_session({"table.local-time-zone": "UTC"}) as session:
        prepare(session)
        outcomes += compare_functions(session)
        outcomes += compare_aggregates(session)
    assert sorted(outcome.name for outcome in outcomes) == constructs()
    found = written(outcomes, live.gateway.version)
    before = RECORDED.read_text(encoding="utf-8") if RECORDED.exists() else ""
    RECORDED.write_text(found, encoding="utf-8")
    assert found == before, "the outcomes have changed; look at the difference of recorded.json"


@pytest.mark.servers
def test_the_cases_of_the_library(kafka_and_flink: Stack) -> None:
    """Functions of numbers, text and times over the values that their own tests use, with constants of every kind."""
    with Live(kafka_and_flink).gateway.open_session({"table.local-time-zone": "UTC"}) as session:
        prepare(session)
        outcomes = compare_cases(session)
    assert len(outcomes) > 150
    assert [outcome for outcome in outcomes if outcome.result != "equal"] == []


@pytest.mark.servers
def test_rejected_rows_of_every_type(kafka_and_flink: Stack) -> None:
    """All rows break the rule, so the bytes of all are compared."""
    live, plan = Live(kafka_and_flink), plan_of_everything()
    topic = live.make_topic("rows")
    live.fill(topic, {0: make_records()})
    expected, report = run_embedded(live, plan, {"rows": topic})
    assert report.operators["rows/expect/never"].rejected == ROWS == len(expected["broken"])
    assert on_flink(live, plan, {"rows": topic}).run() == expected
