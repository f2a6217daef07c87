"""Submit a plan to Flink: look first, then topics, tables, the job and its workers as one; what fails half way is taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

from fluxline.clock import SystemClock
from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.config_project import missing_key
from fluxline.config_toml import write_key
from fluxline.control.deployment import Deployment, DeploymentDirectory, RelayRecord
from fluxline.control.ends import raise_problems
from fluxline.control.flink import prepare, session_properties, topic_of
from fluxline.control.worker_processes import end_workers, start_workers
from fluxline.engines.flink.gateway import Gateway
from fluxline.engines.flink.rest import ENDED, Cluster
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import ExternalError, FluxlineError, RecoveryError, ResourceBusy
from fluxline.limits import FLINK_POLL_MS, FLINK_START_MS_MAX
from fluxline.plan.json import plan_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fluxline.config import Environment
    from fluxline.control.flink import Prepared
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan


Undo: TypeAlias = "list[tuple[str, Callable[[], object]]]"
"""What was done, and how it is undone, in the order in which it was done."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What one submission may choose beside its environment.

    Attributes:
        bounded: end where the input ends now.
        fresh: start over instead of from the last savepoint.
        workers: how many processes write the sinks that Flink does not.
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
    _require_addresses(environment)
    prepared = prepare(plan, environment, reveal=True, bounded=chosen.bounded)
    raise_problems(prepared.problems, f'pipeline "{plan.name}" cannot run on Flink')
    place = DeploymentDirectory(environment.embedded.directory / plan.name)
    with place.held():
        return _Submission(plan, prepared, environment, place, chosen).run()


def _require_addresses(environment: Environment) -> None:
    for key in ("gateway", "rest"):
        if getattr(environment.flink, key) is None:
            title = write_key(("environments", environment.name, "flink"))
            hint = f'Write {key} = "http://host:port" there; "fluxline stack env" shows those of a local stack.'
            raise missing_key(title, key, hint, environment.settings.place("flink") or environment.settings.here)


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
        )

    def run(self) -> Deployment:
        self.refuse_second()
        savepoint = self.savepoint()
        gateway = Gateway(self.record.gateway, self.clock)
        self.cluster.require_slots(self.environment.flink.parallelism or 1)
        self.options.told(f"Flink {gateway.version} answers, slots are free")
        undo: Undo = []
        try:
            self.make_topics(undo)
            self.make_tables()
            self.start_job(gateway, savepoint, undo)
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
            self.place.restore(self.before)
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

    def make_topics(self, undo: Undo) -> None:
        """The topics that the job writes: made where they are missing, compared with what is declared where they are there."""
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

    def start_job(self, gateway: Gateway, savepoint: str | None, undo: Undo) -> None:
        """Submit the statements, each looked at by Flink first, and wait until every step of the job runs."""
        properties = session_properties(self.environment, self.compiled)
        if savepoint is not None:
            properties["execution.state-recovery.path"] = savepoint
        with gateway.open_session(properties) as session:
            *declarations, _work = self.compiled.texts()
            for text in declarations:
                session.execute(text)
            session.execute(self.compiled.look())
            result = session.execute(self.compiled.texts()[-1])
        assert result.job_id is not None, "Flink names the job that it starts"
        undo.append((f"job {result.job_id}", partial(self.cluster.cancel, result.job_id)))
        self.keep(job_id=result.job_id)
        self.wait_for_job(result.job_id)
        begins = "" if savepoint is None else f", from savepoint {savepoint}"
        self.options.told(f"job {result.job_id} runs{begins}")

    def wait_for_job(self, job_id: str) -> None:
        """Wait until all vertices run, or have finished.

        Raises:
            ExternalError: FLX-4506 the job failed, FLX-4521 it does not start in time.
        """
        deadline_ms = self.clock.monotonic_ms() + FLINK_START_MS_MAX
        while self.clock.monotonic_ms() < deadline_ms:
            job = self.cluster.wait(job_id, {"RUNNING", "FINISHED"}, FLINK_START_MS_MAX)
            if job is not None and all(vertex.state in ("RUNNING", "FINISHED") for vertex in job.vertices):
                return
            cause = self.cluster.cause(job_id)
            if cause is not None:  # it failed and Flink tries again: at the start that is a mistake of the set-up
                raise ExternalError("FLX-4506", f'the job "{self.plan.name}" fails on Flink', detail=f"{cause.kind}: {cause.message}")
            self.clock.wait(Event(), FLINK_POLL_MS)
        raise ExternalError("FLX-4521", "the job does not start in time", detail=f"It is {job_id}.", hint="Look at the cluster's slots and logs.")

    def start_workers(self, undo: Undo) -> None:
        """The workers of the relays, in processes of their own."""
        if not self.prepared.relays:
            return
        self.place.forget_workers()
        self.place.write_plan(self.plan)
        undo.append(("workers", partial(end_workers, self.place, self.clock)))
        started = start_workers(self.place, self.environment, self.options, self.clock)
        self.options.told(f"{started} {'worker writes' if started == 1 else 'workers write'} {', '.join(relay.sink for relay in self.record.relays)}")
