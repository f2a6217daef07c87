"""Names that do not exist, or not yet: a type checker says so before anything runs."""

import fluxline
from fluxline import Pipeline, Schema, col, count, functions, hop, tumble, types  # expect: attr-defined
from fluxline.testing import drives  # expect: attr-defined


class Reading(Schema):
    sensor_id: int
    temperature: float


pipeline: fluxline.Pipeline = Pipeline("sensors")
readings = pipeline.source("readings", schema=Reading)

readings.fliter(col("temperature") > 25)  # expect: attr-defined
readings.top_k(3, by="temperature")  # expect: attr-defined
pipeline.lookup("customers")  # expect: attr-defined
fluxline.session("30 minutes", per="sensor_id")  # expect: attr-defined
col("temperature").mean()  # expect: attr-defined
col("name").str.to_uppercase()  # expect: attr-defined
col("at").dt.minutes()  # expect: attr-defined
functions.to_upper(col("name"))  # expect: attr-defined
readings.window(tumble("1 hour")).group_by("sensor_id").aggregate(rows=count())  # expect: attr-defined
readings.sink("copy").chart("all")  # expect: attr-defined
waiting = (types.Metadatum, hop, drives)  # expect: attr-defined
