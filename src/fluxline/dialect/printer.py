"""Writes the syntax tree as Flink SQL: every name in back quotes, every text escaped, two spaces per level."""

from __future__ import annotations

import re
from functools import singledispatch
from typing import TYPE_CHECKING

from fluxline.dialect import tree

if TYPE_CHECKING:
    from fluxline.schema import LogicalType

UNITS_MS = (("DAY", 86_400_000), ("HOUR", 3_600_000), ("MINUTE", 60_000), ("SECOND", 1_000))
_PLACEHOLDER = re.compile(r"\{(\d+)(\*?)\}")


def print_statement(statement: tree.Statement) -> str:
    """The statement as text, without a semicolon."""
    return _statement(statement)


def print_script(statements: tuple[tree.Statement, ...]) -> str:
    """All statements, each with its semicolon, a blank line between two."""
    return "\n\n".join(f"{print_statement(statement)};" for statement in statements) + "\n"


def print_term(term: tree.Term) -> str:
    """An expression as text, on one line."""
    return _term(term)


def quote(name: str) -> str:
    """A name in back quotes."""
    return "`" + name.replace("`", "``") + "`"


def quote_text(text: str) -> str:
    """A text in quotes; in Flink SQL a backslash is itself."""
    return "'" + text.replace("'", "''") + "'"


def print_type(kind: LogicalType) -> str:
    """A type, with the names of the fields of a ROW in back quotes, without its own nullability."""
    if kind.root == "ROW":
        return f"ROW<{', '.join(f'{quote(field.name)} {_nested_type(field.type)}' for field in kind.fields)}>"
    if kind.children:
        return f"{kind.root}<{', '.join(_nested_type(child) for child in kind.children)}>"
    return kind.text()


def _nested_type(kind: LogicalType) -> str:
    return print_type(kind) if kind.nullable else f"{print_type(kind)} NOT NULL"


def _indent(text: str, levels: int = 1) -> str:
    return "\n".join("  " * levels + line for line in text.split("\n"))


@singledispatch
def _statement(statement: tree.Statement) -> str:
    raise AssertionError(f"no text for {type(statement).__name__}")


@_statement.register
def _(statement: tree.CreateTable) -> str:
    lines = [_table_column(column) for column in statement.columns]
    if statement.watermark is not None:
        lines.append(f"WATERMARK FOR {quote(statement.watermark.column)} AS {_term(statement.watermark.value)}")
    if statement.primary_key:
        lines.append(f"PRIMARY KEY ({', '.join(quote(name) for name in statement.primary_key)}) NOT ENFORCED")
    options = [f"{quote_text(key)} = {quote_text(value)}" for key, value in statement.options]
    return f"CREATE TABLE {quote(statement.name)} (\n{_lines(lines)}\n) WITH (\n{_lines(options)}\n)"


@_statement.register
def _(statement: tree.CreateView) -> str:
    return f"CREATE VIEW {quote(statement.name)} AS\n{_query(statement.query)}"


@_statement.register
def _(statement: tree.CreateFunction) -> str:
    return f"CREATE TEMPORARY FUNCTION {quote(statement.name)} AS {quote_text(statement.class_name)}"


@_statement.register
def _(statement: tree.Insert) -> str:
    return f"INSERT INTO {quote(statement.table)}\n{_query(statement.query)}"


@_statement.register
def _(statement: tree.StatementSet) -> str:
    return f"EXECUTE {_set(statement)}"


@_statement.register
def _(statement: tree.Explain) -> str:
    return f"EXPLAIN {_set(statement.statement)}"


def _set(statement: tree.StatementSet) -> str:
    inserts = "\n".join(f"{_statement(insert)};" for insert in statement.inserts)
    return f"STATEMENT SET BEGIN\n{inserts}\nEND"


def _lines(parts: list[str]) -> str:
    return ",\n".join(_indent(part) for part in parts)


def _table_column(column: tree.TableColumn) -> str:
    if column.computed is not None:
        return f"{quote(column.name)} AS {_term(column.computed)}"
    assert column.type is not None, "a column has a type or is computed"
    text = f"{quote(column.name)} {print_type(column.type)}"
    # Virtual: a sink on the same table would want to write it otherwise.
    return text if column.metadata is None else f"{text} METADATA FROM {quote_text(column.metadata)} VIRTUAL"


