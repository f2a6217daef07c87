"""`fluxline` has exactly the names that were decided; those that come later refuse by name."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import fluxline
from fluxline.errors import UnsupportedByEngine
from fluxline.pipeline.later import LATER as LATER_NAMES

CLASSES = ("Expr", "Job", "Ledger", "Pipeline", "Report", "Schema", "Sink", "Stream")
FUNCTIONS = ("coalesce", "col", "concat", "count", "lit", "tumble", "when")
ALIASES = ("Duration",)
MODULES = ("errors", "functions", "testing", "types")
PUBLIC = sorted((*CLASSES, *FUNCTIONS, *ALIASES, *MODULES))

LATER_CALLS = ("Lookup", "cumulate", "event", "hop", "session", "udf")
LATER_MODULES = ("charts", "metrics", "ml")


def test_all_is_what_was_decided() -> None:
    """A new name is a decision, made here too."""
    assert list(fluxline.__all__) == PUBLIC
    assert dir(fluxline) == PUBLIC


def test_a_type_checker_sees_the_same_names() -> None:
    """The imports for type checkers alone name what loads, from where it loads."""
    tree = ast.parse(Path(fluxline.__file__).read_text(encoding="utf-8"))
    seen: dict[str, str] = {}
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                assert isinstance(node, ast.ImportFrom) and node.module
                seen |= {alias.name: node.module for alias in node.names}
    assert sorted(seen) == PUBLIC
    for name, home in seen.items():
        assert getattr(import_module(home), name) is getattr(fluxline, name), name


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_loads(name: str) -> None:
    """As the kind of thing that it is."""
    value = getattr(fluxline, name)
    if name in MODULES:
        assert isinstance(value, ModuleType) and value.__name__ == f"fluxline.{name}"
    elif name in CLASSES:
        assert isinstance(value, type) and value.__name__ == name
    elif name in FUNCTIONS:
        assert callable(value) and value.__name__ == name
    assert getattr(fluxline, name) is value
    assert value.__doc__


@pytest.mark.parametrize("name", ["Context", "KafkaSource", "Pipelin", "Table", "avg", "max", "min", "seconds", "sum"])
def test_other_names_are_unknown(name: str) -> None:
    """Names that were refused for good, and misspelt ones."""
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(fluxline, name)


def test_names_that_come_later_are_these() -> None:
    """Each is decided and in the table of what is refused; none is public yet."""
    top_level = {name for name in LATER_NAMES if name.isidentifier()}
    assert top_level == {*LATER_CALLS, *LATER_MODULES}
    assert top_level.isdisjoint(PUBLIC)


@pytest.mark.parametrize("name", LATER_CALLS)
def test_a_call_that_comes_later_is_refused(name: str) -> None:
    """By its name, at the caller's line."""
    waiting = getattr(fluxline, name)
    with pytest.raises(UnsupportedByEngine) as refused:
        waiting("1 hour", size="1 hour")
    _is_refusal(refused.value, name)


@pytest.mark.parametrize("name", [*LATER_MODULES, "udf"])
def test_what_a_later_module_holds_is_refused(name: str) -> None:
    """`fluxline.ml.onnx(...)` says that `ml` comes later."""
    waiting = getattr(fluxline, name)
    with pytest.raises(UnsupportedByEngine) as refused:
        waiting.anything("models/fraud.onnx")
    _is_refusal(refused.value, name)


def _is_refusal(error: UnsupportedByEngine, name: str) -> None:
    assert error.code == "FLX-2190"
    assert f"{name} is not part of this version" in str(error)
    assert error.detail == LATER_NAMES[name]
    assert error.place is not None and Path(error.place.file) == Path(__file__)


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_the_names_that_they_list(module: str) -> None:
    """`__all__` of a public module lists names that are there, once."""
    found = import_module(f"fluxline.{module}")
    listed = getattr(found, "__all__", None) or [name for name in vars(found) if not name.startswith("_")]
    assert listed
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not hasattr(found, name)] == []
