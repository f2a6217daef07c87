"""The verdicts of both decoders on the same records, in one form: the reason of a rejected record, or the row of physical values.

Physical values are the integers that stand for values, as `Physical.java` describes them.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tools.build_java import JAR, TESTS, compile_java, provided

from tests.formats.reading import decode_records, make_decoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.schema import LogicalType, TableSchema
    from fluxline.stack.cache import Fetched

Verdict: TypeAlias = "str | list[Any]"
SEPARATORS = {"ISO-8601": "T", "SQL": " "}
_NANOSECONDS_OF_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """Records of one schema; a record that is None has no value."""

    schema: TableSchema
    timestamp_format: str
    records: Sequence[bytes | None]


class JavaJudge:
    """The Java class in a machine of its own, without Flink around it."""

    def __init__(self, fetched: Fetched, folder: Path) -> None:
        self._folder = folder
        compile_java(fetched, TESTS, folder / "classes", JAR)
        path = os.pathsep.join(map(str, [folder / "classes", JAR, *provided(fetched)]))
        self._command = [str(fetched.java), "-Xmx512m", "-cp", path]

    def verdicts(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """What becomes of each record of each question."""
        lines = iter(self.lines(questions))
        return [[_read(next(lines), question.schema) for _ in question.records] for question in questions]

    def lines(self, questions: Sequence[Question]) -> list[str]:
        """The same as Java writes it: a line for each record, with the detail behind the reason."""
        answered = self._ask("Verdicts", b"".join(_framed(question) for question in questions))
        lines = answered.decode().removesuffix("\n").split("\n")
        assert len(lines) == sum(len(question.records) for question in questions)
        return lines

    def written(self, question: Question) -> list[bytes | None]:
        """Each record, decoded and written again; None where it is rejected."""
        return [line or None for line in self._ask("Written", _framed(question)).removesuffix(b"\n").split(b"\n")]

    def numbers(self, letter: Literal["D", "F"], numbers: Sequence[bytes]) -> list[bytes]:
        """DOUBLE or FLOAT numbers, which are given as their bits, as they are written."""
        framed = b"".join(letter.encode() + struct.pack(">i", len(bits)) + bits for bits in numbers)
        return self._ask("Written", framed).removesuffix(b"\n").split(b"\n")

    def _ask(self, program: str, asked: bytes) -> bytes:
        before, behind = self._folder / "asked", self._folder / "answered"
        before.write_bytes(asked)
        command = [*self._command, f"fluxline.formats.json.{program}", str(before), str(behind)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return behind.read_bytes()


def embedded_verdicts(question: Question) -> list[Verdict]:
    """The same by the decoder of the embedded engine, which sees an empty record where there is no value."""
    decoder = make_decoder("json", question.schema, timestamp_format=question.timestamp_format)
    decoded = decode_records(decoder, [record or b"" for record in question.records])
    columns = []
    for field in question.schema.fields:
        values = decoded.columns[field.name].series().to_physical().to_list()
        columns.append([_physical(value, field.type) for value in values])
    rows = iter(zip(*columns, strict=True))
    reasons = {reject.index: reject.reason for reject in decoded.rejects}
    return [reasons[index] if index in reasons else list(next(rows)) for index in range(len(question.records))]


def _framed(question: Question) -> bytes:
    types = ", ".join(f"`{field.name}` {field.type}" for field in question.schema.fields)
    head = f"{SEPARATORS[question.timestamp_format]}ROW<{types}>".encode()
    parts = [b"S", struct.pack(">i", len(head)), head]
    for record in question.records:
        parts += [b"N" if record is None else b"R", struct.pack(">i", len(record or b"")), record or b""]
    return b"".join(parts)


def _read(line: str, schema: TableSchema) -> Verdict:
    if not line.startswith("["):
        return line.partition(" ")[0]
    return [_sorted(value, field.type) for value, field in zip(json.loads(line), schema.fields, strict=True)]


def _sorted(value: Any, logical: LogicalType) -> Any:
    """A value as Java writes it, with the entries of maps in one order."""
    match logical.root:
        case _ if value is None:
            return None
        case "ARRAY":
            return [_sorted(item, logical.children[0]) for item in value]
        case "MAP":
            return sorted([key, _sorted(item, logical.children[1])] for key, item in zip(*value, strict=True))
        case "ROW":
            return [_sorted(item, field.type) for item, field in zip(value, logical.fields, strict=True)]
    return value


def _physical(value: Any, logical: LogicalType) -> Any:
    """A physical value of Polars in the same form."""
    if value is None:
        return None
    match logical.root:
        case "FLOAT" | "DOUBLE":
            return struct.unpack(">q", struct.pack(">d", value))[0]
        case "CHAR" | "VARCHAR":
            return value.encode().hex()
        case "BINARY" | "VARBINARY":
            return value.hex()
        case "TIME":
            return value // _NANOSECONDS_OF_MILLISECOND
        case "ARRAY":
            return [_physical(item, logical.children[0]) for item in value]
        case "MAP":
            return sorted([_physical(entry["key"], logical.children[0]), _physical(entry["value"], logical.children[1])] for entry in value)
        case "ROW":
            return [_physical(value[field.name], field.type) for field in logical.fields]
    return value
