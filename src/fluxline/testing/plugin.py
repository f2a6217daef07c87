"""The pytest plugin: the fixture `drive`, and the option `--fluxline-engine` that chooses where it runs pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.stack.running import Stack
    from fluxline.testing.drive import Drive


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    group = parser.getgroup("fluxline")
    group.addoption(
        "--fluxline-engine",
        choices=("embedded", "flink"),
        default="embedded",
        help="engine that the fixture drive runs pipelines on; flink: a Kafka and a Flink are started for the session (default: embedded)",
    )


@pytest.fixture(scope="session")
def fluxline_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Kafka and a Flink of this session alone, in a temporary directory."""
    from fluxline.connectors.kafka.client import library
    from fluxline.stack.running import running_stack

    library()  # An extra that is missing is told before servers are fetched and started.
    with running_stack(("kafka", "flink"), directory=tmp_path_factory.mktemp("fluxline"), die_with_parent=True) as stack:
        yield stack


@pytest.fixture
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Run a pipeline step by step, on a clock that the test moves; at the end of the test its row ledger must balance."""
    from fluxline.testing.drive import Drive

    on_flink = request.config.getoption("--fluxline-engine") == "flink"
    made = Drive(request.getfixturevalue("fluxline_stack") if on_flink else None)
    try:
        yield made
        made.check_ledgers()
    finally:
        made.close()
