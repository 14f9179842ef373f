"""Requests to single leaders: the admin client offers only requests that fail as a whole."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.errors import KafkaError, UnknownBrokerIdError, for_code
from kafka.future import Future
from kafka.protocol.consumer import OffsetForLeaderEpochRequest

from mesaya_ws.core.log.records import Partition

Questions = Mapping[str, tuple[OffsetSpec, IsolationLevel]]
"""Which offset of a partition is asked for, and at which isolation level, by the name of the question."""

_Topic = OffsetForLeaderEpochRequest.OffsetForLeaderTopic
_Partition = _Topic.OffsetForLeaderPartition


def offsets(
    admin: KafkaAdminClient, questions: Questions, leaders: Mapping[int, Sequence[Partition]]
) -> dict[tuple[str, Partition], int | Exception]:
    """Ask all leaders at once about their partitions; return an offset for each question, or why there is none.

    `KafkaAdminClient.list_partition_offsets` raises what concerns one partition, and gives no answer for the others.
    """
    answers: dict[tuple[str, Partition], int | Exception] = admin._manager.run(_offsets, admin, questions, leaders)
    return answers


def epoch_ends(
    admin: KafkaAdminClient, epochs: Mapping[int, Mapping[Partition, int]]
) -> dict[Partition, tuple[int, int]]:
    """Return, for each partition, the leader's last epoch that is not after the given one, and the end of that.

    `KafkaAdminClient` has no such request. Raises `KafkaError` when a leader does not answer.
    """
    ends: dict[Partition, tuple[int, int]] = admin._manager.run(_epoch_ends, admin, epochs)
    return ends


def address(admin: KafkaAdminClient, broker: int) -> str | None:
    """Return the address that Kafka names for a broker; None when it names no such broker now."""
    known = admin._manager.cluster.broker_metadata(broker)
    return None if known is None else f"{known.host}:{known.port}"


async def _offsets(
    admin: Any, questions: Questions, leaders: Mapping[int, Sequence[Partition]]
) -> dict[tuple[str, Partition], int | Exception]:
    asked = []
    for question, (spec, isolation) in questions.items():
        for leader, partitions in leaders.items():
            wanted = {TopicPartition(*partition): spec for partition in partitions}
            request = admin._list_partition_offsets_request(wanted, isolation.value)
            asked.append((question, partitions, _sent(admin, leader, request)))
    answers: dict[tuple[str, Partition], int | Exception] = {}
    for question, partitions, future in asked:
        try:
            response = await future
        except KafkaError as error:
            answers |= {(question, partition): error for partition in partitions}
            continue
        answers |= {(question, partition): KafkaError("it was not answered") for partition in partitions}
        for topic in response.topics:
            for part in topic.partitions:
                partition = Partition(topic.name, part.partition_index)
                answers[question, partition] = for_code(part.error_code)() if part.error_code else part.offset
    return answers


async def _epoch_ends(admin: Any, epochs: Mapping[int, Mapping[Partition, int]]) -> dict[Partition, tuple[int, int]]:
    asked = []
    for leader, of_partitions in epochs.items():
        by_topic = defaultdict(list)
        for (topic, number), epoch in of_partitions.items():
            by_topic[topic].append(_Partition(partition=number, current_leader_epoch=-1, leader_epoch=epoch))
        topics = [_Topic(topic=topic, partitions=partitions) for topic, partitions in by_topic.items()]
        asked.append(_sent(admin, leader, OffsetForLeaderEpochRequest(replica_id=-1, topics=topics)))
    ends = {}
    for future in asked:
        response = await future
        for topic in response.topics:
            for part in topic.partitions:
                if part.error_code:
                    raise for_code(part.error_code)()
                ends[Partition(topic.topic, part.partition)] = part.leader_epoch, part.end_offset
    return ends


def _sent(admin: Any, leader: int, request: Any) -> Any:
    """Return the future of an answer."""
    try:
        return admin._manager.send(request, node_id=leader)
    except KafkaError as error:
        if isinstance(error, UnknownBrokerIdError):
            # The client does not know this broker, and would not ask again before `metadata_max_age_ms`.
            admin._manager.cluster.request_update()
        return Future().failure(error)
