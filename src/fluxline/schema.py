"""Types and fields: Flink's logical types with precision and nullability, and the shape of a table.

    type   := root [(p [, s])] [NOT NULL]
            | ARRAY<type> | MAP<type, type> | ROW<name type, ...>

`STRING` is VARCHAR(2147483647) and `BYTES` VARBINARY(2147483647), as in Flink; they print by their short names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError, NameNotFound, Place, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LENGTH_MAX = 2_147_483_647
DECIMAL_PRECISION_MAX = 38
INTEGERS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
APPROXIMATES = ("FLOAT", "DOUBLE")
INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
ROOTS = (
    "BOOLEAN", *INTEGERS, *APPROXIMATES, "DECIMAL", "CHAR", "VARCHAR", "BINARY", "VARBINARY",
    "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "ARRAY", "MAP", "ROW", "NULL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogicalType:
    """One of Flink's logical types.

    Attributes:
        root: a name of `ROOTS`; NULL is the type of a bare NULL literal.
        nullable: whether NULL is a value of the type.
        length: of CHAR, VARCHAR, BINARY, VARBINARY, in characters or bytes.
        precision: of DECIMAL (digits), TIME and TIMESTAMP (digits of the second).
        scale: of DECIMAL, digits behind the point.
        children: element of an ARRAY; key and value of a MAP.
        fields: of a ROW.
    """

    root: str
    nullable: bool = True
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    children: tuple[LogicalType, ...] = ()
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        assert self.root in ROOTS, f"no logical type {self.root}"
        if self.root == "DECIMAL":
            precision, scale = self.precision, self.scale
            assert precision is not None and scale is not None, "DECIMAL needs precision and scale"
            if not (1 <= precision <= DECIMAL_PRECISION_MAX and 0 <= scale <= precision):
                raise DefinitionError(
                    "FLX-2110",
                    f"DECIMAL({precision}, {scale}) does not exist",
                    detail=f"The precision is 1 to {DECIMAL_PRECISION_MAX}, the scale 0 to the precision.",
                )
        if self.root in ("TIME", "TIMESTAMP", "TIMESTAMP_LTZ"):
            assert self.precision is not None, f"{self.root} needs a precision"
            if not 0 <= self.precision <= 9:
                raise DefinitionError("FLX-2110", f"{self.root}({self.precision}) does not exist", detail="The precision is 0 to 9.")

    def __str__(self) -> str:
        return self.text() if self.nullable else f"{self.text()} NOT NULL"

    def text(self) -> str:
        """The type without its nullability, as Flink SQL writes it."""
        if self.root in ("VARCHAR", "VARBINARY") and self.length == LENGTH_MAX:
            return "STRING" if self.root == "VARCHAR" else "BYTES"
        if self.length is not None:
            return f"{self.root}({self.length})"
        if self.root == "DECIMAL":
            return f"DECIMAL({self.precision}, {self.scale})"
        if self.precision is not None:
            return f"{self.root}({self.precision})"
        if self.root in ("ARRAY", "MAP"):
            return f"{self.root}<{', '.join(str(child) for child in self.children)}>"
        if self.root == "ROW":
            return f"ROW<{', '.join(f'{quote_name(item.name)} {item.type}' for item in self.fields)}>"
        return self.root

    def with_nullable(self, nullable: bool) -> LogicalType:  # noqa: FBT001  # the one thing that it sets
        """The same type, nullable or not."""
        return self if self.nullable == nullable else replace(self, nullable=nullable)

    @property
    def numeric(self) -> bool:
        """Whether arithmetic is defined on it."""
        return self.root in INTEGERS or self.root in APPROXIMATES or self.root == "DECIMAL"

    @property
    def integer(self) -> bool:
        """Whether it is a whole-number type."""
        return self.root in INTEGERS

    @property
    def text_like(self) -> bool:
        """Whether its values are text."""
        return self.root in ("CHAR", "VARCHAR")

    @property
    def binary(self) -> bool:
        """Whether its values are bytes."""
        return self.root in ("BINARY", "VARBINARY")

    @property
    def timestamp(self) -> bool:
        """Whether it can be a time attribute."""
        return self.root in ("TIMESTAMP", "TIMESTAMP_LTZ")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table: a name, a type, and tags such as `PII` that state what the column is.

    A hidden field travels with the rows and is not part of what a user selects or a sink writes. A field of a source with
    `metadata` is not part of the record: the system that the record comes from knows it under that name (an offset).
    """

    name: str
    type: LogicalType
    tags: tuple[str, ...] = ()
    hidden: bool = False
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The shape of a table or stream: its fields in order, with distinct names."""

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [item.name for item in self.fields]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError("FLX-2105", f'column "{name}" is there twice', hint="Give one of them another name with .alias().")

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __contains__(self, name: object) -> bool:
        return any(item.name == name for item in self.fields)

    def names(self) -> tuple[str, ...]:
        """The names of the visible fields, in order."""
        return tuple(item.name for item in self.fields if not item.hidden)

    def of_records(self) -> TableSchema:
        """The schema without what the system knows beside the records."""
        return TableSchema(tuple(item for item in self.fields if item.metadata is None))

    def visible(self) -> TableSchema:
        """The schema without its hidden fields."""
        return TableSchema(tuple(item for item in self.fields if not item.hidden))

    def field(self, name: str) -> Field:
        """The field of this name, which must exist."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(name)

    def find(self, name: str, *, stream: str, place: Place | None = None) -> Field:
        """The field of this name.

        Raises:
            NameNotFound: FLX-2104, with the stream's columns and the nearest spelling.
        """
        for item in self.fields:
            if item.name == name:
                return item
        raise NameNotFound(
            "FLX-2104",
            f'no column "{name}" in stream "{stream}"',
            detail=f"The stream has {self.describe()}.",
            hint=did_you_mean(name, self.names()),
            place=place,
        )

    def describe(self) -> str:
        """`a BIGINT, b STRING`: the visible fields and their types, for messages."""
        return ", ".join(f"{item.name} {item.type.text()}" for item in self.fields if not item.hidden)


