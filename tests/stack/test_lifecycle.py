"""What is refused before anything starts, the record, the configuration and the environment that is printed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from fluxline.config_project import load_project
from fluxline.control import stack as control
from fluxline.errors import ConfigError, ConnectionLost, DiskFull, ExternalError, FluxlineError, RecoveryError, ResourceMissing, UnsupportedByEngine
from fluxline.stack import cache, cassandra, flink, kafka
from fluxline.stack.environment import environment_text
from fluxline.stack.java import has_java_wheel, installed_java, java_major
from fluxline.stack.lifecycle import Start, kill, restart, up
from fluxline.stack.server import Place
from fluxline.stack.state import ServerProcess, State, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [name for ports in (kafka.ports(4), flink.ports(2), cassandra.ports(2)) for names in ports.values() for name in names]
PORTS = {name: 15_000 + 10 * index for index, name in enumerate(NAMES)}


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
    state = State({"kafka": 15_000}, [ServerProcess("kafka", "kafka", 7, 12.5, "127.0.0.2", 15_000)], {"kafka": 3})
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert read_state(tmp_path / "none") == State()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "ports": {}, "processes": [{}]}', '{"version": 3}'])
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    refusal(lambda: read_state(tmp_path), RecoveryError, "FLX-4308")


@pytest.mark.parametrize("parts", [("kafka",), ("flink",), ("cassandra",), ("kafka", "flink", "cassandra")])
def test_the_printed_environment_is_one(tmp_path: Path, parts: tuple[str, ...]) -> None:
    text = environment_text("stack", State(PORTS), parts, "fluxline")
    (tmp_path / "fluxline.toml").write_text(f'[project]\nname = "p"\n\n{text}')
    assert load_project(tmp_path / "fluxline.toml").environments == ("stack",)


def test_the_printed_environment_says_where_all_is() -> None:
    environment = tomllib.loads(environment_text("stack", State(PORTS), ("kafka", "flink", "cassandra"), "sensors"))["environments"]["stack"]
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


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (1, {}),
        (2, {"replication_factor": 2}),
        (3, {"replication_factor": 3, "topic_config": {"min.insync.replicas": 2}}),
        (4, {"replication_factor": 3, "topic_config": {"min.insync.replicas": 2}}),
    ],
)
def test_topics_of_the_printed_environment_outlive_a_broker(count: int, more: dict[str, object]) -> None:
    """As far as there are brokers for it."""
    ports = {f"kafka-{number}": 15_100 + number for number in range(2, count + 1)}
    text = environment_text("stack", State({**PORTS, **ports}, nodes={"kafka": count}), ("kafka",), "fluxline")
    found = tomllib.loads(text)["environments"]["stack"]["connections"]["kafka"]
    assert len(found.pop("bootstrap_servers")) == count
    assert found == {"connector": "kafka", "format": "json", **more}


def test_every_address_is_loopback(tmp_path: Path) -> None:
    """Unless metrics are asked for, whose reporter cannot be told where to listen."""
    place = Place(tmp_path, Path("java"), tmp_path, PORTS)
    brokers = "".join(kafka.properties(place, number, 4, kafka.Quorum("c", 3)) for number in (1, 2, 3, 4))
    written = json.dumps([flink.config(place, metrics=False), cassandra.config(place, 1), cassandra.config(place, 2)]) + brokers
    assert "0.0.0.0" not in written
    assert "PrometheusReporter" not in written
    assert "bind-port" not in written
    assert "PrometheusReporter" in flink.config(place, metrics=True)["metrics.reporter.prom"]["factory.class"]


def properties(number: int, count: int, quorum: kafka.Quorum) -> dict[str, str]:
    text = kafka.properties(Place(Path("/k"), Path("java"), Path("/j"), PORTS), number, count, quorum)
    return dict(line.split("=", 1) for line in text.splitlines())


def test_three_brokers_outlive_one_and_a_fourth_is_a_broker_alone() -> None:
    """The first three are the controllers; what the brokers keep for themselves has three replicas, two of them in sync."""
    quorum = kafka.Quorum("c", 3)
    voters = ",".join(
        f"{number}@127.0.0.1:{PORTS[name]}" for number, name in enumerate(("kafka_controller", "kafka_controller-2", "kafka_controller-3"), 1)
    )
    for number in (1, 2, 3):
        found = properties(number, 3, quorum)
        assert (found["process.roles"], found["node.id"], found["controller.quorum.voters"]) == ("broker,controller", str(number), voters)
        assert "controller.quorum.bootstrap.servers" not in found
        internal = ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        assert {found[f"{each}.replication.factor"] for each in internal} == {"3"}
        assert (found["min.insync.replicas"], found["transaction.state.log.min.isr"]) == ("2", "2")
    added = properties(4, 4, quorum)
    assert (added["process.roles"], added["controller.quorum.voters"]) == ("broker", voters)
    assert "CONTROLLER://" not in added["listeners"]
    assert added["log.dirs"] == "/k/data-4"


def test_one_broker_is_as_it_was() -> None:
    """Nothing is replicated, and the node finds itself; a second one finds the first."""
    alone = properties(1, 1, kafka.Quorum("c", 1))
    assert alone["controller.quorum.bootstrap.servers"] == f"127.0.0.1:{PORTS['kafka_controller']}"
    assert alone["offsets.topic.replication.factor"] == "1"
    assert "min.insync.replicas" not in alone
    second = properties(2, 2, kafka.Quorum("c", 1))
    assert second["process.roles"] == "broker"
    assert second["controller.quorum.bootstrap.servers"] == f"127.0.0.1:{PORTS['kafka_controller']}"
    assert (second["default.replication.factor"], second["min.insync.replicas"]) == ("2", "1")


def test_names_and_ports_of_several() -> None:
    assert list(kafka.ports(3)) == ["kafka", "kafka-2", "kafka-3"]
    assert list(flink.ports(2)) == ["jobmanager", "taskmanager", "taskmanager-2", "gateway"]
    assert [cassandra.config(Place(Path("/c"), Path("java"), Path("/j"), PORTS), number)["rpc_address"] for number in (1, 2)] == [
        "127.0.0.1",
        "127.0.0.2",
    ]
    every = [name for ports in (kafka.ports(3), flink.ports(3), cassandra.ports(3)) for names in ports.values() for name in names]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(("part", "before", "now"), [("kafka", 3, 1), ("cassandra", 1, 2), ("cassandra", 2, 1)])
def test_data_of_another_number_of_nodes_are_not_lost(tmp_path: Path, part: str, before: int, now: int) -> None:
    """Brokers may be added; nothing is taken away, and no node is put beside tables that are there."""
    (tmp_path / part).mkdir()
    write_state(tmp_path, State(PORTS, [], {part: before}))
    error = refusal(lambda: up((part,), tmp_path, Start(nodes={part: now}), lambda _line: None), ConfigError, "FLX-4312")
    assert "--fresh" in error.hint
    assert read_state(tmp_path).nodes == {part: before}


def test_what_never_ran_is_not_killed_and_not_restarted(tmp_path: Path) -> None:
    write_state(tmp_path, State(PORTS, [], {"kafka": 3}))
    refusal(lambda: kill("kafka-2", tmp_path), ResourceMissing, "FLX-4311")
    error = refusal(lambda: restart("kafka-4", tmp_path, Start(), lambda _line: None), ResourceMissing, "FLX-4311")
    assert 'Did you mean "kafka"' in error.hint or "kafka-3" in error.hint


def test_a_record_of_the_first_version_is_read(tmp_path: Path) -> None:
    """It knows one server of each kind, and tells their ports by name."""
    entry = {"name": "taskmanager", "part": "flink", "pid": 7, "created_at": 12.5}
    (tmp_path / "state.json").write_text(json.dumps({"version": 1, "ports": {"flink_task_data": 15_001}, "processes": [entry]}))
    assert read_state(tmp_path) == State({"flink_task_data": 15_001}, [ServerProcess("taskmanager", "flink", 7, 12.5, "127.0.0.1", 15_001)])


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


def test_the_first_of_several_can_be_killed_alone(tmp_path: Path) -> None:
    """It has the name of its part, which means all of them."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    try:
        recorded = [
            ServerProcess(name, "kafka", process.pid, psutil.Process(process.pid).create_time())
            for name, process in zip(kafka.ports(3), processes, strict=True)
        ]
        write_state(tmp_path, State(PORTS, recorded, {"kafka": 3}))
        assert kill("kafka-1", tmp_path) == ["kafka"]
        refusal(lambda: kill("kafka-1", tmp_path), ResourceMissing, "FLX-4311")
        assert kill("kafka", tmp_path) == ["kafka-2", "kafka-3"]
    finally:
        for process in processes:
            process.kill()
            process.wait()
