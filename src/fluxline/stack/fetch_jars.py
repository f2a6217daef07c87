"""Fetch the jars of one server by a lock: exact coordinates, size and SHA-256 of each. Runs as a script inside the stack's own environment.

    line of a lock := group <tab> artifact <tab> version <tab> classifier <tab> sha256 <tab> size

It prints one line for each jar that is in place, and needs nothing of Fluxline: that environment does not have it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8  # A connection is opened for each file: eight hide the waiting, more are throttled.
ATTEMPTS = 3
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of a lock."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return ":".join(part for part in (self.group, self.artifact, self.version, self.classifier) if part)

    @property
    def file_name(self) -> str:
        """What the file is called in a repository, and in our folder."""
        return "-".join(part for part in (self.artifact, self.version, self.classifier) if part) + ".jar"


def read_lock(path: Path) -> list[Jar]:
    """The jars of a lock, in its order."""
    jars = []
    for line in path.read_text(encoding="utf-8").splitlines():
        group, artifact, version, classifier, sha256, size = line.split("\t")
        jars.append(Jar(group, artifact, version, classifier, sha256, int(size)))
    return jars


def is_intact(path: Path, jar: Jar) -> bool:
    """Whether the file is the one that the lock means."""
    return path.is_file() and path.stat().st_size == jar.size and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def fetch(jars: list[Jar], folder: Path, resolve: Callable[[Jar], Path], done: Callable[[Jar], None]) -> None:
    """Put every jar of a lock into a folder.

    Args:
        jars: what is wanted.
        folder: where each is linked; on the file system of the files that `resolve` gives.
        resolve: gives the file of a jar, downloading it where it is not there yet; called from several threads.
        done: is told of each jar that is in place.

    Raises:
        ValueError: a file is another one than the lock says, however often it is fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def one(jar: Jar) -> None:
        wanted = folder / jar.file_name
        if not is_intact(wanted, jar):
            wanted.unlink(missing_ok=True)
            wanted.hardlink_to(_verified(jar, resolve))
        done(jar)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, jars))


def _verified(jar: Jar, resolve: Callable[[Jar], Path]) -> Path:
    for _ in range(ATTEMPTS):
        path = resolve(jar)
        if is_intact(path, jar):
            return path
        path.unlink(missing_ok=True)  # A download that was cut short stays behind as a file; it must not be trusted the next time.
    raise ValueError(f"{jar}: what the repository gives is another file than the lock means (SHA-256)")


def main(arguments: list[str]) -> int:
    """Fetch by a lock (first argument) through a repository cache (second) into a folder (third)."""
    lock, cache, folder = (Path(argument) for argument in arguments)
    context = importlib.import_module("jgo.maven").MavenContext(repo_cache=cache, timeout=TIMEOUT_SECONDS)

    def resolve(jar: Jar) -> Path:
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact(classifier=jar.classifier, packaging="jar").resolve())

    def done(jar: Jar) -> None:
        sys.stdout.write(f"have {jar.size} {jar}\n")
        sys.stdout.flush()

    try:
        fetch(read_lock(lock), folder, resolve, done)
    except Exception as error:  # The caller turns the last line into a message.
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)  # The other downloads are not waited for.
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
