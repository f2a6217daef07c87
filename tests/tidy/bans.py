"""What is banned, where it is at home nevertheless, what to write instead, and how it is found in a syntax tree.

Names are resolved through a file's imports, so `from time import sleep` and `import time as t` hide nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ban:
    """One family of banned names.

    Attributes:
        names: dotted names; one that ends with a dot bans everything below it.
        instead: what to write.
        homes: path prefixes, from the root of the repository, where it may stand.
        seeded: names below the ban that are right when they are called with a seed.
    """

    names: tuple[str, ...]
    instead: str
    homes: tuple[str, ...]
    seeded: tuple[str, ...] = ()


BANS = (
    Ban(
        ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today", "time.time", "time.time_ns"),
        "ask the Clock that is handed in: clock.now_ms()",
        ("src/fluxline/clock.py",),
    ),
    Ban(
        ("time.monotonic", "time.monotonic_ns"),
        "ask the Clock that is handed in: clock.monotonic_ms(); to measure work: fluxline.clock.measure_seconds()",
        ("src/fluxline/clock.py", "tests/", "tools/", "benchmarks/", "examples/sensors/produce.py"),
    ),
    Ban(
        ("time.perf_counter", "time.perf_counter_ns", "time.process_time", "time.process_time_ns"),
        "measure with fluxline.clock.measure_seconds()",
        ("src/fluxline/clock.py", "tests/", "tools/", "benchmarks/"),
    ),
    Ban(
        ("time.sleep",),
        "wait with the Clock that is handed in: clock.wait(wake, timeout_ms)",
        ("src/fluxline/clock.py", "tests/", "tools/", "benchmarks/", "examples/sensors/produce.py"),
    ),
    Ban(
        ("random.",),
        "take a generator that is handed in, made with a seed: numpy.random.default_rng(seed) or random.Random(seed)",
        ("src/fluxline/clock.py",),
        seeded=("random.Random",),
    ),
    Ban(
        ("numpy.random.",),
        "take a generator that is handed in, made with a seed: numpy.random.default_rng(seed)",
        ("src/fluxline/clock.py",),
        seeded=("numpy.random.default_rng", "numpy.random.PCG64", "numpy.random.SeedSequence"),
    ),
    Ban(
        ("uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom", "secrets."),
        "take an identity that is handed in; what makes a new one stands in clock.py, beside time",
        ("src/fluxline/clock.py",),
    ),
    Ban(
        ("pickle.", "marshal.", "shelve.", "dill.", "cloudpickle.", "joblib."),
        "write plain data with a format version: msgspec.json, or columns as Arrow",
        (),
    ),
    Ban(("eval", "exec"), "no text becomes code: look names up in a table; load a module with importlib", ()),
    Ban(
        ("print",),
        "return text to the command that prints it (cli/), or log with logging.getLogger(__name__)",
        ("src/fluxline/cli/", "tools/", "benchmarks/", "examples/"),
    ),
    Ban(("logging.basicConfig",), "only the command line installs handlers", ("src/fluxline/cli/",)),
    Ban(("breakpoint", "pdb."), "take it out", ()),
)

# Types of generators: right in annotations, never a source of randomness by themselves.
_TYPES = ("numpy.random.Generator", "numpy.random.BitGenerator")


def find_banned(tree: ast.Module, path: str) -> list[str]:
    """What the file must not contain, one finding a line: place, what, and what to write instead.

    Args:
        tree: the file's syntax tree.
        path: where it stands, from the root of the repository.
    """
    origins = _imported_names(tree)
    called_bare = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and not node.args and not node.keywords}
    findings = [f"{path}:{node.lineno}: {what}; {instead}" for node, what, instead in _silent_handlers(tree)]
    for node in ast.walk(tree):
        for name in _names_used(node, origins):
            ban = _ban_of(name)
            if ban is None or path.startswith(ban.homes):
                continue
            if name in ban.seeded and id(node) not in called_bare:
                continue
            findings.append(f"{path}:{getattr(node, 'lineno', 1)}: {name} is banned here; {ban.instead}")
    return sorted(set(findings))


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted origin, of every import in the file."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                origins[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return origins


def _names_used(node: ast.AST, origins: dict[str, str]) -> list[str]:
    """The dotted names that a node stands for, resolved through the imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names if node.module and not node.level]
    parts: list[str] = []
    inner: ast.AST = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or not isinstance(inner.ctx, ast.Load):
        return []
    if parts and inner.id not in origins:
        return []  # An attribute of a local object: its name says nothing of where it comes from.
    return [".".join([origins.get(inner.id, inner.id), *reversed(parts)])]


def _ban_of(name: str) -> Ban | None:
    """The ban that a dotted name falls under."""
    if name in _TYPES:
        return None
    for ban in BANS:
        for banned in ban.names:
            if name == banned or (banned.endswith(".") and name.startswith(banned)):
                return ban
            # `import pickle` is one step before its use; a module that is right when seeded may be imported.
            if banned.endswith(".") and not ban.seeded and name == banned[:-1]:
                return ban
    return None


def _silent_handlers(tree: ast.Module) -> list[tuple[ast.ExceptHandler, str, str]]:
    """Handlers that swallow every error and say nothing."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
        idle = all(
            isinstance(item, ast.Pass | ast.Continue) or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)) for item in node.body
        )
        if broad and idle:
            found.append((node, "an error of any kind is swallowed", "catch the error that is meant, and count, log or raise what it means"))
    return found
