"""The table `flink` of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.config import FlinkOptions, refuse_unsupported, resolve_environment, unsupported
from fluxline.errors import ConfigError, UnsupportedByEngine

if TYPE_CHECKING:
    from tests.config.conftest import Write

HEAD = '[environments.stack]\nengine = "flink"\n[environments.stack.flink]\n'


def test_every_key(write: Write) -> None:
    text = (
        'gateway = "http://g:8083"\nrest = "http://r:8081"\nparallelism = 4\ncheckpoint_interval = "30 seconds"\nsavepoint_directory = "s3://b/s"\n'
    )
    raw = 'properties = { "table.exec.mini-batch.enabled" = true, "taskmanager.network.x" = 5, "state.backend.type" = "rocksdb" }\n'
    found = resolve_environment(write(HEAD + text + raw), "stack").flink
    assert found == FlinkOptions(
        "http://g:8083",
        "http://r:8081",
        4,
        30_000,
        "s3://b/s",
        {"table.exec.mini-batch.enabled": "true", "taskmanager.network.x": "5", "state.backend.type": "rocksdb"},
    )


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("parallelism.default", 'Write parallelism = ... in the table "flink" instead.'),
        ("execution.checkpointing.interval", 'Write checkpoint_interval = ... in the table "flink" instead.'),
        ("table.local-time-zone", "Take it away: Fluxline sets it, and rows depend on it."),
    ],
)
def test_a_raw_property_that_has_its_place_is_refused(key: str, hint: str, write: Write) -> None:
    with pytest.raises(ConfigError, match=f'"{key}" is not for raw properties') as caught:
        resolve_environment(write(f'{HEAD}properties = {{ "{key}" = "1" }}\n'), "stack")
    assert (caught.value.code, caught.value.hint) == ("FLX-1024", hint)


def test_a_key_without_quotes_is_a_table(write: Write) -> None:
    with pytest.raises(ConfigError, match='property "table" of Flink is no single value') as caught:
        resolve_environment(write(f'{HEAD}properties.table.exec.state.ttl = "1 d"\n'), "stack")
    assert caught.value.code == "FLX-1024"


def test_a_managed_service_comes_later(write: Write) -> None:
    environment = resolve_environment(write(f'{HEAD}service = "managed-flink"\napplication = "sensors"\n'), "stack")
    assert [error.fact for error in unsupported(environment)] == ["this version knows no managed Flink"] * 2


def test_each_engine_has_its_command(write: Write) -> None:
    project = write(f'{HEAD}parallelism = 1\n[environments.dev]\nengine = "embedded"\n')
    flink, dev = resolve_environment(project, "stack"), resolve_environment(project, "dev")
    refuse_unsupported(flink, "flink")
    refuse_unsupported(flink, None)
    refuse_unsupported(dev)
    with pytest.raises(UnsupportedByEngine) as caught:
        refuse_unsupported(flink)
    assert (caught.value.code, caught.value.fact) == ("FLX-1023", 'environment "stack" runs on the engine "flink"')
    assert caught.value.hint == 'Start it there with "fluxline submit", or choose another environment with --env.'
    with pytest.raises(UnsupportedByEngine, match='environment "dev" runs on the engine "embedded"') as caught:
        refuse_unsupported(dev, "flink")
    assert caught.value.hint == 'Run it in this process with "fluxline run", or choose another environment with --env.'
