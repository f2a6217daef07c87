"""Rows that are made: their values, their pace, their end, and the settings that are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from fluxline.batch import polars_type
from fluxline.clock import VirtualClock
from fluxline.connectors.base import Rows, SourceContext
from fluxline.connectors.datagen import CONNECTOR, DatagenSource
from fluxline.connectors.datagen.options import DatagenOptions
from fluxline.errors import ConfigError, NameNotFound, PositionExpired
from fluxline.limits import DATAGEN_BLOCK_ROWS
from fluxline.options import read_options
from fluxline.schema import Field, TableSchema, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

START_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
FAST: dict[str, Any] = {"rows_per_second": 1_000_000_000}


def at(hour: int, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A time of the first day, without a zone, as columns carry it."""
    return datetime(2026, 1, 1, hour, minute, second, microsecond)  # noqa: DTZ001  # columns of both kinds of timestamp have no zone


def schema_of(**types: str) -> TableSchema:
    return TableSchema(tuple(Field(name, parse_type(text)) for name, text in types.items()))


def options_of(**raw: object) -> DatagenOptions:
    return read_options(DatagenOptions, raw, of='connector "datagen"')


def source(schema: TableSchema, clock: VirtualClock | None = None, *, bounded: bool = False, **raw: Any) -> DatagenSource:
    return DatagenSource(SourceContext("made", options_of(**raw), schema, Path(), clock or VirtualClock(START_MS), bounded))


def frame(schema: TableSchema, partition: str = "0", position: int | None = None, **raw: Any) -> pl.DataFrame:
    """All rows of one partition."""
    clock = VirtualClock(START_MS)
    reader = source(schema, clock, **FAST, **raw).open(partition, position)
    clock.advance(1_000)
    reads: list[Rows] = []
    while not reads or not reads[-1].final:
        read = reader.read()
        assert read is not None
        reads.append(read)
    return pl.concat([read.batch.polars() for read in reads])


def column(kind: str, settings: Mapping[str, object] | None = None, rows: int = 2_000) -> pl.Series:
    """Values of one field of this type."""
    made = frame(schema_of(x=kind), number_of_rows=rows, fields={"x": settings} if settings else {})
    return made.get_column("x")


@pytest.mark.parametrize(
    ("kind", "settings", "least", "greatest"),
    [
        ("INT", {"min": -3, "max": 3}, -3, 3),
        ("TINYINT", {}, -128, 127),
        ("SMALLINT", {"min": 32_766}, 32_766, 32_767),
        ("BIGINT", {"max": -(2**63) + 1}, -(2**63), -(2**63) + 1),
        ("DECIMAL(4, 2)", {"min": "99.97"}, Decimal("99.97"), Decimal("99.99")),
        ("DECIMAL(4, 0)", {"min": -1, "max": 1}, -1, 1),
        ("DECIMAL(38, 10)", {"min": 0.5, "max": "0.5000000002"}, Decimal("0.5"), Decimal("0.5000000002")),
    ],
)
def test_random_numbers_reach_their_bounds_and_not_beyond(kind: str, settings: dict[str, object], least: object, greatest: object) -> None:
    values = column(kind, settings)
    assert values.dtype == polars_type(parse_type(kind))
    assert values.min() == least
    assert values.max() == greatest


def test_random_numbers_cover_their_range_evenly() -> None:
    counts = column("INT", {"min": 1, "max": 4}, rows=40_000).value_counts().sort("x").get_column("count").to_list()
    assert len(counts) == 4
    assert all(9_600 <= count <= 10_400 for count in counts)  # Four standard deviations are 350.
    wide = column("DECIMAL(38, 0)", rows=40_000)
    assert 0.49 < (wide < 0).mean() < 0.51  # type: ignore[operator]  # a number
    assert wide.cast(pl.String).str.len_chars().max() == 39
    share = column("DOUBLE", {"min": -1, "max": 3}, rows=40_000)
    assert share.min() == pytest.approx(-1, abs=0.01)
    assert share.max() == pytest.approx(3, abs=0.01)
    assert share.mean() == pytest.approx(1, abs=0.03)
    assert column("FLOAT").min() >= 0  # type: ignore[operator]  # a number
    assert column("DOUBLE").is_finite().all()
    assert 0.4 < column("BOOLEAN").mean() < 0.6  # type: ignore[operator]  # a number


