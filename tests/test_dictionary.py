"""Dictionaries of words: loading, other packages' words, and what is said when a word cannot be loaded."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from fluxline import dictionary
from fluxline.dictionary import Entry, load, words
from fluxline.errors import ConfigError, NameNotFound, Place
from fluxline.formats import FORMATS, GROUP, format_names, load_format
from fluxline.formats.base import Format

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.errors import FluxlineError


def add_packages(patch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Let other packages define these words."""
    patch.setattr(dictionary, "entry_points", lambda *, group: [EntryPoint(name, target, group) for name, target in points])


def load_word(name: str, entries: dict[str, Entry] | None = None, place: Place | None = None) -> Format:
    """A format, from these entries."""
    return load(FORMATS if entries is None else entries, name, kind="format", group=GROUP, expect=Format, place=place)


def refused(name: str, entries: dict[str, Entry] | None = None) -> FluxlineError:
    """The error that loading it raises."""
    with pytest.raises((ConfigError, NameNotFound)) as error:
        load_word(name, entries)
    return error.value


def test_a_word_is_loaded_by_its_name() -> None:
    """The same meaning each time."""
    assert load_format("json") is load_format("json")
    assert load_format("json").name == "json"
    assert set(format_names()) >= {"csv", "json", "raw"}


def test_an_unknown_word() -> None:
    """Names the place, the words that there are and the nearest one."""
    with pytest.raises(NameNotFound) as error:
        load_format("jsno", Place("fluxline.toml", 7, 3))
    assert error.value.code == "FLX-1120"
    assert error.value.fact == 'no format "jsno"'
    assert "csv, json, raw" in error.value.detail
    assert error.value.hint == 'Did you mean "json"?'
    assert error.value.place == Place("fluxline.toml", 7, 3)


def test_other_packages_add_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point whose value is the target."""
    add_packages(monkeypatch, ("ndjson", "fluxline.formats.json:FORMAT"))
    assert load_word("ndjson") is load_format("json")
    assert list(words(FORMATS, group=GROUP)) == ["csv", "json", "raw", "ndjson"]
    assert FORMATS.keys() == {"csv", "json", "raw"}


@pytest.mark.parametrize("points", [[("json", "other:FORMAT")], [("avro", "one:FORMAT"), ("avro", "two:FORMAT")]])
def test_a_word_with_two_meanings(monkeypatch: pytest.MonkeyPatch, points: list[tuple[str, str]]) -> None:
    """Nobody guesses which one is meant."""
    add_packages(monkeypatch, *points)
    error = refused(points[0][0])
    assert error.code == "FLX-1121"
    assert all(target in error.detail for _name, target in points)


def test_the_same_meaning_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is found on two paths."""
    add_packages(monkeypatch, ("ndjson", "fluxline.formats.json:FORMAT"), ("ndjson", "fluxline.formats.json:FORMAT"))
    assert load_word("ndjson").name == "json"


def test_a_missing_extra() -> None:
    """The message is the command that installs it."""
    error = refused("avro", {"avro": Entry("no_such_library_anywhere:FORMAT", extra="avro")})
    assert error.code == "FLX-1122"
    assert error.fact == 'format "avro" needs an extra'
    assert error.hint == "Install it: pip install 'fluxline[avro]'"


def test_a_package_that_does_not_define_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its module is missing, its attribute, or it is something else."""
    add_packages(
        monkeypatch, ("a", "no_such_library_anywhere:FORMAT"), ("b", "fluxline.formats.json:NOTHING"), ("c", "fluxline.formats.json:JSONOptions")
    )
    for name in ("a", "b", "c"):
        error = refused(name)
        assert error.code == "FLX-1123"
        assert error.fact.startswith(f'format "{name}" cannot be loaded from')


def test_our_own_faults_are_not_blamed_on_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of ours that fails is our bug, and looks like one."""
    (tmp_path / "broken_word.py").write_text("import fluxline.no_such_module\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_word", raising=False)
    for entry in (Entry("broken_word:FORMAT", extra="broken"), Entry("broken_word:FORMAT")):
        with pytest.raises(ModuleNotFoundError, match=r"fluxline\.no_such_module"):
            load_word("broken", {"broken": entry})
