"""What the sensors example must give, computed record by record in plain Python; shares no code with the product.

    readings = source(sensor_id BIGINT NOT NULL, temperature DOUBLE NOT NULL, humidity DOUBLE, timestamp TIMESTAMP_LTZ(3) NOT NULL)
    alerts          = the readings with temperature > threshold, with a message                    appended
    hourly_averages = mean and count per sensor and tumbling window, of the readings not late      keyed by sensor, window_start
    sensor_readings = all readings                                                                 keyed by sensor, timestamp

- A file is one partition with a watermark of its own: its greatest event time so far, less the delay. A reading is late
  for the averages when its window has ended by the watermark *before* it; alerts and sensor_readings take it all the same.
- All files are taken to be read side by side, so the watermark of an operator, the least one of the open files, is never
  further than that of the reading's own file. Files that share a key must agree on its reading: their order is not defined.
- Times are milliseconds since 1970 in UTC. A record is judged in this order, and the first thing found is its reason: size,
  encoding, depth, JSON, the fields in the order of the schema, the clock.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Row = dict[str, Any]

RECORD_BYTES_MAX = 4 * 1024 * 1024
RECORD_DEPTH_MAX = 1_000
BIGINT_MIN, BIGINT_MAX = -(2**63), 2**63 - 1
FUTURE_SKEW_MS_MAX = 86_400_000
NOW_MS = 1_735_689_600_000  # 2025-01-01: behind every reading of the example that is to be accepted, long before the year 9999.


class Refused(Exception):
    """A record that cannot become a row; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One record of a file and what becomes of it: its row, or the reason why it is none.

    Attributes:
        file: name of the file.
        line: number of the line, from 1.
        position: where the line begins in the unpacked bytes.
        record: the line without its line feed.
        row: sensor_id, temperature, humidity, timestamp; None if the record was rejected.
        reason: why it was rejected, else an empty text.
        window_start: of the row's window.
        late: whether that window had ended by the watermark before the row.
    """

    file: str
    line: int
    position: int
    record: bytes
    row: Row | None = None
    reason: str = ""
    window_start: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """The outputs of the pipeline. A list has the order of the input, `averages` that of sensor and window.

    Attributes:
        alerts: rows of sensor_id, temperature, humidity, timestamp, message.
        averages: (sensor_id, window_start, window_end, mean, readings).
        late: the rows that came too late for their window.
        rejected: the records that did not become rows.
        readings: the last row of each (sensor_id, timestamp).
        read: number of records, of whatever kind.
    """

    alerts: list[Row]
    averages: list[tuple[int, int, int, float, int]]
    late: list[Row]
    rejected: list[Judged]
    readings: dict[tuple[int, int], Row]
    read: int

    def rejected_by_reason(self) -> dict[str, int]:
        """How many records were rejected for each reason."""
        return dict(sorted(Counter(record.reason for record in self.rejected).items()))


def compute(
    files: Iterable[Path],
    *,
    threshold: float = 25.0,
    window_ms: int = 3_600_000,
    watermark_ms: int = 1_200_000,
    now_ms: int = NOW_MS,
) -> Expected:
    """The outputs for these files (NDJSON, packed with zstd where the name ends in `.zst`), taken in the order of their names."""
    alerts: list[Row] = []
    late: list[Row] = []
    rejected: list[Judged] = []
    readings: dict[tuple[int, int], Row] = {}
    temperatures: dict[tuple[int, int], list[float]] = defaultdict(list)
    read = 0
    for file in sorted(files, key=lambda file: file.name):
        for record in judge(file, window_ms=window_ms, watermark_ms=watermark_ms, now_ms=now_ms):
            read += 1
            row = record.row
            if row is None:
                rejected.append(record)
                continue
            readings[row["sensor_id"], row["timestamp"]] = row
            if row["temperature"] > threshold:
                alerts.append({**row, "message": f"High temperature detected - {java_text(row['temperature'])}°C"})
            if record.late:
                late.append(row)
            else:
                temperatures[row["sensor_id"], record.window_start].append(row["temperature"])
    averages = [
        (sensor_id, window_start, window_start + window_ms, math.fsum(values) / len(values), len(values))
        for (sensor_id, window_start), values in sorted(temperatures.items())
    ]
    return Expected(alerts, averages, late, rejected, readings, read)


def judge(file: Path, *, window_ms: int = 3_600_000, watermark_ms: int = 1_200_000, now_ms: int = NOW_MS) -> Iterator[Judged]:
    """The records of one file, in order."""
    delay_ms = max(1, watermark_ms)  # A delay of 0 is run as 1 ms, so that a row is never late by its equals.
    event_time_max: int | None = None
    position = 0
    for number, line in enumerate(split_lines(read_bytes(file)), start=1):
        start, position = position, position + len(line)
        record = line.removesuffix(b"\n")
        try:
            row = decode(record, time_ms_max=now_ms + FUTURE_SKEW_MS_MAX)
        except Refused as refused:
            yield Judged(file.name, number, start, record, reason=str(refused))
            continue
        event_time = row["timestamp"]
        window_start = event_time // window_ms * window_ms
        late = event_time_max is not None and window_start + window_ms - 1 <= event_time_max - delay_ms
        yield Judged(file.name, number, start, record, row, "", window_start, late)
        event_time_max = event_time if event_time_max is None else max(event_time_max, event_time)


def read_bytes(file: Path) -> bytes:
    """The content of a file, unpacked."""
    content = file.read_bytes()
    return bytes(zstd.decompress(content)) if file.suffix == ".zst" else content


def split_lines(content: bytes) -> list[bytes]:
    """The lines with their line feed; only a line feed ends a line, and the last line may lack it."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop()
    return lines if last == b"\n" else [*lines, last[:-1]]


