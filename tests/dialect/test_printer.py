"""The text of Flink SQL: quoting, literals, types, statements, each written down by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxline.dialect import tree
from fluxline.dialect.printer import print_script, print_statement, print_term, print_type, quote, quote_text
from fluxline.schema import BIGINT, INT, STRING, parse_type

ID, NAME = tree.Name("id"), tree.Name("name")


@given(st.text(min_size=1))
def test_a_name_in_quotes_is_read_back(name: str) -> None:
    """A reader that takes two back quotes for one, and ends at a single one, finds the name and nothing behind it."""
    text = quote(name) + "."
    found = re.match(r"`((?:[^`]|``)*)`", text, re.DOTALL)
    assert found is not None
    assert found.group(1).replace("``", "`") == name
    assert text[found.end() :] == "."


@given(st.text())
def test_a_text_in_quotes_is_read_back(value: str) -> None:
    text = quote_text(value) + "."
    found = re.match(r"'((?:[^']|'')*)'", text, re.DOTALL)
    assert found is not None
    assert found.group(1).replace("''", "'") == value
    assert text[found.end() :] == "."


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (tree.Name("a`b"), "`a``b`"),
        (tree.Text("it's \\n"), "'it''s \\n'"),
        (tree.Text("2026-01-01", "DATE"), "DATE '2026-01-01'"),
        (tree.Text("ff", "x"), "x'ff'"),
        (tree.Verbatim("NULL"), "NULL"),
        (tree.Interval(3_000), "INTERVAL '3' SECOND"),
        (tree.Interval(100_000), "INTERVAL '100' SECOND(3)"),
        (tree.Interval(90_000_000), "INTERVAL '25' HOUR"),
        (tree.Interval(259_200_000), "INTERVAL '3' DAY"),
        (tree.Interval(1), "INTERVAL '0.001' SECOND"),
        (tree.Interval(123_456), "INTERVAL '123.456' SECOND(3, 3)"),
        (tree.Interval(-1_500), "INTERVAL -'1.500' SECOND"),
        (tree.Interval(0), "INTERVAL '0.000' SECOND"),
        (tree.Function("COUNT", ()), "COUNT(*)"),
        (tree.Function("SUM", (ID,), tree.Spelled("{0} > {1}", (ID, tree.Verbatim("2")))), "SUM(`id`) FILTER (WHERE `id` > 2)"),
        (tree.CastTo(ID, STRING, tries=True), "TRY_CAST(`id` AS STRING)"),
        (tree.CaseOf(((NAME, ID),), tree.Verbatim("NULL")), "CASE WHEN `name` THEN `id` ELSE NULL END"),
        (tree.Element(NAME, tree.Text("a'b")), "`name`['a''b']"),
        (tree.Spelled("{0} - {1}", (ID, tree.Verbatim("-2"))), "`id` - (-2)"),
        (tree.Spelled("{0} * {1}", (ID, tree.Spelled("{0} + {1}", (ID, ID)))), "`id` * (`id` + `id`)"),
        (tree.Spelled("{0} IN ({1*})", (ID, tree.Verbatim("1"), tree.Verbatim("2"))), "`id` IN (1, 2)"),
        (tree.Spelled("TRIM({0}[ FROM {1}])", (NAME,)), "TRIM(`name`)"),
        (tree.Spelled("TRIM({0}[ FROM {1}])", (NAME, ID)), "TRIM(`name` FROM `id`)"),
        (
            tree.RunningMaximum(ID, NAME, tree.Name("at")),
            "MAX(`id`) OVER (PARTITION BY `name` ORDER BY `at` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        ),
    ],
)
def test_terms(term: tree.Term, text: str) -> None:
    assert print_term(term) == text


@pytest.mark.parametrize(
    ("given_type", "text"),
    [
        ("DECIMAL(10, 2)", "DECIMAL(10, 2)"),
        ("ARRAY<INT>", "ARRAY<INT>"),
        ("MAP<STRING, ARRAY<BIGINT>>", "MAP<STRING, ARRAY<BIGINT>>"),
        ("ROW<a INT, b ARRAY<STRING NOT NULL>>", "ROW<`a` INT, `b` ARRAY<STRING NOT NULL>>"),
        ("INT NOT NULL", "INT"),
    ],
)
def test_types(given_type: str, text: str) -> None:
    """The nullability of a column itself is no part of it: Flink's formats do not hold to it."""
    assert print_type(parse_type(given_type)) == text


def test_a_table() -> None:
    columns = (
        tree.TableColumn("id", BIGINT),
        tree.TableColumn("$partition", INT, metadata="partition"),
        tree.TableColumn("$arrived", computed=tree.Function("PROCTIME", ())),
    )
    watermark = tree.Watermark("at", tree.Spelled("{0} - {1}", (tree.Name("at"), tree.Interval(1_000))))
    table = tree.CreateTable("t", columns, (("connector", "kafka"), ("topic", "it's")), watermark, ("id",))
    assert (
        print_statement(table)
        == """CREATE TABLE `t` (
  `id` BIGINT,
  `$partition` INT METADATA FROM 'partition' VIRTUAL,
  `$arrived` AS PROCTIME(),
  WATERMARK FOR `at` AS `at` - INTERVAL '1' SECOND,
  PRIMARY KEY (`id`) NOT ENFORCED
) WITH (
  'connector' = 'kafka',
  'topic' = 'it''s'
)"""
    )


def test_a_window_over_a_table_and_over_a_query() -> None:
    window = tree.Tumble(tree.Table("t"), "at", 10_000, 2_000)
    assert (
        print_statement(tree.CreateView("v", tree.Select(window)))
        == """CREATE VIEW `v` AS
SELECT *
FROM TABLE(TUMBLE(
  DATA => TABLE `t`,
  TIMECOL => DESCRIPTOR(`at`),
  SIZE => INTERVAL '10' SECOND,
  `OFFSET` => INTERVAL '2' SECOND
))"""
    )
    window = tree.Tumble(tree.Select(tree.Table("t"), (tree.Item(ID),), (NAME,)), "at", 10_000)
    assert (
        print_statement(tree.CreateView("v", tree.Select(window, None, (), (ID,))))
        == """CREATE VIEW `v` AS
SELECT *
FROM TABLE(TUMBLE(
  DATA => (
    SELECT
      `id`
    FROM `t`
    WHERE `name`
  ),
  TIMECOL => DESCRIPTOR(`at`),
  SIZE => INTERVAL '10' SECOND
))
GROUP BY `id`"""
    )


def test_a_script() -> None:
    both = tree.UnionAll((tree.Select(tree.Table("a"), (tree.Item(ID, "key"),)), tree.Select(tree.Table("b"), (tree.Item(ID),))))
    script = (tree.CreateView("v", both), tree.StatementSet((tree.Insert("s", tree.Select(tree.Table("v"))),)))
    assert (
        print_script(script)
        == """CREATE VIEW `v` AS
SELECT
  `id` AS `key`
FROM `a`
UNION ALL
SELECT
  `id`
FROM `b`;

EXECUTE STATEMENT SET BEGIN
INSERT INTO `s`
SELECT *
FROM `v`;
END;
"""
    )
