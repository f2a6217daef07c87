"""What a stored table is: its columns, its key, and the SQL text that follows from them.

    logical type            stored as
    BOOLEAN .. DOUBLE       BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, FLOAT, DOUBLE
    DECIMAL(p, s)           DECIMAL(p, s)
    CHAR, VARCHAR, STRING   VARCHAR
    BINARY .. BYTES         BLOB
    DATE                    DATE
    TIME(p)                 TIME, above 6 digits TIME_NS
    TIMESTAMP(p)            TIMESTAMP_MS, TIMESTAMP or TIMESTAMP_NS for p <= 3, 6, 9
    TIMESTAMP_LTZ(p)        the same, holding UTC
    ARRAY<t>                t[]
    MAP<k, v>               STRUCT(key k, value v)[]: a MAP of DuckDB refuses a key that is there twice, which a row may hold
    ROW<...>                STRUCT(...)

The rows are in `_base`, with a hidden column that says which flush wrote them; rows that a flush replaced and that a
restart may want back are in `_undo`; the view under the table's own name is in `main`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from fluxline.batch import polars_type
from fluxline.errors import DefinitionError, TypeMismatch
from fluxline.schema import Field, LogicalType, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Iterable

CATALOG = "store"
"""The name under which the file is attached."""
_SIMPLE = {
    "BOOLEAN": "BOOLEAN", "TINYINT": "TINYINT", "SMALLINT": "SMALLINT", "INT": "INTEGER", "BIGINT": "BIGINT",
    "FLOAT": "FLOAT", "DOUBLE": "DOUBLE", "CHAR": "VARCHAR", "VARCHAR": "VARCHAR", "BINARY": "BLOB", "VARBINARY": "BLOB",
    "DATE": "DATE",
}  # fmt: skip


def quote(name: str) -> str:
    """The name as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def storage_type(logical: LogicalType) -> str:
    """The DuckDB type that holds a logical type."""
    root, precision = logical.root, logical.precision or 0
    if root in _SIMPLE:
        return _SIMPLE[root]
    if root == "DECIMAL":
        return f"DECIMAL({logical.precision}, {logical.scale})"
    if root == "TIME":
        return "TIME" if precision <= 6 else "TIME_NS"
    if logical.timestamp:
        return "TIMESTAMP_MS" if precision <= 3 else "TIMESTAMP" if precision <= 6 else "TIMESTAMP_NS"
    if root == "ARRAY":
        return f"{storage_type(logical.children[0])}[]"
    if root == "MAP":
        key, value = logical.children
        return f'STRUCT("key" {storage_type(key)}, "value" {storage_type(value)})[]'
    assert root == "ROW", f"no storage for {logical}"
    return f"STRUCT({', '.join(f'{quote(item.name)} {storage_type(item.type)}' for item in logical.fields)})"


@dataclass(frozen=True)
class Table:
    """One stored table.

    Attributes:
        name: as the user knows it.
        schema: its visible columns.
        key: the columns that identify a row; None for a table that only grows.
        number: names its staged rows inside this process; another one after the table was made anew.
    """

    name: str
    schema: TableSchema
    key: tuple[str, ...] | None
    number: int

    @cached_property
    def base(self) -> str:
        """The rows, with the hidden sequence."""
        return f"{CATALOG}._base.{quote(self.name)}"

    @cached_property
    def undo(self) -> str:
        """Replaced rows, with the sequence that wrote and the one that replaced them."""
        return f"{CATALOG}._undo.{quote(self.name)}"

    @cached_property
    def delta(self) -> str:
        """The name under which a connection sees the staged rows; with a character that no table's name may have."""
        return f"\x01delta {self.number}"

    @cached_property
    def before(self) -> str:
        """The name under which the writing connection sees rows on their way to `_undo`."""
        return f"\x01before {self.number}"

    @cached_property
    def sequence(self) -> str:
        """The hidden column of the flush that wrote a row; never a column of the user's."""
        return self._free("_sequence")

    @cached_property
    def replaced(self) -> str:
        """The hidden column of the flush that replaced a row."""
        return self._free("_replaced")

    @cached_property
    def deleted(self) -> str:
        """The column that marks a staged row as deleted."""
        return self._free("_deleted")

    @cached_property
    def frame_schema(self) -> pl.Schema:
        """The Polars types of its visible columns, in order."""
        return pl.Schema({item.name: polars_type(item.type) for item in self.schema})

    @cached_property
    def columns(self) -> str:
        """Its visible columns, quoted, with commas."""
        return ", ".join(quote(name) for name in self.schema.names())

    def create_columns(self) -> str:
        """Its visible columns and their types, as CREATE TABLE takes them."""
        return ", ".join(f"{quote(item.name)} {storage_type(item.type)}" for item in self.schema)

    def same_key(self, left: str, right: str) -> str:
        """The condition that two relations' rows have one key; NULL equals NULL."""
        assert self.key is not None, f'table "{self.name}" has no key'
        return " AND ".join(f"{left}.{quote(name)} IS NOT DISTINCT FROM {right}.{quote(name)}" for name in self.key)

    def staged(self) -> str:
        """The staged rows as a relation in the stored types: Arrow knows times of day in nanoseconds only."""
        columns = [
            f"CAST({quote(item.name)} AS {storage_type(item.type)}) AS {quote(item.name)}" if _holds_time(item.type) else quote(item.name)
            for item in self.schema
        ]
        marker = [quote(self.deleted)] if self.key is not None else []
        return f"(SELECT {', '.join([*columns, *marker])} FROM temp.main.{quote(self.delta)})"

    def stored_view(self) -> str:
        """The SELECT that shows the rows of the file; without the catalog, so that it holds under any."""
        return f"SELECT {self.columns} FROM _base.{quote(self.name)}"

    def live_view(self) -> str:
        """The SELECT that shows the rows of the file and the staged ones as one table."""
        if self.key is None:
            return f"SELECT {self.columns} FROM {self.base} UNION ALL SELECT {self.columns} FROM {self.staged()}"
        return (
            f"SELECT {self.columns} FROM {self.base} AS stored ANTI JOIN {self.staged()} AS staged ON {self.same_key('stored', 'staged')} "
            f"UNION ALL SELECT {self.columns} FROM {self.staged()} WHERE NOT {quote(self.deleted)}"
        )

    def empty(self) -> pl.DataFrame:
        """No staged rows, in the form that staged rows have."""
        frame = pl.DataFrame(schema=self.frame_schema)
        return frame if self.key is None else frame.with_columns(pl.Series(self.deleted, [], dtype=pl.Boolean))

    def _free(self, name: str) -> str:
        taken = {item.name.lower() for item in self.schema}
        while name in taken:
            name = f"_{name}"
        return name


