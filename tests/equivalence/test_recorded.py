"""What was recorded of the last run on a live Flink: complete, nothing different, and no more refused than agreed."""

from __future__ import annotations

from typing import get_args

from tests.equivalence.outcomes import REASONS, RECORDED, REFUSED, Reason, constructs, recorded, written


def test_every_word_was_compared() -> None:
    """A new word needs a run: `make test-servers` records it."""
    _, outcomes = recorded()
    assert [outcome.name for outcome in outcomes] == constructs()


def test_nothing_is_different() -> None:
    """What differs is mended or refused, never written down and left."""
    assert [outcome for outcome in recorded()[1] if outcome.result == "different"] == []


def test_no_more_is_refused() -> None:
    refused = {outcome.name: outcome.detail for outcome in recorded()[1] if outcome.result == "refused"}
    assert refused == REFUSED


def test_reasons_are_a_closed_set() -> None:
    assert set(REASONS) == set(get_args(Reason))
    assert set(REFUSED.values()) <= set(REASONS)
    assert all(outcome.detail == "" for outcome in recorded()[1] if outcome.result == "equal")


def test_the_file_is_as_a_run_writes_it() -> None:
    version, outcomes = recorded()
    assert RECORDED.read_text(encoding="utf-8") == written(outcomes, version)
    assert version.startswith("2.")
