"""Topics of our own, which are created with their first record if they are missing."""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    RetriableError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from mesaya_ws.core.interactions import acknowledgements, conversation
from mesaya_ws.core.log.interface import RecordRejectedError

Configs = Mapping[str, str]
"""What a topic is created with (https://kafka.apache.org/documentation/#topicconfigs)."""

COMPACTED: Configs = {
    "cleanup.policy": "compact",
    # The segment that is written to is never compacted; with the default, 1 GiB, reading the topic would take minutes.
    "segment.bytes": str(16 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}

RETAIN_FOREVER: Configs = {"retention.ms": "-1"}

TIMESTAMP_TYPE, BY_THE_LOG = "message.timestamp.type", "LogAppendTime"

_DAY = 24 * 60 * 60 * 1000

CHAT_CONFIGS: Configs = {TIMESTAMP_TYPE: BY_THE_LOG, "retention.ms": str(conversation.KEPT)}
"""Of the topic of chat, also when other services write there: what is remembered depends on append times."""

ACK_CONFIGS: Configs = {TIMESTAMP_TYPE: BY_THE_LOG, "retention.ms": str(acknowledgements.KEPT + _DAY)}
"""Of the topic of acknowledgements: a day longer than they are remembered."""

HOLD_CONFIGS: Configs = {TIMESTAMP_TYPE: BY_THE_LOG, "retention.ms": str(2 * _DAY)}
"""Of the topic of table holds: far longer than the half hour that any is remembered."""

PRESENCE_CONFIGS: Configs = {
    **COMPACTED,
    TIMESTAMP_TYPE: BY_THE_LOG,
    # Nothing in it counts for longer than some seconds, and who starts reads it from the beginning.
    "cleanup.policy": "compact,delete",
    "retention.ms": str(60 * 60 * 1000),
    "segment.ms": str(10 * 60 * 1000),
    "segment.bytes": str(4 * 1024 * 1024),
}


def refusal(admin: KafkaAdminClient, topic: str) -> str | None:
    """Return why nothing may be appended to a topic whose append times decide; None if nothing speaks against it.

    Of a topic that does not exist, or whose configuration we may not see, nothing is known. Raises `KafkaError` when
    the brokers do not answer.
    """
    try:
        found: Any = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    except (AuthorizationError, UnknownTopicOrPartitionError):
        return None
    kind = found["topic"].get(topic, {}).get(TIMESTAMP_TYPE, {}).get("value", BY_THE_LOG)
    return None if kind == BY_THE_LOG else wrong_time(topic, kind)


def wrong_time(topic: str, kind: str) -> str:
    """Return the sentence about a topic whose records bear their producers' times."""
    return f"{topic} has {TIMESTAMP_TYPE}={kind}, so producers' clocks would decide: set it to {BY_THE_LOG}."


REPLICAS = 3
"""Replicas of a topic of ours, which must survive the loss of a broker; the brokers' default is 1."""


def create_topic(admin: KafkaAdminClient, topic: str, configs: Configs) -> None:
    """Create a topic of one partition with up to `REPLICAS` replicas, unless it exists.

    Raises `RecordRejectedError` when the brokers refuse, another `KafkaError` when they do not answer.
    """
    brokers = admin.describe_cluster()["brokers"]
    serving = [broker for broker in brokers if not broker.get("is_fenced")]
    # With one broker, the brokers' own default applies.
    replicas = min(len(serving), REPLICAS) if len(serving) > 1 else -1
    try:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": replicas, "configs": dict(configs)}})
    except TopicAlreadyExistsError:
        pass
    except BrokerResponseError as error:
        if isinstance(error, RetriableError):
            raise
        wanted = ", ".join(f"{name}={value}" for name, value in configs.items())
        raise RecordRejectedError(
            f"Kafka has no topic {topic}, and does not let us make it ({error.description or error}): "
            f"create it with one partition and {wanted}."
        ) from error
