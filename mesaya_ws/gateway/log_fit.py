"""Whether the log still is the one that was read up to some places: what is known of it may be used."""

from collections.abc import Mapping

from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Partition, PartitionPosition


async def fits_log(event_log: EventLog, places: Mapping[Partition, PartitionPosition]) -> bool:
    """Return whether a log still is the one that was read up to `places`; missing partitions do not count.

    Raises `LogUnavailableError`.
    """
    extents = await event_log.extents(skip_refused=True)
    return all(
        extent.topic_id == places[partition].topic_id for partition, extent in extents.items() if partition in places
    ) and not await event_log.lost_ends(places)
