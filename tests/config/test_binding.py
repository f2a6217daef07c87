"""Where a name lives, what overrides what on the command line, and how a resolved environment is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fluxline.config import binding_for, refuse_unsupported, render_environment, resolve_environment, unsupported
from fluxline.errors import ConfigError, DefinitionError, NameNotFound, Place, UnsupportedByEngine

if TYPE_CHECKING:
    from tests.config.conftest import Write

PROJECT = """
[environments.dev]
engine = "embedded"
topics = "files"
tables = "store"
[environments.dev.connections.files]
connector = "filesystem"
path = "data/{environment}/{name}.ndjson"
follow = true
format = "json"
format_options = { strict = false, timestamp_format = "ISO-8601" }
properties = { "a.b" = "{name}", list = ["{name}-1", 2] }
[environments.dev.connections.store]
connector = "store"
path = ".fluxline/{environment}/tables.duckdb"
[environments.dev.bindings]
sensor_data = { path = "data/readings.csv.zst", format = "csv" }
same_format = { format = "json", format_options = { strict = true } }
alerts = { connection = "store", table = "{name}_rows", delivery_guarantee = "exactly_once" }
secrets = { properties = { password = "${file:/run/{environment}/{name}}" } }
"""


def test_without_an_entry_the_environment_s_word_counts(write: Write) -> None:
    """Topics for what has no key, tables for what has one."""
    environment = resolve_environment(write(PROJECT), "dev")
    topic = binding_for(environment, "orders", keyed=False)
    assert (topic.name, topic.connection, topic.connector, topic.format, topic.delivery_guarantee) == ("orders", "files", "filesystem", "json", None)
    assert topic.options == {"path": "data/dev/orders.ndjson", "follow": True, "properties": {"a.b": "orders", "list": ["orders-1", 2]}}
    assert topic.format_options == {"strict": False, "timestamp_format": "ISO-8601"}
    table = binding_for(environment, "orders", keyed=True)
    assert (table.connection, table.connector, table.format) == ("store", "store", None)
    assert table.options == {"path": ".fluxline/dev/tables.duckdb"}


def test_an_entry_overrides_options(write: Write) -> None:
    """Key by key; another format leaves the options of the first behind, the same one keeps them."""
    environment = resolve_environment(write(PROJECT), "dev")
    other = binding_for(environment, "sensor_data", keyed=False)
    assert (other.options["path"], other.options["follow"], other.format, other.format_options) == ("data/readings.csv.zst", True, "csv", {})
    same = binding_for(environment, "same_format", keyed=False)
    assert (same.format, same.format_options) == ("json", {"strict": True, "timestamp_format": "ISO-8601"})


def test_an_entry_chooses_another_connection(write: Write) -> None:
    """Its keys then override that one's."""
    binding = binding_for(resolve_environment(write(PROJECT), "dev"), "alerts", keyed=False)
    assert (binding.connection, binding.delivery_guarantee) == ("store", "exactly_once")
    assert binding.options == {"path": ".fluxline/dev/tables.duckdb", "table": "alerts_rows"}


def test_placeholders_inside_a_reference_are_filled(write: Write) -> None:
    """The reference itself stays closed."""
    binding = binding_for(resolve_environment(write(PROJECT), "dev"), "secrets", keyed=False)
    assert binding.options["properties"] == {"a.b": "secrets", "list": ["secrets-1", 2], "password": "${file:/run/dev/secrets}"}


def test_every_option_knows_its_line(write: Write) -> None:
    """The binding's own and the connection's; a missing one is looked for in the binding, else in the connection."""
    environment = resolve_environment(write(PROJECT), "dev")
    binding = binding_for(environment, "same_format", keyed=False)
    places = [binding.place("path"), binding.format_place("strict"), binding.format_place("timestamp_format"), binding.place("missing")]
    assert [place and (place.line, place.column) for place in places] == [(8, 1), (18, 53), (11, 36), (18, 1)]
    plain = binding_for(environment, "orders", keyed=False).place("missing")
    assert plain is not None
    assert (plain.line, plain.column) == (6, 31)


