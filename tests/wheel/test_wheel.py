"""The built wheel, used as somebody uses it who has nothing else: from an empty environment to a project that runs and is tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tidy.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.wheel

INSTALLED_BYTES_MAX = 450 * 1_000_000
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")
PYTEST = ("colorama", "iniconfig", "packaging", "pluggy", "pygments", "pytest")
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that has the wheel, the runtime lock and pytest.

    Attributes:
        programs: the folder of its programs.
        bytes_of_packages: what the wheel and the lock take on the disk.
        wheel: the file that was installed.
    """

    programs: Path
    bytes_of_packages: int
    wheel: Path

    def run(self, *command: str, cwd: Path) -> str:
        """What a program of the environment prints; it has to succeed."""
        program = self.programs / command[0]
        assert program.exists(), f"the environment has no {command[0]}"
        return called(str(program), *command[1:], cwd=cwd, path=f"{self.programs}{os.pathsep}{os.environ['PATH']}")


def called(*command: str, cwd: Path, path: str | None = None) -> str:
    """The output of a command that has to succeed, in an environment that knows nothing of this one."""
    apart = ("PYTHON", "VIRTUAL_ENV", "PYTEST", "COV", "FLUXLINE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(apart)}
    if path is not None:
        clean["PATH"] = path
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def locked(lock: Path, names: tuple[str, ...]) -> str:
    """The part of a lock that is about these packages, hashes included."""
    entries = re.split(r"^(?=\S)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(entry for entry in entries if re.split(r"[=\s]", entry, maxsplit=1)[0] in names)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Built from a copy of what the distribution is made of, so that the checkout stays as it is; installed outside of it."""
    folder = tmp_path_factory.mktemp("wheel")
    assert ROOT not in folder.parents, "the environment must not see the checkout"
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    called(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), ".", cwd=source)
    (wheel,) = folder.glob("*.whl")
    called(sys.executable, "-m", "venv", str(folder / "environment"), cwd=folder)
    programs = folder / "environment" / "bin"
    python = str(programs / "python")
    called(python, *INSTALL, "--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "requirements" / "runtime.txt"), cwd=folder)
    called(python, *INSTALL, "--no-deps", str(wheel), cwd=folder)
    called(python, "-m", "pip", "check", cwd=folder)
    (packages,) = (folder / "environment" / "lib").glob("python*/site-packages")
    taken = sum(size_of(path) if path.is_dir() else path.stat().st_size for path in packages.iterdir() if not path.name.startswith(NOT_OURS))
    (folder / "pytest.txt").write_text(locked(ROOT / "requirements" / "dev.txt", PYTEST), encoding="utf-8")
    called(python, *INSTALL, "--require-hashes", "--only-binary", ":all:", "-r", str(folder / "pytest.txt"), cwd=folder)
    yield Installed(programs, taken, wheel)
    shutil.rmtree(folder)  # it is large, and temporary folders of several runs are kept


def test_the_wheel_has_the_package_and_nothing_else(installed: Installed) -> None:
    """Typed, with its licence, with the jar for Flink, without tests."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    (information,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names} == {"fluxline", information}
    assert {"fluxline/py.typed", "fluxline/__init__.py", f"{information}/licenses/LICENSE", f"{information}/entry_points.txt"} <= set(names)
    ours = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "fluxline").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == ours
    assert [name for name in names if name.endswith(".jar")] == ["fluxline/engines/flink/jars/fluxline-formats.jar"]


def test_the_core_is_small(installed: Installed) -> None:
    """What somebody downloads who wants to try it."""
    assert installed.bytes_of_packages <= INSTALLED_BYTES_MAX


def test_the_package_comes_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    """Not from the checkout, and in the version that the file's name says."""
    found = installed.run("python", "-c", "import fluxline; print(fluxline.__file__, fluxline.__version__)", cwd=tmp_path).split()
    assert str(installed.programs.parent) in found[0]
    assert installed.wheel.name.startswith(f"fluxline-{found[1]}-")
    assert installed.run("fluxline", "--version", cwd=tmp_path).strip().endswith(found[1])


def test_a_new_project_runs_is_queried_and_tested(installed: Installed, tmp_path: Path) -> None:
    """As `fluxline new` says itself, line by line; the averages are those of its twelve records, of which one is late and one cut off."""
    made = installed.run("fluxline", "new", "demo", cwd=tmp_path)
    next_steps = [line.strip() for line in made.partition("next:\n")[2].splitlines()]
    assert next_steps == ["cd demo", "fluxline run --bounded", 'fluxline query "select * from hourly_averages"', "pytest"]
    demo = tmp_path / "demo"

    report = installed.run("fluxline", "run", "--bounded", cwd=demo)
    assert "readings -> hourly_averages: read 12 = used 10 + late 1 + rejected 1; wrote 6" in report
    assert "balanced: every operator and every edge" in report

    answer = installed.run("fluxline", "query", "select * from hourly_averages", cwd=demo)
    heading, _, *rows, count = answer.splitlines()
    assert heading.split() == ["sensor_id", "window_start", "window_end", "mean", "readings"]
    assert count == "(6 rows)"
    assert sorted((int(sensor), f"{day} {hour}", float(mean), int(rows)) for sensor, day, hour, _, _, mean, rows in map(str.split, rows)) == [
        (1, "2024-06-07 08:00:00", 21.5, 2),
        (1, "2024-06-07 09:00:00", 23.5, 2),
        (1, "2024-06-07 10:00:00", 25.0, 1),
        (2, "2024-06-07 08:00:00", 24.75, 2),
        (2, "2024-06-07 09:00:00", 26.75, 2),
        (2, "2024-06-07 10:00:00", 24.5, 1),
    ]
    assert " passed" in installed.run("pytest", "-p", "no:cacheprovider", cwd=demo)


def test_a_second_run_has_nothing_to_do(installed: Installed, tmp_path: Path) -> None:
    """And says so; starting over gives the same rows."""
    installed.run("fluxline", "new", "demo", cwd=tmp_path)
    demo = tmp_path / "demo"
    installed.run("fluxline", "run", "--bounded", cwd=demo)
    query = ("fluxline", "query", "select * from hourly_averages")
    before = installed.run(*query, cwd=demo)
    installed.run("fluxline", "run", "--bounded", cwd=demo)
    assert installed.run(*query, cwd=demo) == before
    installed.run("fluxline", "run", "--bounded", "--fresh", cwd=demo)
    assert installed.run(*query, cwd=demo) == before
