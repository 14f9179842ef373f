"""Following the embedded log: what it holds, and then what any process appends."""

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
"""Seconds between two checks whether other processes have appended; each costs some 10 µs, and a wake-up."""

BUSY_INTERVAL = 0.01
"""The same while they append; each read costs 0.5 ms beside that of its records, so reads are not more frequent."""

BUSY_FOR = 1.0
"""Seconds after the last record for which BUSY_INTERVAL applies."""

METADATA_INTERVAL = 3.0
"""Seconds between two `LogMetadata`."""

RETRY_INTERVAL = 0.5
"""Seconds between two attempts to open the file while that fails."""

READ_TIMEOUT = 1.0
"""Seconds to wait for a file that another program has locked."""


def extents(topics: Mapping[str, Topic]) -> dict[Partition, OffsetRange]:
    """Return what the topics hold; each has one partition."""
    return {Partition(name, 0): OffsetRange(topic.begin, topic.end, topic.uuid) for name, topic in topics.items()}


class Follower:
    """One follower and its position in the log. Everything but `deliver` runs in a thread of its own.

    `trouble` returns why the log cannot be appended to, or None. `on_lost` is called when the file turns out to be an
    older copy. Setting `wake` makes the follower read at once.
    """

    def __init__(
        self,
        path: Path,
        topics: frozenset[str],
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition],
        trouble: Callable[[], str | None],
        on_lost: Callable[[], None],
        metadata_interval: float = METADATA_INTERVAL,
    ) -> None:
        self.wake = threading.Event()
        self._path = path
        self._topics = topics
        self._deliver = deliver
        self._trouble = trouble
        self._on_lost = on_lost
        self._metadata_interval = metadata_interval
        self._seq: int | None = None
        places = {partition.topic: place for partition, place in start.items() if partition.topic in topics}
        self._known = {topic: place.topic_id for topic, place in places.items()}
        self._next = {topic: place.next for topic, place in places.items()}
        self._epoch = 0
        self._epochs: dict[str, Epochs] = {}
        for topic, place in places.items():
            if place.epoch is not None:
                self._epochs.setdefault(topic, Epochs()).begin(place.next - 1, place.epoch)
        self._metadata_at = -inf
        self._availability = Availability()

    def run(self) -> None:
        """Read until cancelled; after an error, on a new connection."""
        while True:
            try:
                with closing(Database(self._path, READ_TIMEOUT)) as file:
                    self._follow(file)
            except DatabaseError as error:
                self._deliver_availability(str(error))
                trio.from_thread.run(trio.sleep, RETRY_INTERVAL)

    def _follow(self, file: Database) -> None:
        """Deliver what the log holds and what is appended, until the file is replaced by another one."""
        version, changed_at = None, -inf
        self._forget_seq()
        while not file.moved:
            trio.from_thread.check_cancelled()
            self.wake.clear()
            events: list[LogEvent] = []
            latest = file.version()
            if latest != version or monotonic() >= self._metadata_at:
                events, more = self._read(file)
                if latest != version:
                    changed_at = monotonic()
                version = None if more else latest
            else:
                self.wake.wait(BUSY_INTERVAL if monotonic() - changed_at < BUSY_FOR else POLL_INTERVAL)
            self._deliver_availability(self._trouble())
            for item in events:
                trio.from_thread.run(self._deliver, item)

    def _read(self, file: Database) -> tuple[list[LogEvent], bool]:
        """Return the next events, and whether there may be more."""
        fetched_at = now_ms()
        if monotonic() >= self._metadata_at:
            self._forget_seq()
        topics, epochs, page = self._read_after(file)
        if self._epoch and self._is_older(topics, epochs):
            self._forget_seq()
            topics, epochs, page = self._read_after(file)
        if not self._epoch and (lost := self._go_back(topics, by_topic(epochs))):
            self._on_lost()
            return lost, True
        return self._events_of(topics, epochs, page, fetched_at)

    def _read_after(self, file: Database) -> tuple[dict[str, Topic], list[Epoch], Page]:
        return file.after(self._seq, dict.fromkeys(self._topics, 0) | self._next, self._epoch)

    def _forget_seq(self) -> None:
        """Forget `seq` and the epoch's id, so that the next read finds both from the offsets.

        A restored copy assigns both again to other records and epochs than before.
        """
        self._seq, self._epoch = None, 0

    def _deliver_availability(self, trouble: str | None) -> None:
        for event in self._availability.changes(trouble):
            trio.from_thread.run(self._deliver, event)

    def _events_of(
        self, all_topics: Mapping[str, Topic], epochs: Sequence[Epoch], page: Page, fetched_at: int
    ) -> tuple[list[LogEvent], bool]:
        """Return the events of a page after our position, and whether there may be more."""
        topics = {name: topic for name, topic in all_topics.items() if name in self._topics}
        events: list[LogEvent] = []
        for name in topics.keys() - self._known.keys():
            self._start_topic(name, topics[name])
        if replaced := [name for name, topic in topics.items() if self._known[name] != topic.uuid]:
            # It is another file: it must be read from its beginning.
            self._seq, self._epoch, epochs, page = 0, 0, [], Page([], 0, True)
            for name in replaced:
                self._start_topic(name, topics[name])
                events.append(TopicRecreated(name, topics[name].uuid))
        if monotonic() >= self._metadata_at:
            self._metadata_at = monotonic() + self._metadata_interval
            events.append(LogMetadata(extents(topics), {None: self._lag(topics)}, fetched_at))
        for name, topic in topics.items():
            if self._next[name] < topic.begin:
                events.append(Gap(Partition(name, 0), self._next[name], topic.begin))
                self._next[name] = topic.begin
        if begun := self._new_epochs(epochs):
            events.append(EpochsBegun(begun))
        records = self._advance(page.records)
        self._seq = page.seq
        if not page.more:
            self._next.update((name, topic.end) for name, topic in topics.items())
        if records:
            events.append(Records(None, records, self._lag(topics)))
        return events, page.more

    def _is_older(self, topics: Mapping[str, Topic], epochs: Sequence[Epoch]) -> bool:
        """Return whether the file is an older copy of what was read: new epochs of the same file begin after that."""
        return any(
            topic.end < self._next[name] for name, topic in topics.items() if self._known.get(name) == topic.uuid
        ) or any(epoch.place < self._next.get(epoch.topic, 0) for epoch in epochs)

    def _go_back(self, topics: Mapping[str, Topic], epochs: Mapping[str, Epochs]) -> list[LogEvent]:
        """Go back to the last offset at which the file agrees with what was read; return the events of that loss."""
        lost: list[LogEvent] = []
        for name, topic in topics.items():
            if self._known.get(name) != topic.uuid:
                continue
            ours, known = self._next[name], self._epochs.get(name, Epochs())
            agreed = known.agreed(epochs.get(name, Epochs()), min(ours, topic.end))
            if agreed < ours:
                known.cut(agreed)
                self._next[name], self._metadata_at = agreed, -inf
                lost.append(Truncated(Partition(name, 0), agreed))
        return lost

    def _is_new_epoch(self, topic: str, place: int, number: int) -> bool:
        return topic not in self._epochs or self._epochs[topic].at(place + 1) != number

    def _new_epochs(self, epochs: Sequence[Epoch]) -> list[tuple[Partition, int, int]]:
        """Return the epochs that are new to this follower."""
        self._epoch = max((epoch.id for epoch in epochs), default=self._epoch)
        begun = []
        for _, topic, place, number in epochs:
            if topic in self._known and self._is_new_epoch(topic, place, number):
                self._epochs.setdefault(topic, Epochs()).begin(place, number)
                begun.append((Partition(topic, 0), place, number))
        return begun

    def _start_topic(self, name: str, topic: Topic) -> None:
        self._known[name], self._next[name] = topic.uuid, topic.begin
        self._epochs.pop(name, None)
        self._metadata_at = -inf

    def _advance(self, records: Iterable[Record]) -> list[Record]:
        """Advance past `records`, and return those to deliver."""
        taken = []
        for record in records:
            topic = record.topic
            if topic in self._next and record.offset >= self._next[topic]:
                self._next[topic] = record.offset + 1
                taken.append(record)
        return taken

    def _lag(self, topics: Mapping[str, Topic]) -> int:
        return sum(topic.end - max(topic.begin, self._next[name]) for name, topic in topics.items())
