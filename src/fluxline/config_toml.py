"""TOML with the place of every key: `tomllib` gives the values, a scan of the text says where each key stands.

A path is a tuple of keys and list indices: in

    [[a]]
    b.c = { "d e" = [1, 2] }

the paths are ("a",) ("a", 0) ("a", 0, "b") ("a", 0, "b", "c") ("a", 0, "b", "c", "d e") and that with 0 and with 1. The scan
runs on text that `tomllib` took, so it only has to find the ends of things; that both saw the same paths is asserted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from fluxline.errors import ConfigError, Place
from fluxline.limits import PROJECT_FILE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the file, or several laid over one another.

    Attributes:
        values: what it holds, as `tomllib` gives it.
        places: path of a value below this table -> where its key stands; None for a value that no file holds.
        here: where the table itself stands.
    """

    values: Mapping[str, object] = field(default_factory=dict, repr=False)
    places: Mapping[KeyPath, Place | None] = field(default_factory=dict, repr=False)
    here: Place | None = None

    def place(self, *path: str | int) -> Place | None:
        """Where the value stands, or the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.here

    def table(self, *path: str) -> Table:
        """The table at this path; an empty one where there is none."""
        value: object = self.values
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        below = {found[len(path) :]: place for found, place in self.places.items() if len(found) > len(path) and found[: len(path)] == path}
        return Table(value, below, self.place(*path)) if isinstance(value, dict) else Table(here=self.place(*path))

    def tables(self) -> dict[str, Table]:
        """The tables directly below this one, all at once."""
        below: dict[str, dict[KeyPath, Place | None]] = {key: {} for key, value in self.values.items() if isinstance(value, dict)}
        for path, place in self.places.items():
            if len(path) > 1 and path[0] in below:
                below[str(path[0])][path[1:]] = place
        return {key: Table(cast("dict[str, object]", self.values[key]), places, self.place(key)) for key, places in below.items()}

    def merged(self, over: Table) -> Table:
        """This table with the other laid over it: tables merge key by key, everything else replaces."""
        replaced: list[KeyPath] = []
        values = _merge(self.values, over.values, (), replaced)
        places = {path: place for path, place in self.places.items() if not any(path[: len(gone)] == gone for gone in replaced)}
        return Table(values, places | dict(over.places), over.here or self.here)

    def without(self, *path: str) -> Table:
        """This table without the value at this path, which must be there."""
        places = {found: place for found, place in self.places.items() if found[: len(path)] != path}
        return Table(_without(self.values, path), places, self.here)

    def leaves(self) -> Iterator[tuple[tuple[str, ...], object]]:
        """Path and value of everything that is no table, and of empty tables, in order."""
        return _leaves(self.values, ())


def _merge(base: Mapping[str, object], over: Mapping[str, object], path: KeyPath, replaced: list[KeyPath]) -> dict[str, object]:
    values = dict(base)
    for key, value in over.items():
        below = values.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            values[key] = _merge(below, value, (*path, key), replaced)
        else:
            values[key] = value
            replaced.append((*path, key))
    return values


def _without(values: object, path: tuple[str, ...]) -> dict[str, object]:
    assert isinstance(values, dict)
    assert path[0] in values, f"nothing to take away at {path}"
    if len(path) == 1:
        return {key: value for key, value in values.items() if key != path[0]}
    return {key: _without(value, path[1:]) if key == path[0] else value for key, value in values.items()}


def _leaves(values: Mapping[str, object], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def read_toml(data: bytes, file: str) -> Table:
    """The whole file as a table with places.

    Raises:
        ConfigError: FLX-1002, it is no TOML.
    """
    import tomllib  # here, because every command pays for what is imported at the top

    if len(data) > PROJECT_FILE_BYTES_MAX:
        raise ConfigError(
            "FLX-1002", f"the file has {len(data)} bytes", detail=f"A project file has at most {PROJECT_FILE_BYTES_MAX}.", place=Place(file, 1)
        )
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        place = _Lines(before, file).place(len(before), len(before))
        raise ConfigError("FLX-1002", "the file is not UTF-8 text", detail="TOML is written in UTF-8.", place=place) from None
    if text.startswith("\ufeff"):
        raise ConfigError(
            "FLX-1002",
            "the file begins with a byte order mark",
            detail="TOML is UTF-8 without one.",
            hint='Save it as "UTF-8" and not as "UTF-8 with BOM".',
            place=Place(file, 1),
        )
    try:
        values = tomllib.loads(text)
        spans = _Scan(text).spans_of_document()
    except RecursionError:
        raise ConfigError("FLX-1002", "the file nests lists or tables too deep", place=Place(file, 1)) from None
    except ValueError as error:
        raise _syntax_error(str(error), text, file) from None
    lines = _Lines(text, file)
    places: dict[KeyPath, Place | None] = {path: lines.place(start, end) for path, (start, end) in spans.items()}
    assert places.keys() == set(_paths(values, ())), f"keys and places disagree: {places.keys() ^ set(_paths(values, ()))}"
    return Table(values, places, Place(file, 1))


def parse_key(text: str) -> tuple[str, ...] | None:
    """The keys of a dotted key as TOML writes it, `connections."my kafka".format`; None if it is none."""
    import tomllib

    if "\n" in text or re.search("[=#]", _QUOTED.sub("", text)):  # a value or a comment of its own would hide what is added below
        return None
    try:
        value: object = tomllib.loads(f"{text} = 0")
    except ValueError:
        return None
    keys: list[str] = []
    while isinstance(value, dict):
        if len(value) != 1:
            return None
        ((key, value),) = value.items()
        keys.append(key)
    return tuple(keys)


def parse_value(text: str) -> object:
    """The value that the text is in TOML, else the text itself."""
    import tomllib

    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if values.keys() == {"value"} else text


def write_key(path: tuple[str, ...]) -> str:
    """The dotted key, with quotes where TOML needs them."""
    return ".".join(key if _BARE.fullmatch(key) else write_value(key) for key in path)


def write_value(value: object) -> str:
    """A value on one line as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04X}", escaped) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(write_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{write_key((key,))} = {write_value(item)}" for key, item in value.items()) + " }" if value else "{}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _syntax_error(message: str, text: str, file: str) -> ConfigError:
    """The parser's own message, taken apart into fact and place."""
    found = _AT.search(message)
    if found is None:  # the end of the document, or a number that Python refuses to read
        line = text.rstrip().count("\n") + 1
        place = Place(file, line, len(text.rstrip().rpartition("\n")[2]) + 1)
    else:
        place = Place(file, int(found.group(1)), int(found.group(2)))
    fact = message[: found.start()] if found else message.removesuffix(" (at end of document)")
    return ConfigError("FLX-1002", "the file is no TOML", detail=f"{fact.rstrip('.')}.", place=place)


