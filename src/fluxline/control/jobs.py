"""Submitted pipelines: how they stand, job and workers as one, and how they are ended as one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.checkpoints import Lost, lost, restore_command
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.ends import topic_endpoint
from fluxline.control.ingest import paused
from fluxline.control.ledger import SourceCount, source_counts
from fluxline.control.stack import full_disks
from fluxline.control.vertices import JobView
from fluxline.control.worker_processes import end_workers, expects_workers, running_workers
from fluxline.control.worker_state import read_watcher_state, waiting_workers
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.errors import ConnectionLost, ExternalError, ResourceMissing
from fluxline.limits import DEPLOYMENT_JOBS_MAX, FLINK_POLL_MS, JOB_FAILS_MS, WORKER_DRAIN_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fluxline.clock import Clock
    from fluxline.config import Environment
    from fluxline.control.deployment import Deployment
    from fluxline.control.vertices import JobFailure, VertexStatus
    from fluxline.control.worker_state import WatcherState
    from fluxline.engines.flink.rest import Job
    from fluxline.engines.worker.drain import Waiting


@dataclass(frozen=True, slots=True)
class Ingested:
    """How far an ingested source is, as it was last kept.

    Attributes:
        moved: records in its topic.
        rejected: records in its topic of rejected ones.
        ended: whether the source was read to its end.
    """

    moved: int
    rejected: int
    ended: bool


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One submitted pipeline.

    Attributes:
        deployment: what is kept of it.
        state: Flink's word for the job's state, or `GONE` where the cluster knows it no more.
        job: of Flink, or None.
        failure: why the job failed last; None if it did not.
        late_dropped: what Flink's own operators dropped as late; it should be 0, and is None where nobody tells.
        lags: per relayed sink, the records that workers have not written yet; nothing where brokers do not answer.
        ingested: per ingested source, how far it is in its topic.
        workers: processes on this machine that read and write for it.
        sources: how far each source in Kafka is read, at least.
        vertices: how each vertex of the job stands; None where nobody asked, or no job is known.
        lost: what became of it where its job has gone, or failed, without having been stopped; None where it runs, or ended as it should.
        waiting: per relayed sink, that workers on this machine wait for its system.
        watcher: what the watcher of the workers says; None where there is none, as of a pipeline that is stopped.
        trouble: that the brokers do not answer, which Flink does not tell of a job that runs; None where they do.
    """

    deployment: Deployment
    state: str
    job: Job | None
    failure: JobFailure | None
    late_dropped: int | None
    lags: Mapping[str, int]
    ingested: Mapping[str, Ingested]
    workers: tuple[int, ...]
    sources: tuple[SourceCount, ...] = ()
    vertices: tuple[VertexStatus, ...] | None = None
    trouble: ConnectionLost | None = None
    lost: Lost | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    watcher: WatcherState | None = None

    @property
    def settled(self) -> bool:
        """Whether the job has ended and workers are known to have written everything."""
        ended = self.state in ENDED or (self.state == "GONE" and self.deployment.state == "stopped")
        return ended and self.trouble is None and not any(self.lags.values())

    @property
    def cause(self) -> str:
        """Why the job failed last, in Flink's words; empty if it did not."""
        failure = self.failure
        return "" if failure is None else f"{failure.kind}: {failure.message}" if failure.kind else failure.message


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a pipeline was ended: the savepoint, if one was made, and how many workers on this machine ended with it."""

    deployment: Deployment
    savepoint: str | None
    workers: int


def jobs(directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> list[JobStatus]:
    """How the submitted pipelines of a project's environment stand, by name.

    Raises:
        FluxlineError: the environment cannot be resolved, or a record cannot be read.
        ConnectionLost: FLX-4502, the cluster does not answer. That brokers do not is part of how a pipeline stands.
    """
    environment = flink_environment(directory, env, overrides)
    root = environment.embedded.directory
    found = [DeploymentDirectory(path.parent) for path in sorted(root.glob("*/deployment.json"))]
    return [_status(place, deployment, environment) for place in found if (deployment := place.read()) is not None]


def job_status(pipeline: str, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> JobStatus:
    """How one submitted pipeline stands, with the vertices of its job.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted.
        FluxlineError: as `jobs`.
    """
    environment = flink_environment(directory, env, overrides)
    place, deployment = found_deployment(pipeline, environment)
    return _status(place, deployment, environment, vertices=True)


def wait_for_job(
    pipeline: str, directory: Path, *, env: str | None = None, overrides: Sequence[str] = (), timeout_ms: int | None = None
) -> JobStatus:
    """Wait until the job has ended by itself and workers have written all of it.

    Returns:
        How it stands; look whether it is `settled`, since the time may be over first.

    Raises:
        ExternalError: FLX-4505 or FLX-4506, the job failed; FLX-4527, the cluster knows it no more.
        ConnectionLost: FLX-4401, the brokers do not answer when the job has ended.
        FluxlineError: as `jobs`.
    """
    environment = flink_environment(directory, env, overrides)
    place, deployment = found_deployment(pipeline, environment)
    clock = SystemClock()
    cluster = Cluster(deployment.rest, clock)
    deadline_ms = None if timeout_ms is None else clock.monotonic_ms() + timeout_ms
    while True:
        in_time = deadline_ms is None or clock.monotonic_ms() < deadline_ms
        if in_time and _runs(cluster, deployment):  # one question; brokers and metrics are asked when it has ended
            clock.wait(Event(), FLINK_POLL_MS)
            continue
        found = _status(place, deployment, environment)
        if found.trouble is not None:
            raise found.trouble
        if found.state in ENDED and found.state != "FINISHED":
            raise ExternalError("FLX-4506", f'the job "{pipeline}" ended as {found.state} on Flink') if found.failure is None else found.failure.error
        if found.state == "GONE" and not found.settled:
            raise _forgotten(deployment, found.lost)
        if found.settled or not in_time:
            return found
        clock.wait(Event(), FLINK_POLL_MS)


def stop_job(
    pipeline: str,
    directory: Path,
    *,
    env: str | None = None,
    overrides: Sequence[str] = (),
    cancel: bool = False,
    drain: bool = False,
    told: Callable[[str], None] = lambda _step: None,
) -> Stopped:
    """End a pipeline: ingestion, then the job with a savepoint, then the workers once they have written what it left.

    Args:
        pipeline: its name.
        directory: where the search for the project file starts.
        env: the environment.
        overrides: `key=value` settings for this call.
        cancel: end it now, without a savepoint and without waiting for workers.
        drain: let open windows come out first; the next submission starts over.
        told: called with each step, as it is done.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted.
        ExternalError: FLX-4510 no savepoint was made, the job goes on; FLX-4523 workers did not write everything in time;
            FLX-4526 a worker does not leave its source, everything goes on.
    """
    environment = flink_environment(directory, env, overrides)
    place, _deployment = found_deployment(pipeline, environment)
    clock = SystemClock()
    with place.held():
        deployment = place.read()
        assert deployment is not None
        cluster = Cluster(deployment.rest, clock)
        savepoint = None
        with paused(deployment, place, clock, told, wait=not cancel):
            if _runs(cluster, deployment):
                if cancel:
                    cluster.cancel(deployment.job_id)
                    told(f"job {deployment.job_id} is cancelled")
                else:
                    savepoint = cluster.stop(deployment.job_id, environment.flink.savepoint_directory, drain=drain)
                    told(f"job {deployment.job_id} has stopped, its savepoint is {savepoint}")
        if savepoint is None and (gone := lost(deployment, cluster.find(deployment.job_id) if deployment.job_id else None, cluster)) is not None:
            told(gone.why if gone.begins is None else f"{gone.why} From {gone.begins} it comes back with: {restore_command(deployment)}")
        deployment = with_savepoint(deployment, savepoint, goes_on=not drain)
        place.write(deployment)
        if not cancel:
            _await_workers(place, deployment, environment, clock)
        ended = end_workers(place, clock)
        deployment = replace(deployment, state="stopped")
        place.write(deployment)
    return Stopped(deployment, savepoint, ended)


def with_savepoint(deployment: Deployment, savepoint: str | None, *, goes_on: bool = True) -> Deployment:
    """The record of a pipeline that was stopped.

    Args:
        deployment: as it was.
        savepoint: the one that was made, if one was.
        goes_on: whether the next submission goes on from it, or else from the one that is known.
    """
    if savepoint is not None:
        deployment = replace(deployment, savepoints=(*deployment.savepoints, savepoint)[-DEPLOYMENT_JOBS_MAX:])
    return replace(deployment, savepoint=(savepoint or deployment.savepoint) if goes_on else None)


def flink_environment(directory: Path, env: str | None, overrides: Sequence[str]) -> Environment:
    """The environment, which has a cluster.

    Raises:
        FluxlineError: there is no such environment, or another engine runs its pipelines.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    refuse_unsupported(environment, "flink")
    return environment


