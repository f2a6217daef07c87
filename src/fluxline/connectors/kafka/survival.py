"""What of a topic would not outlive the loss of a broker, by what the brokers say of it and of their own topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.base import Survival
from fluxline.connectors.kafka.client import Troubles, connect, make
from fluxline.connectors.kafka.options import MIN_IN_SYNC, KafkaOptions
from fluxline.connectors.kafka.topics import config_text, in_sync_of, replicas_of, visible_defaults, visible_settings
from fluxline.errors import Caution
from fluxline.limits import KAFKA_METADATA_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxline.options import Options

_UNCLEAN = "unclean.leader.election.enable"
_INTERNAL = {"__consumer_offsets": "how far groups are", "__transaction_state": "which transactions are open"}


def survival(name: str, options: Options, _directory: Path, written: bool) -> Survival:  # noqa: FBT001  # the contract of connectors
    """What would not outlive it, of a topic that is there or will be made.

    Raises:
        ExternalError: FLX-4401, FLX-4402, FLX-4405.
    """
    assert isinstance(options, KafkaOptions), f"options of another connector: {options}"
    topic, troubles = options.topic or name, Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    topics = connect(admin, options, troubles)
    # Of brokers that are away the replicas still tell.
    brokers = len(admin.list_topics(timeout=KAFKA_METADATA_SECONDS).brokers.keys() | {each for found in topics.values() for each in _holders(found)})
    nodes = max(brokers, options.replication_factor or 1)
    if brokers == 1:
        return Survival(nodes)
    if topic in topics:
        replicas, settings = _replicas(topics[topic]), visible_settings(admin, topic, troubles)
    else:
        replicas = replicas_of(options, brokers)
        ours = {} if (in_sync := in_sync_of(options, replicas)) is None else {MIN_IN_SYNC: in_sync}
        declared = {each: config_text(value) for each, value in {**ours, **options.topic_config}.items()}
        settings = {**visible_defaults(admin, topic, troubles), **declared}
    found = [*_of_replicas(topic, replicas, brokers), *_of_settings(topic, replicas, settings, written=written)]
    found += [("bootstrap_servers", _internal(each, brokers)) for each in _INTERNAL if each in topics and _replicas(topics[each]) == 1]
    return Survival(nodes, tuple(found))


def _holders(found: Any) -> set[int]:
    return {each for partition in found.partitions.values() for each in partition.replicas}


def _replicas(found: Any) -> int:
    """Of the partition that has the fewest."""
    return min((len(partition.replicas) for partition in found.partitions.values()), default=1)


def _of_replicas(topic: str, replicas: int, brokers: int) -> list[tuple[str, Caution]]:
    if replicas > 1:
        return []
    caution = Caution(
        "FLX-6001",
        f'topic "{topic}" has one replica on {brokers} brokers',
        detail="While the broker of a partition is away nothing of it is read or written; if its disk is lost, so are the records.",
        hint="Give it replication_factor = 3 when it is made; of one that is there, Kafka's own tools raise it (kafka-reassign-partitions).",
    )
    return [("replication_factor", caution)]


def _of_settings(topic: str, replicas: int, settings: Mapping[str, str], *, written: bool) -> list[tuple[str, Caution]]:
    """What the settings make of several replicas."""
    found = []
    in_sync = settings.get(MIN_IN_SYNC)
    if replicas > 1 and written and in_sync is not None:
        found += _of_in_sync(topic, replicas, int(in_sync) if in_sync.isdigit() else 0)
    if settings.get(_UNCLEAN) == "true":
        caution = Caution(
            "FLX-6004",
            f'a replica that lacks records may become leader of topic "{topic}"',
            detail=f"{_UNCLEAN} is true: when the replicas in sync are lost, one that is behind takes over, and what it lacks is gone for good.",
            hint=f'Set topic_config = {{ "{_UNCLEAN}" = false }}; of a topic that is there, with kafka-configs.',
        )
        found.append(("topic_config", caution))
    return found


def _of_in_sync(topic: str, replicas: int, in_sync: int) -> list[tuple[str, Caution]]:
    if in_sync == replicas:
        detail = f"{MIN_IN_SYNC} is {in_sync}, of {replicas} replicas: while one broker is away nothing is written, and jobs wait or fail."
        hint = f'Keep three replicas or more, and set topic_config = {{ "{MIN_IN_SYNC}" = {max(2, replicas - 1)} }}.'
        return [("topic_config", Caution("FLX-6002", f'all replicas of topic "{topic}" must be in sync', detail=detail, hint=hint))]
    if in_sync == 1:
        fact = f'one replica of topic "{topic}" is enough for a record to count as written'
        detail = f"{MIN_IN_SYNC} is 1: a record that the leader alone has counts as written, and is lost with the leader's broker."
        hint = f'Keep three replicas, and set topic_config = {{ "{MIN_IN_SYNC}" = 2 }}.'
        return [("topic_config", Caution("FLX-6003", fact, detail=detail, hint=hint))]
    return []


def _internal(topic: str, brokers: int) -> Caution:
    return Caution(
        "FLX-6005",
        f'Kafka keeps one replica of "{topic}" on {brokers} brokers',
        detail=f"It says {_INTERNAL[topic]}; while its broker is away, jobs that need it stop.",
        hint="Raise its replicas with Kafka's own tools (kafka-reassign-partitions).",
    )
