"""A project in a temporary folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from fluxline.config import Project, load_project

if TYPE_CHECKING:
    from pathlib import Path


class Write(Protocol):
    """Write a project file and load it."""

    def __call__(self, text: str, *, version: str = "0.3.1") -> Project:
        """The project of this text, read as by this version."""
        ...


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `fluxline.toml`; its [project] table is added at the end."""

    def write_and_load(text: str, *, version: str = "0.3.1") -> Project:
        path = tmp_path / "fluxline.toml"
        path.write_text(text if "[project]" in text else f'{text}\n[project]\nname = "sensors"\n', encoding="utf-8")
        return load_project(path, version=version)

    return write_and_load
