"""The operators of a running job, as Flink describes its vertices: a tree of chained ones per vertex, and the edges between vertices."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fluxline.engines.flink.rest import Vertex

SOURCE, SINK, OVER = "Source", "Sink", "OverAggregate"
WINDOW_AGGREGATES = frozenset({"WindowAggregate", "LocalWindowAggregate", "GlobalWindowAggregate"})
GROUP_AGGREGATES = frozenset({"GroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate", "IncrementalGroupAggregate"})
PASSING = frozenset(
    {"Calc", "StreamRecordTimestampInserter", "ConstraintEnforcer", "SinkMaterializer", "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner"}
)
"""Operators through which rows pass one by one."""

_LEVEL = re.compile(r"(?::- |\+- |:  |   )*")
_SINK = re.compile(r"(?P<of>.+)\[(?P<number>\d+)\]: (?:Writer|Committer|.*[Cc]ommit.*)$|Sink: (?P<named>.+)\[\d+\]$")
_SINK_TABLE = re.compile(r"\[(?P<number>\d+)\]:Sink\(table=\[\w+\.\w+\.(?P<of>.+?)\]")
_SOURCE = re.compile(r"Source: (?P<of>.+)$")
_SOURCE_TABLE = re.compile(r"\[(?P<number>\d+)\]:TableSourceScan\(table=\[\[\w+, \w+, (?P<of>.+?)(?:, \w+=\[|\]\])")
_NUMBERED = re.compile(r"\[(?P<number>\d+)\]:(?P<kind>\w+)")


@dataclass(eq=False, slots=True)
class Operator:
    """One operator of Flink.

    Attributes:
        kind: such as `Calc`; `SOURCE` and `SINK` for the ends.
        of: of an end, the table, perhaps with the names of catalogs before it.
        number: its position in Flink's plan: inputs have smaller ones; None where Flink tells none.
        text: what Flink says of it.
        parents: whose rows it reads.
        children: who reads its rows.
    """

    kind: str
    of: str
    number: int | None
    text: str
    parents: list[Operator] = field(default_factory=list, repr=False)
    children: list[Operator] = field(default_factory=list, repr=False)

    def before(self) -> Iterator[Operator]:
        """It and all before it."""
        return _reached(self, "parents")

    def behind(self) -> Iterator[Operator]:
        """It and all behind it."""
        return _reached(self, "children")


def read_operators(vertices: Sequence[Vertex]) -> dict[str, list[Operator]]:
    """The operators of each vertex, its first one first, connected with those of other vertices."""
    found = {vertex.id: _chain(vertex.text) for vertex in vertices}
    ends = {vertex: [each for each in chain if not each.children and each.kind != SINK] for vertex, chain in found.items()}
    for vertex in vertices:
        for given in vertex.inputs:
            if found[vertex.id] and given in ends:
                _connect(ends[given], found[vertex.id][0])
    return found


def _chain(text: str) -> list[Operator]:
    """The operators of one vertex; a line that is indented further is chained behind the line before it."""
    chain: list[Operator] = []
    way: list[Operator] = []
    for line in text.split("<br/>"):
        indent = _LEVEL.match(line)
        assert indent is not None, "it may match nothing"
        said = html.unescape(line[indent.end() :]).strip()
        if not said:
            continue
        depth = indent.end() // 3
        operator = _operator(said)
        del way[depth:]
        if way:
            way[-1].children.append(operator)
            operator.parents.append(way[-1])
        way.append(operator)
        chain.append(operator)
    return chain


def _operator(said: str) -> Operator:
    for pattern, kind in ((_SINK_TABLE, SINK), (_SOURCE_TABLE, SOURCE), (_SOURCE, SOURCE), (_SINK, SINK)):
        found = pattern.match(said)
        if found is not None:
            parts = found.groupdict()
            number = parts.get("number")
            return Operator(kind, parts["of"] or parts.get("named") or "", None if number is None else int(number), said)
    numbered = _NUMBERED.match(said)
    if numbered is None:
        return Operator(said.partition("(")[0], "", None, said)
    return Operator(numbered["kind"], "", int(numbered["number"]), said)


def _connect(ends: list[Operator], reader: Operator) -> None:
    """Flink tells which vertex is read, not which of the ends of its chains.

    It numbers operators as it comes from them to their readers, with the exchange between: the end of the number before is the one that
    is read. Where there is none, each of them may be.
    """
    near = [end for end in ends if end.number is not None and reader.number is not None and reader.number - end.number in (1, 2)]
    for end in near or ends:
        end.children.append(reader)
        reader.parents.append(end)


def _reached(operator: Operator, way: str) -> Iterator[Operator]:
    seen, waiting = {id(operator)}, [operator]
    while waiting:
        current = waiting.pop()
        yield current
        for other in getattr(current, way):
            if id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
