"""What is kept of a submitted pipeline, beside the project: its job, its relays, its workers.

<directory>/<pipeline>/lock              held while somebody submits or stops it
<directory>/<pipeline>/deployment.json   the record
<directory>/<pipeline>/plan.json         the plan as written, for the workers and to name what runs
<directory>/<pipeline>/worker-1/lock     held by the worker's process; worker-1.log beside it
<directory>/<pipeline>/ingest-<source>/  how far a source is that workers read, see positions.py
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from fluxline.control.ledger import SourceRecord
from fluxline.control.positions import IngestDirectory
from fluxline.control.record import read_record
from fluxline.engines.embedded.saved_state import StateDirectory, external, take_lock, write_durably
from fluxline.errors import RecoveryError, ResourceBusy
from fluxline.plan.json import plan_from_json, plan_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fluxline.plan.nodes import Plan

DEPLOYMENT_FORMAT_VERSION = 3  # 1 knew neither the sources nor their partitions; 2 neither the project in the identity nor the checkpoints.


@dataclass(frozen=True, slots=True)
class RelayRecord:
    """One relay: the sink, the system's connector, the topic between, and the workers' group."""

    sink: str
    connector: str
    topic: str
    group: str


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """One ingest: the source, the system's connector, and the topic between."""

    source: str
    connector: str
    topic: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One submitted pipeline.

    Attributes:
        pipeline: its name.
        environment: the environment's name.
        state: `submitting`: somebody is at it, or was cut off; `submitted`; `stopped`.
        plan_digest: of the plan that runs.
        bounded: whether it ends where the input ended at its start.
        submitted_at_ms: wall-clock time.
        job_id: of Flink; empty before it is known.
        gateway: address of the SQL Gateway that took it.
        rest: address of the cluster.
        savepoint: from where the next submission goes on, or None.
        relays: the sinks that workers write.
        ingests: the sources that workers read.
        made_topics: what was made for it, for a rollback.
        sources: the topics that it reads.
        partitions: by how many partitions of each source its rows are spread: a job that goes on from its savepoint keeps these
            numbers, however many there are by then. Records of format 1 have none, and such a job takes the numbers of its day.
        identity: names of transactions and groups begin with it, for as long as the job goes on from what it remembers.
        parallelism: how many copies of an operator run; None leaves it to the cluster.
        workers: how many processes were started for it.
        overrides: `key=value` settings of its submission.
        checkpoints: the directory of its cluster below which each job has its checkpoints; None where they are in the memory of the job manager,
            or nobody knows.
        began_from: the savepoint or checkpoint that the job began from, or None.
        jobs: the jobs that it had, the newest last.
        savepoints: those that were made of it, the newest last.
    """

    pipeline: str
    environment: str
    state: Literal["submitting", "submitted", "stopped"]
    plan_digest: str
    bounded: bool
    submitted_at_ms: int
    job_id: str
    gateway: str
    rest: str
    savepoint: str | None = None
    relays: tuple[RelayRecord, ...] = ()
    ingests: tuple[IngestRecord, ...] = ()
    made_topics: tuple[str, ...] = ()
    sources: tuple[SourceRecord, ...] = ()
    partitions: dict[str, int] = field(default_factory=dict)
    identity: str = ""
    parallelism: int | None = None
    workers: int = 1
    overrides: tuple[str, ...] = ()
    checkpoints: str | None = None
    began_from: str | None = None
    jobs: tuple[str, ...] = ()
    savepoints: tuple[str, ...] = ()


class DeploymentDirectory:
    """The directory of one pipeline in one environment."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from submitting or stopping the pipeline meanwhile.

        Raises:
            ResourceBusy: FLX-4101, somebody does.
        """
        handle, _holder = take_lock(self.path)
        if handle is None:
            fact = f'pipeline "{self.path.name}" is being run, submitted or stopped by another process'
            raise ResourceBusy("FLX-4101", fact, detail=f"It holds {self.path}.", hint="Wait for it.")
        try:
            yield
        finally:
            os.close(handle)

    def read(self) -> Deployment | None:
        """The record, or None.

        Raises:
            RecoveryError: FLX-5003 it is of a newer version, FLX-5004 it cannot be read.
        """
        return read_record(
            self.path / "deployment.json",
            DEPLOYMENT_FORMAT_VERSION,
            _deployment_from,
            name="the record of the deployment",
            repair="Look at the job and the workers yourself, and remove deployment.json.",
        )

    def write(self, deployment: Deployment) -> None:
        """Keep the record; it is there as a whole when this returns."""
        try:
            write_durably(self.path / "deployment.json", json.dumps({"format": DEPLOYMENT_FORMAT_VERSION, **asdict(deployment)}, indent=1).encode())
        except OSError as error:
            raise external(error, self.path) from error

    def restore(self, before: Deployment | None, plan: bytes | None) -> None:
        """Put back the record and the plan that were there before, or none."""
        if plan is None:
            (self.path / "plan.json").unlink(missing_ok=True)
        else:
            write_durably(self.path / "plan.json", plan)
        if before is None:
            (self.path / "deployment.json").unlink(missing_ok=True)
        else:
            self.write(before)

    def write_plan(self, plan: Plan) -> None:
        """Keep the plan of the deployment."""
        write_durably(self.path / "plan.json", json.dumps(plan_to_json(plan)).encode())

    def read_plan(self) -> Plan:
        """The plan of the deployment."""
        return plan_from_json(json.loads((self.path / "plan.json").read_text()))

    def plan_bytes(self) -> bytes | None:
        """The plan as it is kept, or None."""
        path = self.path / "plan.json"
        return path.read_bytes() if path.exists() else None

    def kept_plan(self) -> Plan | None:
        """The plan of the deployment; None where another version did not keep it, or kept what this one cannot read."""
        try:
            return self.read_plan()
        except (OSError, ValueError, RecoveryError):
            return None

    def workers(self) -> list[StateDirectory]:
        """Where the workers that ever ran here keep that they run."""
        found = [entry for entry in self.path.glob("worker-*") if entry.is_dir() and entry.name[7:].isdigit()]
        return [StateDirectory(entry) for entry in sorted(found, key=lambda entry: int(entry.name[7:]))]

    def claim_worker(self, pid: int) -> StateDirectory:
        """The first place of a worker that nobody holds, held by this process."""
        number = 1
        while True:
            place = StateDirectory(self.path / f"worker-{number}")
            try:
                place.acquire(pid)
            except ResourceBusy:
                number += 1
                continue
            return place

    def ingest(self, source: str) -> IngestDirectory:
        """Where it is kept how far an ingested source is."""
        return IngestDirectory(self.path / f"ingest-{source}")

    def forget_workers(self) -> None:
        """Remove the places of workers; none of them runs."""
        for place in self.workers():
            shutil.rmtree(place.path, ignore_errors=True)


def _deployment_from(data: dict[str, Any]) -> Deployment:
    data.setdefault("identity", f"{data['pipeline']}-{data['environment']}")  # What it was before format 3; a job that goes on keeps it.
    relays, sources = (RelayRecord(**relay) for relay in data["relays"]), (SourceRecord(**source) for source in data.get("sources", ()))
    ingests = tuple(IngestRecord(**each) for each in data.get("ingests", ()))
    data.update({name: tuple(value) for name, value in data.items() if isinstance(value, list)})
    return replace(Deployment(**data), relays=tuple(relays), ingests=ingests, sources=tuple(sources))
