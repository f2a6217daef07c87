"""A stack for tests: started on entry, its addresses as attributes, gone on exit.

with running_stack(("kafka",), directory=tmp_path, die_with_parent=True) as stack:
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap})
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.limits import STACK_READY_MS_MAX
from fluxline.stack.lifecycle import Start, down, up
from fluxline.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kafka:
    """Where the broker is."""

    port: int

    @property
    def bootstrap(self) -> str:
        """What clients call `bootstrap.servers`."""
        return f"{LOOPBACK}:{self.port}"


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

    @property
    def kafka(self) -> Kafka:
        """The broker."""
        return Kafka(self.ports["kafka"])

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
) -> Iterator[Stack]:
    """Start parts of the stack, none named means all, and end them on exit.

    With `die_with_parent` they also end, killed, when the thread that called this ends in any other way. With
    `standard_ports` it is the ports that everybody knows, and FLX-4301 if one is taken.
    """
    start = Start(standard_ports=standard_ports, die_with_parent=die_with_parent, metrics=metrics, ready_ms_max=ready_ms_max)
    try:
        state = up(parts, directory, start, say)
        yield Stack(directory, state.ports)
    finally:
        down(directory)
