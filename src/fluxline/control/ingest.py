"""Sources that workers bring into a topic: which they are, their topics, and the steps that a submission and a stop take for them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from fluxline.control.ends import topic_endpoint, topic_of
from fluxline.control.worker_processes import expects_workers, said_by_workers
from fluxline.engines.worker.ingest import Ingest, Kept
from fluxline.engines.worker.relay import REJECTED
from fluxline.errors import ExternalError, RecoveryError, UnsupportedByEngine
from fluxline.limits import FLINK_POLL_MS, INGEST_PARTITIONS_MAX, INGEST_RECORD_BYTES, WORKER_END_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fluxline.clock import Clock
    from fluxline.config import Environment
    from fluxline.connectors.kafka.options import KafkaOptions
    from fluxline.control.deployment import Deployment, DeploymentDirectory
    from fluxline.control.positions import IngestDirectory
    from fluxline.engines.base import Endpoint
    from fluxline.plan.nodes import Plan, Scan


def needs_ingest(source: Endpoint) -> bool:
    """Whether workers have to bring the source's records into a topic, or are asked to."""
    form = source.connector.flink
    return source.ingest or form is None or "source" not in form.roles


def ingest_of(plan: Plan, scan: Scan, source: Endpoint, environment: Environment, *, reveal: bool) -> Ingest:
    """The topic between a source and Flink.

    Raises:
        UnsupportedByEngine: FLX-2673, the environment has no Kafka; FLX-2130, the topic's format does not hold a type.
        FluxlineError: the connection of the environment's topics is not right.
    """
    from fluxline.connectors.kafka.options import KafkaOptions

    name = f"{plan.name}.{scan.source}"
    log = topic_endpoint(environment, name, place=scan.place, reveal=reveal)
    if log is None:
        raise UnsupportedByEngine(
            "FLX-2673",
            f'source "{scan.source}" needs a topic between it and Flink',
            detail=f'Flink does not read connector "{source.connector.name}": workers bring its records into a topic, which Flink reads.',
            hint=f'Let "topics" of environment "{environment.name}" name a connection with connector = "kafka".',
            place=scan.place,
        )
    assert isinstance(log.options, KafkaOptions)
    log = replace(log, name=name, options=replace(log.options, start="earliest", start_timestamp="", start_offsets={}))
    ingest = Ingest(scan, source, log, topic_of(log))
    if ingest.untouched:
        return replace(ingest, log=replace(log, format=source.format, format_options=source.format_options))
    assert log.format is not None
    assert log.format_options is not None
    log.format.encoder(scan.decoded, log.format_options)
    return ingest


def planned_partitions(ingest: Ingest, clock: Clock, *, bounded: bool, fresh: bool) -> int:
    """How many partitions the topic has, or is to have: what its connection declares, else as many as the source has now.

    Raises:
        FluxlineError: the brokers do not answer, or the source is not there or cannot be read so.
    """
    from fluxline.connectors.kafka.group import ends

    options = _options(ingest)
    source = ingest.open_source(clock, bounded=bounded)
    try:
        now = len(source.partitions())
    finally:
        source.close()
    known = None if fresh else ends(options, ingest.topic)
    if known is not None:
        return len(known)
    return options.partitions or max(1, min(now, INGEST_PARTITIONS_MAX))


def make_topic(
    ingest: Ingest, place: IngestDirectory, partitions: int, *, fresh: bool, undo: Callable[[tuple[str, Callable[[], object]]], None]
) -> list[str]:
    """Make the topic ready to be gone on with: a new one and nothing kept, or the one that the kept positions are of.

    Args:
        ingest: of the source.
        place: where its positions are kept; no worker is at it.
        partitions: how many a topic that is made gets.
        fresh: make the topic anew.
        undo: called with what was done, and how it is taken back.

    Returns:
        The topics that were made.

    Raises:
        RecoveryError: FLX-5802, FLX-5803.
        ExternalError: FLX-4401 to FLX-4407.
    """
    from fluxline.connectors.kafka.topics import ensure_topic, remove_topics

    options, topic = _options(ingest), ingest.topic
    if fresh:
        remove_topics(options, [topic, topic + REJECTED])
        place.forget()
    declared, made = replace(options, create_topics=True), []
    settings = {"max.message.bytes": INGEST_RECORD_BYTES}
    for name, count in ((topic, partitions), (topic + REJECTED, 1)):
        if ensure_topic(declared, name, partitions=count, settings=settings if name == topic else None, written=True):
            made.append(name)
            undo((f"topic {name}", partial(remove_topics, options, [name])))
    if topic in made:
        place.forget()
        undo((f"positions of {ingest.scan.source}", place.forget))
    else:
        _refuse_other_topic(ingest, place.load())
    if place.load() is None:  # From here on the topic is known to be ours, whatever happens before the first records are in.
        place.save(Kept(ingest.shape))
    undo((f"reading of {ingest.scan.source}", place.pause))
    place.begin()
    return made


