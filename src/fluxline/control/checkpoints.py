"""What a job can go on from when its cluster has lost it, and what must be so that it can; everything else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.engines.flink.key_groups import GROUPS
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.engines.flink.retained import job_directory, newest_complete, path_here
from fluxline.errors import ExternalError, RecoveryError, ResourceBusy, UnsupportedByEngine

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fluxline.control.deployment import Deployment
    from fluxline.engines.flink.rest import Job

_INTERVAL = "execution.checkpointing.interval"
_DIRECTORIES = ("execution.checkpointing.dir", "state.checkpoints.dir")


@dataclass(frozen=True, slots=True)
class Lost:
    """A pipeline whose job has gone, or has ended otherwise than it should.

    Attributes:
        why: what happened, a full sentence.
        begins: the savepoint or checkpoint that a restore goes on from; None where none is known from here.
        unknown: where `begins` is None, why, a full sentence.
    """

    why: str
    begins: str | None
    unknown: str = ""


def lost(deployment: Deployment, job: Job | None, cluster: Cluster) -> Lost | None:
    """What became of a pipeline that runs no more; None where it runs, or has ended as it should.

    Args:
        deployment: what is kept of it.
        job: as the cluster knows it, if it does.
        cluster: where it ran.
    """
    if deployment.state == "stopped" or not deployment.job_id:
        return None
    if job is not None and (job.state not in ENDED or (job.state == "FINISHED" and deployment.savepoint is None)):
        return None
    if deployment.savepoint is not None:
        why = f"Job {deployment.job_id} was stopped with a savepoint, and the next one did not start."
    elif job is None:
        ended = "it ended and was forgotten, or " if deployment.bounded else ""
        why = f"The cluster knows job {deployment.job_id} no more: {ended}its job manager was lost or restarted."
    else:
        why = f"Job {job.id} ended as {job.state}."
    begins = latest(deployment, job, cluster)
    return Lost(why, begins, "" if begins is not None else _why_unknown(deployment))


def latest(deployment: Deployment, job: Job | None, cluster: Cluster) -> str | None:
    """The savepoint that it was stopped with, else the newest complete checkpoint of its last job; None where none is known from here.

    It is the newest or none: from an earlier one, rows that are there would come again.
    """
    if deployment.savepoint is not None or not deployment.job_id:
        return deployment.savepoint
    told = None if job is None else cluster.latest_checkpoint(job.id)
    if told is not None:
        return told
    directory = None if deployment.checkpoints is None else job_directory(deployment.checkpoints, deployment.job_id)
    return None if directory is None else newest_complete(directory)


def _why_unknown(deployment: Deployment) -> str:
    where, job_id = deployment.checkpoints, deployment.job_id
    if where is None:
        return "Its checkpoints were in the memory of the job manager, or Fluxline was of a version that kept no note of where they are."
    if path_here(where) is None:
        return f'Its checkpoints are below "{where}/{job_id}", which cannot be listed from here.'
    if job_directory(where, job_id) is None:
        return f'Its checkpoints were below "{where}/{job_id}", which is not there, or not on this machine.'
    return f'Below "{where}/{job_id}" is no complete checkpoint.'


def refuse_running(deployment: Deployment, hint: str = "") -> None:
    """Refuse where a job of the pipeline may still run.

    Raises:
        ResourceBusy: FLX-4520.
    """
    if deployment.state == "stopped" or not deployment.job_id:
        return
    job = Cluster(deployment.rest).find(deployment.job_id)
    if job is not None and job.state not in ENDED:
        raise ResourceBusy(
            "FLX-4520",
            f'pipeline "{deployment.pipeline}" runs already in environment "{deployment.environment}"',
            detail=f"It is job {deployment.job_id} at {deployment.rest}, {job.state}.",
            hint=hint or f'Stop it first: fluxline stop --env {deployment.environment}, or look: "fluxline jobs".',
        )


def refuse_lost(deployment: Deployment) -> None:
    """Refuse to begin anew where a job has gone that has checkpoints: what it wrote would be written twice.

    Raises:
        RecoveryError: FLX-5807.
    """
    cluster = Cluster(deployment.rest)
    found = lost(deployment, cluster.find(deployment.job_id) if deployment.job_id else None, cluster)
    if found is None or found.begins is None or deployment.savepoint is not None:
        return
    raise RecoveryError(
        "FLX-5807",
        f'"{deployment.pipeline}" was not stopped, and its job has gone',
        detail=f"{found.why} It can go on from {found.begins}; a submission would begin anew, and write again what is written.",
        hint=f"Bring it back: {restore_command(deployment)}. To begin anew all the same, submit with --fresh.",
    )


def restore_command(deployment: Deployment) -> str:
    """What brings the pipeline back."""
    return f"fluxline restore {deployment.pipeline} --env {deployment.environment}"


def refuse_parallelism(parallelism: int) -> None:
    """Refuse more copies of an operator than there are groups of keys.

    Raises:
        UnsupportedByEngine: FLX-4529.
    """
    if parallelism > GROUPS:
        raise UnsupportedByEngine(
            "FLX-4529",
            f"parallelism {parallelism} is above {GROUPS}",
            detail=f"A job keeps what it remembers in {GROUPS} groups of keys, for ever, and a copy of an operator needs one at least.",
            hint=f"Take {GROUPS} at most.",
        )


def refuse_other_readers(deployment: Deployment, parallelism: int | None) -> None:
    """Refuse a parallelism with which a job that goes on would have other steps.

    A source with fewer partitions than the job has copies is read by as many as it has partitions, apart from the steps behind it;
    else they are one chain. What Flink remembers is numbered by these chains.

    Raises:
        RecoveryError: FLX-4535.
    """
    before = deployment.parallelism
    if before is None or parallelism is None:
        return
    for source, partitions in deployment.partitions.items():
        if (partitions < before) != (partitions < parallelism):
            side = f"at most {partitions}" if before <= partitions else f"more than {partitions}"
            raise RecoveryError(
                "FLX-4535",
                f'"{deployment.pipeline}" cannot go on with parallelism {parallelism}',
                detail=f'Source "{source}" has {partitions} partition{"" if partitions == 1 else "s"}. '
                f"With more copies than that the job has other steps, and would not find what it remembers; it had {before}.",
                hint=f"Take {side}, or start over: fluxline submit --fresh.",
            )


def require_checkpoints(properties: Mapping[str, str], *, bounded: bool) -> str | None:
    """The directory for checkpoints that a session's settings name, or None.

    Raises:
        ExternalError: FLX-4533, a job that does not end would make none.
    """
    if not bounded and not properties.get(_INTERVAL):
        raise ExternalError(
            "FLX-4533",
            "Flink would make no checkpoints of the job",
            detail="It would lose all that it remembers with the first failure, and rows that are written exactly once would never be seen.",
            hint='Write checkpoint_interval = "10 seconds" in [environments.NAME.flink].',
        )
    return next((properties[key] for key in _DIRECTORIES if properties.get(key)), None)


def told_of(directory: str | None, hosts: Collection[str]) -> list[str]:
    """What a user should know of where the checkpoints of a job go."""
    if directory is None:
        return [
            "checkpoints are in the memory of the job manager, and lost with it; set execution.checkpointing.dir, in properties or of the cluster"
        ]
    if path_here(directory) is not None and len(hosts) > 1:
        return [f"checkpoints go to {directory}, which must be one disk that {', '.join(sorted(hosts))} and the job manager share"]
    return []
