"""The public test kit: `drive` runs a pipeline step by step, in memory or on Flink; `contracts` hold connectors and formats to their word."""

from __future__ import annotations

from fluxline.testing.drive import Drive
from fluxline.testing.driven import Driven, utc

__all__ = ["Drive", "Driven", "utc"]
