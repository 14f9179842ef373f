"""Whether a log still holds what had been read of it, as its leaders tell by the epochs (KIP-320)."""

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import for_code
from kafka.protocol.consumer import OffsetForLeaderEpochRequest

from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.eventlog.kafka.metadata import Metadata, sent

_Topic = OffsetForLeaderEpochRequest.OffsetForLeaderTopic
_Partition = _Topic.OffsetForLeaderPartition


def lost_ends(
    admin: KafkaAdminClient, survey: Metadata, places: Mapping[Partition, PartitionPosition]
) -> Set[Partition]:
    """Return the partitions in `survey` that have lost their end since they were read up to `places`.

    Raises `KafkaError` when a leader does not tell.
    """
    ours = {
        partition: place
        for partition, place in places.items()
        if partition in survey.extents and survey.extents[partition].topic_id == place.topic_id
    }
    shorter = {partition for partition, place in ours.items() if place.next > survey.extents[partition].end}
    to_ask = {
        leader: {at: epoch for at in led if at in ours and (epoch := ours[at].epoch) is not None}
        for leader, led in survey.leaders.items()
    }
    ends = admin._manager.run(_ask, admin, {leader: epochs for leader, epochs in to_ask.items() if epochs})
    return shorter | {
        partition
        for partition, (epoch, end) in ends.items()
        if epoch != ours[partition].epoch or end < ours[partition].next
    }


async def _ask(admin: Any, epochs: Mapping[int, Mapping[Partition, int]]) -> dict[Partition, tuple[int, int]]:
    """Ask leaders for the last epochs that are not after these, and where they end."""
    asked = []
    for leader, of_partitions in epochs.items():
        by_topic = defaultdict(list)
        for (topic, number), epoch in of_partitions.items():
            by_topic[topic].append(_Partition(partition=number, current_leader_epoch=-1, leader_epoch=epoch))
        topics = [_Topic(topic=topic, partitions=partitions) for topic, partitions in by_topic.items()]
        asked.append(sent(admin, leader, OffsetForLeaderEpochRequest(replica_id=-1, topics=topics)))
    ends = {}
    for future in asked:
        response = await future
        for topic in response.topics:
            for part in topic.partitions:
                if part.error_code:
                    raise for_code(part.error_code)()
                ends[Partition(topic.topic, part.partition)] = part.leader_epoch, part.end_offset
    return ends
