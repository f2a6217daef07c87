"""What `fluxline run` is given, to pipelines: a file, a folder, a module, one name of several, and everything that goes wrong on the way."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from fluxline.errors import ConfigError, DefinitionError, FluxlineError
from fluxline.pipeline.discovery import choose_pipeline, find_pipelines, importing

ONE = 'from fluxline import Pipeline\n\nshop = Pipeline("shop")\nshop.source("orders", schema={"id": "INT"}).sink("stored")\n'
TWO = 'from fluxline import Pipeline\n\nfirst, second = Pipeline("first"), Pipeline("second")\nsame = first\n'
PROJECT = '[project]\nname = "p"\npipelines = [PATTERNS]\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    """Write Python files, `__` in a name for a folder."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(target: str) -> list[str]:
    """The names of the pipelines of a target."""
    return [pipeline.name for pipeline in find_pipelines(target)]


def refused(code: str, target: str) -> FluxlineError:
    """What is told instead."""
    with pytest.raises(FluxlineError) as caught:
        find_pipelines(target)
    assert caught.value.code == code
    return caught.value


def test_the_pipelines_among_a_file_s_globals(folder: Path) -> None:
    """Each once, in the order of their definition."""
    write(folder, shop=ONE, two=TWO)
    assert names("shop.py") == ["shop"]
    assert names(str(folder / "two.py")) == ["first", "second"]


def test_a_folder_without_a_project_gives_its_files(folder: Path) -> None:
    """In name order; tests are none of them."""
    write(folder, b=ONE, a=TWO, test_a="raise SystemExit", conftest="raise SystemExit")
    assert names(".") == ["first", "second", "shop"]


def test_a_project_lists_its_pipelines(folder: Path) -> None:
    """By patterns, from the project's folder."""
    write(folder, pipelines__shop=ONE, pipelines__two=TWO, other="raise SystemExit")
    (folder / "fluxline.toml").write_text(PROJECT.replace("PATTERNS", '"pipelines/*.py"'), encoding="utf-8")
    assert names(".") == ["shop", "first", "second"]
    (folder / "fluxline.toml").write_text(PROJECT.replace("PATTERNS", '"pipelines/two.py"'), encoding="utf-8")
    assert names(str(folder)) == ["first", "second"]


