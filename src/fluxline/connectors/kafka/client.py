"""librdkafka's clients: made when first used, their troubles kept, their errors as ours."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from fluxline.errors import ConfigError, ConnectionLost, ExternalError, ResourceMissing, Unauthorized, did_you_mean
from fluxline.limits import KAFKA_CONNECT_ATTEMPTS, KAFKA_METADATA_SECONDS, KAFKA_TROUBLES_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.kafka.options import KafkaOptions

LOGGER = logging.getLogger("fluxline.kafka")
PASSING = (
    "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION", "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "KAFKA_STORAGE_ERROR", "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE", "THROTTLING_QUOTA_EXCEEDED",
)  # fmt: skip
"""Errors after which the client asks again by itself; it marks none of them so where a partition is fetched."""


def library() -> Any:
    """The module `confluent_kafka`.

    Raises:
        ConfigError: FLX-1122, it is not installed.
    """
    try:
        import confluent_kafka
        import confluent_kafka.admin
    except ImportError as error:
        raise extra_missing(error) from error
    return confluent_kafka


def extra_missing(error: ImportError) -> ConfigError:
    """The error to raise where a library is not installed."""
    return ConfigError("FLX-1122", 'connector "kafka" needs an extra', detail=f"{error}.", hint="Install it: pip install 'fluxline[kafka]'")


class Troubles:
    """What librdkafka said went wrong: the message of a lost record or a failed call does not tell."""

    def __init__(self) -> None:
        self._errors: deque[Any] = deque(maxlen=KAFKA_TROUBLES_KEPT)

    def take(self, error: Any) -> None:
        """Keep an error; librdkafka calls this from `poll`."""
        self._errors.append(error)

    def denied(self) -> Any | None:
        """The last error that says that we are not let in, or None."""
        codes = library().KafkaError
        wanted = (codes._AUTHENTICATION, codes.SASL_AUTHENTICATION_FAILED, codes._SSL, codes.UNSUPPORTED_SASL_MECHANISM)
        return next((error for error in reversed(tuple(self._errors)) if error.code() in wanted), None)

    def text(self) -> str:
        """All different errors as one sentence."""
        seen = list(dict.fromkeys(error.str() for error in tuple(self._errors)))
        return f"librdkafka says: {'; '.join(seen[-3:])}." if seen else ""


def make(kind: str, options: KafkaOptions, ours: Mapping[str, object], troubles: Troubles) -> Any:
    """A client of librdkafka: `Consumer`, `Producer` or `AdminClient`.

    Raises:
        ConfigError: FLX-1106, it refuses a property.
    """
    kafka = library()
    settings = {**ours, **options.raw(), **options.client(), "error_cb": troubles.take}
    try:
        return getattr(kafka.admin if kind == "AdminClient" else kafka, kind)(settings, logger=LOGGER)
    except kafka.KafkaException as error:
        raise ConfigError("FLX-1106", "librdkafka refuses a property", detail=f"It says: {error.args[0].str()}.") from error


def connect(client: Any, options: KafkaOptions, troubles: Troubles) -> dict[str, Any]:
    """The topics that the brokers know, by name.

    Raises:
        Unauthorized: FLX-4402, the brokers do not let us in.
        ConnectionLost: FLX-4401, no broker answers in time.
    """
    kafka = library()
    servers = ", ".join(options.bootstrap_servers)
    said = ""
    for _attempt in range(KAFKA_CONNECT_ATTEMPTS):
        try:
            return dict(client.list_topics(timeout=KAFKA_METADATA_SECONDS).topics)
        except kafka.KafkaException as error:
            said = f"librdkafka says: {error.args[0].str()}."
        client.poll(0)
        if troubles.denied() is not None:
            hint = "Check user, password, mechanism and certificates."
            raise Unauthorized("FLX-4402", f'the brokers at "{servers}" do not let us in', detail=troubles.text(), hint=hint)
    hint = "Check bootstrap_servers and security_protocol, and that the brokers run."
    raise ConnectionLost("FLX-4401", f'no broker answers at "{servers}"', detail=troubles.text() or said, hint=hint)


def partitions_of(topic: str, topics: Mapping[str, Any]) -> list[int]:
    """Numbers of a topic's partitions.

    Raises:
        ResourceMissing: FLX-4403, there is no such topic.
    """
    found = topics.get(topic)
    if found is None or not found.partitions:
        raise ResourceMissing(
            "FLX-4403", f'there is no topic "{topic}"', detail=f"The brokers know {len(topics)} topics.", hint=did_you_mean(topic, topics)
        )
    return sorted(found.partitions)


def refusal(error: Any, topic: str, doing: str, troubles: Troubles) -> ExternalError:
    """The error to raise for one of librdkafka's."""
    codes = library().KafkaError
    code, detail = error.code(), f"The client says: {error.str()}. {troubles.text()}".rstrip()
    if code in (codes.TOPIC_AUTHORIZATION_FAILED, codes.GROUP_AUTHORIZATION_FAILED, codes.CLUSTER_AUTHORIZATION_FAILED):
        return Unauthorized("FLX-4402", f'topic "{topic}" may not be used to {doing}', detail=detail, hint="Ask for the rights.")
    if code in (codes.UNKNOWN_TOPIC_OR_PART, codes._UNKNOWN_TOPIC, codes._UNKNOWN_PARTITION):
        return ResourceMissing("FLX-4403", f'there is no topic "{topic}" to {doing}', detail=detail)
    if code in (codes._TRANSPORT, codes._TIMED_OUT, codes._MSG_TIMED_OUT, codes._ALL_BROKERS_DOWN):
        return ConnectionLost("FLX-4401", f'the brokers do not answer to {doing} topic "{topic}"', detail=detail)
    return ExternalError("FLX-4405", f'the attempt to {doing} topic "{topic}" failed', detail=detail)
