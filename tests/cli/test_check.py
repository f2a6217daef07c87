"""`fluxline check` and `explain`: what can run, and every mistake with its place, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import golden, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

BROKEN = {
    "unknown_column": 'from fluxline import Pipeline, col\n\np = Pipeline("p")\nrows = p.source("rows", schema={"temperature": "DOUBLE"})\n'
    'rows.filter(col("temprature") > 25).sink("out")\n',
    "raises": 'print("reading")\nraise ValueError("no such luck")\n',
    "syntax": "from fluxline import Pipeline\n\np = Pipeline('p'\n",
    "leaves": "import sys\n\nsys.exit(3)\n",
    "no_pipeline": "x = 1\n",
    "runs_itself": 'from fluxline import Pipeline\n\np = Pipeline("p")\np.source("rows", schema={"a": "INT"}).sink("out")\np.run()\n',
}


def test_a_project_that_is_right(project: Path, command: Command) -> None:
    """Without a target it is the project of the current folder."""
    outcome = command("check")
    assert (outcome.code, outcome.out, outcome.err) == (0, "demo: can run in dev\n", "")
    assert command("check", "pipelines/demo.py") == command("check", ".") == outcome
    assert command("check", "-o", "json").data == {"pipelines": [{"name": "demo", "environments": ["dev"], "not_checked": []}], "errors": []}


def test_the_project_is_found_from_a_folder_below(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the project file is."""
    monkeypatch.chdir(project / "data")
    assert command("check").out == "demo: can run in dev\n"


def test_an_environment_on_flink_is_compiled(project: Path, command: Command) -> None:
    """What Flink cannot do there is refused by name, without asking a server."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('\n[environments.stack]\nengine = "flink"\ntopics = "files"\n')
        file.write('connections.files = { connector = "filesystem", path = "in/{name}/", format = "json" }\n')
    outcome = command("check")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("FLX-")


CONNECTED = """\
demo: can run in dev
  source readings at filesystem: 1 partition
  sink hourly_averages at store: not asked
  sink alerts at store: not asked
  sink late_readings at store: not asked
  sink rejected at store: not asked
"""


def test_connect_opens_what_the_environment_names(project: Path, command: Command) -> None:
    """A source shows its partitions; what has nothing to ask is not taken for asked, and nothing is made."""
    outcome = command("check", "--connect")
    assert (outcome.code, outcome.out, outcome.err) == (0, CONNECTED, "")
    (entry,) = command("check", "--connect", "-o", "json").data["pipelines"]
    assert entry["connected"][0] == {"name": "readings", "role": "source", "connector": "filesystem", "facts": ["1 partition"]}
    assert not (project / ".fluxline").exists()


def test_connect_tells_all_problems_at_once(project: Path, command: Command) -> None:
    """No file, no node: it is one problem though four tables would live there; a sink without the key that its connector needs is not asked."""
    text = (project / "fluxline.toml").read_text()
    node = '{ connector = "cassandra", contact_points = ["127.0.0.1"], port = 1, keyspace = "k" }'
    (project / "fluxline.toml").write_text(text.replace('{ connector = "store", path = ".fluxline/{environment}/tables.duckdb" }', node))
    outcome = command("check", "--connect", "--set", "bindings.readings.path=nowhere.ndjson")
    assert (outcome.code, outcome.out) == (1, "")
    codes = [line.split("  ")[0] for line in outcome.err.splitlines() if line.startswith("FLX")]
    assert codes == ["FLX-2152", "FLX-2152", "FLX-2152", "FLX-4201", "FLX-4751"]
    assert outcome.err.endswith("\n\n5 problems\n")


@pytest.mark.parametrize(
    ("option", "code", "reason"),
    [
        ("counters = true", "FLX-1106", "Adding to a counter is not idempotent"),
        ("lightweight_transactions = true", "FLX-1106", "A write with IF takes no timestamp of ours"),
        ('partition_key = ["mean"]', "FLX-1151", "the pipeline's key is (sensor_id, window_start)"),
        ('time_bucket = "1 day", clustering = ["sensor_id"]', "FLX-1158", "the first timestamp of the clustering columns, and they are (sensor_id)"),
    ],
)
def test_what_no_table_of_cassandra_can_be_is_refused_without_a_node(option: str, code: str, reason: str, project: Path, command: Command) -> None:
    """With the reason, before anything runs."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('\n[environments.far]\nextends = "dev"\ntables = "far"\n')
        file.write(f'connections.far = {{ connector = "cassandra", contact_points = ["c"], keyspace = "k", {option} }}\n')
    outcome = command("check", "--env", "far")
    assert (outcome.code, outcome.out, outcome.err.split("  ")[0]) == (2, "", code)
    assert reason in outcome.err


