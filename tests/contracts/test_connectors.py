"""Every connector keeps the contract of sources and of sinks: a word that is added without a case here fails."""

from __future__ import annotations

import gzip
import io
import itertools
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fluxline.clock import SystemClock, VirtualClock
from fluxline.connectors import CONNECTORS, load_connector
from fluxline.connectors.base import Connector, SinkContext, SourceContext
from fluxline.connectors.blackhole import BlackholeOptions
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.print import PrintOptions, PrintSink
from fluxline.connectors.store import StoreOptions
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type
from fluxline.store.client import query
from fluxline.testing.contracts import SinkContract, SourceContract
from tests.connectors.brokers import broker
from tests.connectors.lines import NUMBERS, LineEncoder, numbers, sink_context

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TESTS = Path(__file__).parents[1]
LINES = b"".join(b"%d\n" % number for number in range(200_000))  # 1.3 MB: two blocks.
SCHEMA = TableSchema(
    tuple(
        Field(name, parse_type(text))
        for name, text in (("id", "BIGINT"), ("name", "VARCHAR(9)"), ("price", "DECIMAL(30, 4)"), ("tags", "ARRAY<INT>"), ("at", "TIMESTAMP_LTZ(3)"))
    )
)


@dataclass(frozen=True, slots=True)
class SourceCase:
    """A source over some input."""

    connector: str
    options: Mapping[str, object]
    prepare: Callable[[Path], object] = lambda _directory: None
    schema: TableSchema = NUMBERS
    asked_to_end: bool = False


def parts(directory: Path) -> None:
    """A directory with two files, one of them empty, one deeper and compressed."""
    (directory / "in" / "deeper").mkdir(parents=True)
    (directory / "in" / "a.ndjson").write_bytes(LINES[:1_200_000])
    (directory / "in" / "b.ndjson").touch()
    (directory / "in" / "deeper" / "c.ndjson.gz").write_bytes(gzip.compress(LINES[:300]) + gzip.compress(LINES[300:900]))


def frames(data: bytes) -> bytes:
    """Compressed in many zstd frames."""
    return b"".join(zstd.compress(data[start : start + 70_000]) for start in range(0, len(data), 70_000))


SOURCES = {
    "filesystem, a file": SourceCase("filesystem", {"path": "x.ndjson"}, lambda directory: (directory / "x.ndjson").write_bytes(LINES)),
    "filesystem, gzip": SourceCase("filesystem", {"path": "x.gz"}, lambda directory: (directory / "x.gz").write_bytes(gzip.compress(LINES, 1))),
    "filesystem, zstd": SourceCase("filesystem", {"path": "x.zst"}, lambda directory: (directory / "x.zst").write_bytes(frames(LINES))),
    "filesystem, a directory": SourceCase("filesystem", {"path": "in"}, parts),
    "filesystem, an empty file": SourceCase("filesystem", {"path": "x"}, lambda directory: (directory / "x").touch()),
    "datagen": SourceCase(
        "datagen",
        {
            "number_of_rows": 20_000,
            "partitions": 3,
            "rows_per_second": 1_000_000,
            "fields": {
                "id": {"kind": "sequence", "start": 7, "end": 90_000},
                "name": {"null_rate": 0.25},
                "at": {"kind": "sequence", "start": "2026-01-01T00:00:00Z", "step": "250 ms"},
            },
        },
        schema=SCHEMA,
    ),
    "kafka": SourceCase("kafka", {"bootstrap_servers": [], "topic": "contract"}, lambda _directory: filled_topic(), asked_to_end=True),
    "datagen, no rows": SourceCase("datagen", {"number_of_rows": 1, "partitions": 2}, schema=SCHEMA),
}


def filled_topic() -> dict[str, object]:
    """A topic with records in one partition, none in the others."""
    return {"bootstrap_servers": broker().fill("contract", {0: [b"%d" % number for number in range(25_000)], 1: [b"7", None, b"8"]})}


def pause(clock: VirtualClock) -> None:
    """Time passes for us and for the brokers."""
    clock.advance(10)
    threading.Event().wait(0.01)


@pytest.mark.parametrize("name", SOURCES)
def test_source_keeps_the_contract(name: str, tmp_path: Path) -> None:
    case = SOURCES[name]
    connector = load_connector(case.connector)
    assert connector.source is not None
    prepared = case.prepare(tmp_path)
    found = prepared if isinstance(prepared, dict) else {}
    options = read_options(connector.options, {**case.options, **found}, of=name)
    assert connector.source_bounded(options) == (not case.asked_to_end)
    clock = VirtualClock(1_700_000_000_000)
    opener = connector.source
    contract = SourceContract(
        open_source=lambda: opener(SourceContext("input", options, case.schema, tmp_path, clock, case.asked_to_end)),
        pass_time=lambda: pause(clock),
    )
    contract.check()


@dataclass(frozen=True, slots=True)
class SinkCase:
    """A sink into some place."""

    connector: str
    context: Callable[[Path], SinkContext]
    rows: Callable[[SinkContext], Sequence[int]]
    open: Callable[[SinkContext], Any] | None = None
    keyed: bool = False
    shared: bool = False
    histories: int = 20


