"""What is known of the row ledger of a submitted pipeline's sources: how far they are read, by the offsets of their topics.

The job commits the offsets of its checkpoints to a consumer group of the source's own, for people alone: it goes on from its
checkpoints. So the numbers outlive the job. They are bounds: what was read since the last checkpoint is not in them, and what a
job commits when it ends may be lost. What passed, was late or was rejected is in the outputs; nobody counts it beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxline.control.ends import source_endpoint, topic_of
from fluxline.engines.flink.tables import source_group
from fluxline.errors import ResourceMissing, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.config import Environment
    from fluxline.control.flink import Prepared


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One source when its job was first submitted.

    Attributes:
        source: its name.
        topic: what is read.
        group: to which the job commits; empty where that is not known, since it begins elsewhere than at the topic's beginning, or may not commit.
        first: partition (as text, for JSON) -> the first offset that the job reads.
    """

    source: str
    topic: str
    group: str
    first: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How far one source is read; None is what nobody knows. With nothing left, both bounds are exact.

    Attributes:
        source: its name.
        topic: what is read.
        offsets_read_min: so many offsets were read since the job began, or more.
        offsets_left_max: so many of the topic were not, or fewer.
    """

    source: str
    topic: str
    offsets_read_min: int | None
    offsets_left_max: int | None


def source_records(prepared: Prepared, identity: str) -> tuple[SourceRecord, ...]:
    """The sources in Kafka of a job that begins anew; their groups are set to where it begins.

    Raises:
        ExternalError: FLX-4401 to FLX-4405, but for a group that we may not use.
    """
    from fluxline.connectors.kafka.group import begin_group
    from fluxline.connectors.kafka.options import KafkaOptions

    found = []
    for name, endpoint in prepared.ends.sources.items():
        options = endpoint.options
        if not isinstance(options, KafkaOptions):
            continue
        topic, group, first = topic_of(endpoint), "", {}
        if options.start == "earliest":
            try:
                group = source_group(identity, name)
                first = {str(number): offset for number, offset in begin_group(options, topic, group).items()}
            except Unauthorized:
                group = ""
        found.append(SourceRecord(name, topic, group, first))
    return tuple(found)


def source_counts(records: tuple[SourceRecord, ...], environment: Environment) -> tuple[SourceCount, ...]:
    """How far the sources are read.

    Raises:
        ConnectionLost: FLX-4401, the brokers do not answer.
    """
    return tuple(_count(record, environment) for record in records)


def _count(record: SourceRecord, environment: Environment) -> SourceCount:
    from fluxline.connectors.kafka.group import positions
    from fluxline.connectors.kafka.options import KafkaOptions

    options, unknown = source_endpoint(environment, record.source).options, SourceCount(record.source, record.topic, None, None)
    if not record.group or not isinstance(options, KafkaOptions):
        return unknown
    try:
        found = positions(options, record.topic, record.group)
    except (ResourceMissing, Unauthorized):  # Of a pipeline that was stopped the topic may be gone; its other numbers are still good.
        return unknown
    read = sum(max(0, reached - record.first.get(str(number), 0)) for number, (reached, _) in found.items())
    return SourceCount(record.source, record.topic, read, sum(max(0, high - reached) for reached, high in found.values()))
