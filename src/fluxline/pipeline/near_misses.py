"""Words of other libraries that people type by habit, and ours for them. One table; each raises AttributeError with our word."""

from __future__ import annotations

from typing import NoReturn

from fluxline.pipeline.later import LATER, refuse
from fluxline.pipeline.origin import here

STREAM = {
    "where": ".filter(...)", "groupBy": ".group_by(...)", "groupby": ".group_by(...)", "withColumn": ".with_columns(name=...)",
    "with_column": ".with_columns(name=...)", "assign": ".with_columns(name=...)", "mutate": ".with_columns(name=...)",
    "add_columns": ".with_columns(name=...)", "withColumnRenamed": '.rename({"old": "new"})', "union": ".union_all(...)",
    "concat": ".union_all(...)", "unique": '.deduplicate(per=..., keep="first")', "distinct": '.deduplicate(per=..., keep="first")',
    "map": ".with_columns(...), or .map_batches(function, schema=...) for a function of frames",
    "flat_map": ".map_batches(function, schema=...)", "apply": ".map_batches(function, schema=...)", "foreach": ".sink(name)",
    "to_topic": ".sink(name)", "write": ".sink(name)", "insert_into": ".sink(name)", "execute_insert": ".sink(name)", "to": ".sink(name)",
    "key_by": ".group_by(...)", "aggregate": ".agg(...)", "with_watermark": 'source(..., event_time="...", watermark="...")',
    "withWatermark": 'source(..., event_time="...", watermark="...")', "show": ".collect(rows_max=10)", "head": ".collect(rows_max=10)",
    "limit": ".collect(rows_max=...)", "to_pandas": ".collect(...).to_pandas()", "print": '.sink(name), bound to the connector "print"',
    "group_by_dynamic": '.window(tumble("1 hour")).group_by(...)', "tumbling_window": '.window(tumble("1 hour"))',
    "sort": "no order: rows of a stream have none but their time", "parallelism": "the environment's setting in fluxline.toml",
}  # fmt: skip

EXPR = {
    "mean": ".avg()", "average": ".avg()", "len": "count()", "unique": ".count_distinct()",
    "nunique": ".count_distinct()", "n_unique": ".count_distinct()",
    "fill_null": "coalesce(col(...), value)", "isNull": ".is_null()", "isNotNull": ".is_not_null()",
    "isnull": ".is_null()", "notnull": ".is_not_null()",
    "isin": ".is_in([...])", "astype": ".cast(type)", "name": ".alias(name)", "as_": ".alias(name)", "between": ".is_between(low, high)",
    "to_uppercase": ".str.upper()", "upper": ".str.upper()", "lower": ".str.lower()", "and_": "a & b", "or_": "a | b", "not_": "~a",
    "eq": "a == b", "ne": "a != b", "gt": "a > b", "ge": "a >= b", "lt": "a < b", "le": "a <= b", "otherwise": "when(...).then(...).otherwise(...)",
    "abs": "functions.abs(...)", "round": "functions.round(...)", "floor": "functions.floor(...)",
    "ceil": "functions.ceil(...)", "sqrt": "functions.sqrt(...)",
}  # fmt: skip

TEXT = {
    "to_uppercase": ".str.upper()", "to_lowercase": ".str.lower()", "len_chars": ".str.char_length()", "len": ".str.char_length()",
    "length": ".str.char_length()", "slice": ".str.substring(start, length)", "strip": ".str.trim()", "strip_chars": ".str.trim()",
    "starts_with": "functions.startswith(...)", "ends_with": "functions.endswith(...)", "startswith": "functions.startswith(...)",
    "endswith": "functions.endswith(...)", "contains": '.str.like("%part%")', "replace_all": ".str.replace(...)",
}  # fmt: skip

PIPELINE = {
    "from_source": ".source(name, schema=...)", "read": ".source(name, schema=...)",
    "stream": ".source(name, schema=...)", "table": ".source(name, schema=...)",
    "execute": ".run()", "from_path": ".source(name, schema=...)", "sql_query": ".sql(query)", "add_source": ".source(name, schema=...)",
}  # fmt: skip


def miss(owner: str, name: str, table: dict[str, str]) -> NoReturn:
    """Raise what a name that the class does not have deserves.

    Raises:
        UnsupportedByEngine: the name is decided and comes later.
        AttributeError: with our word, where the name is a known near miss.
    """
    if f"{owner}.{name}" in LATER:
        raise refuse(f"{owner}.{name}", here())
    if name in table:
        raise AttributeError(f"{owner} has no {name}; write {table[name]}")
    raise AttributeError(f"{owner} has no attribute {name!r}")
