"""The interface of the one ordered log that everything is read from, and appended to.

A log has topics; a topic has partitions; a partition has records at increasing offsets (not consecutive: retention,
compaction and transactions leave holes). Two implementations exist (`mesaya_ws.eventlog`), held to one contract suite.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence, Set
from enum import StrEnum
from typing import NamedTuple, Protocol

DOMAINS = (
    "restaurants",
    "sections",
    "tables",
    "objects",
    "section-objects",
    "menus",
    "reviews",
    "images",
    "reservations",
    "payments",
    "subscriptions",
    "auth",
    "owner-upgrade",
    "announcements",
)


def topic_of(domain: str) -> str:
    """Return the name of the topic that carries the events of `domain` (one of `DOMAINS`)."""
    return f"mesa-ya.{domain}.events"


TOPICS = tuple(map(topic_of, DOMAINS))

PARENTS = "mesaya-ws.parents"
"""Topic of our own: what the platform's API has said of parents that no record had told of (see `found`)."""


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


class Extent(NamedTuple):
    """What a partition holds now: offsets `begin <= offset < end`, in the incarnation `topic_id` of its topic.

    A topic that is deleted and created again has the same name and re-uses offsets; only the id tells.
    """

    begin: int
    end: int
    topic_id: str


class Place(NamedTuple):
    """A place in a partition, of the incarnation `topic_id` of its topic: all before the offset `next` is known.

    `epoch` is that of the record before it, as the log has told (see `EpochsBegun`); None: it is not known.
    """

    topic_id: str
    next: int
    epoch: int | None = None


BEGINNING: Mapping[Partition, Place] = {}
"""Where a follower starts that knows nothing."""


# What a follower is told. A *source* is a sequence of records whose inner order never changes: one partition of Kafka;
# the whole embedded log, which has one order over all of its topics.

Source = Partition | None
"""A partition, or None for a log that hands out all of its partitions in one order."""


Paused = Callable[[], Collection[Source]]
"""Says of which sources nothing more should be read for now."""


def nothing_is_paused() -> Collection[Source]:
    """Pause nothing."""
    return ()


class Batch(NamedTuple):
    """The next records of one source; the source is known to hold `lag` more behind them."""

    source: Source
    records: Sequence[Record]
    lag: int


class Together(NamedTuple):
    """What came of several sources at once.

    All of it is to be known before the first of its records is taken: an earlier one may be in another source.
    """

    batches: Sequence[Batch]


class Hindrance(StrEnum):
    """What keeps a part of the log from being read."""

    ABSENT = "absent"
    """The topic does not exist: the only one of these that is the same as being empty."""
    UNKNOWN = "unknown"
    """It exists, but what it holds is not known now: a partition without a leader, or one that cannot be asked."""
    REFUSED = "refused"
    """The log does not let us read it, and will not until somebody changes that; nobody waits for it."""
    BLOCKED = "blocked"
    """Records wait after an open transaction, until it ends."""


class Trouble(NamedTuple):
    """A part of the log that cannot be read at present, and why; all of the topic when `number` is None.

    `since` is in seconds since the epoch, and `seconds` is how long that is ago, by a clock that nobody sets; `reason`
    is a sentence that names the part, and what to do about it. `withheld` is how many records are known to be there
    that cannot be had.
    """

    topic: str
    number: int | None
    kind: Hindrance
    since: float
    reason: str
    withheld: int = 0
    seconds: float = 0.0


class Sources(NamedTuple):
    """A look at the whole log: told first, then every few seconds, and when topics or partitions appear.

    `lags` says of every source how many records are known that have not been handed over yet, and can be. The look
    began `at` some time (ms since the epoch), or just now: what was appended later, it may not show. A partition that
    `extents` do not name does not exist, unless one of the `troubles` covers it.
    """

    extents: Mapping[Partition, Extent]
    lags: Mapping[Source, int]
    at: int | None = None
    troubles: Sequence[Trouble] = ()


class Gap(NamedTuple):
    """Retention removed the records `first <= offset < next` of a partition before this follower could read them."""

    partition: Partition
    first: int
    next: int


class Skipped(NamedTuple):
    """Of the records `first <= offset < next` of a partition, some are there that cannot be read, for a `reason`.

    That may be that they are too large, together.
    """

    partition: Partition
    first: int
    next: int
    reason: str
    too_large: bool = False


class Replaced(NamedTuple):
    """A topic was deleted and created again: its offsets count anew, under another id."""

    topic: str
    topic_id: str


