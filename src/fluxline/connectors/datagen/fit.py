"""Whether the settings of fields fit the types of a schema."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from fluxline.connectors.datagen.options import RANDOM_ONLY, DatagenOptions, FieldSpec
from fluxline.errors import ConfigError, did_you_mean
from fluxline.schema import INTEGER_BITS

if TYPE_CHECKING:
    from fluxline.options import Options
    from fluxline.schema import LogicalType, TableSchema

NUMBER_SETTINGS, LENGTH_SETTINGS = ("min", "max"), ("length",)


def check_schema(options: Options, schema: TableSchema) -> None:
    """Refuse settings of fields that the declared schema does not have, or that their types cannot take.

    Raises:
        ConfigError: FLX-1106.
    """
    assert isinstance(options, DatagenOptions)
    specs = options.specs()
    for name in specs:
        if name not in schema:
            raise _refusal(f'has settings for the field "{name}", which the schema does not have', did_you_mean(name, schema.names()))
    check_fields(options, schema)


def check_fields(options: DatagenOptions, schema: TableSchema) -> None:
    """Refuse settings that the types of these fields cannot take.

    Raises:
        ConfigError: FLX-1106.
    """
    specs = options.specs()
    for item in schema.fields:
        _check(item.name, item.type, specs.get(item.name, FieldSpec()))


def _check(path: str, logical: LogicalType, spec: FieldSpec) -> None:
    kind = logical.text()
    if spec.null_rate and not logical.nullable:
        raise _refusal(f'field "{path}" is NOT NULL and has a null_rate')
    if spec.kind == "sequence":
        _check_sequence(path, logical, spec)
        return
    allowed = _settings(logical)
    for name in RANDOM_ONLY[:4]:
        if spec.given(name) and name not in allowed:
            raise _refusal(f'field "{path}" is {kind}, which takes no "{name}"', f"It takes {', '.join(allowed) or 'only null_rate'}.")
    if logical.numeric and (spec.given("min") or spec.given("max")):
        _check_bounds(path, logical, spec)
    if spec.length is not None and logical.length is not None:
        fixed = logical.root in ("CHAR", "BINARY")
        if spec.length > logical.length or (fixed and spec.length != logical.length):
            raise _refusal(f'field "{path}" is {kind} and cannot have length {spec.length}')
    _check_parts(path, logical, spec)


def _settings(logical: LogicalType) -> tuple[str, ...]:
    if logical.numeric:
        return NUMBER_SETTINGS
    if logical.text_like or logical.binary or logical.root in ("ARRAY", "MAP"):
        return LENGTH_SETTINGS
    return ("max_past",) if logical.timestamp else ()


def _check_parts(path: str, logical: LogicalType, spec: FieldSpec) -> None:
    parts = parts_of(logical)
    for name in spec.parts:
        if name not in parts:
            raise _refusal(f'field "{path}" is {logical.text()} and has no part "{name}"', did_you_mean(name, parts))
    for name, part in parts.items():
        inner = spec.parts.get(name, FieldSpec())
        if logical.root == "MAP" and name == "key" and inner.null_rate:
            raise _refusal(f'the keys of field "{path}" cannot be NULL')
        _check(f"{path}.{name}", part, inner)


def parts_of(logical: LogicalType) -> dict[str, LogicalType]:
    """The types inside a nested type, by the names that settings give them."""
    if logical.root == "ROW":
        return {item.name: item.type for item in logical.fields}
    return dict(zip(("key", "value") if logical.root == "MAP" else ("element",), logical.children, strict=False))


def _check_sequence(path: str, logical: LogicalType, spec: FieldSpec) -> None:
    kind = logical.text()
    if isinstance(spec.start, datetime):
        if not logical.timestamp:
            raise _refusal(f'the sequence of field "{path}" starts at a time, and the field is {kind}')
        if (spec.start.tzinfo is None) == (logical.root == "TIMESTAMP_LTZ"):
            needed = "an offset such as Z" if logical.root == "TIMESTAMP_LTZ" else "no offset"
            raise _refusal(f'the sequence of field "{path}" starts at a time for another type', f"{kind} needs {needed}.")
        return
    if not (logical.numeric or logical.text_like):
        raise _refusal(f'field "{path}" is {kind}, which has no sequence of numbers')
    assert spec.start is not None
    assert spec.end is not None
    for value in (spec.start, spec.end):
        if logical.numeric:
            exact(path, logical, value)
        elif logical.length is not None and len(str(value)) > logical.length:
            raise _refusal(f'field "{path}" is {kind} and cannot hold {value}')


def _check_bounds(path: str, logical: LogicalType, spec: FieldSpec) -> None:
    bounds = [exact(path, logical, value) for value in (spec.min, spec.max) if value is not None]
    least, greatest = bounds_of(logical)
    low = least if spec.min is None else bounds[0]
    high = greatest if spec.max is None else bounds[-1]
    if low > high:
        raise _refusal(f'field "{path}" has the least value {low} and the greatest {high}')


def bounds_of(logical: LogicalType) -> tuple[Decimal, Decimal]:
    """The range of a random number without settings; of FLOAT and DOUBLE from 0 on, as in Flink."""
    if logical.integer:
        top = 2 ** (INTEGER_BITS[logical.root] - 1)
        return Decimal(-top), Decimal(top - 1)
    if logical.root == "DECIMAL":
        assert logical.precision is not None
        assert logical.scale is not None
        top = Decimal((0, (9,) * logical.precision, -logical.scale))
        return top.copy_negate(), top
    return Decimal(0), Decimal(3.4028234663852886e38 if logical.root == "FLOAT" else 1.7976931348623157e308)


def exact(path: str, logical: LogicalType, value: float | str) -> Decimal:
    """A bound as a number that the type can hold.

    Raises:
        ConfigError: FLX-1106, it is none.
    """
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise _refusal(f'field "{path}" has a bound that is no number: {value!r}') from None
    least, greatest = bounds_of(logical)
    if logical.root in ("FLOAT", "DOUBLE"):
        least = greatest.copy_negate()
    digits = 0 if logical.integer else logical.scale
    if not number.is_finite() or not least <= number <= greatest or (digits is not None and _digits_behind_point(number) > digits):
        raise _refusal(f'field "{path}" is {logical.text()} and cannot hold {value}')
    return number


def _digits_behind_point(number: Decimal) -> int:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return max(0, -exponent - zeros)


def _refusal(fact: str, hint: str = "") -> ConfigError:
    text = fact if fact.startswith(("field", "the ")) else f'connector "datagen" {fact}'
    return ConfigError("FLX-1106", text, hint=hint)