def test_connect_opens_the_secrets(project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check without it leaves them closed, for it may run where they are not."""
    text = (project / "fluxline.toml").read_text()
    node = '{ connector = "cassandra", contact_points = ["127.0.0.1"], port = 1, keyspace = "k", username = "u", password = "${env:CASS_PASSWORD}" }'
    (project / "fluxline.toml").write_text(text + f'\n[environments.far]\nextends = "dev"\ntables = "far"\nconnections.far = {node}\n')
    monkeypatch.delenv("CASS_PASSWORD", raising=False)
    assert command("check", "--env", "far").code == 0
    outcome = command("check", "--connect", "--env", "far")
    assert outcome.code == 2
    assert "CASS_PASSWORD" in outcome.err
    assert command("check", "--connect").code == 0


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_wrong(name: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the user's own line, and no frame of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text(BROKEN[name])
    outcome = command("check", "broken.py")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.removeprefix("reading\n") == golden(f"check_{name}.txt")


def test_several_mistakes_come_together(project: Path, command: Command) -> None:
    """Each with its place, then their number; the names that live nowhere are two here."""
    text = (project / "fluxline.toml").read_text()
    (project / "fluxline.toml").write_text(text.replace('topics = "files"', "").replace('alerts = { connection = "store" }', ""))
    outcome = command("check")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("FLX-1015") == 2
    assert 'FLX-1015  "readings" lives nowhere in environment "dev"' in outcome.err
    assert 'FLX-1015  "alerts" lives nowhere in environment "dev"' in outcome.err
    assert outcome.err.endswith("\n\n2 problems\n")
    as_json = command("check", "-o", "json")
    assert (as_json.code, as_json.err) == (2, outcome.err)
    assert [error["code"] for error in as_json.data["errors"]] == ["FLX-1015", "FLX-1015"]
    assert as_json.data["pipelines"] == []


def test_a_mistake_of_the_project_file_is_told_once(project: Path, command: Command) -> None:
    """Though it concerns both pipelines."""
    write_project(project, {"pipelines/other.py": BROKEN["unknown_column"].replace("temprature", "temperature")})
    (project / "fluxline.toml").write_text((project / "fluxline.toml").read_text().replace("engine =", "engnie ="))
    outcome = command("check")
    assert (outcome.code, outcome.err.count("FLX-1003")) == (2, 1)
    assert "problems" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["check", "--env", "prod"], 'FLX-1007  no environment "prod"'),
        (["check", "nowhere.py"], 'FLX-2160  there is no file or folder "nowhere.py"'),
        (["check", "no_such_module"], 'FLX-2160  there is no file, folder or module "no_such_module"'),
        (["check", "--pipeline", "demi"], 'FLX-2161  "." has no pipeline "demi"'),
        (["check", "--set", "embedded.rejected_share_max"], 'FLX-1021  "embedded.rejected_share_max" is no override'),
        (["explain", "--engine", "spark"], 'FLX-2190  there is no engine "spark"'),
        (["explain", "--env", "prod"], 'FLX-1007  no environment "prod"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_does_not_exist_is_refused_by_name(arguments: list[str], first: str, project: Path, command: Command) -> None:
    """Exit code 2: the definition, or what it is asked for."""
    outcome = command(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith(first), outcome.err


def test_a_module_is_found_where_the_user_stands(project: Path, command: Command) -> None:
    """As for `python -m`."""
    write_project(project, {"found_here.py": BROKEN["unknown_column"].replace("temprature", "temperature")})
    assert command("check", "found_here:p").out == "p: can run in dev\n"


def test_explain_shows_the_plan_and_its_guarantees(project: Path, command: Command) -> None:
    """Text for people, the plan for programs."""
    outcome = command("explain")
    assert (outcome.code, outcome.err) == (0, "")
    assert "sink hourly_averages" in outcome.out
    assert "readings -> alerts: " in outcome.out
    data = command("explain", "-o", "json").data
    assert [entry["name"] for entry in data["pipelines"]] == ["demo"]
    assert data["pipelines"][0]["text"] + "\n" == outcome.out
    kinds = {node["node"] for node in data["pipelines"][0]["plan"]["nodes"]}
    assert kinds >= {"Scan", "Filter", "Project", "WindowAggregate", "Late", "Rejected", "Sink"}
