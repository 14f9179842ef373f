"""A state store in dicts, for tests of the rules: what it holds ends with the process."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import Entries, Entry, StoredNote, StoredPair, StoredPublication
from mesaya_ws.core.state.interface import (
    FORGOTTEN_AT_ONCE,
    Changes,
    Size,
    StoredPage,
    WindowChanges,
)


class MemoryState:
    """A `StateStore`, and its own `StateView`: it must not be committed to while it is read."""

    def __init__(self) -> None:
        self.head: bytes | None = None
        self.floors: dict[Partition, int] = {}
        self.last_serial = 0
        self._entities: dict[str, dict[str, bytes]] = {}
        self._members: dict[tuple[str, str], list[bytes]] = {}
        self._entries: list[Entry] = []
        self._window: list[Entries] = []
        self._window_notes: dict[int, bytes] = {}

    def commit(self, changes: Changes) -> None:
        """Take in all of `changes`."""
        if changes.anew:
            self.floors, self._entries, self.last_serial = {}, [], 0
        if changes.entities_anew:
            self._entities, self._members = {}, {}
        for name in changes.emptied:
            self._entities.pop(name, None)
            for place in [place for place in self._members if place[0] == name]:
                del self._members[place]
        self.head = changes.head
        for table, values in changes.entities.items():
            known = self._entities.setdefault(table, {})
            known.update({id: value for id, value in values.items() if value is not None})
            for id in [id for id, value in values.items() if value is None]:
                known.pop(id, None)
        for index, parents in changes.members.items():
            for parent, members in parents.items():
                there = self._members.setdefault((index, parent), [])
                for member, belongs in members.items():
                    self._put_member(there, member, belongs=belongs)
        for entry in changes.entries:
            if entry.serial <= self.last_serial:
                raise ValueError("serials of entries increase")
            self.last_serial = entry.serial
            self._entries.append(entry)
        for partition, offset in changes.floors.items():
            self._raise_floor(partition, offset)
        self._forget(changes)
        self._commit_window(changes.window)

    def _commit_window(self, changes: WindowChanges) -> None:
        if changes.anew:
            self._window, self._window_notes = [], {}
        if changes.publications:
            if self._window and changes.publications.first <= self._window[-1].last:
                raise ValueError("serials of publications increase")
            self._window.append(changes.publications)
        while self._window and self._window[0].last < changes.keep_from:
            del self._window[0]
        for number, value in changes.notes.items():
            if value is None:
                self._window_notes.pop(number, None)
            else:
                self._window_notes[number] = value

    def _put_member(self, members: list[bytes], member: bytes, *, belongs: bool) -> None:
        at = bisect_left(members, member)
        is_there = members[at : at + 1] == [member]
        if belongs and not is_there:
            insort(members, member)
        elif is_there and not belongs:
            del members[at]

    def _forget(self, changes: Changes) -> None:
        size, count = self.size().entry_bytes, 0
        for entry in self._entries[:FORGOTTEN_AT_ONCE]:
            is_too_much = changes.max_bytes is not None and size > changes.max_bytes
            if entry.timestamp >= changes.keep_since and not is_too_much:
                break
            size -= _size(entry)
            count += 1
            if isinstance(entry, StoredPublication):
                self._raise_floor(entry.partition, entry.offset + 1)
        del self._entries[:count]

    def _raise_floor(self, partition: Partition, offset: int) -> None:
        self.floors[partition] = max(offset, self.floors.get(partition, 0))

    @contextmanager
    def view(self) -> Iterator["MemoryState"]:
        """Return itself."""
        yield self

    def reopen(self) -> None:
        """Do nothing: it is always open."""

    def get(self, table: str, id: str) -> bytes | None:
        """Return the value of an entity."""
        return self._entities.get(table, {}).get(id)

    def tables(self) -> Iterator[str]:
        """Yield the names of all tables that have entities."""
        yield from sorted(table for table, values in self._entities.items() if values)

    def rows(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Yield the ids and values of a table."""
        yield from sorted(self._entities.get(table, {}).items(), key=lambda item: item[0].encode())

    def ids(self, table: str, after: str | None, count: int) -> list[str]:
        """Return the first ids of a table after one of them."""
        known = sorted(self._entities.get(table, {}), key=str.encode)
        first = 0 if after is None else bisect_right(known, after.encode(), key=str.encode)
        return known[first : first + count]

    def parents(self, index: str) -> Iterator[str]:
        """Yield the parents that have members."""
        yield from sorted((parent for name, parent in self._members if name == index and self._members[name, parent]))

    def members(self, index: str, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members of a parent from `start` on."""
        members = self._members.get((index, parent), [])
        yield from members[bisect_left(members, start) :]

    def since(self, channel: str, offsets: Mapping[Partition, int], max_bytes: int) -> StoredPage:
        """Return the first publications on a channel at or after `offsets`."""
        found: list[StoredPublication] = []
        size = 0
        for entry in self._after(channel, offsets):
            size += len(entry.frame)
            if found and size > max_bytes:
                return StoredPage(found, is_last=False)
            found.append(entry)
        return StoredPage(found, is_last=True)

    def _after(self, channel: str, offsets: Mapping[Partition, int]) -> list[StoredPublication]:
        return [each for each in self._on(channel) if each.offset >= offsets.get(each.partition, 0)]

    def _on(self, channel: str) -> list[StoredPublication]:
        return [each for each in self._entries if isinstance(each, StoredPublication) and each.channel == channel]

    def count(self, channel: str, offsets: Mapping[Partition, int]) -> int:
        """Return how many publications there are on a channel at or after `offsets`."""
        return len(self._after(channel, offsets))

    def latest(self, channel: str, count: int) -> list[StoredPublication]:
        """Return the last `count` publications of every partition on a channel."""
        lines: dict[Partition, list[StoredPublication]] = {}
        for each in self._on(channel):
            lines.setdefault(each.partition, []).append(each)
        return sorted((each for line in lines.values() for each in line[-count:]), key=lambda each: each.serial)

    def pairs(self, channel: str, offsets: Mapping[Partition, int]) -> Iterator[StoredPair]:
        """Yield by pair of partitions the first pair whose first record is at or after `offsets`."""
        seen = set()
        for entry in self._entries:
            if isinstance(entry, StoredPair) and entry.channel == channel:
                between = entry.first, entry.second
                if between not in seen and entry.first_offset >= offsets.get(entry.first, 0):
                    seen.add(between)
                    yield entry

    def notes(self, channel: str) -> Iterator[StoredNote]:
        """Yield all notes of a channel."""
        yield from (each for each in self._entries if isinstance(each, StoredNote) and each.channel == channel)

    def window(self) -> Iterator[Entries]:
        """Yield the publications of the copy of the window."""
        yield from self._window

    def window_notes(self) -> Iterator[tuple[int, bytes]]:
        """Yield the notes of the copy of the window."""
        yield from sorted(self._window_notes.items())

    def size(self) -> Size:
        """Return how much there is."""
        return Size(
            sum(map(_size, self._entries)),
            sum(len(value) for values in self._entities.values() for value in values.values()),
            len(self._entries),
            sum(map(len, self._entities.values())),
            self._entries[0].timestamp if self._entries else None,
            sum(len(frame) + 64 for part in self._window for frame in part.frames)
            + sum(map(len, self._window_notes.values())),
        )


def _size(entry: Entry) -> int:
    match entry:
        case StoredPublication(frame=content) | StoredNote(value=content):
            return len(content) + 64
    return 64
