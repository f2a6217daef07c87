"""The pages that are read from the code itself: the Python API, commands, errors, limits and the project file."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.docs_text import code, docstring, first_sentence, page, table, toml

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from fluxline.config_keys import Key

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fluxline"
_RANGES = {
    "1": "The project file, options, the command line", "2": "The definition of a pipeline", "3": "The data",
    "4": "Outside systems, files, the table store", "5": "Recovery and saved state", "6": "Warnings of what would not outlive a loss",
    "9": "Fluxline itself",
}  # fmt: skip
# Classes that only calls return stand behind those of `fluxline.__all__`.
_RETURNED = (
    ("GroupBy", "pipeline/group_by.py"), ("When", "pipeline/expr.py"), ("Then", "pipeline/expr.py"), ("TextFunctions", "pipeline/expr.py"),
    ("TimeFunctions", "pipeline/expr.py"), ("Window", "pipeline/windows.py"),
)  # fmt: skip


@cache
def tree_of(file: str) -> ast.Module:
    """The syntax tree of a file of the package."""
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"), filename=file)


def api_page() -> str:
    """Every public name with its signature and docstring."""
    import fluxline

    parts = ["# Python API", "Everything that `from fluxline import ...` gives. The names load when they are first used."]
    functions: list[tuple[str, str]] = []
    classes: list[tuple[str, str]] = []
    modules: list[str] = []
    aliases: list[str] = []
    for name in fluxline.__all__:
        home = fluxline._HOMES.get(name)
        if home is None:
            modules.append(name)
            continue
        file = home.replace(".", "/") + ".py"
        alias = _alias(file, name)
        if alias is not None:
            aliases.append(alias)
            continue
        node = definition(file, name)
        (functions if isinstance(node, ast.FunctionDef) else classes).append((name, file))
    parts += ["## Classes", *(_class(name, file) for name, file in classes)]
    parts += ["## Functions", *(_function(definition(file, name)) for name, file in functions)]
    parts += ["## Types", *aliases]
    parts += ["## Classes that calls return", *(_class(name, file) for name, file in _RETURNED)]
    for name in sorted(modules):
        parts += [f"## fluxline.{name}", *_module(name)]
    return page(parts)


def definition(file: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    """The function or class of this name in a file.

    Raises:
        LookupError: it has none.
    """
    for node in tree_of(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise LookupError(f"{file} defines no {name}")


def _alias(file: str, name: str) -> str | None:
    """A name for a type: `name: TypeAlias = ...`, and the text behind it; None where the name is no such thing."""
    body = tree_of(file).body
    for node, behind in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name and node.value is not None:
            assert isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant), f"{name} says nothing of itself"
            return f"### {name}\n\n```text\n{name} = {ast.unparse(node.value)}\n```\n\n{docstring(str(behind.value.value))}"
    return None


def _class(name: str, file: str, level: int = 3) -> str:
    """A class: its docstring, how it is made, and its public methods and properties."""
    node = definition(file, name)
    assert isinstance(node, ast.ClassDef)
    parts = [f"{'#' * level} {name}", docstring(ast.get_docstring(node) or "")]
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__" and _public_constructor(item):
            parts.append(f"```text\n{_signature(item).replace('__init__', name, 1).removesuffix(' -> None')}\n```")
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    rows: list[tuple[str, str]] = []
    for method in methods:
        about = docstring(ast.get_docstring(method) or _contract(method.name))
        if "\n" not in about:
            rows.append((code(f".{_signature(method, is_property=_is_property(method), on_one_line=True)}"), about))
            continue
        head = _signature(method, is_property=_is_property(method))
        parts += [_calls(rows), f"{'#' * (level + 1)} {name}.{method.name}", f"```text\n.{head}\n```", about]
        rows = []
    return "\n\n".join(part for part in [*parts, _calls(rows)] if part)


def _calls(rows: list[tuple[str, str]]) -> str:
    return table(("call", "meaning"), rows) if rows else ""


def _contract(name: str) -> str:
    """What a method without docstring of its own owes: it stands in the protocol of connectors or formats."""
    for file in ("connectors/base.py", "formats/base.py"):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return first_sentence(ast.get_docstring(node) or "")
    return ""


def _is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list)


def _public_constructor(node: ast.FunctionDef) -> bool:
    """Whether users make such objects: its arguments are not those of our own insides."""
    names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    return not names & {"planned", "unbound", "stream", "pipeline", "node", "job", "branches", "expr"}


def _function(node: ast.FunctionDef | ast.ClassDef, level: int = 3) -> str:
    assert isinstance(node, ast.FunctionDef)
    return f"{'#' * level} {node.name}\n\n```text\n{_signature(node)}\n```\n\n{docstring(ast.get_docstring(node) or '')}"


def _signature(node: ast.FunctionDef, *, is_property: bool = False, on_one_line: bool = False) -> str:
    """A function as it is declared, without self; its arguments one a line where they are many."""
    returns = f" -> {_written(node.returns)}" if node.returns is not None else ""
    if is_property:
        return f"{node.name}{returns}"
    parts = _arguments(node.args)
    one_line = f"{node.name}({', '.join(parts)}){returns}"
    if on_one_line or len(one_line) < 110:
        return one_line
    return f"{node.name}(\n    " + ",\n    ".join(parts) + f",\n){returns}"


def _arguments(given: ast.arguments) -> list[str]:
    """The arguments, each with its type and default."""
    places = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [*[None] * (len(places) - len(given.defaults)), *given.defaults]
    parts = [_argument(argument, default) for argument, default in zip(places, defaults, strict=True)]
    if given.vararg is not None:
        parts.append("*" + _argument(given.vararg, None))
    elif given.kwonlyargs:
        parts.append("*")
    parts += [_argument(argument, default) for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg is not None:
        parts.append("**" + _argument(given.kwarg, None))
    return [part for part in parts if part != "self"]


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_written(argument.annotation)}" if argument.annotation is not None else ""
    return f"{argument.arg}{kind}" + (f" = {_written(default)}" if default is not None else "")


def _written(expression: ast.expr) -> str:
    """An expression in the one form of quotes; `Text` is str where a property has that name."""
    return re.sub(r"\bText\b", "str", ast.unparse(expression).replace("'", '"'))


def _module(name: str) -> list[str]:
    """A public module: its docstring and its names."""
    file = f"{name}.py" if (PACKAGE / f"{name}.py").exists() else f"{name}/__init__.py"
    tree = tree_of(file)
    parts = [docstring(ast.get_docstring(tree) or "")]
    if name == "errors":
        return [*parts, "Codes: [errors](errors.md)."]
    if name == "testing":
        parts += [_class("Drive", "testing/drive.py"), _class("Driven", "testing/driven.py"), _function(definition("testing/driven.py", "utc"))]
        contracts = [
            (item, f"testing/contracts/{kind}.py")
            for item, kind in (("FormatContract", "formats"), ("SinkContract", "sinks"), ("SourceContract", "sources"))
        ]
        return [*parts, "### fluxline.testing.contracts", *(_class(item, home, 4) for item, home in contracts)]
    rows = [
        (code(_signature(node, on_one_line=True)), first_sentence(ast.get_docstring(node) or ""))
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    if name == "types":
        import fluxline.types

        others = [item for item in fluxline.types.__all__ if item not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}]
        parts.append("Also: " + ", ".join(code(item) for item in sorted(others)) + ".")
    return [*parts, table(("name", "meaning"), rows)] if rows else parts


def cli_page() -> str:
    """Every command with its arguments and options."""
    import click

    from fluxline.cli.main import COMMANDS, fluxline

    context = click.Context(fluxline, info_name="fluxline")
    parts = ["# Command line", docstring(fluxline.help or ""), fluxline.epilog or ""]
    parts.append(table(("command", "does"), ((f"[fluxline {name}](#fluxline-{name})", about) for name, about in COMMANDS.items())))
    for name in COMMANDS:
        command = fluxline.get_command(context, name)
        assert command is not None
        parts += list(_command(command, f"fluxline {name}"))
    return page(parts)


def _command(command: click.Command, path: str) -> Iterator[str]:
    """A command and those below it."""
    import click

    from fluxline.cli.main import fluxline

    context = click.Context(command, info_name=path, **fluxline.context_settings)  # A command keeps the first help option that it makes.
    yield f"## {path}"
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield docstring(command.help or command.get_short_help_str())
    rows = [_parameter(parameter) for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    if rows:
        yield table(("option", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _command(below, f"{path} {name}")


def _parameter(option: click.Option) -> tuple[str, str]:
    import click

    names = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    value = (
        ""
        if option.is_flag or option.count
        else f" {code(option.metavar or '|'.join(getattr(option.type, 'choices', ())) or option.type.name.upper())}"
    )
    default = f" Default: {code(option.default)}." if option.show_default and option.default is not None else ""
    several = " May be repeated." if option.multiple and "repeated" not in (option.help or "") else ""
    assert isinstance(option, click.Parameter)
    return f"{names}{value}", f"{option.help or ''}{default}{several}"


def errors_page() -> str:
    """Every code, its meaning and the class that carries it."""
    from fluxline import errors
    from fluxline.error_codes import CODES

    raised = error_classes()
    about = (
        "A code keeps its meaning for ever. A message has the code, a fact, the place in your file, what is known (`detail`) and what you can do "
        "(`hint`)."
    )
    parts = ["# Errors", about]
    for first, title in _RANGES.items():
        rows = [
            (f'<a id="{number.lower()}"></a>{number}', meaning, ", ".join(code(name) for name in sorted(raised.get(number, ()))))
            for number, meaning in CODES.items()
            if number.startswith(f"FLX-{first}")
        ]
        if rows:
            parts += [f"## FLX-{first}xxx: {title}", table(("code", "meaning", "class"), rows)]
    drawing = re.search(r"    FluxlineError\n(?:    .*\n)+", errors.__doc__ or "")
    assert drawing is not None, "errors.py draws its tree"
    return page(
        [*parts, "## The classes", "Whose fault it is, and whether to try again:", "```text\n" + re.sub("(?m)^    ", "", drawing.group()) + "```"]
    )


def error_classes() -> dict[str, set[str]]:
    """Code -> the classes that are made with it, as far as the code says so directly."""
    from fluxline import errors

    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and isinstance(node.args[0], ast.Constant):
                first = node.args[0].value
                if isinstance(first, str) and re.fullmatch(r"FLX-\d{4}", first) and hasattr(errors, node.func.id):
                    found.setdefault(first, set()).add(node.func.id)
    return found


def limits_page() -> str:
    """Every limit with its value and reason, by section."""
    from fluxline import limits

    text = (PACKAGE / "limits.py").read_text(encoding="utf-8")
    parts = ["# Limits", "Everything has a limit. They live in one file, `src/fluxline/limits.py`."]
    rows: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        section = re.fullmatch(r"# (.+)", line)
        found = re.fullmatch(r"([A-Z][A-Z0-9_]+) = (.+?)  # (.+)", line)
        if section:
            parts, rows = _flushed(parts, rows), []
            parts.append(f"## {section.group(1)}")
        elif found:
            rows.append((code(found.group(1)), _amount(found.group(1), getattr(limits, found.group(1))), found.group(3)))
    return page(_flushed(parts, rows))


def _flushed(parts: list[str], rows: list[tuple[str, str, str]]) -> list[str]:
    return [*parts, table(("limit", "value", "reason"), rows)] if rows else parts


def _amount(name: str, value: Any) -> str:
    """A limit for people: bytes in KiB or MiB, times in ms as they are."""
    if isinstance(value, int) and "BYTES" in name:
        for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
            if value % size == 0:
                return f"{value // size:,} {unit}"
    unit = " ms" if "_MS" in name else ""
    return f"{value:,}{unit}" if isinstance(value, int) else f"{value}{unit}"


def project_page() -> str:
    """Every key of the project file."""
    from fluxline.config_keys import PROJECT_FILE

    about = "The keys of `fluxline.toml`. How they work together: [environments](../concepts/environments.md). Every other key is an error."
    rows = [(code(path), _kind(key), key.doc) for path, key in _keys(PROJECT_FILE, "") if key.kind != "refused"]
    return page(["# Project file", about, table(("key", "takes", "meaning"), rows)])


def _keys(table_key: Key, path: str) -> Iterator[tuple[str, Key]]:
    for name, key in table_key.keys.items():
        below = f"{path}.{name}" if path else name
        yield below, key
        if key.kind == "named" and key.each is not None:
            yield f"{below}.NAME", key.each
            yield from _keys(key.each, f"{below}.NAME")
        yield from _keys(key, below)


def _kind(key: Key) -> str:
    words = {
        "word": "a name", "texts": "list of texts", "paths": "list of dotted keys", "truth": "true or false", "count": "whole number",
        "share": "number from 0 to 1", "secret": "a reference to a secret", "named": "one table for each name",
    }  # fmt: skip
    if key.choices:
        return " or ".join(code(toml(choice)) for choice in key.choices)
    return words.get(key.kind, key.kind) + (", with the options of its word" if key.open else "")
