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


def test_an_environment_of_another_engine_is_named(project: Path, command: Command) -> None:
    """What was not checked must not look as if it was."""
    with (project / "fluxline.toml").open("a") as file:
        file.write('\n[environments.staging]\nengine = "flink"\n')
    outcome = command("check")
    assert (outcome.code, outcome.out) == (0, "demo: can run in dev; of another engine, and not checked: staging\n")
    refused = command("check", "--env", "staging")
    assert (refused.code, refused.err.splitlines()[0].split("  ")[:2]) == (2, ["FLX-1020", 'the engine "flink" cannot run in this version'])


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
        (["explain", "--engine", "flink"], 'FLX-2190  explaining a plan for the engine "flink" is not part of this version'),
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
