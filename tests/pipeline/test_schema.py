"""Schemas as classes: types from annotations, rows for tests, and what a class cannot say."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeAlias

import pytest

from fluxline import Pipeline, Schema
from fluxline.errors import NameNotFound, TypeMismatch
from fluxline.pipeline.declare import table_schema
from fluxline.types import (
    BIGINT,
    BINARY,
    BOOLEAN,
    BYTES,
    CHAR,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INT,
    PII,
    SMALLINT,
    STRING,
    TIME,
    TIMESTAMP,
    TIMESTAMP_LTZ,
    TINYINT,
    VARBINARY,
    VARCHAR,
    Tag,
)


class Address(Schema):
    street: str
    number: int | None


class Everything(Schema):
    flag: bool
    number: int
    ratio: float
    text: str
    data: bytes
    day: date
    clock: time
    moment: datetime
    maybe: int | None
    price: Annotated[Decimal, DECIMAL(12, 2)]
    price_or_none: Annotated[Decimal, DECIMAL(12)] | None
    inside: Annotated[str | None, VARCHAR(20)]
    code: Annotated[str, CHAR(2)]
    local: Annotated[datetime, TIMESTAMP(6)]
    fine: Annotated[datetime, TIMESTAMP_LTZ(9)]
    at: Annotated[time, TIME(3)]
    raw: Annotated[bytes, VARBINARY(8)]
    fixed: Annotated[bytes, BINARY(4)]
    tiny: TINYINT
    small: SMALLINT
    four: INT
    eight: BIGINT
    single: FLOAT
    double: DOUBLE
    truth: BOOLEAN
    string: STRING
    octets: BYTES
    items: list[int]
    names: list[str | None] | None
    weights: dict[str, float]
    address: Address
    addresses: list[Address]


EXPECTED = {
    "flag": "BOOLEAN NOT NULL", "number": "BIGINT NOT NULL", "ratio": "DOUBLE NOT NULL", "text": "STRING NOT NULL", "data": "BYTES NOT NULL",
    "day": "DATE NOT NULL", "clock": "TIME(0) NOT NULL", "moment": "TIMESTAMP_LTZ(3) NOT NULL", "maybe": "BIGINT", "price": "DECIMAL(12, 2) NOT NULL",
    "price_or_none": "DECIMAL(12, 0)", "inside": "VARCHAR(20)", "code": "CHAR(2) NOT NULL", "local": "TIMESTAMP(6) NOT NULL",
    "fine": "TIMESTAMP_LTZ(9) NOT NULL", "at": "TIME(3) NOT NULL", "raw": "VARBINARY(8) NOT NULL", "fixed": "BINARY(4) NOT NULL",
    "tiny": "TINYINT NOT NULL", "small": "SMALLINT NOT NULL", "four": "INT NOT NULL", "eight": "BIGINT NOT NULL", "single": "FLOAT NOT NULL",
    "double": "DOUBLE NOT NULL", "truth": "BOOLEAN NOT NULL", "string": "STRING NOT NULL", "octets": "BYTES NOT NULL",
    "items": "ARRAY<BIGINT NOT NULL> NOT NULL", "names": "ARRAY<STRING>", "weights": "MAP<STRING NOT NULL, DOUBLE NOT NULL> NOT NULL",
    "address": "ROW<street STRING NOT NULL, number BIGINT> NOT NULL",
    "addresses": "ARRAY<ROW<street STRING NOT NULL, number BIGINT> NOT NULL> NOT NULL",
}  # fmt: skip


def types_of(declared: Any) -> dict[str, str]:
    """The columns of a source of this schema."""
    return dict(Pipeline("p").source("s", schema=declared).schema)


def test_python_types_and_flink_s_own() -> None:
    """`T | None` is nullable, whatever stands around it."""
    assert types_of(Everything) == EXPECTED


def test_a_mapping_says_the_same() -> None:
    """Flink's types, nullable unless NOT NULL."""
    assert types_of(EXPECTED) == EXPECTED
    assert table_schema(EXPECTED, None) == table_schema(Everything, None)
    assert types_of({"a": "integer", "b": "double precision", "c": "TIMESTAMP(3) WITH LOCAL TIME ZONE", "`d`": "ROW<`x y` INT>"}) == {
        "a": "INT", "b": "DOUBLE", "c": "TIMESTAMP_LTZ(3)", "`d`": "ROW<`x y` INT>",
    }  # fmt: skip


