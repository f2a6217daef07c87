"""Submit a plan to Flink: look first, then topics, tables, workers and the job as one; what fails half way is taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.changes import refuse_changes
from fluxline.control.checkpoints import refuse_lost, refuse_other_readers, refuse_parallelism, refuse_running, require_checkpoints, told_of
from fluxline.control.deployment import Deployment, DeploymentDirectory, IngestRecord, RelayRecord
from fluxline.control.ends import raise_problems, topic_of
from fluxline.control.flink import identity_of, missing_addresses, prepare, session_properties
from fluxline.control.ingest import ending_sources, make_topic, wait_for_end
from fluxline.control.ledger import source_records
from fluxline.control.survival import cautions_of
from fluxline.control.vertices import JobView
from fluxline.control.worker_processes import end_workers, running_workers, start_workers
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.engines.flink.retained import job_of
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import ExternalError, FluxlineError
from fluxline.limits import DEPLOYMENT_JOBS_MAX, FLINK_FIRST_CHECKPOINT_MS_MAX, WORKER_END_MS_MAX
from fluxline.plan.json import plan_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.engines.base import Endpoint
    from fluxline.engines.flink.gateway import Session
    from fluxline.engines.flink.rest import Job
    from fluxline.errors import Caution
    from fluxline.plan.nodes import Plan


Undo: TypeAlias = "list[tuple[str, Callable[[], object]]]"
"""What was done, and how it is undone, in the order in which it was done."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What one submission may choose beside its environment.

    Attributes:
        bounded: end where the input ends now.
        fresh: start over instead of from the last savepoint.
        workers: how many processes write the sinks and read the sources that Flink does not.
        overrides: `key=value` settings.
        told: called with each step, as it is done.
        warned: called once, with what would not outlive the loss of a node.
    """

    bounded: bool = False
    fresh: bool = False
    workers: int = 1
    overrides: Sequence[str] = ()
    told: Callable[[str], None] = field(default=lambda _step: None)
    warned: Callable[[Sequence[Caution]], None] = field(default=lambda _cautions: None)


def submit(plan: Plan, directory: Path, *, env: str | None = None, options: SubmitOptions | None = None) -> Deployment:
    """Start the plan on the environment's cluster.

    Args:
        plan: as written.
        directory: where the search for the project file starts.
        env: the environment.
        options: what else is chosen.

    Raises:
        FluxlineError: it cannot run there, or a step failed; nothing of it is left then.
        ExceptionGroup: of all problems of the definition.
    """
    chosen = options or SubmitOptions()
    environment = resolve_environment(require_project(directory), env, overrides=chosen.overrides)
    refuse_unsupported(environment, "flink")
    for missing in missing_addresses(environment):
        raise missing
    place = DeploymentDirectory(environment.embedded.directory / plan.name)
    with place.held():
        begins = _begins(plan, place, chosen)
        return Submission(plan, environment, place, chosen, goes_on=begins is not None).run(begins)


def _begins(plan: Plan, place: DeploymentDirectory, options: SubmitOptions) -> str | None:
    """The savepoint that a submission goes on from; None where it starts over.

    Raises:
        ResourceBusy: FLX-4520, it runs.
        RecoveryError: FLX-5801, the definition is another than the one that the savepoint is of; FLX-5807, the job that was there
            has gone, and has checkpoints.
    """
    before = place.read()
    if before is None:
        return None
    refuse_running(before)
    if options.fresh:
        return None
    if before.state == "submitting" and not before.job_id:  # Cut off before there was a job: as if it had not been.
        begins = before.began_from
    else:
        refuse_lost(before)
        begins = before.savepoint
    if begins is not None:
        refuse_changes(before, place.kept_plan(), plan, options.told)
    return begins


class Submission:
    """One submission, step by step; somebody holds the place.

    Args:
        plan: as written.
        environment: where it is to run.
        place: of the deployment.
        options: what was chosen.
        goes_on: the job goes on from what the one before it remembers, instead of starting over.
        keep_workers: those that run go on, if they are as many as before.

    Raises:
        ExceptionGroup: of all problems of the definition.
        FluxlineError: the only one.
    """

    def __init__(
        self,
        plan: Plan,
        environment: Environment,
        place: DeploymentDirectory,
        options: SubmitOptions,
        *,
        goes_on: bool,
        keep_workers: bool = False,
    ) -> None:
        before = place.read()
        earlier = before if goes_on else None
        refuse_parallelism(environment.flink.parallelism or 1)
        if earlier is not None:
            refuse_other_readers(earlier, environment.flink.parallelism)
        prepared = prepare(plan, environment, reveal=True, bounded=options.bounded, fresh=options.fresh, goes_on=earlier)
        raise_problems(prepared.problems, f'pipeline "{plan.name}" cannot run on Flink')
        assert prepared.compiled is not None
        assert environment.flink.gateway is not None
        assert environment.flink.rest is not None
        self.plan = plan
        self.prepared = prepared
        self.compiled = prepared.compiled
        self.environment = environment
        self.place = place
        self.options = options
        self.checkpoints: str | None = None
        self.clock = SystemClock()
        self.cluster = Cluster(environment.flink.rest, self.clock)
        self.before = before
        self.begins: str | None = None
        self.workers_go_on = keep_workers and before is not None and len(running_workers(place)) >= before.workers
        self.plan_before = place.plan_bytes()
        self.record = Deployment(
            pipeline=plan.name,
            environment=environment.name,
            state="submitting",
            plan_digest=plan_digest(prepared.plan),
            bounded=options.bounded,
            submitted_at_ms=self.clock.now_ms(),
            job_id="",
            gateway=environment.flink.gateway,
            rest=environment.flink.rest,
            relays=tuple(RelayRecord(relay.sink.name, relay.target.connector.name, relay.topic, relay.group) for relay in prepared.relays),
            ingests=tuple(IngestRecord(each.scan.source, each.source.connector.name, each.topic) for each in prepared.ingests),
            partitions=dict(prepared.partitions),
            identity=identity_of(plan, environment) if earlier is None else earlier.identity,
            parallelism=environment.flink.parallelism,
            workers=options.workers,
            overrides=tuple(options.overrides),
            jobs=() if earlier is None else earlier.jobs,
        )

    def look_ahead(self) -> None:
        """Let Flink look at the work; nothing is done.

        Raises:
            FluxlineError: it would not take it.
        """
        with Gateway(self.record.gateway, self.clock).open_session(self.properties()) as session:
            self.look(session)

    def run(self, begins: str | None) -> Deployment:
        """Start it.

        Args:
            begins: the savepoint or checkpoint that the job goes on from, where it goes on.

        Raises:
            FluxlineError: a step failed; what was done is taken back.
        """
        self.begins = begins
        self.before = self.place.read()  # It may know of a savepoint by now.
        self.record = replace(self.record, began_from=begins, savepoints=() if self.before is None else self.before.savepoints)
        gateway = Gateway(self.record.gateway, self.clock)
        self.cluster.require_slots(self.environment.flink.parallelism or 1)
        self.options.told(f"Flink {gateway.version} answers, slots are free")
        self.options.warned(cautions_of(self.prepared.plan, self.prepared, self.environment, self.compiled))
        undo: Undo = []
        try:
            if not self.workers_go_on:
                end_workers(self.place, self.clock)  # Those of a job that has ended by itself.
            self.place.write_plan(self.plan)
            self.make_topics(undo)
            self.make_tables()
            if self.prepared.ingests and not self.workers_go_on:
                self.ingest(gateway, undo)
            self.begin_sources()
            self.start_job(gateway, undo)
            if not self.prepared.ingests and not self.workers_go_on:
                self.start_workers(undo)
            self.keep(state="submitted")
        except BaseException as error:
            self.take_back(undo, error)
            raise
        return self.record

    def take_back(self, undo: Undo, error: BaseException) -> None:
        """Undo what was done, last first; what cannot be undone is told with the error, and stays in the record."""
        left = []
        for what, step in reversed(undo):
            try:
                step()
            except FluxlineError as failure:
                left.append(f"{what} ({failure.fact})")
        if not left:
            self.place.restore(self.before, self.plan_before)
        elif isinstance(error, FluxlineError):
            error.detail = f"{error.detail} Not taken back: {'; '.join(left)}.".strip()

    def keep(self, **changes: object) -> None:
        """Change the record and write it."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]  # fields of the record
        self.place.write(self.record)

    def begin_sources(self) -> None:
        """Write down where the job begins to read; one that goes on began where its first submission did."""
        if self.begins is not None and self.before is not None:
            self.keep(sources=self.before.sources)
        else:
            self.keep(sources=source_records(self.prepared, self.record.identity))

    def make_topics(self, undo: Undo) -> None:
        """The topics of sinks and ingested sources: made where they are missing, compared with what is declared where they are there."""
        from fluxline.connectors.kafka.options import KafkaOptions
        from fluxline.connectors.kafka.topics import ensure_topic, remove_topics

        made: list[str] = []
        for endpoint in self.written():
            options = endpoint.options
            assert isinstance(options, KafkaOptions)
            topic = topic_of(endpoint)
            relayed = any(relay.topic == topic for relay in self.prepared.relays)
            declared = replace(options, create_topics=True)
            for name in (topic, topic + REJECTED) if relayed else (topic,):
                if ensure_topic(declared, name, partitions=self.environment.flink.parallelism, written=True):
                    undo.append((f"topic {name}", partial(remove_topics, options, [name])))
                    made.append(name)
        for ingest in () if self.workers_go_on else self.prepared.ingests:
            name = ingest.scan.source
            count = self.prepared.partitions[name]
            made += make_topic(ingest, self.place.ingest(name), count, fresh=self.options.fresh, undo=undo.append)
        if made:
            self.options.told(f"made topics {', '.join(made)}")
        self.keep(made_topics=tuple(made))

    def written(self) -> list[Endpoint]:
        """The topics of the job's sinks and relays."""
        relayed = {relay.sink.name for relay in self.prepared.relays}
        direct = [endpoint for name, endpoint in self.prepared.ends.sinks.items() if name not in relayed and endpoint.connector.name == "kafka"]
        return [*direct, *(relay.log for relay in self.prepared.relays)]

    def make_tables(self) -> None:
        """Open each system that workers will write: it is there, lets us in, and has the table as it should be."""
        for relay in self.prepared.relays:
            relay.open_target(self.clock).close()
            self.options.told(f"{relay.target.connector.name} is ready for {relay.sink.name}")

    def ingest(self, gateway: Gateway, undo: Undo) -> None:
        """Start the workers ahead of the job, once Flink would take it; where the job is to end, what it reads is there first."""
        with gateway.open_session(self.properties()) as session:
            self.look(session)
        self.start_workers(undo)
        if self.options.bounded:
            wait_for_end(self.record, self.place, self.clock, self.options.told)
        else:
            for source in ending_sources(self.prepared.ingests):
                self.options.told(f"{source} ends by itself, the job does not: it ends where its input does with --bounded")

    def properties(self) -> dict[str, str]:
        """The settings of the session."""
        found = session_properties(self.environment, self.compiled)
        return found if self.begins is None else {**found, "execution.state-recovery.path": self.begins}

    def look(self, session: Session) -> None:
        """Declare the tables, and let Flink look at the work; what the job would remember must be kept."""
        self.checkpoints = require_checkpoints(session.properties(), bounded=self.options.bounded)
        *declarations, _work = self.compiled.texts()
        for text in declarations:
            session.execute(text)
        session.execute(self.compiled.look())

    def start_job(self, gateway: Gateway, undo: Undo) -> None:
        """Submit the statements, each looked at by Flink first, and wait until every step of the job runs and can make checkpoints."""
        with gateway.open_session(self.properties()) as session:
            self.look(session)
            result = session.execute(self.compiled.texts()[-1])
        job_id = result.job_id
        assert job_id is not None, "Flink names the job that it starts"
        undo.append((f"job {job_id}", partial(self.end_job, job_id)))
        self.keep(job_id=job_id, jobs=(*self.record.jobs, job_id)[-DEPLOYMENT_JOBS_MAX:], checkpoints=self.checkpoints)
        self.cluster.wait_until_all_run(job_id, failed=self.failed)
        begins = "" if self.begins is None else f", from {'checkpoint' if job_of(self.begins) else 'savepoint'} {self.begins}"
        self.options.told(f"job {job_id} runs{begins}")
        if not self.options.bounded:
            self.checkpoint(job_id)

    def end_job(self, job_id: str) -> None:
        """Take the job back; what it has committed by then stays, so the next one goes on behind it."""
        self.cluster.cancel(job_id)
        self.cluster.wait(job_id, ENDED, WORKER_END_MS_MAX)
        newest = self.cluster.latest_checkpoint(job_id)
        if newest is not None and self.begins is not None and self.before is not None:
            self.before = replace(self.before, savepoint=newest, jobs=self.record.jobs)

    def checkpoint(self, job_id: str) -> None:
        """Make the first checkpoint: from here on the job can be restored, and its directory is known to be one that can be written.

        Raises:
            ExternalError: FLX-4506, the job fails of it.
        """
        try:
            made = self.cluster.checkpoint(job_id, FLINK_FIRST_CHECKPOINT_MS_MAX)
        except ExternalError as error:
            if error.code != "FLX-4531":  # It goes on; behind a long backlog the first one takes its time.
                raise
            made = False
        if made:
            for hint in told_of(self.checkpoints, self.cluster.hosts()):
                self.options.told(hint)
        elif (failure := self.failed(self.cluster.job(job_id))) is not None:
            raise failure
        else:
            self.options.told("no checkpoint is complete yet; until one is, the job cannot be restored")

    def failed(self, job: Job) -> ExternalError | None:
        """Why a job fails that was started just now, also where Flink tries again: then that is a mistake of the set-up."""
        failure = JobView(self.cluster, self.plan, job).failure()
        return None if failure is None else failure.error

    def start_workers(self, undo: Undo) -> None:
        """The workers of the relays and ingests, in processes of their own."""
        if not self.prepared.relays and not self.prepared.ingests:
            return
        self.place.forget_workers()
        undo.append(("workers", partial(end_workers, self.place, self.clock)))
        started = start_workers(self.place, self.environment, self.options, self.clock)
        does = [*(f"read {ingest.source}" for ingest in self.record.ingests), *(f"write {relay.sink}" for relay in self.record.relays)]
        self.options.told(f"{started} {'worker' if started == 1 else 'workers'} for: {', '.join(does)}")
