"""`fluxline jobs`: how the submitted pipelines stand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import environment_options, output_option, project_option

if TYPE_CHECKING:
    from fluxline.control.jobs import Ingested, JobStatus
    from fluxline.control.ledger import SourceCount
    from fluxline.control.vertices import JobFailure, OperatorPlace, VertexStatus
    from fluxline.errors import Place

WORKER_SAID_LINES = 12
"""Of what a worker said before it died: an error with its detail and hint, and how the process ended."""


@click.command("jobs")
@click.argument("pipeline", required=False)
@project_option
@environment_options
@output_option
def jobs(pipeline: str | None, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Show the pipelines that were submitted to the environment's cluster: each with its job, its workers and what they have still to write.

    With PIPELINE, a pipeline's name, it is that one alone, and each vertex of its job: which operators of the pipeline run in it and where they
    are written, records in and out, its watermark and how far that is behind the clock, and how busy it is.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.targets import project_start
    from fluxline.control.jobs import job_status
    from fluxline.control.jobs import jobs as look

    start = project_start(project)
    found = look(start, env=env, overrides=overrides) if pipeline is None else [job_status(pipeline, start, env=env, overrides=overrides)]
    if output == "json":
        say_json({"pipelines": [as_json(each) for each in found]})
    elif not found:
        say("no pipeline was submitted")
    else:
        say([line for each in found for line in (*lines_of(each), *vertex_lines(each))])
    return 0


def lines_of(found: JobStatus) -> list[str]:
    """How one pipeline stands, for people."""
    deployment = found.deployment
    since = f"{datetime.fromtimestamp(deployment.submitted_at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    state = "stopped" if deployment.state == "stopped" else found.state.lower()
    lines = [f"{deployment.pipeline} in {deployment.environment}: {state}, submitted {since}"]
    lines.append(f"  job {deployment.job_id} at {deployment.rest}")
    if found.failure is not None:
        lines += [f"  {line}" for line in _failure_lines(found.failure)]
    if found.lost is not None:
        lines += [f"  {line}" for line in _lost_lines(found)]
    if found.trouble is not None:
        lines.append(f"  ALARM: {found.trouble.code}  {found.trouble.fact}; a job that waits for them fails only when Kafka's own time is over")
        lines += [f"    {word}: {text}" for word, text in (("detail", found.trouble.detail), ("hint", found.trouble.hint)) if text]
    if found.late_dropped:
        lines.append(f"  ALARM: Flink's own operators dropped late rows ({found.late_dropped}), which no output has")
    lines += [f"  {source_line(source)}" for source in found.sources]
    lines += [f"  {each.source}: {each.connector} -> topic {each.topic}, {_ingested(found.ingested[each.source])}" for each in deployment.ingests]
    for relay in deployment.relays:
        lag = found.lags.get(relay.sink)
        left = "what is left is not known" if lag is None else f"{lag:,} records to write" if lag else "all written"
        lines.append(f"  {relay.sink}: topic {relay.topic} -> {relay.connector}, {left}")
        waiting = found.waiting.get(relay.sink)
        if waiting is not None:
            lines.append(f"    ALARM: workers wait for {relay.connector} since {_instant(waiting.since_ms)}, and go on when it takes rows")
            lines += [f"    detail: {waiting.detail}"] if waiting.detail else []
    if deployment.relays or deployment.ingests:
        count = len(found.workers)
        lines.append(
            f"  {count} {'worker' if count == 1 else 'workers'} on this machine" + (f": {', '.join(map(str, found.workers))}" if count else "")
        )
        lines += [f"  {line}" for line in _watcher_lines(found)]
    if deployment.savepoint is not None and found.lost is None:
        lines.append(f"  the next submission goes on from {deployment.savepoint}")
    return lines


def _lost_lines(found: JobStatus) -> list[str]:
    from fluxline.control.checkpoints import restore_command

    lost = found.lost
    assert lost is not None
    if lost.begins is None:
        return [f"ALARM: {lost.why} {lost.unknown}", "  hint: fluxline restore says what it can go on from"]
    return [f"ALARM: {lost.why} It can go on from {lost.begins}", f"  bring it back: {restore_command(found.deployment)}"]


def source_line(source: SourceCount) -> str:
    """How far a source is read, for people."""
    read, left = source.offsets_read_min, source.offsets_left_max
    if read is None or left is None:
        return f"{source.source}: topic {source.topic}, how far it is read is not known"
    known = f"at least {read:,} offsets read, at most {left:,} left" if left else f"{read:,} offsets read, none left"
    return f"{source.source}: topic {source.topic}, {known}"


def _watcher_lines(found: JobStatus) -> list[str]:
    """What became of workers that died."""
    watcher, lines = found.watcher, list[str]()
    if watcher is None:
        return lines
    if not watcher.alive:
        lines.append(f"ALARM: process {watcher.pid}, which replaces workers that die, has gone; workers go on, and the next submission has one again")
    for worker in watcher.workers:
        if not worker.deaths or worker.died_at_ms is None:
            continue
        died = f"died {worker.deaths} time{'' if worker.deaths == 1 else 's'}, last at {_instant(worker.died_at_ms)}"
        if worker.given_up:
            lines.append(f"ALARM: worker {worker.number} {died}, each time soon after its start: it is not started any more. It said:")
            lines += [f"  {line}" for line in worker.said.splitlines()[-WORKER_SAID_LINES:]]
        else:
            lines.append(f"worker {worker.number} {died}, and is replaced")
    return lines


def _ingested(found: Ingested) -> str:
    rejected = f", {found.rejected:,} rejected" if found.rejected else ""
    return f"{found.moved:,} records moved{rejected}" + (", all of them" if found.ended else "")


def _failure_lines(failure: JobFailure) -> list[str]:
    error = failure.error
    where = "" if error.place is None else f"   {_line_of(error.place)}"
    lines = [f"failed last at {_instant(failure.at_ms)}: {error.code}  {error.fact}{where}", f"  detail: {error.detail}"]
    return lines if not error.hint else [*lines, f"  hint: {error.hint}"]


def vertex_lines(found: JobStatus) -> list[str]:
    """How the vertices of its job stand, for people; none where nobody asked."""
    from fluxline.control.vertices import shortened

    lines = []
    for number, vertex in enumerate(found.vertices or (), 1):
        operators = ", ".join(str(each) for each in vertex.operators) or "no operator of the pipeline is known to run here"
        lines.append(f"  vertex {number}: {operators}")
        lines.append(f"    {vertex.state.lower()}, {vertex.subtasks} subtask{'' if vertex.subtasks == 1 else 's'}; {_flow(vertex)}")
        if vertex.unknown:
            lines.append(f"    beside them, what Flink calls {', '.join(vertex.unknown)}")
        lines.append(f"    {shortened(vertex.name)}")
    return lines


def _flow(vertex: VertexStatus) -> str:
    came, went = ("not told yet" if count is None else f"{count:,}" for count in (vertex.records_in, vertex.records_out))
    parts = [f"records in: {came}, out: {went}"]
    if vertex.input_ended:
        parts.append("watermark at the end of the input")
    elif vertex.watermark_ms is None or vertex.watermark_lag_ms is None:
        parts += ["watermark: none yet"] if vertex.state == "RUNNING" else []
    else:
        way = "behind" if vertex.watermark_lag_ms >= 0 else "ahead"
        parts.append(f"watermark {_instant(vertex.watermark_ms)}, {_length(abs(vertex.watermark_lag_ms))} {way}")
    parts += [f"{what} {value} ms/s" for what, value in (("busy", vertex.busy_ms), ("back-pressured", vertex.back_pressured_ms)) if value is not None]
    return "; ".join(parts)


def as_json(found: JobStatus) -> dict[str, object]:
    """The same as JSON."""
    deployment = found.deployment
    return {
        "name": deployment.pipeline,
        "environment": deployment.environment,
        "state": "STOPPED" if deployment.state == "stopped" else found.state,
        "job_id": deployment.job_id,
        "rest": deployment.rest,
        "submitted_at_ms": deployment.submitted_at_ms,
        "bounded": deployment.bounded,
        "cause": found.cause,
        "failure": None if found.failure is None else _failure_json(found.failure),
        "trouble": None if found.trouble is None else found.trouble.as_json(),
        "late_dropped": found.late_dropped,
        "sources": [asdict(source) for source in found.sources],
        "relays": [
            {"sink": relay.sink, "topic": relay.topic, "connector": relay.connector, "lag": found.lags.get(relay.sink)} for relay in deployment.relays
        ],
        "ingests": [
            {"source": each.source, "topic": each.topic, "connector": each.connector, **asdict(found.ingested[each.source])}
            for each in deployment.ingests
        ],
        "workers": list(found.workers),
        "waiting": {sink: asdict(each) for sink, each in found.waiting.items()},
        "watcher": None if found.watcher is None else asdict(found.watcher),
        "savepoint": deployment.savepoint,
        "lost": None if found.lost is None else asdict(found.lost),
        "vertices": None if found.vertices is None else [_vertex_json(vertex) for vertex in found.vertices],
    }


def _failure_json(failure: JobFailure) -> dict[str, object]:
    return {
        **failure.error.as_json(),
        "kind": failure.kind,
        "message": failure.message,
        "task": failure.task,
        "at_ms": failure.at_ms,
        "operators": [_operator_json(each) for each in failure.operators],
    }


def _vertex_json(vertex: VertexStatus) -> dict[str, object]:
    return {**asdict(vertex), "operators": [_operator_json(each) for each in vertex.operators], "unknown": list(vertex.unknown)}


def _operator_json(operator: OperatorPlace) -> dict[str, object]:
    place = operator.place
    return {"name": operator.name, "file": None if place is None else place.file, "line": None if place is None else place.line}


def _line_of(place: Place) -> str:
    from fluxline.errors import relative_path

    return f"{relative_path(place.file)}:{place.line}"


def _instant(at_ms: int) -> str:
    """ISO 8601; event time may be anywhere, also where calendars end."""
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _length(length_ms: int) -> str:
    """A time span by its two largest units."""
    left, parts = length_ms // 1000, []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts[:2]) or f"{length_ms} ms"