def _holds_time(logical: LogicalType) -> bool:
    return logical.root == "TIME" or any(_holds_time(child) for child in (*logical.children, *(item.type for item in logical.fields)))


def require_storable(name: str, schema: TableSchema, key: tuple[str, ...] | None) -> None:
    """Refuse what DuckDB could not hold, by name.

    Raises:
        DefinitionError: FLX-2601, a name cannot be one; FLX-2602, columns differ only in the case of their letters.
        TypeMismatch: FLX-2603, a key column is nested; FLX-2604, a column has no type.
    """
    _require_name(name, f'table name "{name}"')
    if not schema.names():
        raise DefinitionError("FLX-2601", f'table "{name}" has no columns', hint="Select at least one column.")
    _require_distinct([item.name for item in schema], f'table "{name}"')
    for item in schema:
        _require_type(item.type, f'column "{item.name}" of table "{name}"')
    for column in key or ():
        logical = schema.field(column).type
        if logical.root in ("ARRAY", "MAP", "ROW"):
            raise TypeMismatch(
                "FLX-2603",
                f'column "{column}" of type {logical.text()} cannot be a key of table "{name}"',
                detail="A key is compared value by value; arrays, maps and rows are not.",
                hint="Take fields of it as key columns.",
            )


def _require_name(name: str, what: str) -> None:
    if not name or any(ord(character) < 32 for character in name):
        raise DefinitionError("FLX-2601", f"{what} cannot be stored", detail="A name has at least one character, and no control characters.")


def _require_distinct(names: list[str], what: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        _require_name(name, f'column name "{name}" of {what}')
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise DefinitionError(
                "FLX-2602",
                f'"{other}" and "{name}" of {what} differ only in the case of their letters',
                detail="The table store's SQL takes them for one name.",
                hint="Rename one of them.",
            )


def _require_type(logical: LogicalType, what: str) -> None:
    if logical.root == "NULL":
        raise TypeMismatch("FLX-2604", f"{what} has no type", detail="It is NULL in every row.", hint="Give it a type with .cast(...).")
    if logical.root == "ROW":
        _require_distinct([item.name for item in logical.fields], what)
    for child in (*logical.children, *(item.type for item in logical.fields)):
        _require_type(child, what)


def schema_to_json(schema: TableSchema) -> list[list[str]]:
    """The visible columns as plain data: names and types."""
    return [[item.name, str(item.type)] for item in schema.fields if not item.hidden]


def schema_from_json(columns: Iterable[Iterable[str]]) -> TableSchema:
    """The schema that `schema_to_json` wrote."""
    return TableSchema(tuple(Field(name, parse_type(text)) for name, text in columns))


def differences(stored: Table, schema: TableSchema, key: tuple[str, ...] | None) -> list[str]:
    """What another definition says otherwise than a stored table, a sentence each; NOT NULL is no difference."""
    before = {item.name: _nullable(item.type).text() for item in stored.schema}
    after = {item.name: _nullable(item.type).text() for item in schema}
    found = [
        f'Column "{name}" is {before[name]} in the store and {after[name]} now.' for name in before if name in after and before[name] != after[name]
    ]
    found += [f'Column "{name}" {before[name]} is in the store and not in the pipeline.' for name in before if name not in after]
    found += [f'Column "{name}" {after[name]} is in the pipeline and not in the store.' for name in after if name not in before]
    if stored.key != key:
        found.append(f"The key is {_key_words(stored.key)} in the store and {_key_words(key)} now.")
    return found


def _key_words(key: tuple[str, ...] | None) -> str:
    return "none" if key is None else "(" + ", ".join(key) + ")"


def _nullable(logical: LogicalType) -> LogicalType:
    """The type without NOT NULL, inside too."""
    return LogicalType(
        logical.root,
        True,
        logical.length,
        logical.precision,
        logical.scale,
        tuple(_nullable(child) for child in logical.children),
        tuple(Field(item.name, _nullable(item.type)) for item in logical.fields),
    )
