"""Arguments of the wrong kind."""

from datetime import UTC, datetime

from fluxline import Pipeline, Schema, col, tumble


class Reading(Schema):
    sensor_id: int
    temperature: float
    timestamp: datetime


pipeline = Pipeline("sensors")
readings = pipeline.source("readings", schema=Reading, event_time="timestamp")

readings.filter("temperature > 25")  # expect: arg-type
readings.window(tumble(3600))  # expect: arg-type
readings.window("1 hour")  # expect: arg-type
readings.group_by("sensor_id").agg(rows=1)  # expect: arg-type
readings.sink("copy", ["sensor_id"])  # expect: call-arg
readings.map_batches(lambda frame: 1, schema=Reading)  # expect: arg-type,return-value
readings.expect(on_failure="ignore", positive=col("temperature") > 0)  # expect: arg-type
pipeline.source("other")  # expect: call-arg
pipeline.source("other", schema={"sensor_id": int})  # expect: dict-item
pipeline.source("other", schema=Reading, lateness="none")  # expect: arg-type
pipeline.explain(engine="spark")  # expect: arg-type
Reading(sensor_id="one", temperature=20.0, timestamp=datetime(2024, 6, 7, tzinfo=UTC))  # expect: arg-type
Reading(sensor_id=1, temperature=20.0)  # expect: call-arg
Reading(1, 20.0, datetime(2024, 6, 7, tzinfo=UTC))  # expect: call-arg
rows: list[int] = readings.collect(rows_max=1)  # expect: assignment
readings.updating = True  # expect: misc
