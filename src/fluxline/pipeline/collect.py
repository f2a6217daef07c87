"""`Stream.collect`: from streams to names, then to `control`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.errors import DefinitionError, UnsupportedByEngine
from fluxline.plan import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    import polars as pl

    from fluxline.control.collect import collect as collect_node

    if stream._window is not None:
        raise UnsupportedByEngine(
            "FLX-2190",
            "rows with their windows, not aggregated, are not part of this version",
            hint="Aggregate them: .group_by(...).agg(...).",
            place=place,
        )
    if rows_max is not None and (not isinstance(rows_max, int) or rows_max < 1):
        raise DefinitionError("FLX-2122", f"rows_max is a whole number of at least 1, not {rows_max!r}", place=place)
    named = {}
    for given, value in inputs.items():
        node = getattr(given, "_node", None)
        if not isinstance(node, nodes.Scan) or given._pipeline is not stream._pipeline:
            raise DefinitionError(
                "FLX-2171",
                f"inputs are given for sources of the pipeline, and {given!r} is not one",
                hint="Use what pipeline.source(...) returned.",
                place=place,
            )
        if not isinstance(value, pl.DataFrame | Path | str):
            raise DefinitionError("FLX-2122", f"an input is a Polars frame or a path, not {type(value).__name__}", place=place)
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
