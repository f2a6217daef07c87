"""What `fluxline jobs` says of sources, and what is kept for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fluxline.cli.jobs import source_line
from fluxline.control.deployment import Deployment, DeploymentDirectory
from fluxline.control.ledger import SourceCount, SourceRecord

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (SourceCount("readings", "shop.readings", 1_240, 0), "readings: topic shop.readings, 1,240 offsets read, none left"),
        (SourceCount("readings", "readings", 0, 1_240), "readings: topic readings, at least 0 offsets read, at most 1,240 left"),
        (SourceCount("readings", "readings", None, None), "readings: topic readings, how far it is read is not known"),
    ],
)
def test_how_far_a_source_is_read(count: SourceCount, text: str) -> None:
    """Nothing is said that is not known."""
    assert source_line(count) == text


def test_where_a_job_began_is_kept(tmp_path: Path) -> None:
    """A record of an older version does not have it."""
    place = DeploymentDirectory(tmp_path)
    kept = Deployment("p", "stack", "submitted", "d", False, 1, "job", "g", "r", sources=(SourceRecord("readings", "t", "group", {"0": 7}),))
    place.write(kept)
    assert place.read() == kept
    record = json.loads((tmp_path / "deployment.json").read_text())
    del record["sources"]
    (tmp_path / "deployment.json").write_text(json.dumps(record | {"format": 1}))
    found = place.read()
    assert found is not None
    assert found.sources == ()
