"""What the tests of the Java side share: fetched once, compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tools import build_java

from tests.java.judge import JavaJudge

if TYPE_CHECKING:
    from fluxline.stack.cache import Fetched


@pytest.fixture(scope="session")
def fetched() -> Fetched:
    return build_java.fetch()


@pytest.fixture(scope="session")
def java(fetched: Fetched, tmp_path_factory: pytest.TempPathFactory) -> JavaJudge:
    return JavaJudge(fetched, tmp_path_factory.mktemp("java"))
