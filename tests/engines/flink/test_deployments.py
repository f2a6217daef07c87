"""Deployments over a cluster that gives the answers it was told: records of other versions, and how a wait for a job ends."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from fluxline.cli.jobs import as_json, lines_of
from fluxline.control.deployment import Deployment, DeploymentDirectory, RelayRecord
from fluxline.control.jobs import job_status, jobs, wait_for_job
from fluxline.errors import ConnectionLost, ExternalError, RecoveryError
from fluxline.stack.state import ServerProcess, State, write_state
from tests.engines.flink.answers import answering
from tests.engines.flink.pipelines import by_zero, give, line_of, shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.flink.answers import Answers

PROJECT = '[project]\nname = "p"\ndefault_environment = "stack"\n[environments.stack]\nengine = "flink"\n'


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as found:
        yield found


def deployed(folder: Path, answers: Answers, job_id: str, **more: object) -> DeploymentDirectory:
    """A deployment in a project of its own."""
    (folder / "fluxline.toml").write_text(PROJECT)
    place = DeploymentDirectory(folder / ".fluxline" / "stack" / "moddiv")
    place.path.mkdir(parents=True)
    record = Deployment("moddiv", "stack", "submitted", "digest", False, 1_000, job_id, "http://gateway", answers.address)
    place.write(replace(record, **more))  # type: ignore[arg-type]  # fields of the record
    return place


def test_a_record_of_the_first_format_is_read(tmp_path: Path, answers: Answers) -> None:
    """It has no numbers of partitions; its identity has no project; one of a later format is refused."""
    place = deployed(tmp_path, answers, "j", partitions={"rows": 2})
    kept = place.read()
    assert kept is not None
    assert kept.partitions == {"rows": 2}
    later = ("identity", "parallelism", "workers", "overrides", "checkpoints", "began_from", "jobs", "savepoints")
    second = {key: value for key, value in asdict(kept).items() if key not in later}
    (place.path / "deployment.json").write_text(json.dumps({"format": 2, **second}))
    assert place.read() == replace(kept, identity="moddiv-stack")
    first = {key: value for key, value in second.items() if key != "partitions"}
    (place.path / "deployment.json").write_text(json.dumps({"format": 1, **first}))
    assert place.read() == replace(kept, partitions={}, identity="moddiv-stack")
    (place.path / "deployment.json").write_text(json.dumps({"format": 4, **asdict(kept)}))
    with pytest.raises(RecoveryError, match="has format 4, this version reads up to 3"):
        place.read()


def test_what_was_there_before_a_submission_comes_back(tmp_path: Path, answers: Answers) -> None:
    """The record and the plan, or neither."""
    place = deployed(tmp_path, answers, "j")
    before, plan = place.read(), by_zero()
    place.write_plan(plan)
    kept = place.plan_bytes()
    place.write_plan(shop())
    place.restore(before, kept)
    assert (place.read(), place.kept_plan()) == (before, plan)
    place.restore(before, b'{"fluxline_plan": 999}')
    assert place.kept_plan() is None, "of another version"
    place.restore(None, None)
    assert (place.read(), place.kept_plan(), place.plan_bytes()) == (None, None, None)


@pytest.mark.parametrize(("savepoint", "begins"), [(None, "which starts over"), ("file:/s/1", "from file:/s/1: fluxline restore moddiv --env stack")])
def test_a_wait_for_a_job_that_the_cluster_forgot_ends(tmp_path: Path, answers: Answers, savepoint: str | None, begins: str) -> None:
    deployed(tmp_path, answers, "j", savepoint=savepoint)
    answers.fail("GET /jobs/j", "a.B: Job j not found", status=404)
    with pytest.raises(ExternalError) as raised:
        wait_for_job("moddiv", tmp_path, timeout_ms=10_000)
    assert (raised.value.code, raised.value.fact) == ("FLX-4527", f'the cluster at "{answers.address}" knows the job of "moddiv" no more')
    assert begins in raised.value.hint
    (found,) = jobs(tmp_path)
    assert (found.state, found.settled, found.vertices) == ("GONE", False, None)


def test_a_job_that_was_stopped_and_forgotten_has_ended(tmp_path: Path, answers: Answers) -> None:
    deployed(tmp_path, answers, "j", state="stopped")
    answers.fail("GET /jobs/j", "a.B: Job j not found", status=404)
    assert wait_for_job("moddiv", tmp_path, timeout_ms=10_000).settled


def test_a_failure_is_shown_with_the_users_line(tmp_path: Path, answers: Answers) -> None:
    """By the plan that was kept, in both forms; a wait ends with the same error."""
    job_id = give(answers, "by_zero")
    answers.give(f"GET /jobs/{job_id}/checkpoints", {"latest": {"completed": None}})
    place = deployed(tmp_path, answers, job_id)
    place.write_plan(by_zero())
    found = job_status("moddiv", tmp_path)
    shown = "\n".join(lines_of(found))
    assert 'FLX-4506  the job "moddiv" ended as FAILED on Flink, in "rest"   tests/engines/flink/pipelines.py:' in shown
    assert "  hint: A divisor is 0." in shown
    told = json.loads(json.dumps(as_json(found)))
    assert told["cause"] == "ArithmeticException: / by zero"
    assert [each["name"] for each in told["failure"]["operators"]] == ["rest"]
    assert told["failure"]["operators"][0]["line"] == told["failure"]["place"]["line"]
    assert [len(each["operators"]) for each in told["vertices"]] == [1, 5, 2]
    with pytest.raises(ExternalError, match='in "rest"') as raised:
        wait_for_job("moddiv", tmp_path, timeout_ms=10_000)
    assert line_of(raised.value.place).endswith('.named("rest")')
    assert jobs(tmp_path)[0].vertices is None


def test_a_full_disk_is_told_of_a_job_that_fails(tmp_path: Path, answers: Answers) -> None:
    """Flink does not say why a checkpoint was not written; the log of the local stack's job manager does."""
    job_id = give(answers, "by_zero")
    answers.give(f"GET /jobs/{job_id}/checkpoints", {"latest": {"completed": None}})
    place = deployed(tmp_path, answers, job_id)
    place.write_plan(by_zero())
    (tmp_path / "fluxline.toml").write_text(f'{PROJECT}[environments.stack.flink]\nrest = "{answers.address}"\n')
    assert "full" not in "\n".join(lines_of(job_status("moddiv", tmp_path)))
    stack, port = tmp_path / ".fluxline" / "stack" / "local", int(answers.address.rpartition(":")[2])
    stack.mkdir(parents=True)
    write_state(stack, State({"flink": port}, [ServerProcess("jobmanager", "flink", 1, 0.0, port=port)]))
    (stack / "jobmanager.log").write_text("Caused by: java.io.IOException: No space left on device\n")
    failure = job_status("moddiv", tmp_path).failure
    assert failure is not None
    assert failure.error.detail.endswith(f'A disk is full: look at jobmanager of the stack "local" ({stack}).')


