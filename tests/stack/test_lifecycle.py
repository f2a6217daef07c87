"""What is refused before anything starts, the record, the configuration and the environment that is printed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluxline.config_project import load_project
from fluxline.control import stack as control
from fluxline.errors import ConfigError, ConnectionLost, DiskFull, ExternalError, FluxlineError, RecoveryError, ResourceMissing, UnsupportedByEngine
from fluxline.stack import cache, cassandra, flink, kafka
from fluxline.stack.environment import environment_text
from fluxline.stack.java import has_java_wheel, installed_java, java_major
from fluxline.stack.lifecycle import Start, up
from fluxline.stack.server import Place
from fluxline.stack.state import ServerProcess, State, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable

PORTS = {name: 15_000 + 10 * index for index, name in enumerate((*kafka.PORTS, *flink.PORTS, *cassandra.PORTS))}


def fake_java(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    return java


def refusal(what: Callable[[], object], kind: type[FluxlineError], code: str) -> FluxlineError:
    with pytest.raises(kind) as refused:
        what()
    assert refused.value.code == code
    return refused.value


def start(directory: Path, *parts: str, variables: dict[str, str] | None = None) -> State:
    return up(parts, directory, Start(), lambda _line: None, variables=variables)


def test_elsewhere_than_on_linux_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in refusal(lambda: start(tmp_path / "s"), UnsupportedByEngine, "FLX-4300").detail
    assert not (tmp_path / "s").exists()


def test_without_psutil_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert refusal(lambda: start(tmp_path / "s"), ExternalError, "FLX-4309").hint == 'pip install "fluxline[stack]"'


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    assert 'Did you mean "kafka"?' in refusal(lambda: start(tmp_path / "s", "kafak"), ConfigError, "FLX-4310").hint


def test_a_wrong_java_is_refused(tmp_path: Path) -> None:
    fake_java(tmp_path / "jdk", "11.0.2")
    variables = {"FLUXLINE_CACHE": str(tmp_path / "cache"), "FLUXLINE_JAVA_HOME": str(tmp_path / "jdk")}
    assert "Java 11" in refusal(lambda: start(tmp_path / "s", "kafka", variables=variables), ExternalError, "FLX-4305").detail


def test_a_full_disk_is_seen_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "jdk", "17.0.15")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100, 100, 0))
    variables = {"FLUXLINE_CACHE": str(tmp_path / "cache"), "FLUXLINE_JAVA_HOME": str(tmp_path / "jdk")}
    refusal(lambda: start(tmp_path / "s", "kafka", variables=variables), DiskFull, "FLX-4303")
    assert [path.name for path in (tmp_path / "cache" / "stack").iterdir()] == ["lock"]


@pytest.mark.parametrize(("said", "kind", "code"), [("no route to host", ConnectionLost, "FLX-4304"), ("[Errno 28] x", DiskFull, "FLX-4303")])
def test_a_failed_fetch_says_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[FluxlineError], code: str) -> None:
    """An environment whose Python only fails stands for one without a network."""
    python = tmp_path / f"tools-{sys.version_info.major}.{sys.version_info.minor}" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")
    python.chmod(0o700)
    (python.parent.parent / ".have").mkdir()
    monkeypatch.setattr(cache, "installed_java", lambda _variables: Path("/java"))
    error = refusal(lambda: cache.ensure(("kafka",), tmp_path, {}, lambda _line: None), kind, code)
    assert said in error.detail


def test_java_is_found_where_it_is(tmp_path: Path) -> None:
    old, new = fake_java(tmp_path / "old", "1.8.0_292"), fake_java(tmp_path / "new", "17.0.15")
    assert (java_major(old), java_major(new), java_major(tmp_path / "none")) == (8, 17, None)
    assert installed_java({"JAVA_HOME": str(tmp_path / "new"), "PATH": ""}, homes=tmp_path / "none") == new
    assert installed_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(new.parent)}, homes=tmp_path / "none") == new
    assert installed_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": ""}, homes=tmp_path / "none") is None
    assert installed_java({"JAVA_HOME": str(tmp_path / "new"), "FLUXLINE_JAVA_HOME": "package"}) is None
    inside = fake_java(tmp_path / "jvm" / "java-17-any", "17.0.1")
    assert installed_java({"PATH": ""}, homes=tmp_path / "jvm") == inside
    assert has_java_wheel("Linux", "x86_64")
    assert not has_java_wheel("Linux", "aarch64")


def test_the_cache_is_where_the_variables_say(tmp_path: Path) -> None:
    assert cache.cache_directory({"FLUXLINE_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path / "stack"
    assert cache.cache_directory({"XDG_CACHE_HOME": "/x"}) == Path("/x/fluxline/stack")
    assert cache.cache_directory({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "fluxline" / "stack"


def test_a_record_comes_back(tmp_path: Path) -> None:
    state = State({"kafka": 15_000}, [ServerProcess("kafka", "kafka", 7, 12.5)])
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert read_state(tmp_path / "none") == State()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "ports": {}, "processes": [{}]}', '{"version": 2}'])
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    refusal(lambda: read_state(tmp_path), RecoveryError, "FLX-4308")


@pytest.mark.parametrize("parts", [("kafka",), ("flink",), ("cassandra",), ("kafka", "flink", "cassandra")])
def test_the_printed_environment_is_one(tmp_path: Path, parts: tuple[str, ...]) -> None:
    text = environment_text("stack", PORTS, parts, "fluxline")
    (tmp_path / "fluxline.toml").write_text(f'[project]\nname = "p"\n\n{text}')
    assert load_project(tmp_path / "fluxline.toml").environments == ("stack",)


def test_the_printed_environment_says_where_all_is() -> None:
    environment = tomllib.loads(environment_text("stack", PORTS, ("kafka", "flink", "cassandra"), "sensors"))["environments"]["stack"]
    assert environment == {
        "engine": "flink",
        "topics": "kafka",
        "tables": "cassandra",
        "flink": {"gateway": f"http://127.0.0.1:{PORTS['flink_gateway']}", "rest": f"http://127.0.0.1:{PORTS['flink']}"},
        "connections": {
            "kafka": {"connector": "kafka", "bootstrap_servers": [f"127.0.0.1:{PORTS['kafka']}"], "format": "json"},
            "cassandra": {"connector": "cassandra", "contact_points": ["127.0.0.1"], "port": PORTS["cassandra"], "keyspace": "sensors"},
        },
    }


def test_every_address_is_loopback(tmp_path: Path) -> None:
    """Unless metrics are asked for, whose reporter cannot be told where to listen."""
    place = Place(tmp_path, Path("java"), tmp_path, PORTS)
    written = json.dumps([flink.config(place, metrics=False), cassandra.config(place)]) + kafka.properties(place)
    assert "0.0.0.0" not in written
    assert "PrometheusReporter" not in written
    assert "bind-port" not in written
    assert flink.config(place, metrics=True)["metrics.reporter.prom"]["port"] == f"{PORTS['flink_metrics_range']}-{PORTS['flink_metrics_range'] + 1}"


def test_a_stack_lives_in_its_project(tmp_path: Path) -> None:
    (tmp_path / "fluxline.toml").touch()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    assert control.stack_directory(tmp_path / "deep" / "er", "a") == tmp_path.resolve() / ".fluxline" / "stack" / "a"


def test_status_tells_who_ended(tmp_path: Path) -> None:
    write_state(tmp_path, State({"kafka": 15_000}, [ServerProcess("kafka", "kafka", os.getpid(), 1.0)]))
    assert [(each.name, each.state, each.memory_bytes) for each in control.status(tmp_path)] == [("kafka", "ended", 0)]
    refusal(lambda: control.environment(tmp_path, "stack", "k"), ResourceMissing, "FLX-4311")


def test_logs_are_those_of_a_part(tmp_path: Path) -> None:
    (tmp_path / "jobmanager.log").write_text("one\ntwo\nthree\n")
    assert [(each.server, each.lines) for each in control.logs(tmp_path, "flink", 2)] == [("jobmanager", ["two", "three"])]
    refusal(lambda: control.logs(tmp_path, "kafka", 2), ResourceMissing, "FLX-4311")
    refusal(lambda: control.logs(tmp_path, "flnik", 2), ConfigError, "FLX-4310")