def decode(record: bytes, *, time_ms_max: int) -> Row:
    """The row of one record, its timestamp in milliseconds.

    Raises:
        Refused: with the reason.
    """
    if len(record) > RECORD_BYTES_MAX:
        raise Refused("too_large")
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    if text.count("[") + text.count("{") > RECORD_DEPTH_MAX and depth(text) > RECORD_DEPTH_MAX:
        raise Refused("too_deep")
    fields = _json_object(text)
    sensor_id = _bigint(fields.get("sensor_id"))
    temperature = _double(fields.get("temperature"))
    humidity = None if fields.get("humidity") is None else _double(fields["humidity"])
    timestamp = _event_time(fields.get("timestamp"))
    if timestamp > time_ms_max:
        raise Refused("too_far_ahead")
    return {"sensor_id": sensor_id, "temperature": temperature, "humidity": humidity, "timestamp": timestamp}


def depth(text: str) -> int:
    """How deep arrays and objects nest, the outermost counting 1; what stands in strings does not count."""
    deepest = level = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text, re.DOTALL):
        level += (token[0] in "[{") - (token[0] in "]}")
        deepest = max(deepest, level)
    return deepest


def time_ms(text: str) -> int:
    """Milliseconds since 1970 of a date in ISO-8601 form with `Z`; finer digits are cut off.

    Raises:
        Refused: wrong_type if the text has another form, out_of_range if there is no such date.
    """
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", text, re.ASCII)
    if match is None:
        raise Refused("wrong_type")
    try:
        whole = datetime(*(int(part) for part in match.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        raise Refused("out_of_range") from None
    seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 1_000 + int((match[7] or "0").ljust(3, "0")[:3])


def java_text(value: float) -> str:
    """A double as Java prints it: the fewest digits that give it back, plain from 0.001 up to 10,000,000, else with an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    value = abs(value)
    if value == 0:
        return f"{sign}0.0"
    digits, exponent = _shortest(value)
    if 1e-3 <= value < 1e7:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        digits = digits.ljust(exponent + 2, "0")
        return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


_time_ms_cached = lru_cache(maxsize=100_000)(time_ms)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = _JSON.decode(text)
    except json.JSONDecodeError:
        raise Refused("malformed") from None
    except RecursionError:  # Python's reader gives up somewhat before our own limit.
        value = _json_of_deep_text(text)
    if not isinstance(value, dict):
        raise Refused("malformed")
    return value


def _json_of_deep_text(text: str) -> object:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 4 * RECORD_DEPTH_MAX)
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError:
        raise Refused("malformed") from None
    finally:
        sys.setrecursionlimit(limit)


def _integer(digits: str) -> int:
    """The integer; one of thousands of digits, which Python refuses to convert, as another that is far outside every type."""
    return int(digits[:1_000])


def _no_constant(_word: str) -> NoReturn:
    raise Refused("malformed")  # NaN and Infinity: Python's reader takes them, JSON has no such words.


_JSON = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)


def _bigint(value: object) -> int:
    if value is None:
        raise Refused("missing")
    if type(value) is not int:
        raise Refused("wrong_type")
    if not BIGINT_MIN <= value <= BIGINT_MAX:
        raise Refused("out_of_range")
    return value


def _double(value: object) -> float:
    if value is None:
        raise Refused("missing")
    if type(value) not in (int, float):
        raise Refused("wrong_type")
    try:
        number = float(value)  # type: ignore[arg-type]  # an int or float
    except OverflowError:
        raise Refused("out_of_range") from None
    if math.isinf(number):
        raise Refused("out_of_range")
    return number


def _event_time(value: object) -> int:
    if value is None:
        raise Refused("no_event_time")
    if not isinstance(value, str):
        raise Refused("wrong_type")
    return _time_ms_cached(value)


def _shortest(value: float) -> tuple[str, int]:
    """The significant digits of a positive number without closing zeros, and the power of ten of the first."""
    number = Decimal(repr(value)).normalize()
    if len(number.as_tuple().digits) == 1:  # Java may use a second digit to come closer, as in 4.9E-324.
        closer = Decimal(f"{value:.1e}").normalize()
        number = closer if float(closer) == value else number
    return "".join(str(digit) for digit in number.as_tuple().digits), number.adjusted()
