"""Queries of the connector `cassandra`: the text goes to the node as it is, the rows come back as a frame.

CQL type                                    in the frame
boolean, tinyint .. bigint, counter         as they are
float, double, text, ascii, blob            as they are
timestamp                                   milliseconds of UTC
list, set, vector                           list
map                                         list of key and value
tuple, user-defined type                    struct
decimal, varint, date, time, duration,
uuid, timeuuid, inet                        text, for each has values that no column of a frame holds
"""

from __future__ import annotations

import datetime as dt
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from cassandra import ConsistencyLevel as Consistency
from cassandra import DriverException, InvalidRequest, RequestValidationException
from cassandra import Unauthorized as NotPermitted
from cassandra import cqltypes as cql
from cassandra.cluster import EXEC_PROFILE_DEFAULT
from cassandra.protocol import ErrorMessage, SyntaxException
from cassandra.query import SimpleStatement, tuple_factory

from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.session import Session, explain
from fluxline.errors import DefinitionError, ExternalError, SQLSyntaxError
from fluxline.limits import CASSANDRA_PAGE_ROWS, MIB, STORE_RESULT_BYTES_MAX, STORE_RESULT_ROWS_MAX
from fluxline.store.query import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.connectors.base import QueryContext
    from fluxline.errors import FluxlineError

Shape: TypeAlias = "tuple[Any, Callable[[Any], object]]"
"""The type of a column of a frame, and what makes its values of the driver's."""

_SCALARS: dict[str, Any] = {
    "boolean": pl.Boolean(), "tinyint": pl.Int8(), "smallint": pl.Int16(), "int": pl.Int32(), "bigint": pl.Int64(), "counter": pl.Int64(),
    "float": pl.Float32(), "double": pl.Float64(), "text": pl.String(), "varchar": pl.String(), "ascii": pl.String(), "blob": pl.Binary(),
}  # fmt: skip
_SAID = re.compile(r'message="(.*)"', re.DOTALL)


def ask(context: QueryContext, text: str) -> Answer:
    """The rows of one statement of CQL, asked in the connection's keyspace.

    Raises:
        SQLSyntaxError: FLX-1156, Cassandra does not understand it.
        DefinitionError: FLX-1157, Cassandra refuses it; FLX-2615 or FLX-2616, the answer is too large.
        ExternalError: FLX-4751 and FLX-4752, as for every connection; FLX-4756, a value is beyond what Python has, such as a
            timestamp of the year 10000.
    """
    assert isinstance(context.options, CassandraOptions), f"options of another connector: {context.options}"
    session = Session(context.options, context.directory)
    try:
        return _answer(session, text, context.limit)
    finally:
        session.close()


def _answer(session: Session, text: str, limit: int | None) -> Answer:
    driver, options = session.driver, session.options
    rows_max = STORE_RESULT_ROWS_MAX if limit is None else min(limit, STORE_RESULT_ROWS_MAX)
    # To read with ANY is not possible: a replica that has nothing would do.
    level = Consistency.name_to_value["LOCAL_ONE" if options.consistency == "ANY" else options.consistency]
    profile = driver.execution_profile_clone_update(EXEC_PROFILE_DEFAULT, row_factory=tuple_factory, consistency_level=level)
    has_keyspace = False
    try:
        has_keyspace = _use(driver, options.keyspace)
        statement = SimpleStatement(text, fetch_size=min(rows_max + 1, CASSANDRA_PAGE_ROWS))
        result = driver.execute(statement, execution_profile=profile)
        rows = list(islice(result, rows_max + 1))
    except Exception as error:
        missing = "" if has_keyspace else f' The connection\'s keyspace "{options.keyspace}" does not exist.'
        raise _refused(error, missing) or explain(error, options, "a query") from error
    truncated = len(rows) > rows_max
    if truncated and limit is None:
        raise DefinitionError("FLX-2615", f"the answer has more than {rows_max:,} rows", hint="Ask for fewer: filter, or set a limit.")
    frame = frame_of(result.column_names or (), result.column_types or (), rows[:rows_max])
    if frame.estimated_size() > STORE_RESULT_BYTES_MAX:
        raise DefinitionError(
            "FLX-2616", f"the answer is larger than {STORE_RESULT_BYTES_MAX // MIB} MiB", hint="Ask for fewer rows or columns, or set a limit."
        )
    return Answer(frame, truncated)


def _use(driver: Any, keyspace: str) -> bool:
    """Let names without a keyspace mean the connection's; False where that one is not there, for the query may create it."""
    try:
        driver.set_keyspace(keyspace)
    except InvalidRequest:
        return False
    return True


def _refused(error: Exception, missing: str) -> FluxlineError | None:
    """What a node says of a text that is at fault, or the driver of a value; None where it is the connection."""
    if isinstance(error, SyntaxException):
        return SQLSyntaxError("FLX-1156", "Cassandra does not understand the query", detail=f"It says: {said(error)}")
    if type(error) is DriverException or isinstance(error, OverflowError | ValueError):
        hint = "Ask for it as text: SELECT CAST(column AS text)."
        return ExternalError("FLX-4756", "the answer of Cassandra holds a value that cannot be shown", detail=said(error), hint=hint)
    if isinstance(error, NotPermitted) or not isinstance(error, RequestValidationException | ErrorMessage):
        return None
    return DefinitionError("FLX-1157", "Cassandra refuses the query", detail=f"It says: {said(error)}{missing}")


def said(error: Exception) -> str:
    """The node's own words in an error of the driver, as a sentence."""
    found = _SAID.search(str(error))
    text = found.group(1) if found is not None else str(error)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def frame_of(names: Sequence[str], kinds: Sequence[Any], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    """The rows of an answer as a frame; a name that stands there already gets a number."""
    columns: dict[str, pl.Series] = {}
    for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        free, number = name, 0
        while free in columns:
            number += 1
            free = f"{name}_{number}"
        dtype, made = _shape(kind)
        columns[free] = pl.Series(free, [None if row[position] is None else made(row[position]) for row in rows], dtype=dtype)
    return pl.DataFrame(list(columns.values()))


def _shape(kind: Any) -> Shape:
    if kind.typename in _SCALARS:
        return _SCALARS[kind.typename], lambda value: value
    if kind.typename == "timestamp":
        return pl.Datetime("ms", "UTC"), lambda value: value.replace(tzinfo=dt.UTC)
    if issubclass(kind, cql.MapType):
        (keys, made_key), (values, made_value) = (_nullable(_shape(child)) for child in kind.subtypes)
        pair = pl.Struct({"key": keys, "value": values})
        return pl.List(pair), lambda value: [{"key": made_key(one), "value": made_value(other)} for one, other in value.items()]
    if issubclass(kind, cql.TupleType):
        shapes = [_nullable(_shape(child)) for child in kind.subtypes]
        fields = getattr(kind, "fieldnames", None) or [str(position) for position in range(len(shapes))]
        struct = pl.Struct(dict(zip(fields, (dtype for dtype, _made in shapes), strict=True)))
        return struct, lambda value: {name: made(part) for name, (_dtype, made), part in zip(fields, shapes, value, strict=True)}
    if issubclass(kind, cql.ListType | cql.SetType | cql.VectorType):
        inner, made = _nullable(_shape(kind.subtype if issubclass(kind, cql.VectorType) else kind.subtypes[0]))
        return pl.List(inner), lambda value: [made(part) for part in value]
    return pl.String(), str


def _nullable(shape: Shape) -> Shape:
    """The shape for a place inside another value, where NULL may stand."""
    dtype, made = shape
    return dtype, lambda value: None if value is None else made(value)
