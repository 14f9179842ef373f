"""The copy of the window on disk: a process that starts goes on with it, as if it had never stopped.

    window ──what was added since the last commit──▶ commit, with its place in the log ──▶ copy
    restart: copy ──▶ window, and what depends on what (`window_filling`)

Only channels without a history are in it: on the others, all that was published is in the store anyway. What has left
the window is forgotten in the copy, at the next commit, by the block. All of the copy is read at once, so it has no
index, and costs a record little. What decides on the positions of clients comes along, as notes (`window_notes`).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attrs import frozen

from mesaya_ws.core.access.channels import kind_of
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.last_records import LastRecords
from mesaya_ws.core.recovery.position import Cursor, Offsets
from mesaya_ws.core.recovery.publications import Publication
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.recovery.window_notes import Row, encoded, last_in, last_rows, places_of
from mesaya_ws.core.state.entries import Entries
from mesaya_ws.core.state.interface import WindowChanges

MAX_NOTES = 400
"""Notes in the copy, one for each commit that had something to say: twice those of a window of five minutes."""

LAST_RECORDS = 0
"""The number of the note that has the last records; it is written again when these have changed."""

MAX_ROWS = 100_000
"""Rows of all notes together: as many dependencies are remembered in memory."""


class _Note(NamedTuple):
    """A note in the copy: it matters until all is forgotten of partitions that lies before the places it `needs`."""

    number: int
    needs: Offsets
    rows: int


@frozen
class StoredWindow:
    """The copy that a store has: the window was complete from its `floors` on. `notes` are by number."""

    floors: Offsets
    publications: list[Entries]
    notes: Mapping[int, list[Row]]


@frozen
class TakenWindow:
    """What is to be committed of a window, which stands at the serial `reached`: the publications since the last time.

    Their serials in the copy begin with `first`. The time (ms since the epoch) is so much `ahead` of the clock of the
    window, which means nothing to another process.
    """

    recent: Sequence[tuple[str, Publication]]
    reached: int
    first: int
    ahead: int
    keep_from: int
    notes: Mapping[int, list[Row] | None]
    anew: bool

    def changes(self) -> WindowChanges:
        """Return it as a store takes it, which may take long; any thread may do that."""
        flat: list[Any] = []
        # Of many publications there are few channels: to ask for each would cost those most that are not copied.
        copied = {channel for channel in {channel for channel, _ in self.recent} if not kind_of(channel).has_history}
        for channel, publication in self.recent if copied else ():
            if channel in copied:
                _, partition, offset, made_at, frame, _, _ = publication
                flat += (channel, partition, offset, made_at + self.ahead, frame)
        notes = {number: None if rows is None else encoded(rows) for number, rows in self.notes.items()}
        return WindowChanges(Entries(self.first, flat), self.keep_from, notes, self.anew)


class WindowCopy:
    """What is to be written of the window, and from where on all of that is written.

    With `anew`, the next commit begins another copy.
    """

    def __init__(self, cursor: Cursor, window: Window) -> None:
        self.anew = True
        self.last_records = LastRecords()
        self._cursor = cursor
        self._window = window
        # The serials of the last publication that was committed, in the window and in the copy.
        self._reached = self._serial = 0
        # What the copy lacks although the window has it.
        self._floors: dict[Partition, int] = {}
        # By serial of the window, that of the last publication of the copy which had been added by then.
        self._places = deque([(0, 0)])
        self._rows: list[Row] = []
        self._needs: dict[Partition, int] = {}
        self._notes: deque[_Note] = deque()
        self._number = 0
        # By number, what the next commit writes of notes.
        self._unwritten: dict[int, list[Row] | None] = {}
        self._taken: TakenWindow | None = None

    def begin(self, stored: StoredWindow) -> None:
        """Go on with the copy that a store has; its publications are still to be added to the window (`loaded`)."""
        self.anew = False
        for number, rows in stored.notes.items():
            if number == LAST_RECORDS:
                self.last_records.load(*last_in(rows))
                continue
            needs: dict[Partition, int] = {}
            for row in rows:
                _add_places(needs, places_of(row))
            self._notes.append(_Note(number, needs, len(rows)))
            self._number = number

    def loaded(self, serial: int) -> None:
        """Take note that the window has the publications of the copy up to the one with that serial."""
        self._reached, self._serial = self._window.serial, serial
        self._places.append((self._reached, serial))

    def note(self, row: Row) -> None:
        """Keep what decides on positions: until it does not matter any more to any that the window may answer."""
        self._rows.append(row)
        _add_places(self._needs, places_of(row))
        if len(self._rows) > MAX_ROWS:
            self._forget(_Note(0, self._needs, 0))
            self._rows, self._needs = [], {}

    def restart(self) -> None:
        """Begin another copy, from where the log stands now."""
        self.anew, self._taken = True, None
        self._rows, self._needs, self._unwritten = [], {}, {}
        self.last_records.restart()
        self._notes.clear()
        self._floors = dict(self._cursor.next)
        self._reached = self._window.serial
        self._places = deque([(self._reached, self._serial)])

    @property
    def pending(self) -> int:
        """How many publications, those on channels with a history included, and rows of notes wait to be written."""
        return min(self._window.serial - self._reached, len(self._window)) + len(self._rows)

    def floors(self) -> dict[Partition, int]:
        """Return the offsets from which on the copy is complete, as of what was taken last."""
        window, own = self._window, self._floors
        return {at: max(window.floor(at), own.get(at, 0)) for at in self._cursor.next}

    def take(self, ahead: int = 0) -> TakenWindow:
        """Return what is to be committed now, together with the `floors`; until it has been, it is taken again.

        `ahead` is as of `TakenWindow`.
        """
        while len(self._places) > 1 and self._places[1][0] <= self._window.evicted:
            self._places.popleft()
        if self._rows:
            self._number += 1
            self._unwritten[self._number] = self._rows
            self._notes.append(_Note(self._number, self._needs, len(self._rows)))
            self._rows, self._needs = [], {}
        self._forget_notes()
        if self.last_records.changed:
            self._unwritten[LAST_RECORDS] = last_rows(self.last_records.floors, self.last_records.take())
        keep_from, notes = self._places[0][1] + 1, dict(self._unwritten)
        recent = self._window.since(self._reached)
        self._taken = TakenWindow(recent, self._window.serial, self._serial + 1, ahead, keep_from, notes, self.anew)
        return self._taken

    def _forget_notes(self) -> None:
        floors, notes = self.floors(), self._notes
        while notes and all(floors.get(at, 0) >= offset for at, offset in notes[0].needs.items()):
            self._forget_written(notes.popleft())
        # Too many: then it must not matter any more what they say.
        rows = sum(note.rows for note in notes)
        while len(notes) > MAX_NOTES or rows > MAX_ROWS:
            first = notes.popleft()
            rows -= first.rows
            self._forget_written(first)
            self._forget(first)

    def _forget_written(self, note: _Note) -> None:
        # Not all have been written: while the disk is full, many come and go.
        if self._unwritten.pop(note.number, None) is None:
            self._unwritten[note.number] = None

    def _forget(self, note: _Note) -> None:
        _add_places(self._floors, note.needs)

    def committed(self, taken: TakenWindow, changes: WindowChanges) -> None:
        """Take note that what was taken has been committed, as `changes`."""
        if taken is self._taken:
            self.anew, self._taken, self._unwritten = False, None, {}
            self._reached = taken.reached
            if changes.publications:
                self._serial = changes.publications.last
                self._places.append((taken.reached, self._serial))


def _add_places(places: dict[Partition, int], more: Offsets) -> None:
    for partition, offset in more.items():
        if offset > places.get(partition, 0):
            places[partition] = offset