@pytest.mark.parametrize(
    ("kind", "settings", "length"),
    [
        ("STRING", {}, 100), ("STRING", {"length": 7}, 7), ("VARCHAR(9)", {}, 9), ("VARCHAR(300)", {}, 100), ("CHAR(5)", {}, 5),
        ("VARCHAR(9)", {"length": 1}, 1),
    ],
)  # fmt: skip
def test_random_text_is_hexadecimal(kind: str, settings: dict[str, object], length: int) -> None:
    values = column(kind, settings)
    assert values.str.contains(f"^[0-9a-f]{{{length}}}$").all()
    assert "".join(values.str.head(1)).strip("0123456789abcdef") == ""
    assert values.str.head(1).n_unique() == 16


@pytest.mark.parametrize(("kind", "settings", "length"), [("BYTES", {}, 1024), ("BINARY(3)", {}, 3), ("VARBINARY(8)", {"length": 2}, 2)])
def test_random_bytes(kind: str, settings: dict[str, object], length: int) -> None:
    values = column(kind, settings)
    assert values.bin.size().unique().to_list() == [length]
    assert len({value[0] for value in values.to_list()}) > 200


def test_times_are_those_at_which_rows_were_due() -> None:
    clock = VirtualClock(START_MS)
    schema = schema_of(at="TIMESTAMP_LTZ(3)", local="TIMESTAMP(0)", exact="TIMESTAMP(9)", day="DATE", clock="TIME(0)", past="TIMESTAMP(3)")
    reader = source(schema, clock, rows_per_second=4, fields={"past": {"max_past": "1 hour"}}).open("0", None)
    clock.advance(1_300)
    read = reader.read()
    assert read is not None
    rows = read.batch.polars()
    assert rows.get_column("at").to_list() == [
        at(12, 0, second, ms * 1000) for second, ms in ((0, 0), (0, 250), (0, 500), (0, 750), (1, 0), (1, 250))
    ]
    assert rows.get_column("exact").to_list() == rows.get_column("at").to_list()
    assert rows.get_column("local").dt.second().to_list() == [0, 0, 0, 0, 1, 1]
    assert rows.get_column("day").to_list() == [date(2026, 1, 1)] * 6
    assert rows.get_column("clock").to_list() == [time(12, 0, 0)] * 4 + [time(12, 0, 1)] * 2
    past = rows.select(pl.col("at") - pl.col("past")).to_series()
    assert past.min() >= pl.Series([0]).cast(pl.Duration("ms")).item()
    assert past.dt.total_minutes().max() <= 60  # type: ignore[operator]  # a number
    assert past.n_unique() == 6


def test_sequences() -> None:
    schema = schema_of(i="TINYINT", d="DECIMAL(5, 2)", x="DOUBLE", s="VARCHAR(3)", at="TIMESTAMP_LTZ(3)", local="TIMESTAMP(9)")
    counting = {"kind": "sequence", "start": -2, "end": 2}
    fields = {
        "i": counting, "d": counting, "x": counting, "s": counting,
        "at": {"kind": "sequence", "start": "2026-01-01T00:00:00+01:00", "step": "1 min"},
        "local": {"kind": "sequence", "start": at(0), "step": "1500 ms"},
    }  # fmt: skip
    rows = frame(schema, fields=fields)
    assert rows.get_column("i").to_list() == [-2, -1, 0, 1, 2]
    assert rows.get_column("d").to_list() == [Decimal("-2.00"), Decimal("-1.00"), Decimal("0.00"), Decimal("1.00"), Decimal("2.00")]
    assert rows.get_column("x").to_list() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert rows.get_column("s").to_list() == ["-2", "-1", "0", "1", "2"]
    assert [str(value) for value in rows.get_column("at")][:2] == ["2025-12-31 23:00:00", "2025-12-31 23:01:00"]
    assert [str(value) for value in rows.get_column("local")][-1] == "2026-01-01 00:00:06"


