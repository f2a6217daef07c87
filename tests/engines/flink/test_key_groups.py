"""Keys of partitions, against the numbers that Flink's own `KeyGroupRangeAssignment` was asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from fluxline.engines.flink.key_groups import GROUPS, key_group, spread_keys


def test_keys_that_ran_on_flink() -> None:
    assert spread_keys(3) == (246, 46, 6)
    assert spread_keys(8) == (68, 18, 172, 15, 17, 101, 323, 173)


@pytest.mark.parametrize("partitions", [1, 2, 3, 5, 8, 64, 100, 127, 128])
def test_each_partition_has_its_own_group_in_the_middle_of_its_share(partitions: int) -> None:
    keys = spread_keys(partitions)
    assert len(set(keys)) == partitions
    for number, key in enumerate(keys):
        assert abs(key_group(key) - (number + 0.5) * GROUPS / partitions) < 1
    for parallelism in (2, 4):
        if partitions % parallelism == 0:
            # A subtask gets the groups from number * 128 / parallelism on.
            subtasks = Counter(key_group(key) * parallelism // GROUPS for key in keys)
            assert set(subtasks.values()) == {partitions // parallelism}


def test_more_partitions_than_groups() -> None:
    assert spread_keys(GROUPS + 1) == ()
    assert spread_keys(0) == ()
