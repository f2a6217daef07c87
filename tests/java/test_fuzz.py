"""Changed records, each judged by both decoders: the same reason, or the same row."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.java.judge import Question, embedded_verdicts
from tests.java.records import FLAT, NESTED, REQUIRED, make_record
from tests.tidy.tree import report

if TYPE_CHECKING:
    from tests.java.judge import JavaJudge

pytestmark = pytest.mark.servers

RECORDS = {"flat": 20_000, "nested": 20_000, "required": 10_000}
SCHEMAS = {"flat": FLAT, "nested": NESTED, "required": REQUIRED}
SEEN_AT_LEAST = 50  # Of each verdict among all; fewer would try little.
SHOWN = 20


def questions(seed: int) -> list[Question]:
    random = Random(seed)
    asked = []
    for name, count in RECORDS.items():
        sql = name == "required"
        records = [make_record(random, SCHEMAS[name], sql=sql) for _ in range(count)]
        asked.append(Question(SCHEMAS[name], "SQL" if sql else "ISO-8601", records))
    return asked


def test_both_decoders_agree(java: JavaJudge) -> None:
    """50,000 records, with enough of each verdict among them."""
    asked = questions(seed=2026)
    wrong, seen = [], Counter[str]()
    for question, found in zip(asked, java.verdicts(asked), strict=True):
        wanted = embedded_verdicts(question)
        seen.update(verdict if isinstance(verdict, str) else "good" for verdict in wanted)
        for record, ours, theirs in zip(question.records, wanted, found, strict=True):
            if ours != theirs:
                wrong.append(f"{record!r}\n    embedded: {ours}\n    Java:     {theirs}")
    assert not wrong, f"{len(wrong)} differ{report(wrong[:SHOWN])}"
    assert seen.keys() == {"good", "malformed", "wrong_type", "out_of_range", "missing", "not_utf8", "too_deep"}
    assert min(seen.values()) >= SEEN_AT_LEAST, seen