_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """Every path below a value."""
    keys: Iterable[str | int] = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        below = value[key]  # type: ignore[index]  # a list has whole numbers as keys
        yield (*path, key)
        yield from _paths(below, (*path, key))


class _Lines:
    """Turns offsets of a text into places."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, start: int, end: int) -> Place:
        line = bisect_right(self._starts, start)
        column = start - self._starts[line - 1] + 1
        one_line = line == len(self._starts) or end < self._starts[line]
        return Place(self._file, line, column, column + end - start if one_line and end > start else None)


_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+')
# Order matters: a text of several lines begins like a short one. Up to two quotes may stand before its closing three.
_SCALAR = re.compile(r'"""(?:\\.|[^\\])*?""""{0,2}|\'\'\'.*?\'\'\'\'{0,2}|"(?:\\.|[^"\\])*"|\'[^\']*\'|[^,\]}#\n]+', re.DOTALL)


class _Scan:
    """Walks over valid TOML and notes from where to where each key and each list element stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._spans: dict[KeyPath, tuple[int, int]] = {}
        self._counts: dict[KeyPath, int] = {}  # path of an array of tables -> elements so far

    def spans_of_document(self) -> dict[KeyPath, tuple[int, int]]:
        """Path -> start and end of the key, of the whole text."""
        table: KeyPath = ()
        while self._next():
            if self._text.startswith("[[", self._at):
                self._at += 2
                table = self._header(element=True)
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._header(element=False)
            else:
                self._pair(table)
        return self._spans

    def _next(self) -> str:
        """The character after blanks, line ends and comments; empty at the end."""
        self._at = self._skip(_BLANK)
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        assert found is not None, f"no {pattern.pattern} at {self._at}"
        return found.end()

    def _header(self, *, element: bool) -> KeyPath:
        """`[a.b]` or, for an element of an array of tables, what follows `[[`; its path."""
        path: KeyPath = ()
        keys = self._key()
        for depth, (key, span) in enumerate(keys, start=1):
            path = (*path, key)
            if depth < len(keys) or element:
                self._spans.setdefault(path, span)
            else:
                self._spans[path] = span  # `[a]` may follow `[a.b]`, which only implied it
            if element and depth == len(keys):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self._spans.setdefault(path, span)
        self._at += 2 if element else 1
        return path

    def _pair(self, table: KeyPath) -> None:
        """`key = value` within a table."""
        path = table
        for key, span in self._key():
            path = (*path, key)
            self._spans.setdefault(path, span)
        self._at += 1  # the =
        self._value(path)

    def _key(self) -> list[tuple[str, tuple[int, int]]]:
        """A dotted key, and blanks behind it."""
        keys = []
        while True:
            start = self._at = self._skip(_SPACE)
            self._at = self._skip(_KEY)
            keys.append((_unquoted(self._text[start : self._at]), (start, self._at)))
            self._at = self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        first = self._next()
        if first == "[":
            self._at += 1
            index = 0
            while self._next() != "]":
                element = (*path, index)
                start = self._at
                self._value(element)
                self._spans[element] = (start, start + len(self._text[start : self._at].rstrip()))
                index += 1
                if self._next() == ",":
                    self._at += 1
            self._at += 1
        elif first == "{":
            self._at += 1
            while self._next() != "}":
                self._pair(path)
                if self._next() == ",":
                    self._at += 1
            self._at += 1
        else:
            self._at = self._skip(_SCALAR)


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    import tomllib

    return str(tomllib.loads(f"key = {key}")["key"])
