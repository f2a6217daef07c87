"""The table of cases of strict JSON, which the embedded decoder keeps, holds for the Java decoder as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.limits import RECORD_BYTES_MAX, RECORD_DEPTH_MAX
from tests.formats.reading import decode_records, make_decoder, schema_of
from tests.formats.test_json_cases import CASES
from tests.java.judge import Question, embedded_verdicts
from tests.tidy.tree import report

if TYPE_CHECKING:
    from tests.java.judge import JavaJudge

pytestmark = pytest.mark.servers


def test_the_table(java: JavaJudge) -> None:
    """The reasons are those of the table itself, the values those of the embedded decoder, which another test holds to the table."""
    questions = [Question(schema_of(v=case.type), str(case.options.get("timestamp_format", "ISO-8601")), [case.record]) for case in CASES]
    wrong = []
    for case, question, (found,) in zip(CASES, questions, java.verdicts(questions), strict=True):
        wanted = case.reason or embedded_verdicts(question)[0]
        if found != wanted:
            wrong.append(f"{case.name}: {found}, wanted {wanted}")
    assert not wrong, report(wrong)


def test_the_detail_of_a_misfit(java: JavaJudge) -> None:
    """What is said of a value that does not fit is what the embedded engine says; what is said of bytes is the parser's own."""
    cases = [case for case in CASES if case.reason in ("wrong_type", "out_of_range", "missing")]
    questions = [Question(schema_of(v=case.type), str(case.options.get("timestamp_format", "ISO-8601")), [case.record]) for case in cases]
    wrong = []
    for case, question, line in zip(cases, questions, java.lines(questions), strict=True):
        decoder = make_decoder("json", question.schema, timestamp_format=question.timestamp_format)
        (wanted,) = decode_records(decoder, [case.record]).rejects
        if line.replace("`", "") != f"{wanted.reason} {wanted.detail}":  # Flink quotes each name in a type.
            wrong.append(f"{case.name}: {line}, wanted {wanted.detail}")
    assert not wrong, report(wrong)


def test_limits(java: JavaJudge) -> None:
    """The largest and deepest record that is taken, and the next one; and a record without a value."""
    fits = b'{"v":1' + b" " * (RECORD_BYTES_MAX - 7) + b"}"
    deep = [b'{"a":' + b"[" * levels + b"]" * levels + b',"v":1}' for levels in (RECORD_DEPTH_MAX - 1, RECORD_DEPTH_MAX)]
    text = b'{"v":1,"a":"' + b"x" * (RECORD_BYTES_MAX - 14) + b'"}'
    records = [fits, fits + b" ", *deep, text, text.replace(b"x", b"\\\\", 1), None, b""]
    question = Question(schema_of(v="BIGINT"), "ISO-8601", records)
    wanted = [[1], "too_large", [1], "too_deep", [1], "too_large", "malformed", "malformed"]
    assert java.verdicts([question]) == [wanted]
    assert embedded_verdicts(question) == wanted


@pytest.mark.parametrize("quotes", [1, 200_000])
def test_quotes_of_a_text_that_is_not_closed(java: JavaJudge, quotes: int) -> None:
    """Brackets behind it count, and it takes no longer the more quotes there are."""
    records = [b'{"v":"' + b'\\"' * quotes + b"[" * count for count in (RECORD_DEPTH_MAX - 1, RECORD_DEPTH_MAX)]
    assert java.verdicts([Question(schema_of(v="STRING"), "ISO-8601", records)]) == [["malformed", "too_deep"]]