def test_a_sequence_of_times_is_in_utc() -> None:
    first = frame(
        schema_of(at="TIMESTAMP_LTZ(3)"),
        number_of_rows=1,
        fields={"at": {"kind": "sequence", "start": datetime(2026, 1, 1, tzinfo=UTC), "step": "1 s"}},
    )
    assert first.item() == at(0)


def test_partitions_share_a_sequence_and_the_number_of_rows() -> None:
    schema = schema_of(n="INT")
    settings: dict[str, Any] = {"number_of_rows": 8, "partitions": 3, "fields": {"n": {"kind": "sequence", "start": 0, "end": 100}}}
    assert source(schema, **settings).partitions() == ("0", "1", "2")
    assert [frame(schema, name, **settings).get_column("n").to_list() for name in "012"] == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_the_shortest_sequence_ends_the_source_even_where_it_is_not_read() -> None:
    settings: dict[str, Any] = {"fields": {"n": {"kind": "sequence", "start": 1, "end": 5}, "m": {"kind": "sequence", "start": 1, "end": 3}}}
    assert frame(schema_of(n="INT"), **settings).get_column("n").to_list() == [1, 2, 3]
    assert CONNECTOR.source_bounded(options_of(**settings))
    assert not CONNECTOR.source_bounded(options_of())
    assert not CONNECTOR.source_bounded(options_of(fields={"t": {"kind": "sequence", "start": "2026-01-01T00:00:00Z", "step": "1 s"}}))


def test_nested_values() -> None:
    schema = schema_of(
        tags="ARRAY<VARCHAR(4)>", place="ROW<city STRING, at ROW<lat DOUBLE, lon DOUBLE>>", sizes="MAP<TINYINT, INT>", grid="ARRAY<ARRAY<INT>>"
    )
    fields = {
        "tags": {"length": 2, "element": {"length": 3, "null_rate": 0.5}},
        "place": {"null_rate": 0.5, "fields": {"city": {"length": 5}, "at": {"fields": {"lat": {"min": 1, "max": 2}}}}},
        "sizes": {"length": 4, "key": {"min": 0, "max": 2}, "value": {"min": 7, "max": 7}},
    }
    rows = frame(schema, number_of_rows=1_000, fields=fields)
    assert rows.schema == {item.name: polars_type(item.type) for item in schema.fields}
    tags = rows.get_column("tags")
    assert tags.list.len().unique().to_list() == [2]
    assert tags.explode().null_count() == pytest.approx(1_000, abs=150)
    assert tags.explode().drop_nulls().str.len_chars().unique().to_list() == [3]
    place = rows.get_column("place")
    assert place.null_count() == pytest.approx(500, abs=80)
    known = place.drop_nulls().struct
    assert known.field("city").str.len_chars().unique().to_list() == [5]
    assert known.field("at").struct.field("lat").is_between(1, 2).all()
    for entries in rows.get_column("sizes").to_list():
        keys = [entry["key"] for entry in entries]
        assert 1 <= len(keys) == len(set(keys)) <= 3
        assert set(keys) <= {0, 1, 2}
        assert {entry["value"] for entry in entries} == {7}
    assert rows.get_column("grid").list.len().unique().to_list() == [3]
    assert rows.get_column("grid").explode().list.len().unique().to_list() == [3]


def test_null_rate() -> None:
    for kind in ("INT", "STRING", "DECIMAL(9, 2)", "TIMESTAMP(3)", "BOOLEAN", "ARRAY<INT>"):
        assert column(kind, {"null_rate": 0.25}, rows=4_000).null_count() == pytest.approx(1_000, abs=130)
        assert column(kind, {"null_rate": 1}, rows=10).null_count() == 10
        assert column(kind, rows=100).null_count() == 0


def test_a_row_is_the_same_whatever_else_is_read_and_from_where() -> None:
    wide = schema_of(a="INT", b="STRING", c="DOUBLE", d="ARRAY<INT>")
    rows = DATAGEN_BLOCK_ROWS + 50
    whole = frame(wide, number_of_rows=rows)
    assert frame(schema_of(d="ARRAY<INT>", b="STRING"), number_of_rows=rows).equals(whole.select("d", "b"))
    assert frame(wide, position=DATAGEN_BLOCK_ROWS - 3, number_of_rows=rows).equals(whole.tail(53))
    assert whole.get_column("a").n_unique() > rows - 10  # Blocks do not repeat one another.