def test_a_module_and_one_of_its_pipelines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python imports it."""
    write(folder, discovered__inner=TWO, discovered____init="")
    monkeypatch.syspath_prepend(folder)
    assert names("discovered.inner") == ["first", "second"]
    assert names("discovered.inner:second") == ["second"]
    write(folder, two=TWO)
    assert names("two.py:first") == ["first"]


def test_modules_beside_the_file_are_found_while_it_is_read(folder: Path) -> None:
    """And the path is as before afterwards."""
    write(folder, sub__pieces=ONE, sub__main="from pieces import shop\n")
    before = list(sys.path)
    assert names("sub/main.py") == ["shop"]
    assert sys.path == before
    sys.modules.pop("pieces", None)


def test_two_files_of_one_name_are_two_modules(folder: Path) -> None:
    """Neither hides the other."""
    write(folder, a__shop=ONE, b__shop=ONE.replace('"shop"', '"other"'))
    assert names("a/shop.py") + names("b/shop.py") == ["shop", "other"]


def test_choosing_one(folder: Path) -> None:
    """One runs; of several one has to be chosen."""
    write(folder, shop=ONE, two=TWO)
    assert choose_pipeline("shop.py").name == "shop"
    assert choose_pipeline("two.py", "second").name == "second"
    with pytest.raises(DefinitionError) as caught:
        choose_pipeline("two.py")
    assert (caught.value.code, caught.value.fact) == ("FLX-2164", '"two.py" has several pipelines: first, second')
    with pytest.raises(DefinitionError) as caught:
        choose_pipeline("two.py", "secnd")
    assert (caught.value.code, caught.value.detail, caught.value.hint) == ("FLX-2161", "It has first, second.", 'Did you mean "second"?')


def test_what_is_not_there(folder: Path) -> None:
    """A file, a folder, a module, a pipeline of a file, a file that a project lists."""
    write(folder, shop=ONE)
    assert refused("FLX-2160", "shpo.py").hint == 'Did you mean "shop.py"?'
    refused("FLX-2160", "nowhere/")
    assert "MODULE:NAME" in refused("FLX-2160", "no_such_module_anywhere").hint
    refused("FLX-2160", "no_such_module_anywhere.inner:shop")
    assert refused("FLX-2161", "shop.py:shp").hint == 'Did you mean "shop"?'
    (folder / "fluxline.toml").write_text(PROJECT.replace("PATTERNS", '"pipelines.py"'), encoding="utf-8")
    assert refused("FLX-2160", ".").detail == "fluxline.toml lists it under pipelines."


def test_an_empty_folder_and_a_pattern_without_files(folder: Path) -> None:
    """No pipeline at all."""
    refused("FLX-2163", ".")
    (folder / "fluxline.toml").write_text(PROJECT.replace("PATTERNS", '"pipelines/*.py"'), encoding="utf-8")
    refused("FLX-2163", ".")


def test_pipelines_in_sql_come_later(folder: Path) -> None:
    """Refused by name, not read as Python."""
    (folder / "shop.sql").write_text("SELECT 1", encoding="utf-8")
    (folder / "fluxline.toml").write_text(PROJECT.replace("PATTERNS", '"*.sql"'), encoding="utf-8")
    assert "shop.sql" in refused("FLX-2190", ".").fact


def test_a_project_file_with_a_mistake(folder: Path) -> None:
    """Is the project file's error, not the folder's."""
    write(folder, shop=ONE)
    (folder / "fluxline.toml").write_text("[project\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        find_pipelines(".")


@pytest.mark.parametrize(
    ("text", "line", "detail"),
    [
        ("x = 1\nx.y\n", 2, "'int' object has no attribute 'y'."),
        ("import no_such_module_anywhere\n", 1, "No module named 'no_such_module_anywhere'."),
        ("def f():\n    return 1 / 0\n\n\nf()\n", 2, "division by zero."),
        ("x = (\n", 1, "'(' was never closed (broken.py, line 1)."),
        ("raise ValueError\n", 1, "."),
    ],
)
def test_a_file_that_does_not_import(folder: Path, text: str, line: int, detail: str) -> None:
    """With the innermost line of the file itself; no module is left behind, and the next file is read as if nothing had been."""
    write(folder, broken=text, shop=ONE)
    before = set(sys.modules)
    error = refused("FLX-2162", "broken.py")
    assert error.place is not None
    assert (Path(error.place.file).name, error.place.line, error.detail) == ("broken.py", line, detail)
    assert not {name for name in set(sys.modules) - before if "broken" in name}
    assert not importing()
    assert names("shop.py") == ["shop"]


def test_a_module_that_does_not_import(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it imports in vain is not mistaken for itself."""
    write(folder, discovered_broken="import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(folder)
    assert refused("FLX-2162", "discovered_broken").detail == "No module named 'no_such_module_anywhere'."


def test_a_mistake_in_a_definition_keeps_its_own_code(folder: Path) -> None:
    """It is the better message."""
    write(folder, shop=ONE + 'shop.source("x", schema={"id": "INTT"})\n')
    error = refused("FLX-2111", "shop.py")
    assert error.place is not None
    assert error.place.line == 5


@pytest.mark.parametrize("verb", ["run()", "start()"])
def test_a_pipeline_does_not_run_while_its_file_is_read(folder: Path, verb: str) -> None:
    """Whoever looks at a file would start it."""
    write(folder, shop=f"{ONE}shop.{verb}\n")
    error = refused("FLX-2144", "shop.py")
    assert error.hint == 'Put it under: if __name__ == "__main__":'
    assert error.place is not None
    assert error.place.line == 5


def test_a_run_under_main_is_not_reached(folder: Path) -> None:
    """The module has another name."""
    write(folder, shop=ONE + 'if __name__ == "__main__":\n    shop.run()\n')
    assert names("shop.py") == ["shop"]


def test_reading_in_one_thread_does_not_stop_another(folder: Path) -> None:
    """The flag is the thread's own."""
    write(folder, shop=ONE)
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(importing()))
    find_pipelines("shop.py")
    thread.start()
    thread.join()
    assert seen == [False]
    assert not importing()
