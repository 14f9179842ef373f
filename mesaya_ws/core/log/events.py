"""What a follower of the log receives: records, and what happens to the log itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mesaya_ws.core.log.records import OffsetRange, Partition, Record, Source, weight
from mesaya_ws.core.log.trouble import Trouble


class Records(NamedTuple):
    """The next records of one source; the source is known to hold `lag` more after them."""

    source: Source
    records: Sequence[Record]
    lag: int


class PollResult(NamedTuple):
    """What came of several sources at once.

    All of it is to be known before the first of its records is taken: an earlier one may be in another source.
    """

    batches: Sequence[Records]


class LogMetadata(NamedTuple):
    """What the whole log holds: comes first, then every few seconds, and when topics or partitions appear.

    `lags` says of every source how many records are known that have not been handed over yet, and can be. The look
    began `at` some time (ms since the epoch), or just now: what was appended later, it may not show. A partition that
    `extents` do not name does not exist, unless one of the `troubles` covers it.
    """

    extents: Mapping[Partition, OffsetRange]
    lags: Mapping[Source, int]
    at: int | None = None
    troubles: Sequence[Trouble] = ()


class Gap(NamedTuple):
    """Retention removed the records `first <= offset < next` of a partition before this follower could read them."""

    partition: Partition
    first: int
    next: int


class Corrupt(NamedTuple):
    """Of the records `first <= offset < next` of a partition, some are there that cannot be read, for a `reason`.

    That may be that they are too large, together.
    """

    partition: Partition
    first: int
    next: int
    reason: str
    too_large: bool = False


class TopicRecreated(NamedTuple):
    """A topic was deleted and created again: its offsets count anew, under another id."""

    topic: str
    topic_id: str


class EpochsBegun(NamedTuple):
    """In each of these partitions, the records from an offset on were written in an epoch: partition, offset, number.

    Comes before the first of them. A log that has lost its end gives out offsets again, in another epoch: so the epoch
    of a record, together with its offset, says which record it is.
    """

    begun: Sequence[tuple[Partition, int, int]]


class Truncated(NamedTuple):
    """A partition has lost its end: what had been read from the offset `next` on is no more, and others come there."""

    partition: Partition
    next: int


class Unavailable(NamedTuple):
    """The log does not answer, for a `reason` that a person can act on; following goes on when it is back.

    Comes when it stops answering, and again when the reason changes.
    """

    reason: str


class Available(NamedTuple):
    """The log answers again; nothing was skipped."""


LogEvent = (
    Records
    | PollResult
    | LogMetadata
    | Gap
    | Corrupt
    | TopicRecreated
    | EpochsBegun
    | Truncated
    | Unavailable
    | Available
)


def pieces(news: LogEvent, most: int) -> Iterator[tuple[LogEvent, int]]:
    """Yield what says the same as `news`, and the weight of its records, which ends with the one that reaches `most`.

    All of it is to be known before the first of the records is taken.
    """
    match news:
        case Records():
            yield from _pieces(news, [weight(record) for record in news.records], most)
        case PollResult(batches):
            weights = [[weight(record) for record in batch.records] for batch in batches]
            weighs = sum(map(sum, weights))
            if weighs > most:
                for batch, weighed in zip(batches, weights, strict=True):
                    yield from _pieces(batch, weighed, most)
            else:
                yield news, weighs
        case _:
            yield news, 0


def _pieces(batch: Records, weights: Sequence[int], most: int) -> Iterator[tuple[Records, int]]:
    """Yield the pieces of a batch whose records have such `weights`."""
    total = sum(weights)
    if total <= most:
        yield batch, total
        return
    source, held, lag = batch
    first = weighs = 0
    for number, weighed in enumerate(weights, 1):
        weighs += weighed
        if weighs >= most or number == len(held):
            yield Records(source, held[first:number], lag + len(held) - number), weighs
            first, weighs = number, 0
