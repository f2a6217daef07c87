"""Bring a pipeline back whose job has gone: from the newest complete checkpoint, or from where it is told."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.control.changes import refuse_changes
from fluxline.control.checkpoints import latest, lost, refuse_running
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.jobs import flink_environment, found_deployment
from fluxline.control.submit import Submission, SubmitOptions
from fluxline.engines.flink.gateway import missing_state
from fluxline.engines.flink.rest import Cluster
from fluxline.engines.flink.retained import METADATA, ends_of, job_of, path_here
from fluxline.errors import ExternalError, RecoveryError
from fluxline.limits import FLINK_LET_GO_MS_MAX, FLINK_POLL_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.deployment import Deployment
    from fluxline.engines.flink.rest import Job
    from fluxline.plan.nodes import Plan


def restore_job(
    plan: Plan,
    directory: Path,
    *,
    env: str | None = None,
    begins: str | None = None,
    overrides: Sequence[str] = (),
    told: Callable[[str], None] = lambda _step: None,
) -> Deployment:
    """Start the job again from what it had kept, as it was submitted: with its parallelism and settings, and with its workers.

    Args:
        plan: as written.
        directory: where the search for the project file starts.
        env: the environment.
        begins: the savepoint or checkpoint to go on from, if not from the newest.
        overrides: `key=value` settings beside those of the submission.
        told: called with each step, as it is done.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted.
        ResourceBusy: FLX-4520, it runs.
        RecoveryError: FLX-5801, its definition has changed; FLX-5804 to FLX-5806, there is nothing to go on from, or it is another pipeline's.
        FluxlineError: it cannot run, or a step failed; nothing of it is left then.
    """
    place, _deployment = found_deployment(plan.name, flink_environment(directory, env, overrides))
    with place.held():
        deployment = place.read()
        assert deployment is not None
        environment = as_submitted(deployment, directory, env, overrides)
        refuse_running(deployment, 'A pipeline that runs needs no restore. To go back to a savepoint, stop it first: "fluxline stop".')
        cluster = Cluster(deployment.rest, SystemClock())
        job = cluster.find(deployment.job_id) if deployment.job_id else None
        refuse_changes(deployment, place.kept_plan(), plan, told)
        if begins is None:
            begins = _newest(deployment, job, cluster)
        else:
            begins = _checked(begins, deployment, plan, environment)
            if begins != (newest := latest(deployment, job, cluster)) and newest is not None:
                told(f"{newest} is newer than {begins}: rows that were written in between are written again")
        _wait_for_slots(deployment, cluster, environment.flink.parallelism or 1)
        options = SubmitOptions(bounded=deployment.bounded, workers=deployment.workers, overrides=(*deployment.overrides, *overrides), told=told)
        return Submission(plan, environment, place, options, goes_on=True, keep_workers=True).run(begins)


def as_submitted(deployment: Deployment, directory: Path, env: str | None, overrides: Sequence[str], parallelism: int | None = None) -> Environment:
    """The environment with the settings of the submission, and those of this call over them."""
    copies = parallelism or deployment.parallelism
    kept = [] if copies is None else [f"flink.parallelism={copies}"]
    return flink_environment(directory, env, [*deployment.overrides, *kept, *overrides])


def _newest(deployment: Deployment, job: Job | None, cluster: Cluster) -> str:
    """What it goes on from, by itself.

    Raises:
        RecoveryError: FLX-5806.
    """
    if job is not None and job.state == "FINISHED" and deployment.savepoint is None:
        what = f"Job {job.id} ended as it should, and its checkpoints with it."
        raise _nothing(deployment, what, f"Submit it again, which starts over: fluxline submit --env {deployment.environment}.")
    found = latest(deployment, job, cluster)
    if found is None and not deployment.job_id:  # Cut off before there was a job: as if it had not been.
        found = deployment.began_from
    if found is not None:
        return found
    gone = lost(deployment, job, cluster)
    hint = "Name what to go on from with --from, or start over: fluxline submit --fresh."
    if deployment.began_from is not None:
        hint = f"If it had completed none, it goes on from where it began: --from {deployment.began_from}. Else start over: fluxline submit --fresh."
    detail = f"{gone.why} {gone.unknown}" if gone is not None else "It was stopped without a savepoint, or its submission was cut off."
    raise _nothing(deployment, detail, hint)


def _nothing(deployment: Deployment, detail: str, hint: str) -> RecoveryError:
    return RecoveryError("FLX-5806", f'"{deployment.pipeline}" has nothing that is known to go on from', detail=detail, hint=hint)


def _checked(begins: str, deployment: Deployment, plan: Plan, environment: Environment) -> str:
    """A savepoint or checkpoint that somebody names, as Flink takes it, once it is known to be there and of this pipeline, as far as that shows.

    Raises:
        RecoveryError: FLX-5804, FLX-5805.
    """
    here = path_here(begins)
    if here is not None:
        begins = here.as_uri()
        if here.parent.is_dir() and not (here / METADATA).is_file():  # Where its surroundings are not here, it may be elsewhere.
            raise missing_state(
                begins, f"{here} has no file {METADATA}." if here.is_dir() else f"{here.parent} is there, and {here.name} is not in it."
            )
    elif "://" not in begins:
        raise missing_state(begins, "It is neither an absolute path nor an address.")
    if _is_of(begins, deployment):
        return begins
    for path in sorted(environment.embedded.directory.glob("*/deployment.json")):
        other = DeploymentDirectory(path.parent).read()
        if other is not None and other.pipeline != plan.name and _is_of(begins, other):
            raise _other(begins, plan, f'It is of pipeline "{other.pipeline}".')
    ends = ends_of(begins)
    if ends is None or not (ends.sources or ends.sinks):
        return begins  # Flink says whether it fits.
    missing = {"source": {scan.source for scan in plan.scans()} - ends.sources, "sink": {sink.name for sink in plan.sinks} - ends.sinks}
    lacking = [f'{role} "{name}"' for role, names in missing.items() for name in sorted(names)]
    if lacking:
        has = ", ".join(sorted({*ends.sources, *ends.sinks}))
        raise _other(begins, plan, f"It has nothing of {', '.join(lacking)}; it has {has}.")
    return begins


def _is_of(begins: str, deployment: Deployment) -> bool:
    return begins.rstrip("/") in {_path_of(each) for each in deployment.savepoints} or job_of(begins) in deployment.jobs


def _path_of(savepoint: str) -> str:
    """The same address in one spelling: Flink writes `file:/x`, others `file:///x`."""
    here = path_here(savepoint)
    return savepoint.rstrip("/") if here is None else here.as_uri()


def _other(begins: str, plan: Plan, detail: str) -> RecoveryError:
    hint = "Give a savepoint of its own; those that fluxline savepoint and fluxline stop made are known to be."
    return RecoveryError("FLX-5805", f'"{begins}" is not of pipeline "{plan.name}"', detail=detail, hint=hint)


def _wait_for_slots(deployment: Deployment, cluster: Cluster, needed: int) -> None:
    """Wait until no task manager works for the job that has gone, and enough slots are free.

    Two jobs of one identity would be in each other's way; and task managers need seconds to find a job manager that has come back.

    Raises:
        ExternalError: FLX-4534, they do not let go in time; FLX-4505, they are too few.
    """
    deadline_ms = cluster.clock.monotonic_ms() + FLINK_LET_GO_MS_MAX
    while True:
        held = cluster.slots_of(deployment.job_id) if deployment.job_id else 0
        if not held and cluster.overview().free_slots >= needed:
            return
        if cluster.clock.monotonic_ms() >= deadline_ms:
            break
        cluster.clock.wait(Event(), FLINK_POLL_MS)
    if not held:
        cluster.require_slots(needed)
        return
    raise ExternalError(
        "FLX-4534",
        "task managers still work for a job that has gone",
        detail=f"They hold {held} slots for {deployment.job_id}.",
        hint="Wait until they have noticed, or restart them.",
    )
