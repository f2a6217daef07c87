"""The public test kit: `drive` runs a pipeline in memory on a virtual clock; `contracts` hold connectors and formats to their word."""

from __future__ import annotations

from fluxline.testing.drive import Drive, Driven, utc

__all__ = ["Drive", "Driven", "utc"]
