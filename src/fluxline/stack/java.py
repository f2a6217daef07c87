"""Which Java runs the servers: one of major 17 that is there already, else one from a package."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAJOR = 17  # Cassandra 5 runs on 11 and 17, Flink 2.3 from 17 on, Kafka 4 from 17 on.
_ANSWER_SECONDS = 20
_HOMES = Path("/usr/lib/jvm")


def installed_java(variables: Mapping[str, str], homes: Path = _HOMES) -> Path | None:
    """A Java that fits: the one asked for, else of JAVA_HOME, of the PATH, of the usual folder of a Linux system.

    FLUXLINE_JAVA_HOME is what asks; the word "package" in it passes over all of them.

    Raises:
        ExternalError: FLX-4305, FLUXLINE_JAVA_HOME names one that does not fit.
    """
    asked = variables.get("FLUXLINE_JAVA_HOME")
    if asked == "package":
        return None
    if asked:
        java = Path(asked) / "bin" / "java"
        found = java_major(java)
        if found != MAJOR:
            raise no_java(f'FLUXLINE_JAVA_HOME is "{asked}", and {"there is none" if found is None else f"that is Java {found}"}.')
        return java
    return next((java for java in _candidates(variables, homes) if java_major(java) == MAJOR), None)


def _candidates(variables: Mapping[str, str], homes: Path) -> Iterable[Path]:
    if variables.get("JAVA_HOME"):
        yield Path(variables["JAVA_HOME"]) / "bin" / "java"
    on_path = shutil.which("java", path=variables.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    yield from sorted(homes.glob(f"*{MAJOR}*/bin/java"))


def java_major(java: Path) -> int | None:
    """The major version of a Java, None if it does not answer."""
    try:
        said = subprocess.run([str(java), "-version"], capture_output=True, text=True, errors="replace", timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(version.group(1)) if version and said.returncode == 0 else None


def has_java_wheel(system: str, machine: str) -> bool:
    """Whether a Java 17 can be had as a package for a system."""
    return system == "Linux" and machine.lower() in ("x86_64", "amd64")


def no_java(detail: str) -> ExternalError:
    """The error for a machine without a Java that fits."""
    return ExternalError(
        "FLX-4305", f"the servers need Java {MAJOR}", detail=detail, hint=f"Install a Java {MAJOR} and name its folder in FLUXLINE_JAVA_HOME."
    )
