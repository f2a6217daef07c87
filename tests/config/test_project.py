"""Finding a project, choosing an environment, and what an environment inherits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluxline.config import choose_environment, find_project, load_project, require_project, resolve_environment
from fluxline.config_version import own_version, refuse_other_version
from fluxline.errors import ConfigError, NameNotFound

if TYPE_CHECKING:
    from tests.config.conftest import Write

MINIMAL = '[project]\nname = "{}"\n'


def test_the_nearest_file_upwards_is_the_project_s(tmp_path: Path) -> None:
    """From a file, a folder and a path that is not there yet."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "fluxline.toml").write_text(MINIMAL.format("outer"))
    (tmp_path / "fluxline.toml").write_text(MINIMAL.format("top"))
    pipeline = inner / "pipeline.py"
    pipeline.touch()
    found = [find_project(start) for start in (pipeline, inner, inner / "new" / "file.py", tmp_path / "outer", tmp_path)]
    assert [project.name if project else None for project in found] == ["outer", "outer", "outer", "outer", "top"]
    assert found[0] is not None
    assert found[0].directory == (tmp_path / "outer").resolve()


def test_a_folder_of_that_name_is_no_project(tmp_path: Path) -> None:
    """The search goes on above it."""
    (tmp_path / "fluxline.toml").write_text(MINIMAL.format("top"))
    (tmp_path / "inner" / "fluxline.toml").mkdir(parents=True)
    found = find_project(tmp_path / "inner")
    assert found is not None
    assert found.name == "top"


def test_without_a_project_the_error_says_how_to_begin(tmp_path: Path) -> None:
    """Nothing is found from a folder that has none above it."""
    assert not any((folder / "fluxline.toml").exists() for folder in tmp_path.parents)
    assert find_project(tmp_path) is None
    with pytest.raises(ConfigError) as caught:
        require_project(tmp_path)
    assert caught.value.code == "FLX-1001"
    assert caught.value.fact == "no fluxline.toml here or above"
    assert "fluxline new" in caught.value.hint


def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    """And no traceback."""
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_project(tmp_path / "fluxline.toml")
    assert (caught.value.code, caught.value.detail) == ("FLX-1001", "No such file or directory.")


def test_a_snippet_shows_the_file_as_it_is_now(tmp_path: Path) -> None:
    """Also in a process that reads it again after an edit."""
    path = tmp_path / "fluxline.toml"
    path.write_text('[project]\nnam = "first"\n')
    with pytest.raises(NameNotFound) as first:
        load_project(path)
    assert 'nam = "first"' in first.value.render()
    path.write_text('[project]\n\nname_ = "the second"\n')
    with pytest.raises(NameNotFound) as second:
        load_project(path)
    assert '    3 |  name_ = "the second"\n' in second.value.render()


def test_the_project_s_own_keys(write: Write) -> None:
    """As they stand in the file."""
    project = write(
        '[project]\nname = "sensors"\nrequires = ">=0.3"\npipelines = ["a.py", "b/*.sql"]\ndefault_environment = "dev"\n'
        '[environments.base]\nabstract = true\n[environments.dev]\nextends = "base"\nengine = "embedded"\n[environments.other]\nengine = "flink"\n'
    )
    assert (project.name, project.requires, project.pipelines, project.default_environment) == ("sensors", ">=0.3", ("a.py", "b/*.sql"), "dev")
    assert project.environments == ("base", "dev", "other")
    assert project.abstract == {"base"}  # and not dev, which extends it
    assert project.runnable == ("dev", "other")


ENVIRONMENTS = '[environments.dev]\nengine = "embedded"\n[environments.other]\nengine = "embedded"\n[environments.third]\nengine = "embedded"\n'