def _query(query: tree.Query) -> str:
    if isinstance(query, tree.UnionAll):
        return "\nUNION ALL\n".join(_query(part) for part in query.parts)
    items = ["*"] if query.items is None else [_item(item) for item in query.items]
    clauses = ["SELECT *" if query.items is None else f"SELECT\n{_lines(items)}", f"FROM {_relation(query.source)}"]
    if query.where:
        clauses.append("WHERE " + "\n  AND ".join(_operand(part) for part in query.where))
    if query.group_by:
        clauses.append("GROUP BY " + ", ".join(_term(part) for part in query.group_by))
    return "\n".join(clauses)


def _item(item: tree.Item) -> str:
    return _term(item.term) if item.alias is None else f"{_term(item.term)} AS {quote(item.alias)}"


def _relation(relation: tree.Relation) -> str:
    if isinstance(relation, tree.Table):
        return quote(relation.name)
    if isinstance(relation, tree.Tumble):
        return _tumble(relation)
    return f"(\n{_indent(_query(relation))}\n)"


def _tumble(window: tree.Tumble) -> str:
    # TABLE (SELECT ...) is no syntax of Flink, TABLE name and (SELECT ...) are.
    data = f"TABLE {quote(window.data.name)}" if isinstance(window.data, tree.Table) else _relation(window.data)
    arguments = [f"DATA => {data}", f"TIMECOL => DESCRIPTOR({quote(window.time_column)})", f"SIZE => {_term(tree.Interval(window.size_ms))}"]
    if window.offset_ms:
        arguments.append(f"`OFFSET` => {_term(tree.Interval(window.offset_ms))}")
    return f"TABLE(TUMBLE(\n{_lines(arguments)}\n))"


@singledispatch
def _term(term: tree.Term) -> str:
    raise AssertionError(f"no text for {type(term).__name__}")


@_term.register
def _(term: tree.Name) -> str:
    return quote(term.name)


@_term.register
def _(term: tree.Text) -> str:
    gap = "" if term.prefix in ("", "x") else " "
    return f"{term.prefix}{gap}{quote_text(term.value)}"


@_term.register
def _(term: tree.Verbatim) -> str:
    return term.text


@_term.register
def _(term: tree.Interval) -> str:
    sign, length_ms = ("-" if term.length_ms < 0 else ""), abs(term.length_ms)
    for unit, unit_ms in UNITS_MS:
        if length_ms and length_ms % unit_ms == 0:
            count = str(length_ms // unit_ms)
            return f"INTERVAL {sign}'{count}' {unit}{f'({len(count)})' if len(count) > 2 else ''}"
    seconds = str(length_ms // 1_000)
    precision = f"({len(seconds)}, 3)" if len(seconds) > 2 else ""
    return f"INTERVAL {sign}'{seconds}.{length_ms % 1_000:03}' SECOND{precision}"


@_term.register
def _(term: tree.Function) -> str:
    arguments = ", ".join(_term(argument) for argument in term.arguments) or ("*" if term.name == "COUNT" else "")
    return f"{term.name}({arguments})" + ("" if term.where is None else f" FILTER (WHERE {_term(term.where)})")


@_term.register
def _(term: tree.CastTo) -> str:
    return f"{'TRY_CAST' if term.tries else 'CAST'}({_term(term.input)} AS {print_type(term.type)})"


@_term.register
def _(term: tree.CaseOf) -> str:
    branches = " ".join(f"WHEN {_term(condition)} THEN {_term(value)}" for condition, value in term.branches)
    return f"CASE {branches} ELSE {_term(term.otherwise)} END"


@_term.register
def _(term: tree.Element) -> str:
    return f"{_operand(term.container)}[{_term(term.key)}]"


@_term.register
def _(term: tree.RunningMaximum) -> str:
    rows = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    return f"MAX({_term(term.value)}) OVER (PARTITION BY {_term(term.partition_by)} ORDER BY {_term(term.order_by)} {rows})"


@_term.register
def _(term: tree.Spelled) -> str:
    def optional(match: re.Match[str]) -> str:
        there = all(int(number) < len(term.arguments) for number, _ in _PLACEHOLDER.findall(match.group(1)))
        return match.group(1) if there else ""

    def argument(match: re.Match[str]) -> str:
        first = int(match.group(1))
        if match.group(2):
            return ", ".join(_operand(part) for part in term.arguments[first:])
        return _operand(term.arguments[first])

    return _PLACEHOLDER.sub(argument, re.sub(r"\[([^\]]*)\]", optional, term.template))


def _operand(term: tree.Term) -> str:
    """A term inside another one; what an operator could tear apart stands in parentheses."""
    text = _term(term)
    negative = isinstance(term, tree.Verbatim) and text.startswith("-")
    return f"({text})" if isinstance(term, tree.Spelled) or negative else text
