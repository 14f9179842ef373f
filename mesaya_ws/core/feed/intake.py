"""What has been ingested and waits for its turn: records in their one order, decoded when it comes."""

from collections.abc import Callable, Iterable
from functools import partial

from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import Decoded, Event, decode
from mesaya_ws.core.platform.projections import Projections
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


def merges(parent_timeout: int, max_records: int, max_bytes: int) -> Callable[[Projections], Merge[Item]]:
    """Return what makes merges, which wait up to `parent_timeout` ms for parents that the projections do not know."""
    return partial(_merge, parent_timeout, max_records, max_bytes)


def _merge(parent_timeout: int, max_records: int, max_bytes: int, projections: Projections) -> Merge[Item]:
    # It knows no feed: a cycle would leave all that a feed has known to the garbage collector, which comes after hours.
    def missing(item: Item) -> str | None:
        return missing_parent(item[1], projections) if isinstance(item[1], Event) else None

    return Merge(missing, parent_timeout, _decoded, max_records, max_bytes)


def _decoded(item: Item) -> Item:
    return item if item[1] is not None else (item[0], decode(item[0]))
