"""A pipeline: a named definition of sources, operators and sinks. Nothing is read before it runs."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from fluxline.errors import DefinitionError, NameNotFound, TimeAttributeMissing
from fluxline.options import parse_duration
from fluxline.pipeline.declare import table_schema
from fluxline.pipeline.expr import as_column
from fluxline.pipeline.later import refuse
from fluxline.pipeline.near_misses import PIPELINE, miss
from fluxline.pipeline.origin import here
from fluxline.pipeline.stream import Stream
from fluxline.plan import nodes
from fluxline.plan.expressions import Cast, Column
from fluxline.planner.bind import Scope, bind_column

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from fluxline.control.job import Job
    from fluxline.control.submitted import SubmittedJob
    from fluxline.errors import Place
    from fluxline.pipeline.declare import Schema
    from fluxline.pipeline.stream import ColumnLike, ColumnsLike
    from fluxline.schema import TableSchema
    from fluxline.telemetry import Report

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,248}")


class Pipeline:
    """A named definition: sources, operators, sinks."""

    def __init__(self, name: str, *, description: str = "") -> None:
        place = here()
        _check_name(name, "pipeline", place)
        self.name = name
        self.description = description
        self._place = place
        self._sources: dict[str, nodes.Scan] = {}
        self._sinks: dict[str, nodes.Sink] = {}
        self._labels: dict[str, nodes.Node] = {}

    def __repr__(self) -> str:
        return f"Pipeline({self.name}: {len(self._sources)} sources, {len(self._sinks)} sinks)"

    if not TYPE_CHECKING:  # A type checker would take any name for known.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            miss("Pipeline", name, PIPELINE)

    def source(
        self,
        name: str,
        *,
        schema: type[Schema] | Mapping[str, str],
        event_time: ColumnLike | None = None,
        watermark: str | timedelta = "0 seconds",
        idle_after: str | timedelta | None = "1 minute",
        max_future_skew: str | timedelta | None = "1 day",
        lateness: Literal["partition", "operator"] = "partition",
        key: ColumnsLike | None = None,
    ) -> Stream:
        """Declare what the pipeline reads.

        Args:
            name: the environment says where it lives.
            schema: its columns.
            event_time: the column that carries event time, or an expression with a name that computes it.
            watermark: how far out of order rows come; the watermark is the largest event time less this.
            idle_after: silence after which a partition no longer holds the watermark back; None: never.
            max_future_skew: a row further ahead of the time at which a topic logged it, else of the clock, is rejected and moves no
                watermark; None: no bound.
            lateness: whose watermark decides whether a row is late: that of the record's own "partition", so that the rows depend on
                the input alone; or the "operator"'s, the least of all partitions, as in plain Flink: cheaper there, but with several
                partitions the rows depend on which is read first, and Flink cannot show the late ones.
            key: an updating source; comes later.
        """
        place = here("source")
        _check_name(name, "source", place)
        if key is not None:
            raise refuse("source(key=...)", place)
        if lateness not in ("partition", "operator"):
            raise DefinitionError("FLX-2122", f'lateness is "partition" or "operator", not {lateness!r}', place=place)
        declared = table_schema(schema, place)
        planned_time = strategy = None
        if event_time is not None:
            planned_time = _event_time(bind_column(as_column(event_time, place), Scope(declared, name)), declared, place)
            strategy = nodes.WatermarkStrategy(
                parse_duration(watermark, name="watermark", place=place),
                None if idle_after is None else parse_duration(idle_after, name="idle_after", place=place),
                None if max_future_skew is None else parse_duration(max_future_skew, name="max_future_skew", place=place),
                lateness,
            )
        elif (watermark, idle_after, max_future_skew) != ("0 seconds", "1 minute", "1 day"):
            raise TimeAttributeMissing(
                "FLX-2107",
                f'source "{name}" has no event time for watermark, idle_after or max_future_skew to act on',
                hint='Name the column that carries it: event_time="...".',
                place=place,
            )
        scan = nodes.Scan(name, declared, planned_time, strategy, place=place)
        known = self._sources.get(name)
        if known is not None and known != scan and not in_notebook():
            raise DefinitionError(
                "FLX-2143", f'source "{name}" is declared twice, with another definition', detail=f"The first is at {known.place}.", place=place
            )
        self._sources[name] = scan
        return Stream(self, scan)

    def check(self, *, env: str | None = None) -> None:
        """Refuse what cannot run; all problems at once, as an exception group."""
        from fluxline import control

        control.check(self._plan(), self._directory(), env=env)

    def explain(self, *, env: str | None = None, engine: Literal["embedded", "flink"] | None = None) -> str:
        """The plan, state bounds and guarantees."""
        from fluxline import control

        return control.explain(self._plan(), self._directory(), env=env, engine=engine)

    def run(self, *, env: str | None = None, bounded: bool = False) -> Report:
        """Run in this process until the input ends or a signal comes.

        Args:
            env: the environment of `fluxline.toml`.
            bounded: end where the input ends now, also where a source would follow it.
        """
        from fluxline import control

        _refuse_while_reading("run")
        return control.run(self._plan(), self._directory(), env=env, bounded=bounded)

    def start(self, *, env: str | None = None) -> Job:
        """Run in this process, in the background."""
        from fluxline import control

        _refuse_while_reading("start")
        return control.start(self._plan(), self._directory(), env=env)

    def submit(self, *, env: str | None = None, bounded: bool = False) -> SubmittedJob:
        """Run on the cluster of the environment: its topics, tables, job and workers are started as one.

        Args:
            env: the environment of `fluxline.toml`.
            bounded: end where the input ends now.

        Raises:
            FluxlineError: it cannot run there, or a step failed; nothing of it is left then.
        """
        from fluxline.control.submit import SubmitOptions, submit
        from fluxline.control.submitted import SubmittedJob

        _refuse_while_reading("submit")
        submit(self._plan(), self._directory(), env=env, options=SubmitOptions(bounded=bounded))
        return SubmittedJob(self.name, self._directory(), env)

    # Shared with Stream, discovery and tests.
    def _plan(self) -> nodes.Plan:
        if not self._sinks:
            raise DefinitionError("FLX-2145", f'pipeline "{self.name}" has no sink', hint='End a stream with .sink("name").', place=self._place)
        return nodes.Plan(self.name, tuple(self._sinks.values()), self.description)

    def _directory(self) -> Path:
        """Where the search for `fluxline.toml` starts: beside the user's file."""
        file = Path(self._place.file) if self._place is not None else None
        return file.resolve().parent if file is not None and file.is_file() and not in_notebook() else Path.cwd()

    def _add_sink(self, sink: nodes.Sink) -> None:
        _check_name(sink.name, "sink", sink.place)
        known = self._sinks.get(sink.name)
        if known is not None and known != sink:
            if not in_notebook():
                raise DefinitionError(
                    "FLX-2146", f'sink "{sink.name}" is written twice, by other plans', detail=f"The first is at {known.place}.", place=sink.place
                )
            sys.stderr.write(f'sink "{sink.name}" replaces the earlier one of that name\n')  # said where the user types
        if sink.name in self._sources:
            raise DefinitionError(
                "FLX-2147", f'"{sink.name}" is a source and a sink of one pipeline', hint="Give the sink another name.", place=sink.place
            )
        self._sinks[sink.name] = sink

    def _claim_name(self, label: str, node: nodes.Node, place: Place | None) -> None:
        _check_name(label, "stream", place)
        known = self._labels.get(label)
        if ((known is not None and known != node) or label in self._sources) and not in_notebook():
            raise DefinitionError("FLX-2148", f'the name "{label}" is taken by another stream', place=place)
        self._labels[label] = node