def test_tags_state_what_a_column_is() -> None:
    """On the type, inside and outside of `| None`; several add up."""

    class Patient(Schema):
        name: Annotated[str, PII]
        blood: Annotated[str, Tag("health"), PII] | None
        ward: Annotated[str | None, Tag("place")]
        plain: str

    assert {item.name: item.tags for item in table_schema(Patient, None)} == {
        "name": ("PII",), "blood": ("health", "PII"), "ward": ("place",), "plain": (),
    }  # fmt: skip
    assert Tag("health") == Tag("health")
    assert len({Tag("health"), Tag("health"), PII}) == 2
    assert repr(PII) == "Tag('PII')"


def test_a_class_inside_a_function_knows_the_names_there() -> None:
    """This file's annotations are texts, so they have to be found where the class is made."""
    Money: TypeAlias = Annotated[Decimal, DECIMAL(10, 2)]

    class Line(Schema):
        price: Money

    class Order(Schema):
        first: Line
        rest: list[Line]

    assert types_of(Order) == {
        "first": "ROW<price DECIMAL(10, 2) NOT NULL> NOT NULL",
        "rest": "ARRAY<ROW<price DECIMAL(10, 2) NOT NULL> NOT NULL> NOT NULL",
    }


def test_a_subclass_adds_columns() -> None:
    """Behind those of its base; a class variable is no column."""

    class Base(Schema):
        id: int

    class Extended(Base):
        VERSION: ClassVar[int] = 2
        note: str | None

    assert types_of(Extended) == {"id": "BIGINT NOT NULL", "note": "STRING"}
    assert types_of(Base) == {"id": "BIGINT NOT NULL"}
    assert list(types_of(type("Both", (Extended, Address), {"__module__": __name__}))) == ["street", "number", "id", "note"]
    assert Extended(id=1, note=None).as_row() == {"id": 1, "note": None}


def test_what_a_base_declares_keeps_its_types() -> None:
    """Whatever its names mean where the subclass is made."""

    def make() -> type[Schema]:
        Kind: TypeAlias = int

        class Base(Schema):
            kind: Kind

        return Base

    base = make()
    Kind: TypeAlias = str

    class Extended(base):  # type: ignore[valid-type, misc]  # a base that a function returns
        other: Kind

    assert types_of(Extended) == {"kind": "BIGINT NOT NULL", "other": "STRING NOT NULL"}


def test_the_constructor_gives_typed_rows() -> None:
    """With attributes, equality, a hash and a repr."""
    row = Address(street="Hauptstraße", number=None)
    assert (row.street, row.number) == ("Hauptstraße", None)
    assert row == Address(street="Hauptstraße", number=None) == copy.copy(row)
    assert row != Address(street="Hauptstraße", number=1)
    assert row != {"street": "Hauptstraße", "number": None}
    assert hash(row) == hash(Address(number=None, street="Hauptstraße"))
    assert repr(row) == "Address(street='Hauptstraße', number=None)"
    assert row.as_row() == {"street": "Hauptstraße", "number": None}


def test_a_default_may_be_left_out() -> None:
    """And nothing else, NULL included: a row says all that it says."""

    class Event(Schema):
        kind: str = "click"
        count: int = 1
        at: datetime

    row = Event(at=datetime(2024, 6, 7, tzinfo=UTC))
    assert (row.kind, row.count) == ("click", 1)
    assert Event(at=row.at, kind="view").kind == "view"
    with pytest.raises(TypeError, match="Address needs number="):
        Address(street="x")  # type: ignore[call-arg]  # the mistake
    with pytest.raises(TypeError, match="positional"):
        Address("x", 1)  # type: ignore[call-arg]  # the mistake


def test_an_unknown_field_has_the_nearest_spelling() -> None:
    """At the line of the test that wrote it."""
    with pytest.raises(NameNotFound) as caught:
        Address(stret="x", number=1)  # type: ignore[call-arg]  # the mistake
    assert caught.value.code == "FLX-2104"
    assert caught.value.hint == 'Did you mean "street"?'
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


@pytest.mark.parametrize("kind", [object, list, dict, set[int], tuple[int, str], complex, int | str, int | str | None, Any, Decimal, list[object]])
def test_a_type_that_is_none_is_refused(kind: Any) -> None:
    """As the class is made, with the column's name."""
    with pytest.raises(TypeMismatch) as caught:
        type("Order", (Schema,), {"__annotations__": {"price": kind}, "__module__": __name__})
    assert caught.value.code == "FLX-2125"
    assert "of Order has no logical type" in caught.value.fact or caught.value.fact.startswith("Order has no logical type")
    assert caught.value.place is not None


def test_a_nested_row_round_trips_through_a_test_s_row() -> None:
    """Objects inside objects."""
    inner = Address(street="x", number=3)

    class Person(Schema):
        address: Address

    assert Person(address=inner).address == inner
