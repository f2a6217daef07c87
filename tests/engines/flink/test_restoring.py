"""What a job goes on from, and what is refused before anything is stopped; the cluster gives the answers that it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from fluxline import Pipeline, Schema, col, count, tumble
from fluxline.cli.jobs import as_json, lines_of
from fluxline.config import require_project, resolve_environment
from fluxline.control.changes import compare
from fluxline.control.checkpoints import refuse_other_readers, require_checkpoints, told_of
from fluxline.control.deployment import Deployment, DeploymentDirectory
from fluxline.control.flink import CHECKPOINTS, prepare, session_properties
from fluxline.control.jobs import job_status, jobs, stop_job
from fluxline.control.rescale import rescale_job
from fluxline.control.restore import restore_job
from fluxline.control.savepoint import savepoint_job
from fluxline.control.submit import submit
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.retained import Ends, ends_of, job_of, newest_complete, path_here
from fluxline.errors import ConnectionLost, ExternalError, RecoveryError, ResourceBusy, ResourceMissing, UnsupportedByEngine
from fluxline.plan.json import plan_digest
from fluxline.planner.rules import apply_rules
from tests.engines.flink.answers import answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fluxline.plan.nodes import Plan
    from tests.engines.flink.answers import Answers

PROJECT = """\
[project]
name = "{project}"
default_environment = "stack"
[environments.stack]
engine = "flink"
topics = "kafka"
connections.kafka = {{ connector = "kafka", bootstrap_servers = ["127.0.0.1:1"], format = "json", delivery_guarantee = "exactly_once" }}
[environments.stack.flink]
gateway = "{address}"
rest = "{address}"
"""
JOB, OTHER = "a" * 32, "b" * 32
GONE = "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job"


class Row(Schema):
    id: int
    number: int
    at: datetime


def plan(least: int = 0, *, size: str = "10 seconds", key: str | None = None, more: bool = False, described: str = "") -> Plan:
    pipeline = Pipeline("p", description=described)
    rows = pipeline.source("rows", schema=Row, event_time="at", watermark="3 seconds")
    windows = rows.filter(col("id") >= least).window(tumble(size))
    (windows.group_by(key) if key else windows).agg(rows=count()).named("counts").sink("counted")
    if more:
        rows.select("number").sink("numbers")
    return pipeline._plan()


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as found:
        yield found


def deployed(folder: Path, answers: Answers, of: Plan | None = None, **more: Any) -> DeploymentDirectory:
    """A submitted pipeline with its plan, in a project of its own."""
    (folder / "fluxline.toml").write_text(PROJECT.format(project="shop", address=answers.address))
    written = of or plan()
    place = DeploymentDirectory(folder / ".fluxline" / "stack" / "p")
    place.path.mkdir(parents=True, exist_ok=True)
    digest = plan_digest(apply_rules(written))
    record = Deployment("p", "stack", "submitted", digest, False, 1_000, JOB, answers.address, answers.address, parallelism=1, jobs=(JOB,))
    place.write(replace(record, **more))
    place.write_plan(written)
    return place


def known(answers: Answers, state: str, parallelism: int = 1, checkpoint: str | None = None) -> None:
    """Let the cluster know the job."""
    vertex = {"id": "v", "name": "n", "parallelism": parallelism, "status": state, "metrics": {"read-records": 1, "write-records": 1}}
    answers.give(f"GET /jobs/{JOB}", {"name": "p", "state": state, "vertices": [vertex], "plan": {"nodes": []}})
    answers.give(f"GET /jobs/{JOB}/exceptions", {"exceptionHistory": {"entries": []}})
    answers.give(f"GET /jobs/{JOB}/vertices/v/subtasks/metrics", [])
    completed = None if checkpoint is None else {"external_path": checkpoint}
    answers.give(f"GET /jobs/{JOB}/checkpoints", {"latest": {"completed": completed}})


def gone(answers: Answers) -> None:
    """Let the cluster know nothing of the job."""
    answers.fail(f"GET /jobs/{JOB}", GONE, status=404)


def kept(directory: Path, job: str, *checkpoints: str, broken: tuple[str, ...] = ()) -> Path:
    """Checkpoints on disk; the broken ones are not complete."""
    for name in (*checkpoints, *broken):
        (directory / job / name).mkdir(parents=True)
    for name in checkpoints:
        (directory / job / name / "_metadata").write_bytes(b"")
    (directory / job / "shared").mkdir(parents=True)
    return directory


def nothing_was_done(answers: Answers) -> bool:
    """Whether the cluster was only asked."""
    return all(question.startswith("GET ") for question, _ in answers.asked)


@pytest.mark.parametrize(
    ("after", "refused", "sentence"),
    [
        (plan(), False, ""),
        (plan(5), False, ""),
        (plan(described="better"), False, ""),
        (plan(size="20 seconds"), True, '"counts" is changed'),
        (plan(key="number"), True, '"rows", "counts" are changed'),
        (plan(more=True), True, '"rows", "counts" are changed; "rows/filter", "rows/project", "sink numbers" are new'),
    ],
)
def test_definitions_are_compared_by_operator(after: Plan, refused: bool, sentence: str) -> None:
    """A key that is read changes the source as well, which decodes one more; a second reader, which keeps the filter out of the source, also."""
    found = compare(plan(), after)
    assert (found.refused, found.sentence()) == (refused, sentence)


def test_only_conditions_may_change() -> None:
    assert compare(plan(), plan(5)).eased == ("rows",), "the filter was pushed into its source"
    found = compare(plan(more=True), plan(5, more=True))
    assert (found.eased, found.refused) == (("rows/filter",), False)
    assert compare(plan(more=True), plan()).removed == ("rows/filter", "rows/project", "sink numbers")


def test_the_newest_complete_checkpoint_is_taken(tmp_path: Path) -> None:
    """By number, not by letters; one that was cut off in writing has no metadata yet."""
    directory = kept(tmp_path, JOB, "chk-9", "chk-10", broken=("chk-11", "chk-x")) / JOB
    assert newest_complete(directory) == (directory / "chk-10").as_uri()
    assert job_of((directory / "chk-10").as_uri()) == JOB
    assert job_of("s3://bucket/savepoints/savepoint-aaaaaa-1234") is None
    assert newest_complete(kept(tmp_path, OTHER, broken=("chk-1",)) / OTHER) is None
    with pytest.raises(ExternalError, match="cannot be used"):
        newest_complete(tmp_path / "none")


def test_where_a_directory_is(tmp_path: Path) -> None:
    assert [path_here(f"{scheme}{tmp_path}/a%20b") for scheme in ("file:", "file://")] == [tmp_path / "a b"] * 2
    assert path_here("s3://bucket/path") is None
    assert path_here("relative/path") is None


def test_the_ends_in_a_savepoint(tmp_path: Path) -> None:
    """As Flink names operators; what cannot be read says nothing."""
    (tmp_path / "_metadata").write_bytes(
        b"\x00\x18Source: KafkaSource-default_catalog.default_database.rows\x00\x12counted[24]: Writer\x00late[3]: Committer"
    )
    assert ends_of(tmp_path.as_uri()) == Ends(frozenset({"rows"}), frozenset({"counted"}))
    assert ends_of((tmp_path / "none").as_uri()) is None
    assert ends_of("s3://bucket/savepoint") is None


def test_what_became_of_a_job_that_its_cluster_lost(tmp_path: Path, answers: Answers) -> None:
    """`jobs` tells it, with the command; a submission would begin anew, and is refused."""
    directory = kept(tmp_path / "checkpoints", JOB, "chk-3")
    deployed(tmp_path, answers, checkpoints=directory.as_uri())
    gone(answers)
    (found,) = jobs(tmp_path)
    assert found.lost is not None
    newest = (directory / JOB / "chk-3").as_uri()
    assert found.lost.begins == newest
    shown = "\n".join(lines_of(found))
    assert f"its job manager was lost or restarted. It can go on from {newest}" in shown
    assert "bring it back: fluxline restore p --env stack" in shown
    assert as_json(found)["lost"] == {"why": found.lost.why, "begins": newest, "unknown": ""}
    with pytest.raises(RecoveryError) as raised:
        submit(plan(), tmp_path)
    assert (raised.value.code, newest in raised.value.detail) == ("FLX-5807", True)
    told: list[str] = []
    stop_job("p", tmp_path, told=told.append)
    assert any("fluxline restore p" in step for step in told)
    assert nothing_was_done(answers)


@pytest.mark.parametrize(
    ("checkpoints", "unknown"),
    [
        (None, "in the memory of the job manager"),
        ("s3://bucket/checkpoints", "which cannot be listed from here"),
        ("file:///nowhere", "which is not there, or not on this machine"),
        ("here", "is no complete checkpoint"),
    ],
)
def test_nothing_is_known_to_go_on_from(tmp_path: Path, answers: Answers, checkpoints: str | None, unknown: str) -> None:
    """Never silently from an earlier one: rows would come again."""
    if checkpoints == "here":
        checkpoints = kept(tmp_path / "c", JOB, broken=("chk-1",)).as_uri()
    deployed(tmp_path, answers, checkpoints=checkpoints, began_from="file:///s/1")
    gone(answers)
    with pytest.raises(RecoveryError) as raised:
        restore_job(plan(), tmp_path)
    assert raised.value.code == "FLX-5806"
    assert unknown in raised.value.detail
    assert "--from file:///s/1" in raised.value.hint
    (found,) = jobs(tmp_path)
    assert any(unknown in line for line in lines_of(found))


def test_a_restore_of_what_runs_or_has_ended_is_refused(tmp_path: Path, answers: Answers) -> None:
    deployed(tmp_path, answers)
    known(answers, "RUNNING")
    with pytest.raises(ResourceBusy, match="runs already"):
        restore_job(plan(), tmp_path)
    known(answers, "FINISHED")
    with pytest.raises(RecoveryError, match="has nothing that is known to go on from") as raised:
        restore_job(plan(), tmp_path)
    assert "ended as it should" in raised.value.detail
    with pytest.raises(ResourceMissing) as missing:
        restore_job(replace(plan(), name="q"), tmp_path)
    assert missing.value.code == "FLX-4524"
    assert nothing_was_done(answers)


def test_a_submission_that_was_cut_off_goes_on_from_where_it_was_to_begin(tmp_path: Path, answers: Answers) -> None:
    """It had no job yet, so nothing has moved since; the next step asks for slots, where this cluster has none to tell of."""
    deployed(tmp_path, answers, state="submitting", job_id="", began_from="file:///s/1")
    answers.fail("GET /overview", "a.B: the next step")
    told: list[str] = []
    with pytest.raises(ExternalError) as raised:
        restore_job(plan(), tmp_path, told=told.append)
    assert raised.value.detail == "the next step"
    deployed(tmp_path, answers, state="submitting", job_id="")
    with pytest.raises(RecoveryError) as nothing:
        restore_job(plan(), tmp_path)
    assert nothing.value.code == "FLX-5806"


def test_a_failed_job_tells_its_checkpoint(tmp_path: Path, answers: Answers) -> None:
    """The cluster knows better than the disk."""
    deployed(tmp_path, answers, checkpoints=kept(tmp_path / "c", JOB, "chk-1").as_uri())
    known(answers, "FAILED", checkpoint="s3://bucket/chk-7")
    found = job_status("p", tmp_path)
    assert found.lost is not None
    assert (found.lost.why, found.lost.begins) == (f"Job {JOB} ended as FAILED.", "s3://bucket/chk-7")


def test_a_changed_definition_is_refused_while_the_job_runs(tmp_path: Path, answers: Answers) -> None:
    deployed(tmp_path, answers)
    known(answers, "RUNNING")
    with pytest.raises(RecoveryError) as raised:
        rescale_job(plan(size="20 seconds"), tmp_path, 2)
    assert raised.value.code == "FLX-5801"
    assert raised.value.detail.startswith('"counts" is changed.')
    assert 'Unchanged: "rows", "sink counted".' in raised.value.detail
    assert nothing_was_done(answers)


def test_a_rescale_that_cannot_be_is_refused_while_the_job_runs(tmp_path: Path, answers: Answers) -> None:
    """Above the groups of keys, above the slots with its own, across the partitions of a source; to what it has, nothing is done."""
    deployed(tmp_path, answers, partitions={"rows": 3})
    known(answers, "RUNNING", parallelism=2)
    with pytest.raises(UnsupportedByEngine, match="parallelism 129 is above 128"):
        rescale_job(plan(), tmp_path, 129)
    answers.give("GET /overview", {"taskmanagers": 1, "slots-total": 4, "slots-available": 1, "flink-version": "2.3.0"})
    answers.give("GET /taskmanagers", {"taskmanagers": [{"id": "t", "path": "pekko.tcp://flink@10.0.0.7:6122/user/rpc/taskmanager_0"}]})
    answers.give("GET /taskmanagers/t", {"allocatedSlots": [{"jobId": JOB}, {"jobId": JOB}, {"jobId": OTHER}]})
    with pytest.raises(ExternalError) as raised:
        rescale_job(plan(), tmp_path, 4)
    assert (raised.value.code, raised.value.detail.startswith("The job has 2, and of 4 slots 1 are free")) == ("FLX-4505", True)
    answers.give("GET /overview", {"taskmanagers": 1, "slots-total": 9, "slots-available": 6, "flink-version": "2.3.0"})
    with pytest.raises(RecoveryError) as other:
        rescale_job(plan(), tmp_path, 4)
    assert (other.value.code, other.value.hint) == ("FLX-4535", "Take at most 3, or start over: fluxline submit --fresh.")
    told: list[str] = []
    assert rescale_job(plan(), tmp_path, 2, told=told.append).job_id == JOB
    assert told == ["it runs with parallelism 2 already"]
    assert nothing_was_done(answers)


@pytest.mark.parametrize(
    ("before", "after", "fits"), [(1, 2, True), (1, 3, True), (4, 5, True), (2, 4, False), (4, 3, False), (None, 9, True), (1, None, True)]
)
def test_both_sides_of_the_partitions_are_different_jobs(before: int | None, after: int | None, fits: bool) -> None:
    """Of three partitions."""
    record = Deployment("p", "stack", "submitted", "", False, 0, JOB, "g", "r", parallelism=before, partitions={"rows": 3})
    if fits:
        refuse_other_readers(record, after)
    else:
        with pytest.raises(RecoveryError, match="cannot go on with parallelism"):
            refuse_other_readers(record, after)


def test_a_savepoint_is_made_and_known_to_be_of_the_pipeline(tmp_path: Path, answers: Answers) -> None:
    place = deployed(tmp_path, answers)
    known(answers, "RUNNING")
    answers.give(f"POST /jobs/{JOB}/savepoints", {"request-id": "r"})
    answers.give(f"GET /jobs/{JOB}/savepoints/r", {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/s/1"}})
    assert savepoint_job("p", tmp_path, overrides=['flink.savepoint_directory="file:///s"']).savepoint == "file:/s/1"
    asked = [body for question, body in answers.asked if question == f"POST /jobs/{JOB}/savepoints"]
    assert asked == [{"target-directory": "file:///s", "cancel-job": False, "formatType": "CANONICAL"}]
    record = place.read()
    assert record is not None
    assert (record.savepoints, record.savepoint) == (("file:/s/1",), None), "the next submission does not go back to it"


def test_a_savepoint_that_is_not_made_says_why(tmp_path: Path, answers: Answers) -> None:
    """Nowhere to write, no directory at all, no job."""
    deployed(tmp_path, answers)
    known(answers, "RUNNING")
    said = "Failed to create savepoint directory at file:/proc/nowhere"
    stack = f"java.util.concurrent.CompletionException: x\nCaused by: java.io.IOException: {said}\n\tat a"
    answers.give(f"POST /jobs/{JOB}/savepoints", {"request-id": "r"})
    answers.give(f"GET /jobs/{JOB}/savepoints/r", {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": stack}}})
    with pytest.raises(ExternalError) as raised:
        savepoint_job("p", tmp_path, overrides=['flink.savepoint_directory="file:///proc/nowhere"'])
    assert raised.value.fact == 'Flink made no savepoint below "file:///proc/nowhere"'
    assert raised.value.detail == said
    assert "must share the directory" in raised.value.hint
    answers.fail(
        f"POST /jobs/{JOB}/savepoints",
        "a.B: Config key [execution.checkpointing.savepoint-dir] is not set. Property [targetDirectory] must be provided.",
    )
    with pytest.raises(ExternalError, match="does not know where to keep a savepoint") as raised:
        savepoint_job("p", tmp_path)
    assert "savepoint_directory" in raised.value.hint
    gone(answers)
    with pytest.raises(ResourceMissing) as missing:
        savepoint_job("p", tmp_path)
    assert (missing.value.code, missing.value.hint) == ("FLX-4528", "Bring it back: fluxline restore p --env stack.")


def test_a_savepoint_of_another_pipeline_is_refused(tmp_path: Path, answers: Answers) -> None:
    """By what is kept of it, by its job, and by what it has something of; one that is not there is told before."""
    deployed(tmp_path, answers)
    gone(answers)
    other = DeploymentDirectory(tmp_path / ".fluxline" / "stack" / "q")
    other.path.mkdir(parents=True)
    record = Deployment("q", "stack", "submitted", "", False, 0, OTHER, "g", "r", jobs=(OTHER,), savepoints=("file:/elsewhere/sp",))
    other.write(record)
    directory = kept(tmp_path / "c", OTHER, "chk-1")
    for begins in ("/elsewhere/sp", "file:///elsewhere/sp/", str(directory / OTHER / "chk-1")):
        with pytest.raises(RecoveryError) as raised:
            restore_job(plan(), tmp_path, begins=begins)
        assert (raised.value.code, raised.value.detail) == ("FLX-5805", 'It is of pipeline "q".')
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "_metadata").write_bytes(b"Source: KafkaSource-default_catalog.default_database.rows\x00totals[24]: Writer")
    with pytest.raises(RecoveryError) as raised:
        restore_job(plan(), tmp_path, begins=str(unknown))
    assert raised.value.detail == 'It has nothing of sink "counted"; it has rows, totals.'
    for begins in (str(tmp_path / "none"), str(tmp_path), "relative"):
        with pytest.raises(RecoveryError) as raised:
            restore_job(plan(), tmp_path, begins=begins)
        assert raised.value.code == "FLX-5804"
    assert nothing_was_done(answers)


@pytest.mark.parametrize(
    ("said", "code", "fact"),
    [
        (
            f"Failed to create directory for shared state: file:/proc/nowhere/chk/{JOB}/shared",
            "FLX-4532",
            'Flink cannot write checkpoints below "file:/proc/nowhere/chk"',
        ),
        ("Failed to create checkpoint storage at checkpoint coordinator side.", "FLX-4532", "Flink cannot write checkpoints"),
        (
            "Cannot find checkpoint or savepoint file/directory 'file:///tmp/none/chk-1' on file system 'file'.",
            "FLX-5804",
            'there is no savepoint or checkpoint at "file:///tmp/none/chk-1"',
        ),
        (
            f"Failed to rollback to checkpoint/savepoint file:/s/1. Cannot map checkpoint/savepoint state for operator {JOB} to the new program, "
            "because the operator is not available in the new program. If you want to allow to skip this, you can set the option on the CLI.",
            "FLX-5805",
            'the job has no place for what "file:/s/1" remembers',
        ),
    ],
)
def test_flink_s_refusals_have_names(answers: Answers, said: str, code: str, fact: str) -> None:
    """As a Flink 2.3.0 said them to an INSERT."""
    answers.give("GET /info", {"productName": "Apache Flink", "version": "2.3.0"})
    answers.give("POST /v3/sessions", {"sessionHandle": "s"})
    answers.give("DELETE /v3/sessions/s", {})
    answers.fail("POST /v3/sessions/s/statements", f"a.B: c\nCaused by: java.io.IOException: {said}\n\tat a.b")
    with Gateway(answers.address).open_session({}) as session, pytest.raises((ExternalError, RecoveryError)) as raised:
        session.execute("INSERT INTO b SELECT i FROM g")
    assert (raised.value.code, raised.value.fact) == (code, fact)
    assert raised.value.hint
    assert "If you want" not in raised.value.detail


def test_a_job_without_checkpoints_is_refused() -> None:
    """One that ends needs none; where they go is known by the session's settings."""
    with pytest.raises(ExternalError) as raised:
        require_checkpoints({}, bounded=False)
    assert raised.value.code == "FLX-4533"
    assert require_checkpoints({}, bounded=True) is None
    settings = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.dir": "file:///c"}
    assert require_checkpoints(settings, bounded=False) == "file:///c"
    assert told_of("file:///c", {"127.0.0.1"}) == []
    assert told_of("s3://bucket/c", {"a", "b"}) == []
    (shared,) = told_of("file:///c", {"b", "a"})
    assert shared == "checkpoints go to file:///c, which must be one disk that a, b and the job manager share"
    (memory,) = told_of(None, {"a"})
    assert "memory of the job manager" in memory


