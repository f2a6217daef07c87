"""Submit a plan to Flink: look first, then topics, tables, workers and the job as one; what fails half way is taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.deployment import Deployment, DeploymentDirectory, IngestRecord, RelayRecord
from fluxline.control.ends import raise_problems, topic_of
from fluxline.control.flink import identity_of, missing_addresses, prepare, session_properties
from fluxline.control.ingest import ending_sources, make_topic, wait_for_end
from fluxline.control.ledger import source_records
from fluxline.control.vertices import JobView
from fluxline.control.worker_processes import end_workers, start_workers
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import FluxlineError, RecoveryError, ResourceBusy
from fluxline.plan.json import plan_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.flink import Prepared
    from fluxline.engines.base import Endpoint
    from fluxline.engines.flink.gateway import Session
    from fluxline.engines.flink.rest import Job
    from fluxline.errors import ExternalError
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
    """

    bounded: bool = False
    fresh: bool = False
    workers: int = 1
    overrides: Sequence[str] = ()
    told: Callable[[str], None] = field(default=lambda _step: None)


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
        before = place.read()
        goes_on = before is not None and before.savepoint is not None and not chosen.fresh
        began_with = before.partitions if before is not None and goes_on else None
        prepared = prepare(plan, environment, reveal=True, bounded=chosen.bounded, fresh=chosen.fresh, began_with=began_with)
        raise_problems(prepared.problems, f'pipeline "{plan.name}" cannot run on Flink')
        return _Submission(plan, prepared, environment, place, chosen).run()


class _Submission:
    """One submission, step by step."""

    def __init__(self, plan: Plan, prepared: Prepared, environment: Environment, place: DeploymentDirectory, options: SubmitOptions) -> None:
        assert prepared.compiled is not None
        assert environment.flink.gateway is not None
        assert environment.flink.rest is not None
        self.plan = plan
        self.prepared = prepared
        self.compiled = prepared.compiled
        self.environment = environment
        self.place = place
        self.options = options
        self.clock = SystemClock()
        self.cluster = Cluster(environment.flink.rest, self.clock)
        self.before = place.read()
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
        )

    def run(self) -> Deployment:
        self.refuse_second()
        savepoint = self.savepoint()
        gateway = Gateway(self.record.gateway, self.clock)
        self.cluster.require_slots(self.environment.flink.parallelism or 1)
        self.options.told(f"Flink {gateway.version} answers, slots are free")
        undo: Undo = []
        try:
            end_workers(self.place, self.clock)  # Those of a job that has ended by itself.
            self.place.write_plan(self.plan)
            self.make_topics(undo)
            self.make_tables()
            if self.prepared.ingests:
                self.ingest(gateway, savepoint, undo)
            self.begin_sources(savepoint)
            self.start_job(gateway, savepoint, undo)
            if not self.prepared.ingests:
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

    def refuse_second(self) -> None:
        """Refuse where a job of the pipeline may still run.

        Raises:
            ResourceBusy: FLX-4520.
        """
        before = self.before
        if before is None or before.state == "stopped" or not before.job_id:
            return
        job = Cluster(before.rest, self.clock).find(before.job_id)
        if job is not None and job.state not in ENDED:
            raise ResourceBusy(
                "FLX-4520",
                f'pipeline "{self.plan.name}" runs already in environment "{before.environment}"',
                detail=f"It is job {before.job_id} at {before.rest}, {job.state}.",
                hint=f'Stop it first: fluxline stop --env {before.environment}, or look: "fluxline jobs".',
            )

    def savepoint(self) -> str | None:
        """Where the job goes on, if it does.

        Raises:
            RecoveryError: FLX-5801, the definition is another than the one that the savepoint is of.
        """
        before = self.before
        if self.options.fresh or before is None or before.savepoint is None:
            return None
        if before.plan_digest != self.record.plan_digest:
            raise RecoveryError(
                "FLX-5801",
                f'the definition of "{self.plan.name}" has changed since its savepoint',
                detail="What Flink remembers is numbered by the steps of the old one, and would be lost or mixed up.",
                hint="Start over with --fresh, or submit the old definition.",
            )
        return before.savepoint

    def begin_sources(self, savepoint: str | None) -> None:
        """Write down where the job begins to read; one that goes on began where its first submission did."""
        if savepoint is not None and self.before is not None:
            self.keep(sources=self.before.sources)
        else:
            self.keep(sources=source_records(self.prepared, identity_of(self.plan, self.environment)))

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
                if ensure_topic(declared, name, partitions=self.environment.flink.parallelism):
                    undo.append((f"topic {name}", partial(remove_topics, options, [name])))
                    made.append(name)
        for ingest in self.prepared.ingests:
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

    def ingest(self, gateway: Gateway, savepoint: str | None, undo: Undo) -> None:
        """Start the workers ahead of the job, once Flink would take it; where the job is to end, what it reads is there first."""
        with gateway.open_session(self.properties(savepoint)) as session:
            self.look(session)
        self.start_workers(undo)
        if self.options.bounded:
            wait_for_end(self.record, self.place, self.clock, self.options.told)
        else:
            for source in ending_sources(self.prepared.ingests):
                self.options.told(f"{source} ends by itself, the job does not: it ends where its input does with --bounded")

    def properties(self, savepoint: str | None) -> dict[str, str]:
        """The settings of the session."""
        found = session_properties(self.environment, self.compiled)
        return found if savepoint is None else {**found, "execution.state-recovery.path": savepoint}

    def look(self, session: Session) -> None:
        """Declare the tables, and let Flink look at the work."""
        *declarations, _work = self.compiled.texts()
        for text in declarations:
            session.execute(text)
        session.execute(self.compiled.look())

    def start_job(self, gateway: Gateway, savepoint: str | None, undo: Undo) -> None:
        """Submit the statements, each looked at by Flink first, and wait until every step of the job runs."""
        with gateway.open_session(self.properties(savepoint)) as session:
            self.look(session)
            result = session.execute(self.compiled.texts()[-1])
        assert result.job_id is not None, "Flink names the job that it starts"
        undo.append((f"job {result.job_id}", partial(self.cluster.cancel, result.job_id)))
        self.keep(job_id=result.job_id)
        self.cluster.wait_until_all_run(result.job_id, failed=self.failed)
        begins = "" if savepoint is None else f", from savepoint {savepoint}"
        self.options.told(f"job {result.job_id} runs{begins}")

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
