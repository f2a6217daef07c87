"""The reference computation against rows worked out by hand, the shipped data against its own description."""

from __future__ import annotations

import hashlib
import io
import math
import re
from pathlib import Path

import polars as pl
import pytest

from tests.reference.sensors import NOW_MS, Expected, Refused, compute, decode, depth, java_text, judge, read_bytes, split_lines, time_ms

DATA = Path(__file__).parents[2] / "examples" / "sensors" / "data"
READINGS, EXTRA = DATA / "readings.ndjson.zst", DATA / "extra.ndjson"


def reading(seconds: str, sensor_id: int, temperature: float) -> bytes:
    """A line of 1970-01-01 at these minutes and seconds."""
    return f'{{"sensor_id": {sensor_id}, "temperature": {temperature}, "timestamp": "1970-01-01T00:{seconds}Z"}}\n'.encode()


def row(milliseconds: int, sensor_id: int, temperature: float) -> dict[str, object]:
    """The row of such a line."""
    return {"sensor_id": sensor_id, "temperature": temperature, "humidity": None, "timestamp": milliseconds}


def test_six_rows_and_a_second_partition(tmp_path: Path) -> None:
    # Windows of 60 s, a delay of 10 s.                     greatest   watermark in front of the row
    first = [
        reading("00:10", 1, 20.0),  #                        10         none     [0, 60): used
        reading("00:50", 1, 26.0),  #                        50          0       used; an alert
        reading("01:09.999", 2, 25.0),  #                    69.999     40       [60, 120): used; 25.0 is no alert
        reading("00:30", 1, 30.0),  #                        69.999     59.999   [0, 60) ends by 59.999: late; an alert
        reading("01:00", 1, 22.0),  #                        69.999     59.999   [60, 120): used
        b'{"sensor_id": 1, "temp',  #                        malformed
    ]
    # A partition of its own: 20 s is not late here, whatever the other file saw.
    second = [reading("00:20", 1, 23.0)]
    (tmp_path / "a.ndjson").write_bytes(b"".join(first))
    (tmp_path / "b.ndjson").write_bytes(b"".join(second))
    expected = compute([tmp_path / "b.ndjson", tmp_path / "a.ndjson"], threshold=25.0, window_ms=60_000, watermark_ms=10_000)
    assert expected.read == 7
    assert expected.alerts == [
        {**row(50_000, 1, 26.0), "message": "High temperature detected - 26.0°C"},
        {**row(30_000, 1, 30.0), "message": "High temperature detected - 30.0°C"},
    ]
    assert expected.averages == [
        (1, 0, 60_000, 23.0, 3),  # (20 + 26 + 23) / 3
        (1, 60_000, 120_000, 22.0, 1),
        (2, 60_000, 120_000, 25.0, 1),
    ]
    assert expected.late == [row(30_000, 1, 30.0)]
    [rejected] = expected.rejected
    assert (rejected.file, rejected.line, rejected.reason, rejected.record) == ("a.ndjson", 6, "malformed", b'{"sensor_id": 1, "temp')
    assert rejected.position == sum(len(line) for line in first[:5])
    assert expected.rejected_by_reason() == {"malformed": 1}
    assert list(expected.readings) == [(1, 10_000), (1, 50_000), (2, 69_999), (1, 30_000), (1, 60_000), (1, 20_000)]


def test_the_last_reading_of_a_key_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(reading("00:10", 1, 20.0) + reading("00:10", 2, 21.0) + reading("00:10", 1, 22.0))
    expected = compute([file])
    assert expected.readings == {(1, 10_000): row(10_000, 1, 22.0), (2, 10_000): row(10_000, 2, 21.0)}
    assert expected.averages == [(1, 0, 3_600_000, 21.0, 2), (2, 0, 3_600_000, 21.0, 1)]


def test_with_no_delay_a_row_is_not_late_by_its_equals(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    last = reading("00:59.999", 1, 20.0)
    file.write_bytes(last + last + reading("01:00", 1, 21.0) + last)
    # The delay is 1 ms: the watermark is 59.998 in front of the second row and 59.999, the end of its window, in front of the fourth.
    assert [record.late for record in judge(file, window_ms=60_000, watermark_ms=0)] == [False, False, False, True]


def test_windows_before_1970_begin_below_their_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b'{"sensor_id": 1, "temperature": 20.0, "timestamp": "1969-12-31T23:59:59.999Z"}')
    assert compute([file], window_ms=60_000).averages == [(1, -60_000, 0, 20.0, 1)]


def test_only_a_line_feed_ends_a_line() -> None:
    assert split_lines(b"") == []
    assert split_lines(b"a") == [b"a"]
    assert split_lines(b"a\r\n\nb\x0b\x85\rc\n") == [b"a\r\n", b"\n", b"b\x0b\x85\rc\n"]


def test_milliseconds_of_a_date() -> None:
    assert time_ms("1970-01-01T00:00:00Z") == 0
    assert time_ms("1970-01-02T00:00:01.25Z") == 86_401_250
    assert time_ms("1969-12-31T23:59:59.999999Z") == -1  # finer digits are cut off: .999
    assert time_ms("2024-06-07T12:00:00Z") == 1_717_761_600_000


