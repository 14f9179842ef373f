"""Records of the log, and where they are: what all logs have in common."""

from collections.abc import Mapping
from typing import NamedTuple


class Partition(NamedTuple):
    """The name of a partition; its order is the tie-break of records with equal timestamps."""

    topic: str
    number: int


class TooLarge(NamedTuple):
    """In the place of a value that is not read, for it has `size` bytes, unpacked."""

    size: int


class Record(NamedTuple):
    """One record of the log.

    `timestamp` is the log's own (append or producer time), in milliseconds since the epoch; `value` is None in a
    tombstone.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | TooLarge | None


class NewRecord(NamedTuple):
    """What a producer hands to `EventLog.append`."""

    topic: str
    value: bytes | None
    key: bytes | None = None


class Appended(NamedTuple):
    """Where the log has put an acknowledged record."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class OffsetRange(NamedTuple):
    """What a partition holds now: offsets `begin <= offset < end`, in the incarnation `topic_id` of its topic.

    A topic that is deleted and created again has the same name and re-uses offsets; only the id differs.
    """

    begin: int
    end: int
    topic_id: str


class PartitionPosition(NamedTuple):
    """A place in a partition, of the incarnation `topic_id` of its topic: all before the offset `next` is known.

    `epoch` is that of the record before it, as the log has reported (see `EpochsBegun`); None: it is not known.
    """

    topic_id: str
    next: int
    epoch: int | None = None


BEGINNING: Mapping[Partition, PartitionPosition] = {}
"""Where a follower starts that knows nothing."""


Source = Partition | None
"""A partition, or None for a log that hands out all of its partitions in one order."""


def weight(record: Record) -> int:
    """Return how much work a record is: 1, and as much again for each KiB."""
    return 1 + (len(record.value or b"") >> 10)
