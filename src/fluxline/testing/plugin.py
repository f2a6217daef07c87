"""The pytest plugin: the fixture `drive`, and the option `--fluxline-engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.testing.drive import Drive


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    group = parser.getgroup("fluxline")
    group.addoption("--fluxline-engine", default="embedded", help="engine that the fixture drive runs pipelines on: embedded")


@pytest.fixture
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Run a pipeline in memory on a virtual clock; at the end of the test its row ledger must balance."""
    from fluxline.errors import UnsupportedByEngine
    from fluxline.testing.drive import Drive

    engine = request.config.getoption("--fluxline-engine")
    if engine != "embedded":
        raise UnsupportedByEngine(
            "FLX-2190", f'driving tests on the engine "{engine}" is not part of this version', hint="Leave --fluxline-engine away."
        )
    made = Drive()
    yield made
    made.check_ledgers()