@pytest.mark.parametrize(
    ("named", "variable", "chosen"),
    [("other", "third", "other"), (None, "third", "third"), (None, "", "dev"), (None, None, "dev")],
)
def test_who_chooses_the_environment(write: Write, named: str | None, variable: str | None, chosen: str) -> None:
    """The name that is given, else FLUXLINE_ENV, else the file."""
    project = write(f'[project]\nname = "sensors"\ndefault_environment = "dev"\n{ENVIRONMENTS}')
    variables = {} if variable is None else {"FLUXLINE_ENV": variable}
    assert choose_environment(project, named, variables=variables) == chosen
    assert resolve_environment(project, named, variables=variables).name == chosen


def test_the_process_s_own_variable_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no variables are handed in."""
    project = write(ENVIRONMENTS)
    monkeypatch.setenv("FLUXLINE_ENV", "third")
    assert choose_environment(project) == "third"


def test_an_unknown_name_in_the_variable_is_blamed_on_it(write: Write) -> None:
    """Nobody looks into the environment variables by himself."""
    with pytest.raises(NameNotFound) as caught:
        choose_environment(write(ENVIRONMENTS), variables={"FLUXLINE_ENV": "othr"})
    assert caught.value.detail == "FLUXLINE_ENV names it. The file has dev, other, third."
    assert caught.value.hint == 'Did you mean "other"?'


def test_an_unknown_default_is_found_when_the_file_is_loaded(write: Write) -> None:
    """At its own line."""
    with pytest.raises(NameNotFound, match='no environment "dve"') as caught:
        write(f'[project]\nname = "sensors"\ndefault_environment = "dve"\n{ENVIRONMENTS}')
    assert caught.value.place is not None
    assert (caught.value.place.line, caught.value.place.column) == (3, 1)


CHAIN = """
[policies]
pii = { action = "hash", salt = "${env:SALT}" }
[environments.dev]
extends = "base"
unset = ["connections.files.format_options.strict", 'bindings."a.b"']
topics = "more"
embedded.rejected_share_max = 1
connections.files = { path = "dev/{name}", hosts = ["c"] }
connections.more.connector = "print"
policies.pii.action = "allow"
[environments.base]
abstract = true
extends = "root"
tables = "store"
connections.files.format = "csv"
[environments.root]
engine = "embedded"
topics = "files"
embedded = { directory = "state/{environment}", rejected_share_max = 0.25 }
connections.files = { connector = "filesystem", path = "root/{name}", hosts = ["a", "b"], format = "json", format_options = { strict = true, x = 1 } }
connections.store = { connector = "store", path = "s" }
bindings."a.b" = { path = "x" }
bindings.c = { path = "y" }
"""


def test_tables_merge_and_everything_else_replaces(write: Write, tmp_path: Path) -> None:
    """Three environments in a row, whatever their order in the file."""
    environment = resolve_environment(write(CHAIN), "dev")
    assert (environment.engine, environment.topics, environment.tables) == ("embedded", "more", "store")
    assert environment.embedded.directory == tmp_path.resolve() / "state" / "dev"
    assert environment.embedded.rejected_share_max == 1.0
    assert environment.connections["files"].table.values == {
        "connector": "filesystem",
        "path": "dev/{name}",
        "hosts": ["c"],
        "format": "csv",
        "format_options": {"x": 1},
    }
    assert {name: connection.connector for name, connection in environment.connections.items()} == {
        "files": "filesystem", "store": "store", "more": "print",
    }  # fmt: skip
    assert {name: table.values for name, table in environment.bindings.items()} == {"c": {"path": "y"}}
    assert environment.settings.table("policies").values == {"pii": {"action": "allow", "salt": "${env:SALT}"}}


def test_every_value_keeps_the_line_that_it_came_from(write: Write) -> None:
    """Counted in the text above, whose first line is empty."""
    settings = resolve_environment(write(CHAIN), "dev").settings
    lines = {
        ("engine",): 18, ("topics",): 7, ("tables",): 15, ("embedded", "directory"): 20, ("embedded", "rejected_share_max"): 8,
        ("connections", "files", "connector"): 21, ("connections", "files", "path"): 9, ("connections", "files", "hosts"): 9,
        ("connections", "files", "hosts", 0): 9, ("connections", "files", "format"): 16, ("connections", "files", "format_options", "x"): 21,
        ("bindings", "c"): 24, ("policies", "pii", "salt"): 3, ("policies", "pii", "action"): 11,
    }  # fmt: skip
    found = {path: place.line for path in lines if (place := settings.places[path]) is not None}
    assert found == lines
    gone = [
        ("connections", "files", "hosts", 1),
        ("connections", "files", "format_options", "strict"),
        ("bindings", "a.b"),
        ("bindings", "a.b", "path"),
    ]
    assert not any(path in settings.places for path in gone)
    assert not any(key in settings.values for key in ("extends", "abstract", "unset"))


def test_four_environments_in_a_row_are_allowed(write: Write) -> None:
    """The fifth is a golden file."""
    text = '[environments]\na = { engine = "embedded" }\nb = { extends = "a" }\nc = { extends = "b" }\nd = { extends = "c" }\n'
    assert resolve_environment(write(text), "d").engine == "embedded"


def test_another_environment_s_future_does_not_hold_this_one_back(write: Write) -> None:
    """What one environment asks for and refers to is its own matter."""
    project = write(
        '[environments.dev]\nengine = "embedded"\n[environments.later]\nengine = "flink"\ntopics = "nowhere"\nreceivers.ops.connector = "slack"\n'
    )
    assert resolve_environment(project, "dev").name == "dev"
    with pytest.raises(NameNotFound):
        resolve_environment(project, "later")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", '[environments.dev] needs the key "engine"'),
        ('engine = "embedded"\nconnections.a.path = "x"', '[environments.dev.connections.a] needs the key "connector"'),
        ('engine = "embedded"\nreceivers.a.url = "x"', '[environments.dev.receivers.a] needs the key "connector"'),
        ('engine = "embedded"\npolicies.a.salt = "${env:SALT}"', '[environments.dev.policies.a] needs the key "action"'),
        ('engine = "embedded"\nembedded.directory = "${env:DATA}"', '"embedded.directory" takes no reference'),
        ('engine = "embedded"\nembedded.directory = "{name}"', 'no placeholder "{name}"'),
        ('engine = "flink"\nembedded.directory = "x"', '[environments.dev] has "embedded"'),
        ('engine = "flink"\nbroker.listen = "x"', '[environments.dev] has "broker"'),
        ('engine = "embedded"\ntables = "x"', 'no connection "x"'),
        ('engine = "embedded"\nbindings.a.connection = "x"', 'no connection "x"'),
    ],
)
def test_what_an_environment_needs(write: Write, text: str, fact: str) -> None:
    """Found when it is resolved, with a place in the file."""
    project = write(f"[environments.dev]\n{text}")
    with pytest.raises((ConfigError, NameNotFound)) as caught:
        resolve_environment(project, "dev")
    assert caught.value.fact == fact
    assert caught.value.place is not None


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("topics = 3", '"topics" of [environments.dev] takes text, not a whole number'),
        ("topics = 2020-01-01", '"topics" of [environments.dev] takes text, not a date or time'),
        ('abstract = "yes"', '"abstract" of [environments.dev] takes true or false, not text'),
        ("flink.parallelism = true", '"parallelism" of [environments.dev.flink] takes a whole number, not true or false'),
        ("flink.parallelism = 0", '"parallelism" of [environments.dev.flink] cannot be 0'),
        ('embedded.checkpoint_interval = "ten"', "\"checkpoint_interval\" is no duration: 'ten'"),
        ("embedded.rejected_share_max = nan", '"rejected_share_max" of [environments.dev.embedded] cannot be nan'),
        ('embedded.directory = " "', '"directory" of [environments.dev.embedded] cannot be " "'),
        ("unset = [1]", '"unset" of [environments.dev] takes a list of texts, not a list'),
        ('unset = ["a b"]', "\"unset\" of [environments.dev] cannot be ['a b']"),
        ("connections = []", '"connections" of [environments.dev] takes tables, not a list'),
        ('connections."my files".connector = "x"', '"my files" of [environments.dev.connections] is no name'),
        ('connections.files.format = "j son"', '"format" of [environments.dev.connections.files] cannot be "j son"'),
        ('connections.files.delivery_guarantee = "once"', '"delivery_guarantee" of [environments.dev.connections.files] cannot be "once"'),
        ("connections.files.format_options = 1", '"format_options" of [environments.dev.connections.files] takes a table, not a whole number'),
        ('policies.pii = "hash"', '"pii" of [environments.dev.policies] takes a table, not text'),
        ('policies.pii.action = "burn"', '"action" of [environments.dev.policies.pii] cannot be "burn"'),
        ('policies.pii.salt = "${env:SALT:-x}"', '"salt" of [environments.dev.policies.pii] cannot be a literal'),
        ("receivers.ops = 1.5", '"ops" of [environments.dev.receivers] takes a table, not a number'),
    ],
)
def test_what_a_key_takes(write: Write, line: str, fact: str) -> None:
    """Found when the file is loaded, whichever environment is going to run."""
    with pytest.raises(ConfigError) as caught:
        write(f"[environments.dev]\n{line}\n[environments.other]\n")
    assert caught.value.fact == fact
    assert caught.value.place is not None
    assert caught.value.place.line == 2


@pytest.mark.parametrize(
    ("requires", "version", "holds"),
    [
        (">=0.3,<0.4", "0.3.0", True),
        (">=0.3,<0.4", "0.4.0", False),
        (">=0.3 , <0.4", "0.3.17", True),
        (">0.3", "0.3.0", False),
        (">0.3", "0.3.0.1", True),
        ("==0.3", "0.3.0", True),
        ("==0.3", "0.3.1", False),
        ("!=0.3.0", "0.3", False),
        ("<=0.10", "0.9", True),
        ("<0.10", "0.9.9", True),
        ("~=0.3.1", "0.3.9", True),
        ("~=0.3.1", "0.3.0", False),
        ("~=0.3.1", "0.4.0", False),
        ("~=0.3", "0.9", True),
        ("~=0.3", "1.0", False),
        ("~=0.3.0", "0.3", True),
        ("~=1.0.0", "1", True),
        (">=0.3", "0.3.0rc1", True),
        ("<0.4", "0.4.0.dev3", False),
    ],
)
def test_versions_compare_as_dotted_numbers(requires: str, version: str, holds: bool) -> None:
    """Missing numbers are zeros; what stands behind the numbers does not count."""
    if holds:
        refuse_other_version(requires, version, None)
        return
    with pytest.raises(ConfigError) as caught:
        refuse_other_version(requires, version, None)
    assert caught.value.code == "FLX-1010"


@pytest.mark.parametrize("requires", ["0.3", "=0.3", "===0.3", "^0.3", "==0.3.*", ">=0.3,", ">=0.3rc1", ">=v1", ">= ", ">=0.3;<1", "~=1"])
def test_what_is_no_condition(requires: str) -> None:
    """Refused, not understood by half."""
    with pytest.raises(ConfigError) as caught:
        refuse_other_version(requires, "0.3", None)
    assert caught.value.code == "FLX-1005"


def test_the_running_version_counts_where_none_is_given(tmp_path: Path) -> None:
    """The one that is installed."""
    path = tmp_path / "fluxline.toml"
    path.write_text(f'[project]\nname = "x"\nrequires = "=={own_version()}"\n')
    assert load_project(path).requires == f"=={own_version()}"
    path.write_text(f'[project]\nname = "x"\nrequires = "!={own_version()}"\n')
    with pytest.raises(ConfigError, match="requires Fluxline"):
        load_project(path)


def test_importing_it_is_cheap() -> None:
    """The command line imports it before anything else: no TOML parser, no frames, no package metadata."""
    heavy = {"tomllib", "numpy", "polars", "duckdb", "importlib.metadata", "fluxline.connectors.base"}
    code = f"import sys, fluxline.config; print(sorted(set(sys.modules) & {heavy!r}))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
