"""What `check --connect` asks of a topic, at brokers in this process: nothing is made or sent."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fluxline.clock import VirtualClock
from fluxline.config import require_project, resolve_environment
from fluxline.connectors import load_connector
from fluxline.connectors.base import SinkContext, SourceContext
from fluxline.control.connect import connect
from fluxline.control.deployment import Deployment
from fluxline.control.flink import prepare
from fluxline.errors import ExternalError, FluxlineError, ResourceMissing
from fluxline.options import read_options
from fluxline.schema import BIGINT, Field, TableSchema
from tests.connectors.brokers import broker
from tests.engines.flink.answers import answering
from tests.engines.flink.pipelines import by_zero

if TYPE_CHECKING:
    from collections.abc import Sequence

KAFKA = load_connector("kafka")
SCHEMA = TableSchema((Field("id", BIGINT),))
PROJECT = """
[project]
name = "p"
default_environment = "stack"
[environments.stack]
engine = "flink"
topics = "kafka"
connections.kafka = {{ connector = "kafka", bootstrap_servers = {servers}, format = "json", topic = "{label}.{{name}}"{more} }}
[environments.stack.flink]
parallelism = {parallelism}
{addresses}
"""


def asked(topic: str, *, sink: bool = False, **options: Any) -> Sequence[str]:
    given = read_options(KAFKA.options, {"bootstrap_servers": broker().servers, "topic": topic, **options}, of='connector "kafka"')
    source = SourceContext("x", given, SCHEMA, Path.cwd(), VirtualClock(0), bounded=True)
    writes = SinkContext(
        name="x", options=given, schema=SCHEMA, key=None, updating=False, directory=Path.cwd(), clock=VirtualClock(0), run_id="r", encoder=None
    )
    assert KAFKA.probe is not None
    return KAFKA.probe(writes if sink else source)


def test_a_topic_that_is_there_is_missing_or_will_be_made() -> None:
    broker().create("probed", 3)
    assert asked("probed") == ('topic "probed" has 3 partitions',)
    assert asked("probed", sink=True, partitions=3) == ('topic "probed" has 3 partitions',)
    assert asked("probed_later", sink=True, create_topics=True) == ('topic "probed_later" is not there and will be made',)
    with pytest.raises(ResourceMissing) as missing:
        asked("probd")
    assert (missing.value.code, missing.value.fact) == ("FLX-4403", 'there is no topic "probd"')
    assert '"probed"' in missing.value.hint
    with pytest.raises(ExternalError) as differs:
        asked("probed", partitions=5)
    assert (differs.value.code, differs.value.detail) == ("FLX-4406", "It has 3 partitions, and partitions = 5 is declared.")


def project(folder: Path, label: str, addresses: str, *, servers: list[str] | None = None, more: str = "", parallelism: int = 1) -> Path:
    text = PROJECT.format(servers=servers or broker().servers, label=label, addresses=addresses, more=more, parallelism=parallelism)
    (folder / "fluxline.toml").write_text(text)
    return folder


def problems_of(folder: Path) -> dict[str, str]:
    """Codes and facts of all problems."""
    with pytest.raises((FluxlineError, ExceptionGroup)) as raised:
        connect(by_zero(), folder)
    found = raised.value.exceptions if isinstance(raised.value, ExceptionGroup) else [raised.value]
    return {error.fact: error.code for error in found if isinstance(error, FluxlineError)}


def test_a_cluster_and_its_topics(tmp_path: Path) -> None:
    """Version, slots, the topic that is read, and the one that a submission would make; only questions are asked."""
    broker().create("asked.rows", 2)
    with answering() as flink:
        flink.give("GET /info", {"version": "2.3.0"})
        flink.give("GET /overview", {"flink-version": "2.3.0", "taskmanagers": 1, "slots-total": 4, "slots-available": 3})
        name, found = connect(by_zero(), project(tmp_path, "asked", f'gateway = "{flink.address}"\nrest = "{flink.address}"', parallelism=2))
        assert name == "stack"
        assert [(each.role, each.name, each.facts) for each in found] == [
            ("gateway", flink.address, ("version 2.3.0",)),
            ("cluster", flink.address, ("version 2.3.0", "3 of 4 slots are free", "the job needs 2")),
            ("source", "rows", ('topic "asked.rows" has 2 partitions',)),
            ("sink", "out", ('topic "asked.out" is not there and will be made',)),
        ]
        assert {question.split()[0] for question, _ in flink.asked} == {"GET"}
    assert not (tmp_path / ".fluxline").exists()


def test_all_that_is_wrong_with_a_cluster_comes_at_once(tmp_path: Path) -> None:
    """Too few slots, an old gateway, a topic that is missing, one that is another than declared."""
    broker().create("wrong.out", 1)
    with answering() as flink:
        flink.give("GET /info", {"version": "1.20.1"})
        flink.give("GET /overview", {"flink-version": "2.3.0", "taskmanagers": 1, "slots-total": 4, "slots-available": 1})
        found = problems_of(
            project(tmp_path, "wrong", f'gateway = "{flink.address}"\nrest = "{flink.address}"', more=", partitions = 6", parallelism=2)
        )
        assert found == {
            f'Flink at "{flink.address}" is version "1.20.1"': "FLX-4501",
            "Flink has too few free slots": "FLX-4505",
            'there is no topic "wrong.rows"': "FLX-4403",
            'topic "wrong.out" is not as it is declared': "FLX-4406",
        }


def test_nobody_answers(tmp_path: Path) -> None:
    """Two topics at brokers that are not there are one problem; an address that is not written is one without a question."""
    found = problems_of(project(tmp_path, "nobody", 'rest = "http://127.0.0.1:1"', servers=["127.0.0.1:1"]))
    assert sorted(found.values()) == ["FLX-1006", "FLX-4401", "FLX-4502"]


def test_a_job_that_goes_on_is_spread_as_it_began(tmp_path: Path) -> None:
    """Keys of the partitions that it began with stay; a partition that came later has one below zero, which no chosen key is."""
    broker().create("spread.rows", 4)
    environment = resolve_environment(require_project(project(tmp_path, "spread", "")), "stack")
    first = prepare(by_zero(), environment, reveal=True)
    assert first.partitions == {"rows": 4}
    began = Deployment("moddiv", "stack", "stopped", "", False, 0, "", "g", "r", partitions={"rows": 2}, identity="i")
    later = prepare(by_zero(), environment, reveal=True, goes_on=began)
    assert later.partitions == {"rows": 2}
    assert first.compiled is not None
    assert later.compiled is not None
    # 198 and 74 lie in the middle of the two halves of the key groups, 32 and 96.
    spread = re.compile(r"CASE WHEN `\$partition` = 0 THEN 198 WHEN `\$partition` = 1 THEN 74 ELSE -1 - `\$partition` END")
    assert spread.search(later.compiled.script())
    assert not spread.search(first.compiled.script())
    four = replace(environment, flink=replace(environment.flink, parallelism=4))
    read = prepare(by_zero(), four, reveal=True, goes_on=began).compiled
    assert read is not None
    assert "'scan.parallelism' = '2'" in read.script()
