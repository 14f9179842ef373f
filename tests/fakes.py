"""Stand-ins for what tests do not want to run for real."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager, contextmanager
from time import time
from typing import TypeVar

import trio
from attrs import Factory, define

from mesaya_ws.core.log.events import (
    Available,
    Corrupt,
    EpochsBegun,
    Gap,
    LogEvent,
    LogMetadata,
    Records,
    TopicRecreated,
    Truncated,
    Unavailable,
)
from mesaya_ws.core.log.interface import (
    EventLog,
    LogUnavailableError,
    OffsetGoneError,
    Paused,
    RecordRejectedError,
    nothing_is_paused,
)
from mesaya_ws.core.log.records import BEGINNING, Appended, NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.topics import TOPICS

BATCH = 500
LARGEST = 1024 * 1024

T = TypeVar("T")


class FakeLog:
    """An event log in memory that misbehaves on demand; one partition a topic, one order over all of them.

    It keeps the promises of an `EventLog` (`test_fakes.py`), and is the store of its records, too. `appended` holds
    everything that was ever appended, in order; `outage` is why the log does not answer, or None.
    """

    foreign = "foreign.events"

    def __init__(self, topics: Sequence[str] = TOPICS, clock: Callable[[], float] = time):
        self.topics = topics
        self.appended: list[Record] = []
        self.outage: str | None = None
        self._loses_acknowledgements = False
        self._hangs = False
        self._clock = clock
        self._held: list[tuple[int, Record]] = []
        self._skipped: list[Corrupt] = []
        self._extents = {Partition(topic, 0): OffsetRange(0, 0, f"{topic}#1") for topic in topics}
        self._troubles: dict[str, Trouble] = {}
        self._epochs = [(partition, 0, 1) for partition in self._extents]
        self._changed = trio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[EventLog]:
        """Open the log, as the real ones are; it is the same one every time."""
        yield self

    # What a test can do to it

    def fail(self, reason: str = "the fake log is out of order") -> None:
        """Answer nobody from now on."""
        self.outage = reason
        self._wake()

    def recover(self) -> None:
        """Answer again."""
        self.outage = None
        self._wake()

    @contextmanager
    def failing(self, reason: str = "the fake log is out of order") -> Iterator[None]:
        """Answer nobody for the time of the context."""
        self.fail(reason)
        try:
            yield
        finally:
            self.recover()

    def hide(self, topic: str, kind: Hindrance = Hindrance.UNKNOWN) -> None:
        """Let a topic not be read from now on, as when its partition has no leader; the others go on."""
        self._troubles[topic] = Trouble(topic, 0, kind, 0, f"{topic} is {kind}.", seconds=60)
        self._wake()

    def show(self, topic: str) -> None:
        """Let a topic be read again."""
        del self._troubles[topic]
        self._wake()

    @contextmanager
    def losing_acknowledgements(self) -> Iterator[None]:
        """Take records for the time of the context, without that any follower receives them."""
        self._loses_acknowledgements = True
        try:
            yield
        finally:
            self._loses_acknowledgements = False

    def hang(self) -> None:
        """Never answer what is asked from now on."""
        self._hangs = True

    async def remove_before(self, partition: Partition, offset: int) -> None:
        """Remove the records of `partition` before `offset`, as retention does."""
        await trio.lowlevel.checkpoint()
        self._extents[partition] = self._extents[partition]._replace(begin=offset)
        self._forget(lambda record: Partition(record.topic, record.partition) == partition and record.offset < offset)

    def lose(self, topic: str, count: int) -> None:
        """Take records, and remove them together with all before them, before anybody has read them."""
        end = self._extents[Partition(topic, 0)].end + count
        self._extents[Partition(topic, 0)] = self._extents[Partition(topic, 0)]._replace(begin=end, end=end)
        self._forget(lambda record: record.topic == topic)

    def damage(self, topic: str, *, too_large: bool = False) -> None:
        """Append a record that no follower can read, perhaps because it is too large."""
        partition = Partition(topic, 0)
        extent = self._extents[partition]
        self._extents[partition] = extent._replace(end=extent.end + 1)
        self._skipped.append(Corrupt(partition, extent.end, extent.end + 1, "the fake log has damaged it", too_large))
        self._wake()

    def replace(self, topic: str) -> None:
        """Delete a topic, and create it again: empty, with another id."""
        partition = Partition(topic, 0)
        number = int(self._extents[partition].topic_id.rpartition("#")[2]) + 1
        self._extents[partition] = OffsetRange(0, 0, f"{topic}#{number}")
        self._forget(lambda record: record.topic == topic)

    def lose_end(self, topic: str, count: int) -> None:
        """Lose the last records of a topic, whoever has read them; their offsets are given out again."""
        partition = Partition(topic, 0)
        end = self._extents[partition].end - count
        self._extents[partition] = self._extents[partition]._replace(end=end)
        self._epochs.append((partition, end, len(self._epochs)))
        self._forget(lambda record: record.topic == topic and record.offset >= end)

    # EventLog

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`."""
        await self._answer()
        places = [self._append(*record) for record in records]
        if self._loses_acknowledgements:
            raise LogUnavailableError("the acknowledgement was lost")
        return places

    async def follow(
        self,
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """See `EventLog.follow`. There is one source: the whole log."""
        place = _Progress(
            ids={partition: known.topic_id for partition, known in start.items()},
            next={partition: known.next for partition, known in start.items()},
        )
        while True:
            changed = self._changed
            news = self._news(place)
            for item in news:
                await deliver(item)
            if not news:
                await changed.wait()

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        """See `EventLog.read`."""
        await self._answer()
        self._answer_of(partition.topic)
        if start < self._extents[partition].begin:
            raise OffsetGoneError(f"{partition} begins at {self._extents[partition].begin}")
        held = [record for _, record in self._held if (record.topic, record.partition) == partition]
        return [record for record in held if record.offset >= start][:limit]

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, OffsetRange]:
        """See `EventLog.extents`."""
        await self._answer()
        for topic, trouble in self._troubles.items():
            if not (skip_refused and trouble.kind is Hindrance.REFUSED):
                self._answer_of(topic)
        return {at: extent for at, extent in self._extents.items() if at.topic not in self._troubles}

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """See `EventLog.lost_ends`."""
        await self._answer()
        return {
            partition
            for partition, place in places.items()
            if partition in self._extents
            and self._extents[partition].topic_id == place.topic_id
            and (
                place.next > self._extents[partition].end
                or (place.epoch is not None and place.epoch != self._epoch_at(partition, place.next))
            )
        }

    # Inside

    def _epoch_at(self, partition: Partition, offset: int) -> int | None:
        epochs = [number for at, first, number in self._epochs if at == partition and first < offset]
        return epochs[-1] if epochs else None

    def _append(self, topic: str, value: bytes | None, key: bytes | None) -> Appended:
        extent = self._extents.get(Partition(topic, 0))
        if extent is None:
            raise RecordRejectedError(f"{topic} is not a topic of this log.")
        if len(key or b"") + len(value or b"") > LARGEST:
            raise RecordRejectedError(f"A record for {topic} is too large.")
        record = Record(topic, 0, extent.end, round(self._clock() * 1000), key, value)
        self._extents[Partition(topic, 0)] = extent._replace(end=extent.end + 1)
        self._held.append((len(self.appended), record))
        self.appended.append(record)
        self._wake()
        return Appended(topic, 0, record.offset, record.timestamp)

    def _forget(self, gone: Callable[[Record], bool]) -> None:
        self._held = [(serial, record) for serial, record in self._held if not gone(record)]
        self._wake()

    def _news(self, place: "_Progress") -> list[LogEvent]:
        """Return what a follower receives next, and move it on; nothing when it has received all."""
        if self.outage is not None:
            news: list[LogEvent] = [] if place.is_down else [Unavailable(self.outage)]
            place.is_down = True
            return news
        news = [Available()] if place.is_down else []
        place.is_down = False
        gaps: list[LogEvent] = []
        is_news = not place.has_begun
        place.has_begun = True
        troubles = dict(self._troubles)
        if troubles != place.troubles:
            place.troubles = troubles
            is_news = True
        seen = {partition: extent for partition, extent in self._extents.items() if partition.topic not in troubles}
        for partition, extent in seen.items():
            if place.ids.get(partition) != extent.topic_id:
                place.done = 0
                if partition in place.ids:
                    news.append(TopicRecreated(partition.topic, extent.topic_id))
                    is_news = True
                place.ids[partition], place.next[partition] = extent.topic_id, extent.begin
            elif place.next[partition] > extent.end:
                place.next[partition] = extent.end
                gaps.append(Truncated(partition, extent.end))
            elif place.next[partition] < extent.begin:
                gaps.append(Gap(partition, place.next[partition], extent.begin))
                place.next[partition] = extent.begin
        # Who has read up to there notices also when others are there by now.
        for partition, first, _ in self._epochs[place.epochs :] if place.epochs else ():
            if place.next[partition] > first:
                place.next[partition] = first
                gaps.append(Truncated(partition, first))
        waiting = [
            (serial, record)
            for serial, record in self._held[bisect_left(self._held, (place.done,)) :]
            if record.topic not in troubles and record.offset >= place.next[Partition(record.topic, 0)]
        ]
        if is_news:
            news.append(
                LogMetadata(seen, {None: len(waiting)}, None, [self._reported(troubles[it], place) for it in troubles])
            )
        news += gaps
        news += self._skipped[place.skipped :]
        place.skipped = len(self._skipped)
        if not troubles:
            place.done = waiting[BATCH][0] if len(waiting) > BATCH else len(self.appended)
        if begun := self._epochs[place.epochs :]:
            place.epochs = len(self._epochs)
            news.append(EpochsBegun(begun))
        if batch := waiting[:BATCH]:
            for _, record in batch:
                place.next[Partition(record.topic, 0)] = record.offset + 1
            news.append(Records(None, [record for _, record in batch], len(waiting) - len(batch)))
        return news

    def _reported(self, trouble: Trouble, place: "_Progress") -> Trouble:
        partition = Partition(trouble.topic, 0)
        next_ = place.next.get(partition)
        return trouble if next_ is None else trouble._replace(withheld=self._extents[partition].end - next_)

    def _answer_of(self, topic: str) -> None:
        if topic in self._troubles:
            raise LogUnavailableError(self._troubles[topic].reason)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._hangs:
            await trio.sleep_forever()
        if self.outage is not None:
            raise LogUnavailableError(self.outage)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@define
class _Progress:
    """How far a follower has come, and what it knows."""

    skipped: int = 0
    epochs: int = 0
    ids: dict[Partition, str] = Factory(dict)
    next: dict[Partition, int] = Factory(dict)
    # All records with lower serial numbers have been delivered, or will never be.
    done: int = 0
    troubles: dict[str, Trouble] = Factory(dict)
    has_begun: bool = False
    is_down: bool = False


def always(value: T) -> Callable[[object], Awaitable[T]]:
    """Return a function that has that result, whatever it is asked."""

    async def answer(_: object) -> T:
        await trio.lowlevel.checkpoint()
        return value

    return answer
