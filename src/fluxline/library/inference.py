"""Rules of types, as Flink's: the common type of several values, the result of decimal arithmetic, what a function accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.library.function import ArgumentMismatch, Signature
from fluxline.schema import APPROXIMATES, DECIMAL_PRECISION_MAX, DOUBLE, INTEGERS, NULL, LogicalType, decimal, simple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTEGER_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
SCALE_KEPT_MIN = 6  # Where a decimal result has too many digits, Flink cuts the fraction down to no fewer than these.


def common_type(types: Sequence[LogicalType]) -> LogicalType | None:
    """The type that values of all these types are converted to in CASE, COALESCE, a comparison or a union.

    Args:
        types: at least one type; bare NULLs fit every other type.

    Returns:
        None where there is no such type. The result is nullable if any of the types is.
    """
    nullable = any(kind.nullable or kind.root == "NULL" for kind in types)
    known = [kind.with_nullable(True) for kind in types if kind.root != "NULL"]
    if not known:
        return NULL
    first = known[0]
    if all(kind == first for kind in known):
        return first.with_nullable(nullable)
    found = _merged(known)
    return None if found is None else found.with_nullable(nullable)


def _merged(known: list[LogicalType]) -> LogicalType | None:
    if all(kind.numeric for kind in known):
        return _common_number(known)
    for short, long in (("CHAR", "VARCHAR"), ("BINARY", "VARBINARY")):
        if all(kind.root in (short, long) for kind in known):
            return LogicalType(long, length=max(kind.length or 0 for kind in known))
    root = known[0].root
    if root in ("TIME", "TIMESTAMP", "TIMESTAMP_LTZ") and all(kind.root == root for kind in known):
        return LogicalType(root, precision=max(kind.precision or 0 for kind in known))
    return None


def _common_number(known: list[LogicalType]) -> LogicalType:
    roots = {kind.root for kind in known}
    if "DOUBLE" in roots or roots >= {"FLOAT", "DECIMAL"}:
        return DOUBLE
    if "FLOAT" in roots:
        return simple("FLOAT")
    if "DECIMAL" in roots:
        digits = [decimal_digits(kind) for kind in known]
        scale = max(scale for _, scale in digits)
        whole = max(precision - scale for precision, scale in digits)
        return decimal(min(whole + scale, DECIMAL_PRECISION_MAX), scale)
    return simple(max(roots, key=INTEGERS.index))


def decimal_digits(kind: LogicalType) -> tuple[int, int]:
    """Precision and scale of a DECIMAL, or of the one that holds an integer type."""
    if kind.root == "DECIMAL":
        assert kind.precision is not None and kind.scale is not None
        return kind.precision, kind.scale
    return INTEGER_DIGITS[kind.root], 0


def as_decimal(kind: LogicalType) -> LogicalType:
    """The DECIMAL that holds all values of an exact number type."""
    return decimal(*decimal_digits(kind)).with_nullable(kind.nullable)


def decimal_sum(left: LogicalType, right: LogicalType) -> LogicalType:
    """The type of `left + right` and `left - right`."""
    (p1, s1), (p2, s2) = decimal_digits(left), decimal_digits(right)
    scale = max(s1, s2)
    return _adjusted(max(p1 - s1, p2 - s2) + scale + 1, scale)


def decimal_product(left: LogicalType, right: LogicalType) -> LogicalType:
    """The type of `left * right`."""
    (p1, s1), (p2, s2) = decimal_digits(left), decimal_digits(right)
    return _adjusted(p1 + p2 + 1, s1 + s2)


def decimal_quotient(left: LogicalType, right: LogicalType) -> LogicalType:
    """The type of `left / right`."""
    (p1, s1), (p2, s2) = decimal_digits(left), decimal_digits(right)
    scale = max(6, s1 + p2 + 1)
    return _adjusted(p1 - s1 + s2 + scale, scale)


def decimal_modulo(left: LogicalType, right: LogicalType) -> LogicalType:
    """The type of MOD(left, right)."""
    (p1, s1), (p2, s2) = decimal_digits(left), decimal_digits(right)
    scale = max(s1, s2)
    return _adjusted(min(p1 - s1, p2 - s2) + scale, scale)


def decimal_rounded(kind: LogicalType, digits: int) -> LogicalType:
    """The type of ROUND(x, digits) of a DECIMAL."""
    precision, scale = decimal_digits(kind)
    if digits >= scale:
        return decimal(precision, scale)
    kept = max(digits, 0)
    return decimal(min(1 + precision - scale + kept, DECIMAL_PRECISION_MAX), kept)


def _adjusted(precision: int, scale: int) -> LogicalType:
    if precision <= DECIMAL_PRECISION_MAX:
        return decimal(precision, scale)
    kept = max(DECIMAL_PRECISION_MAX - (precision - scale), min(scale, SCALE_KEPT_MIN))
    return decimal(DECIMAL_PRECISION_MAX, kept)


def propagated(arguments: tuple[LogicalType, ...], result: LogicalType, constants: tuple[object, ...] = ()) -> Signature:
    """The signature of a function that is NULL where, and only where, an argument is."""
    return Signature(arguments, result.with_nullable(any(kind.nullable for kind in arguments)), constants)


def fitted(given: LogicalType, wanted: LogicalType) -> LogicalType:
    """The wanted type, nullable as what is given."""
    return wanted.with_nullable(given.nullable or given.root == "NULL")


def need_count(name: str, types: Sequence[LogicalType], least: int, most: int | None = None) -> None:
    """Check the number of arguments.

    Raises:
        ArgumentMismatch: there are fewer than `least`, or more than `most` (None: exactly `least`).
    """
    most = least if most is None else most
    if not least <= len(types) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ArgumentMismatch(f"{name} takes {wanted} argument{'' if wanted == '1' else 's'}, not {len(types)}.")


def need(name: str, position: int, kind: LogicalType, what: str, fits: Callable[[LogicalType], bool]) -> None:
    """Check one argument; a bare NULL fits everywhere.

    Raises:
        ArgumentMismatch: the argument is not `what`.
    """
    if kind.root != "NULL" and not fits(kind):
        raise ArgumentMismatch(f"Argument {position + 1} of {name} is {kind.text()}, and has to be {what}.")


def is_text(kind: LogicalType) -> bool:
    """CHAR, VARCHAR or STRING."""
    return kind.text_like


def is_number(kind: LogicalType) -> bool:
    """Any number type."""
    return kind.numeric


def is_integer(kind: LogicalType) -> bool:
    """TINYINT to BIGINT."""
    return kind.integer


def is_approximate(kind: LogicalType) -> bool:
    """FLOAT or DOUBLE."""
    return kind.root in APPROXIMATES


def is_boolean(kind: LogicalType) -> bool:
    """BOOLEAN."""
    return kind.root == "BOOLEAN"
