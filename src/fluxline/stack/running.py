"""A stack for tests: started on entry, its addresses as attributes, gone on exit.

with running_stack(("kafka",), directory=tmp_path, die_with_parent=True) as stack:
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap})
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxline.limits import STACK_READY_MS_MAX
from fluxline.stack.lifecycle import Start, down, up
from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kafka:
    """Where the brokers are."""

    brokers: tuple[int, ...]

    @property
    def port(self) -> int:
        """The port of the first."""
        return self.brokers[0]

    @property
    def bootstrap(self) -> str:
        """What clients call `bootstrap.servers`."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self.brokers)


@dataclass(frozen=True, slots=True)
class Flink:
    """Where the cluster is.

    Attributes:
        rest: the job manager's REST interface and page.
        gateway: the SQL Gateway.
    """

    rest: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Cassandra:
    """Where the node is."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Stack:
    """The addresses of a stack; asking for a part that it was started without is a mistake of the caller."""

    directory: Path
    ports: Mapping[str, int]
    nodes: Mapping[str, int] = field(default_factory=dict)

    @property
    def kafka(self) -> Kafka:
        """The brokers."""
        return Kafka(tuple(self.ports[numbered("kafka", number)] for number in range(1, self.nodes.get("kafka", 1) + 1)))

    @property
    def flink(self) -> Flink:
        """The cluster."""
        return Flink(rest=f"http://{LOOPBACK}:{self.ports['flink']}", gateway=f"http://{LOOPBACK}:{self.ports['flink_gateway']}")

    @property
    def cassandra(self) -> Cassandra:
        """The node."""
        return Cassandra(LOOPBACK, self.ports["cassandra"])


@contextmanager
def running_stack(
    parts: Sequence[str] = (),
    *,
    directory: Path,
    die_with_parent: bool = False,
    metrics: bool = False,
    standard_ports: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    ready_ms_max: int = STACK_READY_MS_MAX,
    nodes: Mapping[str, int] | None = None,
) -> Iterator[Stack]:
    """Start parts of the stack, none named means all, and end them on exit.

    With `die_with_parent` they also end, killed, when the thread that called this ends in any other way. With
    `standard_ports` it is the ports that everybody knows, and FLX-4301 if one is taken.
    """
    start = Start(standard_ports=standard_ports, die_with_parent=die_with_parent, metrics=metrics, ready_ms_max=ready_ms_max, nodes=nodes or {})
    try:
        state = up(parts, directory, start, say)
        yield Stack(directory, state.ports, state.nodes)
    finally:
        down(directory)