def _event_time(planned: nodes.NamedExpression, declared: TableSchema, place: Place | None) -> nodes.NamedExpression:
    """The time attribute: a declared column, or a column of its own."""
    expression = planned.expression
    if isinstance(expression, Column) and expression.name == planned.name:
        return planned
    if planned.name in declared:
        raise DefinitionError("FLX-2105", f'column "{planned.name}" is there twice', hint="Give the event time another name.", place=place)
    if isinstance(expression, Column):  # In a source a bare column stands for itself; under another name it is computed.
        return replace(planned, expression=Cast(expression, expression.type))
    return planned


def _refuse_while_reading(verb: str) -> None:
    """Refuse to run when somebody only looks for the pipelines of a file."""
    from fluxline.pipeline.discovery import importing

    if importing():
        raise DefinitionError(
            "FLX-2144",
            f"{verb}() was called while the file was being read for its pipelines",
            hint='Put it under: if __name__ == "__main__":',
            place=here(verb),
        )


def in_notebook() -> bool:
    """Whether the code runs in a notebook's or IPython's cells, which are run again and again."""
    interactive = sys.modules.get("IPython")
    return interactive is not None and interactive.get_ipython() is not None


def _check_name(name: str, what: str, place: Place | None) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise NameNotFound(
            "FLX-2149",
            f"{name!r} cannot be the name of a {what}",
            detail="A name starts with a letter or underscore and goes on with letters, digits, underscores, dots and hyphens; at most 249.",
            place=place,
        )
