"""The tool that makes the example's data, on a table of two instants."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

from tests.reference.sensors import read_bytes

TOOL = Path(__file__).parents[2] / "examples" / "sensors" / "tools" / "make_data.py"
HEADER = '"date","Appliances",' + ",".join(f'"T{sensor}","RH_{sensor}"' for sensor in range(1, 10)) + ',"rv1"\n'


def table_row(date: str, first: str) -> str:
    """A row with these two values for sensor 1, and n.5 and n0 for every other sensor n."""
    return f'"{date}","  60",{first},' + ",".join(f'" {sensor}.50000000000000e+00","{sensor}0.00"' for sensor in range(2, 10)) + ',"13.2"\n'


def run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_table_becomes_one_reading_per_line(tmp_path: Path) -> None:
    # Out of order, with seventeen digits.
    table = HEADER + table_row("2016-01-11 17:10:00", '"20","44"') + table_row("2016-01-11 17:00:00", '"19.890000000000001","47.596666666666700"')
    packed = tmp_path / "table.csv.xz"
    packed.write_bytes(lzma.compress(table.encode()))
    plain = tmp_path / "table.csv"
    plain.write_text(table)
    for source in (packed, plain):
        done = run(source, tmp_path / f"{source.name}.zst")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.csv.zst").read_bytes() == (tmp_path / "table.csv.xz.zst").read_bytes()
    lines = read_bytes(tmp_path / "table.csv.zst").decode().split("\n")
    assert len(lines) == 2 * 9 + 1
    assert lines[0] == '{"sensor_id": 1, "temperature": 19.89, "humidity": 47.5966666666667, "timestamp": "2016-01-11T17:00:00Z"}'
    assert lines[1] == '{"sensor_id": 2, "temperature": 2.5, "humidity": 20.0, "timestamp": "2016-01-11T17:00:00Z"}'
    assert lines[9] == '{"sensor_id": 1, "temperature": 20.0, "humidity": 44.0, "timestamp": "2016-01-11T17:10:00Z"}'
    assert lines[17] == '{"sensor_id": 9, "temperature": 9.5, "humidity": 90.0, "timestamp": "2016-01-11T17:10:00Z"}'
    assert lines[18] == ""


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(HEADER.replace('"RH_4"', '"RH4"') + table_row("2016-01-11 17:00:00", '"20","44"'))
    broken = tmp_path / "broken.csv"
    broken.write_text(HEADER + table_row("2016-01-11 17:00:00", '"20","n/a"'))
    dated = tmp_path / "dated.csv"
    dated.write_text(HEADER + table_row("11 January", '"20","44"'))
    output = tmp_path / "out.zst"
    for source, told in (
        (tmp_path / "gone.csv", "No such file"), (other, "the table has no column RH_4"), (broken, "'n/a'"), (dated, '"11 January" is no instant'),
    ):  # fmt: skip
        done = run(source, output)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert not output.exists()