def test_brokers_that_are_away_are_told_of_a_job_that_runs(tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink lets it wait without a word. Nothing is said to be written, and a wait for what is written ends."""
    job_id = give(answers, "by_zero")
    answers.give(f"GET /jobs/{job_id}/checkpoints", {"latest": {"completed": None}})
    deployed(tmp_path, answers, job_id, relays=(RelayRecord("kept", "cassandra", "moddiv.kept", "g"),))
    away = ConnectionLost("FLX-4401", 'no broker answers at "127.0.0.1:1"', hint="Check that the brokers run.")

    def ask(*_arguments: object) -> dict[str, int]:
        raise away

    monkeypatch.setattr("fluxline.control.jobs._lags", ask)
    (found,) = jobs(tmp_path)
    assert (found.trouble, dict(found.lags), found.state) == (away, {}, "FAILED")
    assert not found.settled
    shown = "\n".join(lines_of(found))
    assert '  ALARM: FLX-4401  no broker answers at "127.0.0.1:1"; ' in shown
    assert "    hint: Check that the brokers run." in shown
    assert "  kept: topic moddiv.kept -> cassandra, what is left is not known" in shown
    told = as_json(found)
    assert told["trouble"] == away.as_json()
    assert told["relays"] == [{"sink": "kept", "topic": "moddiv.kept", "connector": "cassandra", "lag": None}]
    with pytest.raises(ConnectionLost, match="no broker answers"):
        wait_for_job("moddiv", tmp_path, timeout_ms=10_000)
