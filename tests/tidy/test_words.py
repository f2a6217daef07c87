"""One concept, one word: the field's words as the project uses them, whole words for names, and nothing of other people's places."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, all_files, parse, python_files, report, shown, text_of

WORDS = Path(__file__).parent / "words.txt"
ABBREVIATIONS = {
    "cfg": "options",
    "conf": "options",
    "ctx": "context",
    "mgr": "what it manages, in the plural",
    "msg": "message or record",
    "ts": "event_time or ..._at",
    "wm": "watermark",
}
SHAPELESS = ("common", "helper", "helpers", "misc", "util", "utils")
PATTERN_NAMES = ("Factory", "Helper", "Impl", "Manager", "Mixin", "Util", "Utils", "Wrapper")

# Locks and docs work wherever packages come from, and no file knows one machine's folders. In pieces, so that this file
# does not contain what it looks for.
FOREIGN = (
    *(".".join(parts) for parts in (
        ("py" + "pi", "org"), ("python" + "hosted", "org"), ("npm" + "js", "org"), ("npm" + "js", "com"), ("crates", "io"), ("proxy.golang", "org"),
        ("maven", "org"), ("repo1.maven", "apache"), ("deb.debian", "org"),
    )),
    *("/" + folder + "/" for folder in ("wo" + "rk", "ro" + "ot", "Us" + "ers", "home/" + "runner")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """One line of `words.txt`."""

    word: str
    instead: str
    homes: tuple[str, ...]
    pattern: re.Pattern[str]


def read_words(text: str) -> list[Word]:
    """The words of a list; a line that is not of the form is a mistake."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, instead, homes = (part.strip() for part in line.split("|"))
        assert word and instead, f"{WORDS.name}: {line!r} names no word or nothing to write instead"
        ending = "[a-z]*" if word.endswith("*") else "s?"
        body = "[-_ ]?".join(re.escape(part) for part in word.rstrip("*").split())
        found.append(Word(word, instead, tuple(homes.split()), re.compile(f"(?<![a-z]){body}{ending}(?![a-z])")))
    return found


def plain(text: str) -> str:
    """The text in lower case, with the parts of camel-case names set apart as in snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()


def find_words(text: str, path: str, words: list[Word]) -> list[str]:
    """Each avoided word in the text or path, with what to write instead."""
    lowered = [plain(line) for line in (path, *text.splitlines())]
    joined = "\n".join(lowered)
    findings = []
    for word in words:
        if path.startswith(word.homes) or not word.pattern.search(joined):
            continue
        findings += [f"{path}:{number}: write {word.instead}, not {word.word}" for number, line in enumerate(lowered) if word.pattern.search(line)]
    return findings


def names_given(tree: ast.Module) -> list[tuple[int, str]]:
    """The names that a file gives: functions, classes, arguments, variables, attributes."""
    given = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            given.append((node.lineno, node.name))
        elif isinstance(node, ast.arg):
            given.append((node.lineno, node.arg))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            given.append((node.lineno, node.attr))
        elif isinstance(node, ast.alias) and node.asname:
            given.append((node.lineno, node.asname))
    return given


def find_poor_names(tree: ast.Module, path: str) -> list[str]:
    """Names with private abbreviations, and classes named after a pattern."""
    findings = []
    for line, name in names_given(tree):
        for part in plain(name).split("_"):
            if part.rstrip("0123456789") in ABBREVIATIONS:
                findings.append(f"{path}:{line}: {name}: write {ABBREVIATIONS[part.rstrip('0123456789')]}, not {part}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith(PATTERN_NAMES):
            findings.append(f"{path}:{node.lineno}: {node.name} is named after a pattern; say what it is")
    return findings


def our_files() -> list[Path]:
    """Texts that people read or write: code, docs, project files; not the locks, the licence and this list."""
    kinds = (".py", ".md", ".toml", ".txt", ".sql", ".ipynb", ".cfg", ".yml", ".yaml", "")
    own = (WORDS, Path(__file__), ROOT / "LICENSE")
    return [path for path in all_files() if path.suffix in kinds and path not in own and (ROOT / "requirements") not in path.parents]


def test_the_field_s_words() -> None:
    """Names, messages, docstrings, comments and docs use the one word for each concept."""
    words = read_words(text_of(WORDS))
    findings = [line for path in our_files() for line in find_words(text_of(path), shown(path), words)]
    assert words
    assert not findings, report(findings)


def test_names_are_whole_words() -> None:
    """No private abbreviations, no pattern names."""
    paths = python_files("src", "tests", "tools", "benchmarks", "examples")
    findings = [line for path in paths for line in find_poor_names(parse(path), shown(path))]
    assert not findings, report(findings)


def test_no_file_or_folder_is_a_drawer() -> None:
    """A name such as `utils` says nothing of what is inside."""
    wrong = [shown(path) for path in all_files() if any(plain(part) in SHAPELESS for part in path.relative_to(ROOT).with_suffix("").parts)]
    assert not wrong, report(wrong)


def test_nothing_of_other_places() -> None:
    """No host of a package registry, no absolute path of somebody's machine, in any file."""
    findings = []
    for path in all_files():
        text = text_of(path)
        findings += [f"{shown(path)}: contains {foreign}" for foreign in FOREIGN if foreign in text]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    "text", ["dead-letter", "DeadLetterQueue", "dead_letters", "a dead letter", "DEAD_LETTER", "Deserializer", "codecs", "MicroBatches"]
)
def test_an_avoided_word_is_found_in_every_spelling(text: str) -> None:
    """Camel case, snake case, hyphens, plurals."""
    words = read_words("dead letter | rejected output |\ndeserial* | decode |\ncodec | format |\nmicro batch* | batch |")
    assert find_words(text, "src/fluxline/formats/json.py", words)


@pytest.mark.parametrize("text", ["the letter is dead", "decoder", "codecision", "batch of micro size"])
def test_other_words_pass(text: str) -> None:
    """Only whole words count."""
    words = read_words("dead letter | rejected output |\ndeserial* | decode |\ncodec | format |\nmicro batch* | batch |")
    assert find_words(text, "src/fluxline/formats/json.py", words) == []


def test_a_word_is_right_in_its_home() -> None:
    """Inside the broker the protocol's own words are right."""
    words = read_words("high watermark | next offset | src/fluxline/broker/")
    assert find_words("the high watermark", "src/fluxline/broker/fetch.py", words) == []
    assert find_words("the high watermark", "src/fluxline/log.py", words) == ["src/fluxline/log.py:1: write next offset, not high watermark"]


def test_poor_names_are_found() -> None:
    """Where they are given, not where somebody else's are used."""
    assert find_poor_names(ast.parse("wm = 1"), "a.py") == ["a.py:1: wm: write watermark, not wm"]
    assert find_poor_names(ast.parse("def f(ctx2): pass"), "a.py") == ["a.py:1: ctx2: write context, not ctx2"]
    assert find_poor_names(ast.parse("class SourceManager: pass"), "a.py") == ["a.py:1: SourceManager is named after a pattern; say what it is"]
    assert find_poor_names(ast.parse("counts = theirs.ts\nts_of.x = 1\nwatermark_ms = 5"), "a.py") == []