def file_case(options: Mapping[str, object], heading: bytes = b"") -> SinkCase:
    """The sink `filesystem`; its rows are read with other tools than our own."""

    def rows(context: SinkContext) -> list[int]:
        found = sorted((context.directory / "out").glob("[!.]*")) if (context.directory / "out").is_dir() else sorted(context.directory.glob("out.*"))
        texts = [unpacked(path).removeprefix(heading) for path in found if path.name != "_fluxline.json"]
        return [int(line) for text in texts for line in text.splitlines()]

    return SinkCase("filesystem", lambda directory: sink_context(directory, options, heading=heading), rows)


def unpacked(path: Path) -> bytes:
    """The bytes of a file, decompressed as a whole."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return zstd.decompress(data) if path.suffix == ".zst" and data else data  # The tool wants one frame at least.


def print_case() -> SinkCase:
    """The sink `print` on a stream of its own for each place."""
    streams: dict[Path, io.StringIO] = {}

    def open_sink(context: SinkContext) -> PrintSink:
        return PrintSink(context, streams.setdefault(context.directory, io.StringIO()))

    def rows(context: SinkContext) -> list[int]:
        return [int(line.removeprefix("+I[").removesuffix("]")) for line in streams[context.directory].getvalue().splitlines()]

    return SinkCase("print", lambda directory: sink_context(directory, PrintOptions()), rows, open_sink)


def store_case(*, keyed: bool) -> SinkCase:
    """The sink `store`, read by SQL."""
    clock = SystemClock()

    def context(directory: Path) -> SinkContext:
        made = sink_context(directory, StoreOptions(path="tables.duckdb"))
        return replace(made, encoder=None, clock=clock, key=("number",) if keyed else None)

    def rows(context: SinkContext) -> list[int]:
        return query(context.directory / "tables.duckdb", "SELECT number FROM numbers", clock=clock).get_column("number").to_list()

    return SinkCase("store", context, rows, keyed=keyed, shared=True, histories=3)


def kafka_case() -> SinkCase:
    """The sink `kafka`; each place is a topic."""

    def context(directory: Path) -> SinkContext:
        topic = f"sink-{directory.parent.name}-{directory.name}"
        servers = broker().fill(topic, {})
        return replace(sink_context(directory, KafkaOptions(bootstrap_servers=servers, topic=topic)), key=("number",), make_key_encoder=LineEncoder)

    def rows(context: SinkContext) -> list[int]:
        return [int(value or b"") for value in broker().values(f"sink-{context.directory.parent.name}-{context.directory.name}")]

    return SinkCase("kafka", context, rows, histories=2)


SINKS = {
    "filesystem, a file": file_case({"path": "out.ndjson"}),
    "filesystem, a file with a heading": file_case({"path": "out.csv"}, b"number\n"),
    "filesystem, gzip": file_case({"path": "out.ndjson.gz"}),
    "filesystem, zstd": file_case({"path": "out.ndjson.zst"}),
    "filesystem, a directory": file_case({"path": "out/"}),
    "filesystem, a directory of zstd": file_case({"path": "out", "part_suffix": ".ndjson.zst"}),
    "kafka": kafka_case(),
    "print": print_case(),
    "blackhole": SinkCase("blackhole", lambda directory: replace(sink_context(directory, BlackholeOptions()), encoder=None), lambda _context: []),
    "store": store_case(keyed=False),
    "store, with a key": store_case(keyed=True),
}


# Sinks whose cases need a server: the file beside which they stand.
SINKS_OF_SERVERS = {"cassandra": "connectors/test_cassandra_node.py"}


@pytest.mark.parametrize("name", SINKS)
def test_sink_keeps_the_contract(name: str, tmp_path: Path) -> None:
    case = SINKS[name]
    connector = load_connector(case.connector)
    assert connector.sink is not None
    places = (tmp_path / str(index) for index in itertools.count())

    def make_context() -> SinkContext:
        place = next(places)
        place.mkdir()
        return case.context(place)

    contract = SinkContract(
        open_sink=case.open or connector.sink,
        make_context=make_context,
        make_batch=numbers,
        read_rows=case.rows,
        guarantee=connector.upserts_guarantee if case.keyed else connector.appends_guarantee,
        shared=case.shared,
        histories=case.histories,
    )
    contract.check()


@pytest.mark.parametrize("name", CONNECTORS)
def test_each_connector_has_its_cases(name: str) -> None:
    connector = load_connector(name)
    assert isinstance(connector, Connector)
    assert connector.name == name
    assert connector.source or connector.sink
    assert any(case.connector == name for case in SOURCES.values()) == (connector.source is not None)
    if name in SINKS_OF_SERVERS:
        assert "SinkContract(" in (TESTS / SINKS_OF_SERVERS[name]).read_text("utf-8")
    else:
        assert any(case.connector == name for case in SINKS.values()) == (connector.sink is not None)