def found_deployment(pipeline: str, environment: Environment) -> tuple[DeploymentDirectory, Deployment]:
    """Where the pipeline's record is, and the record.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted.
    """
    place = DeploymentDirectory(environment.embedded.directory / pipeline)
    deployment = place.read()
    if deployment is None:
        hint = f"Submit it first: fluxline submit --env {environment.name}."
        raise ResourceMissing("FLX-4524", f'pipeline "{pipeline}" was not submitted in environment "{environment.name}"', hint=hint)
    return place, deployment


def _status(place: DeploymentDirectory, deployment: Deployment, environment: Environment, *, vertices: bool = False) -> JobStatus:
    cluster = Cluster(deployment.rest)
    try:
        job = cluster.find(deployment.job_id) if deployment.job_id else None
    except ConnectionLost as error:
        again = f"start it again (of a local stack: fluxline stack restart jobmanager), then the job: {restore_command(deployment)}"
        error.hint = f"{error.hint} If its job manager was lost, {again}."
        raise
    lags, sources, trouble = dict[str, int](), tuple[SourceCount, ...](), None
    try:
        lags, sources = _lags(deployment, environment), source_counts(deployment.sources, environment)
    except ConnectionLost as error:
        trouble = error
    found = JobStatus(
        deployment,
        state="GONE" if job is None else job.state,
        job=job,
        failure=None,
        late_dropped=None,
        lags=lags,
        ingested={each.source: _ingested(place, each.source) for each in deployment.ingests},
        workers=tuple(running_workers(place)),
        sources=sources,
        trouble=trouble,
        waiting=waiting_workers(place),
        watcher=read_watcher_state(place),
    )
    found = replace(found, lost=lost(deployment, job, cluster))
    if job is not None:
        view, late = JobView(cluster, place.kept_plan(), job), cluster.late_dropped(job.id)
        found = replace(found, failure=view.failure(), late_dropped=late, vertices=view.vertices() if vertices else None)
    _tell_of_full_disks(found, environment)
    return found


