"""What every node of a plan is, and the small parts that nodes are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fluxline.errors import DefinitionError, TimeAttributeMissing
from fluxline.plan.expressions import Expression, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fluxline.errors import Place
    from fluxline.plan.window import Window
    from fluxline.schema import TableSchema


INPUT_FIELDS = ("input", "parts")
"""The fields of nodes that hold nodes."""


@dataclass(frozen=True, slots=True)
class WatermarkStrategy:
    """How the watermark follows event time, and who is late.

    Attributes:
        delay_ms: a partition's watermark is its largest event time less this; 0 is run as 1, so that a row is never
            late by itself or its equals.
        idle_after_ms: silence after which a partition no longer holds the watermark back; None: never.
        max_future_skew_ms: a row further ahead of its log's time, where the source has one, else of the clock, is rejected and moves no
            watermark; None: no bound.
        lateness: whose watermark decides: the record's own partition's, or the operator's.
    """

    delay_ms: int
    idle_after_ms: int | None
    max_future_skew_ms: int | None
    lateness: Literal["partition", "operator"] = "partition"

    @property
    def effective_delay_ms(self) -> int:
        """The delay as engines run it."""
        return max(1, self.delay_ms)


@dataclass(frozen=True, slots=True)
class TimeAttribute:
    """The column that carries event time, and the strategy of the source it comes from."""

    column: str
    strategy: WatermarkStrategy


@dataclass(frozen=True, slots=True)
class NamedExpression:
    """One output column: its name, what computes it, and its tags."""

    name: str
    expression: Expression
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A user's function as the plan knows it: a name and a digest of its code; the callable itself stays outside."""

    name: str
    digest: str
    call: Callable[..., object] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Node:
    """One step of a plan. Two are equal when they do the same to the same input, wherever they were written.

    Attributes:
        label: the name that the user gave with `.named()`, or an empty text.
        place: where the user wrote it.
    """

    label: str = field(default="", kw_only=True)
    place: Place | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes whose rows it reads."""
        return ()

    @cached_property
    def identity(self) -> bytes:
        """A digest of what it does and of all before it; made once, so that long chains and diamonds compare at once."""
        digest = hashlib.sha256(type(self).__name__.encode())
        for item in fields(self):
            value = getattr(self, item.name)
            if item.compare and item.name not in INPUT_FIELDS:
                digest.update(f"\x00{item.name}={value!r}".encode(errors="surrogatepass"))
        for part in self.inputs:
            digest.update(part.identity)
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Node) and self.identity == other.identity)

    def __hash__(self) -> int:
        return hash(self.identity)

    @cached_property
    def schema(self) -> TableSchema:
        """Columns of its output, hidden ones included."""
        raise NotImplementedError

    @cached_property
    def time(self) -> TimeAttribute | None:
        """The column of its output that carries event time."""
        return self.inputs[0].time

    @cached_property
    def updating(self) -> bool:
        """Whether its output carries other row kinds than insert."""
        return self.inputs[0].updating

    @cached_property
    def key(self) -> tuple[str, ...] | None:
        """The columns that identify a row of an updating output."""
        return self.inputs[0].key

    @property
    def drops_late(self) -> bool:
        """Whether rows can be late for it."""
        return False

    @property
    def rejects(self) -> bool:
        """Whether it can reject rows."""
        return False

    def with_inputs(self, inputs: tuple[Node, ...]) -> Node:
        """The same step over other inputs."""
        assert not inputs
        return self


@dataclass(frozen=True, eq=False)
class Unary(Node):
    """A step over one input."""

    input: Node

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)

    def with_inputs(self, inputs: tuple[Node, ...]) -> Node:
        (only,) = inputs
        return self if only is self.input else replace(self, input=only)

    @cached_property
    def schema(self) -> TableSchema:
        return self.input.schema


def upstream(node: Node) -> Iterator[Node]:
    """The node and all before it, each object once, the node first."""
    seen, waiting = {id(node)}, [node]
    while waiting:
        current = waiting.pop()
        yield current
        for part in reversed(current.inputs):
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)


def check_schema(node: Node) -> None:
    """Find out the columns of a node's output now, where it is built.

    Raises:
        DefinitionError: FLX-2105, two of them have one name.
    """
    try:
        fields = node.schema.fields
    except DefinitionError as error:
        error.place = error.place or node.place
        raise
    assert fields, "a step has a column"


def require_names(node: Node, names: tuple[str, ...]) -> None:
    """Assert that the node has columns of these names, each named once."""
    missing = [name for name in names if name not in node.schema]
    assert not missing and len(set(names)) == len(names), f"columns {list(names)} are not in {node.schema.names()}, or there twice"


def require_columns(node: Node, *expressions: Expression | None) -> None:
    """Assert that the expressions read columns that the node has."""
    missing = columns_of(*expressions) - {item.name for item in node.schema}
    assert not missing, f"columns {sorted(missing)} are not in {node.schema.names()}"


def require_time_attribute(node: Node, window: Window, place: Place | None) -> None:
    """Refuse an event-time window over a stream without event time.

    Raises:
        TimeAttributeMissing: FLX-2107.
    """
    if window.time == "processing" or node.time is not None:
        return
    raise TimeAttributeMissing(
        "FLX-2107",
        f"{window} needs event time, and the stream has none",
        detail=f"The stream has {node.schema.describe()}; none of them is a time attribute.",
        hint='Declare it on the source: source(..., event_time="...", watermark="5 seconds"), and keep the column up to the window.',
        place=place,
    )