def test_depth_counts_brackets_outside_of_strings() -> None:
    assert depth("1") == 0
    assert depth('{"a": [[], {"b": 1}], "c": {}}') == 3
    assert depth('{"[[[": "{\\"[", "\\\\": "["}') == 1


HEALTHY = b'{"sensor_id": 1, "temperature": 20.5, "humidity": 40, "timestamp": "2016-01-11T17:00:00Z"'


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "malformed"),
        (b"  ", "malformed"),
        (b"null", "malformed"),
        (b"[1]", "malformed"),
        (HEALTHY, "malformed"),
        (HEALTHY + b"} x", "malformed"),
        (HEALTHY + b"}{}", "malformed"),
        (HEALTHY + b', "a": 01}', "malformed"),
        (HEALTHY + b', "a": NaN}', "malformed"),
        (HEALTHY + b', "a": "\xff"}', "not_utf8"),
        (HEALTHY + b', "a": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", "too_deep"),
        (HEALTHY + b', "a": "' + b"x" * 4 * 1024 * 1024 + b'"}', "too_large"),
        (HEALTHY.replace(b'"sensor_id": 1, ', b"") + b"}", "missing"),
        (HEALTHY + b', "sensor_id": null}', "missing"),
        (HEALTHY + b', "sensor_id": true}', "wrong_type"),
        (HEALTHY + b', "sensor_id": 1.0}', "wrong_type"),
        (HEALTHY + b', "sensor_id": 1e2}', "wrong_type"),
        (HEALTHY + b', "sensor_id": -9223372036854775809}', "out_of_range"),
        (HEALTHY + b', "temperature": null}', "missing"),
        (HEALTHY + b', "temperature": false}', "wrong_type"),
        (HEALTHY + b', "temperature": "21.5"}', "wrong_type"),
        (HEALTHY + b', "temperature": 1e400}', "out_of_range"),
        (HEALTHY + b', "temperature": 1' + b"0" * 5_000 + b"}", "out_of_range"),
        (HEALTHY + b', "humidity": {}}', "wrong_type"),
        (HEALTHY + b', "timestamp": null}', "no_event_time"),
        (HEALTHY + b', "timestamp": 1452531600000}', "wrong_type"),
        (HEALTHY + b', "timestamp": "2016-01-11 17:00:00Z"}', "wrong_type"),
        (HEALTHY + b', "timestamp": "2016-01-11T17:00:00"}', "wrong_type"),
        (HEALTHY + b', "timestamp": "2016-02-30T00:00:00Z"}', "out_of_range"),
        (HEALTHY + b', "timestamp": "2025-01-02T00:00:00.001Z"}', "too_far_ahead"),  # more than a day after 2025-01-01
    ],
)
def test_a_refused_record_has_a_reason(record: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=f"^{reason}$"):
        decode(record, time_ms_max=NOW_MS + 86_400_000)


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        (HEALTHY + b"}", {}),
        (b" " + HEALTHY + b"}\t\r", {}),
        (HEALTHY + b', "humidity": null}', {"humidity": None}),
        (HEALTHY.replace(b'"humidity": 40, ', b"") + b"}", {"humidity": None}),
        (HEALTHY + b', "temperature": 21}', {"temperature": 21.0}),
        (HEALTHY + b', "sensor_id": 9223372036854775807}', {"sensor_id": 2**63 - 1}),
        (HEALTHY + b', "sensor_id": -9223372036854775808}', {"sensor_id": -(2**63)}),
        (HEALTHY + b', "timestamp": "2025-01-02T00:00:00Z"}', {"timestamp": NOW_MS + 86_400_000}),
        (HEALTHY + b', "a": ' + b"[" * 999 + b"]" * 999 + b"}", {}),
        (HEALTHY + b', "a": "' + b"[" * 2_000 + b'", "b": 1' + b"0" * 5_000 + b"}", {}),
    ],
)
def test_a_healthy_record_is_a_row(record: bytes, changes: dict[str, object]) -> None:
    healthy = {"sensor_id": 1, "temperature": 20.5, "humidity": 40.0, "timestamp": 1_452_531_600_000}
    assert decode(record, time_ms_max=NOW_MS + 86_400_000) == {**healthy, **changes}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (25.5, "25.5"), (-26.0, "-26.0"), (100.0, "100.0"), (26.89, "26.89"),
        (25.000000000000004, "25.000000000000004"), (0.1 + 0.2, "0.30000000000000004"),
        (0.001, "0.001"), (0.00099, "9.9E-4"), (0.0123, "0.0123"), (9_999_999.0, "9999999.0"), (1e7, "1.0E7"), (123_456_789.5, "1.234567895E8"),
        (5e-324, "4.9E-324"), (1.7976931348623157e308, "1.7976931348623157E308"), (2.2250738585072014e-308, "2.2250738585072014E-308"),
        (1e23, "1.0E23"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_a_double_prints_as_in_java(value: float, text: str) -> None:
    assert java_text(value) == text


@pytest.fixture(scope="module")
def shipped() -> Expected:
    """The outputs for readings.ndjson.zst alone."""
    return compute([READINGS])


def test_the_readings_have_the_known_counts(shipped: Expected) -> None:
    assert shipped.read == 177_615 == 19_735 * 9
    assert len(shipped.readings) == 177_615
    assert len(shipped.alerts) == 5_404
    # 19,735 instants from 17:00 to 18:00 of the 137th day after: 137 * 24 hours from 17:00 on, the hours from 17:00 and 18:00 of the last day.
    assert len(shipped.averages) == 9 * (137 * 24 + 2)
    assert shipped.averages[0][:3] == (1, time_ms("2016-01-11T17:00:00Z"), time_ms("2016-01-11T18:00:00Z"))
    assert shipped.late == []
    assert shipped.rejected == []


def test_polars_gives_the_same_averages(shipped: Expected) -> None:
    frame = pl.read_ndjson(io.BytesIO(read_bytes(READINGS)))
    hour = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ms").dt.truncate("1h").cast(pl.Int64)
    averages = frame.group_by("sensor_id", hour.alias("window_start")).agg(mean=pl.col("temperature").mean(), readings=pl.len())
    assert frame.filter(pl.col("temperature") > 25).height == len(shipped.alerts)
    second = averages.sort("sensor_id", "window_start").rows()
    assert [(sensor_id, start, count) for sensor_id, start, _mean, count in second] == [(item[0], item[1], item[4]) for item in shipped.averages]
    assert [mean for _, _, mean, _ in second] == pytest.approx([item[3] for item in shipped.averages], rel=1e-12)


def test_the_extra_file_is_what_its_description_says() -> None:
    table = re.findall(r"^\| (\d+) \| (\w+) \| (yes)? ?\|", (DATA / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    seen = []
    for record in judge(EXTRA):
        alert = record.row is not None and record.row["temperature"] > 25.0
        seen.append((str(record.line), record.reason or ("late" if record.late else "used"), "yes" if alert else ""))
    assert len(table) == 44
    assert seen == table


def test_the_extra_file_alone() -> None:
    # Worked out from the table in the data's README: which lines are used, and their hours.
    expected = compute([EXTRA])
    assert (expected.read, len(expected.alerts), len(expected.late), len(expected.readings)) == (44, 12, 4, 21)
    assert expected.rejected_by_reason() == {
        "malformed": 5, "missing": 2, "no_event_time": 2, "not_utf8": 1, "out_of_range": 2, "too_far_ahead": 1, "wrong_type": 7,
    }  # fmt: skip
    three, four, five, six = (time_ms(f"2016-05-27T{hour}:00:00Z") for hour in (15, 16, 17, 18))
    assert [(sensor_id, start, readings) for sensor_id, start, _, _, readings in expected.averages] == [
        (1, three, 4), (1, four, 1), (1, six, 1), (1, time_ms("2024-06-07T12:00:00Z"), 1), (2, three, 2), (3, three, 2),
        (4, four, 2), (5, four, 3), (6, five, 1), (7, five, 1), (8, five, 1), (2**63 - 1, five, 1),
    ]  # fmt: skip
    # Lines 1, 5, 10, 12: (21.5 + 25 + 20 + 22) / 4; 28; 42; 44; 2, 6; 3, 8; 11, 13; 19 to 21: 76 / 3; 25; 31; 34; 37.
    means = [22.125, 23.25, 25.5, 22.5, 25.5, 24.5, 27.125, 76 / 3, 25.1, 26.75, 23.5, 18.0]
    assert [mean for _, _, _, mean, _ in expected.averages] == pytest.approx(means, rel=1e-12)
    assert {row["sensor_id"] for row in expected.late} == {1, 2, 9}
    assert expected.readings[5, time_ms("2016-05-27T16:33:00Z")]["temperature"] == 24.5


def test_both_files_agree_on_the_readings_that_they_share(shipped: Expected) -> None:
    extra = compute([EXTRA])
    shared = extra.readings.keys() & shipped.readings.keys()
    assert shared == {(1, time_ms("2016-05-27T18:00:00Z"))}
    assert all(extra.readings[key] == shipped.readings[key] for key in shared)
    hours = {item[:2] for item in extra.averages}
    assert len(hours & {item[:2] for item in shipped.averages}) == 10
    assert len(hours) == 12


def test_every_rejected_temperature_would_raise_an_alert() -> None:
    for record in judge(EXTRA):
        if record.reason:
            numbers = [float(text) for text in re.findall(rb'"temperature": (\d[\d.]*)', record.record)]
            assert all(number >= 31.0 for number in numbers), record


def test_the_description_names_the_files_that_are_there() -> None:
    description = (DATA / "README.md").read_text(encoding="utf-8")
    for content, records in ((READINGS.read_bytes(), 177_615), (read_bytes(READINGS), 177_615), (EXTRA.read_bytes(), 44)):
        assert f"| {records:,} | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |" in description
