"""`Stream.collect`: from streams to names, then to `control`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError, UnsupportedByEngine
from fluxline.plan import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from fluxline.errors import Place
    from fluxline.pipeline.stream import Stream


def collect(
    stream: Stream,
    *,
    env: str | None,
    inputs: Mapping[Stream, pl.DataFrame | Path | str],
    rows_max: int | None,
    within_ms: int | None,
    changelog: bool,
    place: Place | None,
) -> pl.DataFrame:
    """The rows of a stream; `inputs` gives sources frames or files instead of what an environment binds."""
    from fluxline.control.collect import collect as collect_node

    if stream._window is not None:
        raise UnsupportedByEngine(
            "FLX-2190",
            "rows with their windows, not aggregated, are not part of this version",
            hint="Aggregate them: .group_by(...).agg(...).",
            place=place,
        )
    if rows_max is not None and rows_max < 1:
        raise DefinitionError("FLX-2122", f"rows_max is at least 1, not {rows_max}", place=place)
    named = {}
    for given, value in inputs.items():
        node = given._node
        if not isinstance(node, nodes.Scan):
            raise DefinitionError(
                "FLX-2171", "inputs are given for sources, and this stream is not one", hint="Use what pipeline.source(...) returned.", place=place
            )
        named[node.source] = value
    return collect_node(
        stream._node,
        stream._pipeline._directory(),
        pipeline=stream._pipeline.name,
        inputs=named,
        env=env,
        rows_max=rows_max,
        within_ms=within_ms,
        changelog=changelog,
        place=place,
    )
