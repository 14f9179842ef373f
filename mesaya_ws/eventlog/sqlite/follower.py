"""Following the embedded log: everything that it holds, and what any process appends."""

import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from math import inf
from pathlib import Path
from time import monotonic

import trio

from mesaya_ws.core.log.epochs import Epochs
from mesaya_ws.core.log.events import (
    EpochsBegun,
    Gap,
    LogEvent,
    LogMetadata,
    Records,
    TopicRecreated,
    Truncated,
)
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.eventlog.availability import Availability
from mesaya_ws.eventlog.sqlite.database import Database, DatabaseError, Epoch, Page, Topic, by_topic
from mesaya_ws.runtime.clocks import now_ms

POLL_INTERVAL = 0.02
"""Seconds between two looks at whether other processes have appended; each costs some 10 µs, and waking up."""

BUSY_INTERVAL = 0.01
"""The same, while they do; what a look finds costs half a millisecond more than the records in it."""

BUSY_FOR = 1.0
"""Seconds since the last record in which the next one is expected soon."""

LOOK_INTERVAL = 3.0
"""Seconds between two `LogMetadata`."""

RETRY_INTERVAL = 0.5
"""Seconds between two tries to reach a file that is out of reach."""

READ_PATIENCE = 1.0
"""Seconds to wait for a file that another program has locked."""


def extents(topics: Mapping[str, Topic]) -> dict[Partition, OffsetRange]:
    """Return what the topics hold; each has one partition."""
    return {Partition(name, 0): OffsetRange(topic.begin, topic.end, topic.uuid) for name, topic in topics.items()}


