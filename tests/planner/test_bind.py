"""Binding: names become columns, types follow Flink's rules, implicit conversions stand in the tree, mistakes point at the part that is wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from fluxline import coalesce, col, concat, count, functions, lit, when
from fluxline.errors import DefinitionError, NameNotFound, Place, TypeMismatch, UnsupportedByEngine
from fluxline.pipeline.expr import Expr, apply, as_unbound
from fluxline.plan import unbound
from fluxline.plan.expressions import Call, Case, Cast, Column, Constant, Expression
from fluxline.planner.bind import Scope, bind, bind_column, bind_measure, bind_predicate
from fluxline.planner.explain import show
from fluxline.planner.failing import can_fail
from fluxline.schema import BIGINT, BOOLEAN, DOUBLE, INT, NULL, Field, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = {
    "flag": "BOOLEAN", "tiny": "TINYINT", "small": "SMALLINT", "number": "INT", "big": "BIGINT", "big0": "BIGINT NOT NULL", "single": "FLOAT",
    "ratio": "DOUBLE", "ratio0": "DOUBLE NOT NULL", "price": "DECIMAL(10, 2)", "weight": "DECIMAL(6, 3) NOT NULL", "word": "STRING",
    "word0": "STRING NOT NULL", "code": "CHAR(4)", "name": "VARCHAR(20)", "blob": "BYTES", "day": "DATE", "clock": "TIME(0)",
    "local": "TIMESTAMP_LTZ(3)", "plain": "TIMESTAMP(3)", "fine": "TIMESTAMP(6)", "items": "ARRAY<INT>",
}  # fmt: skip
SCOPE = Scope(TableSchema(tuple(Field(name, parse_type(text), ("PII",) if name == "word" else ()) for name, text in COLUMNS.items())), "orders")


def bound(expr: Expr) -> Expression:
    """The typed form."""
    return bind(as_unbound(expr), SCOPE)


def refused_with(code: str, call: Callable[[], object]) -> DefinitionError:
    """What the user is told."""
    with pytest.raises(DefinitionError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize(
    ("expr", "text", "kind"),
    [
        # Whole numbers widen to the wider of the two; a constant is INT, or BIGINT where it needs to be, and becomes the column's type at once.
        (col("tiny") + col("small"), "(cast(tiny as SMALLINT) + small)", "SMALLINT"),
        (col("small") + col("number"), "(cast(small as INT) + number)", "INT"),
        (col("number") - col("big"), "(cast(number as BIGINT) - big)", "BIGINT"),
        (col("big") * 2, "(big * 2)", "BIGINT"),
        (col("big0") * 2, "(big0 * 2)", "BIGINT NOT NULL"),
        (col("tiny") + 1, "(cast(tiny as INT) + 1)", "INT"),
        (col("number") + 3_000_000_000, "(cast(number as BIGINT) + 3000000000)", "BIGINT"),
        (2 - col("number"), "(2 - number)", "INT"),
        (-col("small"), "NEGATE(small)", "SMALLINT"),
        # With a fraction: DOUBLE wins; FLOAT stays with whole numbers.
        (col("number") + col("ratio"), "(cast(number as DOUBLE) + ratio)", "DOUBLE"),
        (col("ratio") + 1, "(ratio + 1.0)", "DOUBLE"),
        (col("single") + col("ratio"), "(cast(single as DOUBLE) + ratio)", "DOUBLE"),
        (col("single") + col("big"), "(single + cast(big as FLOAT))", "FLOAT"),
        (col("ratio") * col("price"), "(ratio * cast(price as DOUBLE))", "DOUBLE"),
        # DECIMAL: max(6, 8) digits before the point + 3 behind + 1 for the carry; products add up.
        (col("price") + col("weight"), "(price + weight)", "DECIMAL(12, 3)"),
        (col("price") * col("weight"), "(price * weight)", "DECIMAL(17, 5)"),
        (col("price") + 1, "(price + cast(1 as DECIMAL(10, 0)))", "DECIMAL(13, 2)"),
        # Python's division is true, its // and % floor.
        (col("number") / 2, "(cast(number as DOUBLE) / 2.0)", "DOUBLE"),
        (col("number") / col("small"), "(cast(number as DOUBLE) / cast(small as DOUBLE))", "DOUBLE"),
        (col("number") // 2, "(number // 2)", "INT"),
        (col("big") % 7, "(big % 7)", "BIGINT"),
        (functions.divide(col("number"), 2), "(number / 2)", "INT"),
        # Comparisons are in the common type; text is read as a time where it meets one; the result is nullable where an argument is.
        (col("number") > col("big"), "(cast(number as BIGINT) > big)", "BOOLEAN"),
        (col("ratio") > 25, "(ratio > 25.0)", "BOOLEAN"),
        (col("ratio0") > 25, "(ratio0 > 25.0)", "BOOLEAN NOT NULL"),
        (col("price") == 1, "(price = cast(1 as DECIMAL(10, 0)))", "BOOLEAN"),
        (col("price") <= col("ratio"), "(cast(price as DOUBLE) <= ratio)", "BOOLEAN"),
        (col("code") == "ab", "(cast(code as STRING) = 'ab')", "BOOLEAN"),
        (col("name") != col("word"), "(cast(name as STRING) <> word)", "BOOLEAN"),
        (col("day") >= "2024-06-07", "(day >= cast('2024-06-07' as DATE))", "BOOLEAN"),
        (col("plain") < col("fine"), "(cast(plain as TIMESTAMP(6)) < fine)", "BOOLEAN"),
        (col("big").is_between(1, 9), "BETWEEN(big, 1, 9)", "BOOLEAN"),
        (col("big").is_in([1, 2]), "IN(big, 1, 2)", "BOOLEAN"),
        (col("word").is_null(), "(word IS NULL)", "BOOLEAN NOT NULL"),
        (col("flag") & (col("big") > 1), "(flag AND (big > 1))", "BOOLEAN"),
        (~col("flag"), "NOT(flag)", "BOOLEAN"),
        (col("flag").is_true(), "(flag IS TRUE)", "BOOLEAN NOT NULL"),
        # CASE, COALESCE: the common type; COALESCE cannot be NULL where one argument cannot.
        (when(col("flag")).then(1).otherwise(2.5), "case when flag then 1.0 else 2.5 end", "DOUBLE NOT NULL"),
        (when(col("flag")).then(col("number")).when(col("big") > 1).then(col("big")).otherwise(None),
         "case when flag then cast(number as BIGINT) when (big > 1) then big else cast(NULL as BIGINT) end", "BIGINT"),
        (when(col("flag")).then("a").otherwise(col("code")), "case when flag then 'a' else cast(code as STRING) end", "STRING"),
        (coalesce(col("big"), 0), "COALESCE(big, 0)", "BIGINT NOT NULL"),
        (coalesce(col("number"), col("ratio")), "COALESCE(cast(number as DOUBLE), ratio)", "DOUBLE"),
        # Text: everything in CONCAT becomes text.
        (concat("t: ", col("ratio")), "CONCAT('t: ', cast(ratio as STRING))", "STRING"),
        (concat(col("word0"), col("big0")), "CONCAT(word0, cast(big0 as STRING))", "STRING NOT NULL"),
        (col("word0").str.char_length(), "CHAR_LENGTH(word0)", "INT NOT NULL"),
        (col("local").dt.year(), "YEAR(local)", "BIGINT"),
        # CAST keeps what cannot be NULL, TRY_CAST gives NULL for what cannot be converted; a constant decides ROUND's scale.
        (col("word0").cast(int), "cast(word0 as BIGINT)", "BIGINT NOT NULL"),
        (col("word0").try_cast(int), "try_cast(word0 as BIGINT)", "BIGINT"),
        (col("weight").cast("DECIMAL(3, 0)"), "cast(weight as DECIMAL(3, 0))", "DECIMAL(3, 0)"),  # 999.5 rounds to 1000, which does not fit: NULL
        (col("weight").cast("DECIMAL(5, 1)"), "cast(weight as DECIMAL(5, 1))", "DECIMAL(5, 1) NOT NULL"),
        (functions.round(col("price"), 1), "ROUND(price, 1)", "DECIMAL(10, 1)"),
        # NULL takes the type of what it meets.
        (col("big") + None, "(big + cast(NULL as BIGINT))", "BIGINT"),
        (coalesce(None, col("word0")), "COALESCE(cast(NULL as STRING), word0)", "STRING NOT NULL"),
        (lit(None).cast(str), "cast(NULL as STRING)", "STRING"),
    ],
)  # fmt: skip
def test_an_expression_gets_its_type(expr: Expr, text: str, kind: str) -> None:
    """With the conversions that it implies."""
    found = bound(expr)
    assert show(found) == text
    assert str(found.type) == kind


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        (True, "BOOLEAN", True),
        (0, "INT", 0),
        (2**31 - 1, "INT", 2**31 - 1),
        (-(2**31), "INT", -(2**31)),
        (2**31, "BIGINT", 2**31),
        (-(2**63), "BIGINT", -(2**63)),
        (2.0, "DOUBLE", 2.0),
        ("a", "STRING", "a"),
        (b"a", "BYTES", b"a"),
        (Decimal("12.50"), "DECIMAL(4, 2)", Decimal("12.50")),
        (Decimal("0.005"), "DECIMAL(3, 3)", Decimal("0.005")),
        (Decimal("1E+3"), "DECIMAL(4, 0)", Decimal("1E+3")),
        (Decimal(0), "DECIMAL(1, 0)", Decimal(0)),
        (date(2024, 6, 7), "DATE", date(2024, 6, 7)),
        (time(12, 30), "TIME(3)", time(12, 30)),
        (datetime.fromisoformat("2024-06-07T12:30:00"), "TIMESTAMP(3)", datetime.fromisoformat("2024-06-07T12:30:00")),
        (datetime.fromisoformat("2024-06-07T12:30:00.000001"), "TIMESTAMP(6)", datetime.fromisoformat("2024-06-07T12:30:00.000001")),
        (datetime(2024, 6, 7, 12, tzinfo=UTC), "TIMESTAMP_LTZ(3)", datetime.fromisoformat("2024-06-07T12:00:00")),
        (datetime(2024, 6, 7, 12, tzinfo=timezone(timedelta(hours=2))), "TIMESTAMP_LTZ(3)", datetime.fromisoformat("2024-06-07T10:00:00")),
    ],
)
def test_a_python_value_has_a_type(value: Any, kind: str, kept: object) -> None:
    """A constant is never NULL; an instant is kept in UTC."""
    found = bound(lit(value))
    assert isinstance(found, Constant)
    assert str(found.type) == f"{kind} NOT NULL"
    assert repr(found.value) == repr(kept)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (2**63, "the constant cannot be used: 9223372036854775808 does not fit 64 bits"),
        (timedelta(seconds=5), "the constant cannot be used: timedelta has no SQL type"),
        (Decimal("NaN"), "the constant cannot be used: Decimal has no SQL type"),
        (Decimal(1).scaleb(38), "the constant cannot be used: Decimal has no SQL type"),
        ([1, 2], "the constant cannot be used: list has no SQL type"),
        (object, "the constant cannot be used: type has no SQL type"),
    ],
)
def test_a_value_without_a_type_is_refused(value: Any, fact: str) -> None:
    """At its place."""
    error = refused_with("FLX-2113", lambda: bound(lit(value)))
    assert error.fact == fact
    assert error.place is not None


def test_an_unknown_column_is_refused_where_it_stands() -> None:
    """With the nearest spelling, and the stream's columns."""
    place = Place("shop.py", 7, 12, 24)
    expression = unbound.Apply(">", (unbound.Name("rato", place), unbound.Constant(1, Place("shop.py", 7, 30))), Place("shop.py", 7, 12))
    error = refused_with("FLX-2104", lambda: bind(expression, SCOPE))
    assert isinstance(error, NameNotFound)
    assert error.place == place
    assert error.fact == 'no column "rato" in stream "orders"'
    assert error.hint == 'Did you mean "ratio"?'
    assert error.detail.startswith("The stream has flag BOOLEAN, tiny TINYINT,")


