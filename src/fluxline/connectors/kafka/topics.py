"""Topics as the options declare them: made where they are missing, compared where they are there, never changed.

More partitions would send keys elsewhere, and another replication moves data, so a topic that differs is reported.

What is not declared is so that a topic outlives the loss of a broker: brokers that nobody configured would make one replica, and how
they are configured not everybody may read; how many there are every client is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.connectors.kafka.client import Troubles, connect, library, make, partitions_of, refusal
from fluxline.connectors.kafka.options import MIN_IN_SYNC
from fluxline.errors import ConfigError, ExternalError, Unauthorized
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

REPLICAS = 3
IN_SYNC = 2
"""Of three replicas one may be away: writing goes on, and what was acknowledged is on another one at least."""


def ensure_topic(
    options: KafkaOptions, topic: str, *, partitions: int | None = None, settings: Mapping[str, object] | None = None, written: bool = False
) -> bool:
    """Make the topic if it is missing and `create_topics` says so; compare it with what is declared; whether it was made.

    Args:
        options: what is declared.
        topic: its name.
        partitions: how many one that is made gets, where the options declare no number.
        settings: what one that is made is set to, where the options declare nothing else.
        written: rows are to be written to it.

    Raises:
        ResourceMissing: FLX-4403, it is missing and is not to be made.
        ExternalError: FLX-4406, it differs from what is declared; FLX-4407, the brokers refuse to make it; FLX-4408, it is to have more
            replicas than there are brokers.
        ConfigError: FLX-4409, it is to have fewer replicas than must be in sync.
        Unauthorized: FLX-4402, we are not let in, or may not make or describe it.
        ConnectionLost: FLX-4401, no broker answers.
    """
    troubles = Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    topics = connect(admin, options, troubles)
    made = False
    if topic not in topics and options.create_topics:
        made = _create(admin, options, topic, partitions, settings or {}, troubles)
    attempt = 0
    while topic not in topics and options.create_topics and attempt < KAFKA_CONNECT_ATTEMPTS:
        if attempt:
            admin.poll(KAFKA_METADATA_SECONDS)  # The brokers learn of a new topic one by one.
        topics = connect(admin, options, troubles)
        attempt += 1
    _compare(admin, options, topic, topics, troubles, written=written and not made)
    return made


def look_at_topic(options: KafkaOptions, topic: str, *, written: bool = False) -> int | None:
    """How many partitions the topic has, which is as the options declare it; None where it is missing and opening would make it.

    Args:
        options: what is declared.
        topic: its name.
        written: rows are to be written to it.

    Raises:
        ResourceMissing: FLX-4403, it is missing and would not be made.
        ExternalError: FLX-4406, it differs from what is declared; FLX-4407, FLX-4408, it is missing and the brokers would refuse to make it.
        ConfigError: FLX-4409, as `ensure_topic`.
        Unauthorized: FLX-4402, we are not let in, or may not describe it.
        ConnectionLost: FLX-4401, no broker answers.
    """
    troubles = Troubles()
    admin = make("AdminClient", options, {"reconnect.backoff.max.ms": 1_000}, troubles)
    topics = connect(admin, options, troubles)
    if topic not in topics and options.create_topics:
        _create(admin, options, topic, None, {}, troubles, judged_only=True)
        return None
    return _compare(admin, options, topic, topics, troubles, written=written)


def _compare(admin: Any, options: KafkaOptions, topic: str, topics: dict[str, Any], troubles: Troubles, *, written: bool) -> int:
    """Refuse a topic that is not there, not as it is declared, or that takes nothing; its partitions."""
    numbers = partitions_of(topic, topics)
    differences = drift(options, topics[topic], _settings(admin, options, topic, troubles))
    if differences:
        raise ExternalError(
            "FLX-4406",
            f'topic "{topic}" is not as it is declared',
            detail=" ".join(differences),
            hint="Declare it as it is, or change it with Kafka's own tools; a topic that is there is never changed by Fluxline.",
        )
    if written:
        _refuse_unwritable(topics[topic], visible_settings(admin, topic, troubles))
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


def replicas_of(options: KafkaOptions, brokers: int) -> int:
    """How many replicas a topic gets that is made: what is declared, else three, or as many as there are brokers."""
    return options.replication_factor or max(1, min(REPLICAS, brokers))


def in_sync_of(options: KafkaOptions, replicas: int) -> int | None:
    """How many replicas of a topic that is made must have a record before it counts as written; None leaves it to the brokers."""
    declared = options.min_insync_replicas
    if declared is not None:
        return declared
    return IN_SYNC if replicas > IN_SYNC else None


def _create(
    admin: Any,
    options: KafkaOptions,
    topic: str,
    partitions: int | None,
    settings: Mapping[str, object],
    troubles: Troubles,
    *,
    judged_only: bool = False,
) -> bool:
    """Make the topic, or let the brokers judge whether they would; False when somebody else did meanwhile."""
    kafka = library()
    number = options.partitions or partitions
    brokers = len(admin.list_topics(timeout=KAFKA_METADATA_SECONDS).brokers)
    if judged_only and not administers(admin):
        return False
    replicas = replicas_of(options, brokers)
    in_sync = in_sync_of(options, replicas)
    if in_sync is not None and in_sync > replicas:
        raise _never_in_sync(topic, in_sync, replicas)
    ours = {} if in_sync is None else {MIN_IN_SYNC: in_sync}
    wanted = kafka.admin.NewTopic(
        topic,
        num_partitions=-1 if number is None else number,
        replication_factor=replicas,
        config={name: config_text(value) for name, value in {**ours, **settings, **options.topic_config}.items()},
    )
    try:
        admin.create_topics([wanted], request_timeout=KAFKA_ANSWER_SECONDS, validate_only=judged_only)[topic].result()
    except kafka.KafkaException as error:
        codes, code = kafka.KafkaError, error.args[0].code()
        if code == codes.TOPIC_ALREADY_EXISTS:
            return False
        if code == codes.INVALID_REPLICATION_FACTOR and replicas > brokers:
            raise _too_few_brokers(topic, replicas, brokers, error.args[0].str()) from error
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


def _too_few_brokers(topic: str, replicas: int, brokers: int, said: str) -> ExternalError:
    return ExternalError(
        "FLX-4408",
        f'topic "{topic}" is to have {_count(replicas, "replica")}, and there {"is" if brokers == 1 else "are"} {_count(brokers, "broker")}',
        detail=f"The brokers say: {said}",
        hint="Start more brokers, or declare a lower replication_factor.",
    )


def _never_in_sync(topic: str, in_sync: int, replicas: int) -> ConfigError:
    return ConfigError(
        "FLX-4409",
        f'nothing could be written to topic "{topic}": it has {_count(replicas, "replica")}, and {in_sync} must be in sync',
        detail="A record counts as written when so many replicas have it as min.insync.replicas says.",
        hint="Lower min.insync.replicas in topic_config, to one less than the replicas, or raise replication_factor.",
    )


def _refuse_unwritable(found: Any, settings: Mapping[str, str]) -> None:
    """Refuse a topic (its metadata, its settings as far as they may be seen) to which nothing can be written.

    Raises:
        ConfigError: FLX-4409.
    """
    in_sync = int(settings.get(MIN_IN_SYNC, "1"))
    replicas = min(len(each.replicas) for each in found.partitions.values())
    if in_sync > replicas:
        raise _never_in_sync(found.topic, in_sync, replicas)


def _settings(admin: Any, options: KafkaOptions, topic: str, troubles: Troubles) -> dict[str, str]:
    """The topic's settings, if any is declared."""
    return settings_of(admin, topic, troubles) if options.topic_config else {}


