"""Fluxline: build and run real-time data pipelines, embedded or on Kafka, Flink and Cassandra, from one definition.

    from fluxline import Pipeline, Schema, col, count, tumble

The names below load when they are first used, so `import fluxline` is quick and loads no engine.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxline import errors, functions, testing, types
    from fluxline.control.job import Job
    from fluxline.pipeline.declare import Schema
    from fluxline.pipeline.expr import Expr, coalesce, col, concat, count, lit, when
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.pipeline.sink import Sink
    from fluxline.pipeline.stream import Stream
    from fluxline.pipeline.windows import Duration, tumble
    from fluxline.telemetry import Ledger, Report

__version__ = "0.1.0"

logging.getLogger("fluxline").addHandler(logging.NullHandler())

_HOMES = {
    "Duration": "pipeline.windows", "Expr": "pipeline.expr", "Job": "control.job", "Ledger": "telemetry", "Pipeline": "pipeline.pipeline",
    "Report": "telemetry", "Schema": "pipeline.declare", "Sink": "pipeline.sink", "Stream": "pipeline.stream", "coalesce": "pipeline.expr",
    "col": "pipeline.expr", "concat": "pipeline.expr", "count": "pipeline.expr", "lit": "pipeline.expr", "tumble": "pipeline.windows",
    "when": "pipeline.expr",
}  # fmt: skip
_MODULES = ("errors", "functions", "testing", "types")

__all__ = [
    "Duration", "Expr", "Job", "Ledger", "Pipeline", "Report", "Schema", "Sink", "Stream", "coalesce", "col", "concat", "count", "errors",
    "functions", "lit", "testing", "tumble", "types", "when",
]  # fmt: skip


if not TYPE_CHECKING:  # A type checker would take any name for known.

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used; a name that comes later refuses when it is called."""
        if name in _MODULES:
            return importlib.import_module(f"fluxline.{name}")
        if name in _HOMES:
            value: object = getattr(importlib.import_module(f"fluxline.{_HOMES[name]}"), name)
            globals()[name] = value
            return value
        from fluxline.pipeline.later import LATER, Refused

        if name in LATER:
            return Refused(name)
        raise AttributeError(f"module 'fluxline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