def test_a_column_that_is_like_nothing_has_no_hint() -> None:
    """A guess would mislead."""
    assert refused_with("FLX-2104", lambda: bound(col("zzzzzzzz"))).hint == ""


def test_an_unknown_function_is_refused_with_the_nearest_spelling() -> None:
    """The API has no such call; another front door may."""
    error = refused_with("FLX-2106", lambda: bound(apply("CHAR_LENGHT", col("word"))))
    assert error.hint == 'Did you mean "CHAR_LENGTH"?'


@pytest.mark.parametrize(
    ("expr", "fact", "detail"),
    [
        (col("word").str.upper() + 1, "+ does not fit its arguments (STRING, INT)", "Argument 1 of + is STRING, and has to be a number."),
        (functions.abs(col("word")), "ABS does not fit its arguments (STRING)", "Argument 1 of ABS is STRING, and has to be a number."),
        (col("flag") & col("big"), "AND does not fit its arguments (BOOLEAN, BIGINT)", "Argument 2 of AND is BIGINT, and has to be a condition."),
        (~col("big"), "NOT does not fit its arguments (BIGINT)", "Argument 1 of NOT is BIGINT, and has to be a condition."),
        (col("day") > 3, "> does not fit its arguments (DATE, INT)", "DATE and INT cannot be compared."),
        (col("items") == col("items"), "= does not fit its arguments (ARRAY<INT>, ARRAY<INT>)", "ARRAY<INT> and ARRAY<INT> cannot be compared."),
        (coalesce(col("word"), 1), "COALESCE does not fit its arguments (STRING, INT)",
         "COALESCE needs values of one type; STRING, INT have none in common. Cast them."),
        (apply("NOT"), "NOT does not fit its arguments ()", "NOT takes 1 argument, not 0."),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(expr: Expr, fact: str, detail: str) -> None:
    """With the types that are there, and what is wanted."""
    error = refused_with("FLX-2113", lambda: bound(expr))
    assert isinstance(error, TypeMismatch)
    assert (error.fact, error.detail) == (fact, detail)
    assert error.place is not None


def test_an_instant_and_a_local_time_are_not_compared() -> None:
    """Which zone the local time is in, nobody said; the message says what to write."""
    error = refused_with("FLX-2113", lambda: bound(col("local") > col("plain")))
    assert "a datetime that has a time zone" in error.detail


@pytest.mark.parametrize(
    ("expr", "position"),
    [
        (col("word").str.like(col("name")), 2),
        (functions.round(col("price"), col("number")), 2),
        (functions.regexp_extract(col("word"), col("name"), 1), 2),
    ],
)
def test_an_argument_that_has_to_be_a_constant(expr: Expr, position: int) -> None:
    """The place is the argument's."""
    error = refused_with("FLX-2113", lambda: bound(expr))
    apply_place = as_unbound(expr).place
    assert error.fact.startswith(f"argument {position} of ")
    assert error.fact.endswith(" has to be a constant")
    assert error.place is not None
    assert apply_place is not None
    assert error.place.column > apply_place.column


def test_branches_without_a_common_type_are_refused() -> None:
    """A number and a text have none."""
    error = refused_with("FLX-2113", lambda: bound(when(col("flag")).then(1).otherwise("a")))
    assert error.fact == "the branches have no common type (INT, STRING)"


def test_a_conversion_that_does_not_exist_is_refused() -> None:
    """A day is no number."""
    error = refused_with("FLX-2114", lambda: bound(col("day").cast(int)))
    assert error.fact == "DATE cannot be converted to BIGINT"


def test_an_aggregate_is_no_value_per_row() -> None:
    """Neither alone nor inside."""
    for expr in (col("big").sum(), col("big").sum() + 1, coalesce(count(), 0)):
        error = refused_with("FLX-2115", lambda expr=expr: bound(expr))  # type: ignore[misc]  # binds the loop's value
        assert error.place is not None
    assert refused_with("FLX-2115", lambda: bound(count())).fact == "the aggregate COUNT stands where one value per row is needed"


def test_a_condition_is_boolean() -> None:
    """NULL becomes one."""
    error = refused_with("FLX-2116", lambda: bind_predicate(as_unbound(col("big")), SCOPE, what="filter"))
    assert error.fact == "filter needs a condition, and this is BIGINT"
    assert bind_predicate(as_unbound(lit(None)), SCOPE, what="filter") == Cast(Constant(None, NULL), BOOLEAN)
    assert refused_with("FLX-2116", lambda: bound(when(col("big")).then(1).otherwise(2))).fact == "when() needs a condition, and this is BIGINT"


def test_a_column_keeps_its_name_and_tags() -> None:
    """A computed one needs a name, and a bare NULL a type."""
    assert bind_column(as_unbound(col("word")), SCOPE).name == "word"
    assert bind_column(as_unbound(col("word")), SCOPE).tags == ("PII",)
    assert bind_column(as_unbound(col("word").alias("w")), SCOPE).tags == ("PII",)
    assert bind_column(as_unbound(col("word")), SCOPE, name="other").name == "other"
    assert bind_column(as_unbound(col("word").str.upper()), SCOPE, name="upper").tags == ()
    assert refused_with("FLX-2117", lambda: bind_column(as_unbound(col("big") + 1), SCOPE)).fact == "this column has no name"
    assert refused_with("FLX-2118", lambda: bind_column(as_unbound(lit(None)), SCOPE, name="x")).fact == 'column "x" has no type'
    nothing = when(col("flag")).then(None).otherwise(None)
    refused_with("FLX-2118", lambda: bind_column(as_unbound(nothing), SCOPE, name="x"))


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        (count(), "BIGINT NOT NULL"),
        (col("word").count(), "BIGINT NOT NULL"),
        (count().filter(col("flag")), "BIGINT NOT NULL"),
        (col("small").sum(), "SMALLINT"),
        (col("big0").sum(), "BIGINT"),
        (col("price").sum(), "DECIMAL(38, 2)"),
        (col("number").avg(), "INT"),
        (col("ratio").avg(), "DOUBLE"),
        (col("price").avg(), "DECIMAL(38, 6)"),
        (col("word").min(), "STRING"),
        (col("day").max(), "DATE"),
    ],
)
def test_an_aggregate_has_flink_s_type(expr: Expr, kind: str) -> None:
    """A sum is nullable, whatever is summed: a group may have no value."""
    found = bind_measure(as_unbound(expr), SCOPE, name="x")
    assert str(found.type) == kind


