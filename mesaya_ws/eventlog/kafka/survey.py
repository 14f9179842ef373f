"""A look at what the topics hold now."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

from mesaya_ws.core.event_log import Extent, Partition


class Survey(NamedTuple):
    """What the topics that exist hold; `trouble` says why something that exists is not in it."""

    extents: Mapping[Partition, Extent]
    trouble: str | None


def take_survey(admin: KafkaAdminClient, topics: Collection[str]) -> Survey:
    """Ask the brokers about `topics`, in three requests. Raises `KafkaError` when they do not answer.

    Topics that do not exist are not created, and no trouble.
    """
    ids: dict[Partition, str] = {}
    trouble = None
    for topic in admin.describe_topics(list(topics)):
        name = topic["name"]
        error = for_code(topic["error_code"])
        if error is UnknownTopicOrPartitionError:
            continue
        if error is TopicAuthorizationFailedError:
            trouble = not_allowed(name)
        elif topic["error_code"]:
            trouble = f"Kafka does not tell about {name}: {error.description or error.__name__}."
        for partition in topic["partitions"]:
            number = partition["partition_index"]
            if partition["leader_id"] < 0:
                trouble = f"Partition {number} of {name} has no leader: start the brokers that hold it."
            else:
                ids[Partition(name, number)] = str(topic["topic_id"])
    begins, ends = _offsets(admin, ids, OffsetSpec.EARLIEST), _offsets(admin, ids, OffsetSpec.LATEST)
    return Survey({at: Extent(begins[at], ends[at], id) for at, id in ids.items()}, trouble)


def not_allowed(topic: str) -> str:
    """Say that a topic may not be read."""
    return f"Kafka does not let us read {topic}: allow our user READ and DESCRIBE, or leave it out of KAFKA_TOPICS."


def _offsets(admin: KafkaAdminClient, partitions: Collection[Partition], spec: OffsetSpec) -> dict[Partition, int]:
    if not partitions:
        return {}
    asked = {TopicPartition(*partition): spec for partition in partitions}
    # What open transactions have written does not count: a reader gets it when they are committed.
    found = admin.list_partition_offsets(asked, IsolationLevel.READ_COMMITTED)
    if len(found) < len(asked):
        raise KafkaError("the offsets of some partitions are not known")
    return {Partition(*partition): offset.offset for partition, offset in found.items()}
