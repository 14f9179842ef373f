"""The history of channels that have one: what was published on them, for days, in the state store.

    publication ──▶ window (minutes, memory)
                └─▶ pending ──commit, with its place in the log──▶ store (days, disk)

What is published on the other channels goes from the window into its copy (`window_copy`), in the same commits.

    a place before the window: ──floors, barriers──▶ is it all here? ──pages of the store──▶ then the window

This decides what goes into the store, and what may be answered from it; nothing here waits, or reads (see `stored`).
Conversations have another one: their messages are rows of their own (see `core.interactions.chat_messages`).
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mesaya_ws.core.access.channels import Channel, kind_of
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.barriers import Barrier, Barriers
from mesaya_ws.core.recovery.last_records import LastRecord
from mesaya_ws.core.recovery.notes import barrier_note, moved_note, unpublished_note
from mesaya_ws.core.recovery.position import Cursor, Offsets
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.recovery.window_copy import WindowCopy
from mesaya_ws.core.recovery.window_notes import moved_row, pair_row, waiting_row
from mesaya_ws.core.state.entries import COLUMNS, Entries, Mark, StoredNote, StoredPair

PENDING_BYTES = 64 * 1024 * 1024
"""Bytes of entries that may wait for a store which cannot be written; past that, they are lost for the history."""

PENDING_ENTRIES = 200_000
"""Entries that may wait so."""

ENTRY_BYTES = 100
"""What an entry takes beside its frame."""

RECORDS_BETWEEN = 10_000
"""Records after which a barrier is raised, however little time has passed: at the start they come fast."""


@frozen
class Retention:
    """How long publications are kept in the store (`hours`), and how many `max_bytes` they may take there."""

    hours: float
    max_bytes: int

    def keep_since(self, now: int) -> int:
        """Return the time before which nothing is kept (all in ms since the epoch)."""
        return now - round(self.hours * 3_600_000)


class History:
    """What is to be written of the history, and from where on all of it is written.

    `time` is to be set to that of each record (ms since the epoch) before anything is added of it. `floors` are, by
    partition, the offsets from which on all publications are in the store or `pending`. Another `generation` begins
    when the log has lost something: then the store is to be begun `anew`. `window_copy` takes what has no history.
    """

    def __init__(
        self,
        retention: Retention,
        cursor: Cursor,
        window: Window,
        max_pending_bytes: int = PENDING_BYTES,
        max_pending: int = PENDING_ENTRIES,
    ) -> None:
        self.retention = retention
        self.floors: dict[Partition, int] = {}
        self.time = 0
        self.serial = 0
        self.generation = 0
        self.anew = True
        self._is_resumed = False
        self.committed_serial = 0
        self.lost = 0
        """How many entries have been lost for the history since the start, because the store could not be written."""
        self.window_copy = WindowCopy(cursor, window)
        self._cursor = cursor
        self._window = window
        self._max_bytes = max_pending_bytes
        self._max_pending = max_pending
        self._published: list[Any] = []  # as `Entries.flat` is
        self._marks: list[Mark] = []
        self._pending_bytes = 0
        self._barriers = Barriers()
        self._stretch = Barrier({}, {})
        self._stretch_began = 0
        self._stretch_records = 0

    # What the feed adds

    def begin(
        self,
        serial: int,
        floors: Mapping[Partition, int],
        barriers: Barriers,
        current: Barrier,
        stored: Mapping[Partition, int],
    ) -> None:
        """Go on with what the store has, which is all up to the place `stored`, from which on the log is read.

        The `barriers` are noted there already, and taken over; the `current` one is not. Of what comes after that
        place, it is only known how it depends on the last records before it, which come with the copy of the window.
        `time` is to be what the log had reached there.
        """
        self.serial = self.committed_serial = serial
        self.anew, self._is_resumed = False, True
        self.floors = dict(floors)
        self._barriers = barriers
        self._add_barrier(current)
        self._add_barrier(Barrier(self.window_copy.last_records.begin(stored), stored))
        self._stretch = Barrier({}, stored)
        self._stretch_records = sum(stored.values())

    def add(self, channel: str, partition: Partition, offset: int, frame: bytes) -> None:
        """Keep a publication on a channel that has a history."""
        self._published += (channel, partition, offset, self.time, frame)
        self._pending_bytes = size = self._pending_bytes + len(frame) + ENTRY_BYTES
        if size > self._max_bytes or len(self._published) > self._max_pending * COLUMNS:
            self._overflow()

    def add_pair(
        self, channel: str, first: Partition, first_offset: int, second: Partition, second_offset: int
    ) -> None:
        """Keep that a record depended on an earlier one, where a channel is concerned."""
        if kind_of(channel).has_history:
            self._add_mark(StoredPair(channel, 0, first, first_offset, second, second_offset, self.time))
        else:
            self.window_copy.note(pair_row(channel, first, first_offset, second, second_offset))

    def add_unpublished(self, channel: str, partition: Partition, next_offset: int) -> None:
        """Keep that something before an offset was not published on a channel here, but may have been by others."""
        if kind_of(channel).has_history:
            self._add_note(channel, unpublished_note(partition, next_offset))

    def add_waiting(self, name: str, places: Offsets) -> None:
        """Keep that records wait for a parent of that name, whose channels are not known yet."""
        self.window_copy.note(waiting_row(name, places))

    def add_move(self, channel: str, partition: Partition, cut: Offsets) -> None:
        """Keep where a record of `partition` changed what belongs to a channel."""
        if kind_of(channel).has_history:
            self._add_note(channel, moved_note(partition, cut))
        else:
            self.window_copy.note(moved_row(channel, partition, cut))

    def add_last(self, record: LastRecord) -> None:
        """Keep a record that later ones may depend on."""
        self.window_copy.last_records.add(record)

    def _add_note(self, channel: str, value: bytes) -> None:
        self._add_mark(StoredNote(channel, 0, self.time, value), len(value))

    def _add_mark(self, mark: Mark, size: int = 0) -> None:
        self._marks.append(mark)
        self._pending_bytes += size + ENTRY_BYTES
        if self._pending_bytes > self._max_bytes or len(self._marks) > self._max_pending:
            self._overflow()

    def _overflow(self) -> None:
        """Lose for the history what waits to be written: it is too much."""
        self.lost += self.pending
        self._forget_pending()

    def raise_floor(self, partition: Partition, offset: int) -> None:
        """Promise nothing of `partition` before `offset`: not all of it could be published, unless it is stored."""
        self.floors[partition] = max(offset, self.floors.get(partition, 0))

    def is_past(self, timestamp: int, now: int) -> bool:
        """Return whether what a record of that time becomes is not kept any more (both in ms since the epoch).

        Nothing that follows a history is: a clock that is ahead would end that, and what is old is soon forgotten.
        """
        return not self._is_resumed and timestamp < self.retention.keep_since(now)

    def restart(self) -> None:
        """Begin anew from where the log stands now, which has lost something that was written."""
        self.generation += 1
        self.anew, self._is_resumed = True, False
        self.floors = {}
        self._barriers.clear()
        self._stretch = Barrier({}, dict(self._cursor.next))
        self._stretch_records = sum(self._cursor.next.values())
        self._forget_pending()
        self.window_copy.restart()

    def _forget_pending(self) -> None:
        """Let go of what could not be written: nothing is promised before the present place."""
        self._published, self._marks, self._pending_bytes = [], [], 0
        for partition, offset in self._cursor.next.items():
            self.raise_floor(partition, offset)

    # What depends on what

    def is_before_floor(self, partition: Partition, offset: int) -> bool:
        """Return whether it is taken for granted that everybody has a record: what depends on it is forgotten."""
        return offset < self._stretch.floors.get(partition, 0)

    def mark(self, steady: int, unsure: Mapping[Partition, int]) -> None:
        """Begin another stretch of time, if it is time for that; to be called before every commit.

        `steady` is the time in ms of the window's clock. `unsure` are the places up to which records had to be
        forgotten although they mattered.
        """
        records = sum(self._cursor.next.values())
        is_over = steady - self._stretch_began >= self._window.milliseconds / 2
        if records == self._stretch_records or not (is_over or records - self._stretch_records >= RECORDS_BETWEEN):
            return
        former = self._stretch_with(unsure)
        self._add_barrier(former)
        floors = dict(former.floors)
        for partition, offset in former.cursor.items():
            floors[partition] = max(floors.get(partition, 0), min(offset, self._window.floor(partition)))
        self._stretch = Barrier(floors, dict(self._cursor.next))
        self._stretch_began, self._stretch_records = steady, records

    def _stretch_with(self, unsure: Mapping[Partition, int]) -> Barrier:
        floors = dict(self._stretch.floors)
        for partition, offset in unsure.items():
            floors[partition] = max(offset, floors.get(partition, 0))
        return Barrier(floors, self._stretch.cursor)

    def _add_barrier(self, barrier: Barrier) -> None:
        self._add_note("", barrier_note(barrier))
        if (forgotten := self._barriers.add(barrier)) is not None:
            for partition, offset in forgotten.cursor.items():
                self.raise_floor(partition, offset)

    def current_barrier(self, unsure: Mapping[Partition, int]) -> Barrier:
        """Return the barrier of the stretch that is not over."""
        return self._stretch_with(unsure)

    # What goes to the store

    @property
    def pending(self) -> int:
        """How many entries wait to be written."""
        return len(self._published) // COLUMNS + len(self._marks)

    @property
    def pending_bytes(self) -> int:
        """The bytes of the entries that wait to be written."""
        return self._pending_bytes

    def take(self) -> Entries:
        """Return what is to be committed now; if it cannot be, it is to be given back."""
        taken = Entries(self.serial + 1, self._published, self._marks)
        self.serial = taken.last
        self._published, self._marks, self._pending_bytes = [], [], 0
        return taken

    def committed(self, entries: Entries, generation: int, floors: Mapping[Partition, int]) -> None:
        """Take note that what was taken has been committed; the store promises nothing before its `floors`."""
        if entries:
            self.committed_serial = entries.last
        if generation == self.generation:
            self.anew = False
            for partition, offset in floors.items():
                self.raise_floor(partition, offset)

    def give_back(self, entries: Entries, generation: int) -> None:
        """Keep for the next commit what could not be committed."""
        if generation != self.generation:
            return
        self.serial = entries.first - 1
        self._published[:0] = entries.flat
        self._marks[:0] = entries.marks
        self._pending_bytes += ENTRY_BYTES * len(entries) + sum(map(len, entries.frames))

    # What can be answered

    def reaches_back(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether all publications on a channel after a place are kept, as far as can be said at once.

        They may still have to be committed, as all are that an instance with an empty store has read at its start.
        """
        return channel.kind.has_history and all(
            vector.get(partition, 0) >= self.floors.get(partition, 0)
            for partition in self._cursor.next
            if partition.topic in channel.kind.topics
        )

    def lets_through(self, channel: Channel, vector: Offsets, unsure: Mapping[Partition, int]) -> bool:
        """Return whether a place may be checked by the dependencies that are known (see `barriers`)."""
        topics = channel.kind.topics
        current = self._stretch_with(unsure)
        return self._barriers.let_through(vector, topics) and (
            not current.is_passed(vector) or current.lets_through(vector, topics)
        )
