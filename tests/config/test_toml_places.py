"""The place of every key, in all the ways in which TOML can write a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxline.config_toml import KeyPath, Table, parse_key, parse_value, read_toml, write_key, write_value
from fluxline.errors import ConfigError

FILE = "/nowhere/fluxline.toml"


def places_of(text: str) -> dict[KeyPath, tuple[int, int, int | None]]:
    """Path -> line, column and end column, as read."""
    return {path: (place.line, place.column, place.end_column) for path, place in read_toml(text.encode(), FILE).places.items() if place is not None}


def test_every_form_of_a_key_by_hand() -> None:
    """Counted in the text below, line by line."""
    text = (
        "# a = 1\n"  # 1
        "bare-1_x = 1 # b = 2\n"  # 2
        '\t"quoted \\u00e9 \\" key"= \'# c = 3\'\n'  # 3
        '\'literal \\ key\' ="\\"] # d = 4"\n'  # 4
        'dotted . "two.parts".3 = 1979-05-27 07:32:00\n'  # 5
        "dotted.other = [ # ] comment\n"  # 6
        "  \"]\", { in = 1, 'i j'.k = [2] },\n"  # 7
        '  ["""\n'  # 8
        "e = 5 \\\"\"\" ] \"\"\"\"\", '''''x''''],\n"  # 9
        "]\n"  # 10
        "many = '''\n"  # 11
        "f = 6\n"  # 12
        "[g]''''' # two quotes before the closing three\n"  # 13
        "[ table . 'sub.table' ] # [h]\n"  # 14
        "x={}\n"  # 15
        "[table]\n"  # 16
        "y = inf\n"  # 17
        "[[rows]]\n"  # 18
        "z = { a.b = true }\n"  # 19
        "[[ rows ]]\n"  # 20
        "z = 1\n"  # 21
        "[[rows.inner]]\n"  # 22
        "[rows.inner.deep]\n"  # 23
        "w = 1\n"  # 24
    )
    assert places_of(text) == {
        ("bare-1_x",): (2, 1, 9),
        ('quoted é " key',): (3, 2, 24),
        ("literal \\ key",): (4, 1, 16),
        ("dotted",): (5, 1, 7),
        ("dotted", "two.parts"): (5, 10, 21),
        ("dotted", "two.parts", "3"): (5, 22, 23),
        ("dotted", "other"): (6, 8, 13),
        ("dotted", "other", 0): (7, 3, 6),
        ("dotted", "other", 1): (7, 8, 33),
        ("dotted", "other", 1, "in"): (7, 10, 12),
        ("dotted", "other", 1, "i j"): (7, 18, 23),
        ("dotted", "other", 1, "i j", "k"): (7, 24, 25),
        ("dotted", "other", 1, "i j", "k", 0): (7, 29, 30),
        ("dotted", "other", 2): (8, 3, None),
        ("dotted", "other", 2, 0): (8, 4, None),
        ("dotted", "other", 2, 1): (9, 21, 31),
        ("many",): (11, 1, 5),
        ("table",): (16, 2, 7),
        ("table", "sub.table"): (14, 11, 22),
        ("table", "sub.table", "x"): (15, 1, 2),
        ("table", "y"): (17, 1, 2),
        ("rows",): (18, 3, 7),
        ("rows", 0): (18, 3, 7),
        ("rows", 0, "z"): (19, 1, 2),
        ("rows", 0, "z", "a"): (19, 7, 8),
        ("rows", 0, "z", "a", "b"): (19, 9, 10),
        ("rows", 1): (20, 4, 8),
        ("rows", 1, "z"): (21, 1, 2),
        ("rows", 1, "inner"): (22, 8, 13),
        ("rows", 1, "inner", 0): (22, 8, 13),
        ("rows", 1, "inner", 0, "deep"): (23, 13, 17),
        ("rows", 1, "inner", 0, "deep", "w"): (24, 1, 2),
    }


def test_windows_line_ends_and_wide_characters_do_not_move_a_place() -> None:
    """Columns count characters, lines end with the line feed."""
    assert places_of('é = "ü"\r\n\r\n"日本" = 1\r\n'.replace("é", "'é'")) == {("é",): (1, 1, 4), ("日本",): (3, 1, 5)}


