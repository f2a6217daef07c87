"""Keys that spread the partitions of a source evenly over the subtasks of a job.

Flink puts a key into one of 128 key groups by a hash, and gives each subtask a range of groups. Small numbers of
partitions hash into few of these ranges; so each partition gets a number of our choice whose group lies in the middle
of its share of all groups.
"""

from __future__ import annotations

from functools import cache

from fluxline.limits import FLINK_SPREAD_PARTITIONS_MAX

GROUPS = 128
"""`pipeline.max-parallelism`: the number of key groups. State is found again by it, so it never changes."""

_WORD = 0xFFFFFFFF


def key_group(key: int) -> int:
    """The group of a key that is one INT column."""
    # The row as Flink hashes it: eight bytes of header, the INT, and padding, as words of four bytes.
    return _mixed(_row_hash((0, 0, key & _WORD, 0))) % GROUPS


@cache
def spread_keys(partitions: int) -> tuple[int, ...]:
    """One key per partition, for as many as there are; a partition keeps its key for its whole life.

    For more partitions than key groups there is none: as good as any is the number of the partition itself.
    """
    if not 1 <= partitions <= FLINK_SPREAD_PARTITIONS_MAX:
        return ()
    wanted = [(2 * number + 1) * GROUPS // (2 * partitions) for number in range(partitions)]
    found: dict[int, int] = {}
    key = 0
    missing = set(wanted)
    while missing:
        group = key_group(key)
        if group in missing:
            found[group] = key
            missing.discard(group)
        key += 1
    return tuple(found[group] for group in wanted)


def _row_hash(words: tuple[int, ...]) -> int:
    """Murmur3 with seed 42, as Flink hashes a row."""
    value = 42
    for word in words:
        value ^= _turned(word * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
        value = _turned(value, 13) * 5 + 0xE6546B64 & _WORD
    return _finished(value ^ 4 * len(words))


def _mixed(value: int) -> int:
    """Murmur3 of the hash once more, as key groups are chosen; never negative."""
    value = _turned(value * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
    value = _turned(value, 13) * 5 + 0xE6546B64 & _WORD
    value = _finished(value ^ 4)
    signed = value - (1 << 32) if value >> 31 else value
    return 0 if signed == -(1 << 31) else abs(signed)


def _finished(value: int) -> int:
    value ^= value >> 16
    value = value * 0x85EBCA6B & _WORD
    value ^= value >> 13
    value = value * 0xC2B2AE35 & _WORD
    return value ^ value >> 16


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _WORD
