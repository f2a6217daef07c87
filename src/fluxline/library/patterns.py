"""Patterns that a user writes: of LIKE, regular expressions as Java means them, formats of dates. Translated, or refused by name."""

from __future__ import annotations

import re
import warnings

from fluxline.library.function import ArgumentMismatch

REGEX_SPECIAL = set(".^$*+?()[]{}|\\-&~#")
CLASSES = {
    "d": "[0-9]", "D": "[^0-9]", "w": "[a-zA-Z_0-9]", "W": "[^a-zA-Z_0-9]",
    "s": r"[ \t\n\x0B\f\r]", "S": r"[^ \t\n\x0B\f\r]",
}  # fmt: skip
IN_CLASS = {"d": "0-9", "w": "a-zA-Z_0-9", "s": r" \t\n\x0B\f\r"}
CONTROLS = "tnrfa"
LINE_BREAKS = r"\n\r\x{85}\x{2028}\x{2029}"


def like_pattern(pattern: str, escape: str) -> tuple[str, str]:
    """What a LIKE pattern asks for.

    Returns:
        How to look, and for what: ("whole" | "start" | "end" | "inside", text), or ("regex", regular expression).

    Raises:
        ArgumentMismatch: the escape is not one character, or stands in front of another one than `%`, `_` and itself.
    """
    if escape and len(escape) != 1:
        raise ArgumentMismatch("The escape of LIKE has to be one character.")
    parts: list[str] = []  # A text of one character, or the name of a wildcard.
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == escape:
            position += 1
            if position == len(pattern) or pattern[position] not in ("%", "_", escape):
                raise ArgumentMismatch(f'Behind the escape "{escape}" LIKE takes only %, _ and the escape itself.')
            parts.append(pattern[position])
        else:
            parts.append({"%": "any text", "_": "one character"}.get(character, character))
        position += 1
    text = "".join(part for part in parts if len(part) == 1)
    wild = [part for part in parts if len(part) > 1]
    if not wild:
        return "whole", text
    if "one character" not in wild and len(wild) <= 2:
        inner = [place for place, part in enumerate(parts) if len(part) > 1 and place not in (0, len(parts) - 1)]
        if not inner:
            if len(wild) == 2:
                return "inside", text
            return ("end", text) if parts[0] == "any text" else ("start", text)
    shown = "".join({"any text": ".*", "one character": "."}.get(part, re.escape(part) if part in REGEX_SPECIAL else part) for part in parts)
    return "regex", f"(?s)\\A{shown}\\z"


def java_regex(pattern: str) -> str:
    r"""A regular expression of Java in the notation that the engine runs.

    `\d`, `\w`, `\s` are ASCII and `.` is no line break, as in Java. `$` is the end of the text (Java's also stands in front
    of a line break that ends the text).

    Raises:
        ArgumentMismatch: it has a part that cannot be run, named in the text, or is no regular expression.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # What Python may mean differently some day is refused below.
            re.compile(pattern)
    except re.error as error:
        raise ArgumentMismatch(f'"{pattern}" is not a regular expression, or has a part that is not supported: {error}.') from None
    return _RegexReader(pattern).read()


class _RegexReader:
    """Walks a regular expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.result: list[str] = []

    def refuse(self, what: str) -> ArgumentMismatch:
        return ArgumentMismatch(f'The regular expression "{self.pattern}" has {what}, which is not supported.')

    def read(self) -> str:
        while self.position < len(self.pattern):
            character = self.pattern[self.position]
            if character == "\\":
                self.escape()
            elif character == "[":
                self.character_class()
            elif character == "(" and self.pattern.startswith("(?", self.position) and not self.pattern.startswith("(?:", self.position):
                raise self.refuse("a group that begins with (?")
            elif character == "{" and not re.match(r"\{[0-9]+(,[0-9]*)?\}", self.pattern[self.position :]):
                raise self.refuse("a bare {")
            elif character in "*+?}" and self.pattern[self.position + 1 : self.position + 2] == "+":
                raise self.refuse("a possessive quantifier")
            else:
                self.result.append({".": f"[^{LINE_BREAKS}]", "$": r"\z", "^": r"\A"}.get(character, character))
                self.position += 1
        return "".join(self.result)

    def escape(self) -> None:
        following = self.pattern[self.position + 1]
        if following in CLASSES:
            self.result.append(CLASSES[following])
        elif following in CONTROLS or not following.isalnum():
            self.result.append("\\" + following if following in CONTROLS or following in REGEX_SPECIAL else following)
        else:
            raise self.refuse(f"\\{following}")
        self.position += 2

    def character_class(self) -> None:
        self.result.append("[")
        self.position += 1
        if self.pattern.startswith("^", self.position):
            self.result.append("^")
            self.position += 1
        first = True
        while self.pattern[self.position] != "]" or first:
            character = self.pattern[self.position]
            if character == "\\":
                following = self.pattern[self.position + 1]
                if following in IN_CLASS:
                    self.result.append(IN_CLASS[following])
                elif following in CONTROLS or not following.isalnum():
                    self.result.append("\\" + following if following in CONTROLS or following in REGEX_SPECIAL else following)
                else:
                    raise self.refuse(f"\\{following} between brackets")
                self.position += 1
            elif character in "[]" or self.pattern.startswith("&&", self.position):
                raise self.refuse("brackets inside brackets, or &&")
            else:
                self.result.append("\\" + character if character in "~&" else character)
            self.position += 1
            first = False
        self.result.append("]")
        self.position += 1


# Letters of a date format, by how often they stand: what the engine writes for them.
DATE_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H",
    "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "a": "%p", "EEE": "%a", "EE": "%a", "E": "%a", "EEEE": "%A",
    "DDD": "%j", "D": "%-j",
}  # fmt: skip


def date_pattern(pattern: str) -> list[str | int]:
    """A format of DATE_FORMAT as pieces: texts in the notation of strftime, and numbers of digits of the second's fraction.

    Raises:
        ArgumentMismatch: it has a letter that is not supported, named in the text.
    """
    pieces: list[str | int] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "'":
            end, text = _quoted(pattern, position)
            _append(pieces, text.replace("%", "%%"))
            position = end
        elif character.isascii() and character.isalpha():
            run = len(pattern[position:]) - len(pattern[position:].lstrip(character))
            letters = character * run
            if character == "S" and run <= 9:
                pieces.append(run)
            elif letters in DATE_LETTERS:
                _append(pieces, DATE_LETTERS[letters])
            else:
                raise ArgumentMismatch(f'The date format "{pattern}" has {letters}, which is not supported.')
            position += run
        elif character in "[]{}#":
            raise ArgumentMismatch(f'The date format "{pattern}" has {character}, which is not supported.')
        else:
            _append(pieces, "%%" if character == "%" else character)
            position += 1
    return pieces


def _quoted(pattern: str, start: int) -> tuple[int, str]:
    if pattern.startswith("''", start):
        return start + 2, "'"
    text, position = "", start + 1
    while position < len(pattern):
        if pattern.startswith("''", position):
            text, position = text + "'", position + 2
        elif pattern[position] == "'":
            return position + 1, text
        else:
            text, position = text + pattern[position], position + 1
    raise ArgumentMismatch(f'The date format "{pattern}" has a quote without its other.')


def _append(pieces: list[str | int], text: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += text
    else:
        pieces.append(text)