def _tell_of_full_disks(found: JobStatus, environment: Environment) -> None:
    """Add to what is wrong now that a disk is full, where that can be known."""
    failure = found.failure
    fails = failure is not None and (found.state != "RUNNING" or SystemClock().now_ms() - failure.at_ms < JOB_FAILS_MS)
    wrong = [error for error in (found.trouble, failure.error if failure is not None and fails else None) if error is not None]
    if wrong and (said := full_disks(environment)):
        for error in wrong:
            error.detail = f"{error.detail} {said}".strip()


def _ingested(place: DeploymentDirectory, source: str) -> Ingested:
    kept = place.ingest(source).load()
    return Ingested(0, 0, False) if kept is None else Ingested(kept.moved, kept.rejected, kept.ended)


def _forgotten(deployment: Deployment, gone: Lost | None) -> ExternalError:
    """The error to raise for a job that nobody stopped, and that its cluster knows no more."""
    again = "starts over" if deployment.savepoint is None else f"goes on from {deployment.savepoint}"
    hint = f"Look what the outputs hold, then submit the pipeline again, which {again}: fluxline submit --env {deployment.environment}."
    if gone is not None and gone.begins is not None:
        hint = f"Bring it back from {gone.begins}: {restore_command(deployment)}."
    return ExternalError(
        "FLX-4527",
        f'the cluster at "{deployment.rest}" knows the job of "{deployment.pipeline}" no more',
        detail=f"It was {deployment.job_id}. The cluster was restarted, or the job ended so long ago that the cluster forgot how."
        if deployment.job_id
        else "Its submission was cut off before there was a job.",
        hint=hint,
    )


def _lags(deployment: Deployment, environment: Environment) -> dict[str, int]:
    from fluxline.connectors.kafka.group import lag
    from fluxline.connectors.kafka.options import KafkaOptions

    found = {}
    for relay in deployment.relays:
        endpoint = topic_endpoint(environment, f"{deployment.pipeline}.{relay.sink}", place=None, reveal=True)
        assert endpoint is not None, "a relay was made over the environment's Kafka"
        assert isinstance(endpoint.options, KafkaOptions)
        found[relay.sink] = lag(endpoint.options, relay.topic, relay.group)
    return found


def _runs(cluster: Cluster, deployment: Deployment) -> bool:
    job = cluster.find(deployment.job_id) if deployment.job_id else None
    return job is not None and job.state not in ENDED


def _await_workers(place: DeploymentDirectory, deployment: Deployment, environment: Environment, clock: Clock) -> None:
    """Wait until the topics of the relays are empty for the workers.

    Raises:
        ExternalError: FLX-4523.
    """
    deadline_ms = clock.monotonic_ms() + WORKER_DRAIN_MS_MAX
    while any((lags := _lags(deployment, environment)).values()):
        if not expects_workers(place) or clock.monotonic_ms() >= deadline_ms:
            left = ", ".join(f"{count} records for {sink}" for sink, count in lags.items() if count)
            raise ExternalError(
                "FLX-4523",
                "workers have not written everything",
                detail=f"The job has stopped; its topics still hold {left}. {len(running_workers(place))} workers run on this machine.",
                hint='Start one with "fluxline worker" and stop again, or leave the rows in the topics: fluxline stop --cancel.',
            )
        clock.wait(Event(), FLINK_POLL_MS)