def test_every_job_keeps_its_checkpoints(tmp_path: Path) -> None:
    """Unless the environment's own properties say otherwise."""
    found = {}
    for project, properties in (("shop", ""), ("store", '\nproperties = { "state.backend.type" = "hashmap" }')):
        folder = tmp_path / project
        folder.mkdir()
        (folder / "fluxline.toml").write_text(PROJECT.format(project=project, address="http://127.0.0.1:1").rstrip() + properties + "\n")
        environment = resolve_environment(require_project(folder), "stack")
        prepared = prepare(plan(), environment, reveal=False)
        assert prepared.problems == []
        assert prepared.compiled is not None
        found[project] = (session_properties(environment, prepared.compiled), prepared.compiled.script())
    assert {key: found["shop"][0][key] for key in CHECKPOINTS} == CHECKPOINTS
    assert found["store"][0]["state.backend.type"] == "hashmap"
    for project in found:  # Two projects with one pipeline and environment: nothing of one is the other's.
        assert f"'sink.transactional-id-prefix' = '{project}/p/stack-counted'" in found[project][1]
        assert f"'properties.group.id' = 'fluxline-{project}/p/stack-rows'" in found[project][1]


def test_what_goes_on_keeps_its_identity(tmp_path: Path, answers: Answers) -> None:
    """Of a record of the format before, it is the one that its transactions have."""
    deployed(tmp_path, answers, identity="p-stack")
    record = DeploymentDirectory(tmp_path / ".fluxline" / "stack" / "p").read()
    environment = resolve_environment(require_project(tmp_path), "stack")
    prepared = prepare(plan(), environment, reveal=False, goes_on=record)
    assert prepared.compiled is not None
    assert "'sink.transactional-id-prefix' = 'p-stack-counted'" in prepared.compiled.script()


def test_a_job_manager_that_does_not_answer(tmp_path: Path) -> None:
    """The way back is in the hint."""
    with answering() as away:
        deployed(tmp_path, away)
    with pytest.raises(ConnectionLost) as raised:
        jobs(tmp_path)
    assert "fluxline restore p --env stack" in raised.value.hint
