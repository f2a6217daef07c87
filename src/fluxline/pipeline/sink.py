"""What `.sink(...)` returns: the end of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fluxline.pipeline.near_misses import miss

if TYPE_CHECKING:
    from fluxline.pipeline.pipeline import Pipeline
    from fluxline.plan import nodes


class Sink:
    """A place that a stream is written to."""

    __slots__ = ("_pipeline", "_planned")

    def __init__(self, pipeline: Pipeline, planned: nodes.Sink) -> None:
        self._pipeline = pipeline
        self._planned = planned

    @property
    def name(self) -> str:
        """The name that the environment binds."""
        return self._planned.name

    @property
    def key(self) -> tuple[str, ...] | None:
        """The columns that identify a row there."""
        return self._planned.row_key

    def __repr__(self) -> str:
        key = f", key {', '.join(self.key)}" if self.key else ""
        return f"Sink({self.name}{key}: {self._planned.schema.describe()})"

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Sink", name, {})