def test_an_entry_without_connection_still_needs_one(write: Write) -> None:
    """The error stands in Python, the hint in TOML."""
    environment = resolve_environment(
        write('[environments.dev]\nengine = "embedded"\nconnections.a.connector = "print"\nbindings.alerts.path = "x"\n'), "dev"
    )
    place = Place("sensors.py", 7, 3)
    with pytest.raises(NameNotFound) as caught:
        binding_for(environment, "alerts", keyed=True, place=place)
    assert caught.value.place == place
    assert caught.value.detail.startswith('Its entry in [environments.dev.bindings] names no "connection", and the environment has no "tables"')
    assert caught.value.hint == 'Write in fluxline.toml:\n    [environments.dev.bindings.alerts]\n    connection = "a"'


def test_format_options_need_a_format(write: Write) -> None:
    """They would be accepted and ignored otherwise."""
    text = '[environments.dev]\nengine = "embedded"\ntopics = "a"\nconnections.a = { connector = "kafka", format_options.strict = true }\n'
    with pytest.raises(ConfigError) as caught:
        binding_for(resolve_environment(write(text), "dev"), "alerts", keyed=False)
    assert (caught.value.code, caught.value.fact) == ("FLX-1006", '"alerts" has options of a format and no format')


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["embedded.rejected_share_max=0.125"], ("embedded", "rejected_share_max"), 0.125),
        (["topics=store"], ("topics",), "store"),
        (['topics="store"'], ("topics",), "store"),
        (["connections.files.path=/data/a=b"], ("connections", "files", "path"), "/data/a=b"),
        (["connections.files.hosts = ['a', 'b'] "], ("connections", "files", "hosts"), ["a", "b"]),
        (['connections.files.properties."x=y"=1'], ("connections", "files", "properties", "x=y"), 1),
        (["connections.files.format_options={ strict = true }"], ("connections", "files", "format_options", "strict"), True),
        (["bindings.new.path=here"], ("bindings", "new", "path"), "here"),
        (["topics=files", "topics=store"], ("topics",), "store"),
    ],
)
def test_an_override_holds_for_one_run(write: Write, overrides: list[str], path: tuple[str, ...], value: object) -> None:
    """The value is TOML, else text; the last one counts; the file's other keys stay."""
    project = write(PROJECT)
    settings = resolve_environment(project, "dev", overrides=overrides).settings
    assert settings.table(*path[:-1]).values[path[-1]] == value
    assert settings.place(*path) is None
    assert settings.values["engine"] == "embedded"
    assert settings.table("connections", "files").values["follow"] is True
    assert resolve_environment(project, "dev").settings.values == project.tables["dev"].values


@pytest.mark.parametrize(
    ("override", "code", "said"),
    [
        ("topic=store", "FLX-1003", 'no key "topic"'),
        ("embedded.rejected_share_max=lots", "FLX-1004", "takes a number, not text"),
        ("topics=nowhere", "FLX-1014", 'no connection "nowhere"'),
        ("connections.file.path=x", "FLX-1014", 'no connection "file"'),
        ("extends=other", "FLX-1021", '"extends" cannot be given with --set'),
        ("unset=[]", "FLX-1021", '"unset" cannot be given with --set'),
        ("embedded.directory", "FLX-1021", '"embedded.directory" is no override'),
        ("=x", "FLX-1021", '"" is no override'),
        ("a b=x", "FLX-1021", '"a b" is no override'),
        ("connections.files.connector=3", "FLX-1004", "takes text, not a whole number"),
    ],
)
def test_what_cannot_be_overridden(write: Write, override: str, code: str, said: str) -> None:
    """A typo is not silent."""
    with pytest.raises(DefinitionError) as caught:
        resolve_environment(write(PROJECT), "dev", overrides=[override])
    assert caught.value.code == code
    assert said in caught.value.fact


def test_a_refused_override_does_not_repeat_what_may_be_a_secret(write: Write) -> None:
    """Whoever tried it typed it once too often already."""
    for override in ("connections.file.password=canary-3", "a b=canary-3", "pasword=canary-3", "policies.pii.salt=canary-3"):
        with pytest.raises(DefinitionError) as caught:
            resolve_environment(write(PROJECT), "dev", overrides=[override])
        assert "canary" not in caught.value.render()


