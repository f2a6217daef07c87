"""Records that nest deeply: measuring the depth, and cutting them so that parsers which recurse can read them.

A parser recurses once per level and gives up somewhere below RECORD_DEPTH_MAX. So the record is cut: what begins below
level `_CUT` is taken out, checked on its own, and stands as `null` in what remains. No column is as deep as that.
"""

from __future__ import annotations

import re

import msgspec
import numpy as np

from fluxline.limits import RECORD_DEPTH_MAX, TYPE_DEPTH_MAX

_CUT = 250  # Levels that every parser takes, whatever called it.
assert 2 * TYPE_DEPTH_MAX < _CUT < RECORD_DEPTH_MAX
# A text, or what follows a quote that no other one closes: found at once, for to look behind each later quote again takes hours.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
_OPENERS, _CLOSERS = b"[{", b"]}"


def may_be_deeper(record: bytes, levels: int) -> bool:
    """Whether the record has enough brackets to nest deeper than this."""
    return len(record) > levels and sum(record.count(opener) for opener in _OPENERS) > levels


def is_too_deep(record: bytes) -> bool:
    """Whether the record nests deeper than RECORD_DEPTH_MAX; brackets in texts do not count."""
    if not may_be_deeper(record, RECORD_DEPTH_MAX):
        return False
    return int(_levels(_STRING.sub(_blank, record)).max(initial=0)) > RECORD_DEPTH_MAX


def cut_deep(record: bytes) -> bytes:
    """The record with `null` for each array or object that begins below level `_CUT`.

    Raises:
        msgspec.DecodeError: what was cut out is not valid JSON, or brackets do not pair.
    """
    if not may_be_deeper(record, _CUT):
        return record
    levels = _levels(_STRING.sub(_blank, record))
    before = np.concatenate([[0], levels[:-1]])
    starts = np.flatnonzero((levels == _CUT + 1) & (before == _CUT)).tolist()
    ends = (np.flatnonzero((levels == _CUT) & (before == _CUT + 1)) + 1).tolist()
    if len(starts) != len(ends):
        raise msgspec.DecodeError("brackets do not pair")
    rest = []
    for last, start, end in zip([0, *ends], starts, ends, strict=False):
        msgspec.json.decode(cut_deep(record[start:end]), type=msgspec.Raw)
        rest += [record[last:start], b"null"]
    return b"".join([*rest, record[ends[-1] if ends else 0 :]])


def _blank(text: re.Match[bytes]) -> bytes:
    """Spaces for a text; what is not closed is no text, and its brackets count."""
    return b" " * len(text.group()) if text.group(1) == b'"' else text.group()


def _levels(blanked: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of open brackets behind each byte of a record without texts."""
    characters = np.frombuffer(blanked, dtype=np.uint8)
    steps = np.isin(characters, np.frombuffer(_OPENERS, dtype=np.uint8)).astype(np.int64)
    steps -= np.isin(characters, np.frombuffer(_CLOSERS, dtype=np.uint8))
    return np.cumsum(steps)