def test_a_filtered_aggregate_may_have_no_rows() -> None:
    """Its sum is NULL then, its count 0."""
    assert bind_measure(as_unbound(col("big0").max().filter(col("flag"))), SCOPE, name="x").type.nullable


def test_what_agg_does_not_take() -> None:
    """A value per row, an aggregate without a name, one of text, one that comes later."""
    assert refused_with("FLX-2119", lambda: bind_measure(as_unbound(col("big")), SCOPE, name="x")).place is not None
    refused_with("FLX-2119", lambda: bind_measure(as_unbound(col("big").sum() + 1), SCOPE, name="x"))
    assert refused_with("FLX-2117", lambda: bind_measure(as_unbound(count()), SCOPE)).fact == "this aggregate has no name"
    error = refused_with("FLX-2113", lambda: bind_measure(as_unbound(col("word").sum()), SCOPE, name="x"))
    assert (error.fact, error.detail) == ("SUM does not fit its argument", "SUM takes a number, not STRING.")
    later = refused_with("FLX-2190", lambda: bind_measure(unbound.Measured("LISTAGG", unbound.Name("word")), SCOPE, name="x"))
    assert isinstance(later, UnsupportedByEngine)
    assert later.detail == "It has AVG, COUNT, MAX, MIN, SUM."
    distinct = unbound.Measured("COUNT", unbound.Name("word"), distinct=True)
    assert (
        refused_with("FLX-2190", lambda: bind_measure(distinct, SCOPE, name="x")).fact
        == "the aggregate COUNT of distinct values is not part of this version"
    )


