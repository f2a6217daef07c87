"""A test with controlled time, on the pipeline `sensors`."""

from fluxline.testing import Drive, utc
from tests.api.examples.sensors import Reading, averages, hourly, readings, sensors


def test_the_hour_closes_though_one_partition_sleeps(drive: Drive) -> None:
    """The watermark, an idle partition, a late row and a restart, step by step."""
    run = drive(sensors, partitions=2, now="2024-06-07T13:30Z")
    run.push(readings, Reading(sensor_id=1, temperature=20.0, humidity=None, timestamp=utc("2024-06-07T12:10Z")), partition=0)
    run.advance_clock("20 seconds")
    run.push(readings, Reading(sensor_id=1, temperature=30.0, humidity=None, timestamp=utc("2024-06-07T13:25Z")), partition=0)
    assert run.rows(averages) == []  # partition 1, silent, holds the watermark back
    run.advance_clock("11 seconds")  # it is idle now, partition 0 is not: the watermark is 13:05
    assert [row["mean"] for row in run.rows(averages)] == [20.0]
    run.push(readings, Reading(sensor_id=1, temperature=9.0, humidity=None, timestamp=utc("2024-06-07T12:15Z")), partition=0)
    assert len(run.rows(hourly.late)) == 1
    run.restart()  # save, kill, restore: the next assertions must still hold
    run.advance_watermark("2024-06-07T14:00Z")
    assert [row["mean"] for row in run.rows(averages)] == [20.0, 30.0]
