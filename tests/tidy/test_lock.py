"""The locks hold what `pyproject.toml` asks for, each file of it with its hash, and say nothing of where it comes from."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.tree import ROOT, text_of

PROJECT: dict[str, Any] = tomllib.loads(text_of(ROOT / "pyproject.toml"))
_PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^ ;\\]+)([^\\]*)\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)
LOCKS = ("runtime.txt", "dev.txt", "lock.txt")


def pins(name: str) -> dict[str, list[str]]:
    """Package -> its locked versions, for one or several versions of Python."""
    found: dict[str, list[str]] = {}
    for match in _PIN.finditer(text_of(ROOT / "requirements" / name)):
        found.setdefault(match.group(1), []).append(match.group(2))
    return found


def asked_for(name: str) -> list[Requirement]:
    """What a lock has to hold, as the project states it."""
    groups = PROJECT["dependency-groups"]
    texts = {
        "runtime.txt": PROJECT["project"]["dependencies"],
        "dev.txt": [*PROJECT["project"]["dependencies"], *groups["build"], *(item for item in groups["dev"] if isinstance(item, str))],
        "lock.txt": groups["lock"],
    }
    return [Requirement(text) for text in texts[name]]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(name: str) -> None:
    """`make lock` brings them together again."""
    found = pins(name)
    for requirement in asked_for(name):
        versions = found.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not in requirements/{name}: run make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement} is locked at {versions}: run make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes(name: str) -> None:
    """Nothing else stands there: no option, no address, no version that floats."""
    rest = _PIN.sub("", text_of(ROOT / "requirements" / name))
    assert [line for line in rest.splitlines() if not re.match(r"^    #( |$)", line)] == []


def test_developers_use_what_users_get() -> None:
    """The versions of the runtime lock are those of the developers' lock."""
    developers = pins("dev.txt")
    assert {name: developers.get(name) for name in pins("runtime.txt")} == pins("runtime.txt")


def test_the_build_needs_nothing_from_outside_the_lock() -> None:
    """The build backend is installed from the lock, so that the project is built without isolation."""
    assert {Requirement(text).name for text in PROJECT["build-system"]["requires"]} <= pins("dev.txt").keys()
