"""The dictionary of formats: bytes to columns and back. The contract is in `base.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.dictionary import Entry, load, words
from fluxline.formats.base import Format

if TYPE_CHECKING:
    from fluxline.errors import Place

GROUP = "fluxline.formats"

FORMATS: dict[str, Entry] = {
    "csv": Entry("fluxline.formats.csv:FORMAT"),
    "json": Entry("fluxline.formats.json:FORMAT"),
    "raw": Entry("fluxline.formats.raw:FORMAT"),
}


def load_format(name: str, place: Place | None = None) -> Format:
    """The format of this name.

    Raises:
        NameNotFound: FLX-1120, there is no such format.
    """
    return load(FORMATS, name, kind="format", group=GROUP, expect=Format, place=place)


def format_names() -> tuple[str, ...]:
    """The names of all formats, those of other packages included, sorted."""
    return tuple(sorted(words(FORMATS, group=GROUP)))
