"""Compile the Java of Flink's side and write the jar that Fluxline brings along; with `--check`, compare.

    python tools/build_java.py            write the jar if it differs
    python tools/build_java.py --check    say whether it differs, and leave with 1

It needs a Java 17 and no JDK: the compiler is a jar that is fetched by its lock, as Flink's own classes are. The same source
gives the same jar on every machine: entries are sorted, without times, and not compressed.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.stack.cache import cache_directory, ensure

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.stack.cache import Fetched

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "java" / "fluxline-formats"
MAIN, RESOURCES, TESTS = PROJECT / "src/main/java", PROJECT / "src/main/resources", PROJECT / "src/test/java"
JAR = ROOT / "src/fluxline/engines/flink/jars/fluxline-formats.jar"
_PROVIDED = ("flink-dist-*.jar", "flink-table-api-java-uber-*.jar")  # What Flink has on its class path anyway.
_MANIFEST = "Manifest-Version: 1.0\nImplementation-Title: fluxline-formats\n\n"
_OLDEST = (1980, 1, 1, 0, 0, 0)  # A zip file knows no older time, and this one none at all.


def fetch(say: Callable[[str], None] = print) -> Fetched:
    """The Java, the compiler and Flink's classes, fetched where they are missing."""
    return ensure(("flink", "compiler"), cache_directory(os.environ), os.environ, say)


def provided(fetched: Fetched) -> list[Path]:
    """The jars that the source is compiled against."""
    assert fetched.flink_home is not None, "Flink is among the parts"
    return [next((fetched.flink_home / "lib").glob(pattern)) for pattern in _PROVIDED]


def compile_java(fetched: Fetched, source: Path, folder: Path, *needed: Path) -> None:
    """Compile all files below a folder into another one; every warning is an error.

    Raises:
        SystemExit: with what the compiler said.
    """
    files = sorted(str(path) for path in source.rglob("*.java"))
    classes = os.pathsep.join(map(str, [*needed, *provided(fetched)]))
    options = ["-17", "-proc:none", "-encoding", "UTF-8", "-g", "-Xlint:all", "-failOnWarning"]
    compiler = next(fetched.jars["compiler"].glob("ecj-*.jar"))
    command = [str(fetched.java), "-Xmx256m", "-jar", str(compiler), *options, "-classpath", classes, "-d", str(folder), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def entries(fetched: Fetched) -> dict[str, bytes]:
    """What belongs into the jar, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compile_java(fetched, MAIN, folder)
        found = {path.relative_to(root).as_posix(): path.read_bytes() for root in (folder, RESOURCES) for path in root.rglob("*") if path.is_file()}
    return {"META-INF/MANIFEST.MF": _MANIFEST.encode(), **dict(sorted(found.items()))}


def jar_bytes(content: dict[str, bytes]) -> bytes:
    """The jar with these entries in this order."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.create_system = 3  # Not that of the machine it was built on.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return written.getvalue()


def main() -> int:
    """Write the jar, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    built = jar_bytes(entries(fetch()))
    same = JAR.exists() and JAR.read_bytes() == built
    shown = JAR.relative_to(ROOT)
    if parser.parse_args().check or same:
        print(f"{shown} is what the source gives" if same else f"{shown} is not what the source gives: make java")
        return 0 if same else 1
    JAR.parent.mkdir(parents=True, exist_ok=True)
    JAR.write_bytes(built)
    print(f"wrote {shown}, {len(built)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
