"""The real servers: started by the command line, used, looked at and ended, with no process left.

What is missing in the cache is downloaded, so the first run takes minutes.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tomllib
from threading import Event
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from fluxline.clock import SystemClock
from fluxline.stack.processes import is_running
from fluxline.stack.running import running_stack
from fluxline.stack.server import ask_json
from fluxline.stack.state import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers
SERVERS = ["kafka", "jobmanager", "taskmanager", "gateway", "cassandra"]
MEMORY_BYTES_MAX = 3_000_000_000


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "fluxline.toml").touch()
    yield tmp_path
    for directory in (tmp_path / ".fluxline" / "stack").glob("*"):
        fluxline(tmp_path, "down", "--name", directory.name)
    assert left_over(tmp_path) == []


def fluxline(project: Path, *arguments: str, code: int = 0, variables: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "fluxline.cli.main", "stack", *arguments]
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def left_over(project: Path) -> list[str]:
    """Processes that work in the folder of a stack of the project."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(project) in process.cwd():
                found.append(f"{process.pid} {process.name()}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def servers(project: Path, *arguments: str) -> list[dict[str, Any]]:
    read: dict[str, list[dict[str, Any]]] = json.loads(fluxline(project, "status", "-o", "json", *arguments))
    return read["servers"]


def run_sql(gateway: str, sql: str) -> list[list[Any]]:
    """Run a bounded query through the SQL Gateway and read its rows."""
    import http.client

    def ask(method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(gateway.removeprefix("http://"), timeout=30)
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    session = ask("POST", "/v1/sessions", {})["sessionHandle"]
    operation = ask("POST", f"/v1/sessions/{session}/statements", {"statement": sql})["operationHandle"]
    rows: list[list[Any]] = []
    page = f"/v1/sessions/{session}/operations/{operation}/result/0?rowFormat=JSON"
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + 60_000
    while True:
        answer = ask("GET", page)
        assert "errors" not in answer, answer
        rows += [row["fields"] for row in answer.get("results", {}).get("data", [])]
        if answer["resultType"] == "EOS":
            return rows
        page = answer.get("nextResultUri", page)
        assert clock.monotonic_ms() < deadline_ms, answer
        clock.wait(Event(), 50)


def test_all_of_it(project: Path) -> None:
    """Up, used by a client of each, down; the servers outlive the command that started them."""
    fluxline(project, "up")
    found = servers(project)
    assert [(each["name"], each["state"]) for each in found] == [(name, "serves") for name in SERVERS]
    assert sum(each["memory_bytes"] for each in found) < MEMORY_BYTES_MAX
    assert (
        "run already"
        in subprocess.run([sys.executable, "-m", "fluxline.cli.main", "stack", "up"], cwd=project, capture_output=True, text=True, check=True).stderr
    )
    pids = [each["pid"] for each in found]
    assert [each["pid"] for each in servers(project)] == pids
    environment = tomllib.loads(fluxline(project, "env"))["environments"]["stack"]
    (bootstrap,) = environment["connections"]["kafka"]["bootstrap_servers"]
    check_kafka(bootstrap)
    check_cassandra(environment["connections"]["cassandra"]["port"])
    sql = "SELECT k, SUM(v) FROM (VALUES ('a', 1), ('b', 5), ('a', 2)) AS t (k, v) GROUP BY k"
    totals: dict[str, int] = dict(row for row in run_sql(environment["flink"]["gateway"], sql))  # the last row of a key counts
    assert totals == {"a": 3, "b": 5}
    assert ask_json(int(environment["flink"]["rest"].rpartition(":")[2]), "/overview")["slots-total"] == 4
    said = fluxline(project, "logs", "flink", "-n", "100000")
    assert [line.partition(":")[0] for line in said.splitlines() if line.endswith(".log")] == ["jobmanager", "taskmanager", "gateway"]
    assert environment["flink"]["rest"] in said
    assert fluxline(project, "down") == f"ended {', '.join(SERVERS)}\n"
    assert [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE] == []
    assert left_over(project) == []


def check_kafka(bootstrap: str, group: str = "g") -> None:
    from confluent_kafka import Consumer, Producer

    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("readings", b"21.5")
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe(["readings"])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.value() == b"21.5"


def check_cassandra(port: int) -> None:
    code = f"""
from cassandra.cluster import Cluster
cluster = Cluster(["127.0.0.1"], port={port})
session = cluster.connect()
session.execute("CREATE KEYSPACE k WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
session.execute("CREATE TABLE k.t (id INT PRIMARY KEY, v INT)")
session.execute("INSERT INTO k.t (id, v) VALUES (1, 7)")
print([tuple(row) for row in session.execute("SELECT id, v FROM k.t")])
cluster.shutdown()
"""  # In a process of its own: the driver warns of much, and leaves threads.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[(1, 7)]\n", done.stderr


def test_two_stacks_side_by_side_and_data_that_stays(project: Path) -> None:
    fluxline(project, "up", "kafka")
    fluxline(project, "up", "kafka", "--name", "other")
    first, other = servers(project), servers(project, "--name", "other")
    assert first[0]["port"] != other[0]["port"]
    check_kafka(f"127.0.0.1:{first[0]['port']}")
    fluxline(project, "down")
    assert [each["state"] for each in servers(project, "--name", "other")] == ["serves"]
    fluxline(project, "up", "kafka")
    assert servers(project)[0]["port"] == first[0]["port"]
    assert "readings" in topics(first[0]["port"])
    fluxline(project, "down")
    fluxline(project, "up", "kafka", "--fresh")
    assert topics(first[0]["port"]) == []


def test_several_of_each(project: Path) -> None:
    """A broker, a task manager and a node are killed one after the other, and what was written is read from the others; then they come back."""
    from confluent_kafka.admin import AdminClient

    fluxline(project, "up", "--kafka-brokers", "3", "--taskmanagers", "2", "--cassandra-nodes", "2")
    names = ["kafka", "kafka-2", "kafka-3", "jobmanager", "taskmanager", "taskmanager-2", "gateway", "cassandra", "cassandra-2"]
    assert [(each["name"], each["state"]) for each in servers(project)] == [(name, "serves") for name in names]
    environment = tomllib.loads(fluxline(project, "env"))["environments"]["stack"]
    brokers = environment["connections"]["kafka"]["bootstrap_servers"]
    assert environment["connections"]["cassandra"]["contact_points"] == ["127.0.0.1", "127.0.0.2"]
    rest = int(environment["flink"]["rest"].rpartition(":")[2])
    assert ask_json(rest, "/overview")["slots-total"] == 8
    check_kafka(",".join(brokers))
    assert warnings_of(project / "pipelines", fluxline(project, "env")) == ["FLX-6102"]  # Two replicas of a table, and a write waits for both.
    admin = AdminClient({"bootstrap.servers": ",".join(brokers)})
    ((topic, made),) = [(name, topic) for name, topic in admin.list_topics(timeout=30).topics.items() if name[0] != "_"]
    assert {len(partition.replicas) for partition in made.partitions.values()} == {3}

    assert fluxline(project, "kill", "kafka-2") == "killed kafka-2\n"
    assert [each["name"] for each in servers(project) if each["state"] == "ended"] == ["kafka-2"]
    check_kafka(",".join(brokers), "again")
    fluxline(project, "kill", "taskmanager-2")
    wait_until(lambda: ask_json(rest, "/overview")["taskmanagers"] == 1)
    fluxline(project, "restart", "kafka-2")
    fluxline(project, "restart", "taskmanager-2")
    assert [(each["name"], each["state"]) for each in servers(project)].count(("kafka-2", "serves")) == 1
    assert ask_json(rest, "/overview")["taskmanagers"] == 2
    wait_until(lambda: all(len(partition.isrs) == 3 for partition in admin.list_topics(topic, timeout=30).topics[topic].partitions.values()))
    check_cassandra_survives(project, environment["connections"]["cassandra"]["port"])
    assert "cannot go on with 2" in fluxline(project, "up", "kafka", "--kafka-brokers", "2", code=2)


def warnings_of(folder: Path, environment: str) -> list[str]:
    """What is warned of a pipeline that writes a topic and a table of the stack."""
    folder.mkdir()
    (folder / "fluxline.toml").write_text(f'[project]\nname = "p"\n{environment}')
    lines = ["from fluxline import Pipeline", 'p = Pipeline("p")', 'rows = p.source("readings", schema={"a": "INT NOT NULL"})']
    (folder / "p.py").write_text("\n".join([*lines, 'rows.sink("copy")', 'rows.sink("kept", key="a")', ""]))
    command = [sys.executable, "-m", "fluxline.cli.main", "check", "p.py", "--connect", "--env", "stack", "-o", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [warning["code"] for warning in json.loads(done.stdout)["pipelines"][0]["warnings"]]
    assert all(f"warning  {code}" in done.stderr for code in found)
    return found


def check_cassandra_survives(project: Path, port: int) -> None:
    """A row that both nodes have is read while one is away, and a row that is written meanwhile is there when it is back."""
    from cassandra import ConsistencyLevel
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile

    profile = ExecutionProfile(consistency_level=ConsistencyLevel.ONE, request_timeout=30)
    cluster = Cluster(["127.0.0.1", "127.0.0.2"], port=port, protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    try:
        session = cluster.connect()
        session.execute("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}")
        session.execute("CREATE TABLE k.t (a INT PRIMARY KEY)")
        session.execute("INSERT INTO k.t (a) VALUES (1)")
        fluxline(project, "kill", "cassandra-2")
        session.execute("INSERT INTO k.t (a) VALUES (2)")
        # For a moment the other still asks the node that is gone.
        wait_until(lambda: sorted(row.a for row in session.execute("SELECT a FROM k.t")) == [1, 2])
        fluxline(project, "restart", "cassandra-2")
        both = ExecutionProfile(consistency_level=ConsistencyLevel.ALL, request_timeout=30)
        cluster.add_execution_profile("both", both)
        wait_until(lambda: sorted(row.a for row in session.execute("SELECT a FROM k.t", execution_profile="both")) == [1, 2])
    finally:
        cluster.shutdown()


def wait_until(holds: Callable[[], bool], within_ms: int = 60_000) -> None:
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + within_ms
    while True:
        try:
            if holds():
                return
        except Exception as error:  # what is not there yet answers in many ways
            if clock.monotonic_ms() > deadline_ms:
                raise AssertionError("it did not come to hold") from error
        assert clock.monotonic_ms() < deadline_ms, "it did not come to hold"
        clock.wait(Event(), 200)


def topics(port: int) -> list[str]:
    from confluent_kafka.admin import AdminClient

    return sorted(name for name in AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}).list_topics(timeout=30).topics if name[0] != "_")


def test_a_failed_start_stops_what_it_started(project: Path) -> None:
    """Kafka refuses its data, which is of another node, while Flink starts beside it."""
    broken = project / ".fluxline" / "stack" / "default" / "kafka" / "data"
    broken.mkdir(parents=True)
    (broken / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=9\n")
    said = fluxline(project, "up", "kafka", "flink", code=1)
    assert "FLX-4302  kafka did not start" in said
    assert "Exiting Kafka due to fatal exception" in said
    assert [path.name for path in broken.parents[1].glob("*manager.log")] != []
    assert left_over(project) == []


def test_a_command_that_is_ended_while_it_starts_leaves_nothing(project: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fluxline.cli.main", "stack", "up", "cassandra"], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as command:
        clock = SystemClock()
        deadline_ms = clock.monotonic_ms() + 300_000
        while not read_state(project / ".fluxline" / "stack" / "default").processes:
            assert command.poll() is None
            assert clock.monotonic_ms() < deadline_ms
            clock.wait(Event(), 20)
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=60)
    assert command.returncode == 130
    assert left_over(project) == []


def test_the_python_api(tmp_path: Path) -> None:
    with running_stack(("kafka",), directory=tmp_path / "stack", die_with_parent=True) as stack:
        check_kafka(stack.kafka.bootstrap)
        started = read_state(tmp_path / "stack").processes
        assert [process.name for process in started] == ["kafka"]
        assert is_running(started[0])
        with socket.create_connection(("127.0.0.1", stack.kafka.port)):
            pass
    assert not is_running(started[0])
    assert left_over(tmp_path) == []
