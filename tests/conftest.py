"""What holds for every test: generated examples are the same in every run, and a test that cannot run fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from fluxline.stack.running import running_stack

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from fluxline.stack.running import Stack

settings.register_profile("fluxline", derandomize=True, database=None, deadline=None)
settings.load_profile("fluxline")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure: what a test needs is installed, or nobody knows whether the code works."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped; a test that cannot run fails"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips as a whole."""
    report = yield
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped; a test that cannot run fails"
    return report


@pytest.fixture(scope="session")
def kafka_and_flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One Kafka and one Flink for all tests that share them; each takes topics of its own."""
    with running_stack(("kafka", "flink"), directory=tmp_path_factory.mktemp("stack"), die_with_parent=True) as stack:
        yield stack


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One node of Cassandra for all tests that share it; each takes tables or a keyspace of its own."""
    with running_stack(("cassandra",), directory=tmp_path_factory.mktemp("stack"), die_with_parent=True) as stack:
        yield stack
