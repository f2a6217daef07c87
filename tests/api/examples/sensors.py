"""The page that shows everything: alerts, hourly averages per sensor, every reading stored."""

from datetime import datetime

from fluxline import Pipeline, Schema, col, concat, count, tumble


class Reading(Schema):
    sensor_id: int
    temperature: float
    humidity: float | None
    timestamp: datetime


sensors = Pipeline("sensors")
readings = sensors.source("sensor_data", schema=Reading, event_time="timestamp", watermark="20 minutes", idle_after="30 seconds")

alerts = (readings.filter(col("temperature") > 25)
                  .with_columns(message=concat("High temperature detected - ", col("temperature"), "°C"))
                  .sink("alerts"))  # fmt: skip

hourly = (readings.window(tumble("1 hour")).group_by("sensor_id")
                  .agg(mean=col("temperature").avg(), readings=count()))  # fmt: skip
averages = hourly.sink("hourly_averages", key=["sensor_id", "window_start"])
readings.sink("sensor_readings", key=["sensor_id", "timestamp"])