LATER = """
[policies]
pii = { action = "redact" }
health = { action = "allow" }
[environments.dev]
engine = "embedded"
broker.listen = "127.0.0.1:9092"
receivers.operators.connector = "print"
embedded = { directory = "state", memory = "2 GiB", checkpoint_interval = "10 seconds" }
[environments.staging]
engine = "flink"
[environments.fine]
engine = "embedded"
policies.pii.action = "allow"
embedded.rejected_share_max = 0.5
"""


def test_what_this_version_does_not_do_is_named_one_by_one(write: Write) -> None:
    """With the line of each, the project's policy included; an environment without any of it runs."""
    project = write(LATER)
    found = unsupported(resolve_environment(project, "dev"))
    assert [(error.fact, error.place and error.place.line) for error in found] == [
        ("this version has no broker", 7),
        ('this version sends no alerts to receiver "operators"', 8),
        ('this version cannot redact columns with the tag "pii"', 3),
        ('the embedded engine has no "checkpoint_interval" in this version', 9),
        ('the embedded engine has no "memory" in this version', 9),
    ]
    with pytest.raises(UnsupportedByEngine, match="no broker"):
        refuse_unsupported(resolve_environment(project, "dev"))
    with pytest.raises(UnsupportedByEngine, match='runs on the engine "flink"'):
        refuse_unsupported(resolve_environment(project, "staging"))
    fine = resolve_environment(project, "fine")
    refuse_unsupported(fine)
    assert unsupported(fine) == ()


SHOWN = """
[environments.dev]
engine = "embedded"
topics = "kafka"
[environments.dev.connections.kafka]
connector = "kafka"
path = "{environment}/{name}"
servers = ["a:1", "b:2"]
user = "${env:KAFKA_USER}"
password = "${file:/run/secrets/{environment}}"
sasl_password = "canary-1"
url = "https://ann:canary-2@example.org/x"
properties = { "ssl.token" = "canary-3", "list.secret" = ["canary-4"], a = "${env:GROUP:-sensors}" }
bindings = {}
[environments.dev.bindings]
"""


def test_a_resolved_environment_is_shown_with_the_line_of_every_value(write: Write, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """References as written, literals under secret names masked, defaults and overrides marked."""
    monkeypatch.chdir(str(tmp_path))
    environment = resolve_environment(write(SHOWN), "dev", overrides=["connections.kafka.servers=['c:3']"])
    assert [(shown.key, shown.value, shown.origin) for shown in render_environment(environment)] == [
        ("engine", '"embedded"', "fluxline.toml:3:1"),
        ("topics", '"kafka"', "fluxline.toml:4:1"),
        ("embedded.directory", '".fluxline/dev"', "default"),
        ("embedded.rejected_share_max", "0.5", "default"),
        ("connections.kafka.connector", '"kafka"', "fluxline.toml:6:1"),
        ("connections.kafka.path", '"dev/{name}"', "fluxline.toml:7:1"),
        ("connections.kafka.servers", '["c:3"]', "--set"),
        ("connections.kafka.user", '"${env:KAFKA_USER}"', "fluxline.toml:9:1"),
        ("connections.kafka.password", '"${file:/run/secrets/dev}"', "fluxline.toml:10:1"),
        ("connections.kafka.sasl_password", '"***"', "fluxline.toml:11:1"),
        ("connections.kafka.url", '"https://***@example.org/x"', "fluxline.toml:12:1"),
        ('connections.kafka.properties."ssl.token"', '"***"', "fluxline.toml:13:16"),
        ('connections.kafka.properties."list.secret"', '["***"]', "fluxline.toml:13:42"),
        ("connections.kafka.properties.a", '"${env:GROUP:-sensors}"', "fluxline.toml:13:72"),
    ]


def test_nothing_of_the_file_s_values_is_in_a_repr(write: Write) -> None:
    """A literal that should have been a reference reaches no log this way."""
    project = write(SHOWN)
    environment = resolve_environment(project, "dev")
    binding = binding_for(environment, "alerts", keyed=False)
    assert binding.options["sasl_password"] == "canary-1"
    for thing in (project, environment, binding, environment.connections, environment.bindings):
        assert "canary" not in repr(thing)