class Writer:
    """Writes a TOML document from drawn choices and notes where each key went: the second opinion on every place."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._text = ""
        self._made = 0
        self.places: dict[KeyPath, tuple[int, int, int | None]] = {}

    def __repr__(self) -> str:
        """What a failing test shows."""
        return f"Writer of\n{self._text}"

    @property
    def text(self) -> str:
        """The document so far."""
        return self._text

    def document(self) -> None:
        """Pairs at the top, then tables and arrays of tables."""
        self._pairs(())
        for _ in range(self._draw(st.integers(0, 4))):
            if self._draw(st.booleans()):
                path = self._header((), "[", "]")
                self._pairs(path)
                if self._draw(st.booleans()):
                    self._pairs(self._header(path, "[", "]"))
            else:
                self._array_of_tables(())

    def _array_of_tables(self, around: KeyPath) -> None:
        key, written = self._new_key()
        for index in range(self._draw(st.integers(1, 3))):
            self._emit("[[" + self._space())
            for each in around:
                if isinstance(each, str):
                    self._emit(write_key((each,)) + self._space() + ".")
            path = (*around, key)
            span = self._emit(written)
            self.places.setdefault(path, span)
            self.places[(*path, index)] = span
            self._emit(self._space() + "]]" + self._end())
            self._pairs((*path, index))
            if not around and self._draw(st.booleans()):
                self._array_of_tables((*path, index))

    def _header(self, around: KeyPath, opening: str, closing: str) -> KeyPath:
        self._emit(opening + self._space())
        for each in around:
            self._emit(write_key((str(each),)) + self._space() + ".")
        path = around
        for depth in range(self._draw(st.integers(1, 2))):
            self._emit("." if depth else "")
            key, written = self._new_key()
            path = (*path, key)
            self.places[path] = self._emit(written)
        self._emit(self._space() + closing + self._end())
        return path

    def _pairs(self, table: KeyPath) -> None:
        for _ in range(self._draw(st.integers(0, 3))):
            self._emit(self._space())
            self._pair(table)
            self._emit(self._end())

    def _pair(self, table: KeyPath, depth: int = 0) -> None:
        path = table
        for part in range(self._draw(st.integers(1, 2))):
            self._emit(self._space() + "." + self._space() if part else "")
            key, written = self._new_key()
            path = (*path, key)
            self.places[path] = self._emit(written)
        self._emit(self._space() + "=" + self._space())
        self._value(path, depth)

    def _value(self, path: KeyPath, depth: int) -> None:
        kind = self._draw(st.sampled_from(["scalar", "scalar", "list", "table"] if depth < 3 else ["scalar"]))
        if kind == "scalar":
            self._emit(self._draw(st.sampled_from(SCALARS)))
        elif kind == "list":
            self._emit("[" + self._blank())
            for index in range(self._draw(st.integers(0, 3))):
                self._emit("," + self._blank() if index else "")
                start = len(self._text)
                self._value((*path, index), depth + 1)
                self.places[(*path, index)] = self._span(start)
            self._emit(self._blank() + "]")
        else:
            self._emit("{" + self._space())
            for index in range(self._draw(st.integers(0, 3))):
                self._emit("," + self._space() if index else "")
                self._pair(path, depth + 1)
            self._emit(self._space() + "}")

    def _new_key(self) -> tuple[str, str]:
        """A key that was not there before, and one of its spellings."""
        self._made += 1
        key, written = self._draw(st.sampled_from(KEYS))
        return key.replace("N", str(self._made)), written.replace("N", str(self._made))

    def _emit(self, text: str) -> tuple[int, int, int | None]:
        start = len(self._text)
        self._text += text
        return self._span(start)

    def _span(self, start: int) -> tuple[int, int, int | None]:
        before, piece = self._text[:start], self._text[start:]
        column = start - (before.rfind("\n") + 1) + 1
        return before.count("\n") + 1, column, None if "\n" in piece else column + len(piece)

    def _space(self) -> str:
        return self._draw(st.sampled_from(["", "", " ", "\t "]))

    def _blank(self) -> str:
        return self._draw(st.sampled_from(["", "", " ", "\n", ' # ] } , """ [x]\n\t']))

    def _end(self) -> str:
        return self._draw(st.sampled_from(["\n", "\n\n", " # [x] y = '''\n"]))


KEYS = [("kN", "kN"), ("-_N", "-_N"), ("a.N", '"a.N"'), ('"N', '"\\"N"'), ("\\N", "'\\N'"), ("é]=N", '"\\u00e9]=N"'), ("#N", "'#N'"), ("N", "N")]
SCALARS = [
    "1", "0x1F", "+1_0.5e-3", "nan", "true", "07:32:00", "1979-05-27 07:32:00.5-07:00", "1979-05-27",
    '""', "''", '"# ] } , = \\" \\\\"', "'# ] } , \\'", '""""""', "''''''", '"""\nx = [1]\n[y]\\""" # """',
    "'''\nx = {\n''''", '"""a""\\""""""', '"""\\\n  b"""""',
]  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    """A whole document."""
    writer = Writer(draw)
    writer.document()
    return writer


