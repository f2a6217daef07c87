"""The client of the cluster's REST interface, against answers that were written down from a Flink 2.3.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fluxline.clock import VirtualClock
from fluxline.engines.flink.rest import Cluster, Overview, Vertex
from fluxline.errors import ExternalError, ResourceMissing
from tests.engines.flink.answers import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.flink.answers import Answers

JOB = "/jobs/7de5"
OVERVIEW = {"taskmanagers": 1, "slots-total": 4, "slots-available": 3, "jobs-running": 1, "flink-version": "2.3.0", "flink-commit": "c0f8d1a"}


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as found:
        found.give("GET /overview", OVERVIEW)
        yield found


@pytest.fixture
def cluster(answers: Answers) -> Cluster:
    return Cluster(answers.address, VirtualClock(0))


def told(state: str) -> dict[str, Any]:
    def vertex(identity: str, name: str, read: int, written: int) -> dict[str, Any]:
        return {"id": identity, "name": name, "parallelism": 2, "status": state, "metrics": {"read-records": read, "write-records": written}}

    return {"name": "sensors", "state": state, "vertices": [vertex("v1", "Source: readings[1]", 0, 50), vertex("v2", "Window[2]", 50, 0)]}


def test_overview(cluster: Cluster) -> None:
    assert cluster.overview() == Overview("2.3.0", 1, 4, 3)
    cluster.require_slots(3)
    with pytest.raises(ExternalError) as raised:
        cluster.require_slots(4)
    assert raised.value.code == "FLX-4505"
    assert raised.value.detail == "The job needs 4; of 4 in 1 task managers 3 are free."


def test_job(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"GET {JOB}", told("RUNNING"))
    job = cluster.job("7de5")
    assert (job.name, job.state) == ("sensors", "RUNNING")
    assert job.vertices[1] == Vertex("v2", "Window[2]", 2, "RUNNING", 50, 0)


def test_wait(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"GET {JOB}", told("CREATED"), told("RUNNING"), told("FINISHED"))
    found = cluster.wait("7de5", {"FINISHED"}, 1_000)
    assert found is not None
    assert found.state == "FINISHED"
    answers.give(f"GET {JOB}", told("RUNNING"))
    assert cluster.wait("7de5", {"FINISHED"}, 1_000) is None


@pytest.mark.parametrize(
    ("stack", "code", "detail"),
    [
        ("a.B: c\n\tat d\nCaused by: java.lang.ArithmeticException: / by zero\n\tat e", "FLX-4506", "ArithmeticException: / by zero"),
        ("a.B: c\nCaused by: x.NoResourceAvailableException: Could not acquire the minimum required resources.", "FLX-4505", "Could not acquire"),
    ],
)
def test_a_job_that_failed(answers: Answers, cluster: Cluster, stack: str, code: str, detail: str) -> None:
    answers.give(f"GET {JOB}", told("FAILED"))
    answers.give(f"GET {JOB}/exceptions", {"exceptionHistory": {"entries": [{"stacktrace": stack}]}})
    with pytest.raises(ExternalError) as raised:
        cluster.wait("7de5", {"FINISHED"}, 1_000)
    assert raised.value.code == code
    assert raised.value.detail.startswith(detail)


def test_a_job_that_was_cancelled_has_no_cause(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"GET {JOB}", told("CANCELED"))
    answers.give(f"GET {JOB}/exceptions", {"exceptionHistory": {"entries": []}})
    with pytest.raises(ExternalError, match='"sensors" ended as CANCELED') as raised:
        cluster.wait("7de5", {"FINISHED"}, 1_000)
    assert raised.value.detail == ""


def test_a_start(answers: Answers, cluster: Cluster) -> None:
    """The job runs before its steps do; a step that fails again and again is told."""
    starting = told("RUNNING")
    starting["vertices"][1]["status"] = "INITIALIZING"
    answers.give(f"GET {JOB}/exceptions", {"exceptionHistory": {"entries": []}})
    answers.give(f"GET {JOB}", starting, starting, told("RUNNING"))
    cluster.wait_until_all_run("7de5")
    answers.give(f"GET {JOB}", starting)
    with pytest.raises(ExternalError) as raised:
        cluster.wait_until_all_run("7de5", 1_000)
    assert raised.value.code == "FLX-4521"
    answers.give(f"GET {JOB}/exceptions", {"exceptionHistory": {"entries": [{"stacktrace": "a.B: c\nCaused by: x.Y: no such topic\n"}]}})
    with pytest.raises(ExternalError, match='"sensors" fails on Flink') as raised:
        cluster.wait_until_all_run("7de5", 1_000)
    assert (raised.value.code, raised.value.detail) == ("FLX-4506", "Y: no such topic")


def test_a_checkpoint(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"POST {JOB}/checkpoints", {"request-id": "r1"})
    going = {"status": {"id": "IN_PROGRESS"}, "operation": None}
    answers.give(f"GET {JOB}/checkpoints/r1", going, {"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 3}})
    assert cluster.checkpoint("7de5", 1_000)
    assert answers.asked[0] == (f"POST {JOB}/checkpoints", {"checkpointType": "CONFIGURED"})
    failure = {"class": "java.lang.Exception", "stack-trace": "x.CheckpointException: Not all required tasks are currently running.\n"}
    answers.give(f"GET {JOB}/checkpoints/r1", {"status": {"id": "COMPLETED"}, "operation": {"failureCause": failure}})
    assert not cluster.checkpoint("7de5", 1_000)
    answers.give(f"GET {JOB}/checkpoints/r1", going)
    with pytest.raises(ExternalError) as raised:
        cluster.checkpoint("7de5", 200)
    assert raised.value.code == "FLX-4531"


def test_late_rows_that_flink_dropped(answers: Answers, cluster: Cluster) -> None:
    """The sum over all operators that tell; vertices without such an operator are passed over."""
    answers.give(f"GET {JOB}", told("RUNNING"))
    answers.give(f"GET {JOB}/vertices/v1/subtasks/metrics", [{"id": "numRecordsOut"}])
    answers.give(f"GET {JOB}/vertices/v2/subtasks/metrics", [{"id": "numRecordsOut"}])
    assert cluster.late_dropped("7de5") is None
    names = ["Local_9_.numLateRecordsDropped", "Global_11_.numLateRecordsDropped"]
    answers.give(f"GET {JOB}/vertices/v2/subtasks/metrics", [{"id": name} for name in ("numRecordsOut", *names)])
    answers.give(
        f"GET {JOB}/vertices/v2/subtasks/metrics?agg=sum&get={'%2C'.join(names)}", [{"id": names[0], "sum": 3.0}, {"id": names[1], "sum": 4.0}]
    )
    assert cluster.late_dropped("7de5") == 7


def test_metrics_of_a_vertex(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"GET {JOB}/vertices/v2/subtasks/metrics?agg=sum&get=numRecordsIn%2Cnothing", [{"id": "numRecordsIn", "sum": 50.0}])
    assert cluster.metrics("7de5", "v2", ["numRecordsIn", "nothing"]) == {"numRecordsIn": 50.0}
    subtasks = [{"subtask": 1, "metrics": {"read-records": 20}}, {"subtask": 0, "metrics": {"read-records": 30}}]
    answers.give(f"GET {JOB}/vertices/v2", {"subtasks": subtasks})
    assert cluster.read_per_subtask("7de5", "v2") == (30, 20)
    marks = [{"id": f"{number}.currentInputWatermark", "value": value} for number, value in ((10, "5"), (2, "-9223372036854775808"))]
    answers.give(f"GET {JOB}/vertices/v2/watermarks", marks)
    assert cluster.watermarks("7de5", "v2") == (None, 5)


def test_cancel(answers: Answers, cluster: Cluster) -> None:
    question = f"PATCH {JOB}?mode=cancel"
    answers.give(question, {}, status=202)
    cluster.cancel("7de5")
    answers.fail(question, "a.B: Job has already reached a terminal state", status=409)
    cluster.cancel("7de5")
    answers.fail(question, "a.B: Job could not be found.", status=404)
    with pytest.raises(ResourceMissing) as raised:
        cluster.cancel("7de5")
    assert raised.value.code == "FLX-4507"


def test_stop_with_savepoint(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"POST {JOB}/stop", {"request-id": "r1"})
    going = {"status": {"id": "IN_PROGRESS"}, "operation": None}
    answers.give(f"GET {JOB}/savepoints/r1", going, {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/s/savepoint-7de5"}})
    assert cluster.stop("7de5", "file:///s") == "file:/s/savepoint-7de5"
    assert answers.asked[0] == (f"POST {JOB}/stop", {"targetDirectory": "file:///s", "drain": False, "formatType": "CANONICAL"})


def test_a_savepoint_that_fails(answers: Answers, cluster: Cluster) -> None:
    answers.give(f"POST {JOB}/stop", {"request-id": "r1"})
    cause = {
        "class": "java.io.IOException",
        "stack-trace": "java.util.concurrent.CompletionException: x\n\tat y\nCaused by: java.io.IOException: disk full\n",
    }
    answers.give(f"GET {JOB}/savepoints/r1", {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}})
    with pytest.raises(ExternalError) as raised:
        cluster.stop("7de5", "file:///s")
    assert (raised.value.code, raised.value.detail) == ("FLX-4510", "disk full")
    answers.give(f"GET {JOB}/savepoints/r1", {"status": {"id": "IN_PROGRESS"}, "operation": None})
    with pytest.raises(ExternalError, match="does not finish the savepoint in time"):
        cluster.stop("7de5", "file:///s", timeout_ms=200)


def test_a_job_that_flink_does_not_know(answers: Answers, cluster: Cluster) -> None:
    answers.fail(f"GET {JOB}", "x: Job 7de5 not found\n\tat y\nCaused by: z.FlinkJobNotFoundException: Could not find Flink job (7de5)\n\tat w", 404)
    with pytest.raises(ResourceMissing) as raised:
        cluster.job("7de5")
    assert (raised.value.code, raised.value.detail) == ("FLX-4507", "Could not find Flink job (7de5)")
    answers.fail("GET /overview", "a.B: leader is not known", 503)
    with pytest.raises(ExternalError) as other:
        cluster.overview()
    assert other.value.code == "FLX-4514"
