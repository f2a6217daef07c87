"""Everything has a limit, each with its reason, and they fit together; none stands anywhere else."""

from __future__ import annotations

import ast
import re

import pytest

from fluxline import limits
from tests.tidy.tree import PACKAGE, parse, python_files, report, shown, text_of

LIMITS = PACKAGE / "limits.py"

# Facts of types and formats, not choices: they stand beside what they are facts of.
FACTS = {
    "src/fluxline/batch.py": ("MIN_WATERMARK", "MAX_WATERMARK"),
    "src/fluxline/formats/json/columns.py": ("_INTEGER_DIGITS_MAX",),
    "src/fluxline/formats/temporal.py": ("FRACTION_DIGITS_MAX",),
    "src/fluxline/formats/values.py": ("_EXPONENT_DIGITS_MAX",),
    "src/fluxline/library/inference.py": ("SCALE_KEPT_MIN",),
    "src/fluxline/options.py": ("DURATION_MS_MAX",),
    "src/fluxline/schema.py": ("LENGTH_MAX", "DECIMAL_PRECISION_MAX"),
}

_QUEUES = ("Queue", "LifoQueue", "PriorityQueue")
_SIZES = ("maxsize", "maxlen", "max_workers")
_LIMIT_NAME = re.compile(r"_MAX$|_MIN$|_KEPT$|^MAX_|^MIN_")


def numbers() -> dict[str, float]:
    """The limits by name."""
    return {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int | float)}


