"""What the topics hold now, partition by partition: an error for one partition does not affect the others."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from attrs import Factory, frozen
from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec
from kafka.errors import (
    BrokerResponseError,
    OffsetNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.contacts import CONTACTS, not_there
from mesaya_ws.eventlog.kafka.driver.admin import Questions, address, offsets

# The end is asked for before what is readable: a commit between the answers must not look like a blocked record.
_QUESTIONS: Questions = {
    "begin": (OffsetSpec.EARLIEST, IsolationLevel.READ_UNCOMMITTED),
    "end": (OffsetSpec.LATEST, IsolationLevel.READ_UNCOMMITTED),
    "readable": (OffsetSpec.LATEST, IsolationLevel.READ_COMMITTED),
}


class Finding(NamedTuple):
    """Why a partition cannot be read, or the whole topic when `number` is None."""

    topic: str
    number: int | None
    kind: Hindrance
    reason: str


@frozen
class Metadata:
    """What the existing topics hold.

    `extents` end at the high watermark, up to which records are acknowledged; `readable` is the last stable offset, up
    to which they can be read, and lower while a transaction is open. For partitions in `begun`, only the beginning is
    known. `existing` are all partitions, and `leaders` the partitions that each broker leads. `findings` name
    everything that could not be learnt.
    """

    extents: Mapping[Partition, OffsetRange] = Factory(dict)
    readable: Mapping[Partition, int] = Factory(dict)
    begun: Mapping[Partition, PartitionPosition] = Factory(dict)
    existing: Collection[Partition] = ()
    findings: Sequence[Finding] = ()
    leaders: Mapping[int, Sequence[Partition]] = Factory(dict)

    def findings_of(self, kind: Hindrance) -> list[Finding]:
        """Return the findings of a kind."""
        return [finding for finding in self.findings if finding.kind is kind]

    @property
    def is_partial(self) -> bool:
        """Whether it is not known of some partition what it holds."""
        return bool(self.findings_of(Hindrance.UNKNOWN))


def fetch_metadata(admin: KafkaAdminClient, topics: Collection[str]) -> Metadata:
    """Ask the brokers about `topics`, without creating missing ones.

    Raises `KafkaError` when no broker answers; if a single leader does not answer, that is a finding.
    """
    ids: dict[Partition, str] = {}
    leaders: dict[int, list[Partition]] = defaultdict(list)
    existing: list[Partition] = []
    findings: list[Finding] = []
    for topic in admin.describe_topics(list(topics)):
        findings += _check(topic)
        for described in topic["partitions"]:
            partition = Partition(topic["name"], described["partition_index"])
            existing.append(partition)
            if described["leader_id"] < 0:
                reason = (
                    f"Partition {partition.number} of {partition.topic} has no leader: start a broker that holds it."
                )
                findings.append(Finding(*partition, Hindrance.UNKNOWN, reason))
            else:
                ids[partition] = str(topic["topic_id"])
                leaders[described["leader_id"]].append(partition)
    answers = offsets(admin, _QUESTIONS, leaders)
    leader_of = {partition: leader for leader, partitions in leaders.items() for partition in partitions}
    extents, readable, begun = {}, {}, {}
    for partition, id in ids.items():
        begin, end, stable = (answers[question, partition] for question in _QUESTIONS)
        if isinstance(begin, int) and isinstance(end, int) and isinstance(stable, int):
            extents[partition], readable[partition] = OffsetRange(begin, max(end, stable), id), stable
            continue
        failure = next(answer for answer in (begin, end, stable) if not isinstance(answer, int))
        if isinstance(failure, TopicAuthorizationFailedError):
            findings.append(Finding(*partition, Hindrance.REFUSED, not_allowed(partition.topic)))
            continue
        if isinstance(begin, int):
            begun[partition] = PartitionPosition(id, begin)
        reason = _why_unknown(partition, failure, address(admin, leader_of[partition]))
        findings.append(Finding(*partition, Hindrance.UNKNOWN, reason))
    return Metadata(extents, readable, begun, frozenset(existing), findings, leaders)


def not_allowed(topic: str) -> str:
    """Return the reason of a topic that may not be read."""
    return f"Kafka does not let us read {topic}: allow our user READ and DESCRIBE, or leave it out of KAFKA_TOPICS."


def _check(topic: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings that concern a whole topic."""
    name, error = topic["name"], for_code(topic["error_code"])
    allowed = topic.get("authorized_operations") or ()
    if error is UnknownTopicOrPartitionError:
        reason = f"Kafka has no topic {name}: create it, or leave it out of KAFKA_TOPICS."
        yield Finding(name, None, Hindrance.ABSENT, reason)
    elif error is TopicAuthorizationFailedError or ("DESCRIBE" in allowed and "READ" not in allowed):
        yield Finding(name, None, Hindrance.REFUSED, not_allowed(name))
    elif topic["error_code"]:
        reason = f"Kafka says nothing about {name}: {error.description or error.__name__}"
        yield Finding(name, None, Hindrance.UNKNOWN, reason)


def _why_unknown(partition: Partition, failure: Exception, leader: str | None) -> str:
    topic, number = partition
    if isinstance(failure, OffsetNotAvailableError):
        return (
            f"The end of partition {number} of {topic} is not known: fewer of its brokers are in sync than "
            "min.insync.replicas asks for; start those that are away."
        )
    if isinstance(failure, BrokerResponseError):
        why = failure.description or type(failure).__name__
        return f"Kafka does not say what partition {number} of {topic} holds: {why}"
    if leader is None:
        return f"Partition {number} of {topic} cannot be asked: the broker that leads it does not answer."
    why = not_there(CONTACTS.failure(leader)) or "it does not answer"
    return (
        f"Partition {number} of {topic} cannot be asked: Kafka names {leader} as the address of the broker that leads "
        f"it, but {why}. Start that broker, or correct its advertised.listeners."
    )
