"""The jar that is committed is what its source gives, and it is in the wheel's folder."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from tools import build_java

from tests.tidy.tree import ROOT, report

if TYPE_CHECKING:
    from fluxline.stack.cache import Fetched

FILE_LINES_BELOW = 500


@pytest.mark.servers
def test_the_jar_is_what_its_source_gives(fetched: Fetched) -> None:
    built = build_java.entries(fetched)
    with zipfile.ZipFile(build_java.JAR) as archive:
        committed = {name: archive.read(name) for name in archive.namelist()}
    different = [name for name in sorted(built.keys() | committed.keys()) if built.get(name) != committed.get(name)]
    assert not different, report(different)
    assert build_java.JAR.read_bytes() == build_java.jar_bytes(built)


def test_the_same_entries_give_the_same_jar() -> None:
    """Nothing of the machine and the moment is in it."""
    with zipfile.ZipFile(build_java.JAR) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list(content) == ["META-INF/MANIFEST.MF", *sorted(content.keys() - {"META-INF/MANIFEST.MF"})]
    assert build_java.jar_bytes(content) == build_java.JAR.read_bytes()


def test_flink_finds_the_format() -> None:
    """The service file names a class of the jar."""
    with zipfile.ZipFile(build_java.JAR) as archive:
        named = archive.read("META-INF/services/org.apache.flink.table.factories.Factory").decode().split()
        assert [f"{name.replace('.', '/')}.class" in archive.namelist() for name in named] == [True]


def test_java_files_fit_in_one_head() -> None:
    files = list((ROOT / "java").rglob("*.java"))
    sizes = {path.name: path.read_text(encoding="utf-8").count("\n") for path in files}
    assert len(sizes) == len(files) > 0
    assert max(sizes.values()) < FILE_LINES_BELOW, sizes
