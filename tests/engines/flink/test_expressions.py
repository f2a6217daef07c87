"""Constants and calls in Flink's words: each text ran on a live Flink, in the equivalence tests or by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from fluxline.dialect.printer import print_term
from fluxline.engines.flink.expressions import to_term
from fluxline.errors import UnsupportedByEngine
from fluxline.library.examples import type_of_value
from fluxline.plan.expressions import Constant
from fluxline.schema import parse_type
from tests.library.expressions import call, table

if TYPE_CHECKING:
    from tests.library.expressions import Operand

MADE = table(i=("INT", [1]), de=("DECIMAL(10, 2)", [Decimal(1)]), d=("DOUBLE", [1.0]), at=("TIMESTAMP(3)", [None]))
N, DE, D, AT = (MADE.col(name) for name in ("i", "de", "d", "at"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (-(2**31), "CAST(-2147483648 AS BIGINT)"),
        (2**40, "1099511627776"),
        (-(2**63), "CAST('-9223372036854775808' AS BIGINT)"),
        (True, "TRUE"),
        (1.5, "1.5E0"),
        (1e300, "1E+300"),
        (float("nan"), "CAST('NaN' AS DOUBLE)"),
        (float("-inf"), "CAST('-Infinity' AS DOUBLE)"),
        (Decimal("1.50"), "CAST(1.50 AS DECIMAL(3, 2))"),
        (Decimal("1234567890123456789.5"), "CAST('1234567890123456789.5' AS DECIMAL(20, 1))"),
        ("it's", "CAST('it''s' AS STRING)"),
        (b"\xff", "CAST(x'ff' AS BYTES)"),
        (date(2026, 1, 2), "DATE '2026-01-02'"),
        (time(1, 2, 3, 4000), "CAST(TIME '01:02:03.004000' AS TIME(3))"),
        (datetime(2026, 1, 2, 3, 4, 5, 6), "CAST(TIMESTAMP '2026-01-02 03:04:05.000006' AS TIMESTAMP(6))"),  # noqa: DTZ001 - a TIMESTAMP has no zone
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "CAST(TIMESTAMP '2026-01-02 03:00:00' AS TIMESTAMP_LTZ(3))"),
    ],
)
def test_constants(value: object, text: str) -> None:
    assert print_term(to_term(Constant(value, type_of_value(value)))) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("FLOORDIV", (N, 2), "`i` / 2 - CASE WHEN MOD(`i`, 2) <> 0 AND (MOD(`i`, 2) < 0) <> (2 < 0) THEN 1 ELSE 0 END"),
        ("FLOORDIV", (D, 2.0), "FLOOR(`d` / 2.0E0)"),
        ("FLOORMOD", (DE, DE), "CAST(`de` - `de` * FLOOR(`de` / `de`) AS DECIMAL(10, 2))"),
        ("FLOOR TO", (AT, "month"), "FLOOR(`at` TO MONTH)"),
        ("IN", (N, 1, 2), "`i` IN (1, 2)"),
    ],
)
def test_calls(name: str, arguments: tuple[Operand, ...], text: str) -> None:
    assert print_term(to_term(call(name, *arguments))) == text


def test_what_has_no_literal() -> None:
    for value, kind in ((-0.0, "DOUBLE"), (timedelta, "INT")):
        with pytest.raises(UnsupportedByEngine) as raised:
            to_term(Constant(value, parse_type(kind)))  # type: ignore[arg-type]
        assert raised.value.code == "FLX-2653"