class Follower:
    """One follower's place in the log. All of it runs in a thread of its own, except for `deliver`.

    `trouble` says why the log cannot be appended to, or None. `on_lost` is called when the file is found to be an older
    copy. Setting `wake` makes it look at once.
    """

    def __init__(
        self,
        path: Path,
        topics: frozenset[str],
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition],
        trouble: Callable[[], str | None],
        on_lost: Callable[[], None],
    ) -> None:
        self.wake = threading.Event()
        self._path = path
        self._topics = topics
        self._deliver = deliver
        self._trouble = trouble
        self._on_lost = on_lost
        self._seq: int | None = None
        places = {partition.topic: place for partition, place in start.items() if partition.topic in topics}
        self._known = {topic: place.topic_id for topic, place in places.items()}
        self._next = {topic: place.next for topic, place in places.items()}
        self._epoch = 0
        self._epochs: dict[str, Epochs] = {}
        for topic, place in places.items():
            if place.epoch is not None:
                self._epochs.setdefault(topic, Epochs()).begin(place.next - 1, place.epoch)
        self._look_at = -inf
        self._availability = Availability()

    def run(self) -> None:
        """Read for ever, on one connection after the other; cancellation ends it."""
        while True:
            try:
                with closing(Database(self._path, READ_PATIENCE)) as file:
                    self._read_on(file)
            except DatabaseError as error:
                self._tell_state(str(error))
                trio.from_thread.run(trio.sleep, RETRY_INTERVAL)

    def _read_on(self, file: Database) -> None:
        """Hand over what the log holds and what comes, until another file is in its place."""
        version, changed_at = None, -inf
        self._lose_place()
        while not file.moved:
            trio.from_thread.check_cancelled()
            self.wake.clear()
            news: list[LogEvent] = []
            latest = file.version()
            if latest != version or monotonic() >= self._look_at:
                news, more = self._read(file)
                if latest != version:
                    changed_at = monotonic()
                version = None if more else latest
            else:
                self.wake.wait(BUSY_INTERVAL if monotonic() - changed_at < BUSY_FOR else POLL_INTERVAL)
            self._tell_state(self._trouble())
            for item in news:
                trio.from_thread.run(self._deliver, item)

    def _read(self, file: Database) -> tuple[list[LogEvent], bool]:
        """Return what is to be told of the file now, and whether there may be more."""
        looked_at = now_ms()
        if monotonic() >= self._look_at:
            self._lose_place()
        topics, epochs, page = self._after_place(file)
        if self._epoch and self._is_older(topics, epochs):
            self._lose_place()
            topics, epochs, page = self._after_place(file)
        if not self._epoch and (lost := self._go_back(topics, by_topic(epochs))):
            self._on_lost()
            return lost, True
        return self._next_news(topics, epochs, page, looked_at)

    def _after_place(self, file: Database) -> tuple[dict[str, Topic], list[Epoch], Page]:
        return file.after(self._seq, dict.fromkeys(self._topics, 0) | self._next, self._epoch)

    def _lose_place(self) -> None:
        """Have our place in the order found anew, and all epochs told.

        A copy that is put back gives out again what others had been given since it was made: numbers of the order, and
        ids of epochs.
        """
        self._seq, self._epoch = None, 0

    def _tell_state(self, trouble: str | None) -> None:
        for event in self._availability.changes(trouble):
            trio.from_thread.run(self._deliver, event)

    def _next_news(
        self, all_topics: Mapping[str, Topic], epochs: Sequence[Epoch], page: Page, looked_at: int
    ) -> tuple[list[LogEvent], bool]:
        """Return what is to be told of a page behind our place, and whether there may be more."""
        topics = {name: topic for name, topic in all_topics.items() if name in self._topics}
        news: list[LogEvent] = []
        for name in topics.keys() - self._known.keys():
            self._begin(name, topics[name])
        if replaced := [name for name, topic in topics.items() if self._known[name] != topic.uuid]:
            # It is another file: its order is to be read from the beginning.
            self._seq, self._epoch, epochs, page = 0, 0, [], Page([], 0, True)
            for name in replaced:
                self._begin(name, topics[name])
                news.append(TopicRecreated(name, topics[name].uuid))
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + LOOK_INTERVAL
            news.append(LogMetadata(extents(topics), {None: self._lag(topics)}, looked_at))
        for name, topic in topics.items():
            if self._next[name] < topic.begin:
                news.append(Gap(Partition(name, 0), self._next[name], topic.begin))
                self._next[name] = topic.begin
        if begun := self._begun(epochs):
            news.append(EpochsBegun(begun))
        records = self._take(page.records)
        self._seq = page.seq
        if not page.more:
            self._next.update((name, topic.end) for name, topic in topics.items())
        if records:
            news.append(Records(None, records, self._lag(topics)))
        return news, page.more

    def _is_older(self, topics: Mapping[str, Topic], epochs: Sequence[Epoch]) -> bool:
        """Return whether the file is an older copy of what was read: no epoch that is new begins before that."""
        return any(
            topic.end < self._next[name] for name, topic in topics.items() if self._known.get(name) == topic.uuid
        ) or any(epoch.place < self._next.get(epoch.topic, 0) for epoch in epochs)

    def _go_back(self, topics: Mapping[str, Topic], epochs: Mapping[str, Epochs]) -> list[LogEvent]:
        """Go back to where the file, with all these epochs, still holds what was read; return what that lost."""
        lost: list[LogEvent] = []
        for name, topic in topics.items():
            if self._known.get(name) != topic.uuid:
                continue
            here, known = self._next[name], self._epochs.get(name, Epochs())
            there = known.agreed(epochs.get(name, Epochs()), min(here, topic.end))
            if there < here:
                known.cut(there)
                self._next[name], self._look_at = there, -inf
                lost.append(Truncated(Partition(name, 0), there))
        return lost

    def _is_news(self, topic: str, place: int, number: int) -> bool:
        return topic not in self._epochs or self._epochs[topic].at(place + 1) != number

    def _begun(self, epochs: Sequence[Epoch]) -> list[tuple[Partition, int, int]]:
        """Return what is to be told of epochs."""
        self._epoch = max((epoch.id for epoch in epochs), default=self._epoch)
        begun = []
        for _, topic, place, number in epochs:
            if topic in self._known and self._is_news(topic, place, number):
                self._epochs.setdefault(topic, Epochs()).begin(place, number)
                begun.append((Partition(topic, 0), place, number))
        return begun

    def _begin(self, name: str, topic: Topic) -> None:
        self._known[name], self._next[name] = topic.uuid, topic.begin
        self._epochs.pop(name, None)
        self._look_at = -inf

    def _take(self, records: Iterable[Record]) -> list[Record]:
        """Move on behind `records`, and return those that are to be handed over."""
        taken = []
        for record in records:
            topic = record.topic
            if topic in self._next and record.offset >= self._next[topic]:
                self._next[topic] = record.offset + 1
                taken.append(record)
        return taken

    def _lag(self, topics: Mapping[str, Topic]) -> int:
        return sum(topic.end - max(topic.begin, self._next[name]) for name, topic in topics.items())