class EpochsBegun(NamedTuple):
    """In each of these partitions, the records from an offset on were written in an epoch: partition, offset, number.

    Told before the first of them. A log that has lost its end gives out offsets again, in another epoch: so the epoch
    of a record, together with its offset, says which record it is.
    """

    begun: Sequence[tuple[Partition, int, int]]


class Truncated(NamedTuple):
    """A partition has lost its end: what had been read from the offset `next` on is no more, and others come there."""

    partition: Partition
    next: int


class Outage(NamedTuple):
    """The log stopped answering, for a `reason` that a person can act on; following goes on when it is back."""

    reason: str


class Restored(NamedTuple):
    """The log answers again; nothing was skipped."""


News = Batch | Together | Sources | Gap | Skipped | Replaced | EpochsBegun | Truncated | Outage | Restored


def weight(record: Record) -> int:
    """Return how much work a record is: 1, and as much again for each KiB."""
    return 1 + (len(record.value or b"") >> 10)


def pieces(news: News, most: int) -> Iterator[tuple[News, int]]:
    """Yield what says the same as `news`, and the weight of its records, which ends with the one that reaches `most`.

    All of it is to be known before the first of the records is taken.
    """
    weighs = _weight(news)
    match news:
        case Batch(source, held, lag) if weighs > most:
            first = weighs = 0
            for number, record in enumerate(held, 1):
                weighs += weight(record)
                if weighs >= most or number == len(held):
                    yield Batch(source, held[first:number], lag + len(held) - number), weighs
                    first, weighs = number, 0
        case Together(batches) if weighs > most:
            for batch in batches:
                yield from pieces(batch, most)
        case _:
            yield news, weighs


def _weight(news: News) -> int:
    match news:
        case Batch(_, records, _):
            return sum(map(weight, records))
        case Together(batches):
            return sum(map(_weight, batches))
    return 0


class LogUnavailableError(Exception):
    """The log did not acknowledge in time. The records may or may not have been appended: a repeat can double them."""


class RecordRefusedError(Exception):
    """The log will never take this record (too large, unknown topic, not authorised); the others are not affected."""


class OffsetGoneError(Exception):
    """The records asked for lie before the beginning of the partition, or in another incarnation of the topic."""


class EventLog(Protocol):
    """An ordered log of records by topic; safe to use from many tasks of one Trio run.

    Implementations are asynchronous context managers: blocking work happens in threads that end with the context.
    """

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """Append all `records` in their order; return when the log has acknowledged every one.

        Raises `LogUnavailableError` (outcome unknown) or `RecordRefusedError` (that record was not appended; those
        before it were).
        """
        ...

    async def follow(
        self,
        deliver: Callable[[News], Awaitable[None]],
        start: Mapping[Partition, Place] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """Hand everything that the log holds and will hold to `deliver`, until cancelled.

        Partitions are read from their place in `start` on, and those that have none there from their beginning. It is
        as if this follower had read up to there: what was removed or replaced since is told as a `Gap` or `Replaced`.

        The first item is a `Sources`, unless something was replaced, or the log does not answer from the start. A
        `deliver` that waits holds up the reading (the log is the buffer); a batch holds at most a few hundred records.
        Of sources that are `paused`, nothing more is read until they are not, but for what is on its way; all others
        are read on. It is asked again and again, from any thread. A log that is one source has nothing to pause.
        An unreachable log never ends this: it says `Outage`, and later `Restored`.
        """
        ...

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        """Return up to `limit` records of `partition` from offset `start` on; an empty list at its end.

        There may be fewer, though more follow, when they are large.

        Raises `OffsetGoneError` when `start` lies before the beginning, or the partition does not exist;
        `LogUnavailableError` when the log does not answer, or does not let us read it.
        """
        ...

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, Extent]:
        """Return what every configured topic that exists holds now; what is not in it does not exist.

        Raises `LogUnavailableError`, also when that cannot be said of one partition, or when the log does not let us
        ask; what we may not ask is left out with `skip_refused`.
        """
        ...

    async def lost_ends(self, places: Mapping[Partition, Place]) -> Set[Partition]:
        """Return the partitions whose log no longer holds what had been read up to their place, at its end.

        It ends before the place, or was written anew from somewhere before it, as the epochs tell. Partitions that do
        not exist, or not in that incarnation, say nothing. Raises `LogUnavailableError`, also when that cannot be said
        of one of them.
        """
        ...