def settings_of(admin: Any, topic: str, troubles: Troubles) -> dict[str, str]:
    """The settings of a topic that is there, whoever decided them.

    Raises:
        ExternalError: FLX-4401 to FLX-4405.
    """
    return _described(admin, "TOPIC", topic, topic, troubles)


def visible_settings(admin: Any, topic: str, troubles: Troubles) -> dict[str, str]:
    """The same, as far as we may see them; nothing where we may not, or where nobody tells.

    Raises:
        ExternalError: FLX-4401, FLX-4403, FLX-4405.
    """
    try:
        return settings_of(admin, topic, troubles) if administers(admin) else {}
    except Unauthorized:
        return {}


def visible_defaults(admin: Any, topic: str, troubles: Troubles) -> dict[str, str]:
    """What the brokers decide of a topic that is made, as far as we may see it.

    Raises:
        ExternalError: FLX-4401, FLX-4405.
    """
    broker = admin.list_topics(timeout=KAFKA_METADATA_SECONDS).controller_id
    try:
        return _described(admin, "BROKER", str(broker), topic, troubles) if administers(admin) else {}
    except Unauthorized:
        return {}


def _described(admin: Any, kind: str, name: str, topic: str, troubles: Troubles) -> dict[str, str]:
    kafka = library()
    resource = kafka.admin.ConfigResource(getattr(kafka.admin.ConfigResource.Type, kind), name)
    try:
        found = admin.describe_configs([resource], request_timeout=KAFKA_ANSWER_SECONDS)[resource].result()
    except kafka.KafkaException as error:
        raise refusal(error.args[0], topic, "describe", troubles) from error
    return {each: str(entry.value) for each, entry in found.items()}


def administers(admin: Any) -> bool:
    """Whether the brokers name one of them that makes and describes topics; some that are not Apache Kafka's do not."""
    cluster = admin.list_topics(timeout=KAFKA_METADATA_SECONDS)
    return cluster.controller_id in cluster.brokers


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
