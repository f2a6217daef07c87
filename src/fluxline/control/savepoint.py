"""Make a savepoint of a pipeline that goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.control.checkpoints import lost, restore_command
from fluxline.control.jobs import flink_environment, found_deployment
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.errors import ResourceMissing
from fluxline.limits import DEPLOYMENT_JOBS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.control.deployment import Deployment
    from fluxline.engines.flink.rest import Job


@dataclass(frozen=True, slots=True)
class Saved:
    """A pipeline, and the savepoint that was made of it."""

    deployment: Deployment
    savepoint: str


def savepoint_job(pipeline: str, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> Saved:
    """Make a savepoint of a pipeline; its job and its workers go on.

    Args:
        pipeline: its name.
        directory: where the search for the project file starts.
        env: the environment.
        overrides: `key=value` settings for this call.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted; FLX-4528, it does not run.
        ExternalError: FLX-4510, no savepoint was made.
    """
    environment = flink_environment(directory, env, overrides)
    place, _deployment = found_deployment(pipeline, environment)
    with place.held():
        deployment = place.read()
        assert deployment is not None
        cluster = Cluster(deployment.rest, SystemClock())
        job = require_running(deployment, cluster)
        savepoint = cluster.savepoint(job.id, environment.flink.savepoint_directory)
        deployment = replace(deployment, savepoints=(*deployment.savepoints, savepoint)[-DEPLOYMENT_JOBS_MAX:])
        place.write(deployment)
    return Saved(deployment, savepoint)


def require_running(deployment: Deployment, cluster: Cluster) -> Job:
    """The job of a pipeline that runs.

    Raises:
        ResourceMissing: FLX-4528.
    """
    job = cluster.find(deployment.job_id) if deployment.job_id else None
    if job is not None and job.state not in ENDED:
        return job
    gone = lost(deployment, job, cluster)
    hint = f"Start it: fluxline submit --env {deployment.environment}."
    if gone is not None:
        hint = f"Bring it back: {restore_command(deployment)}."
    raise ResourceMissing(
        "FLX-4528",
        f'pipeline "{deployment.pipeline}" does not run in environment "{deployment.environment}"',
        detail="It was stopped." if deployment.state == "stopped" else "Its job has ended." if gone is None else gone.why,
        hint=hint,
    )
