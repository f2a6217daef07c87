"""A job in the user's words: its vertices, why it failed, and at which line, over what a live Flink told of its jobs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from fluxline.cli.jobs import vertex_lines
from fluxline.control.deployment import Deployment
from fluxline.control.jobs import JobStatus
from fluxline.control.vertices import JobView
from fluxline.engines.flink.failures import explain_failure
from fluxline.engines.flink.rest import LAST_WATERMARK, Cluster, Load, TaskFailure, Vertex
from fluxline.planner.rules import apply_rules
from tests.engines.flink.answers import answering
from tests.engines.flink.pipelines import by_zero, converting, files, give, line_of, pushed, recorded, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.control.vertices import JobFailure
    from fluxline.plan.nodes import Plan
    from tests.engines.flink.answers import Answers

DEPLOYED = Deployment("shop", "stack", "submitted", "", False, 0, "j", "http://gateway", "http://rest")


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as found:
        yield found


def view_of(answers: Answers, name: str, plan: Plan | None) -> JobView:
    cluster = Cluster(answers.address)
    return JobView(cluster, plan, cluster.job(give(answers, name)))


def failure_of(answers: Answers, name: str, plan: Plan | None) -> JobFailure:
    failure = view_of(answers, name, plan).failure()
    assert failure is not None
    return failure


def test_vertices_of_a_running_job(answers: Answers) -> None:
    """Both partitions of both sources ended at 48 s and 49 s and were idle by then: the larger one less 3 s and 4 s; returns held nothing back."""
    view = view_of(answers, "shop", shop())
    found = view.vertices()
    assert view.failure() is None
    orders, returns, judged, totals, *_, local, both = found
    assert [each.watermark_ms for each in (orders, returns, judged, totals, local, both)] == [
        1_767_225_646_000, 1_767_225_645_000, 1_767_225_646_000, 1_767_225_646_000, 1_767_225_646_000, 1_767_225_646_000,
    ]  # fmt: skip
    assert (orders.records_in, orders.records_out, orders.subtasks, orders.state) == (50, 150, 1, "RUNNING")
    assert totals.watermark_lag_ms is not None
    assert totals.watermark_lag_ms > 300 * 86_400_000
    assert not totals.input_ended
    assert orders.back_pressured_ms == 0
    assert orders.busy_ms is not None
    lines = vertex_lines(JobStatus(DEPLOYED, "RUNNING", None, None, 0, {}, {}, (), vertices=found))
    assert lines[0].startswith("  vertex 1: orders (tests/engines/flink/pipelines.py:")
    assert "running, 1 subtask; records in: 50, out: 150; watermark 2026-01-01T00:00:46.000Z, " in lines[1]
    assert " behind; busy " in lines[1]
    assert lines[1].endswith("; back-pressured 0 ms/s")
    assert len(lines) == 27


def test_a_vertex_of_which_nobody_knows_anything(answers: Answers) -> None:
    """A deployment without a plan, metrics that are not told, records that are not counted yet."""
    job_id = give(answers, "shop")
    told = recorded("shop")["job"]
    for vertex in told["vertices"]:
        vertex["metrics"]["read-records-complete"] = False
        answers.give(f"GET /jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics", [])
    answers.give(f"GET /jobs/{job_id}", told)
    cluster = Cluster(answers.address)
    found = JobView(cluster, None, cluster.job(job_id)).vertices()
    assert {(each.operators, each.records_in, each.watermark_ms, each.watermark_lag_ms, each.busy_ms) for each in found} == {
        ((), None, None, None, None)
    }
    lines = vertex_lines(JobStatus(DEPLOYED, "RUNNING", None, None, 0, {}, {}, (), vertices=found))
    assert lines[0] == "  vertex 1: no operator of the pipeline is known to run here"
    assert lines[1] == "    running, 1 subtask; records in: not told yet, out: 150; watermark: none yet"


def test_a_job_that_has_ended_tells_no_metrics(answers: Answers) -> None:
    found = view_of(answers, "files", files()).vertices()
    assert [(each.state, each.watermark_ms, each.busy_ms) for each in found] == [("FINISHED", None, None)] * 3
    lines = vertex_lines(JobStatus(DEPLOYED, "FINISHED", None, None, 0, {}, {}, (), vertices=found))
    assert lines[1] == "    finished, 1 subtask; records in: 1, out: 0"


@pytest.mark.parametrize(
    ("value", "watermark"),
    [("-9.223372036854776E18", None), ("1.767225645E12", 1_767_225_645_000), ("9.223372036854776E18", LAST_WATERMARK), ("NaN", None)],
)
def test_the_ends_of_watermarks(answers: Answers, value: str, watermark: int | None) -> None:
    """Before the first record it is the least number, behind the last one the largest; Flink tells both as floating-point numbers."""
    path = "GET /jobs/j/vertices/v/subtasks/metrics"
    answers.give(path, [{"id": "currentInputWatermark"}, {"id": "busyTimeMsPerSecond"}])
    metrics = [{"id": "busyTimeMsPerSecond", "min": "NaN", "max": "NaN"}, {"id": "currentInputWatermark", "min": value, "max": value}]
    answers.give(f"{path}?agg=min,max&get=busyTimeMsPerSecond%2CcurrentInputWatermark", metrics)
    assert Cluster(answers.address).load("j", Vertex("v", "v", 1, "RUNNING", 0, 0, "", ("w",))) == Load(None, None, watermark)


def test_a_division_by_zero_is_at_the_line_that_divides(answers: Answers) -> None:
    """Three steps run in the operator that failed; one of them divides."""
    failure = failure_of(answers, "by_zero", by_zero())
    assert [each.name for each in failure.operators] == ["rest"]
    error = failure.error
    assert (error.code, error.fact) == ("FLX-4506", 'the job "moddiv" ended as FAILED on Flink, in "rest"')
    assert line_of(error.place).endswith('.named("rest")')
    assert (failure.kind, failure.message) == ("ArithmeticException", "/ by zero")
    assert error.detail.startswith("ArithmeticException: / by zero. Flink says so of its task OverAggregate[374] -> Calc[375] -> ")
    for name in ("rows (", "rest (", "typed (", "typed/aggregate/text/tumble(10 seconds) ("):
        assert name in error.detail
    assert "nullif" in error.hint


def test_a_step_that_flink_moved_into_the_chain_of_the_source(answers: Answers) -> None:
    """What fails behind a source in its chain is wrapped as if a record could not be decoded; the division is the cause."""
    failure = failure_of(answers, "pushed", pushed())
    assert [each.name for each in failure.operators] == ["rest"]
    assert failure.task.startswith("Source: KafkaSource")
    assert "nullif" in failure.error.hint


def test_a_job_that_gave_up_names_the_task_that_failed_with_it(answers: Answers) -> None:
    """Its own exception has no task; the innermost cause is the conversion."""
    failure = failure_of(answers, "gives_up", converting("fcast"))
    assert failure.error.fact == 'the job "fcast" ended as FAILED on Flink, in "casted"'
    assert line_of(failure.error.place).endswith('.named("casted")')
    assert (failure.kind, failure.message) == ("NumberFormatException", "For input string: 'abc'. Invalid character found.")
    assert failure.task.endswith("(1/1) - execution #20")
    assert "try_cast" in failure.error.hint


def test_a_record_that_cannot_be_decoded_is_the_sources(answers: Answers) -> None:
    failure = failure_of(answers, "undecoded", converting("fdecode"))
    assert [each.name for each in failure.operators] == ["fdecode_in"]
    assert line_of(failure.error.place).startswith("rows = pipeline.source(")
    assert "rejected.sink" in failure.error.hint


def test_without_a_plan_the_failure_is_told_as_flink_tells_it(answers: Answers) -> None:
    failure = failure_of(answers, "by_zero", None)
    assert failure.operators == ()
    assert failure.error.place is None
    assert failure.error.fact == 'the job "moddiv" ended as FAILED on Flink'
    assert failure.error.detail.endswith(", of which nobody knows what it does for the pipeline.")


@pytest.mark.parametrize(
    ("stack", "concerned", "hint"),
    [
        ("a.B: c\nCaused by: java.lang.ClassNotFoundException: org.x.Y", ["Scan", "Filter", "Project", "Sink"], "A jar is missing"),
        (
            "org.apache.kafka.common.errors.InvalidTxnTimeoutException: The transaction timeout is larger than the maximum value",
            ["Sink"],
            "transaction",
        ),
        ("org.apache.kafka.common.errors.ProducerFencedException: There is a newer producer", ["Sink"], "runs twice"),
        ("org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment.", ["Scan", "Sink"], "do not reach"),
        ("org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized", ["Scan", "Sink"], "do not let"),
        ("x.UnknownTopicOrPartitionException: This server does not host this topic-partition.", ["Scan", "Sink"], "not there"),
        ("x.KafkaException: y\nCaused by: x.InvalidTimestampException: One or more records have been rejected", ["Sink"], "clock"),
        ("x.FlinkRuntimeException: y\nCaused by: java.io.IOException: No space left on device", ["Scan", "Filter", "Project", "Sink"], "disk"),
        (
            "x.FlinkRuntimeException: Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to Asynchronous task",
            ["Scan", "Filter", "Project", "Sink"],
            "has room",
        ),
        ("x.TableException: Column 'id' is NOT NULL, however, a null value is being written into it.", ["Sink"], "coalesce"),
        ("x.NumberFormatException: For input string", ["Scan", "Filter", "Project", "Sink"], "try_cast"),
        ("x.SomethingElse: nobody has seen it", ["Scan", "Filter", "Project", "Sink"], ""),
    ],
)
def test_known_causes(stack: str, concerned: list[str], hint: str) -> None:
    """A cause that no step can have concerns all of them: better too many than the wrong one."""
    ordered = [node for node in apply_rules(files()).nodes() if node.place is not None][:3]
    served = [*ordered, *(node for node in apply_rules(files()).nodes() if type(node).__name__ == "Sink")][:4]
    kinds = [type(node).__name__ for node in served]
    found, said = explain_failure(TaskFailure("task", 0, stack), served)
    assert [type(node).__name__ for node in found] == [kind for kind in kinds if kind in concerned]
    assert hint in said
    assert bool(said) == bool(hint)


def test_the_kinds_of_conversions_are_told_apart() -> None:
    plan: Any = apply_rules(by_zero())
    nodes = plan.nodes()
    found, _ = explain_failure(TaskFailure("t", 0, "java.time.format.DateTimeParseException: Text 'x' could not be parsed"), nodes)
    assert list(found) == list(nodes), "no step converts to a time"
    found, _ = explain_failure(TaskFailure("t", 0, 'java.lang.NumberFormatException: For input string: "x"'), nodes)
    assert [node.label for node in found] == ["typed"]
    assert dataclasses.is_dataclass(found[0])