@pytest.mark.parametrize(
    ("expr", "fails"),
    [
        (col("word").cast(int), True),
        (col("word").try_cast(int), False),
        (col("number").cast(str), False),
        (col("ratio").cast("DECIMAL(5, 2)"), True),
        (col("number") // col("big"), True),
        (col("number") // 2, False),
        (col("number") // 0, True),
        (col("number") / 2, False),
        (col("number") / col("big"), False),
        (col("ratio") / col("ratio"), False),
        (col("price") / col("weight"), True),
        (col("price") / Decimal("2.5"), False),
        (functions.mod(col("number"), 0), True),
        (functions.round(col("ratio"), 1), True),
        (functions.round(col("price"), 1), False),
        (when(col("word").cast(int) > 1).then(1).otherwise(2), True),
        (col("big") + 1, False),
    ],
)
def test_what_can_fail_for_a_row(expr: Expr, fails: bool) -> None:
    """Text that is no number, a whole number or DECIMAL by zero, NaN where digits are needed; a DOUBLE divides by zero as Java does."""
    assert can_fail(bound(expr)) is fails


def test_the_tree_is_what_was_written() -> None:
    """Not only its text."""
    assert bound(col("big") + 1) == Call("+", (Column("big", BIGINT), Constant(1, BIGINT.with_nullable(False))), BIGINT)
    assert bound(when(col("flag")).then(1).otherwise(2)) == Case(
        ((Column("flag", BOOLEAN), Constant(1, INT.with_nullable(False))),), Constant(2, INT.with_nullable(False)), INT.with_nullable(False)
    )
    assert bound(col("number").cast(float)) == Cast(Column("number", INT), DOUBLE)
