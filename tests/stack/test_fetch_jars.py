"""Jars are what their lock says: another or a shorter file is deleted and fetched again, and never used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from fluxline.stack.cache import LOCKS
from fluxline.stack.fetch_jars import ATTEMPTS, Jar, fetch, is_intact, read_lock

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"the bytes of a jar"


def jar(artifact: str = "thing", classifier: str = "") -> Jar:
    return Jar("org.example", artifact, "1.2", classifier, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class FakeRepository:
    """Gives each of the contents in turn, as downloads that go wrong would."""

    def __init__(self, folder: Path, *contents: bytes) -> None:
        self.folder = folder
        self.contents = list(contents)
        self.downloads = 0

    def resolve(self, wanted: Jar) -> Path:
        path = self.folder / wanted.file_name
        if not path.exists():  # What is there is trusted, as a repository cache does.
            self.downloads += 1
            path.write_bytes(self.contents.pop(0) if len(self.contents) > 1 else self.contents[0])
        return path


def fetch_one(tmp_path: Path, *contents: bytes) -> FakeRepository:
    repository = FakeRepository(tmp_path, *contents)
    fetch([jar()], tmp_path / "jars", repository.resolve, lambda _jar: None)
    return repository


def test_a_sound_jar_is_fetched_once(tmp_path: Path) -> None:
    assert fetch_one(tmp_path, CONTENT).downloads == 1
    assert (tmp_path / "jars" / "thing-1.2.jar").read_bytes() == CONTENT
    assert fetch_one(tmp_path, CONTENT).downloads == 0


@pytest.mark.parametrize("wrong", [CONTENT[:-1], b"", CONTENT[:-1] + b"!"])
def test_a_wrong_or_short_file_is_fetched_again(tmp_path: Path, wrong: bytes) -> None:
    assert fetch_one(tmp_path, wrong, CONTENT).downloads == 2
    assert (tmp_path / "jars" / "thing-1.2.jar").read_bytes() == CONTENT


def test_a_repository_that_only_gives_another_file_is_refused(tmp_path: Path) -> None:
    repository = FakeRepository(tmp_path, b"something else of it")
    with pytest.raises(ValueError, match=r"org\.example:thing:1\.2"):
        fetch([jar()], tmp_path / "jars", repository.resolve, lambda _jar: None)
    assert repository.downloads == ATTEMPTS
    assert list((tmp_path / "jars").iterdir()) == []
    assert not (tmp_path / "thing-1.2.jar").exists()


def test_a_damaged_link_is_replaced(tmp_path: Path) -> None:
    fetch_one(tmp_path, CONTENT)
    linked = tmp_path / "jars" / "thing-1.2.jar"
    linked.write_bytes(b"")  # Both names mean one file: the repository's is damaged too.
    assert fetch_one(tmp_path, CONTENT).downloads == 1
    assert linked.read_bytes() == CONTENT


def test_a_classifier_is_part_of_the_name() -> None:
    assert jar(classifier="linux-x86_64").file_name == "thing-1.2-linux-x86_64.jar"


@pytest.mark.parametrize(("part", "count"), [("kafka", 92), ("cassandra", 100), ("flink", 2), ("compiler", 1)])
def test_locks_are_whole(part: str, count: int) -> None:
    jars = read_lock(LOCKS / f"{part}.lock")
    assert len({each.file_name for each in jars}) == count
    assert all(len(each.sha256) == 64 and each.size > 0 for each in jars)


def test_a_missing_file_is_not_intact(tmp_path: Path) -> None:
    assert not is_intact(tmp_path / "none.jar", jar())