@given(documents())
def test_places_are_where_the_writer_put_the_keys(writer: Writer) -> None:
    """All of them, and no others."""
    assert places_of(writer.text) == writer.places


@pytest.mark.parametrize(
    ("data", "fact", "line", "column"),
    [
        (b"a = 1\nb = 2\na = 3\n", "the file is no TOML", 3, 6),
        (b'a = "\xc3\xa9"\n# caf\xe9\n', "the file is not UTF-8 text", 2, 6),
        (b"\xef\xbb\xbfa = 1\n", "the file begins with a byte order mark", 1, 1),
        (b"a = " + b"9" * 5000 + b"\n", "the file is no TOML", 1, 5005),
        (b"a = " + b"[" * 100_000, "the file nests lists or tables too deep", 1, 1),
        (b"#" * (1 << 20) + b"\n", "the file has 1048577 bytes", 1, 1),
        (b"a = 1\n\x00\n", "the file is no TOML", 2, 1),
    ],
)
def test_what_is_no_toml(data: bytes, fact: str, line: int, column: int) -> None:
    """One error, with a place, whatever is wrong."""
    with pytest.raises(ConfigError) as caught:
        read_toml(data, FILE)
    error = caught.value
    assert error.place is not None
    assert (error.code, error.fact, error.place.line, error.place.column) == ("FLX-1002", fact, line, column)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4).map(tuple))
def test_a_written_key_reads_as_the_same(path: tuple[str, ...]) -> None:
    """With quotes where they are needed."""
    assert parse_key(write_key(path)) == path


@given(
    st.recursive(
        st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text(max_size=8)
        | st.datetimes()
        | st.dates()
        | st.times(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_written_value_reads_as_the_same(value: object) -> None:
    """Text stays text, also where it looks like a number."""
    assert parse_value(write_value(value)) == value


@pytest.mark.parametrize("text", ["", " ", "a.", ".a", "a b", "a=b", "a\nb", "a # b", "a = 0 #", "a = 0 # b", '"a', "[a]", "é"])
def test_what_is_no_key(text: str) -> None:
    """None, and no exception."""
    assert parse_key(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ('"8"', "8"),
        ("/data", "/data"),
        ("", ""),
        ("8\nother = 9", "8\nother = 9"),
        ("[" * 50_000, "[" * 50_000),
    ],
)
def test_a_value_is_toml_else_text(text: str, value: object) -> None:
    """And never more than one value."""
    assert parse_value(text) == value


def test_tables_merge_key_by_key_and_places_follow() -> None:
    """A scalar or list replaces, also where a table was, and then no place of the table stays."""
    base = read_toml(b"a = { b = 1, c = { d = [1, 2] } }\ne = { f = 1 }\ng = 1\n", FILE)
    over = read_toml(b"\na = { c = { d = [3], h = 4 } }\ne = 5\ng = { i = 6 }\n", FILE)
    merged = base.merged(over)
    assert merged.values == {"a": {"b": 1, "c": {"d": [3], "h": 4}}, "e": 5, "g": {"i": 6}}
    assert base.values == {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {"f": 1}, "g": 1}
    lines = {path: place.line for path, place in merged.places.items() if place is not None}
    assert lines == {
        ("a",): 2, ("a", "b"): 1, ("a", "c"): 2, ("a", "c", "d"): 2, ("a", "c", "d", 0): 2, ("a", "c", "h"): 2, ("e",): 3, ("g",): 4, ("g", "i"): 4,
    }  # fmt: skip


def test_without_takes_the_value_and_its_places() -> None:
    """And leaves the neighbours."""
    table = read_toml(b"a.b.c = 1\na.d = 2\n", FILE).without("a", "b")
    assert table.values == {"a": {"d": 2}}
    assert set(table.places) == {("a",), ("a", "d")}


def test_a_place_that_is_not_there_is_the_nearest_around_it() -> None:
    """So that an error about a missing key points at its table."""
    table = read_toml(b"x = 1\n[a.b]\nc = 1\n", FILE)
    assert table.place("a", "b", "missing", "more") == table.places[("a", "b")]
    assert table.table("a", "b").place("missing") == table.places[("a", "b")]
    assert table.place("nothing") == table.here
    assert table.table("nothing").values == {}
    assert Table().place("nothing") is None
