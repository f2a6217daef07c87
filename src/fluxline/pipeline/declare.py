"""Schemas declared as classes, and Python types as logical types.

class Reading(Schema):
    sensor_id: int
    humidity: float | None
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, dataclass_transform, get_args, get_origin

from fluxline import schema as kinds
from fluxline.errors import DefinitionError, TypeMismatch
from fluxline.pipeline.later import refuse
from fluxline.pipeline.origin import here
from fluxline.schema import Field, LogicalType, TableSchema, parse_type

if typing.TYPE_CHECKING:
    from pathlib import Path

    from fluxline.errors import Place

_PYTHON: dict[type, LogicalType] = {
    bool: kinds.BOOLEAN,
    int: kinds.BIGINT,
    float: kinds.DOUBLE,
    str: kinds.STRING,
    bytes: kinds.BYTES,
    date: kinds.DATE,
    time: LogicalType("TIME", precision=0),
    datetime: kinds.timestamp(3, local=True),
}


class Tag:
    """States what a column is, such as `Annotated[str, Tag("health")]`; policies say what is done with it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Tag({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("Tag", self.name))


class Metadata:
    """States that a column is not in the record: the system knows it, as in `Annotated[int, Metadata("offset")]`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Metadata({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("Metadata", self.name))


@dataclass_transform(kw_only_default=True)
class Schema:
    """Names and types of columns, declared as a class; its constructor gives typed rows for tests.

    A Python type stands for BOOLEAN, BIGINT, DOUBLE, STRING, BYTES, DATE, TIME(0) or TIMESTAMP_LTZ(3); `T | None` is
    nullable, `list[T]` ARRAY, `dict[K, V]` MAP, another Schema ROW; `Annotated[Decimal, DECIMAL(12, 2)]` says more.
    """

    __fluxline_schema__: ClassVar[TableSchema] = TableSchema(())

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        place = here()
        # Only its own: what a base declares was found where that was made, and other names may mean other types there.
        own = type(cls.__name__, (), {"__annotations__": inspect.get_annotations(cls), "__module__": cls.__module__})
        names = dict(sys._getframe(1).f_locals)
        try:
            hints = typing.get_type_hints(own, localns=names, include_extras=True)
        except NameError as error:
            raise DefinitionError(
                "FLX-2123",
                f'a type of schema "{cls.__name__}" is not known: {error}',
                hint="Import the type in the file that declares the schema.",
                place=place,
            ) from None
        fields = {item.name: item for base in reversed(cls.__mro__[1:]) for item in vars(base).get("__fluxline_schema__", ())}
        fields |= {name: _field(name, hint, cls.__name__, place) for name, hint in hints.items() if get_origin(hint) is not ClassVar}
        cls.__fluxline_schema__ = TableSchema(tuple(fields.values()))

    def __init__(self, **values: Any) -> None:
        declared = self.__fluxline_schema__
        for name in values:
            declared.find(name, stream=type(self).__name__, place=here())
        for item in declared:
            if item.name in values:
                value = values[item.name]
            elif hasattr(type(self), item.name):
                value = getattr(type(self), item.name)
            else:
                raise TypeError(f"{type(self).__name__} needs {item.name}=")
            object.__setattr__(self, item.name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_row().items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Schema) and self.as_row() == other.as_row()

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.as_row().items())))

    def as_row(self) -> dict[str, Any]:
        """The values by column name."""
        return {item.name: getattr(self, item.name) for item in self.__fluxline_schema__}

    @staticmethod
    def from_file(path: Path | str, *, type: str | None = None) -> type[Schema]:
        """The schema that an Avro, JSON Schema or Protobuf file declares; comes later."""
        raise refuse("Schema.from_file", here())


def table_schema(declared: type[Schema] | Mapping[str, str], place: Place | None) -> TableSchema:
    """The table schema of a class or of a mapping of names to Flink types.

    Raises:
        DefinitionError: FLX-2124, it is neither, or has no columns.
    """
    if isinstance(declared, type) and issubclass(declared, Schema):
        found = declared.__fluxline_schema__
    elif isinstance(declared, Mapping):
        found = TableSchema(tuple(_declared_field(name, text, place) for name, text in declared.items()))
    else:
        raise DefinitionError(
            "FLX-2124", f"a schema is a Schema class or a mapping of names to types, not {declared!r}",
            hint='Declare "class Reading(Schema): ..." or write {"sensor_id": "BIGINT NOT NULL"}.', place=place,
        )  # fmt: skip
    if not found.fields:
        raise DefinitionError("FLX-2124", "the schema has no columns", place=place)
    return found


def column_name(name: object, place: Place | None) -> str:
    """The name, if a column can have it.

    Raises:
        TypeMismatch: FLX-2129, it is no text, or an empty one.
    """
    if not isinstance(name, str) or not name:
        raise TypeMismatch("FLX-2129", f"{name!r} cannot be the name of a column", place=place)
    return name


def _declared_field(name: object, text: object, place: Place | None) -> Field:
    if not isinstance(text, str):
        raise DefinitionError(
            "FLX-2124",
            f'the type of column "{name}" is a text, not {text!r}',
            hint='Write {"sensor_id": "BIGINT NOT NULL"}; Python types stand in a Schema class.',
            place=place,
        )
    return Field(column_name(name, place), parse_type(text, place=place))


def logical_type(declared: object, place: Place | None) -> LogicalType:
    """The logical type, nullable, that a Python type, an annotation, a type of `fluxline.types` or a Flink text stands for.

    Raises:
        TypeMismatch: FLX-2125, it stands for none.
    """
    if isinstance(declared, str):
        return parse_type(declared, place=place)
    return _field("", declared, "cast", place).type.with_nullable(True)


def _field(name: str, hint: object, owner: str, place: Place | None) -> Field:
    """One annotation as a field."""
    tags: list[str] = []
    stated: LogicalType | None = None
    metadata: str | None = None
    nullable = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            tags += [note.name for note in notes if isinstance(note, Tag)]
            metadata = next((note.name for note in notes if isinstance(note, Metadata)), metadata)
            stated = next((note for note in notes if isinstance(note, LogicalType)), stated)
        elif get_origin(hint) in (types.UnionType, typing.Union) and type(None) in get_args(hint):
            nullable = True
            remaining = [part for part in get_args(hint) if part is not type(None)]
            if len(remaining) != 1:
                raise _no_type(name, hint, owner, place)
            hint = remaining[0]
        else:
            break
    kind = stated or (hint if isinstance(hint, LogicalType) else _python_type(name, hint, owner, place))
    return Field(name, kind.with_nullable(nullable), tuple(tags), metadata=metadata)


def _python_type(name: str, hint: object, owner: str, place: Place | None) -> LogicalType:
    if isinstance(hint, type) and hint in _PYTHON:
        return _PYTHON[hint]
    if isinstance(hint, type) and issubclass(hint, Schema):
        return kinds.row(hint.__fluxline_schema__.fields)
    if get_origin(hint) is list:
        return LogicalType("ARRAY", children=(_field("", get_args(hint)[0], owner, place).type,))
    if get_origin(hint) is dict:
        key, value = (_field("", part, owner, place).type for part in get_args(hint))
        return LogicalType("MAP", children=(key, value))
    raise _no_type(name, hint, owner, place)


def _no_type(name: str, hint: object, owner: str, place: Place | None) -> TypeMismatch:
    shown = getattr(hint, "__name__", str(hint))
    what = f'"{name}" of {owner}' if name else owner
    help_text = "Write Annotated[Decimal, DECIMAL(12, 2)]: a decimal has a precision and a scale." if hint is Decimal else ""
    return TypeMismatch(
        "FLX-2125",
        f"{what} has no logical type: {shown}",
        detail="Known are bool, int, float, str, bytes, date, time, datetime, list, dict, Schema classes and the types of fluxline.types.",
        hint=help_text,
        place=place,
    )
