"""One row of every type of column, rejected by a rule: its text is the same bytes from both engines."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from fluxline import Pipeline, Schema, col, lit
from fluxline.functions import exp, ln
from fluxline.planner.rules import apply_rules
from fluxline.types import BINARY, CHAR, DECIMAL, FLOAT, INT, SMALLINT, TIME, TIMESTAMP, TIMESTAMP_LTZ, TINYINT, VARBINARY, VARCHAR

if TYPE_CHECKING:
    from fluxline.plan.nodes import Plan

ROWS = 200
LETTERS = ("a", "é", "日", "😀", '"', "\\", "/", "\x00", "\x1f", "\x7f", "\n", "\t", " ", "'")


class Inner(Schema):
    text: str | None
    days: list[date | None] | None


class Everything(Schema):
    id: int
    yes: bool | None
    tiny: TINYINT | None
    small: SMALLINT | None
    plain: INT | None
    single: FLOAT | None
    double: float | None
    whole: Annotated[Decimal, DECIMAL(38, 0)] | None
    money: Annotated[Decimal, DECIMAL(12, 2)] | None
    text: str | None
    varying: Annotated[str, VARCHAR(4)] | None
    fixed: Annotated[str, CHAR(3)] | None
    data: bytes | None
    varying_data: Annotated[bytes, VARBINARY(4)] | None
    fixed_data: Annotated[bytes, BINARY(2)] | None
    day: date | None
    second: time | None
    noon: Annotated[time, TIME(3)] | None
    at0: Annotated[datetime, TIMESTAMP(0)] | None
    at3: Annotated[datetime, TIMESTAMP(3)] | None
    at6: Annotated[datetime, TIMESTAMP(6)] | None
    at9: Annotated[datetime, TIMESTAMP(9)] | None
    instant: datetime | None
    instant9: Annotated[datetime, TIMESTAMP_LTZ(9)] | None
    items: list[float | None] | None
    names: dict[str, str | None] | None
    inner: Inner | None
    nested: list[Inner | None] | None


def make_record(random: Random, number: int) -> dict[str, Any]:
    """Values of all columns; one in seven is not there."""

    def text(most: int = 6) -> str:
        return "".join(random.choice(LETTERS) for _ in range(random.randrange(most + 1)))

    def data(least: int, most: int) -> str:
        return base64.b64encode(random.randbytes(random.randint(least, most))).decode()

    def double() -> float:
        return random.choice((-1, 1)) * round(random.random(), random.randrange(1, 16)) * 10.0 ** random.randrange(-9, 20)

    def inner() -> dict[str, Any] | None:
        return random.choice((None, {"text": text(), "days": [day(), None]}, {"text": None}, {"days": []}))

    def day() -> str:
        return f"{random.randrange(10_000):04}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}"

    def near() -> str:
        return f"{random.randrange(1700, 2200)}-02-28"

    def clock(digits: int) -> str:
        return f"{random.randrange(24):02}:05:09" + (f".{random.randrange(10**digits):0{digits}}" if digits and random.random() < 0.8 else "")

    found = {
        "yes": random.random() < 0.5, "tiny": random.randrange(-128, 128), "small": random.randrange(-(2**15), 2**15), "plain": -(2**31),
        "single": double(), "double": double(), "whole": random.randrange(-(10**15), 10**15), "money": random.randrange(-(10**9), 10**9) / 4,
        "text": text(), "varying": text(4), "fixed": text(3), "data": data(0, 9), "varying_data": data(0, 4), "fixed_data": data(2, 2), "day": day(),
        "second": clock(0), "noon": clock(3), "at0": f"{day()}T{clock(0)}", "at3": f"{day()}T{clock(3)}", "at6": f"{day()}T{clock(6)}",
        "at9": f"{near()}T{clock(9)}", "instant": f"{day()}T{clock(3)}Z", "instant9": f"{near()}T{clock(9)}Z",
        "items": [double(), None, 0.0, -0.0][: random.randrange(5)],
        "names": {text(): random.choice((text(), None)) for _ in range(random.randrange(6))},
        "inner": inner(), "nested": [inner() for _ in range(random.randrange(4))],
    }  # fmt: skip
    return {"id": number} | {name: value for name, value in found.items() if random.random() < 6 / 7}


def make_records() -> list[bytes]:
    random = Random(8)
    return [json.dumps(make_record(random, number), ensure_ascii=False).encode() for number in range(ROWS)]


def plan_of_everything() -> Plan:
    """All columns, and some that are computed: numbers that JSON has no word for, constants, a name that is escaped."""
    pipeline = Pipeline("everything")
    rows = pipeline.source("rows", schema=Everything)
    computed = rows.with_columns(
        infinite=exp(col("id") + 1_000),
        below=exp(col("id") + 1_000) * -1,
        no_number=ln(col("id") - 1_000),
        third=col("money") / 3,
        word=lit("it's"),
        **{'a "b"\\': col("id") * 2},
    )
    computed.expect(never=col("id") < 0).rejected.drop("detail", "rejected_at").sink("broken")
    return apply_rules(pipeline._plan())
