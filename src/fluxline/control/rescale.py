"""Run a pipeline with another parallelism: stop it with a savepoint, and go on from there; everything that can be is found out before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.control.changes import refuse_changes
from fluxline.control.checkpoints import refuse_parallelism, restore_command
from fluxline.control.jobs import flink_environment, found_deployment, with_savepoint
from fluxline.control.restore import as_submitted
from fluxline.control.savepoint import require_running
from fluxline.control.submit import Submission, SubmitOptions
from fluxline.engines.flink.rest import Cluster
from fluxline.errors import ExternalError, FluxlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.control.deployment import Deployment
    from fluxline.engines.flink.rest import Job
    from fluxline.plan.nodes import Plan


def rescale_job(
    plan: Plan,
    directory: Path,
    parallelism: int,
    *,
    env: str | None = None,
    overrides: Sequence[str] = (),
    told: Callable[[str], None] = lambda _step: None,
) -> Deployment:
    """Stop the job with a savepoint, and start it from there with another parallelism; its workers go on meanwhile.

    Args:
        plan: as written.
        directory: where the search for the project file starts.
        parallelism: how many copies of an operator are to run.
        env: the environment.
        overrides: `key=value` settings beside those of the submission.
        told: called with each step, as it is done.

    Raises:
        ResourceMissing: FLX-4524, it was not submitted; FLX-4528, it does not run.
        UnsupportedByEngine: FLX-4529, there are not so many groups of keys.
        RecoveryError: FLX-5801, its definition has changed.
        ExternalError: FLX-4505, too few slots are free; FLX-4510, no savepoint was made, and it goes on as it was.
        FluxlineError: it does not start so; it goes on as it was, or is stopped with its savepoint, as the error says.
    """
    refuse_parallelism(parallelism)
    place, _deployment = found_deployment(plan.name, flink_environment(directory, env, overrides))
    with place.held():
        deployment = place.read()
        assert deployment is not None
        cluster = Cluster(deployment.rest, SystemClock())
        job = require_running(deployment, cluster)
        refuse_changes(deployment, place.kept_plan(), plan, told)
        now = max(vertex.parallelism for vertex in job.vertices)
        if parallelism == now:
            told(f"it runs with parallelism {now} already")
            return deployment
        _require_slots(cluster, job, parallelism)
        environment = as_submitted(deployment, directory, env, overrides, parallelism)
        options = SubmitOptions(bounded=deployment.bounded, workers=deployment.workers, overrides=(*deployment.overrides, *overrides), told=told)
        submission = Submission(plan, environment, place, options, goes_on=True, keep_workers=True)
        submission.look_ahead()
        savepoint = cluster.stop(job.id, environment.flink.savepoint_directory)
        place.write(with_savepoint(deployment, savepoint))  # From here on a restore finds it, whatever happens.
        told(f"job {job.id} has stopped, its savepoint is {savepoint}")
        try:
            return submission.run(savepoint)
        except FluxlineError as error:
            before = as_submitted(deployment, directory, env, overrides, now)
            again = Submission(plan, before, place, options, goes_on=True, keep_workers=True)
            error.detail = f"{error.detail} {_go_on(again, now)}".strip()
            raise


def _go_on(submission: Submission, parallelism: int) -> str:
    """Start the job as it was, behind what the other has committed; a sentence on what became of it."""
    left = submission.place.read()
    assert left is not None
    try:
        deployment = submission.run(left.savepoint)
    except FluxlineError as error:
        return f"With parallelism {parallelism} it does not start either ({error.fact}); it is stopped. Go on with: {restore_command(left)}."
    return f"It goes on with parallelism {parallelism}, as job {deployment.job_id}."


def _require_slots(cluster: Cluster, job: Job, parallelism: int) -> None:
    """Refuse more copies than there will be slots once the job has let go of its own.

    Raises:
        ExternalError: FLX-4505.
    """
    found = cluster.overview()
    own = cluster.slots_of(job.id)
    if found.free_slots + own < parallelism:
        raise ExternalError(
            "FLX-4505",
            "Flink has too few free slots",
            detail=f"The job has {own}, and of {found.slots} slots {found.free_slots} are free; it needs {parallelism}. It goes on as it was.",
            hint="Start a task manager, stop another job, or take a lower parallelism.",
        )
