"""The table of cases of strict JSON, each alone and among healthy neighbours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fluxline.schema import Field, TableSchema, parse_type
from tests.formats.reading import decode_records, make_decoder, rejected, schema_of, values_of

TABLE = Path(__file__).parents[1] / "contracts" / "json_strict.ndjson"

# A healthy value of each type that may not be NULL.
HEALTHY = {
    "INT": "1", "BIGINT": "1", "BOOLEAN": "true", "DOUBLE": "1.5", "DECIMAL": "1", "VARCHAR": '"a"', "DATE": '"2026-01-31"',
    "TIMESTAMP": '"2026-01-31T10:00:00"', "ARRAY": "[]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: a record with the column `v` of a type, and what becomes of it."""

    name: str
    type: str
    record: bytes
    options: dict[str, Any]
    reason: str | None
    value: Any


def read_table() -> list[Case]:
    """The lines of the table."""
    cases = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        record = bytes.fromhex(item["record_hex"]) if "record_hex" in item else item["record"].encode()
        options: dict[str, Any] = {"timestamp_format": item["timestamp_format"]} if "timestamp_format" in item else {}
        assert ("reason" in item) != ("value" in item), f"case {item['name']} has one outcome"
        cases.append(Case(item["name"], item["type"], record, options, item.get("reason"), item.get("value")))
    return cases


CASES = read_table()


def test_the_table_has_its_cases() -> None:
    """Distinct names, and every reason that a decoder gives by what a record holds, but for its size."""
    assert len(CASES) >= 400
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.reason for case in CASES} == {None, "malformed", "wrong_type", "out_of_range", "missing", "not_utf8", "too_deep"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_alone(case: Case) -> None:
    """The record becomes the value, or a reject for the reason."""
    schema = schema_of(v=case.type)
    decoded = decode_records(make_decoder("json", schema, **case.options), [case.record])
    reasons = [found.reason for found in decoded.rejects]
    if case.reason is not None:
        assert reasons == [case.reason], decoded.rejects
        assert decoded.rows == 0
    else:
        assert decoded.rejects == ()
        assert values_of(decoded.columns["v"], schema.field("v").type) == [case.value]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_among_neighbours(case: Case) -> None:
    """First, last or between others, the record is what it is alone, and the others are what they were."""
    logical = parse_type(case.type)
    healthy = "null" if logical.nullable else HEALTHY[logical.root]
    schema = TableSchema((Field("n", parse_type("BIGINT")), Field("v", logical)))
    decoder = make_decoder("json", schema, **case.options)
    for place in (0, 1, 39, 70):
        records = [f'{{"n":{number},"v":{healthy}}}'.encode() for number in range(70)]
        records.insert(place, case.record)
        decoded = decode_records(decoder, records)
        numbers: list[int | None] = list(range(70))
        if case.reason is not None:
            assert rejected(decoded) == [(place, case.reason)]
            assert decoded.records is not None
            assert decoded.records.tolist() == [index for index in range(71) if index != place]
        else:
            assert decoded.rejects == ()
            numbers.insert(place, None)
            assert values_of(decoded.columns["v"], logical)[place] == case.value
        assert values_of(decoded.columns["n"], parse_type("BIGINT")) == numbers


def test_all_cases_at_once() -> None:
    """Every record of BIGINT cases in one block, twice, keeps its own outcome."""
    cases = [case for case in CASES if case.type == "BIGINT"] * 2
    schema = schema_of(v="BIGINT")
    decoded = decode_records(make_decoder("json", schema), [case.record for case in cases])
    found = {reject.index: reject.reason for reject in decoded.rejects}
    assert found == {index: case.reason for index, case in enumerate(cases) if case.reason is not None}
    assert values_of(decoded.columns["v"], schema.field("v").type) == [case.value for case in cases if case.reason is None]