def simple(root: str, *, nullable: bool = True) -> LogicalType:
    """A type that takes no parameters."""
    return LogicalType(root, nullable)


def decimal(precision: int, scale: int) -> LogicalType:
    """DECIMAL(precision, scale)."""
    return LogicalType("DECIMAL", precision=precision, scale=scale)


def timestamp(precision: int, *, local: bool) -> LogicalType:
    """TIMESTAMP_LTZ(precision) if local, else TIMESTAMP(precision)."""
    return LogicalType("TIMESTAMP_LTZ" if local else "TIMESTAMP", precision=precision)


def row(fields: Iterable[Field]) -> LogicalType:
    """ROW of these fields."""
    return LogicalType("ROW", fields=tuple(fields))


BOOLEAN, TINYINT, SMALLINT, INT, BIGINT = (simple(root) for root in ("BOOLEAN", *INTEGERS))
FLOAT, DOUBLE, DATE, NULL = simple("FLOAT"), simple("DOUBLE"), simple("DATE"), simple("NULL")
STRING = LogicalType("VARCHAR", length=LENGTH_MAX)
BYTES = LogicalType("VARBINARY", length=LENGTH_MAX)


def quote_name(name: str) -> str:
    """The name in back quotes where SQL could not read it bare."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "`" + name.replace("`", "``") + "`"


def parse_type(text: str, *, place: Place | None = None) -> LogicalType:
    """A logical type from its Flink SQL text, such as `DECIMAL(10, 2) NOT NULL`.

    Raises:
        NameNotFound: FLX-2111, the type does not exist.
        DefinitionError: FLX-2110, its parameters do not.
    """
    return _TypeReader(text, place).read()


_TOKEN = re.compile(r"\s*(`(?:[^`]|``)+`|[A-Za-z_][A-Za-z0-9_]*|\d+|[(),<>])")
_ALIASES = {"INTEGER": "INT", "DEC": "DECIMAL", "NUMERIC": "DECIMAL", "BOOL": "BOOLEAN"}


class _TypeReader:
    """Reads one type by recursive descent."""

    def __init__(self, text: str, place: Place | None) -> None:
        self.text = text
        self.place = place
        self.tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.refuse()
            self.tokens.append(match.group(1))
            position = match.end()

    def refuse(self) -> NameNotFound:
        known = [*ROOTS[:-1], "STRING", "BYTES"]
        word = self.text.split("(")[0].split("<")[0].strip().upper()
        return NameNotFound(
            "FLX-2111", f'no type "{self.text}"', detail=f"The types are {', '.join(known)}.", hint=did_you_mean(word, known), place=self.place
        )

    def read(self) -> LogicalType:
        result = self.type()
        if self.tokens:
            raise self.refuse()
        return result

    def next(self, wanted: str | None = None) -> str:
        if not self.tokens or (wanted is not None and self.tokens[0].upper() != wanted):
            raise self.refuse()
        return self.tokens.pop(0)

    def accept(self, *words: str) -> bool:
        if [token.upper() for token in self.tokens[: len(words)]] != list(words):
            return False
        del self.tokens[: len(words)]
        return True

    def numbers(self) -> list[int]:
        if not self.accept("("):
            return []
        found = [self.number()]
        while self.accept(","):
            found.append(self.number())
        self.next(")")
        return found

    def number(self) -> int:
        token = self.next()
        if not token.isdigit():
            raise self.refuse()
        return int(token)

    def type(self) -> LogicalType:
        word = self.next().upper()
        word = _ALIASES.get(word, word)
        result = self.nested(word) if word in ("ARRAY", "MAP", "ROW") else self.flat(word)
        if self.accept("NOT", "NULL"):
            return result.with_nullable(False)
        self.accept("NULL")
        return result

    def flat(self, word: str) -> LogicalType:
        if word in ("STRING", "BYTES"):
            return STRING if word == "STRING" else BYTES
        if word == "DOUBLE":
            self.accept("PRECISION")
        if word not in ROOTS or word == "NULL":
            raise self.refuse()
        numbers = self.numbers()
        if word == "DECIMAL":
            return decimal(*([*numbers, 0][:2] if numbers else (10, 0)))
        if word in ("CHAR", "VARCHAR", "BINARY", "VARBINARY"):
            return LogicalType(word, length=numbers[0] if numbers else 1)
        if word == "TIME":
            return LogicalType("TIME", precision=numbers[0] if numbers else 0)
        if word in ("TIMESTAMP", "TIMESTAMP_LTZ"):
            self.accept("WITHOUT", "TIME", "ZONE")
            local = word == "TIMESTAMP_LTZ" or self.accept("WITH", "LOCAL", "TIME", "ZONE")
            return timestamp(numbers[0] if numbers else 6, local=local)
        if numbers:
            raise self.refuse()
        return simple(word)

    def nested(self, word: str) -> LogicalType:
        close = ">" if self.accept("<") else (self.next("("), ")")[1]
        if word == "ROW":
            fields = [self.field()]
            while self.accept(","):
                fields.append(self.field())
            self.next(close)
            return row(fields)
        children = [self.type()]
        if word == "MAP":
            self.next(",")
            children.append(self.type())
        self.next(close)
        return LogicalType(word, children=tuple(children))

    def field(self) -> Field:
        name = self.next()
        return Field(name[1:-1].replace("``", "`") if name.startswith("`") else name, self.type())
