"""The sensors example on Kafka, Flink and Cassandra: every output equals that of an embedded run over the same topic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from fluxline import control
from fluxline.control.jobs import job_status, jobs, stop_job, wait_for_job
from fluxline.control.ledger import SourceCount
from fluxline.control.submit import SubmitOptions, submit
from fluxline.errors import FluxlineError, ResourceBusy
from tests.end_to_end.projects import EXAMPLE, bag, milliseconds, stored_averages, stored_readings
from tests.end_to_end.stack_project import PARTITIONS, Project, embedded, lines_of, partition_of, rejected_of, timed, until
from tests.reference.sensors import read_bytes

if TYPE_CHECKING:
    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers
JOB_MS_MAX = 180_000


@pytest.fixture(scope="module")
def stack(kafka_and_flink: Stack, cassandra: Stack) -> Stack:
    """All three, as one."""
    return replace(kafka_and_flink, ports={**cassandra.ports, **kafka_and_flink.ports, "cassandra": cassandra.ports["cassandra"]})


def test_the_example_gives_the_same_on_the_real_stack(stack: Stack, tmp_path: Path) -> None:
    """All 177,659 records on three partitions, the broken ones included."""
    project = Project(tmp_path / "sensors", stack, "whole")
    project.fill([*read_bytes(EXAMPLE / "data/readings.ndjson.zst").splitlines(), *(EXAMPLE / "data/extra.ndjson").read_bytes().splitlines()])
    submit(project.plan(), project.directory, env="stack", options=SubmitOptions(bounded=True, workers=2))
    done = wait_for_job("sensors", project.directory, env="stack", timeout_ms=JOB_MS_MAX)
    assert done.settled
    assert done.late_dropped in (0, None)
    assert len(done.workers) == 2
    report = embedded(project)
    assert report.read == 177_659
    assert report.rejected == 20
    out = project.directory / "out"
    assert bag(timed(project.topic("alerts"))) == bag(timed(lines_of(out / "alerts.ndjson")))
    late = timed(project.topic("late_readings"))
    assert bag(late) == bag(timed(lines_of(out / "late_readings.ndjson")))
    assert len(late) == report.late > 0
    assert rejected_of(project.topic("rejected_readings")) == rejected_of(lines_of(out / "rejected_readings.ndjson"))
    averages = sorted(
        (sensor, milliseconds(start), milliseconds(end), mean, count)
        for sensor, start, end, mean, count in project.table("SELECT sensor_id, window_start, window_end, mean, readings FROM hourly_averages")
    )
    expected = stored_averages(project.directory)
    assert [(*row[:3], row[4]) for row in averages] == [(*row[:3], row[4]) for row in expected]
    assert [row[3] for row in averages] == pytest.approx([row[3] for row in expected], rel=1e-12)
    readings = project.table("SELECT sensor_id, timestamp, temperature, humidity FROM sensor_readings")
    wanted = [(key[0], key[1], row["temperature"], row["humidity"]) for key, row in stored_readings(project.directory).items()]
    assert sorted((row[0], milliseconds(row[1]), *row[2:]) for row in readings) == sorted(wanted)
    stop_job("sensors", project.directory, env="stack")
    assert job_status("sensors", project.directory, env="stack").workers == ()


def test_more_partitions_make_fewer_rows_late_and_both_engines_agree(stack: Stack, tmp_path: Path) -> None:
    """The rows of the page on time, in one partition and in three."""
    lines = [line(1, "10:00:00", 20.0), line(1, "11:30:00", 20.0), line(2, "10:15:00", 21.0), line(2, "11:20:00", 22.0), line(2, "10:30:00", 23.0)]
    late = {}
    for partitions in (1, 3):
        project = Project(tmp_path / f"sensors{partitions}", stack, f"parts{partitions}")
        project.fill(lines, partitions)
        submit(project.plan(), project.directory, env="stack", options=SubmitOptions(bounded=True))
        assert wait_for_job("sensors", project.directory, env="stack", timeout_ms=JOB_MS_MAX).settled
        report = embedded(project)
        rows = timed(project.topic("late_readings"))
        assert bag(rows) == bag(timed(lines_of(project.directory / "out/late_readings.ndjson")))
        assert sum(row[0] for row in project.table("SELECT readings FROM hourly_averages")) + len(rows) == report.read == 5
        late[partitions] = sorted((row["sensor_id"], row["temperature"]) for row in rows)
        stop_job("sensors", project.directory, env="stack")
    assert late == {1: [(2, 21.0), (2, 23.0)], 3: [(2, 23.0)]}


def test_a_pipeline_that_goes_on_is_stopped_and_continued_from_its_savepoint(stack: Stack, tmp_path: Path) -> None:
    """What comes in between is counted once; the second job has the window of the first."""
    project = Project(tmp_path / "sensors", stack, "goes_on")
    project.fill([line(1, "10:00:00", 20.0), line(1, "10:10:00", 22.0)])
    _, found = control.connect(project.plan(), project.directory, env="stack")
    assert control.survival(project.plan(), project.directory, env="stack") == ()  # One server of each, as a developer has them.
    asked = {(each.role, each.name): each.facts[-1] for each in found}
    assert asked["source", "sensor_data"] == f'topic "goes_on.sensor_data" has {PARTITIONS} partitions'
    assert asked["relay", "sensors.hourly_averages"] == 'topic "goes_on.sensors.hourly_averages" is not there and will be made'
    assert asked["sink", "hourly_averages"].endswith("is not there and will be created")
    submit(project.plan(), project.directory, env="stack")
    until(lambda: len(project.table("SELECT * FROM sensor_readings")) == 2)
    with pytest.raises(ResourceBusy, match="runs already"):
        submit(project.plan(), project.directory, env="stack")
    (running,) = jobs(project.directory, env="stack")
    assert (running.state, len(running.workers)) == ("RUNNING", 1)
    (source,) = running.sources
    assert source.offsets_read_min is not None and source.offsets_left_max is not None
    assert source.offsets_read_min + source.offsets_left_max == 2
    stopped = stop_job("sensors", project.directory, env="stack")
    assert stopped.savepoint is not None
    assert stopped.workers == 1
    assert project.table("SELECT * FROM hourly_averages") == []
    more(project, [line(1, "10:20:00", 24.0), line(1, "12:30:00", 19.0)])
    submit(project.plan(), project.directory, env="stack")
    until(lambda: len(project.table("SELECT * FROM hourly_averages")) == 1)
    ((sensor, mean, count),) = project.table("SELECT sensor_id, mean, readings FROM hourly_averages")
    assert (sensor, mean, count) == (1, 22.0, 3)
    read = (SourceCount("sensor_data", "goes_on.sensor_data", 4, 0),)  # Of both jobs.
    until(lambda: job_status("sensors", project.directory, env="stack").sources == read)
    stop_job("sensors", project.directory, env="stack", cancel=True)
    assert job_status("sensors", project.directory, env="stack").sources == read
    assert len(project.table("SELECT * FROM sensor_readings")) == 4


def test_a_submission_that_fails_half_way_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    """The table is there with another key: topics that were made are gone, and no job runs."""
    project = Project(tmp_path / "sensors", stack, "half")
    project.fill([line(1, "10:00:00", 20.0)])
    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    before = topics_of(admin)
    execute(stack, "CREATE KEYSPACE IF NOT EXISTS sensor_data_half WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    execute(stack, "CREATE TABLE sensor_data_half.sensor_readings (sensor_id bigint PRIMARY KEY, temperature double)")
    for attempt in (control.connect, submit):
        with pytest.raises(FluxlineError) as caught:
            attempt(project.plan(), project.directory, env="stack")
        assert "sensor_readings" in str(caught.value)
    assert topics_of(admin) == before
    assert jobs(project.directory, env="stack") == []
    assert not list(project.directory.glob(".fluxline/stack/sensors/deployment.json"))


def line(sensor: int, time: str, temperature: float) -> bytes:
    return json.dumps({"sensor_id": sensor, "temperature": temperature, "humidity": 40.0, "timestamp": f"2024-06-07T{time}Z"}).encode()


def more(project: Project, lines: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": project.stack.kafka.bootstrap, "enable.idempotence": True})
    for each in lines:
        producer.produce(f"{project.label}.sensor_data", each, partition=partition_of(each, PARTITIONS))
    assert producer.flush(30) == 0


def topics_of(admin: AdminClient) -> set[str]:
    """All topics but those that the brokers keep for themselves."""
    return {name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")}


def execute(stack: Stack, statement: str) -> None:
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=60)
    cluster = Cluster(["127.0.0.1"], port=stack.ports["cassandra"], protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    cluster.connect().execute(statement)
    cluster.shutdown()


@pytest.mark.parametrize(
    ("written", "instead", "code", "says"),
    [
        ('gateway = "http://127.0.0.1:{flink_gateway}', 'gateway = "http://127.0.0.1:1', "FLX-4502", "no SQL Gateway answers"),
        ('rest = "http://127.0.0.1:{flink}', 'rest = "http://127.0.0.1:1', "FLX-4502", "no Flink cluster answers"),
        ("parallelism = 1", "parallelism = 100", "FLX-4505", "too few free slots"),
        ('bootstrap_servers = ["127.0.0.1:{kafka}"]', 'bootstrap_servers = ["127.0.0.1:1"]', "FLX-4401", "no broker answers"),
        ("port = {cassandra}", "port = 1", "FLX-4751", "no Cassandra node answers"),
        (
            "checkpoint_interval = ",
            'properties = { "execution.checkpointing.mode" = "NEVER" }\ncheckpoint_interval = ',
            "FLX-4503",
            "CheckpointingMode",
        ),
    ],
    ids=["gateway", "rest", "slots", "brokers", "cassandra", "property"],
)
def test_what_is_wrong_is_said_and_nothing_is_left(written: str, instead: str, code: str, says: str, stack: Stack, tmp_path: Path) -> None:
    """Each wrong address or setting, before a job runs."""
    project = Project(tmp_path / "sensors", stack, f"wrong_{code[-4:]}_{len(instead)}")
    project.fill([line(1, "10:00:00", 20.0)])
    file = project.directory / "fluxline.toml"
    head, stack_part = file.read_text().split("[environments.stack]")
    assert written.format(**stack.ports) in stack_part
    file.write_text(f"{head}[environments.stack]{stack_part.replace(written.format(**stack.ports), instead)}")
    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    before = topics_of(admin)
    with pytest.raises(FluxlineError) as caught:
        submit(project.plan(), project.directory, env="stack")
    assert (caught.value.code, says in str(caught.value)) == (code, True), caught.value
    assert topics_of(admin) == before
    assert not list(project.directory.glob(".fluxline/stack/sensors/deployment.json"))
    assert not list(project.directory.glob(".fluxline/stack/sensors/worker-*/running.json"))


def test_a_topic_that_is_read_has_to_be_there(stack: Stack, tmp_path: Path) -> None:
    project = Project(tmp_path / "sensors", stack, "no_topic")
    with pytest.raises(FluxlineError, match=r'no topic "no_topic\.sensor_data"') as caught:
        submit(project.plan(), project.directory, env="stack")
    assert caught.value.code == "FLX-4403"


def test_rows_are_committed_once_and_a_transaction_that_is_too_long_is_reported(stack: Stack, tmp_path: Path) -> None:
    """Asked for at the sink; Kafka refuses what is longer than its maximum of 15 minutes."""
    project = Project(tmp_path / "sensors", stack, "once")
    project.fill([line(1, f"10:{minute:02}:00", 26.0) for minute in range(60)])
    file = project.directory / "fluxline.toml"
    text = file.read_text().replace(
        "[environments.stack.flink]", 'bindings.alerts = { delivery_guarantee = "exactly_once" }\n\n[environments.stack.flink]'
    )
    file.write_text(text)
    submit(project.plan(), project.directory, env="stack", options=SubmitOptions(bounded=True))
    assert wait_for_job("sensors", project.directory, env="stack", timeout_ms=JOB_MS_MAX).settled
    assert sorted(row["timestamp"] for row in project.topic("alerts")) == sorted({row["timestamp"] for row in project.topic("alerts")})
    assert len(project.topic("alerts")) == 60
    stop_job("sensors", project.directory, env="stack")
    file.write_text(text.replace('"exactly_once" }', '"exactly_once", properties_java = { "transaction.timeout.ms" = "3600000" } }'))
    with pytest.raises(FluxlineError, match="transaction timeout") as caught:
        submit(project.plan(), project.directory, env="stack", options=SubmitOptions(bounded=True))
    assert caught.value.code == "FLX-4506"
