"""The interface of the one ordered log that everything is read from, and appended to.

A log has topics; a topic has partitions; a partition has records at increasing offsets (not consecutive: retention,
compaction and transactions leave holes). Two implementations exist (`mesaya_ws.eventlog`), held to one contract suite.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set
from typing import Protocol

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.records import (
    BEGINNING,
    Appended,
    NewRecord,
    OffsetRange,
    Partition,
    PartitionPosition,
    Record,
    Source,
)

# What a follower receives. A *source* is a sequence of records whose inner order never changes: one partition of Kafka;
# the whole embedded log, which has one order over all of its topics.


Paused = Callable[[], Collection[Source]]
"""Says of which sources nothing more should be read for now."""


def nothing_is_paused() -> Collection[Source]:
    """Pause nothing."""
    return ()


class LogUnavailableError(Exception):
    """The log did not acknowledge in time. The records may or may not have been appended: a repeat can double them."""


class RecordRejectedError(Exception):
    """The log will never take this record (too large, unknown topic, not authorised); the others are not affected."""


class OffsetGoneError(Exception):
    """The records asked for lie before the beginning of the partition, or in another incarnation of the topic."""


class EventLog(Protocol):
    """An ordered log of records by topic; safe to use from many tasks of one Trio run.

    Implementations are asynchronous context managers: blocking work happens in threads that end with the context.
    """

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """Append all `records` in their order; return when the log has acknowledged every one.

        Raises `LogUnavailableError` (outcome unknown) or `RecordRejectedError` (that record was not appended; those
        before it were).
        """
        ...

    async def follow(
        self,
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """Hand everything that the log holds and will hold to `deliver`, until cancelled.

        Partitions are read from their place in `start` on, and those that have none there from their beginning. It is
        as if this follower had read up to there: what was removed, lost at the end or replaced since is reported as a
        `Gap`, `Truncated` or `TopicRecreated`.

        The first item is a `LogMetadata`, unless something was lost or replaced, or the log does not answer from the
        start. A
        `deliver` that waits holds up the reading (the log is the buffer); a batch holds at most a few hundred records.
        Of sources that are `paused`, nothing more is read until they are not, but for what is on its way; all others
        are read on. It is asked again and again, from any thread. A log that is one source has nothing to pause.
        An unreachable log never ends this: it says `Unavailable`, again when the reason changes, and later `Available`.
        """
        ...

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        """Return up to `limit` records of `partition` from offset `start` on; an empty list at its end.

        There may be fewer, though more follow, when they are large.

        Raises `OffsetGoneError` when `start` lies before the beginning, or the partition does not exist;
        `LogUnavailableError` when the log does not answer, or does not let us read it.
        """
        ...

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, OffsetRange]:
        """Return what every configured topic that exists holds now; what is not in it does not exist.

        Raises `LogUnavailableError`, also when that cannot be said of one partition, or when the log does not let us
        ask; what we may not ask is left out with `skip_refused`.
        """
        ...

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """Return the partitions whose log no longer holds what had been read up to their place, at its end.

        It ends before the place, or was written anew from somewhere before it, as the epochs show. Partitions that do
        not exist, or not in that incarnation, say nothing. Raises `LogUnavailableError`, also when that cannot be said
        of one of them.
        """
        ...
