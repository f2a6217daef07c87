"""Which sources get a topic in front of Flink, how it is shown and refused, where positions are kept, and who reads when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fluxline import Pipeline, control
from fluxline.clock import VirtualClock
from fluxline.control.positions import IngestDirectory
from fluxline.control.reading import Reading
from fluxline.control.worker import start_worker
from fluxline.engines.worker.ingest import Kept, Place
from fluxline.errors import FluxlineError, RecoveryError
from tests.engines.worker.test_intake import Ground, lines

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.plan.nodes import Plan

HEAD = """
[project]
name = "p"
pipelines = []

[environments.cluster]
engine = "flink"
topics = "kafka"
tables = "kafka"
connections.kafka = { connector = "kafka", bootstrap_servers = ["127.0.0.1:1"], format = "json", start = "latest" }
connections.files = { connector = "filesystem", path = "in/{name}.ndjson", format = "json" }
connections.rows = { connector = "datagen" }
"""


def the_plan(*, rejected: bool = False) -> Plan:
    pipeline = Pipeline("numbers")
    rows = pipeline.source("rows", schema={"id": "BIGINT NOT NULL", "text": "STRING"})
    rows.sink("copies")
    if rejected:
        rows.rejected.sink("broken")
    return pipeline._plan()


def explained(directory: Path, text: str, plan: Plan | None = None) -> str:
    (directory / "fluxline.toml").write_text(HEAD + text)
    return control.explain(plan or the_plan(), directory, env="cluster", engine="flink")


def refused(directory: Path, text: str, plan: Plan | None = None, env: str = "cluster") -> FluxlineError:
    (directory / "fluxline.toml").write_text(HEAD + text)
    with pytest.raises(FluxlineError) as caught:
        control.check(plan or the_plan(), directory, env=env)
    return caught.value


def test_a_source_without_a_form_in_flink_goes_through_a_topic(tmp_path: Path) -> None:
    """Flink reads the topic from its beginning, whatever the connection says of those that others fill."""
    shown = explained(tmp_path, 'bindings.rows = { connection = "rows" }\n')
    assert "rows: datagen -> workers -> topic numbers.rows -> Flink; what cannot be decoded goes to topic numbers.rows.rejected" in shown
    assert "source rows: datagen" in shown
    assert "'topic' = 'numbers.rows'" in shown
    assert "'scan.startup.mode' = 'earliest-offset'" in shown


def test_files_go_through_a_topic_where_the_binding_says_so(tmp_path: Path) -> None:
    """Without it Flink reads the file itself, and cannot show what it rejects; the hint says what to write."""
    plan = the_plan(rejected=True)
    problem = refused(tmp_path, 'bindings.rows = { connection = "files" }\n', plan)
    assert problem.code == "FLX-2652"
    assert "ingest = true" in problem.hint
    shown = explained(tmp_path, 'bindings.rows = { connection = "files", ingest = true }\n', plan)
    assert "rows: filesystem -> workers -> topic numbers.rows -> Flink\n" in shown
    direct = explained(tmp_path, 'bindings.rows = { connection = "files", ingest = false }\n')
    assert "through workers" not in direct


def test_an_environment_without_topics_in_kafka_is_refused(tmp_path: Path) -> None:
    text = 'bindings.rows = { connection = "rows" }\nbindings.copies = { connection = "files", path = "out/" }\n'
    (tmp_path / "fluxline.toml").write_text((HEAD + text).replace('topics = "kafka"', 'topics = "files"'))
    with pytest.raises(FluxlineError) as caught:
        control.check(the_plan(), tmp_path, env="cluster")
    assert (caught.value.code, caught.value.fact) == ("FLX-2673", 'source "rows" needs a topic between it and Flink')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bindings.rows = { ingest = true }", "It lives in a topic already"),
        ('bindings.copies = { ingest = true }\nbindings.rows = { connection = "rows" }', "It is a sink"),
    ],
    ids=["topic", "sink"],
)
def test_ingest_is_refused_where_it_has_no_meaning(text: str, says: str, tmp_path: Path) -> None:
    problem = refused(tmp_path, f"{text}\n")
    assert (problem.code, says in problem.detail) == ("FLX-1026", True), problem
    assert problem.place is not None
    assert problem.place.line == HEAD.count("\n") + 1


def test_ingest_is_refused_on_the_embedded_engine(tmp_path: Path) -> None:
    more = (
        '[environments.dev]\nengine = "embedded"\ntopics = "files"\nconnections.files = { connector = "filesystem", path = "x", format = "json" }\n'
    )
    problem = refused(tmp_path, f"{more}bindings.rows = {{ ingest = true }}\nbindings.copies = {{ path = 'y' }}\n", env="dev")
    assert (problem.code, "reads the source itself" in problem.detail) == ("FLX-1026", True)


def test_ingest_is_true_or_false(tmp_path: Path) -> None:
    assert refused(tmp_path, 'bindings.rows = { connection = "files", ingest = "yes" }\n').code == "FLX-1004"


def test_the_topic_is_no_other_end_s(tmp_path: Path) -> None:
    text = 'bindings.rows = { connection = "rows" }\nbindings.copies = { topic = "numbers.rows" }\n'
    assert refused(tmp_path, text).code == "FLX-1025"


def test_a_worker_reads_no_source_where_nothing_was_submitted(tmp_path: Path) -> None:
    """It would not know how far the source is, and begin anew."""
    (tmp_path / "fluxline.toml").write_text(f'{HEAD}bindings.rows = {{ connection = "rows" }}\n')
    with pytest.raises(FluxlineError) as caught:
        start_worker(the_plan(), tmp_path, env="cluster")
    assert caught.value.code == "FLX-2674"
    assert not list(tmp_path.rglob("worker-1"))


def test_positions_are_kept_as_they_are(tmp_path: Path) -> None:
    place = IngestDirectory(tmp_path / "ingest-rows")
    assert place.load() is None
    kept = Kept("json", {"a": Place(1, 7, True, {"columns": ["x"]}), "b": Place(0)}, [3, 4], 2, True)
    place.save(kept)
    assert place.load() == kept
    assert kept.moved == 7
    place.pause()
    place.begin()
    assert place.load() == Kept("json", {"a": Place(1, 7, False, {"columns": ["x"]}), "b": Place(0)}, [3, 4], 2, False)
    assert not place.paused()


@pytest.mark.parametrize(("text", "code"), [('{"format": 2}', "FLX-5003"), ('{"format": 1, "places": {}}', "FLX-5004"), ("{", "FLX-5004")])
def test_positions_that_cannot_be_read_are_refused(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "positions.json").write_text(text)
    with pytest.raises(RecoveryError) as caught:
        IngestDirectory(tmp_path).load()
    assert caught.value.code == code


def test_one_worker_reads_and_another_stands_by(tmp_path: Path) -> None:
    """The second finds the source taken, then paused, then goes on where the first was."""
    ground = Ground(tmp_path)
    ground.write("a.ndjson", lines(1, 2))
    first, second = (Reading(ground.ingest(follow=True), IngestDirectory(ground.place.path), VirtualClock(0), bounded=False) for _ in range(2))
    assert first.take()
    assert not second.take()
    assert ground.place.held()
    answers = iter([False, False, True, True])
    first.run(lambda: next(answers))
    assert (first.moved, ground.place.held()) == (2, False)
    ground.place.pause()
    assert not second.take()
    ground.place.resume()
    ground.write("a.ndjson", lines(3), "ab")
    assert second.take()
    answers = iter([False, False, True, True])
    second.run(lambda: next(answers))
    assert (second.moved, second.rejected) == (1, 0)
    assert [json.loads(value or b"")["id"] for value in ground.values()] == [1, 2, 3]
