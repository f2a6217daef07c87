"""Flink's logical types for schemas, and the classes that only calls return.

class Payment(Schema):
    amount: Annotated[Decimal, DECIMAL(12, 2)]
    attempts: SMALLINT
    card: Annotated[str, PII]
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fluxline import schema as kinds
from fluxline.pipeline.declare import Metadata, Tag
from fluxline.pipeline.expr import Then, When
from fluxline.pipeline.group_by import GroupBy
from fluxline.pipeline.windows import Window
from fluxline.schema import LogicalType

TINYINT: TypeAlias = Annotated[int, kinds.TINYINT]
SMALLINT: TypeAlias = Annotated[int, kinds.SMALLINT]
INT: TypeAlias = Annotated[int, kinds.INT]
BIGINT: TypeAlias = Annotated[int, kinds.BIGINT]
FLOAT: TypeAlias = Annotated[float, kinds.FLOAT]
DOUBLE: TypeAlias = Annotated[float, kinds.DOUBLE]
BOOLEAN: TypeAlias = Annotated[bool, kinds.BOOLEAN]
STRING: TypeAlias = Annotated[str, kinds.STRING]
BYTES: TypeAlias = Annotated[bytes, kinds.BYTES]

PII = Tag("PII")
"""States that a column holds personal data."""


def DECIMAL(precision: int, scale: int = 0) -> LogicalType:  # noqa: N802  # Flink's own name
    """DECIMAL(precision, scale), inside `Annotated[Decimal, ...]`."""
    return kinds.decimal(precision, scale)


def TIMESTAMP(precision: int = 6) -> LogicalType:  # noqa: N802  # Flink's own name
    """TIMESTAMP(precision) without a zone, inside `Annotated[datetime, ...]`."""
    return kinds.timestamp(precision, local=False)


def TIMESTAMP_LTZ(precision: int = 6) -> LogicalType:  # noqa: N802  # Flink's own name
    """TIMESTAMP_LTZ(precision), an instant, inside `Annotated[datetime, ...]`."""
    return kinds.timestamp(precision, local=True)


def TIME(precision: int = 0) -> LogicalType:  # noqa: N802  # Flink's own name
    """TIME(precision), inside `Annotated[time, ...]`."""
    return LogicalType("TIME", precision=precision)


def VARCHAR(length: int) -> LogicalType:  # noqa: N802  # Flink's own name
    """VARCHAR(length), inside `Annotated[str, ...]`."""
    return LogicalType("VARCHAR", length=length)


def CHAR(length: int) -> LogicalType:  # noqa: N802  # Flink's own name
    """CHAR(length), inside `Annotated[str, ...]`."""
    return LogicalType("CHAR", length=length)


def VARBINARY(length: int) -> LogicalType:  # noqa: N802  # Flink's own name
    """VARBINARY(length), inside `Annotated[bytes, ...]`."""
    return LogicalType("VARBINARY", length=length)


def BINARY(length: int) -> LogicalType:  # noqa: N802  # Flink's own name
    """BINARY(length), inside `Annotated[bytes, ...]`."""
    return LogicalType("BINARY", length=length)


__all__ = [
    "BIGINT", "BINARY", "BOOLEAN", "BYTES", "CHAR", "DECIMAL", "DOUBLE", "FLOAT", "INT", "PII", "SMALLINT", "STRING", "TIME", "TIMESTAMP",
    "TIMESTAMP_LTZ", "TINYINT", "VARBINARY", "VARCHAR", "GroupBy", "LogicalType", "Metadata", "Tag", "Then", "When", "Window",
]  # fmt: skip