def _refuse_other_topic(ingest: Ingest, kept: Kept | None) -> None:
    """Refuse a topic that the kept positions are not of: records would be missing in it, or be there twice.

    Raises:
        RecoveryError: FLX-5802 it holds records of another shape, FLX-5803 or others than were put into it.
    """
    from fluxline.connectors.kafka.group import ends

    if kept is not None:
        kept.refuse_other_shape(ingest)
    found = ends(_options(ingest), ingest.topic) or {}
    appended = dict(enumerate(kept.appended)) if kept is not None else {}
    missing = {number: count for number, count in appended.items() if found.get(number, 0) < count}
    if missing:
        detail = "; ".join(f"Partition {number} ends at {found.get(number, 0)}, and got {count} records" for number, count in missing.items())
    elif kept is None and any(found.values()):
        detail = f"It holds records, up to {max(found.values())} in a partition, and nothing is kept here of how far the source is in it"
    else:
        return
    raise RecoveryError(
        "FLX-5803",
        f'topic "{ingest.topic}" is not the one that source "{ingest.scan.source}" was read into',
        detail=f"{detail}.",
        hint="Submit where the pipeline was submitted before, or start over with --fresh, which makes the topic anew.",
    )


def wait_for_end(deployment: Deployment, place: DeploymentDirectory, clock: Clock, told: Callable[[str], None]) -> None:
    """Wait until every ingested source was read to its end.

    Raises:
        ExternalError: FLX-4525, no worker is left that does it.
    """
    for record in deployment.ingests:
        directory = place.ingest(record.source)
        while True:
            alive = expects_workers(place)
            kept = directory.load()
            if kept is not None and kept.ended:
                break
            if not alive:
                raise ExternalError(
                    "FLX-4525",
                    f'source "{record.source}" was not read to its end',
                    detail=said_by_workers(place) or "Its workers have ended.",
                    hint="Submit again: it goes on where it was.",
                )
            clock.wait(Event(), FLINK_POLL_MS)
        told(f"{record.source} is in topic {record.topic}: {kept.moved:,} records" + (f", {kept.rejected:,} rejected" if kept.rejected else ""))


@contextmanager
def paused(deployment: Deployment, place: DeploymentDirectory, clock: Clock, told: Callable[[str], None], *, wait: bool) -> Iterator[None]:
    """Let workers leave the sources, each with its positions kept; where the steps behind it fail, they go on.

    Raises:
        ExternalError: FLX-4526, one does not.
    """
    directories = {record.source: place.ingest(record.source) for record in deployment.ingests}
    try:
        for directory in directories.values():
            directory.pause()
        deadline_ms = clock.monotonic_ms() + WORKER_END_MS_MAX
        while wait and (busy := [source for source, directory in directories.items() if directory.held()]):
            if clock.monotonic_ms() >= deadline_ms:
                raise ExternalError(
                    "FLX-4526",
                    f'a worker does not leave source "{busy[0]}" in time',
                    detail=said_by_workers(place),
                    hint="Look at the brokers and at the workers' logs, or end everything with fluxline stop --cancel.",
                )
            clock.wait(Event(), FLINK_POLL_MS)
        if wait and directories:
            told(f"workers have left {', '.join(directories)}")
        yield
    except BaseException:
        for directory in directories.values():
            directory.resume()
        raise


def ending_sources(ingests: Sequence[Ingest]) -> list[str]:
    """The sources that end by themselves."""
    return [ingest.scan.source for ingest in ingests if ingest.source.connector.source_bounded(ingest.source.options)]


def _options(ingest: Ingest) -> KafkaOptions:
    from fluxline.connectors.kafka.options import KafkaOptions

    assert isinstance(ingest.log.options, KafkaOptions)
    return ingest.log.options
