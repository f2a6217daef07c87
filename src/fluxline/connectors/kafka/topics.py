"""Topics as the options declare them: made where they are missing, compared where they are there, never changed.

More partitions would send keys elsewhere, and another replication moves data, so a topic that differs is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import Troubles, connect, library, make, partitions_of, refusal
from fluxline.errors import ExternalError
from fluxline.limits import (
    KAFKA_ANSWER_SECONDS,
    KAFKA_CONNECT_ATTEMPTS,
    KAFKA_DELIVERY_POLL_SECONDS,
    KAFKA_METADATA_SECONDS,
    KAFKA_REMOVED_ROUNDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxline.connectors.kafka.options import KafkaOptions


def ensure_topic(options: KafkaOptions, topic: str, *, partitions: int | None = None, settings: Mapping[str, object] | None = None) -> bool:
    """Make the topic if it is missing and `create_topics` says so; compare it with what is declared; whether it was made.

    Args:
        options: what is declared.
        topic: its name.
        partitions: how many one that is made gets, where the options declare no number.
        settings: what one that is made is set to, where the options declare nothing else.

    Raises:
        ResourceMissing: FLX-4403, it is missing and is not to be made.
        ExternalError: FLX-4406, it differs from what is declared; FLX-4407, the brokers refuse to make it.
        Unauthorized: FLX-4402, we are not let in, or may not make or describe it.
        ConnectionLost: FLX-4401, no broker answers.
    """
    troubles = Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    topics = connect(admin, options, troubles)
    made = topic not in topics and options.create_topics and _create(admin, options, topic, partitions, settings or {}, troubles)
    attempt = 0
    while topic not in topics and options.create_topics and attempt < KAFKA_CONNECT_ATTEMPTS:
        if attempt:
            admin.poll(KAFKA_METADATA_SECONDS)  # The brokers learn of a new topic one by one.
        topics = connect(admin, options, troubles)
        attempt += 1
    _compare(admin, options, topic, topics, troubles)
    return made


def look_at_topic(options: KafkaOptions, topic: str) -> int | None:
    """How many partitions the topic has, which is as the options declare it; None where it is missing and opening would make it.

    Raises:
        ResourceMissing: FLX-4403, it is missing and would not be made.
        ExternalError: FLX-4406, it differs from what is declared.
        Unauthorized: FLX-4402, we are not let in, or may not describe it.
        ConnectionLost: FLX-4401, no broker answers.
    """
    troubles = Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    topics = connect(admin, options, troubles)
    if topic not in topics and options.create_topics:
        return None
    return _compare(admin, options, topic, topics, troubles)


def _compare(admin: Any, options: KafkaOptions, topic: str, topics: dict[str, Any], troubles: Troubles) -> int:
    """Refuse a topic that is not there, or not as it is declared; its partitions."""
    numbers = partitions_of(topic, topics)
    differences = drift(options, topics[topic], _settings(admin, options, topic, troubles))
    if differences:
        raise ExternalError(
            "FLX-4406",
            f'topic "{topic}" is not as it is declared',
            detail=" ".join(differences),
            hint="Declare it as it is, or change it with Kafka's own tools; a topic that is there is never changed by Fluxline.",
        )
    return len(numbers)


def drift(options: KafkaOptions, found: Any, settings: dict[str, str]) -> list[str]:
    """Each difference between a topic (its metadata, its settings) and what is declared, as a sentence."""
    differences = []
    partitions, copies = len(found.partitions), {len(each.replicas) for each in found.partitions.values()}
    if options.partitions is not None and options.partitions != partitions:
        differences.append(f"It has {_count(partitions, 'partition')}, and partitions = {options.partitions} is declared.")
    if options.replication_factor is not None and copies != {options.replication_factor}:
        has = " and ".join(map(str, sorted(copies)))
        differences.append(f"It has {has} replicas of a partition, and replication_factor = {options.replication_factor} is declared.")
    for name, value in options.topic_config.items():
        wanted = config_text(value)
        if name not in settings:
            differences.append(f'The brokers know no setting "{name}" of topics.')
        elif settings[name] != wanted:
            differences.append(f'Its "{name}" is "{settings[name]}", and "{wanted}" is declared.')
    return differences


def config_text(value: object) -> str:
    """A setting of a topic as Kafka writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _create(admin: Any, options: KafkaOptions, topic: str, partitions: int | None, settings: Mapping[str, object], troubles: Troubles) -> bool:
    """Make the topic; False when somebody else did meanwhile."""
    kafka = library()
    number = options.partitions or partitions
    wanted = kafka.admin.NewTopic(
        topic,
        num_partitions=-1 if number is None else number,
        replication_factor=-1 if options.replication_factor is None else options.replication_factor,
        config={name: config_text(value) for name, value in {**settings, **options.topic_config}.items()},
    )
    try:
        admin.create_topics([wanted], request_timeout=KAFKA_ANSWER_SECONDS)[topic].result()
    except kafka.KafkaException as error:
        codes, code = kafka.KafkaError, error.args[0].code()
        if code == codes.TOPIC_ALREADY_EXISTS:
            return False
        refused = (codes.INVALID_REPLICATION_FACTOR, codes.INVALID_PARTITIONS, codes.INVALID_CONFIG, codes.TOPIC_EXCEPTION, codes.POLICY_VIOLATION)
        if code in refused:
            raise ExternalError(
                "FLX-4407",
                f'the brokers refuse to make topic "{topic}" as it is declared',
                detail=f"They say: {error.args[0].str()}",
                hint="Check partitions, replication_factor and topic_config.",
            ) from error
        raise refusal(error.args[0], topic, "make", troubles) from error
    return True


def _settings(admin: Any, options: KafkaOptions, topic: str, troubles: Troubles) -> dict[str, str]:
    """The topic's settings, if any is declared."""
    if not options.topic_config:
        return {}
    kafka = library()
    resource = kafka.admin.ConfigResource(kafka.admin.ConfigResource.Type.TOPIC, topic)
    try:
        found = admin.describe_configs([resource], request_timeout=KAFKA_ANSWER_SECONDS)[resource].result()
    except kafka.KafkaException as error:
        raise refusal(error.args[0], topic, "describe", troubles) from error
    return {name: str(entry.value) for name, entry in found.items()}


def remove_topics(options: KafkaOptions, topics: Sequence[str]) -> None:
    """Take topics away, and wait until the brokers list them no more; one that is not there is no error.

    Raises:
        ConnectionLost: FLX-4401.
        Unauthorized: FLX-4402.
        ExternalError: FLX-4405.
    """
    kafka, troubles = library(), Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    for topic, answer in admin.delete_topics(list(topics), request_timeout=KAFKA_ANSWER_SECONDS).items():
        try:
            answer.result()
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise refusal(error.args[0], topic, "remove", troubles) from error
    for _round in range(KAFKA_REMOVED_ROUNDS):
        if connect(admin, options, troubles).keys().isdisjoint(topics):
            return
        admin.poll(KAFKA_DELIVERY_POLL_SECONDS)
