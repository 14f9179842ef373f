"""What has been ingested and waits for its turn: records in their one order, decoded when it comes."""

from collections.abc import Iterable

from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import Decoded, Event, decode
from mesaya_ws.core.recovery.parents import missing_parent

DECODED_EARLY = 32 * 1024
"""Bytes of a record from which it is decoded when it is ingested: in another step than that which processes it; and
what becomes of it is published in pieces."""

Item = tuple[Record, Decoded | Gap | None]
"""A record, and what it says; None before it is decoded. Or a gap, in the place of its last record."""


def items_of(records: Iterable[Record]) -> list[Item]:
    """Return the items of records that have come."""
    return [
        (record, None if record.value is None or len(record.value) < DECODED_EARLY else decode(record))
        for record in records
    ]


def gap_item(gap: Gap) -> tuple[Partition, Item]:
    """Return the item of a gap, and where it belongs: after the records of its partition that came before it."""
    return gap.partition, (Record(*gap.partition, gap.next - 1, 0, None, None), gap)


def new_merge(known: Known, parent_timeout: int, max_records: int, max_bytes: int) -> Merge[Item]:
    """Return a merge that waits up to `parent_timeout` ms for parents of which nothing is `known`."""

    # It knows no feed: a cycle would leave all that a feed has known to the garbage collector, which comes after hours.
    def missing(item: Item) -> str | None:
        return missing_parent(item[1], known.projections) if isinstance(item[1], Event) else None

    merge = Merge(missing, parent_timeout, _decoded, max_records, max_bytes)
    merge.expired_parents = known.expired_parents
    return merge


def _decoded(item: Item) -> Item:
    return item if item[1] is not None else (item[0], decode(item[0]))