def literal_sizes(tree: ast.Module) -> list[tuple[int, str]]:
    """Sizes of queues, caches and pools that are written as numbers, and queues that have none."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        sizes = {item.arg: item.value for item in node.keywords if item.arg in _SIZES}
        if name in _QUEUES:
            if node.args:
                sizes["maxsize"] = node.args[0]
            if not sizes:
                found.append((node.lineno, f"{name}() has no bound"))
        found += [(node.lineno, f"{size}={ast.unparse(value)}") for size, value in sizes.items() if _is_number(value)]
        if name == "SimpleQueue":
            found.append((node.lineno, "SimpleQueue() has no bound"))
    return found


def limits_elsewhere(tree: ast.Module) -> list[tuple[int, str]]:
    """Constants of a file that are named as a limit and set to a number."""
    found = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is None or not _is_number(value):
            continue
        found += [(node.lineno, item.id) for item in targets if isinstance(item, ast.Name) and _LIMIT_NAME.search(item.id)]
    return found


def _is_number(node: ast.expr) -> bool:
    """Whether it is arithmetic on number literals alone."""
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def test_each_limit_says_why() -> None:
    """In a comment on its line."""
    missing = [
        line for line in text_of(LIMITS).splitlines() if re.match(r"[A-Z_]+ = ", line) and "#" not in line and not re.match(r"[KMG]IB = ", line)
    ]
    assert not missing, report(missing)


def test_each_limit_is_above_zero() -> None:
    """A limit of nothing stops everything."""
    found = numbers()
    assert found
    assert [name for name, value in found.items() if value <= 0] == []


RELATIONS = {
    "a read of bytes fits in what one record may be": lambda: limits.BLOCK_BYTES_MAX <= limits.RECORD_BYTES_MAX,
    "a compressed read makes about one block, so it is smaller": lambda: limits.COMPRESSED_READ_BYTES <= limits.BLOCK_BYTES_MAX,
    "a channel holds two batches at least, or reader and writer take turns": lambda: limits.CHANNEL_BATCHES_MAX >= 2,
    "files that are open at once are among the partitions": lambda: limits.FILES_OPEN_MAX <= limits.PARTITIONS_MAX,
    "open files leave most of the usual 1,024 descriptors to others": lambda: limits.FILES_OPEN_MAX <= 1024 // 4,
    "a share lies between none and all": lambda: 0 < limits.REJECT_SHARE_MAX < 1,
    "a source is judged within its first batch": lambda: limits.REJECT_CHECK_RECORDS <= limits.BATCH_ROWS_MAX,
    "a reject's detail is small beside its record": lambda: limits.REJECT_DETAIL_CHARS_MAX < limits.RECORD_BYTES_MAX,
    "a store takes a full batch before it must write": lambda: limits.STORE_FLUSH_ROWS >= limits.BATCH_ROWS_MAX,
    "an answer of a store may hold what a flush holds": lambda: limits.STORE_RESULT_ROWS_MAX >= limits.STORE_FLUSH_ROWS,
    "a rotated log file holds the largest record": lambda: limits.LOG_FILE_BYTES_MAX >= limits.RECORD_BYTES_MAX,
    "a source looks for records more often than for partitions": lambda: limits.PARTITION_POLL_MS >= limits.POLL_WAIT_MS,
    "a file sink's buffer fits in its file": lambda: limits.WRITE_BUFFER_BYTES_MAX <= limits.PART_BYTES_DEFAULT,
    "six digits number the files of a directory sink": lambda: limits.PARTS_MAX == 10**6,
    "one flush can be staged while another is written": lambda: limits.STORE_STAGED_FLUSHES_MAX >= 2,
    "staged rows leave room in a store's memory": lambda: limits.STORE_STAGED_FLUSHES_MAX * limits.STORE_FLUSH_BYTES < limits.STORE_MEMORY_BYTES_MAX,
    "an answer leaves room in a store's memory": lambda: limits.STORE_RESULT_BYTES_MAX < limits.STORE_MEMORY_BYTES_MAX,
    "a store's lock is tried more than once": lambda: limits.STORE_LOCK_POLL_MS * 10 <= limits.STORE_LOCK_WAIT_MS,
    "a query is shorter than its answer may be": lambda: limits.STORE_REQUEST_BYTES_MAX < limits.STORE_RESULT_BYTES_MAX,
    "a query may take longer than sending it": lambda: limits.STORE_REQUEST_MS_MAX < limits.STORE_QUERY_MS_MAX,
    "a store has a client for each query that runs": lambda: limits.STORE_QUERIES_MAX <= limits.STORE_CONNECTIONS_MAX,
    "the state before the last one is kept": lambda: limits.STOPS_KEPT >= 2,
    "the documented nesting of JSON": lambda: limits.RECORD_DEPTH_MAX == 1_000,
    "the documented depth of environments that extend one another": lambda: limits.EXTENDS_DEPTH_MAX == 4,
}


@pytest.mark.parametrize("relation", RELATIONS)
def test_limits_fit_together(relation: str) -> None:
    """Changing one of them asks for the other."""
    assert RELATIONS[relation](), relation


def test_no_size_of_a_queue_stands_elsewhere() -> None:
    """What is bounded takes its bound from limits.py."""
    findings = [f"{shown(path)}:{line}: {what}; name it in limits.py" for path in python_files("src") for line, what in literal_sizes(parse(path))]
    assert not findings, report(findings)


def test_no_limit_stands_elsewhere() -> None:
    """Facts of types are no limits."""
    findings = [
        f"{shown(path)}:{line}: {name} is a limit; it belongs into limits.py"
        for path in python_files("src")
        for line, name in limits_elsewhere(parse(path))
        if path != LIMITS and name not in FACTS.get(shown(path), ())
    ]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Queue(maxsize=8)", ["maxsize=8"]),
        ("queue.Queue(8 * 2)", ["maxsize=8 * 2"]),
        ("Queue()", ["Queue() has no bound"]),
        ("SimpleQueue()", ["SimpleQueue() has no bound"]),
        ("deque(maxlen=100)", ["maxlen=100"]),
        ("lru_cache(maxsize=1024)", ["maxsize=1024"]),
        ("Queue(maxsize=CHANNEL_BATCHES_MAX)", []),
        ("Queue(limits.CHANNEL_BATCHES_MAX)", []),
        ("deque()", []),
    ],
)
def test_literal_sizes_are_found(source: str, found: list[str]) -> None:
    """Positional or by name."""
    assert [what for _, what in literal_sizes(ast.parse(source))] == found


def test_limits_elsewhere_are_found() -> None:
    """By their names."""
    source = "WAIT_MS_MAX = 5\nLEAST_MIN: int = -(2**3)\nNAMES_MAX = len(x)\nPLAIN = 4\n"
    assert limits_elsewhere(ast.parse(source)) == [(1, "WAIT_MS_MAX"), (2, "LEAST_MIN")]
