"""What a state store has, as of one commit."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from typing import Any

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import Entries, StoredNote, StoredPair, StoredPublication
from mesaya_ws.core.state.interface import (
    CorruptStateError,
    Size,
    StoredPage,
)
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.blocks import Block, partition_of


class LmdbView:
    """A `StateView` of one transaction.

    It never asks for memory views; the types of lmdb allow for them everywhere, and so they are not used.
    """

    def __init__(self, txn: Any, tables: Mapping[str, Any]) -> None:
        self._txn = txn
        self._tables = tables
        self._block: Block | None = None  # the last one that was read: the next publication may be there, too

    def _meta(self, name: bytes) -> bytes | None:
        value = self._txn.get(name, db=self._tables["meta"])
        return None if value is None else layout.unsealed(value)

    @property
    def head(self) -> bytes | None:
        """What the last commit said of its place in the log."""
        return self._meta(b"head")

    @property
    def floors(self) -> Mapping[Partition, int]:
        """By partition, the offset from which on nothing has been forgotten."""
        value = self._txn.get(b"floors", db=self._tables["meta"])
        return {} if value is None else dict(layout.floors_in(value))

    @property
    def last_serial(self) -> int:
        """The serial of the last entry that was ever appended."""
        return self.entries[0]

    @property
    def entries(self) -> tuple[int, int]:
        """The serial of the last entry that was ever appended, and how many entries there are."""
        value = self._meta(b"entries")
        if value is None:
            return 0, 0
        serial, count = layout.PLACE.unpack(value)
        return serial, count

    def get(self, table: str, id: str) -> bytes | None:
        """Return the value of an entity."""
        key = layout.entity_key(table, id)
        value = self._txn.get(key, db=self._tables["entities"])
        return None if value is None else layout.entity_in(key, value)[1]

    def tables(self) -> Iterator[str]:
        """Yield the names of all tables that have entities."""
        with self._txn.cursor(self._tables["entities"]) as cursor:
            found = cursor.first()
            while found:
                yield (table := layout.table_in(cursor.key()))
                found = cursor.set_range(table.encode() + b"\1")

    def rows(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Yield the ids and values of a table."""
        prefix = layout.joined(table, "")
        with self._txn.cursor(self._tables["entities"]) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                yield layout.entity_in(cursor.key(), cursor.value())
                found = cursor.next()

    def ids(self, table: str, after: str | None, count: int) -> list[str]:
        """Return the first ids of a table after one of them."""
        prefix = layout.joined(table, "")
        found_ids: list[str] = []
        with self._txn.cursor(self._tables["entities"]) as cursor:
            key = prefix if after is None else layout.entity_key(table, after)
            found = cursor.set_range(key)
            if found and after is not None and cursor.key() == key:
                found = cursor.next()
            while found and len(found_ids) < count and cursor.key().startswith(prefix):
                found_ids.append(layout.entity_in(cursor.key(), cursor.value())[0])
                found = cursor.next()
        return found_ids

    def parents(self, index: str) -> Iterator[str]:
        """Yield the parents that have members."""
        prefix = layout.joined(index, "")
        with self._txn.cursor(self._tables["members"]) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                yield cursor.key()[len(prefix) :].decode("utf-8", "surrogatepass")
                found = cursor.next_nodup()

    def members(self, index: str, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members of a parent from `start` on."""
        key = layout.joined(index, parent)
        with self._txn.cursor(self._tables["members"]) as cursor:
            # An empty start is no value that a member could have.
            found = cursor.set_range_dup(key, start) if start else cursor.set_key(key)
            while found:
                yield cursor.value()
                found = cursor.next_dup()

    def since(self, channel: str, offsets: Mapping[Partition, int], max_bytes: int) -> StoredPage:
        """Return the first publications on a channel at or after `offsets`."""
        runs = [self._serials(key, at, offsets.get(at, 0)) for at, key in self._lines(channel)]
        found: list[StoredPublication] = []
        size = 0
        for serial, offset, partition in runs[0] if len(runs) == 1 else merge(*runs):
            publication = self._publication(channel, serial, partition, offset)
            size += len(publication.frame)
            if found and size > max_bytes:
                return StoredPage(found, is_last=False)
            found.append(publication)
        return StoredPage(found, is_last=True)

    def count(self, channel: str, offsets: Mapping[Partition, int]) -> int:
        """Return how many publications there are on a channel at or after `offsets`."""
        total = 0
        for at, key in self._lines(channel):
            offset = offsets.get(at, 0)
            for value in self._values(key, offset):
                if layout.PLACE.unpack_from(value)[0] >= offset:
                    total += len(value) // layout.PLACE.size
                else:
                    total += sum(place[0] >= offset for place in layout.places_in(value))
        return total

    def latest(self, channel: str, count: int) -> list[StoredPublication]:
        """Return the last `count` publications of every partition on a channel."""
        latest: list[tuple[int, int, Partition]] = []
        for at, key in self._lines(channel):
            places: list[tuple[int, int]] = []
            with self._txn.cursor(self._tables["lines"]) as cursor:
                found = cursor.prev() if cursor.set_range(layout.line_end(key)) else cursor.last()
                while found and len(places) < count and cursor.key().startswith(key):
                    places = [*layout.places_in(cursor.value()), *places]
                    found = cursor.prev()
            latest += [(serial, offset, at) for offset, serial in places[-count:]]
        return [self._publication(channel, serial, at, offset) for serial, offset, at in sorted(latest)]

    def pairs(self, channel: str, offsets: Mapping[Partition, int]) -> Iterator[StoredPair]:
        """Yield by pair of partitions the first pair whose first record is at or after `offsets`."""
        prefix = layout.joined(channel, "")
        for first, key in self._pair_keys(channel):
            second, _ = layout.partition_in(key[len(prefix) + len(layout.partition_key(first)) :])
            with self._txn.cursor(self._tables["pairs"]) as cursor:
                if cursor.set_range_dup(key, layout.place(offsets.get(first, 0))):
                    first_offset, second_offset, serial = layout.PAIR.unpack(cursor.value())
                    yield StoredPair(channel, serial, first, first_offset, second, second_offset, 0)

    def notes(self, channel: str) -> Iterator[StoredNote]:
        """Yield all notes of a channel."""
        with self._txn.cursor(self._tables["notes"]) as cursor:
            found = cursor.set_key(layout.joined(channel, ""))
            while found:
                serial = cursor.value()
                mark = self._txn.get(serial, db=self._tables["marks"])
                note = None if mark is None else layout.mark_in(layout.SERIAL.unpack(serial)[0], mark)
                if not isinstance(note, StoredNote):
                    raise CorruptStateError("The state names a note that it does not have.")
                yield note
                found = cursor.next_dup()

    def window(self) -> Iterator[Entries]:
        """Yield the publications of the copy of the window, block by block."""
        known: dict[bytes, tuple[str, Partition]] = {}  # of thousands of publications, the same lines again and again
        with self._txn.cursor(self._tables["window"]) as cursor:
            found = cursor.first()
            while found:
                block = Block(cursor.value())
                columns = block.columns()
                flat: list[Any] = []
                for line, offset, time, frame in zip(
                    columns.lines, columns.offsets, columns.times, block.frames(), strict=True
                ):
                    if (place := known.get(line)) is None:
                        place = known[line] = line.partition(b"\0")[0].decode(), partition_of(line)
                    flat += (*place, offset, time, frame)
                yield Entries(block.first, flat)
                found = cursor.next()

    def window_notes(self) -> Iterator[tuple[int, bytes]]:
        """Yield the notes of the copy of the window."""
        with self._txn.cursor(self._tables["recent"]) as cursor:
            found = cursor.first()
            while found:
                yield layout.SERIAL.unpack(cursor.key())[0], layout.unsealed(cursor.value())
                found = cursor.next()

    def size(self) -> Size:
        """Return how much there is."""
        entities = self._txn.stat(self._tables["entities"])
        members = self._txn.stat(self._tables["members"])
        firsts: list[tuple[int, int]] = []
        with self._txn.cursor(self._tables["log"]) as cursor:
            if cursor.first():
                block = Block(cursor.value())
                firsts.append((block.first, block.frame(block.first)[0]))
        with self._txn.cursor(self._tables["marks"]) as cursor:
            if cursor.first():
                mark = layout.mark_in(layout.SERIAL.unpack(cursor.key())[0], cursor.value())
                firsts.append((mark.serial, mark.timestamp))
        oldest = min(firsts)[1] if firsts else None
        return Size(
            self.entry_bytes(),
            _bytes(entities) + _bytes(members),
            self.entries[1],
            entities["entries"],
            oldest,
            self._page_bytes(layout.WINDOW_TABLES),
        )

    def entry_bytes(self) -> int:
        """Return how many bytes of pages the entries take, with their indexes."""
        return self._page_bytes(layout.ENTRY_TABLES)

    def _page_bytes(self, tables: Iterable[str]) -> int:
        return sum(_bytes(self._txn.stat(self._tables[name])) for name in tables)

    def _pair_keys(self, channel: str) -> list[tuple[Partition, bytes]]:
        """Return the keys of the pairs on a channel, with the first partition of each."""
        prefix = layout.joined(channel, "")
        keys = []
        with self._txn.cursor(self._tables["pairs"]) as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                keys.append((layout.partition_in(key[len(prefix) :])[0], key))
                found = cursor.next_nodup()
        return keys

    def _lines(self, channel: str) -> list[tuple[Partition, bytes]]:
        """Return the lines of a channel, with their partitions."""
        prefix = layout.joined(channel, "")
        lines = []
        with self._txn.cursor(self._tables["lines"]) as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                line = key[: -layout.PLACE.size]
                lines.append((partition_of(line), line))
                found = cursor.set_range(layout.line_end(line))
        return lines

    def _values(self, line: bytes, offset: int) -> Iterator[bytes]:
        """Yield the values of a line that have places at or after an offset; the first one, others, too."""
        with self._txn.cursor(self._tables["lines"]) as cursor:
            start = layout.line_start(line, offset)
            found = cursor.prev() if cursor.set_range(start) else cursor.last()
            # What was committed together may begin before the offset, and end after it.
            if found and cursor.key().startswith(line) and cursor.value()[-16:-8] >= start[-16:-8]:
                yield cursor.value()
            found = cursor.set_range(start)
            while found and cursor.key().startswith(line):
                yield cursor.value()
                found = cursor.next()

    def _serials(self, line: bytes, partition: Partition, offset: int) -> Iterator[tuple[int, int, Partition]]:
        for value in self._values(line, offset):
            for at, serial in layout.places_in(value):
                if at >= offset:
                    yield serial, at, partition

    def _publication(self, channel: str, serial: int, partition: Partition, offset: int) -> StoredPublication:
        block = self._block
        if block is None or not block.first <= serial <= block.last:
            with self._txn.cursor(self._tables["log"]) as cursor:
                found = cursor.prev() if cursor.set_range(layout.SERIAL.pack(serial + 1)) else cursor.last()
                if not found:
                    raise CorruptStateError("The state names a publication that it does not have.")
                self._block = block = Block(cursor.value())
        time, frame = block.frame(serial)
        return StoredPublication(channel, serial, partition, offset, time, frame)


def _bytes(stat: Mapping[str, int]) -> int:
    """Return the bytes of all pages of a table."""
    return (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"]
