"""Rows as the text of a rejected row's `record`: the same bytes from both engines, for every type that a column can have."""

from __future__ import annotations

import base64
import json
import struct
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
import pytest

from fluxline.batch import Batch, batch_from_polars
from fluxline.engines.embedded.machine import json_rows
from tests.formats.reading import decode_records, make_decoder, schema_of
from tests.java.judge import Question
from tests.java.records import FLAT, NESTED, make_record
from tests.tidy.tree import report

if TYPE_CHECKING:
    from tests.java.judge import JavaJudge

pytestmark = pytest.mark.servers

RECORDS = 10_000  # Of each schema.
SHOWN = 20
LETTERS = tuple("aé日😀\"\\/\x00\x1f\x7f\u2028\n\t\b\f\r '\U0010ffff\ud7ff\ue000")


def embedded(question: Question) -> list[bytes | None]:
    """What the embedded engine writes of the records that it does not reject."""
    decoded = decode_records(
        make_decoder("json", question.schema, timestamp_format=question.timestamp_format), [each or b"" for each in question.records]
    )
    rows = iter(json_rows(question.schema)(Batch(decoded.columns, decoded.rows)))
    rejected = {reject.index for reject in decoded.rejects}
    return [None if index in rejected else next(rows) for index in range(len(question.records))]


def differences(java: JavaJudge, question: Question) -> tuple[list[str], int]:
    """What differs, and how many rows were written."""
    wanted, found = embedded(question), java.written(question)
    assert len(wanted) == len(found)
    wrong = [f"embedded: {ours!r}\n    Java:     {theirs!r}" for ours, theirs in zip(wanted, found, strict=True) if ours != theirs]
    return wrong, len(wanted) - wanted.count(None)


@pytest.mark.parametrize("name", ["flat", "nested"])
def test_records_of_all_types(java: JavaJudge, name: str) -> None:
    """Records as the fuzz of the decoders makes them; most of them are good."""
    random, schema = Random(5), {"flat": FLAT, "nested": NESTED}[name]
    wrong, rows = differences(java, Question(schema, "ISO-8601", [make_record(random, schema) for _ in range(RECORDS)]))
    assert not wrong, f"{len(wrong)} differ{report(wrong[:SHOWN])}"
    assert rows > RECORDS / 3


AWKWARD = schema_of(**{
    "text": "STRING", "a name's": "STRING", "ключ 😀": "MAP<STRING NOT NULL, STRING>", "bytes": "BYTES", "double": "DOUBLE", "float": "FLOAT",
    "number": "DECIMAL(38, 12)", "date": "DATE", "time": "TIME(3)", "at": "TIMESTAMP(9)", "instant": "TIMESTAMP_LTZ(3)",
    "rows": "ARRAY<ROW<`x y` STRING, z ARRAY<DOUBLE>>>",
})  # fmt: skip


def awkward_record(random: Random) -> bytes:
    """Random texts, bytes, numbers and times, in columns whose names are not plain either."""

    def text() -> str:
        return "".join(random.choice(LETTERS) for _ in range(random.randrange(8)))

    def number() -> float:
        return float(f"{random.choice((-1, 1)) * random.random() * 10 ** random.randrange(-12, 24):.{random.randrange(1, 17)}g}")

    day, seconds = f"{random.randrange(10_000):04}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}", f"{random.randrange(24):02}:59:07"
    fraction = f".{random.randrange(1_000):03}" if random.random() < 0.7 else ""
    record: dict[str, Any] = {
        "text": text(), "a name's": text(), "ключ 😀": {text(): random.choice((text(), None)) for _ in range(random.randrange(5))},
        "bytes": base64.b64encode(random.randbytes(random.randrange(9))).decode(), "double": number(), "float": number(),
        "date": day, "time": seconds + fraction, "at": f"{random.randrange(1700, 2200)}-02-28T{seconds}{fraction}",
        "instant": f"{day}T{seconds}{fraction}Z",
        "rows": [random.choice((None, {"x y": text(), "z": [number(), None]}, {})) for _ in range(random.randrange(4))],
    }  # fmt: skip
    kept = {key: value for key, value in record.items() if random.random() < 0.9}
    written = json.dumps(kept, ensure_ascii=random.random() < 0.5)
    decimal = f"{random.choice(('', '-'))}{random.randrange(10 ** random.randrange(1, 26))}.{random.randrange(10**12):012}"
    return (written[:-1] + f'{", " if kept else ""}"number": {decimal}}}').encode()


def test_awkward_values(java: JavaJudge) -> None:
    random = Random(6)
    wrong, rows = differences(java, Question(AWKWARD, "ISO-8601", [awkward_record(random) for _ in range(RECORDS)]))
    assert not wrong, f"{len(wrong)} differ{report(wrong[:SHOWN])}"
    assert rows == RECORDS


def numbers_of(letter: Literal["D", "F"], random: Random) -> list[bytes]:
    """The bits of numbers: any, powers of two and their neighbours, and what people write."""
    size, code = (8, ">d") if letter == "D" else (4, ">f")
    largest = 1.0e308 if letter == "D" else 3.0e38
    found = [random.randbytes(size) for _ in range(30_000)]
    found += [struct.pack(code, value) for value in (0.0, -0.0, float("nan"), float("inf"), float("-inf"))]
    whole = ">q" if letter == "D" else ">i"
    for power in range(2**11 if letter == "D" else 2**8):
        bits = power << (52 if letter == "D" else 23)
        found += [struct.pack(whole, bits + step) for step in (-1, 0, 1) if bits + step >= 0]
    for _ in range(30_000):
        value = random.randrange(10 ** random.randrange(1, 18)) * 10.0 ** random.randrange(-30, 24)
        found.append(struct.pack(code, min(value, largest) * random.choice((-1, 1))))
    return found


@pytest.mark.parametrize("letter", ["D", "F"])
def test_numbers(java: JavaJudge, letter: Literal["D", "F"]) -> None:
    """Each is the shortest text that reads back, in the same notation."""
    bits = numbers_of(letter, Random(7))
    kind, schema = (">f8", schema_of(v="DOUBLE")) if letter == "D" else (">f4", schema_of(v="FLOAT"))
    values = np.frombuffer(b"".join(bits), dtype=kind)
    frame = pl.DataFrame({"v": values.astype(values.dtype.newbyteorder("="))})
    wanted = [line[len(b'{"v":') : -1] for line in json_rows(schema)(batch_from_polars(frame, schema))]
    found = java.numbers(letter, bits)
    wrong = [f"{value!r}: embedded {ours!r}, Java {theirs!r}" for value, ours, theirs in zip(values, wanted, found, strict=True) if ours != theirs]
    assert not wrong, f"{len(wrong)} of {len(bits)} differ{report(wrong[:SHOWN])}"
