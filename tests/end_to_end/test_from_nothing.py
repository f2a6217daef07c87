"""The way from nothing to rows in Cassandra, by the commands that the README shows, on a machine that has Python and no Java and no Maven."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from fluxline.stack.cache import cache_directory
from tests.end_to_end.projects import EXAMPLE, copy_example
from tests.reference.sensors import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.servers
HIDDEN = ("java", "javac", "jshell", "jar", "mvn", "mvnw", "gradle")
FIRST = 20_000


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """An environment in which nobody finds a Java or Maven that is there, and all else is as it was."""
    commands, ours = tmp_path / "bin", Path(sys.executable).parent
    commands.mkdir()
    for folder in reversed([Path(part) for part in os.environ["PATH"].split(os.pathsep)]):
        for command in folder.iterdir() if folder.is_dir() else ():
            if command.name not in HIDDEN:
                (commands / command.name).unlink(missing_ok=True)
                (commands / command.name).symlink_to(command)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAVA", "MAVEN", "M2", "JDK", "_JAVA"))}
    cache = str(cache_directory(os.environ).parent)
    kept |= {"PATH": f"{ours}{os.pathsep}{commands}", "HOME": str(tmp_path), "FLUXLINE_CACHE": cache, "FLUXLINE_JAVA_HOME": "package"}
    assert [command for command in HIDDEN if shutil.which(command, path=kept["PATH"])] == []
    return kept


@pytest.fixture
def project(tmp_path: Path, variables: dict[str, str]) -> Iterator[Path]:
    """The example; its stack is ended whatever happens."""
    folder = copy_example(tmp_path / "sensors")
    shutil.copy(EXAMPLE / "produce.py", folder)
    yield folder
    run(folder, variables, "fluxline", "stack", "down")


def run(folder: Path, variables: dict[str, str], *command: str) -> str:
    """Run a command as a user would; what it prints."""
    program = shutil.which(command[0], path=variables["PATH"])
    assert program is not None
    done = subprocess.run([program, *command[1:]], cwd=folder, env=variables, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_nothing_to_cassandra(project: Path, variables: dict[str, str]) -> None:
    """Up, produce, submit, ask by CQL, stop; the servers run on the Java of a package."""
    run(project, variables, "fluxline", "stack", "up", "--standard-ports")
    servers = json.loads(run(project, variables, "fluxline", "stack", "status", "-o", "json"))["servers"]
    programs = {Path(psutil.Process(server["pid"]).exe()) for server in servers}
    assert len(servers) == 5
    assert all(program.is_relative_to(Path(variables["FLUXLINE_CACHE"]).resolve()) for program in programs), programs
    run(project, variables, "python", "produce.py", "--first", str(FIRST))
    told = run(project, variables, "fluxline", "submit", "--env", "stack", "--bounded", "--wait")
    assert "Cassandra" in told or "cassandra" in told, told
    sent = [json.loads(line) for line in read_bytes(EXAMPLE / "data/readings.ndjson.zst").splitlines()[:FIRST]]
    expected = Counter(sensor for sensor, _at in {(reading["sensor_id"], reading["timestamp"]) for reading in sent})
    for sensor, readings in expected.most_common(3):
        question = f"SELECT count(*) AS readings FROM sensor_readings WHERE sensor_id = {sensor}"
        answer = json.loads(run(project, variables, "fluxline", "query", "--env", "stack", "-o", "json", question))
        assert answer["rows"] == [{"readings": readings}]
    run(project, variables, "fluxline", "stop", "--env", "stack")