def test_seed_and_partition_change_the_rows() -> None:
    schema = schema_of(a="BIGINT", b="BIGINT")
    base = frame(schema, number_of_rows=50)
    assert not frame(schema, number_of_rows=50, seed=1).equals(base)
    assert not frame(schema, "1", number_of_rows=100, partitions=2).equals(frame(schema, "0", number_of_rows=100, partitions=2))
    assert not base.get_column("a").equals(base.get_column("b"))


def test_rows_come_when_they_are_due() -> None:
    clock = VirtualClock(START_MS)
    reader = source(schema_of(n="INT"), clock, rows_per_second=3, number_of_rows=5).open("0", None)
    counts = []
    for _ in range(9):
        read = reader.read()
        counts.append(None if read is None else (read.start, read.batch.rows, read.final))
        clock.advance(250)
    # Row i is due at i / 3 s; the reads are at 0, 250, 500, ... ms.
    assert counts == [(0, 1, False), None, (1, 1, False), (2, 1, False), (3, 1, False), None, (4, 1, True), None, None]
    assert reader.read() is None


def test_the_pace_is_that_of_all_partitions_together() -> None:
    clock = VirtualClock(START_MS)
    made = source(schema_of(n="INT"), clock, rows_per_second=1_000, partitions=4)
    readers = [made.open(name, None) for name in made.partitions()]
    clock.advance(2_000)
    total = 0
    for reader in readers:
        while (read := reader.read()) is not None:
            total += read.batch.rows
    assert total == 2_001  # The first was due at once.


def test_a_resumed_partition_starts_its_pace_anew() -> None:
    clock = VirtualClock(START_MS)
    reader = source(schema_of(at="TIMESTAMP(3)"), clock, rows_per_second=10).open("0", 1_000_000)
    read = reader.read()
    assert read is not None
    assert (read.start, read.batch.rows) == (1_000_000, 1)
    assert read.batch.polars().item() == at(12)


def test_no_rows() -> None:
    read = source(schema_of(n="INT"), number_of_rows=0).open("0", None).read()
    assert read is not None
    assert read.final
    assert read.batch.rows == 0
    assert list(read.batch.columns) == ["n"]


def test_rows_without_end_are_refused_where_an_end_is_asked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        source(schema_of(n="INT"), bounded=True)
    assert caught.value.code == "FLX-1106"
    assert "number_of_rows" in caught.value.hint
    assert source(schema_of(n="INT"), bounded=True, number_of_rows=1).bounded


@pytest.mark.parametrize(("partition", "position"), [("2", None), ("x", None), ("1", 3), ("0", 4)])
def test_positions_that_other_options_gave(partition: str, position: int | None) -> None:
    made = source(schema_of(n="INT"), number_of_rows=5, partitions=2)
    with pytest.raises(PositionExpired) as caught:
        made.open(partition, position)
    assert caught.value.code == "FLX-4205"


