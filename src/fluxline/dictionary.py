"""Dictionaries of words: which connectors, formats and so on exist, and how one is loaded when it is first used.

    FORMATS = {"json": Entry("fluxline.formats.json:FORMAT"), ...}

A dictionary is a plain mapping, so it can be listed without importing what it names. Other packages add words through an
entry-point group (`fluxline.formats`): the name of the entry point is the word, its value is the entry's target.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

from fluxline.errors import ConfigError, NameNotFound, Place, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

Word = TypeVar("Word")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a word is defined.

    Attributes:
        target: `module:ATTRIBUTE`, imported on first use.
        extra: name of the extra that installs what the module imports, or empty.
    """

    target: str
    extra: str = ""


def words(entries: Mapping[str, Entry], *, group: str) -> dict[str, Entry]:
    """All words: the dictionary's own, then those that other packages add, sorted by name.

    Args:
        entries: the dictionary.
        group: the entry-point group through which packages add to it.

    Raises:
        ConfigError: FLX-1121, two packages give different meanings to one word, or one of them to ours.
    """
    found = dict(entries)
    added: dict[str, Entry] = {}
    for point in entry_points(group=group):
        entry = Entry(point.value)
        taken = found.get(point.name) or added.get(point.name)
        if taken is not None and taken.target != entry.target:
            raise ConfigError(
                "FLX-1121",
                f'"{point.name}" is defined twice in "{group}"',
                detail=f"One definition is {taken.target}, the other {entry.target}.",
                hint="Uninstall one of the two packages.",
            )
        added[point.name] = entry
    found.update((name, added[name]) for name in sorted(added) if name not in found)
    return found


def load(entries: Mapping[str, Entry], name: str, *, kind: str, group: str, expect: type[Word], place: Place | None = None) -> Word:
    """The meaning of a word, imported if it was not yet.

    Args:
        entries: the dictionary.
        name: the word.
        kind: what the words are, for messages: `format`.
        group: the entry-point group through which packages add to it.
        expect: the class of all meanings.
        place: where the word was written.

    Raises:
        NameNotFound: FLX-1120, the word does not exist; with the nearest spelling.
        ConfigError: FLX-1122, it needs an extra that is not installed; FLX-1123, its package does not define what it says.
    """
    known = words(entries, group=group)
    entry = known.get(name)
    if entry is None:
        raise NameNotFound(
            "FLX-1120", f'no {kind} "{name}"', detail=f"There is {', '.join(sorted(known))}.", hint=did_you_mean(name, known), place=place
        )
    module, _, attribute = entry.target.partition(":")
    try:
        meaning = getattr(import_module(module), attribute or "", None)
    except ImportError as error:
        if entry.extra and not (error.name or "").startswith("fluxline"):
            raise ConfigError(
                "FLX-1122",
                f'{kind} "{name}" needs an extra',
                detail=f"{error}.",
                hint=f"Install it: pip install 'fluxline[{entry.extra}]'",
                place=place,
            ) from error
        if name in entries:  # Our own module without an extra: a fault of ours, not of the project file.
            raise
        raise _not_defined(kind, name, entry, f"Importing it failed: {error}.", place) from error
    if not isinstance(meaning, expect):
        raise _not_defined(kind, name, entry, f"{entry.target} is no {expect.__module__}.{expect.__qualname__}.", place)
    return meaning


def _not_defined(kind: str, name: str, entry: Entry, detail: str, place: Place | None) -> ConfigError:
    return ConfigError(
        "FLX-1123",
        f'{kind} "{name}" cannot be loaded from "{entry.target}"',
        detail=detail,
        hint="Ask the maintainers of the package that adds it.",
        place=place,
    )
