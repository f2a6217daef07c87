"""What holds for every word: its example is true, NULL gives NULL, both forms agree, and the dictionary loads no frame library."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from fluxline.errors import NameNotFound
from fluxline.library import AGGREGATES, FUNCTIONS, find_aggregate, find_function
from fluxline.library.examples import sql_text, type_of_value
from fluxline.plan.expressions import Constant
from tests.library.expressions import call, table

ONE_ROW = table(any=("INT", [1]))
NAMES = sorted(FUNCTIONS)


def as_columns(name: str) -> tuple[Any, list[Any]]:
    """A table of the example's arguments, and the arguments as its columns where they need not be constants."""
    function = FUNCTIONS[name]
    columns, arguments = {}, []
    for position, value in enumerate(function.example[0]):
        kind = "BOOLEAN" if value is None else str(type_of_value(value).with_nullable(True))
        columns[f"a{position}"] = (kind, [value, value])
        arguments.append(position)
    made = table(**columns)
    return made, [
        function.example[0][position] if position in function.constant or function.example[0][position] is None else made.col(f"a{position}")
        for position in arguments
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_true_of_constants(name: str) -> None:
    arguments: tuple[Any, ...] = FUNCTIONS[name].example[0]
    result = FUNCTIONS[name].example[1]
    values, failed = ONE_ROW.evaluate(call(name, *arguments))
    assert (values, failed) == ([result], [False])
    assert type(values[0]) is type(result)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_true_of_columns_in_both_forms(name: str) -> None:
    made, arguments = as_columns(name)
    expression = call(name, *arguments)
    result = FUNCTIONS[name].example[1]
    assert made.evaluate(expression) == ([result, result], [False, False])
    if any(not isinstance(argument, Constant) for argument in expression.arguments):
        assert made.evaluate_in_polars(expression) == ([result, result], [False, False])


@pytest.mark.parametrize("name", sorted(name for name in NAMES if FUNCTIONS[name].nulls == "propagate"))
def test_null_in_each_argument_gives_null(name: str) -> None:
    arguments: tuple[Any, ...] = FUNCTIONS[name].example[0]
    for position in range(len(arguments)):
        if position in FUNCTIONS[name].constant:
            continue
        kinds = {
            f"a{index}": (str(type_of_value(value).with_nullable(True)), [None if index == position else value] * 2)
            for index, value in enumerate(arguments)
        }
        made = table(**kinds)
        expression = call(name, *(value if index in FUNCTIONS[name].constant else made.col(f"a{index}") for index, value in enumerate(arguments)))
        assert expression.type.nullable
        assert made.evaluate(expression) == ([None, None], [False, False])
        assert made.evaluate_in_polars(expression) == ([None, None], [False, False])


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_rows(name: str) -> None:
    made, arguments = as_columns(name)
    expression = call(name, *arguments)
    nothing = type(made)(made.schema, made.batch.slice(0, 0))
    assert nothing.evaluate(expression) == ([], [])
    if any(not isinstance(argument, Constant) for argument in expression.arguments):
        assert nothing.evaluate_in_polars(expression) == ([], [])


def test_a_name_is_found_in_any_case_and_a_wrong_one_is_answered_with_the_nearest() -> None:
    assert find_function("substring") is FUNCTIONS["SUBSTRING"]
    assert find_aggregate("avg") is AGGREGATES["AVG"]
    with pytest.raises(NameNotFound) as caught:
        find_function("SUBSTRNG")
    assert (caught.value.code, caught.value.hint) == ("FLX-2106", 'Did you mean "SUBSTRING"?')
    with pytest.raises(NameNotFound) as caught:
        find_aggregate("MEDIAN")
    assert caught.value.code == "FLX-2106"


def test_the_dictionary_loads_neither_polars_nor_numpy() -> None:
    source = "import sys, fluxline.library; print([name for name in ('polars', 'numpy', 'duckdb') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [*NAMES, *sorted(AGGREGATES)])
def test_every_word_is_described(name: str) -> None:
    word = FUNCTIONS.get(name) or AGGREGATES[name]
    assert word.doc.endswith(".")
    assert word.takes
    assert word.python
    assert word.name == name


def test_examples_are_written_as_flink_reads_them() -> None:
    shown = {name: sql_text(FUNCTIONS[name]) for name in ("POSITION", "IN", "LIKE", "NEGATE", "CONCAT", "FLOOR TO", "BETWEEN", "IS NULL", "ROUND")}
    assert shown == {
        "POSITION": "POSITION('e' IN 'stream')",
        "IN": "7 IN (1, 7)",
        "LIKE": "'h%o' LIKE 'h!%_' ESCAPE '!'",
        "NEGATE": "-7",
        "CONCAT": "CONCAT('a', 'b', 'c')",
        "FLOOR TO": "FLOOR(TIMESTAMP '2024-06-07 12:34:56.789' TO HOUR)",
        "BETWEEN": "5 BETWEEN 1 AND 8",
        "IS NULL": "NULL IS NULL",
        "ROUND": "ROUND(2.675E0, 2)",
    }
    for name in NAMES:
        assert not re.search(r"[{}]", sql_text(FUNCTIONS[name]))
