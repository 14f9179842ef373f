"""Whether a log still holds what was read of it, by the epochs of its leaders (KIP-320)."""

from collections.abc import Mapping, Set

from kafka import KafkaAdminClient

from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.eventlog.kafka.driver.admin import epoch_ends
from mesaya_ws.eventlog.kafka.metadata import Metadata


def lost_ends(
    admin: KafkaAdminClient, metadata: Metadata, places: Mapping[Partition, PartitionPosition]
) -> Set[Partition]:
    """Return the partitions in `metadata` that have lost their end since they were read up to `places`.

    Raises `KafkaError` when a leader does not answer.
    """
    ours = {
        partition: place
        for partition, place in places.items()
        if partition in metadata.extents and metadata.extents[partition].topic_id == place.topic_id
    }
    shorter = {partition for partition, place in ours.items() if place.next > metadata.extents[partition].end}
    to_ask = {
        leader: {at: epoch for at in led if at in ours and (epoch := ours[at].epoch) is not None}
        for leader, led in metadata.leaders.items()
    }
    ends = epoch_ends(admin, {leader: epochs for leader, epochs in to_ask.items() if epochs})
    return shorter | {
        partition
        for partition, (epoch, end) in ends.items()
        if epoch != ours[partition].epoch or end < ours[partition].next
    }
