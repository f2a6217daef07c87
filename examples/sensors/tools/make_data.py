"""Makes `data/readings.ndjson.zst` from the table of the "Appliances Energy Prediction" data set.

    python make_data.py minute_energy_appliance.csv.xz [readings.ndjson.zst]

The table has one row per instant and two columns per sensor (`T1`, `RH_1`, ... `T9`, `RH_9`); the result has one reading
per line, ordered by time and then by sensor:

    {"sensor_id": 1, "temperature": 19.89, "humidity": 47.5966666666667, "timestamp": "2016-01-11T17:00:00Z"}

- A value is the same double as in the table, written with the fewest digits that still give that double.
- The table names no time zone; its instants are taken as UTC.
- The same table gives the same lines, byte for byte. The compressed file is the same too as long as the zstd library is.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import lzma
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

SENSORS = range(1, 10)
COLUMNS = ("date", *(name for sensor in SENSORS for name in (f"T{sensor}", f"RH_{sensor}")))
INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LEVEL = 19  # The highest level whose window (8 MiB) every zstd decoder accepts without being asked.
OUTPUT = Path(__file__).parent.parent / "data" / "readings.ndjson.zst"


def main() -> None:
    """Read the arguments, write the file, print what was written."""
    parser = argparse.ArgumentParser(description='Makes readings.ndjson.zst from the table of the "Appliances Energy Prediction" data set.')
    parser.add_argument("table", type=Path, help="the table: .csv, or .csv.xz")
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT, help="the file to write (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        with open_table(arguments.table) as table:
            lines = list(readings(table))
    except (OSError, ValueError, lzma.LZMAError) as error:
        parser.error(f'cannot read "{arguments.table}": {error}')
    content = "".join(lines).encode()
    compressed = compress(content)
    arguments.output.write_bytes(compressed)
    print(f"{len(lines)} readings, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    print(f"{arguments.output}: {len(compressed)} bytes, sha256 {hashlib.sha256(compressed).hexdigest()}")


def open_table(path: Path) -> TextIO:
    """The table as text, unpacked if its name ends in `.xz`."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def readings(table: TextIO) -> Iterator[str]:
    """One line of JSON per reading, by time and then by sensor.

    Raises:
        ValueError: a column is missing, or a value is no number or instant.
    """
    rows = csv.DictReader(table)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}")
    for row in sorted(rows, key=lambda row: row["date"]):
        if not INSTANT.fullmatch(row["date"]):
            raise ValueError(f'"{row["date"]}" is no instant such as 2016-01-11 17:00:00')
        timestamp = row["date"].replace(" ", "T") + "Z"
        for sensor in SENSORS:
            temperature, humidity = float(row[f"T{sensor}"]), float(row[f"RH_{sensor}"])
            reading = {"sensor_id": sensor, "temperature": temperature, "humidity": humidity, "timestamp": timestamp}
            yield json.dumps(reading, allow_nan=False) + "\n"


def compress(content: bytes) -> bytes:
    """The bytes as one zstd frame, with a checksum."""
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: LEVEL, zstd.CompressionParameter.checksum_flag: 1}
    return zstd.compress(content, options=options)


if __name__ == "__main__":
    main()
