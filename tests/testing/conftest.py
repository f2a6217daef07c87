"""The fixture `drive` of these tests runs each of them on both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.testing import Drive

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["embedded", pytest.param("flink", marks=pytest.mark.servers)])
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """As the plugin gives it, and on the servers that other tests share."""
    made = Drive(request.getfixturevalue("kafka_and_flink") if request.param == "flink" else None)
    try:
        yield made
        made.check_ledgers()
    finally:
        made.close()