def test_a_sequence_of_times_ends_with_the_times_of_its_type() -> None:
    made = source(schema_of(t="TIMESTAMP(9)"), fields={"t": {"kind": "sequence", "start": "2262-01-01T00:00:00", "step": "1 d"}})
    with pytest.raises(ConfigError) as caught:
        made.open("0", None).read()
    assert caught.value.code == "FLX-1106"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"fields": {"n": 5}}, "takes a table"),
        ({"fields": {"n": {"kind": "sequnce"}}}, 'Did you mean "sequence"?'),
        ({"fields": {"n": {"kind": 1}}}, "is text"),
        ({"fields": {"n": {"mn": 1}}}, 'Did you mean "min"?'),
        ({"fields": {"n": {"min": True}}}, "is a number"),
        ({"fields": {"n": {"kind": "sequence", "min": 1}}}, 'of kind "sequence", which has no setting "min"'),
        ({"fields": {"n": {"start": 1}}}, 'of kind "random", which has no setting "start"'),
        ({"fields": {"n": {"kind": "sequence"}}}, 'needs "start"'),
        ({"fields": {"n": {"kind": "sequence", "start": 1}}}, 'needs "end"'),
        ({"fields": {"n": {"kind": "sequence", "start": 3, "end": 1}}}, "in front of its start"),
        ({"fields": {"n": {"kind": "sequence", "start": "soon", "end": 1}}}, "a whole number or a time"),
        ({"fields": {"n": {"kind": "sequence", "start": "2026-01-01", "end": 1}}}, 'needs "step"'),
        ({"fields": {"n": {"null_rate": 1.5}}}, "a share from 0 to 1"),
        ({"fields": {"n": {"null_rate": "half"}}}, "is a number"),
        ({"fields": {"n": {"length": 0}}}, "1 to 10000"),
        ({"fields": {"n": {"max_past": "long"}}}, "is a duration"),
        ({"fields": {"n": {"element": {"kind": "sequence", "start": 1, "end": 2}}}}, "a sequence counts whole rows"),
        ({"partitions": 1_000_000}, "The most is 100000"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(raw: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options_of(**raw)
    assert caught.value.code == "FLX-1106"
    assert said in caught.value.detail


def test_an_option_that_does_not_exist() -> None:
    with pytest.raises(NameNotFound):
        options_of(row_per_second=1)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("INT", {"max": 3_000_000_000}, "cannot hold 3000000000"),
        ("INT", {"max": 1.5}, "cannot hold 1.5"),
        ("INT", {"max": "many"}, "no number"),
        ("DOUBLE", {"max": "inf"}, "cannot hold"),
        ("DECIMAL(4, 2)", {"max": 1.234}, "cannot hold 1.234"),
        ("DECIMAL(4, 2)", {"max": 100}, "cannot hold 100"),
        ("INT", {"min": 5, "max": 1}, "least value 5"),
        ("INT", {"length": 1}, 'takes no "length"'),
        ("STRING", {"min": 1}, 'takes no "min"'),
        ("DATE", {"max_past": "1 d"}, 'takes no "max_past"'),
        ("CHAR(3)", {"length": 2}, "cannot have length 2"),
        ("VARCHAR(3)", {"length": 4}, "cannot have length 4"),
        ("INT", {"element": {}}, 'has no part "element"'),
        ("ROW<a INT>", {"fields": {"b": {}}}, 'has no part "b"'),
        ("ROW<a INT>", {"fields": {"a": {"max": 2**40}}}, "x.a"),
        ("MAP<INT, INT>", {"key": {"null_rate": 0.1}}, "keys"),
        ("INT NOT NULL", {"null_rate": 0.1}, "NOT NULL"),
        ("BOOLEAN", {"kind": "sequence", "start": 1, "end": 2}, "no sequence of numbers"),
        ("TINYINT", {"kind": "sequence", "start": 1, "end": 200}, "cannot hold 200"),
        ("VARCHAR(2)", {"kind": "sequence", "start": 1, "end": 200}, "cannot hold 200"),
        ("INT", {"kind": "sequence", "start": "2026-01-01T00:00:00Z", "step": "1 s"}, "starts at a time"),
        ("TIMESTAMP(3)", {"kind": "sequence", "start": "2026-01-01T00:00:00Z", "step": "1 s"}, "another type"),
        ("TIMESTAMP_LTZ(3)", {"kind": "sequence", "start": "2026-01-01T00:00:00", "step": "1 s"}, "another type"),
        ("TIMESTAMP(3)", {"kind": "sequence", "start": 1, "end": 2}, "no sequence of numbers"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_type(kind: str, settings: dict[str, object], said: str) -> None:
    schema = schema_of(x=kind)
    raw: dict[str, Any] = {"fields": {"x": settings}}
    with pytest.raises(ConfigError) as caught:
        CONNECTOR.check_schema(options_of(**raw), schema)
    assert caught.value.code == "FLX-1106"
    assert said in caught.value.fact
    with pytest.raises(ConfigError):
        source(schema, **raw)


def test_settings_of_a_field_that_does_not_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        CONNECTOR.check_schema(options_of(fields={"temprature": {"min": 1}}), schema_of(temperature="INT"))
    assert caught.value.hint == 'Did you mean "temperature"?'
    CONNECTOR.check_schema(options_of(fields={"temperature": {"min": 1}}), schema_of(temperature="INT"))
