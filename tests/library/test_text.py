"""Functions of text, against what Apache Flink 2.3 gave for the same calls."""

from __future__ import annotations

from typing import Any

import pytest

from fluxline.errors import UnsupportedByEngine
from fluxline.library.function import ArgumentMismatch
from fluxline.plan.expressions import Call
from tests.library.expressions import Operand, call, table

TEXTS = table(
    s=("STRING", ["héllo wörld", "", "a😀bβ", " a,b,,c ", None]),
    i=("INT", [7, -7, 0, 3, 1]),
    d=("DOUBLE", [2.5, -2.5, float("nan"), -0.0, None]),
)
S, N = TEXTS.col("s"), TEXTS.col("i")

# Per call, its results for the five rows; the last row's are those of NULL.
CASES: list[tuple[str, tuple[Operand, ...], list[Any]]] = [
    ("CONCAT", (S, "x", S), ["héllo wörldxhéllo wörld", "x", "a😀bβxa😀bβ", " a,b,,c x a,b,,c ", None]),
    ("CONCAT", (S, TEXTS.col("d")), ["héllo wörld2.5", "-2.5", "a😀bβNaN", " a,b,,c -0.0", None]),
    ("||", (S, "x"), ["héllo wörldx", "x", "a😀bβx", " a,b,,c x", None]),
    ("CONCAT_WS", (",", S, "x", S), ["héllo wörld,x,héllo wörld", ",x,", "a😀bβ,x,a😀bβ", " a,b,,c ,x, a,b,,c ", "x"]),
    ("UPPER", (S,), ["HÉLLO WÖRLD", "", "A😀B\u0392", " A,B,,C ", None]),
    ("LOWER", (S,), ["héllo wörld", "", "a😀bβ", " a,b,,c ", None]),
    ("TRIM", (S,), ["héllo wörld", "", "a😀bβ", "a,b,,c", None]),
    ("LTRIM", (S,), ["héllo wörld", "", "a😀bβ", "a,b,,c ", None]),
    ("RTRIM", (S,), ["héllo wörld", "", "a😀bβ", " a,b,,c", None]),
    ("CHAR_LENGTH", (S,), [11, 0, 4, 8, None]),
    ("SUBSTRING", (S, 2), ["éllo wörld", "", "😀bβ", "a,b,,c ", None]),
    ("SUBSTRING", (S, 2, 3), ["éll", "", "😀bβ", "a,b", None]),
    ("SUBSTRING", (S, 0), ["héllo wörld", "", "a😀bβ", " a,b,,c ", None]),
    ("SUBSTRING", (S, 0, 2), ["hé", "", "a😀", " a", None]),
    ("SUBSTRING", (S, -3), ["rld", "", "😀bβ", ",c ", None]),
    ("SUBSTRING", (S, -3, 2), ["rl", "", "😀b", ",c", None]),
    ("SUBSTRING", (S, 3, 0), ["", "", "", "", None]),
    ("SUBSTRING", (S, 3, -1), [None, None, None, None, None]),
    ("SUBSTRING", (S, -100, 5), ["", "", "", "", None]),
    ("SUBSTRING", (S, 100), ["", "", "", "", None]),
    ("SUBSTRING", (S, N), ["wörld", "", "a😀bβ", ",b,,c ", None]),
    ("SUBSTRING", (S, 1, N), ["héllo w", None, "", " a,", None]),
    ("REPLACE", (S, "l", "LL"), ["héLLLLo wörLLd", "", "a😀bβ", " a,b,,c ", None]),
    ("REPLACE", (S, "l", ""), ["héo wörd", "", "a😀bβ", " a,b,,c ", None]),
    ("POSITION", ("l", S), [3, 0, 0, 0, None]),
    ("POSITION", ("", S), [1, 1, 1, 1, None]),
    ("POSITION", ("😀", S), [0, 0, 2, 0, None]),
    ("POSITION", ("b", S), [0, 0, 3, 4, None]),
    ("LEFT", (S, 2), ["hé", "", "a😀", " a", None]),
    ("LEFT", (S, -1), ["", "", "", "", None]),
    ("LEFT", (S, N), ["héllo w", "", "", " a,", None]),
    ("RIGHT", (S, 2), ["ld", "", "bβ", "c ", None]),
    ("RIGHT", (S, -1), ["", "", "", "", None]),
    ("RIGHT", (S, N), ["o wörld", "", "", ",c ", None]),
    ("LPAD", (S, 12, "ab"), ["ahéllo wörld", "abababababab", "abababaa😀bβ", "abab a,b,,c ", None]),
    ("LPAD", (S, 3, "ab"), ["hél", "aba", "a😀", " a,", None]),
    ("LPAD", (S, -1, "ab"), [None, None, None, None, None]),
    ("LPAD", (S, 12, ""), [None, None, None, None, None]),
    ("LPAD", (S, 0, "ab"), ["", "", "", "", None]),
    ("RPAD", (S, 12, "ab"), ["héllo wörlda", "abababababab", "a😀bβabababa", " a,b,,c abab", None]),
    ("REVERSE", (S,), ["dlröw olléh", "", "βb😀a", " c,,b,a ", None]),
    ("STARTSWITH", (S, "h"), [True, False, False, False, None]),
    ("STARTSWITH", (S, ""), [True, True, True, True, None]),
    ("ENDSWITH", (S, "d"), [True, False, False, False, None]),
    ("REGEXP_EXTRACT", (S, "(l+)(o)", 2), ["o", None, None, None, None]),
    ("REGEXP_EXTRACT", (S, "(l+)(o)", 0), ["llo", None, None, None, None]),
    ("REGEXP_EXTRACT", (S, "(l+)(o)"), ["llo", None, None, None, None]),
    ("REGEXP_EXTRACT", (S, "(l+)(o)", 5), [None, None, None, None, None]),
    ("REGEXP_EXTRACT", (S, "(z)?h", 1), [None, None, None, None, None]),
    ("REGEXP_REPLACE", (S, "l+", "[$0]"), ["hé[$0]o wör[$0]d", "", "a😀bβ", " a,b,,c ", None]),
    ("REGEXP_REPLACE", (S, "(l+)", "<$1>"), ["hé<$1>o wör<$1>d", "", "a😀bβ", " a,b,,c ", None]),
    ("REGEXP_REPLACE", (S, "l", r"a\b"), [r"héa\ba\bo wöra\bd", "", "a😀bβ", " a,b,,c ", None]),
    ("SPLIT_INDEX", (S, ",", 1), [None, None, None, "b", None]),
    ("SPLIT_INDEX", (S, ",", 2), [None, None, None, "", None]),
    ("SPLIT_INDEX", (S, ",", 9), [None, None, None, None, None]),
    ("SPLIT_INDEX", (S, ",", -1), [None, None, None, None, None]),
    ("SPLIT_INDEX", (S, ",", N), [None, None, "a😀bβ", "c ", None]),
    ("LIKE", (S, "h%"), [True, False, False, False, None]),
    ("LIKE", (S, "%_ö%"), [True, False, False, False, None]),
    ("LIKE", (S, "a_b_"), [False, False, True, False, None]),
    ("LIKE", (S, "%"), [True, True, True, True, None]),
    ("LIKE", (S, "%c "), [False, False, False, True, None]),
    ("LIKE", (S, "%llo%"), [True, False, False, False, None]),
    ("LIKE", (S, ""), [False, True, False, False, None]),
    ("LEAST", (S, "b"), ["b", "", "a😀bβ", " a,b,,c ", None]),
    ("NULLIF", (S, ""), ["héllo wörld", None, "a😀bβ", " a,b,,c ", None]),
    ("COALESCE", (S, "x"), ["héllo wörld", "", "a😀bβ", " a,b,,c ", "x"]),
    ("IN", (S, "a😀bβ", "x"), [False, False, True, False, None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "results"), CASES)
def test_a_function_of_text_gives_what_flink_gives(name: str, arguments: tuple[Operand, ...], results: list[Any]) -> None:
    assert TEXTS.evaluate(call(name, *arguments)) == (results, [False] * 5)


def test_a_backslash_escapes_nothing_in_like_and_a_named_character_does() -> None:
    made = table(s=("STRING", ["a%b", "axb", "a\\%b", "a\nb"]))
    assert made.evaluate(call("LIKE", made.col("s"), "a\\%b"))[0] == [False, False, True, False]
    assert made.evaluate(call("LIKE", made.col("s"), "a!%b", "!"))[0] == [True, False, False, False]
    assert made.evaluate(call("LIKE", made.col("s"), "a_b"))[0] == [True, True, False, True]
    assert made.evaluate(call("LIKE", made.col("s"), "a.b"))[0] == [False, False, False, False]


def test_an_accent_of_its_own_is_a_character_of_its_own() -> None:
    made = table(s=("STRING", ["e\u0301x"]))
    assert made.evaluate(call("REVERSE", made.col("s")))[0] == ["x\u0301e"]
    assert made.evaluate(call("CHAR_LENGTH", made.col("s")))[0] == [3]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("REGEXP_EXTRACT", (S, "(?=x)", 0)), ("REGEXP_EXTRACT", (S, r"\bx", 0)), ("REGEXP_EXTRACT", (S, r"(a)\1", 0)),
        ("REGEXP_EXTRACT", (S, "a++", 0)), ("REGEXP_EXTRACT", (S, "(", 0)), ("REGEXP_REPLACE", (S, "[a&&b]", "x")), ("SPLIT_INDEX", (S, "", 0)),
        ("LIKE", (S, "a!b", "!")), ("LIKE", (S, "a", "!!")), ("LPAD", (S, 5, "😀")), ("LPAD", (S, 2_000_000_000, "x")), ("UPPER", (N,)),
        ("SUBSTRING", (S, S)), ("LEFT", (S,)), ("CONCAT", ()),
    ],
)  # fmt: skip
def test_what_cannot_be_done_as_flink_does_it_is_refused(name: str, arguments: tuple[Operand, ...]) -> None:
    with pytest.raises(ArgumentMismatch) as caught:
        call(name, *arguments)
    assert str(caught.value).endswith(".")


def test_a_pattern_that_is_no_constant_is_refused_by_the_engine() -> None:
    use = call("LIKE", S, "a%")
    with pytest.raises(UnsupportedByEngine) as caught:
        TEXTS.evaluate(Call("LIKE", (S, S), use.type))
    assert (caught.value.code, caught.value.detail) == ("FLX-2191", "Here the pattern of LIKE has to be a constant.")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\d+", "a\uff112", "2"), (r"\w+", "äbc", "bc"), (r".", "\r\u2028x", "x"), (r"^b", "a\nb", None), (r"[\d.]+", "v1.2-x", "1.2"),
        (r"[^\s]+", " a b", "a"), (r"a|b", "xb", "b"), (r"a{2,3}?", "aaa", "aa"), (r"\.", "a.b", "."), (r"[-a]+", "x-a", "-a"), (r"x$", "ax", "x"),
        (r"\/\-\_\ ", "/-_ ", "/-_ "), ("[~#]", "a#", "#"),
    ],
)  # fmt: skip
def test_a_regular_expression_means_what_it_means_in_java(pattern: str, text: str, found: str | None) -> None:
    made = table(s=("STRING", [text]))
    assert made.evaluate(call("REGEXP_EXTRACT", made.col("s"), pattern))[0] == [found]
