"""Signatures are what was decided: parameters, kinds, defaults and types of everything public, and no method more.

`PUBLIC` is the design's list, as far as it is built. A parameter, a default or a type that changes has to change here too.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import fluxline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PUBLIC = """
Duration: TypeAlias = str | timedelta
class Pipeline:
    def __init__(self, name: str, *, description: str = "") -> None: ...
    def source(self, name: str, *, schema: _Schema, event_time: _Column | None = None, watermark: Duration = "0 seconds",
               idle_after: Duration | None = "1 minute", max_future_skew: Duration | None = "1 day",
               lateness: Literal["partition", "operator"] = "partition", key: _Columns | None = None) -> Stream: ...
    def check(self, *, env: str | None = None) -> None: ...
    def explain(self, *, env: str | None = None, engine: Literal["embedded", "flink"] | None = None) -> str: ...
    def run(self, *, env: str | None = None, bounded: bool = False) -> Report: ...
    def start(self, *, env: str | None = None) -> Job: ...
    def submit(self, *, env: str | None = None, bounded: bool = False) -> SubmittedJob: ...
class Stream:
    schema: Mapping[str, str]
    key: tuple[str, ...] | None
    updating: bool
    late: Stream
    rejected: Stream
    def filter(self, *predicates: Expr) -> Stream: ...
    def select(self, *columns: _Column, **named: _Value) -> Stream: ...
    def with_columns(self, *columns: Expr, **named: _Value) -> Stream: ...
    def drop(self, *columns: str) -> Stream: ...
    def rename(self, mapping: Mapping[str, str]) -> Stream: ...
    def union_all(self, *others: Stream) -> Stream: ...
    def window(self, window: Window) -> Stream: ...
    def unwindow(self) -> Stream: ...
    def group_by(self, *keys: _Column, ttl: _TTL | None = None) -> GroupBy: ...
    def agg(self, *measures: Expr, **named: Expr) -> Stream: ...
    def map_batches(self, function: Callable[[pl.DataFrame], pl.DataFrame], *, schema: _Schema,
                    on_error: Literal["reject", "fail"] = "reject") -> Stream: ...
    def expect(self, *, on_failure: Literal["reject", "count", "fail"] = "reject", **rules: Expr) -> Stream: ...
    def named(self, name: str) -> Stream: ...
    def pipe(self, function: Callable[Concatenate[Stream, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def sink(self, name: str, *, key: _Columns | None = None, schema: _Schema | None = None) -> Sink: ...
    def collect(self, *, env: str | None = None, inputs: _Inputs | None = None, rows_max: int | None = None,
                within: Duration | None = None, changelog: bool = False) -> pl.DataFrame: ...
    def explain(self) -> str: ...
class Expr:
    def alias(self, name: str) -> Expr: ...
    def cast(self, type: object) -> Expr: ...
    def try_cast(self, type: object) -> Expr: ...
    def filter(self, predicate: Expr) -> Expr: ...
class Sink:
    name: str
    key: tuple[str, ...] | None
class Schema:
    def from_file(path: Path | str, *, type: str | None = None) -> type[Schema]: ...
class Job:
    def wait(self, *, timeout: Duration | None = None) -> Report: ...
    def stop(self, *, savepoint: Path | str | None = None) -> Report: ...
    def cancel(self) -> None: ...
class Ledger:
    read: int
    used: int
    filtered: int
    late: int
    rejected: int
    held: int
    written: int
class Report:
    operators: Mapping[str, Ledger]
    read: int
    late: int
    rejected: int
    written: Mapping[str, int]
def col(name: str) -> Expr: ...
def lit(value: _Value) -> Expr: ...
def when(condition: Expr) -> When: ...
def count() -> Expr: ...
def coalesce(*values: _Value) -> Expr: ...
def concat(*parts: _Value) -> Expr: ...
def tumble(size: Duration, *, offset: Duration | None = None, time: _Time = "event") -> Window: ...
"""

# What the list's short names stand for, and those of the code.
SHORT = {
    "Duration": "str | timedelta",
    "_Column": "str | Expr",
    "ColumnLike": "str | Expr",
    "_Columns": "str | Expr | Sequence[str | Expr]",
    "ColumnsLike": "str | Expr | Sequence[str | Expr]",
    "_Value": "Expr | bool | int | float | str | bytes | Decimal | date | time | timedelta | None",
    "Value": "Expr | bool | int | float | str | bytes | Decimal | date | time | timedelta | None",
    "_Schema": "type[Schema] | Mapping[str, str]",
    "_TTL": "str | timedelta",
    "_Time": "Literal['event', 'processing']",
    "_Inputs": "Mapping[Stream, pl.DataFrame | Path | str]",
    "P": "Parameters",
    "R": "Result",
    "Text": "str",
    "dict": "Mapping",
}
NOT_LISTED = {"Pipeline": {"name", "description"}, "Job": {"report", "finished"}}  # attributes that every use of the class needs


@cache
def listed() -> dict[str, ast.stmt]:
    """The top-level names of the list."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(PUBLIC).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        else:
            assert isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            found[node.target.id] = node
    return found


def methods() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function of the list, by its dotted name."""
    for name, node in listed().items():
        if isinstance(node, ast.FunctionDef):
            yield name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{name}.{item.name}", item) for item in node.body if isinstance(item, ast.FunctionDef))


def attributes() -> Iterator[tuple[str, str]]:
    """Every attribute of the list, by its dotted name, with its type."""
    for name, node in listed().items():
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign):
                    yield f"{name}.{ast.unparse(item.target)}", ast.unparse(item.annotation)


def plain(annotation: str) -> object:
    """A type in a form in which equal ones are equal: short names written out, the members of a union as a set."""
    return _plain(ast.parse(annotation, mode="eval").body)


def _plain(node: ast.expr) -> object:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return plain(node.value)
    if isinstance(node, ast.BinOp):
        members: set[object] = set()
        for side in (_plain(node.left), _plain(node.right)):
            members |= side if isinstance(side, frozenset) else {side}
        return frozenset(members)
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        inside = tuple(ast.unparse(part) if ast.unparse(node.value) == "Literal" else _plain(part) for part in parts)
        return (_plain(node.value), *inside)
    if isinstance(node, ast.List):
        return tuple(_plain(part) for part in node.elts)
    if isinstance(node, ast.Attribute):
        return (_plain(node.value), node.attr)
    if isinstance(node, ast.Name) and node.id in SHORT:
        return plain(SHORT[node.id])
    return ast.unparse(node)


def found(dotted: str) -> Any:
    """What a dotted name is in the package."""
    owner: Any = fluxline
    for part in dotted.split("."):
        owner = inspect.getattr_static(owner, part) if inspect.isclass(owner) else getattr(owner, part)
    return owner.__func__ if isinstance(owner, staticmethod) else owner


@pytest.mark.parametrize(("dotted", "node"), [pytest.param(*item, id=item[0]) for item in methods()])
def test_a_signature_is_as_decided(dotted: str, node: ast.FunctionDef) -> None:
    """Names, kinds, defaults and types of the parameters, and what comes back."""
    function: Callable[..., object] = found(dotted)
    signature = inspect.signature(function)
    arguments = node.args
    wanted = [*arguments.args, *([arguments.vararg] if arguments.vararg else []), *arguments.kwonlyargs]
    wanted += [arguments.kwarg] if arguments.kwarg else []
    assert list(signature.parameters) == [argument.arg for argument in wanted]
    kinds, defaults = _kinds(arguments), _defaults(arguments)
    for argument in wanted:
        parameter = signature.parameters[argument.arg]
        assert parameter.kind == kinds[argument.arg], argument.arg
        assert parameter.default == defaults.get(argument.arg, inspect.Parameter.empty), argument.arg
        if argument.annotation is not None:
            assert plain(str(parameter.annotation)) == plain(ast.unparse(argument.annotation)), argument.arg
    assert node.returns is not None
    assert plain(str(signature.return_annotation)) == plain(ast.unparse(node.returns))


def _kinds(arguments: ast.arguments) -> dict[str, Any]:
    kinds: dict[str, Any] = {argument.arg: inspect.Parameter.POSITIONAL_OR_KEYWORD for argument in arguments.args}
    kinds |= {argument.arg: inspect.Parameter.KEYWORD_ONLY for argument in arguments.kwonlyargs}
    if arguments.vararg:
        kinds[arguments.vararg.arg] = inspect.Parameter.VAR_POSITIONAL
    if arguments.kwarg:
        kinds[arguments.kwarg.arg] = inspect.Parameter.VAR_KEYWORD
    return kinds


def _defaults(arguments: ast.arguments) -> dict[str, object]:
    behind = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    pairs = [*zip(behind, arguments.defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return {argument.arg: ast.literal_eval(default) for argument, default in pairs if default is not None}


@pytest.mark.parametrize(("dotted", "kind"), list(attributes()))
def test_an_attribute_is_as_decided(dotted: str, kind: str) -> None:
    """A property, or a field of a dataclass; of its type."""
    owner, _, name = dotted.partition(".")
    item = vars(found(owner)).get(name)
    if isinstance(item, property):
        assert item.fget is not None
        declared = str(inspect.signature(item.fget).return_annotation)
    else:
        declared = str(inspect.get_annotations(found(owner))[name])
    assert plain(declared) == plain(kind)


def test_the_list_has_every_public_name() -> None:
    """Modules apart."""
    assert set(fluxline.__all__) == {*listed(), *fluxline._MODULES}


@pytest.mark.parametrize("name", ["Pipeline", "Stream", "Sink", "Job"])
def test_a_class_has_no_other_public_name(name: str) -> None:
    """A method that nobody decided would be promised all the same."""
    node = listed()[name]
    assert isinstance(node, ast.ClassDef)
    decided = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    decided |= {ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)} | NOT_LISTED.get(name, set())
    assert {word for word in vars(found(name)) if not word.startswith("_")} - decided == set()


def test_the_classes_that_only_calls_return_live_in_types() -> None:
    """As far as they are built; and the test kit has the type of its fixture."""
    assert {"GroupBy", "When", "Window"} <= set(fluxline.types.__all__)
    assert {"Drive", "utc"} <= set(fluxline.testing.__all__)


def test_the_version_is_the_package_s() -> None:
    """One truth."""
    from importlib.metadata import version

    assert fluxline.__version__ == version("fluxline")


DEFINITION = """
from fluxline import Pipeline, coalesce, col, concat, count, functions, lit, tumble, when
p = Pipeline("p")
s = p.source("s", schema={"a": "BIGINT", "t": "STRING", "at": "TIMESTAMP_LTZ(3)"}, event_time="at", watermark="5 seconds")
f = s.filter(col("a") > 1).with_columns(x=when(col("a") > 2).then(concat(col("t"), 1)).otherwise(None), y=functions.abs(col("a")) / 2)
f.window(tumble("1 hour")).group_by("t").agg(n=count(), m=col("a").avg()).sink("out", key=["t", "window_start"])
f.explain()
repr(f)
import sys
sys.stdout.write(" ".join(name for name in ("duckdb", "numpy", "pandas", "polars", "pyarrow") if name in sys.modules))
"""


def test_a_whole_definition_loads_no_frame_library() -> None:
    """A pipeline is data: to define one with all its verbs, and to look at it, nothing is computed."""
    assert subprocess.run([sys.executable, "-c", DEFINITION], check=True, capture_output=True, text=True).stdout == ""
